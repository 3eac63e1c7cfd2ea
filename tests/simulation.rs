//! Whole days of a house out of one seed each: the daemon's own actors on virtual time, the emulated house, and
//! everything that can go wrong, judged at every step against the truth.
//!
//! A soak:
//! `SIMULATION_RUNS=200 SIMULATION_MINUTES=1440 cargo test --release --test simulation soak -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a failed test is the only reader")]
#![allow(clippy::print_stdout, reason = "the figures of a run, for whoever asks with --nocapture")]
#![allow(missing_docs, reason = "tests are named, not documented")]

#[path = "simulation/blows.rs"]
mod blows;
#[path = "simulation/court.rs"]
mod court;
#[path = "simulation/day.rs"]
mod day;
#[path = "simulation/doors.rs"]
mod doors;
#[path = "simulation/guest.rs"]
mod guest;
#[path = "simulation/house.rs"]
mod house;
#[path = "simulation/mutations.rs"]
mod mutations;
#[path = "simulation/pace.rs"]
mod pace;
#[path = "simulation/people.rs"]
mod people;
#[path = "simulation/truth.rs"]
mod truth;
#[path = "simulation/verdicts.rs"]
mod verdicts;
#[path = "simulation/weather.rs"]
mod weather;
#[path = "simulation/wire.rs"]
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use court::Figures;
use day::{Outcome, start};
use house::Knobs;

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// How many of the fresh answers must be held against the truth at least; the others are excused.
const JUDGED_PERCENT_MIN: u64 = 90;

/// What a day of a release may take of a processor, also of a busy one; the bar of an idle one, 45 s, stands in the
/// report.
const DAY_WITHIN: Duration = Duration::from_secs(60);

/// Everything that can go wrong, by the names under which it is counted.
const MISFORTUNES: [&str; 36] = [
    "bad_checksum",
    "bad_reload",
    "black_hole",
    "broken_into",
    "broker_lost",
    "busy",
    "corrupt_state",
    "disconnect",
    "disk_full",
    "doubled",
    "fin",
    "garbage",
    "gateway_down",
    "killed",
    "late_reply",
    "late_report",
    "lost_reply",
    "lost_report",
    "mailbox_full",
    "misaddressed",
    "oversized",
    "refusal",
    "refused",
    "reload",
    "reordered_reply",
    "restart",
    "restarted",
    "rst",
    "rst_mid_frame",
    "silence",
    "split",
    "stall",
    "storm",
    "truncated",
    "unterminated",
    "wall_jump",
];

/// Runs these seeds, two at a time, and fails with every complaint.
fn all_kept(seeds: impl IntoIterator<Item = u64>, length: Duration) -> Vec<Outcome> {
    let seeds: Vec<u64> = seeds.into_iter().collect();
    let two = |pair: &[u64]| {
        let started: Vec<_> = pair.iter().map(|&seed| start(seed, length, &Knobs::default())).collect();
        started.into_iter().map(|run| run.join().unwrap()).collect::<Vec<Outcome>>()
    };
    let outcomes: Vec<Outcome> = seeds.chunks(2).flat_map(two).collect();
    for outcome in &outcomes {
        println!(
            "seed {} trace {:016x} processor {:.1?} {:?} {:?}",
            outcome.seed, outcome.trace, outcome.cpu, outcome.figures, outcome.faults
        );
    }
    let complaints: Vec<String> = outcomes.iter().filter_map(Outcome::complaint).collect();
    assert!(
        complaints.is_empty(),
        "{} runs of {} failed\n{}",
        complaints.len(),
        outcomes.len(),
        complaints.join("\n")
    );
    outcomes
}

#[test]
fn every_promise_is_kept_on_the_fixed_days_and_everything_goes_wrong_once() {
    let outcomes = all_kept((9..=17).chain([24]), minutes(10));
    let counted = |outcome: &Outcome| -> Vec<&'static str> {
        outcome
            .faults
            .iter()
            .chain(&outcome.figures.acts)
            .filter(|(_, count)| **count > 0)
            .map(|(name, _)| *name)
            .collect()
    };
    let struck: BTreeSet<&str> = outcomes.iter().flat_map(counted).collect();
    let missing: Vec<&str> = MISFORTUNES.into_iter().filter(|name| !struck.contains(name)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
    let total = |of: fn(&Figures) -> u64| outcomes.iter().map(|outcome| of(&outcome.figures)).sum::<u64>();
    let (fresh, judged) = (total(|figures| figures.fresh), total(|figures| figures.judged));
    println!("{fresh} fresh answers, {judged} judged, {} excused", fresh - judged);
    assert!(judged * 100 >= fresh * JUDGED_PERCENT_MIN, "{judged} of {fresh} judged");
    assert!(total(|figures| figures.groups) > 0, "no group was judged");
}

#[test]
#[ignore = "long without optimisation; tests/run does it in a release"]
fn every_promise_is_kept_through_a_day_of_twenty_four_hours() {
    let seed = from_environment("SIMULATION_SEED", 1);
    let outcome = all_kept([seed], minutes(24 * 60)).remove(0);
    assert!(outcome.cpu <= DAY_WITHIN, "a day took {:?} of a processor", outcome.cpu);
    let Figures { fresh, judged, .. } = outcome.figures;
    println!("{fresh} fresh answers, {judged} judged, {} excused", fresh - judged);
    assert!(judged * 100 >= fresh * JUDGED_PERCENT_MIN, "{judged} of {fresh} judged");
    assert!(outcome.figures.sent + outcome.figures.heard >= 500_000, "{:?}", outcome.figures);
    assert!(outcome.figures.recoveries >= 100, "{:?}", outcome.figures);
}

#[test]
fn every_promise_is_kept_on_four_days_that_nobody_has_seen() {
    let seed = fastrand::u64(..) >> 16;
    all_kept(seed..seed + 4, minutes(10));
}

#[test]
fn the_same_seed_is_the_same_day_to_the_last_telegram_and_answer() {
    let traces = |seed| {
        let days = [(); 2].map(|()| start(seed, minutes(10), &Knobs::default()));
        days.map(|day| day.join().unwrap().trace)
    };
    let [one, again] = traces(7);
    assert_eq!(one, again);
    let [other, _] = traces(8);
    assert_ne!(one, other);
}

#[test]
#[ignore = "one seed again, by hand: SIMULATION_SEED and SIMULATION_MINUTES"]
fn replay() {
    all_kept([from_environment("SIMULATION_SEED", 1)], minutes(from_environment("SIMULATION_MINUTES", 60)));
}

#[test]
#[ignore = "as long as you like: SIMULATION_RUNS and SIMULATION_MINUTES, from SIMULATION_SEED on"]
fn soak() {
    let first = from_environment("SIMULATION_SEED", fastrand::u64(..) >> 16);
    let runs = from_environment("SIMULATION_RUNS", 20);
    all_kept(first..first + runs, minutes(from_environment("SIMULATION_MINUTES", 60)));
}
