//! Counts that do not depend on the machine's mood, and the gate on them.
//!
//! `cargo bench --bench counts -- allocations` prints what a read of each way allocates and fails above a bare
//! send's. `-- instructions` runs this program under callgrind with two lengths of each piece of work, prints the
//! difference for one piece, and fails above its bar; it wants `valgrind` in the path.
#![allow(clippy::print_stdout, reason = "the table is what a bench is for")]
#![allow(clippy::unwrap_used, reason = "a bench whose house cannot be built has failed")]

#[path = "report/corpus.rs"]
mod corpus;
mod house;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use actix::System;
use conbusd::actors::events::StopPolling;
use conbusd::actors::{Outlet, tell};

use house::{House, Way};

/// Pieces of work whose instructions are counted: name, how many in a run, and the most that one may take.
const WORK: [(&str, u32, f64); 5] = [
    ("bare", 10_000, f64::INFINITY),
    ("cache", 10_000, 3_500.0),
    ("accessory", 10_000, 7_000.0),
    ("store", 10_000, 400.0),
    ("codec", 20_000, 1_000.0),
];

/// Reads whose allocations are counted.
const READS: u32 = 50_000;

/// What the timers of a house that lives take beside a read.
const MOOD: f64 = 0.1;

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

/// Does so many pieces of this work and nothing else.
async fn work(name: &str, count: usize) -> bool {
    if let Some(way) = way(name) {
        let house = House::warm().await;
        quiet(&house).await;
        house.in_a_row(way, count).await;
        return true;
    }
    name == "codec" && corpus::decode(&corpus::telegrams(count)) > 0
}

fn run(name: &str, count: usize) -> bool {
    let name = name.to_owned();
    System::new()
        .block_on(async move { actix_rt::spawn(async move { work(&name, count).await }).await.unwrap() })
}

/// What one more piece takes: the difference of two lengths, so that what comes before does not count.
fn for_one(count: u32, measure: impl Fn(usize) -> u64) -> f64 {
    let (short, long) = (measure(count as usize), measure(2 * count as usize));
    long.saturating_sub(short) as f64 / f64::from(count)
}

/// No read takes more memory than the sends that carry it: one to the cache, two through an accessory.
fn allocations() -> bool {
    let of = |name: &str| {
        for_one(READS, |count| allocation_counter::measure(|| assert!(run(name, count))).count_total)
    };
    let bare = of("bare");
    let mut holds = true;
    println!("{:10} {:>12} {:>8}", "work", "allocations", "bar");
    for (name, sends) in [("bare", 1.0), ("store", 0.0), ("cache", 1.0), ("accessory", 2.0)] {
        let (taken, bar) = (of(name), bare * sends + MOOD);
        holds &= taken <= bar;
        println!("{name:10} {taken:>12.2} {bar:>8.2}{}", if taken <= bar { "" } else { "  MISSED" });
    }
    holds
}

/// The instructions of one piece of each work, as callgrind counts them.
fn instructions() -> bool {
    let mut holds = true;
    println!("{:10} {:>12} {:>8}", "work", "instructions", "bar");
    for (name, count, bar) in WORK {
        let taken = for_one(count, |count| counted(name, count));
        holds &= taken <= bar;
        println!("{name:10} {taken:>12.0} {bar:>8.0}{}", if taken <= bar { "" } else { "  MISSED" });
    }
    holds
}

fn counted(name: &str, count: usize) -> u64 {
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
        ["instructions"] => instructions(),
        // Both, however one ends.
        _ => allocations() & instructions(),
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
