//! Claims about wishes, confirmations and giving up.

use super::*;
use crate::conbus::{OutputIndex, Point};

fn ms(ms: u64) -> Moment {
    Moment::after_start(Duration::from_millis(ms))
}

fn output() -> OutputIndex {
    OutputIndex::new(1).unwrap()
}

fn percent(n: u8) -> Percent {
    Percent::new(n).unwrap()
}

/// On and brightness of an answer.
type Shown = Result<(Option<bool>, Option<u8>), BusError>;

struct Bench {
    switch: Switch,
    effects: Vec<Effect>,
    revision: u64,
}

impl Bench {
    fn of(kind: AccessoryKind, module_dims: bool, stems: bool) -> Self {
        let point = Point { serial: "0012345004".parse().unwrap(), output: output() };
        let stem = |text| stems.then(|| EventSource::parse_stem(text).unwrap());
        let plan = SwitchPlan {
            point,
            kind,
            module_dims,
            on_event: stem("E02L04I01"),
            off_event: stem("E02L04I05"),
        };
        let mut bench = Self { switch: Switch::new(plan), effects: vec![], revision: 0 };
        bench.see(false, None, 0);
        bench.effects.clear();
        bench
    }

    fn relay() -> Self {
        Self::of(AccessoryKind::Light, false, false)
    }

    fn dimmer() -> Self {
        Self::of(AccessoryKind::Dimmer, true, false)
    }

    fn reading(&mut self, on: bool, level: Option<u8>, at: u64) -> Reading {
        self.revision += 1;
        Reading {
            on: Some(on),
            level: level.map(percent),
            freshness: Freshness::Fresh,
            observed_at: Some(ms(at)),
            origin: Some(Origin::Report),
            revision: self.revision,
        }
    }

    fn see(&mut self, on: bool, level: Option<u8>, at: u64) {
        let reading = self.reading(on, level, at);
        self.switch.observed(reading, &mut self.effects);
    }

    fn set(&mut self, target: Target, until: Until, now: u64) -> Asker {
        self.switch.set(target, until, Cause::Client(7), ms(now), &mut self.effects).unwrap()
    }

    fn on(&mut self, on: bool, now: u64) -> Asker {
        self.set(Target { on: Some(on), level: None }, Until::Confirmed, now)
    }

    fn sent(&mut self, outcome: Result<u64, BusError>, now: u64) {
        self.switch.sent(outcome.map(ms), ms(now), &mut self.effects);
    }

    fn verified(&mut self, on: bool, level: Option<u8>, now: u64) {
        let reading = self.reading(on, level, now);
        self.switch.verified(Ok(reading), ms(now), &mut self.effects);
    }

    fn due(&mut self, now: u64) {
        self.switch.due(ms(now), &mut self.effects);
    }

    /// What is to be done, without the telling of changes.
    fn doings(&mut self) -> Vec<Effect> {
        let effects = std::mem::take(&mut self.effects);
        effects.into_iter().filter(|effect| !matches!(effect, Effect::Changed(..))).collect()
    }

    fn answers(&mut self) -> Vec<(Asker, Shown)> {
        let answers = self.doings().into_iter().filter_map(|effect| match effect {
            Effect::Answer(asker, outcome) => {
                Some((asker, outcome.map(|state| (state.on, state.brightness.map(Percent::get)))))
            }
            _ => None,
        });
        answers.collect()
    }
}

#[test]
fn a_command_is_done_when_its_report_is_heard() {
    let mut bench = Bench::relay();
    let asker = bench.on(true, 1000);
    assert_eq!(bench.switch.state().freshness, Freshness::Pending);
    assert_eq!(bench.doings(), [Effect::Send(Command::SetOutput(output(), true))]);
    bench.sent(Ok(1010), 1060);
    assert_eq!(bench.answers(), [], "an acknowledgement is not proof");
    bench.see(true, None, 1110);
    assert_eq!(bench.answers(), [(asker, Ok((Some(true), None)))]);
    assert_eq!(bench.switch.next_due(), None);
}

#[test]
fn a_report_that_overtakes_the_acknowledgement_counts_too() {
    let mut bench = Bench::relay();
    let asker = bench.on(true, 1000);
    bench.see(true, None, 1050);
    bench.sent(Ok(1010), 1060);
    assert_eq!(bench.answers(), [(asker, Ok((Some(true), None)))]);
}

#[test]
fn without_a_report_the_output_is_read() {
    let mut bench = Bench::relay();
    let asker = bench.on(false, 1000);
    bench.sent(Ok(1010), 1060);
    bench.effects.clear();
    bench.due(1209);
    assert_eq!(bench.doings(), []);
    bench.due(1210);
    assert_eq!(bench.doings(), [Effect::Verify(ms(1010))]);
    bench.verified(false, None, 1270);
    assert_eq!(bench.answers(), [(asker, Ok((Some(false), None)))]);
}

#[test]
fn the_newest_wish_replaces_one_that_waits_and_all_get_its_outcome() {
    let mut bench = Bench::dimmer();
    let mut askers = vec![];
    for level in [10, 20, 30, 40, 50] {
        askers.push(bench.set(Target { on: None, level: Some(percent(level)) }, Until::Confirmed, 1000));
    }
    assert_eq!(bench.doings(), [Effect::Send(Command::SetLevel(output(), percent(10)))]);
    bench.sent(Ok(1010), 1060);
    assert_eq!(bench.doings(), [Effect::Send(Command::SetLevel(output(), percent(50)))]);
    bench.see(true, Some(10), 1070);
    assert_eq!(bench.answers(), [], "reports of older wishes do not show");
    assert_eq!(bench.switch.state().brightness, Some(percent(50)));
    bench.sent(Ok(1090), 1140);
    assert_eq!(bench.doings(), [Effect::Verify(ms(1090))]);
    bench.verified(true, Some(50), 1300);
    let answers = bench.answers();
    assert_eq!(answers.iter().map(|(asker, _)| *asker).collect::<Vec<_>>(), askers);
    assert!(answers.iter().all(|(_, outcome)| *outcome == Ok((Some(true), Some(50)))));
}

#[test]
fn an_unacknowledged_command_is_repeated_once_after_a_look() {
    let mut bench = Bench::relay();
    let asker = bench.on(true, 1000);
    bench.effects.clear();
    bench.sent(Err(BusError::TimedOut), 1300);
    assert_eq!(bench.doings(), [Effect::Verify(ms(1300))]);
    bench.verified(false, None, 1400);
    assert_eq!(bench.doings(), [Effect::Send(Command::SetOutput(output(), true))]);
    bench.sent(Err(BusError::TimedOut), 1700);
    assert_eq!(bench.doings(), [Effect::Verify(ms(1700))]);
    bench.verified(false, None, 1800);
    assert_eq!(bench.answers(), [(asker, Err(BusError::TimedOut))]);
}

#[test]
fn an_unacknowledged_command_that_worked_is_not_repeated() {
    let mut bench = Bench::relay();
    let asker = bench.on(true, 1000);
    bench.sent(Err(BusError::TimedOut), 1300);
    bench.effects.clear();
    bench.verified(true, None, 1400);
    assert_eq!(bench.answers(), [(asker, Ok((Some(true), None)))]);
}

#[test]
fn a_wish_that_nothing_confirms_is_dropped_and_the_old_value_is_stale() {
    let mut bench = Bench::relay();
    let asker = bench.on(true, 1000);
    bench.sent(Ok(1010), 1060);
    bench.effects.clear();
    bench.due(5899);
    assert_eq!(bench.answers(), []);
    bench.due(5900);
    assert_eq!(bench.switch.state().on, Some(false));
    assert_eq!(bench.switch.state().freshness, Freshness::Stale);
    let doings = bench.doings();
    assert_eq!(doings, [Effect::Answer(asker, Err(BusError::TimedOut)), Effect::Reread]);
    bench.see(false, None, 6000);
    assert_eq!(bench.switch.state().freshness, Freshness::Fresh);
}

#[test]
fn a_row_of_newer_wishes_does_not_make_the_first_writer_wait_for_ever() {
    let mut bench = Bench::relay();
    let first = bench.on(true, 1_000);
    let second = bench.on(false, 4_000);
    assert_eq!(bench.switch.next_due(), Some(ms(5_900)));
    bench.due(5_900);
    let answers = bench.answers();
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].0, answers[0].1), (first, Err(BusError::TimedOut)));
    assert!(bench.switch.is_pending());
    bench.due(8_900);
    assert_eq!(bench.answers().iter().map(|answer| answer.0).collect::<Vec<_>>(), [second]);
}

#[test]
fn a_dimmer_on_its_way_is_looked_at_again() {
    let mut bench = Bench::dimmer();
    let asker = bench.set(Target { on: None, level: Some(percent(80)) }, Until::Confirmed, 1000);
    bench.sent(Ok(1010), 1060);
    bench.effects.clear();
    bench.verified(true, Some(35), 1200);
    assert_eq!(bench.doings(), []);
    bench.due(1600);
    assert_eq!(bench.doings(), [Effect::Verify(ms(1010))]);
    bench.verified(true, Some(80), 1700);
    assert_eq!(bench.answers(), [(asker, Ok((Some(true), Some(80))))]);
}

#[test]
fn the_rules_of_on_and_brightness() {
    let target = |on, level: Option<u8>| Target { on, level: level.map(percent) };
    for (case, command) in [
        (target(Some(true), None), percent(60)),
        (target(Some(true), Some(40)), percent(40)),
        (target(None, Some(25)), percent(25)),
        (target(None, Some(0)), Percent::OFF),
        (target(Some(true), Some(0)), Percent::OFF),
        (target(Some(false), Some(70)), Percent::OFF),
        (target(Some(false), None), Percent::OFF),
    ] {
        let mut bench = Bench::dimmer();
        bench.see(true, Some(60), 100);
        bench.see(false, Some(0), 200);
        bench.set(case, Until::Confirmed, 1000);
        assert_eq!(bench.doings(), [Effect::Send(Command::SetLevel(output(), command))], "{case:?}");
    }
    let mut fresh = Bench::dimmer();
    fresh.on(true, 1000);
    assert_eq!(fresh.doings(), [Effect::Send(Command::SetLevel(output(), Percent::FULL))]);
}

#[test]
fn a_dimmer_that_is_off_shows_brightness_0() {
    let mut bench = Bench::dimmer();
    bench.see(true, Some(60), 100);
    bench.see(false, Some(60), 200);
    assert_eq!(bench.switch.state().brightness, Some(Percent::OFF));
}

#[test]
fn a_module_that_refuses_is_switched_by_its_event_from_then_on() {
    let mut bench = Bench::of(AccessoryKind::Light, false, true);
    let asker = bench.on(true, 1000);
    bench.effects.clear();
    bench.sent(Err(BusError::Refused), 1050);
    assert_eq!(bench.doings(), [Effect::Press(EventSource::parse_stem("E02L04I01").unwrap())]);
    bench.sent(Ok(1060), 1200);
    assert!(bench.doings().contains(&Effect::Invalidate));
    bench.see(true, None, 1300);
    assert_eq!(bench.answers(), [(asker, Ok((Some(true), None)))]);
    bench.on(false, 2000);
    assert_eq!(bench.doings(), [Effect::Press(EventSource::parse_stem("E02L04I05").unwrap())]);
}

#[test]
fn a_refusal_without_an_event_to_fall_back_on_is_an_answer() {
    let mut bench = Bench::relay();
    let asker = bench.on(true, 1000);
    bench.sent(Err(BusError::Refused), 1050);
    assert_eq!(bench.answers(), [(asker, Err(BusError::Refused))]);
}

#[test]
fn accepted_is_answered_when_the_outbox_took_it() {
    let mut bench = Bench::relay();
    let asker = bench.set(Target { on: Some(true), level: None }, Until::Accepted, 1000);
    bench.switch.taken(&mut bench.effects);
    assert_eq!(bench.answers(), [(asker, Ok((Some(true), None)))]);
    assert!(bench.switch.is_pending());
    bench.sent(Ok(1010), 1060);
    bench.see(true, None, 1110);
    assert!(!bench.switch.is_pending());
}

#[test]
fn the_same_wish_once_more_is_accepted_at_once_while_its_command_is_under_way() {
    let mut bench = Bench::relay();
    bench.set(Target { on: Some(true), level: None }, Until::Accepted, 1000);
    bench.switch.taken(&mut bench.effects);
    bench.answers();
    let again = bench.set(Target { on: Some(true), level: None }, Until::Accepted, 1010);
    assert_eq!(bench.answers(), [(again, Ok((Some(true), None)))]);
    bench.set(Target { on: Some(false), level: None }, Until::Accepted, 1020);
    assert_eq!(bench.answers(), [], "this one is still to be sent");
}

#[test]
fn changes_are_told_once_and_only_when_something_shown_changed() {
    let mut bench = Bench::relay();
    bench.see(true, None, 1000);
    bench.see(true, None, 2000);
    assert_eq!(bench.effects.len(), 1);
    bench.on(true, 3000);
    let causes: Vec<Cause> = bench
        .effects
        .iter()
        .filter_map(|effect| if let Effect::Changed(_, cause) = effect { Some(*cause) } else { None })
        .collect();
    assert_eq!(causes, [Cause::Bus, Cause::Client(7)]);
}

#[test]
fn a_down_link_is_an_answer_at_once() {
    let mut bench = Bench::relay();
    let asker = bench.on(true, 1000);
    bench.sent(Err(BusError::LinkDown), 1000);
    assert_eq!(bench.answers(), [(asker, Err(BusError::LinkDown))]);
}

#[test]
fn no_more_than_64_may_wait_for_one_accessory() {
    let mut bench = Bench::relay();
    for _ in 0..64 {
        bench.on(true, 1000);
    }
    let refused = bench.switch.set(
        Target { on: Some(true), level: None },
        Until::Confirmed,
        Cause::Bus,
        ms(1000),
        &mut bench.effects,
    );
    assert_eq!(refused, Err(BusError::Busy));
    assert_eq!(bench.switch.askers(), 64);
}

#[test]
fn a_value_from_before_a_restart_is_shown_and_is_no_news() {
    let mut bench = Bench::dimmer();
    bench.switch = Switch::new(bench.switch.plan);
    let before = Reading {
        freshness: Freshness::Stale,
        origin: Some(Origin::Snapshot),
        ..bench.reading(true, Some(40), 0)
    };
    bench.switch.observed(before, &mut bench.effects);
    assert_eq!(bench.effects, []);
    assert_eq!(bench.switch.state().brightness, Some(percent(40)));
    bench.see(true, Some(40), 100);
    assert_eq!(bench.effects.len(), 1, "fresh now");
}
