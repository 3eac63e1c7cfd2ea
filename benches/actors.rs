//! What a cached read costs beside a bare actix `send`, in a warm house of 24 outputs on one arbiter.
//!
//! `cargo bench --bench actors` measures four ways to the same answer, round by round in turn, and fails when the
//! cache alone costs more than [`CACHE_BAR`] times the bare send, or accessory and cache more than
//! [`ACCESSORY_BAR`] times. Times on a shared machine mean little and ratios within a round much: the verdict is
//! the median of the ratios of all rounds, and only a ratio that is too high three times in a row fails.
//!
//! Instructions do not depend on the machine's mood. The difference of two lengths is exact:
//! `valgrind --tool=callgrind target/release/deps/actors-… --count cache 10000`, then the same with 20000.
#![allow(clippy::print_stdout, reason = "the table is what a bench is for")]
#![allow(clippy::unwrap_used, reason = "a bench whose house cannot be built has failed")]

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Context, Handler, MailboxError, Message, System};
use conbusd::actors::events::{AccessoryChanged, GetState, Observe, Read, StopPolling};
use conbusd::actors::{Outlet, ask, now, tell};
use conbusd::app::{App, Audience, assemble};
use conbusd::conbus::{Percent, Point};
use conbusd::config::{self, Config};
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup, Timing};
use conbusd::policy::settle::{Basis, PointValue, Settle};
use conbusd::policy::store::{Effect, ModulePlan, Observation, Outcome, Store, StorePlan, Want};
use conbusd::policy::switch::AccessoryState;
use conbusd::policy::{BusError, Freshness, GatewayId, Reading, Urgency};
use conbusd::transport::{BusStream, Dial, Dialled};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lru::LruCache;

/// What the cache may cost, in bare sends.
const CACHE_BAR: f64 = 1.5;

/// What accessory and cache may cost together: two sends, and half a one for what they do.
const ACCESSORY_BAR: f64 = 2.5;

/// Rounds of one attempt. Odd: the median is one of them.
const ROUNDS: usize = 601;

/// Rounds before the first that counts.
const ROUNDS_UNTIMED: usize = 40;

/// Reads of each way in one round, one after the other.
const IN_A_ROW: usize = 192;

/// Reads that wait at the same time.
const AT_ONCE: usize = 64;

/// How often so many wait in one round.
const WAVES: usize = 3;

/// How often a ratio may be too high before it is believed.
const ATTEMPTS: usize = 3;

/// The deadline of every request, on all sides.
const WITHIN: Duration = Duration::from_secs(4);

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
struct MemoryDial(Emulator);

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
struct Door;

impl Actor for Door {
    type Context = Context<Self>;
}

impl Handler<AccessoryChanged> for Door {
    type Result = ();

    fn handle(&mut self, _: AccessoryChanged, _: &mut Context<Self>) {}
}

/// Everything that answers, each in its own way and all the same.
struct House {
    app: App,
    bare: Addr<Bare>,
    store: RefCell<(Store, Vec<Effect>)>,
    points: Vec<Point>,
    /// Switched on for as long as the house stands.
    _emulator: Emulator,
}

/// Three XP24 and four XP33LED: 24 outputs, an accessory each.
fn config_of_24() -> Config {
    let mut text = String::from("[[gateway]]\nid = \"home\"\naddress = \"emulator\"\n");
    text += "[[module]]\nserial = \"0012345099\"\ntype = \"XP230\"\nlink = 99\n";
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
    config::parse("bench.toml", &text, Path::new("/")).unwrap()
}

/// The store by itself, knowing of every output that it is on.
fn store_of(config: &Config) -> Store {
    let plan = StorePlan {
        enabled: true,
        ttl: WARM_WITHIN * 60,
        max_entries: NonZeroUsize::new(1000).unwrap(),
        max_waiters: StorePlan::WAITERS_MAX,
        patience: StorePlan::PATIENCE,
        settle: Settle::default(),
    };
    let gateway = GatewayId(0);
    let modules = config.modules.iter().map(|module| ModulePlan {
        serial: module.serial,
        gateway,
        outputs: module.module_type.outputs(),
        dimmable: module.module_type.is_dimmable(),
    });
    let (mut store, mut effects) = (Store::new(plan, modules), Vec::new());
    store.link_changed(gateway, true, now(), &mut effects);
    for accessory in &config.accessories {
        for value in [PointValue::On(true), PointValue::Level(Percent::FULL)] {
            let (point, basis, at) = (accessory.point, Basis::Report, now());
            store.observed(Observation { point, value, basis, seq: 1, at }, &mut effects);
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
            _emulator: emulator,
        }
    }

    /// Starts it and waits until every accessory is known.
    async fn warm() -> Self {
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

    fn read(&self, at: usize) -> Read {
        Read { point: self.points[at % self.points.len()], max_age: Want::Known, urgency: Urgency::Reader }
    }

    #[expect(clippy::disallowed_methods, reason = "the bare send that everything else is held against")]
    fn bare(&self, at: usize) -> impl Future<Output = Result<Result<Reading, BusError>, MailboxError>> {
        self.bare.send(Look(self.read(at))).timeout(WITHIN)
    }

    fn cache(&self, at: usize) -> impl Future<Output = Result<Reading, BusError>> {
        ask(&self.app.cache, self.read(at), WITHIN)
    }

    fn accessory(&self, at: usize) -> impl Future<Output = Result<AccessoryState, BusError>> {
        ask(&self.app.accessories[at % self.points.len()], GetState { max_age: Want::Known }, WITHIN)
    }

    fn store(&self, at: usize) -> bool {
        let (store, effects) = &mut *self.store.borrow_mut();
        let Read { point, max_age, urgency } = self.read(at);
        matches!(store.read(point, max_age, urgency, now(), effects), Outcome::Now(Ok(_)))
    }

    async fn hits(&self) -> u64 {
        ask(&self.app.cache, Observe, WITHIN).await.unwrap()["hits_total"].as_u64().unwrap()
    }

    /// Times one way, in nanoseconds a read.
    async fn time(&self, way: Way) -> f64 {
        #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
        let begun = Instant::now();
        let reads = if way.is_at_once() {
            for wave in 0..WAVES {
                self.wave(way, wave * AT_ONCE).await;
            }
            WAVES * AT_ONCE
        } else {
            self.in_a_row(way, IN_A_ROW).await;
            IN_A_ROW
        };
        begun.elapsed().as_secs_f64() * 1e9 / reads as f64
    }

    async fn in_a_row(&self, way: Way, reads: usize) {
        let mut answered = 0;
        for at in 0..reads {
            answered += usize::from(match way {
                Way::Store => self.store(at),
                Way::Bare | Way::BareAtOnce => self.bare(at).await.is_ok(),
                Way::Cache | Way::CacheAtOnce => self.cache(at).await.is_ok(),
                Way::Accessory | Way::AccessoryAtOnce => self.accessory(at).await.is_ok(),
            });
        }
        assert_eq!(answered, reads, "a read failed");
    }

    async fn wave(&self, way: Way, from: usize) {
        let asked = from..from + AT_ONCE;
        match way {
            Way::BareAtOnce => all(asked.map(|at| self.bare(at))).await,
            Way::CacheAtOnce => all(asked.map(|at| self.cache(at))).await,
            _ => all(asked.map(|at| self.accessory(at))).await,
        }
    }
}

/// Waits for all answers at once, as one door with many clients.
async fn all<T, E>(answers: impl Iterator<Item = impl Future<Output = Result<T, E>>>) {
    let mut answers: FuturesUnordered<_> = answers.collect();
    while let Some(answered) = answers.next().await {
        assert!(answered.is_ok(), "a read failed");
    }
}

/// A way to the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Store,
    Bare,
    Cache,
    Accessory,
    BareAtOnce,
    CacheAtOnce,
    AccessoryAtOnce,
}

impl Way {
    const ALL: [Self; 7] = [
        Self::Store,
        Self::Bare,
        Self::Cache,
        Self::Accessory,
        Self::BareAtOnce,
        Self::CacheAtOnce,
        Self::AccessoryAtOnce,
    ];

    fn is_at_once(self) -> bool {
        matches!(self, Self::BareAtOnce | Self::CacheAtOnce | Self::AccessoryAtOnce)
    }

    /// What it is held against.
    fn control(self) -> Self {
        if self.is_at_once() { Self::BareAtOnce } else { Self::Bare }
    }

    fn bar(self) -> Option<f64> {
        match self {
            Self::Cache | Self::CacheAtOnce => Some(CACHE_BAR),
            Self::Accessory | Self::AccessoryAtOnce => Some(ACCESSORY_BAR),
            Self::Store | Self::Bare | Self::BareAtOnce => None,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Store => "store, no message",
            Self::Bare => "bare actix send",
            Self::Cache => "cache",
            Self::Accessory => "accessory and cache",
            Self::BareAtOnce => "bare actix send, 64 at once",
            Self::CacheAtOnce => "cache, 64 at once",
            Self::AccessoryAtOnce => "accessory and cache, 64 at once",
        }
    }
}

/// The times of every way: `[way][round]`.
type Times = [Vec<f64>; Way::ALL.len()];

/// Times every way in every round, each round beginning with another.
async fn measure(house: &House) -> Times {
    let mut times = Times::default();
    for round in 0..ROUNDS_UNTIMED + ROUNDS {
        for turn in 0..Way::ALL.len() {
            let way = Way::ALL[(round + turn) % Way::ALL.len()];
            let time = house.time(way).await;
            if round >= ROUNDS_UNTIMED {
                times[way as usize].push(time);
            }
        }
    }
    times
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints the table; true when every ratio is below its bar.
fn judge(times: &Times) -> bool {
    let mut passed = true;
    println!(
        "{:32} {:>8} {:>8}  {:>7} {:>7}  {:>4}",
        "ns a read", "median", "least", "paired", "medians", "bar"
    );
    for way in Way::ALL {
        let (own, control) = (&times[way as usize], &times[way.control() as usize]);
        let middle = median(own.iter().copied());
        let least = own.iter().copied().fold(f64::INFINITY, f64::min);
        let paired = median(own.iter().zip(control).map(|(own, control)| own / control));
        let medians = middle / median(control.iter().copied());
        let verdict = way.bar().map_or(String::new(), |bar| {
            passed &= paired <= bar;
            format!("{bar:>4.1}{}", if paired <= bar { "" } else { "  MISSED" })
        });
        println!("{:32} {middle:>8.0} {least:>8.0}  {paired:>7.2} {medians:>7.2}  {verdict}", way.title());
    }
    passed
}

/// The gate.
async fn gate() -> bool {
    let house = House::warm().await;
    for attempt in 1..=ATTEMPTS {
        let before = house.hits().await;
        let times = measure(&house).await;
        let hits = house.hits().await - before;
        // Two ways lead to the cache in a row, two at once.
        let reads = (ROUNDS_UNTIMED + ROUNDS) * 2 * (IN_A_ROW + WAVES * AT_ONCE);
        assert!(hits >= reads as u64, "{reads} reads were {hits} hits: this was not a warm cache");
        println!("attempt {attempt}: {ROUNDS} rounds, ratios against the bare send");
        if judge(&times) {
            return true;
        }
    }
    false
}

/// For counting instructions: reads in one way, with nothing else going on.
async fn count(way: &str, reads: &str) -> bool {
    let way = match way {
        "store" => Way::Store,
        "bare" => Way::Bare,
        "cache" => Way::Cache,
        "accessory" => Way::Accessory,
        _ => return false,
    };
    let Ok(reads) = reads.parse() else { return false };
    let house = House::warm().await;
    let mut poller = Outlet::new(house.app.poller.clone().recipient());
    assert!(tell(&mut poller, StopPolling), "the poller has room");
    tokio::time::sleep(LOOK_AGAIN * 2).await;
    house.in_a_row(way, reads).await;
    true
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let run = async move {
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["--count", way, reads, ..] => count(way, reads).await,
            _ => gate().await,
        }
    };
    // A task of its own on the one arbiter, like every door.
    match System::new().block_on(async { actix_rt::spawn(run).await }) {
        Ok(true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
