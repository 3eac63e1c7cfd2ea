//! A cached read through the actors, beside a bare send and beside no message at all.

use std::time::Duration;

use actix::System;
use conbusd::actors::ask;
use conbusd::actors::events::Observe;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::figures::{Bar, Section, median, number, pair};
use crate::house::{House, Way};
use crate::programs::clock;

/// P1: what the cache may cost, in bare sends.
const CACHE_BAR: f64 = 1.5;

/// P2: reads a second come to 0.7 of those of a bare send, one after the other and 64 at once.
const RATE_BAR: f64 = 1.0 / 0.7;

/// What accessory and cache may cost together: two sends, and half a one for what they do.
const ACCESSORY_BAR: f64 = 2.5;

/// Rounds. Odd: the median is one of them.
const ROUNDS: usize = 601;

/// Rounds before the first that counts.
const ROUNDS_UNTIMED: usize = 40;

/// Reads of each way in one round, one after the other.
const IN_A_ROW: usize = 192;

/// Reads that wait at the same time.
const AT_ONCE: usize = 64;

/// How often so many wait in one round.
const WAVES: usize = 3;

/// How reads follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    InARow,
    AtOnce,
}

/// What is measured: a way, how reads follow each other, what it is called, and what it may cost in bare sends by
/// which bar.
type Measured = (Way, Pace, &'static str, Option<(&'static str, f64)>);

const MEASURED: [Measured; 7] = [
    (Way::Store, Pace::InARow, "store, no message", None),
    (Way::Bare, Pace::InARow, "bare actix send", None),
    (Way::Cache, Pace::InARow, "cache", Some(("P1", CACHE_BAR))),
    (Way::Accessory, Pace::InARow, "accessory and cache", Some(("P1", ACCESSORY_BAR))),
    (Way::Bare, Pace::AtOnce, "bare actix send, 64 at once", None),
    (Way::Cache, Pace::AtOnce, "cache, 64 at once", Some(("P2", RATE_BAR))),
    (Way::Accessory, Pace::AtOnce, "accessory and cache, 64 at once", Some(("P1", ACCESSORY_BAR))),
];

/// The times of everything measured: `[measured][round]`, in nanoseconds a read.
type Times = [Vec<f64>; MEASURED.len()];

impl House {
    async fn time(&self, way: Way, pace: Pace) -> f64 {
        let begun = clock();
        let reads = match pace {
            Pace::InARow => {
                self.in_a_row(way, IN_A_ROW).await;
                IN_A_ROW
            }
            Pace::AtOnce => {
                for wave in 0..WAVES {
                    self.wave(way, wave * AT_ONCE).await;
                }
                WAVES * AT_ONCE
            }
        };
        begun.elapsed().as_secs_f64() * 1e9 / reads as f64
    }

    async fn wave(&self, way: Way, from: usize) {
        let asked = from..from + AT_ONCE;
        match way {
            Way::Bare => all(asked.map(|at| self.bare(at))).await,
            Way::Cache => all(asked.map(|at| self.cache(at))).await,
            Way::Accessory => all(asked.map(|at| self.accessory(at))).await,
            Way::Store => unreachable!("a call cannot wait"),
        }
    }

    async fn hits(&self) -> u64 {
        let seen = ask(&self.app.cache, Observe, Duration::from_secs(4)).await.unwrap();
        seen["hits_total"].as_u64().unwrap()
    }
}

/// Waits for all answers at once, as one door with many clients.
async fn all<T, E>(answers: impl Iterator<Item = impl Future<Output = Result<T, E>>>) {
    let mut answers: FuturesUnordered<_> = answers.collect();
    while let Some(answered) = answers.next().await {
        assert!(answered.is_ok(), "a read failed");
    }
}

/// Times every way in every round, each round beginning with another; all of them led to a warm cache.
async fn measure() -> Times {
    let house = House::warm().await;
    let before = house.hits().await;
    let mut times = Times::default();
    for round in 0..ROUNDS_UNTIMED + ROUNDS {
        for turn in 0..MEASURED.len() {
            let at = (round + turn) % MEASURED.len();
            let (way, pace, ..) = MEASURED[at];
            let time = house.time(way, pace).await;
            if round >= ROUNDS_UNTIMED {
                times[at].push(time);
            }
        }
    }
    let hits = house.hits().await - before;
    // Two ways lead to the cache in a row, two at once.
    let reads = (ROUNDS_UNTIMED + ROUNDS) * 2 * (IN_A_ROW + WAVES * AT_ONCE);
    assert!(hits >= reads as u64, "{reads} reads were {hits} hits: this was not a warm cache");
    times
}

/// Where the bare send of this pace stands.
fn control(pace: Pace) -> usize {
    let is_control = |one: &Measured| one.0 == Way::Bare && one.1 == pace;
    MEASURED.iter().position(is_control).unwrap()
}

pub(crate) fn section() -> Section {
    let times = System::new().block_on(async { actix_rt::spawn(measure()).await.unwrap() });
    let mut section = Section::new("1. A cached read through the actors");
    section.say(format!(
        "A warm house of 24 outputs, everything on one arbiter; {ROUNDS} rounds of each way by turns. The floor is a \
         bare actix `send` of a message of the same size, with the same deadline around it, to an actor that holds a \
         map and nothing else."
    ));
    let mut rows = Vec::new();
    for (at, (way, pace, title, bar)) in MEASURED.into_iter().enumerate() {
        let ratio = pair(&times[at], &times[control(pace)]).ratio;
        let mut judge = |name: &str, bar: f64| {
            let what = format!("{name}: {title}, to the bare send");
            format!("{name} {}", section.judge(&what, Bar::AtMost(bar), ratio))
        };
        let mut verdict = bar.map_or(String::new(), |(name, bar)| judge(name, bar));
        if (way, pace) == (Way::Cache, Pace::InARow) {
            verdict = format!("{verdict}, {}", judge("P2", RATE_BAR));
        }
        let middle = median(times[at].iter().copied());
        let direct = pair(&times[at], &times[0]).ratio;
        rows.push(vec![
            title.to_owned(),
            number(middle),
            number(1000.0 / middle),
            number(ratio),
            number(direct),
            verdict,
        ]);
    }
    section.table(
        &["way", "ns a read", "million reads/s", "to the bare send", "to a direct call", "bar"],
        &rows,
    );
    section
}
