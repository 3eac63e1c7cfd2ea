//! A house to make claims about.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, System, WrapFuture};
use conbusd::actors::accessory::Accessory;
use conbusd::actors::events::{
    AccessoryChanged, GetState, LinkChanged, LinkState, Observe, PointCommanded, Refresh, SetTarget,
    TelegramSeen,
};
use conbusd::actors::keeper::KeeperPlan;
use conbusd::actors::{Outlet, ask, now, tell};
use conbusd::app::mux;
use conbusd::app::restore::restore;
use conbusd::app::{App, Audience, Beginning, assemble_from};
use conbusd::conbus::{OutputIndex, Percent, Point, SerialNumber, Telegram};
use conbusd::config::{self, Config};
use conbusd::doors::mux::{Desk, Door};
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup, Timing};
use conbusd::policy::store::Want;
use conbusd::policy::switch::{AccessoryState, Cause, Target, Until};
use conbusd::policy::{BusError, Freshness, KeepingPlan, Urgency};
use conbusd::transport::{BusStream, Dial, Dialled};
use conbusd::vault::MemoryVault;

/// Runs a test on virtual time.
pub(crate) fn in_virtual_time<F: Future<Output = ()>>(test: F) {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(test);
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn serial(n: u8) -> SerialNumber {
    format!("00123450{n:02}").parse().unwrap()
}

pub(crate) fn point(module: u8, output: u8) -> Point {
    Point { serial: serial(module), output: OutputIndex::new(output).unwrap() }
}

/// Dials the emulated house in memory and counts.
pub(crate) struct MemoryDial {
    emulator: Emulator,
    /// How many dials there were.
    pub(crate) dials: Rc<Cell<u32>>,
}

impl Dial for MemoryDial {
    fn dial(&self) -> Dialled {
        self.dials.set(self.dials.get() + 1);
        let stream = self.emulator.connect();
        Box::pin(async move {
            let stream = stream.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(stream) as Box<dyn BusStream>)
        })
    }

    fn target(&self) -> String {
        "memory".into()
    }
}

/// What the doors would have been told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) accessories: Vec<AccessoryChanged>,
    pub(crate) links: Vec<LinkState>,
    pub(crate) telegrams: Vec<Telegram>,
}

struct Probe(Rc<RefCell<Told>>, Duration);

impl Actor for Probe {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.1 > Duration::ZERO {
            ctx.set_mailbox_capacity(1);
            ctx.wait(tokio::time::sleep(self.1).into_actor(self));
        }
    }
}

impl Handler<AccessoryChanged> for Probe {
    type Result = ();

    fn handle(&mut self, changed: AccessoryChanged, _: &mut Context<Self>) {
        self.0.borrow_mut().accessories.push(changed);
    }
}

impl Handler<LinkChanged> for Probe {
    type Result = ();

    fn handle(&mut self, changed: LinkChanged, _: &mut Context<Self>) {
        self.0.borrow_mut().links.push(changed.state);
    }
}

impl Handler<TelegramSeen> for Probe {
    type Result = ();

    fn handle(&mut self, seen: TelegramSeen, _: &mut Context<Self>) {
        self.0.borrow_mut().telegrams.push(seen.telegram);
    }
}

/// A wall clock that follows virtual time.
pub(crate) fn wall() -> Duration {
    seconds(1_700_000_000) + now().since_start()
}

/// A running house: the emulated modules, and the daemon's actors.
pub(crate) struct House {
    pub(crate) emulators: Vec<Emulator>,
    pub(crate) app: App,
    pub(crate) told: Rc<RefCell<Told>>,
    pub(crate) dials: Rc<Cell<u32>>,
    /// The shared port, when the config has one.
    pub(crate) shared: Option<Door>,
}

/// How a house is built.
pub(crate) struct Builder {
    config: String,
    /// What the daemon is told, when that is not what there is.
    told: Option<String>,
    timing: Timing,
    change: Box<dyn Fn(&mut HouseSetup)>,
    doors_busy: Duration,
    vault: Option<MemoryVault>,
}

/// Three XP24 (modules 1 to 3) and four XP33LED (4 to 7): 24 outputs, an accessory each, named `m<module>o<output>`.
pub(crate) fn house_of_24() -> Builder {
    let mut config = String::from("[[gateway]]\nid = \"home\"\naddress = \"emulator\"\n");
    config += "[[module]]\nserial = \"0012345099\"\ntype = \"XP230\"\nlink = 99\n";
    for n in 1..=7u8 {
        let (kind, outputs) = if n <= 3 { ("XP24", 4) } else { ("XP33LED", 3) };
        config += &format!("[[module]]\nserial = \"{}\"\ntype = \"{kind}\"\nlink = {n}\n", serial(n));
        for output in 0..outputs {
            let kind = if n <= 3 { "light" } else { "dimmer" };
            config += &format!(
                "[[accessory]]\nid = \"m{n}o{output}\"\nname = \"Lamp {n} {output}\"\nkind = \"{kind}\"\n\
                 module = \"{}\"\noutput = {output}\n",
                serial(n)
            );
        }
    }
    house_with(config)
}

fn serial_of_many(module: u32) -> SerialNumber {
    format!("{:010}", 1_000_000 + module).parse().unwrap()
}

/// So many relay modules that no accessory shows, a hundred behind each gateway, since link numbers end at 99.
pub(crate) fn many_relays(modules: u32) -> String {
    let gateway = |n: u32| format!("[[gateway]]\nid = \"g{n}\"\naddress = \"emulator\"\n");
    let module = |n: u32| {
        let (serial, link, gateway) = (serial_of_many(n), n % 100, n / 100);
        format!(
            "[[module]]\nserial = \"{serial}\"\ntype = \"XP24\"\nlink = {link}\ngateway = \"g{gateway}\"\n"
        )
    };
    (0..modules.div_ceil(100)).map(gateway).chain((0..modules).map(module)).collect()
}

/// A house with this configuration.
pub(crate) fn house_with(config: String) -> Builder {
    Builder {
        config,
        told: None,
        timing: Timing::fixed(ms(50)),
        change: Box::new(|_| {}),
        doors_busy: Duration::ZERO,
        vault: None,
    }
}

impl Builder {
    /// Adds a section to the config.
    pub(crate) fn section(mut self, text: &str) -> Self {
        self.config = format!("{text}\n{}", self.config);
        self
    }

    /// The daemon has another config than the house.
    pub(crate) fn configured(mut self, text: String) -> Self {
        self.told = Some(text);
        self
    }

    /// Adds to the end of the config.
    pub(crate) fn appended(mut self, text: &str) -> Self {
        self.config += text;
        self
    }

    /// The config.
    pub(crate) fn text(&self) -> String {
        self.config.clone()
    }

    /// Starts from what is kept here, and keeps here what is known.
    pub(crate) fn kept_in(mut self, vault: &MemoryVault) -> Self {
        self.vault = Some(vault.clone());
        self
    }

    /// Changes the emulated house before it is switched on.
    pub(crate) fn emulated(mut self, change: impl Fn(&mut HouseSetup) + 'static) -> Self {
        self.change = Box::new(change);
        self
    }

    /// The doors have room for one fact and hear nothing for so long.
    pub(crate) fn doors_busy_for(mut self, time: Duration) -> Self {
        self.doors_busy = time;
        self
    }

    fn config(&self) -> Config {
        config::parse("test.toml", &self.config, Path::new("/")).unwrap()
    }

    /// Starts it; the gateways are up when `up`.
    pub(crate) fn start_with(self, up: bool) -> House {
        let config = self.config();
        let dials_made = Rc::new(Cell::new(0));
        let (mut emulators, mut dials) = (vec![], vec![]);
        for gateway in 0..config.gateways.len() {
            let modules = config.modules.iter().filter(|module| module.gateway == gateway);
            let modules =
                modules.map(|module| ModuleSetup::new(module.serial, module.module_type, module.link));
            let mut setup = HouseSetup::new(modules.collect()).with_timing(self.timing);
            (self.change)(&mut setup);
            let emulator = Emulator::new(setup);
            emulator.gateway_up(up);
            let dial = MemoryDial { emulator: emulator.clone(), dials: dials_made.clone() };
            dials.push(Box::new(dial) as Box<dyn Dial>);
            emulators.push(emulator);
        }
        let told = Rc::new(RefCell::new(Told::default()));
        let probe = Probe(told.clone(), self.doors_busy).start();
        let mut audience = Audience {
            accessories: vec![probe.clone().recipient()],
            links: vec![probe.clone().recipient()],
            telegrams: vec![probe.recipient()],
            buttons: vec![],
        };
        let desk = config.mux.as_ref().map(|section| Desk::new(mux::plan(&config, section)));
        if let Some(desk) = &desk {
            let hub = desk.hub().start();
            audience.links.push(hub.clone().recipient());
            audience.telegrams.push(hub.recipient());
        }
        let mut beginning = Beginning { seed: 1, ..Beginning::default() };
        if let Some(vault) = self.vault {
            beginning.restored = restore(&vault, wall()).snapshot;
            let keeping = KeepingPlan::default();
            beginning.keeper = Some(KeeperPlan { keeping, vault: Box::new(vault), wall });
        }
        let config =
            self.told.map_or(config, |text| config::parse("told.toml", &text, Path::new("/")).unwrap());
        let app = assemble_from(&config, dials, &audience, beginning);
        let shared = desk.map(|desk| desk.serve(app.connections[0].clone(), &app.history, None));
        House { emulators, app, told, dials: dials_made, shared }
    }

    pub(crate) fn start(self) -> House {
        self.start_with(true)
    }

    /// Starts it and waits until every output and every module is known.
    pub(crate) async fn warm(self) -> House {
        let house = self.start();
        pass(seconds(15)).await;
        house
    }
}

impl House {
    pub(crate) fn emulator(&self) -> &Emulator {
        &self.emulators[0]
    }

    /// How many telegrams the gateway got.
    pub(crate) fn telegrams(&self) -> u64 {
        self.emulator().counters().telegrams_received
    }

    /// How often this telegram was sent.
    pub(crate) fn sent(&self, telegram: &str) -> u64 {
        self.emulator().counters().received.get(telegram).copied().unwrap_or(0)
    }

    pub(crate) fn accessory(&self, index: usize) -> &Addr<Accessory> {
        &self.app.accessories[index]
    }

    pub(crate) async fn get(&self, index: usize, max_age: Want) -> Result<AccessoryState, BusError> {
        ask(self.accessory(index), GetState { max_age }, seconds(4)).await
    }

    pub(crate) async fn known(&self, index: usize) -> AccessoryState {
        self.get(index, Want::Known).await.unwrap()
    }

    /// The list as a door reads it.
    pub(crate) async fn list(&self) -> Vec<AccessoryState> {
        let mut states = vec![];
        for index in 0..self.app.accessories.len() {
            states.push(self.get(index, Want::Any).await.unwrap());
        }
        states
    }

    pub(crate) fn set(
        &self,
        index: usize,
        target: Target,
        until: Until,
    ) -> impl Future<Output = Result<AccessoryState, BusError>> + use<> {
        ask(self.accessory(index), SetTarget { target, until, client: 1 }, seconds(6))
    }

    pub(crate) async fn switch(&self, index: usize, on: bool) -> Result<AccessoryState, BusError> {
        self.set(index, Target { on: Some(on), level: None }, Until::Confirmed).await
    }

    /// All outputs as the daemon shows them against the truth of the house; the names of those that differ.
    pub(crate) async fn wrong(&self, points: &[Point]) -> Vec<Point> {
        let mut wrong = vec![];
        for (state, point) in self.list().await.into_iter().zip(points) {
            let truth = self.emulators.iter().find_map(|emulator| emulator.output(*point)).unwrap();
            if state.on != Some(truth.1 != Percent::OFF) || state.freshness != Freshness::Fresh {
                wrong.push(*point);
            }
        }
        wrong
    }

    pub(crate) async fn cache(&self, counter: &str) -> u64 {
        ask(&self.app.cache, Observe, seconds(1)).await.unwrap()[counter].as_u64().unwrap()
    }

    /// How often the poller asked for a refresh.
    pub(crate) async fn refreshes(&self) -> u64 {
        ask(&self.app.poller, Observe, seconds(1)).await.unwrap()["refreshes_total"].as_u64().unwrap()
    }

    /// Tells the cache a turn of the poller for each of [`many_relays`] at once, as when all gateways come up together;
    /// whether there was room for all of them and for what is heard behind them.
    pub(crate) fn takes_a_turn_for_each(&self, modules: u32) -> bool {
        let mut turns = Outlet::new(self.app.cache.clone().recipient());
        let mut heard = Outlet::new(self.app.cache.clone().recipient());
        let output = OutputIndex::new(0).unwrap();
        let points = (0..modules).map(|module| Point { serial: serial_of_many(module), output });
        let mut told = points.map(|point| tell(&mut turns, Refresh { point, urgency: Urgency::WarmUp }));
        let all = told.all(|told| told);
        let point = Point { serial: serial_of_many(0), output };
        // An outlet that told nothing before gets one fact in, whether there is room or not.
        let mut hear = || tell(&mut heard, PointCommanded { point, seq: 0, at: now() });
        all && hear() && hear()
    }

    /// Changes of one accessory that were told, as on/off and freshness.
    pub(crate) fn changes(&self, index: u32) -> Vec<(Option<bool>, Freshness, Cause)> {
        let told = self.told.borrow();
        let changes = told.accessories.iter().filter(|changed| changed.id.0 == index);
        changes.map(|changed| (changed.state.on, changed.state.freshness, changed.cause)).collect()
    }

    /// Ends the house; fails when an actor had died.
    pub(crate) async fn finish(self) {
        for accessory in &self.app.accessories {
            assert!(accessory.connected(), "an accessory died");
        }
        ask(&self.app.cache, Observe, seconds(1)).await.expect("the cache died");
        ask(&self.app.poller, Observe, seconds(1)).await.expect("the poller died");
        for (connection, listener) in self.app.connections.iter().zip(&self.app.listeners) {
            ask(connection, Observe, seconds(1)).await.expect("a connection died");
            ask(listener, Observe, seconds(1)).await.expect("a listener died");
        }
        self.app.drain().await;
    }
}

/// The outputs of [`house_of_24`] in the order of its accessories.
pub(crate) fn points_of_24() -> Vec<Point> {
    let relays = (1..=3).flat_map(|module| (0..4).map(move |output| point(module, output)));
    let dimmers = (4..=7).flat_map(|module| (0..3).map(move |output| point(module, output)));
    relays.chain(dimmers).collect()
}
