//! A simulation that nothing can fail proves nothing: each rule is taken away once, and then it must fail.

use std::time::Duration;

use conbusd::app::Rules;
use conbusd::policy::interpret::Attribution;
use conbusd::policy::outbox::OutboxPlan;
use conbusd::policy::settle::Settle;

use crate::court::Promise;
use crate::day::start;
use crate::house::Knobs;

/// How many seeds may be tried until one shows the absence of a rule.
const TRIES: u64 = 12;

/// Looks for a seed that breaks one of these promises when the daemon is built like that.
fn breaks(knobs: &Knobs, promises: &[Promise]) {
    let length = Duration::from_secs(10 * 60);
    for seed in 1..=TRIES {
        let verdicts = start(seed, length, knobs).join().unwrap().verdicts;
        if promises.iter().any(|promise| verdicts.contains_key(promise)) {
            println!("seed {seed}: {verdicts:?}");
            return;
        }
    }
    panic!("{TRIES} seeds without a broken promise");
}

fn with(rules: Rules) -> Knobs {
    Knobs { rules, ..Knobs::default() }
}

#[test]
fn without_the_settling_of_replies_older_values_come_back() {
    let zero = Duration::ZERO;
    let settle = Settle { reply_life: zero, foreign_lag: zero, time_out: zero };
    breaks(&with(Rules { settle, ..Rules::default() }), &[Promise::Monotonic]);
}

#[test]
fn without_the_attribution_of_replies_a_late_one_counts_as_new() {
    let rules = Rules { attribution: Attribution::Newest, ..Rules::default() };
    breaks(&with(rules), &[Promise::Monotonic, Promise::Freshness]);
}

#[test]
fn without_pauses_the_bus_is_flooded() {
    let zero = Duration::ZERO;
    let outbox = OutboxPlan { after_reply: zero, after_event: zero, ..OutboxPlan::default() };
    breaks(&with(Rules { outbox, ..Rules::default() }), &[Promise::Pacing]);
}

#[test]
fn without_a_time_to_live_old_values_stay_fresh() {
    let knobs = Knobs { ttl: Some(Duration::from_secs(3_600)), ..Knobs::default() };
    breaks(&knobs, &[Promise::Expired]);
}

#[test]
fn without_the_bound_on_outputs_the_cache_grows_beyond_it() {
    let knobs = Knobs { max_entries: Some(1_000), ..Knobs::default() };
    breaks(&knobs, &[Promise::Queue]);
}
