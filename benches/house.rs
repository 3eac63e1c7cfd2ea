//! A warm house of 24 outputs on one arbiter, and the ways to a cached value of it: what the benches share.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, MailboxError, Message};
use conbusd::actors::events::{AccessoryChanged, GetState, Read};
use conbusd::actors::{ask, now};
use conbusd::app::{App, Audience, assemble};
use conbusd::conbus::{Percent, Point};
use conbusd::config::{self, Config};
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup, Timing};
use conbusd::policy::settle::{Basis, PointValue, Settle};
use conbusd::policy::store::{Effect, ModulePlan, Observation, Outcome, Store, StorePlan, Want};
use conbusd::policy::switch::AccessoryState;
use conbusd::policy::{BusError, Freshness, GatewayId, Moment, Reading, Urgency};
use conbusd::transport::{BusStream, Dial, Dialled};
use lru::LruCache;

/// The deadline of every request, on all sides.
pub(crate) const WITHIN: Duration = Duration::from_secs(4);

/// How long the house may take until every output is known.
const WARM_WITHIN: Duration = Duration::from_secs(60);

/// How often is looked. Readers come first: asked without pause, levels would be read late.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The bare actor: a map behind a mailbox, and nothing else.
struct Bare(LruCache<Point, Reading>);

impl Actor for Bare {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(1024);
    }
}

/// As large as a [`Read`], and so is its answer.
#[derive(Message)]
#[rtype(result = "Result<Reading, BusError>")]
struct Look(Read);

impl Handler<Look> for Bare {
    type Result = Result<Reading, BusError>;

    fn handle(&mut self, look: Look, _: &mut Context<Self>) -> Self::Result {
        self.0.get(&look.0.point).copied().ok_or(BusError::Refused)
    }
}

/// Dials the emulated house in memory.
pub(crate) struct MemoryDial(pub(crate) Emulator);

impl Dial for MemoryDial {
    fn dial(&self) -> Dialled {
        let stream = self.0.connect();
        Box::pin(async move {
            let stream = stream.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(stream) as Box<dyn BusStream>)
        })
    }

    fn target(&self) -> String {
        "memory".into()
    }
}

/// A door that hears what accessories show, as every house has one.
pub(crate) struct Door;

impl Actor for Door {
    type Context = Context<Self>;
}

impl Handler<AccessoryChanged> for Door {
    type Result = ();

    fn handle(&mut self, _: AccessoryChanged, _: &mut Context<Self>) {}
}

/// Everything that answers, each in its own way and all the same.
pub(crate) struct House {
    pub(crate) app: App,
    bare: Addr<Bare>,
    store: RefCell<(Store, Vec<Effect>)>,
    points: Vec<Point>,
    /// When it stood: what a bare actor is told, which looks at no clock.
    stood_at: Moment,
    /// Switched on for as long as the house stands.
    emulator: Emulator,
}

/// Three XP24 and four XP33LED: 24 outputs, an accessory each.
pub(crate) fn text_of_24(address: &str) -> String {
    let mut text = format!("[[gateway]]\nid = \"home\"\naddress = \"{address}\"\n");
    for n in 1..=7u8 {
        let (module, outputs, kind) = if n <= 3 { ("XP24", 4, "light") } else { ("XP33LED", 3, "dimmer") };
        text += &format!("[[module]]\nserial = \"00123450{n:02}\"\ntype = \"{module}\"\nlink = {n}\n");
        for output in 0..outputs {
            text += &format!(
                "[[accessory]]\nid = \"m{n}o{output}\"\nname = \"Lamp {n} {output}\"\nkind = \"{kind}\"\n\
                 module = \"00123450{n:02}\"\noutput = {output}\n"
            );
        }
    }
    text
}

/// The same with the bridge itself, behind the emulated gateway.
fn config_of_24() -> Config {
    let mut text = text_of_24("emulator");
    text += "[[module]]\nserial = \"0012345099\"\ntype = \"XP230\"\nlink = 99\n";
    config::parse("bench.toml", &text, Path::new("/")).unwrap()
}

/// A store for so many outputs, of these modules.
pub(crate) fn store_for(entries: usize, modules: Vec<ModulePlan>) -> Store {
    let plan = StorePlan {
        enabled: true,
        ttl: WARM_WITHIN * 60,
        max_entries: NonZeroUsize::new(entries).unwrap(),
        max_waiters: StorePlan::WAITERS_MAX,
        patience: StorePlan::PATIENCE,
        settle: Settle::default(),
    };
    Store::new(plan, modules)
}

/// The store by itself, knowing of every output that it is on.
fn store_of(config: &Config) -> Store {
    let gateway = GatewayId(0);
    let modules = config.modules.iter().map(|module| ModulePlan {
        serial: module.serial,
        gateway,
        outputs: module.module_type.outputs(),
        dimmable: module.module_type.is_dimmable(),
    });
    let (mut store, mut effects) = (store_for(1000, modules.collect()), Vec::new());
    store.link_changed(gateway, true, now(), &mut effects);
    for accessory in &config.accessories {
        for value in [PointValue::On(true), PointValue::Level(Percent::FULL)] {
            let (point, basis, at) = (accessory.point, Basis::Report, now());
            store.observed(Observation { point, value, basis, seq: 1, at, not_before: at }, &mut effects);
        }
    }
    store
}

impl House {
    fn start() -> Self {
        let config = config_of_24();
        let modules = config
            .modules
            .iter()
            .map(|module| ModuleSetup::new(module.serial, module.module_type, module.link).all_on());
        let emulator = Emulator::new(HouseSetup::new(modules.collect()).with_timing(Timing::zero()));
        emulator.gateway_up(true);
        let dial = Box::new(MemoryDial(emulator.clone())) as Box<dyn Dial>;
        let audience = Audience { accessories: vec![Door.start().recipient()], ..Audience::default() };
        let points: Vec<Point> = config.accessories.iter().map(|accessory| accessory.point).collect();
        let mut known = LruCache::new(NonZeroUsize::new(1000).unwrap());
        for &point in &points {
            known.put(point, Reading::UNKNOWN);
        }
        Self {
            app: assemble(&config, vec![dial], &audience, 1),
            bare: Bare(known).start(),
            store: RefCell::new((store_of(&config), Vec::new())),
            points,
            stood_at: now(),
            emulator,
        }
    }

    /// Starts it and waits until every accessory is known.
    pub(crate) async fn warm() -> Self {
        let house = Self::start();
        let give_up = now() + WARM_WITHIN;
        let mut fresh = 0;
        while fresh < house.points.len() {
            assert!(now() < give_up, "the house does not become known");
            tokio::time::sleep(LOOK_AGAIN).await;
            fresh = 0;
            for accessory in &house.app.accessories {
                let state = ask(accessory, GetState { max_age: Want::Any }, WITHIN).await.unwrap();
                fresh += usize::from(state.freshness == Freshness::Fresh);
            }
        }
        house
    }

    #[allow(dead_code, reason = "only the report storms")]
    /// The first module repeats itself so often a second, and nothing ends it.
    pub(crate) fn storm(&self, per_second: u32) {
        let first = self.points[0].serial;
        self.emulator.with(|house, now| house.storm(now, first, per_second, u32::MAX));
    }

    fn read(&self, at: usize, asked_at: Moment) -> Read {
        let point = self.points[at % self.points.len()];
        Read { point, max_age: Want::Known, urgency: Urgency::Reader, asked_at }
    }

    #[expect(clippy::disallowed_methods, reason = "the bare send that everything else is held against")]
    pub(crate) fn bare(
        &self,
        at: usize,
    ) -> impl Future<Output = Result<Result<Reading, BusError>, MailboxError>> {
        self.bare.send(Look(self.read(at, self.stood_at))).timeout(WITHIN)
    }

    pub(crate) fn cache(&self, at: usize) -> impl Future<Output = Result<Reading, BusError>> {
        ask(&self.app.cache, self.read(at, now()), WITHIN)
    }

    pub(crate) fn accessory(&self, at: usize) -> impl Future<Output = Result<AccessoryState, BusError>> {
        ask(&self.app.accessories[at % self.points.len()], GetState { max_age: Want::Known }, WITHIN)
    }

    fn store(&self, at: usize) -> bool {
        let (store, effects) = &mut *self.store.borrow_mut();
        let Read { point, max_age, urgency, asked_at } = self.read(at, now());
        matches!(store.read(point, max_age, urgency, asked_at, effects), Outcome::Now(Ok(_)))
    }

    pub(crate) async fn in_a_row(&self, way: Way, reads: usize) {
        let mut answered = 0;
        for at in 0..reads {
            answered += usize::from(match way {
                Way::Store => self.store(at),
                Way::Bare => self.bare(at).await.is_ok(),
                Way::Cache => self.cache(at).await.is_ok(),
                Way::Accessory => self.accessory(at).await.is_ok(),
            });
        }
        assert_eq!(answered, reads, "a read failed");
    }
}

/// A way to the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// The store called directly.
    Store,
    /// A bare actor that holds a map.
    Bare,
    /// The cache.
    Cache,
    /// An accessory, which asks the cache.
    Accessory,
}
