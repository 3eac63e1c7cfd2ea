//! Counts that do not depend on the machine's mood, and the gate on them: instructions, allocations, bytes.
//!
//! `cargo bench --profile counts --bench counts` prints a line of each, with its bar, and fails above one; it wants
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

use actix::{System, SystemRunner};
use conbusd::actors::events::{GetState, StopPolling};
use conbusd::actors::{Outlet, ask, tell};
use conbusd::policy::store::Want;

use crowd::{Crowd, Furnished, OUTPUTS};
use house::{House, WITHIN, Way};

/// Pieces of work whose instructions are counted: name, what it is, how many in a run, and the most that one may take.
const WORK: [(&str, &str, u32, f64); 5] = [
    ("bare", "a bare actix send", 10_000, f64::INFINITY),
    ("cache", "a hit of the cache (P1)", 10_000, 3_500.0),
    ("accessory", "a hit of accessory and cache", 10_000, 7_000.0),
    ("store", "a hit of the store without a message", 10_000, 400.0),
    ("codec", "a telegram, bytes to facts", 20_000, 1_000.0),
];

/// Modules of the large house, and how much more a hit may take in it than in one of ten.
const LARGE: usize = 10_000;
const GROWTH: f64 = 1.02;

/// Reads whose allocations are counted.
const READS: u32 = 20_000;

/// What the timers of a house that lives take beside a read.
const MOOD: f64 = 0.02;

/// Modules of the smaller house whose memory is counted; the larger has twice as many.
const HELD: usize = 1_250;

/// Bytes of an entry: in 10,000 of them at most 1.6 MB, and half as much again as the control (P5).
const ENTRY_BYTES: f64 = 160.0;
const ENTRY_RATIO: f64 = 1.5;

/// Bytes of cache and accessories for a module of four outputs: the goal (issue text: 1 KB).
const MODULE_BYTES: f64 = 1_024.0;

/// Prints a line, for people and for the report; whether the bar holds.
fn line(what: &str, counted: f64, bar: f64) -> bool {
    let holds = counted <= bar;
    let bar = if bar.is_finite() { format!("{bar:.2}") } else { "-".to_owned() };
    println!("{what}\t{counted:.2}\t{bar}\t{}", if holds { "holds" } else { "MISSED" });
    holds
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
    name == "codec" && corpus::decode(&corpus::telegrams(count)) > 0
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
    line("a bare actix send, allocations", bare, f64::INFINITY)
        & line("a hit of the store without a message, allocations", of("store"), MOOD)
        & line("a hit of the cache, allocations beyond a bare send", of("cache") - bare, MOOD)
        & line(
            "a hit of accessory and cache, allocations beyond two bare sends",
            of("accessory") - 2.0 * bare,
            MOOD,
        )
}

/// What still lives when this has been built.
fn held<T>(build: impl FnOnce() -> T) -> i64 {
    let mut kept = None;
    let counted = allocation_counter::measure(|| kept = Some(build()));
    drop(kept);
    counted.bytes_current
}

/// Bytes that a house of so many modules lives on.
fn held_by(modules: usize, furnished: Furnished) -> i64 {
    let system = system();
    let start =
        || system.block_on(async move { actix_rt::spawn(Crowd::start(modules, furnished)).await.unwrap() });
    held(start)
}

/// What an entry costs, and a module of four outputs.
fn bytes() -> bool {
    let outputs = f64::from(OUTPUTS);
    let control = for_one(HELD, |modules| held(|| crowd::control(modules))) / outputs;
    let entry = for_one(HELD, |modules| held(|| crowd::store(modules))) / outputs;
    let bare = for_one(HELD, |modules| held_by(modules, Furnished::Modules));
    let whole = for_one(HELD, |modules| held_by(modules, Furnished::Accessories));
    line("an output in one `LruCache`, bytes", control, f64::INFINITY)
        & line("an output in the store, its module included, bytes (P5)", entry, ENTRY_BYTES)
        & line("the same to the `LruCache` (P5)", entry / control, ENTRY_RATIO)
        & line("a module alone, in all actors, bytes", bare, f64::INFINITY)
        & line("cache and accessories of a module of four outputs, bytes", whole - bare, MODULE_BYTES)
}

/// The instructions of one piece of each work, as callgrind counts them.
fn instructions() -> bool {
    let of = |name: &str, count: u32| for_one(count as usize, |count| counted(name, count));
    let mut holds = true;
    for (name, what, count, bar) in WORK {
        holds &= line(&format!("{what}, instructions"), of(name, count), bar);
    }
    let (small, large) = (of("crowd10", 10_000), of(&format!("crowd{LARGE}"), 10_000));
    let what = format!("a hit with {LARGE} modules to one with 10, instructions ({large:.0} and {small:.0})");
    holds & line(&what, large / small, GROWTH)
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
