//! Counts that do not depend on the machine's mood, and the gate on them: instructions, allocations, bytes.
//!
//! `cargo bench --bench counts` prints a line of each, with its bar, and fails above one; it wants
//! `valgrind` in the path. `-- allocations`, `-- bytes` and `-- instructions` print one sort only. Instructions are
//! counted by running this program under callgrind with two lengths of each piece of work. Everything is on virtual
//! time: timers come where they always come. Bars are what was counted and a twentieth more.
#![allow(clippy::print_stdout, reason = "the table is what a bench is for")]
#![allow(clippy::unwrap_used, reason = "a bench whose house cannot be built has failed")]

#[path = "report/corpus.rs"]
mod corpus;
mod crowd;
mod house;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use actix::{Actor, Context, System, SystemRunner};
use conbusd::actors::accessory::Accessory;
use conbusd::actors::events::{GetState, StopPolling};
use conbusd::actors::{Outlet, ask, tell};
use conbusd::policy::store::Want;
use conbusd::policy::switch::Switch;

use crowd::{Crowd, Furnished, OUTPUTS};
use house::{House, WITHIN, Way};

/// Pieces of work whose instructions are counted: name, what it is, how many in a run, and the most that one may take: a
/// twentieth more than was counted in a release. That of the cache is the bar of P1.
const WORK: [(&str, &str, u32, Option<f64>); 5] = [
    ("bare", "a bare actix send", 10_000, None),
    ("cache", "P1: a hit of the cache", 10_000, Some(3_500.0)),
    ("accessory", "a hit of accessory and cache", 10_000, Some(7_450.0)),
    ("store", "a hit of the store without a message", 10_000, Some(392.0)),
    ("codec", "a telegram, bytes to facts", 20_000, Some(433.0)),
];

/// Telegrams that are made; those that are counted are a multiple of them.
const MADE: usize = 2_000;

/// Modules of the large house, and how much more a hit may take in it than in one of ten. The report reads a house of
/// ten thousand, which under callgrind would take minutes to build.
const LARGE: usize = 1_000;
const GROWTH: f64 = 1.02;

/// Reads whose allocations are counted.
const READS: u32 = 20_000;

/// What the timers of a house that lives take beside a read.
const MOOD: f64 = 0.02;

/// Modules of the smaller house whose memory is counted; the larger has twice as many.
const HELD: usize = 1_250;

/// The same of those whose resident memory is counted: so many that a hole in the heap makes no difference, and as many
/// to a table of hashes as there are with 10,000 entries.
const HELD_RESIDENT: usize = 20_000;

/// P5: bytes of an entry, 1.6 MB in 10,000 of them, and half as much again as the control. Bars and gates at once.
const ENTRY_GOAL: f64 = 160.0;
const ENTRY_RATIO_GOAL: f64 = 1.5;

/// Bytes of what is known and wanted of a module of four outputs: the goal of the project's first figure.
const MODULE_GOAL: f64 = 1_024.0;

/// What was counted of something.
struct Count {
    what: String,
    counted: f64,
    /// What was counted when this was written and a twentieth more; above it the change that is tested is refused.
    gate: Option<f64>,
    /// What it should be; the report tells whether it is.
    goal: Option<f64>,
}

impl Count {
    fn new(what: &str, counted: f64) -> Self {
        Self { what: what.to_owned(), counted, gate: None, goal: None }
    }

    fn at_most(self, gate: f64) -> Self {
        Self { gate: Some(gate), ..self }
    }

    fn should_be(self, goal: f64) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// Prints a line, for people and for the report; whether it passes the gate.
    fn told(&self) -> bool {
        let passes = self.gate.is_none_or(|gate| self.counted <= gate);
        let limit = |limit: Option<f64>| limit.map_or("-".to_owned(), |limit| format!("{limit:.2}"));
        let word = if passes { "passes" } else { "FAILS" };
        println!("{}\t{:.2}\t{}\t{}\t{word}", self.what, self.counted, limit(self.gate), limit(self.goal));
        passes
    }
}

/// Prints all; whether every one passes.
fn told(counts: &[Count]) -> bool {
    counts.iter().filter(|one| !one.told()).count() == 0
}

/// A system whose clock goes on only when there is nothing to do.
fn system() -> SystemRunner {
    System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
    })
}

fn way(name: &str) -> Option<Way> {
    Some(match name {
        "store" => Way::Store,
        "bare" => Way::Bare,
        "cache" => Way::Cache,
        "accessory" => Way::Accessory,
        _ => return None,
    })
}

/// No background reads from now on, or they would be counted too.
async fn quiet(house: &House) {
    let mut poller = Outlet::new(house.app.poller.clone().recipient());
    assert!(tell(&mut poller, StopPolling), "the poller has room");
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Reads accessories of a crowd, one after the other, from one end of the house to the other.
async fn hits(crowd: &Crowd, count: usize) {
    let accessories = &crowd.app.accessories;
    for at in 0..count {
        let get = GetState { max_age: Want::Known };
        let answer = ask(&accessories[at * 7919 % accessories.len()], get, WITHIN).await;
        assert!(answer.is_ok(), "a read failed");
    }
}

/// Does so many pieces of this work and nothing else.
async fn work(name: &str, count: usize) -> bool {
    if let Some(way) = way(name) {
        let house = House::warm().await;
        quiet(&house).await;
        house.in_a_row(way, count).await;
        return true;
    }
    if let Some(modules) = name.strip_prefix("crowd") {
        let crowd = Crowd::start(modules.parse().unwrap(), Furnished::Accessories).await;
        hits(&crowd, count).await;
        return true;
    }
    match name {
        "codec" => decoded(count) > 0,
        "store held" => say_resident(crowd::store(count)),
        "control held" => say_resident(crowd::control(count)),
        _ => false,
    }
}

/// Reads so many telegrams. The same ones over and over: making them is no part of it.
fn decoded(count: usize) -> usize {
    let made = corpus::telegrams(MADE);
    let mut decoder = corpus::Decoder::new();
    (0..count / MADE).map(|_| decoder.decode(&made)).sum()
}

fn run(name: &str, count: usize) -> bool {
    let name = name.to_owned();
    system().block_on(async move { actix_rt::spawn(async move { work(&name, count).await }).await.unwrap() })
}

/// What one more piece takes: the difference of two lengths, so that what comes before does not count.
fn for_one(count: usize, measure: impl Fn(usize) -> i64) -> f64 {
    let (short, long) = (measure(count), measure(2 * count));
    (long - short) as f64 / count as f64
}

/// No read takes more memory than the sends that carry it: one to the cache, two through an accessory.
fn allocations() -> bool {
    let of = |name: &str| {
        for_one(READS as usize, |count| {
            allocation_counter::measure(|| assert!(run(name, count))).count_total.try_into().unwrap()
        })
    };
    let bare = of("bare");
    told(&[
        Count::new("a bare actix send, allocations", bare),
        Count::new("a hit of the store without a message, allocations", of("store")).at_most(MOOD),
        Count::new("a hit of the cache, allocations beyond a bare send", of("cache") - bare).at_most(MOOD),
        // One is the context's own, for a future that an actor waits for.
        Count::new(
            "a hit of accessory and cache, allocations beyond two bare sends",
            of("accessory") - 2.0 * bare,
        )
        .at_most(1.0 + MOOD),
    ])
}

/// What still lives when this has been built.
fn held<T>(build: impl FnOnce() -> T) -> i64 {
    let mut kept = None;
    let counted = allocation_counter::measure(|| kept = Some(build()));
    drop(kept);
    counted.bytes_current
}

/// Bytes of memory that a program of its own has when it has built this: those that the allocator took for it. The
/// middle of some runs, because where the kernel puts the heap moves a page or two.
fn resident(name: &str, modules: usize) -> i64 {
    let run = |_| {
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let said = alone.args(["work", name, &modules.to_string()]).output().unwrap().stdout;
        String::from_utf8(said).unwrap().trim().parse().unwrap()
    };
    let mut runs: Vec<i64> = (0..9).map(run).collect();
    runs.sort_unstable();
    runs[runs.len() / 2]
}

/// Says how much memory this program has, with what is kept.
fn say_resident<T>(kept: T) -> bool {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    println!("{}", pages * 4096);
    drop(kept);
    true
}

/// Bytes that a house of so many modules lives on.
fn held_by(modules: usize, furnished: Furnished) -> i64 {
    let system = system();
    let start =
        || system.block_on(async move { actix_rt::spawn(Crowd::start(modules, furnished)).await.unwrap() });
    held(start)
}

/// An actor that holds nothing and knows nobody.
struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

/// Bytes that so many of them live on, each known by one address.
fn held_by_nobodies(count: usize) -> i64 {
    let system = system();
    held(|| system.block_on(async move { (0..count).map(|_| Nobody.start()).collect::<Vec<_>>() }))
}

/// What an entry costs, and a module of four outputs.
fn bytes() -> bool {
    let outputs = f64::from(OUTPUTS);
    let control = for_one(HELD_RESIDENT, |modules| resident("control held", modules)) / outputs;
    let entry = for_one(HELD_RESIDENT, |modules| resident("store held", modules)) / outputs;
    let asked = for_one(HELD, |modules| held(|| crowd::store(modules))) / outputs;
    let fences = for_one(HELD, |modules| held(|| crowd::unknown(modules))) / outputs;
    let switches = outputs * size_of::<Switch>() as f64;
    let fields = outputs * size_of::<Accessory>() as f64;
    let nobody = for_one(HELD, held_by_nobodies);
    let alone = for_one(HELD, |modules| held_by(modules, Furnished::Modules));
    let whole = for_one(HELD, |modules| held_by(modules, Furnished::Accessories));
    told(&[
        Count::new("an entry of one `LruCache`, key 16 and value 32, resident bytes", control),
        Count::new("P5: an output in the store, its share of the module included, resident bytes", entry)
            .at_most(ENTRY_GOAL)
            .should_be(ENTRY_GOAL),
        Count::new("P5: the same to the entry of the `LruCache`", entry / control)
            .at_most(ENTRY_RATIO_GOAL)
            .should_be(ENTRY_RATIO_GOAL),
        Count::new("of it bytes that are asked for", asked),
        Count::new(
            "of them the fences and the share of the module, which no eviction forgets, bytes",
            fences,
        ),
        Count::new(
            "P5: state of a module of four outputs, in the store and in four switches, bytes",
            outputs * asked + switches,
        )
        .at_most(MODULE_GOAL)
        .should_be(MODULE_GOAL),
        Count::new("of it in the store, bytes", outputs * asked),
        Count::new("of it in the switches, bytes", switches),
        Count::new(
            "all that a module of four outputs and its accessories add to a house, bytes",
            whole - alone,
        )
        .at_most(7_000.0),
        Count::new("of it what four actors of actix take that hold nothing, bytes", outputs * nobody),
        Count::new("of it the fields of four accessories beside their switches, bytes", fields - switches),
        Count::new("a module without accessories, in all actors, bytes", alone),
    ])
}

/// The instructions of one piece of each work, as callgrind counts them.
fn instructions() -> bool {
    let of = |name: &str, count: u32| for_one(count as usize, |count| counted(name, count));
    let mut counts: Vec<Count> = WORK
        .into_iter()
        .map(|(name, what, count, gate)| {
            let counted = Count::new(&format!("{what}, instructions"), of(name, count));
            Count { gate, ..counted }
        })
        .collect();
    let (small, large) = (of("crowd10", 10_000), of(&format!("crowd{LARGE}"), 10_000));
    let what = format!("a hit with {LARGE} modules to one with 10, instructions ({large:.0} and {small:.0})");
    counts.push(Count::new(&what, large / small).at_most(GROWTH).should_be(GROWTH));
    told(&counts)
}

fn counted(name: &str, count: usize) -> i64 {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{name}.{count}"));
    let ended = Command::new("valgrind")
        .args(["--tool=callgrind", "--error-exitcode=9"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["work", name, &count.to_string()])
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let text = std::fs::read_to_string(&out).unwrap();
    let totals =
        text.lines().find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")));
    totals.unwrap().trim().parse().unwrap()
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let holds = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["work", name, count] => run(name, count.parse().unwrap()),
        ["allocations"] => allocations(),
        ["bytes"] => bytes(),
        ["instructions"] => instructions(),
        // All, however one ends.
        _ => allocations() & bytes() & instructions(),
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
