//! Claims about what is known, how far it can be trusted, and what is asked for.

mod histories;
mod reloads;
mod restarts;
mod unread;

use std::num::NonZeroUsize;
use std::time::Duration;

use super::*;
use crate::conbus::{OutputIndex, Percent};
use crate::policy::settle::{Asked, Settle};

const GATEWAY: GatewayId = GatewayId(0);

fn ms(ms: u64) -> Moment {
    Moment::after_start(Duration::from_millis(ms))
}

fn serial(n: u8) -> SerialNumber {
    format!("00123450{n:02}").parse().unwrap()
}

fn point(module: u8, output: u8) -> Point {
    Point { serial: serial(module), output: OutputIndex::new(output).unwrap() }
}

/// A store with a relay module 1 and a dimmer 2, and what it asked to be done.
struct Bench {
    store: Store,
    effects: Vec<Effect>,
    seq: u64,
}

impl Bench {
    fn with(change: impl FnOnce(&mut StorePlan)) -> Self {
        let mut plan = StorePlan {
            enabled: true,
            ttl: Duration::from_secs(30),
            max_entries: NonZeroUsize::new(1000).unwrap(),
            max_waiters: StorePlan::WAITERS_MAX,
            patience: StorePlan::PATIENCE,
            settle: Settle::default(),
        };
        change(&mut plan);
        let module =
            |n, outputs, dimmable| ModulePlan { serial: serial(n), gateway: GATEWAY, outputs, dimmable };
        Self { store: Store::new(plan, [module(1, 4, false), module(2, 3, true)]), effects: vec![], seq: 0 }
    }

    fn up() -> Self {
        let mut bench = Self::with(|_| {});
        bench.store.link_changed(GATEWAY, true, ms(0), &mut bench.effects);
        bench
    }

    fn read(&mut self, point: Point, want: Want, now: u64) -> Outcome {
        self.store.read(point, want, Urgency::Reader, ms(now), &mut self.effects)
    }

    fn later(&mut self, point: Point, want: Want, now: u64) -> Token {
        match self.read(point, want, now) {
            Outcome::Later(token) => token,
            Outcome::Now(answer) => panic!("answered at once: {answer:?}"),
        }
    }

    fn now(&mut self, point: Point, want: Want, now: u64) -> Reading {
        match self.read(point, want, now) {
            Outcome::Now(answer) => answer.unwrap(),
            Outcome::Later(_) => panic!("has to wait"),
        }
    }

    fn see(&mut self, point: Point, value: PointValue, basis: Basis, at: u64) {
        self.seq += 1;
        let seen = Observation { point, value, basis, seq: self.seq, at: ms(at), not_before: ms(at) };
        self.store.observed(seen, &mut self.effects);
    }

    /// The same, read at `at` and perhaps unread since `since`.
    fn see_late(&mut self, on: bool, basis: Basis, (since, at): (u64, u64)) {
        self.seq += 1;
        let (point, value) = (point(1, 0), PointValue::On(on));
        let seen = Observation { point, value, basis, seq: self.seq, at: ms(at), not_before: ms(since) };
        self.store.observed(seen, &mut self.effects);
    }

    fn report(&mut self, point: Point, on: bool, at: u64) {
        self.see(point, PointValue::On(on), Basis::Report, at);
    }

    /// A whole exchange: written at `asked`, answered at `at` with these states of module 1.
    fn answer(&mut self, states: [bool; 4], asked: u64, at: u64) {
        self.seq += 1;
        let asked = Some(Asked { seq: self.seq, at: ms(asked) });
        for (output, on) in (0..).zip(states) {
            self.see(point(1, output), PointValue::On(on), Basis::Reply { asked }, at);
        }
        self.store.fetch_ended(serial(1), Aspect::Switch, Ok(()), ms(at), &mut self.effects);
    }

    fn level(&mut self, output: u8, level: u8, asked: u64, at: u64) {
        self.seq += 1;
        let asked = Some(Asked { seq: self.seq, at: ms(asked) });
        let value = PointValue::Level(Percent::new(level).unwrap());
        self.see(point(2, output), value, Basis::Reply { asked }, at);
    }

    fn due(&mut self, now: u64) {
        self.store.due(ms(now), &mut self.effects);
    }

    fn fetches(&mut self) -> Vec<(u8, Aspect)> {
        let fetched = self.effects.iter().filter_map(|effect| match effect {
            Effect::Fetch { serial: of, aspect, .. } => Some((if *of == serial(1) { 1 } else { 2 }, *aspect)),
            _ => None,
        });
        let fetched = fetched.collect();
        self.effects.retain(|effect| !matches!(effect, Effect::Fetch { .. }));
        fetched
    }

    fn answers(&mut self) -> Vec<(Token, Result<Reading, BusError>)> {
        let answered = self.effects.iter().filter_map(|effect| match effect {
            Effect::Answer { token, outcome } => Some((*token, *outcome)),
            _ => None,
        });
        let answered = answered.collect();
        self.effects.retain(|effect| !matches!(effect, Effect::Answer { .. }));
        answered
    }
}

#[test]
fn four_readers_of_one_cold_module_cost_one_fetch() {
    let mut bench = Bench::up();
    let tokens: Vec<Token> =
        (0..4).map(|n| bench.later(point(1, n), Want::Known, 1000 + u64::from(n))).collect();
    assert_eq!(bench.fetches(), [(1, Aspect::Switch)]);
    bench.answer([true, false, true, false], 1010, 1060);
    let answers = bench.answers();
    assert_eq!(answers.iter().map(|(token, _)| *token).collect::<Vec<_>>(), tokens);
    let on: Vec<_> = answers.iter().map(|(_, reading)| reading.unwrap().on.unwrap()).collect();
    assert_eq!(on, [true, false, true, false]);
    assert_eq!(bench.fetches(), []);
    assert_eq!(bench.store.waiting(), 0);
}

#[test]
fn a_value_is_fresh_for_the_ttl_counted_from_the_query_then_stale_and_asked_for_behind() {
    let mut bench = Bench::up();
    bench.answer([true; 4], 1000, 1060);
    assert_eq!(bench.now(point(1, 0), Want::Known, 31_000).freshness, Freshness::Fresh);
    assert_eq!(bench.fetches(), []);
    let reading = bench.now(point(1, 0), Want::Known, 31_001);
    assert_eq!((reading.freshness, reading.on), (Freshness::Stale, Some(true)));
    assert_eq!(bench.fetches(), [(1, Aspect::Switch)]);
    bench.effects.clear();
    bench.due(31_001);
    assert_eq!(bench.store.counters().expirations, 4);
    assert_eq!(bench.effects.len(), 4, "growing stale is told: {:?}", bench.effects);
}

#[test]
fn each_output_of_a_module_grows_stale_once_and_at_its_own_time() {
    let mut bench = Bench::up();
    for output in 0..4 {
        bench.report(point(1, output), true, 1_000 * u64::from(output));
    }
    bench.report(point(1, 1), false, 10_000);
    bench.store.news_lost(GATEWAY, ms(10_500), &mut bench.effects);
    bench.report(point(1, 0), true, 11_000);
    bench.report(point(1, 3), true, 12_000);
    bench.report(point(1, 2), true, 13_000);
    bench.report(point(1, 3), true, 14_000);
    let mut told = Vec::new();
    while let Some(at) = bench.store.next_due().filter(|at| *at < ms(200_000)) {
        bench.effects.clear();
        bench.store.due(at, &mut bench.effects);
        told.extend(bench.effects.iter().filter_map(|effect| match effect {
            Effect::Changed { point, reading } => {
                assert_eq!(reading.freshness, Freshness::Stale);
                Some((point.output.get(), at.since(ms(0)).as_millis()))
            }
            _ => None,
        }));
    }
    assert_eq!(told, [(0, 41_000), (2, 43_000), (3, 44_000)], "what was not vouched for is told already");
    assert_eq!(bench.store.counters().expirations, 3);
}

#[test]
fn a_poll_that_was_asked_before_a_report_does_not_undo_it() {
    let mut bench = Bench::up();
    bench.answer([false; 4], 1000, 1060);
    bench.now(point(1, 0), Want::Any, 40_000);
    assert_eq!(bench.fetches(), [(1, Aspect::Switch)]);
    bench.report(point(1, 0), true, 40_030);
    bench.seq = 0; // the query below was numbered before the report
    bench.answer([false, true, false, false], 40_010, 40_060);
    assert_eq!(bench.now(point(1, 0), Want::Any, 40_070).on, Some(true));
    assert_eq!(bench.now(point(1, 1), Want::Any, 40_070).on, Some(true), "its neighbour takes the reply");
    assert_eq!(bench.store.counters().updates_refused, 1);
    assert_eq!(bench.fetches(), []);
    bench.due(40_159);
    assert_eq!(bench.fetches(), [], "its duplicate may follow");
    bench.due(40_160);
    assert_eq!(bench.fetches(), [(1, Aspect::Switch)], "asked again behind the fence");
}

#[test]
fn a_strict_reader_is_not_served_by_a_query_written_before_it_came() {
    let mut bench = Bench::up();
    bench.later(point(1, 0), Want::Known, 1000);
    let strict = bench.later(point(1, 0), Want::Since(ms(1030)), 1030);
    assert_eq!(bench.fetches(), [(1, Aspect::Switch)]);
    bench.answer([true; 4], 1010, 1060);
    assert_eq!(bench.answers().len(), 1);
    assert_eq!(bench.fetches(), [(1, Aspect::Switch)], "a second query for the strict one");
    bench.answer([true; 4], 1080, 1130);
    let answers = bench.answers();
    assert_eq!((answers.len(), answers[0].0), (1, strict));
    assert_eq!(answers[0].1.unwrap().freshness, Freshness::Fresh);
}

#[test]
fn a_strict_reader_is_served_by_a_report() {
    let mut bench = Bench::up();
    let strict = bench.later(point(1, 2), Want::Since(ms(1000)), 1000);
    bench.report(point(1, 2), true, 1020);
    let answers = bench.answers();
    assert_eq!((answers[0].0, answers[0].1.unwrap().on), (strict, Some(true)));
}

#[test]
fn a_strict_reader_whose_reply_cannot_settle_gets_what_is_known_as_stale() {
    let mut bench = Bench::up();
    bench.report(point(1, 0), true, 1000);
    let strict = bench.later(point(1, 0), Want::Since(ms(1050)), 1050);
    bench.due(1100);
    assert_eq!(bench.fetches(), [(1, Aspect::Switch)], "not before the fence has passed");
    bench.store.doubtful(point(1, 0), Aspect::Switch, ms(1110));
    bench.answer([false; 4], 1100, 1150);
    let answers = bench.answers();
    assert_eq!(answers[0].0, strict);
    let reading = answers[0].1.unwrap();
    assert_eq!((reading.on, reading.freshness), (Some(true), Freshness::Stale));
}

#[test]
fn a_lost_link_makes_reads_stale_not_wrong_and_unknown_ones_fail_at_once() {
    let mut bench = Bench::up();
    bench.answer([true; 4], 1000, 1060);
    let waiting = bench.later(point(2, 0), Want::Known, 2000);
    bench.store.link_changed(GATEWAY, false, ms(2010), &mut bench.effects);
    assert_eq!(bench.answers(), [(waiting, Err(BusError::LinkDown))]);
    let reading = bench.now(point(1, 0), Want::Known, 2020);
    assert_eq!((reading.on, reading.freshness), (Some(true), Freshness::Stale));
    assert_eq!(reading.observed_at, Some(ms(1000)));
    assert_eq!(bench.read(point(2, 0), Want::Known, 2020), Outcome::Now(Err(BusError::LinkDown)));
    assert_eq!(bench.read(point(1, 0), Want::Since(ms(0)), 2020), Outcome::Now(Err(BusError::LinkDown)));
    bench.store.link_changed(GATEWAY, true, ms(3000), &mut bench.effects);
    assert_eq!(bench.now(point(1, 0), Want::Known, 3001).freshness, Freshness::Stale, "until observed again");
    bench.answer([true; 4], 3010, 3060);
    assert_eq!(bench.now(point(1, 0), Want::Known, 3070).freshness, Freshness::Fresh);
}

#[test]
fn a_silent_module_gives_its_readers_a_time_out_and_its_values_grow_stale() {
    let mut bench = Bench::up();
    bench.answer([true; 4], 1000, 1060);
    let strict = bench.later(point(1, 0), Want::Since(ms(2000)), 2000);
    bench.store.fetch_ended(serial(1), Aspect::Switch, Err(BusError::TimedOut), ms(2900), &mut bench.effects);
    assert_eq!(bench.answers(), [(strict, Err(BusError::TimedOut))]);
    assert_eq!(bench.now(point(1, 1), Want::Any, 2950).freshness, Freshness::Stale);
}

#[test]
fn a_reader_does_not_wait_longer_than_its_patience() {
    let mut bench = Bench::up();
    let token = bench.later(point(1, 0), Want::Known, 1000);
    bench.due(3999);
    assert_eq!(bench.answers(), []);
    bench.due(4000);
    assert_eq!(bench.answers(), [(token, Err(BusError::TimedOut))]);
}

#[test]
fn a_dimmer_that_is_on_needs_its_level_and_one_that_is_off_does_not() {
    let mut bench = Bench::up();
    let token = bench.later(point(2, 0), Want::Known, 1000);
    assert_eq!(bench.fetches(), [(2, Aspect::Switch), (2, Aspect::Level)]);
    let asked = Some(Asked { seq: 1, at: ms(1010) });
    bench.see(point(2, 0), PointValue::On(true), Basis::Reply { asked }, 1060);
    assert_eq!(bench.answers(), []);
    bench.level(0, 40, 1080, 1130);
    let reading = bench.answers()[0].1.unwrap();
    assert_eq!(bench.store.waiting(), 0);
    assert_eq!(
        (reading.on, reading.level, reading.freshness),
        (Some(true), Percent::new(40), Freshness::Fresh)
    );
    let _ = token;
    bench.report(point(2, 0), false, 2000);
    assert_eq!(bench.now(point(2, 0), Want::Known, 2001).freshness, Freshness::Fresh);
    bench.report(point(2, 0), true, 3000);
    assert_eq!(bench.now(point(2, 0), Want::Any, 3001).freshness, Freshness::Stale, "which level?");
}

#[test]
fn a_relay_that_tells_levels_is_still_a_relay() {
    let mut bench = Bench::up();
    bench.report(point(1, 0), true, 1_000);
    let level = PointValue::Level(Percent::OFF);
    bench.see(point(1, 0), level, Basis::Reply { asked: None }, 5_000);
    bench.answer([true; 4], 60_000, 60_050);
    assert_eq!(bench.now(point(1, 0), Want::Any, 60_100).freshness, Freshness::Fresh);
}

#[test]
fn a_module_without_levels_is_not_asked_for_them_twice() {
    let mut bench = Bench::up();
    bench.later(point(2, 0), Want::Known, 1000);
    let asked = Some(Asked { seq: 1, at: ms(1010) });
    bench.see(point(2, 0), PointValue::On(true), Basis::Reply { asked }, 1060);
    bench.store.fetch_ended(serial(2), Aspect::Switch, Ok(()), ms(1060), &mut bench.effects);
    bench.store.fetch_ended(serial(2), Aspect::Level, Err(BusError::Refused), ms(1130), &mut bench.effects);
    let reading = bench.answers()[0].1.unwrap();
    assert_eq!((reading.on, reading.level, reading.freshness), (Some(true), None, Freshness::Fresh));
    bench.fetches();
    bench.now(point(2, 0), Want::Any, 60_000);
    assert_eq!(bench.fetches(), [(2, Aspect::Switch)]);
    bench.store.fetch_ended(
        serial(2),
        Aspect::Switch,
        Err(BusError::TimedOut),
        ms(60_900),
        &mut bench.effects,
    );
    bench.level(0, 40, 70_000, 70_050);
    bench.now(point(2, 0), Want::Any, 120_000);
    let both = [(2, Aspect::Switch), (2, Aspect::Level)];
    assert_eq!(bench.fetches(), both, "it told a level after all, when somebody else asked");
}

#[test]
fn levels_that_were_refused_count_again_on_the_next_link() {
    let mut bench = Bench::up();
    bench.report(point(2, 0), true, 1000);
    bench.later(point(2, 0), Want::Known, 1000);
    bench.due(1100);
    bench.store.fetch_ended(serial(2), Aspect::Level, Err(BusError::Refused), ms(1130), &mut bench.effects);
    assert_eq!(bench.now(point(2, 0), Want::Any, 1200).freshness, Freshness::Fresh);
    bench.store.link_changed(GATEWAY, false, ms(2000), &mut bench.effects);
    bench.store.link_changed(GATEWAY, true, ms(3000), &mut bench.effects);
    bench.report(point(2, 0), true, 4000);
    assert_eq!(bench.store.peek(point(2, 0), ms(4001)).freshness, Freshness::Unknown, "which level?");
}

#[test]
fn a_module_that_cannot_be_read_still_shows_what_it_reported() {
    let mut bench = Bench::up();
    bench.report(point(1, 0), true, 1000);
    bench.later(point(1, 0), Want::Since(ms(2000)), 2000);
    bench.store.fetch_ended(serial(1), Aspect::Switch, Err(BusError::Refused), ms(2100), &mut bench.effects);
    for want in [Want::Any, Want::Known] {
        let reading = bench.now(point(1, 0), want, 60_000);
        assert_eq!((reading.on, reading.freshness), (Some(true), Freshness::Stale));
    }
    assert_eq!(bench.now(point(1, 1), Want::Any, 60_000), Reading::UNKNOWN);
    assert_eq!(bench.read(point(1, 1), Want::Known, 60_000), Outcome::Now(Err(BusError::Refused)));
}

#[test]
fn a_dimmer_that_a_poll_finds_on_has_its_level_asked() {
    let mut bench = Bench::up();
    bench.report(point(2, 0), true, 1000);
    bench.level(0, 40, 1200, 1260);
    bench.report(point(2, 0), false, 2000);
    bench.fetches();
    bench.due(5000);
    bench.seq += 1;
    let asked = Some(Asked { seq: bench.seq, at: ms(5000) });
    bench.see(point(2, 0), PointValue::On(true), Basis::Reply { asked }, 5060);
    assert_eq!(bench.store.peek(point(2, 0), ms(5061)).freshness, Freshness::Stale, "which level?");
    assert_eq!(bench.fetches(), [(2, Aspect::Level)]);
}

#[test]
fn a_refresh_that_nobody_waits_for_is_less_urgent_than_a_read() {
    let mut bench = Bench::up();
    for (output, want) in [(0, Want::Any), (1, Want::Known)] {
        assert_eq!(
            bench.read(point(1, output), want, 1000) == Outcome::Now(Ok(Reading::UNKNOWN)),
            output == 0
        );
    }
    let urgencies = bench.effects.iter().map(|effect| match effect {
        Effect::Fetch { urgency, .. } | Effect::Hasten { urgency, .. } => *urgency,
        other => panic!("{other:?}"),
    });
    assert_eq!(urgencies.collect::<Vec<_>>(), [Urgency::MuxClient, Urgency::Reader]);
}

#[test]
fn a_reader_hastens_a_poll_that_it_joins() {
    let mut bench = Bench::up();
    bench.store.refresh(point(1, 0), Urgency::Poll, ms(1000), &mut bench.effects);
    assert_eq!(bench.fetches(), [(1, Aspect::Switch)]);
    for _ in 0..4 {
        bench.later(point(1, 0), Want::Known, 1010);
    }
    let hastened = Effect::Hasten {
        gateway: GATEWAY,
        serial: serial(1),
        aspect: Aspect::Switch,
        urgency: Urgency::Reader,
    };
    assert_eq!(bench.effects, [hastened], "once");
}

#[test]
fn a_link_that_comes_up_again_was_down_in_between() {
    let mut bench = Bench::up();
    bench.report(point(1, 0), true, 1000);
    bench.store.link_changed(GATEWAY, true, ms(2000), &mut bench.effects);
    assert_eq!(bench.store.peek(point(1, 0), ms(2000)).freshness, Freshness::Stale);
}

#[test]
fn the_least_recently_read_output_is_forgotten_but_not_its_fence() {
    let mut bench = Bench::with(|plan| plan.max_entries = NonZeroUsize::new(2).unwrap());
    bench.store.link_changed(GATEWAY, true, ms(0), &mut bench.effects);
    bench.report(point(1, 0), true, 1000);
    bench.report(point(1, 1), true, 1001);
    bench.now(point(1, 0), Want::Any, 1002);
    bench.effects.clear();
    bench.report(point(1, 2), true, 1003);
    let told = Effect::Changed { point: point(1, 1), reading: Reading::UNKNOWN };
    assert!(bench.effects.contains(&told), "who shows it must not show it as fresh for ever");
    assert_eq!((bench.store.len(), bench.store.counters().evictions), (2, 1));
    assert_eq!(bench.store.peek(point(1, 1), ms(1004)), Reading::UNKNOWN);
    bench.see(point(1, 1), PointValue::On(false), Basis::Reply { asked: None }, 1050);
    assert_eq!(bench.store.peek(point(1, 1), ms(1051)), Reading::UNKNOWN, "the fence still stands");
}

#[test]
fn a_read_for_which_the_bus_had_no_room_comes_again_in_a_second() {
    let mut bench = Bench::up();
    bench.report(point(2, 0), true, 1000);
    bench.due(1100);
    assert_eq!(bench.fetches(), [(2, Aspect::Level)], "nothing tells the level of a dimmer that went on");
    bench.store.fetch_ended(serial(2), Aspect::Level, Err(BusError::Busy), ms(1101), &mut bench.effects);
    bench.due(2100);
    assert_eq!(bench.fetches(), []);
    bench.due(2101);
    assert_eq!(bench.fetches(), [(2, Aspect::Level)]);
}

#[test]
fn with_the_cache_off_every_read_that_may_wait_goes_to_the_bus() {
    let mut bench = Bench::with(|plan| plan.enabled = false);
    bench.store.link_changed(GATEWAY, true, ms(0), &mut bench.effects);
    bench.answer([true; 4], 1000, 1060);
    bench.later(point(1, 0), Want::Known, 2000);
    assert_eq!(bench.fetches(), [(1, Aspect::Switch)]);
    assert_eq!(bench.now(point(1, 1), Want::Any, 2001).on, Some(true));
}

#[test]
fn outputs_that_no_module_has_are_refused_and_create_nothing() {
    let mut bench = Bench::up();
    for odd in [point(9, 0), point(1, 4), point(2, 3)] {
        assert_eq!(bench.read(odd, Want::Known, 1000), Outcome::Now(Err(BusError::Refused)));
        bench.report(odd, true, 1001);
    }
    assert!(bench.store.is_empty());
    assert_eq!(bench.effects, []);
}
