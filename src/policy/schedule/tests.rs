//! Claims about the schedule, on a made-up clock.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const HOME: GatewayId = GatewayId(0);
const SHED: GatewayId = GatewayId(1);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Moment {
    Moment::after_start(ms(millis))
}

fn serial(number: u64) -> SerialNumber {
    format!("{number:010}").parse().unwrap()
}

fn plan() -> SchedulePlan {
    SchedulePlan {
        enabled: true,
        interval: ms(2_000),
        reporting_interval: ms(20_000),
        idle_after: ms(120_000),
        bus_share: 0.4,
    }
}

fn relay(number: u64) -> ModulePlan {
    ModulePlan { serial: serial(number), gateway: HOME, spacing: ms(200), exchange_cost: ms(60), actor: true }
}

fn slow_dimmer(number: u64) -> ModulePlan {
    ModulePlan { spacing: ms(2_000), exchange_cost: ms(120), ..relay(number) }
}

/// A schedule with a clock of its own; every turn is kept with its time in milliseconds.
struct Bench {
    schedule: Schedule,
    now: u64,
    turns: Vec<(u64, u64, bool)>,
}

fn number(serial: SerialNumber) -> u64 {
    serial.to_string().parse().unwrap()
}

impl Bench {
    fn new(plan: SchedulePlan, modules: Vec<ModulePlan>) -> Self {
        Self { schedule: Schedule::new(plan, modules), now: 0, turns: Vec::new() }
    }

    /// The relay modules 1 to `count`, connected and warmed up; their warm-up is not kept.
    fn warm(count: u64) -> Self {
        let mut bench = Self::new(plan(), (1..=count).map(relay).collect());
        bench.schedule.link_up(HOME, at(0));
        bench.run(10_000);
        bench.turns.clear();
        bench
    }

    fn collect(&mut self) -> usize {
        let turns = self.schedule.due(at(self.now));
        self.turns.extend(turns.iter().map(|turn| (self.now, number(turn.serial), turn.warm_up)));
        turns.len()
    }

    /// Wakes at every deadline up to `span` milliseconds from now.
    fn run(&mut self, span: u64) {
        let end = self.now + span;
        let mut wakes = 0;
        while let Some(due) = self.schedule.next_due().filter(|due| *due <= at(end)) {
            wakes += 1;
            assert!(wakes < 100_000, "the deadline {due:?} does not move");
            let due = due.since_start().as_micros().div_ceil(1000) as u64;
            self.now = self.now.max(due);
            self.collect();
        }
        self.now = end;
    }

    fn used(&mut self, number: u64) {
        self.schedule.used(serial(number), at(self.now));
    }

    fn times(&self, wanted: u64) -> Vec<u64> {
        self.turns.iter().filter(|(_, number, _)| *number == wanted).map(|(at, ..)| *at).collect()
    }
}

#[test]
fn the_first_reads_go_last_used_first_then_in_the_order_of_the_config() {
    let mut bench = Bench::new(plan(), vec![relay(5), relay(3), relay(9), relay(1)]);
    bench.schedule.used(serial(9), at(10));
    bench.schedule.used(serial(1), at(20));
    bench.now = 100;
    assert_eq!(bench.schedule.next_due(), None, "nothing is due without a link");
    bench.schedule.link_up(HOME, at(100));
    assert!(bench.schedule.next_due().is_some_and(|due| due <= at(100)));
    bench.collect();
    assert_eq!(bench.turns, [(100, 1, true), (100, 9, true), (100, 5, true), (100, 3, true)]);
}

#[test]
fn a_turn_for_which_there_was_no_room_comes_again_in_a_moment() {
    let mut schedule = Schedule::new(plan(), vec![relay(1), relay(2)]);
    schedule.link_up(HOME, at(0));
    let turns = schedule.due(at(0));
    schedule.postponed(turns[1], at(0));
    assert_eq!(schedule.due(at(99)), []);
    assert_eq!(schedule.due(at(100)), [Turn { serial: serial(2), warm_up: true }]);
    schedule.used(serial(2), at(5_000));
    let [poll] = schedule.due(at(5_000))[..] else { panic!("a used module is polled") };
    schedule.postponed(poll, at(5_000));
    assert_eq!(schedule.next_due().map(|due| due <= at(5_300)), Some(true), "not at its next turn only");
}

#[test]
fn a_bridge_or_a_link_module_has_nothing_to_refresh() {
    let bridge = ModulePlan { actor: false, ..relay(2) };
    let mut bench = Bench::new(plan(), vec![relay(1), bridge]);
    bench.used(2);
    bench.schedule.link_up(HOME, at(0));
    bench.schedule.early(serial(2), ms(10), at(0));
    bench.run(60_000);
    assert_eq!(bench.turns, [(0, 1, true)]);
}

#[test]
fn an_unused_module_is_not_polled_and_a_used_one_only_for_a_while() {
    let mut bench = Bench::warm(2);
    bench.run(60_000);
    assert_eq!(bench.turns, []);
    bench.used(1);
    bench.run(300_000);
    let times = bench.times(1);
    assert_eq!(times.len(), 61, "every 2 s for 2 min");
    assert_eq!((times[0], times[60]), (70_000, 190_000));
    assert_eq!((bench.times(2).len(), bench.schedule.active()), (0, 0));
    assert_eq!(bench.schedule.next_due(), None, "an idle house sleeps");
}

#[test]
fn a_module_is_polled_slowly_only_while_it_is_known_to_report() {
    let mut bench = Bench::warm(1);
    bench.used(1);
    bench.run(10_000);
    assert_eq!(bench.times(1).len(), 6, "D21 unknown: every 2 s");
    bench.schedule.auto_report(serial(1), Some(true));
    bench.run(60_000);
    assert_eq!(bench.times(1)[6..], [40_000, 60_000, 80_000]);
    bench.schedule.auto_report(serial(1), Some(false));
    bench.run(4_000);
    assert_eq!(bench.times(1)[9..], [82_000, 84_000]);
}

#[test]
fn a_change_that_no_report_announced_costs_trust_until_ten_polls_are_clean() {
    let mut bench = Bench::warm(1);
    bench.schedule.auto_report(serial(1), Some(true));
    bench.used(1);
    bench.collect();
    bench.schedule.unannounced(serial(1), at(bench.now));
    for _ in 0..9 {
        bench.run(2_000);
        bench.schedule.polled_clean(serial(1));
    }
    assert_eq!(bench.times(1).len(), 10);
    bench.run(2_000);
    bench.schedule.polled_clean(serial(1));
    bench.run(19_000);
    assert_eq!(bench.times(1).len(), 11, "trusted again: 20 s");
}

#[test]
fn a_reconnect_makes_what_was_learnt_of_reports_unknown() {
    let mut bench = Bench::warm(1);
    bench.used(1);
    bench.schedule.auto_report(serial(1), Some(true));
    bench.schedule.unannounced(serial(1), at(bench.now));
    bench.schedule.link_down(HOME);
    assert_eq!(bench.schedule.next_due(), None);
    bench.schedule.link_up(HOME, at(bench.now));
    bench.run(4_500);
    assert_eq!(bench.times(1), [10_000, 12_000, 14_000], "D21 unknown: every 2 s");
    bench.schedule.auto_report(serial(1), Some(true));
    bench.run(19_000);
    assert_eq!(bench.times(1).len(), 3, "no distrust left: 20 s");
}

#[test]
fn a_silent_module_backs_off_alone_up_to_a_minute() {
    let mut bench = Bench::warm(2);
    bench.used(2);
    bench.used(1);
    let mut silent_at = Vec::new();
    while bench.now < 220_000 {
        bench.used(1);
        bench.used(2);
        let before = bench.times(1).len();
        bench.run(100);
        if bench.times(1).len() > before {
            silent_at.push(bench.now);
            bench.schedule.silent(serial(1), at(bench.now));
        }
    }
    let gaps: Vec<u64> = bench.times(1).windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.iter()
            .zip([4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
            .all(|(gap, wanted)| { (wanted..=wanted + 200).contains(gap) }),
        "{gaps:?}"
    );
    assert!(bench.times(2).len() >= 100, "the neighbour keeps its 2 s");
    bench.schedule.answered(serial(1));
    let before = bench.times(1).len();
    bench.run(4_000);
    assert!(bench.times(1).len() >= before + 2, "an answer ends the back-off");
}

#[test]
fn a_wall_button_refreshes_soon_and_a_row_of_presses_is_joined() {
    let mut bench = Bench::warm(1);
    for press in [0, 10, 20, 30] {
        bench.now = 10_000 + press;
        bench.schedule.early(serial(1), ms(60), at(bench.now));
    }
    bench.run(5_000);
    assert_eq!(bench.times(1), [10_060, 10_260], "the first, and once more for the last press");
    bench.schedule.early(serial(1), ms(60), at(bench.now));
    bench.run(5_000);
    assert_eq!(bench.times(1).len(), 3, "a single press is a single read");
}

#[test]
fn an_early_refresh_goes_ahead_of_polls_that_wait_but_not_for_ever() {
    let mut bench = Bench::warm(60);
    for number in 1..=60 {
        bench.used(number);
    }
    bench.run(1_000);
    bench.schedule.early(serial(60), ms(0), at(bench.now));
    let asked = bench.now;
    bench.run(200);
    assert_eq!(bench.times(60)[0], asked + 50, "the next paid turn");
    // Ten modules whose buttons never rest: the polls of the others go on.
    bench.turns.clear();
    for _ in 0..600 {
        for number in 51..=60 {
            bench.schedule.early(serial(number), ms(0), at(bench.now));
        }
        bench.run(100);
    }
    assert!((1..=50).all(|number| bench.times(number).len() >= 3), "{:?}", bench.turns);
}

#[test]
fn a_storming_module_is_left_alone_and_read_at_once_when_released() {
    let mut bench = Bench::warm(2);
    bench.used(1);
    bench.used(2);
    bench.schedule.quarantine(serial(1), true);
    bench.schedule.early(serial(1), ms(10), at(bench.now));
    bench.run(10_000);
    assert!(bench.times(1).is_empty());
    assert!(bench.times(2).len() >= 5);
    bench.schedule.quarantine(serial(1), false);
    bench.run(150);
    assert_eq!(bench.times(1).len(), 1);
}

#[test]
fn a_stopped_or_disabled_schedule_asks_for_nothing() {
    let mut bench = Bench::new(plan(), vec![relay(1)]);
    bench.schedule.pause();
    bench.schedule.link_up(HOME, at(0));
    bench.run(5_000);
    assert_eq!(bench.turns, []);
    bench.schedule.resume();
    bench.run(10);
    assert_eq!(bench.turns, [(5_000, 1, true)], "the first read was only put off");

    let mut bench = Bench::new(SchedulePlan { enabled: false, ..plan() }, vec![relay(1)]);
    bench.schedule.resume();
    bench.schedule.link_up(HOME, at(0));
    bench.used(1);
    bench.run(60_000);
    assert_eq!(bench.turns, []);
}

#[test]
fn after_a_stall_each_module_comes_once_and_paced_by_the_share() {
    let mut bench = Bench::warm(20);
    for number in 1..=20 {
        bench.used(number);
    }
    bench.run(5_000);
    bench.turns.clear();
    // The process stood still for a minute, then is woken and asks again and again.
    bench.now += 60_000;
    let woken = bench.now;
    for _ in 0..50 {
        bench.collect();
    }
    assert_eq!(bench.turns.len(), 1, "one turn, however often it asks");
    bench.run(3_000);
    let first_round: Vec<u64> = bench.turns.iter().take(20).map(|(_, number, _)| *number).collect();
    assert_eq!(first_round.iter().collect::<std::collections::BTreeSet<_>>().len(), 20);
    assert!(bench.turns[19].0 - woken >= 19 * 150, "150 ms apart");
}

#[test]
fn gateways_have_budgets_of_their_own() {
    let there = |number| ModulePlan { gateway: SHED, ..relay(number) };
    let modules = (1..=40).map(|n| if n <= 20 { relay(n) } else { there(n) }).collect();
    let mut bench = Bench::new(plan(), modules);
    bench.schedule.link_up(HOME, at(0));
    bench.schedule.link_up(SHED, at(0));
    for number in 1..=40 {
        bench.used(number);
    }
    bench.run(30_000);
    bench.schedule.link_down(SHED);
    bench.turns.clear();
    bench.run(10_000);
    assert!(bench.turns.iter().all(|(_, number, _)| *number <= 20), "the other gateway is down");
    assert!(bench.turns.len() >= 60, "and this one goes on at its pace: {}", bench.turns.len());
}

#[test]
fn flaps_do_not_pile_up_debts() {
    let mut bench = Bench::new(plan(), (1..=24).map(relay).collect());
    bench.used(1);
    for _ in 0..100 {
        bench.schedule.link_up(HOME, at(bench.now));
        bench.run(500);
        bench.schedule.link_down(HOME);
        bench.run(500);
    }
    bench.schedule.link_up(HOME, at(bench.now));
    bench.turns.clear();
    bench.run(10_000);
    assert!(bench.turns.iter().any(|(_, number, warm_up)| *number == 1 && !warm_up));
}

#[test]
fn over_budget_every_period_stretches_alike() {
    let mut bench = Bench::warm(60);
    for _ in 0..120 {
        for number in 1..=60 {
            bench.used(number);
        }
        bench.run(1_000);
    }
    let counts: Vec<usize> = (1..=60).map(|number| bench.times(number).len()).collect();
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 1, "{counts:?}");
    assert!(*least >= 12, "60 modules at 150 ms: a round takes 9 s: {counts:?}");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Run(u64),
    Stall(u64),
    Used(u64),
    Early(u64, u64),
    Silent(u64),
    Answered(u64),
    Unannounced(u64),
    Clean(u64),
    Reports(u64, Option<bool>),
    Quarantine(u64, bool),
    Flap,
}

fn step(modules: u64) -> impl Strategy<Value = Step> {
    let module = move || 1..=modules;
    prop_oneof![
        8 => (0_u64..3_000).prop_map(Step::Run),
        1 => (0_u64..90_000).prop_map(Step::Stall),
        8 => module().prop_map(Step::Used),
        4 => (module(), 0_u64..500).prop_map(|(module, after)| Step::Early(module, after)),
        2 => module().prop_map(Step::Silent),
        2 => module().prop_map(Step::Answered),
        1 => module().prop_map(Step::Unannounced),
        2 => module().prop_map(Step::Clean),
        2 => (module(), any::<Option<bool>>()).prop_map(|(module, on)| Step::Reports(module, on)),
        1 => (module(), any::<bool>()).prop_map(|(module, on)| Step::Quarantine(module, on)),
        1 => Just(Step::Flap),
    ]
}

fn apply(bench: &mut Bench, step: Step) {
    let now = at(bench.now);
    match step {
        Step::Run(span) => bench.run(span),
        Step::Stall(span) => bench.now += span,
        Step::Used(module) => bench.used(module),
        Step::Early(module, after) => bench.schedule.early(serial(module), ms(after), now),
        Step::Silent(module) => bench.schedule.silent(serial(module), now),
        Step::Answered(module) => bench.schedule.answered(serial(module)),
        Step::Unannounced(module) => bench.schedule.unannounced(serial(module), now),
        Step::Clean(module) => bench.schedule.polled_clean(serial(module)),
        Step::Reports(module, on) => bench.schedule.auto_report(serial(module), on),
        Step::Quarantine(module, on) => bench.schedule.quarantine(serial(module), on),
        Step::Flap => {
            bench.schedule.link_down(HOME);
            bench.schedule.link_up(HOME, now);
        }
    }
}

proptest! {
    #[test]
    fn gaps_and_the_share_are_never_violated(steps in proptest::collection::vec(step(12), 1..120)) {
        let modules: Vec<ModulePlan> =
            (1..=12).map(|n| if n % 3 == 0 { slow_dimmer(n) } else { relay(n) }).collect();
        let plans: BTreeMap<u64, ModulePlan> =
            modules.iter().map(|module| (number(module.serial), *module)).collect();
        let mut bench = Bench::new(plan(), modules);
        bench.schedule.link_up(HOME, at(0));
        for step in steps {
            apply(&mut bench, step);
        }
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for (at, module, _) in &bench.turns {
            let spacing = plans[module].spacing.as_millis() as u64;
            if let Some(before) = last.insert(*module, *at) {
                prop_assert!(at - before >= spacing, "{module} at {before} and {at}");
            }
        }
        // Between any two background turns, all that was spent since the first fits into the share, except
        // what the first reads of a new connection spent.
        let cost = |turn: &(u64, u64, bool)| plans[&turn.1].exchange_cost.as_millis() as f64;
        for (first, turn) in bench.turns.iter().enumerate().filter(|(_, turn)| !turn.2) {
            let mut spent = 0.0;
            for later in bench.turns[first..].iter().take_while(|later| !later.2) {
                let allowed = (later.0 - turn.0) as f64 * 0.4;
                prop_assert!(spent <= allowed + 0.5, "{spent} of {allowed} ms since {}", turn.0);
                spent += cost(later);
            }
        }
    }

    #[test]
    fn no_used_module_starves(
        count in 1_u64..50, noise in proptest::collection::vec((1_u64..50, 0_u64..400), 0..200),
    ) {
        let mut bench = Bench::warm(count);
        let begin = bench.now;
        for (module, wait) in noise.into_iter().chain((0..60).map(|_| (1, 1_000))) {
            for number in 1..=count {
                bench.used(number);
            }
            bench.schedule.early(serial(module), ms(0), at(bench.now));
            bench.run(wait);
        }
        // At worst everybody is polled and everybody's button is pressed once in between.
        let limit = 2_000 + 2 * count * 150 + 2_000 + 400;
        for module in 1..=count {
            let mut last = begin;
            for time in bench.times(module).into_iter().chain([bench.now]) {
                prop_assert!(time - last <= limit, "{module}: {} ms after {last}", time - last);
                last = time;
            }
        }
    }
}

#[test]
fn another_config_keeps_the_pace_and_reads_what_is_new() {
    let mut bench = Bench::warm(2);
    bench.schedule.used(serial(1), at(bench.now));
    bench.run(1_000);
    let before = bench.turns.len();
    assert!(before >= 1);
    let modules = vec![relay(3), relay(1)];
    let quick = SchedulePlan { interval: ms(100), bus_share: 1.0, ..plan() };
    bench.schedule.reconfigure(quick, modules, at(bench.now));
    bench.run(1_000);
    let news: Vec<u64> = bench.turns[before..].iter().map(|(_, number, _)| *number).collect();
    assert!(news.contains(&3) && !news.contains(&2), "{news:?}");
    let of_one: Vec<u64> = bench.turns.iter().filter(|turn| turn.1 == 1).map(|turn| turn.0).collect();
    assert!(of_one.len() >= 4 && of_one.windows(2).all(|pair| pair[1] - pair[0] >= 200), "{of_one:?}");
    assert_eq!(bench.schedule.by_use(), [serial(1), serial(3)]);
    bench.schedule.reconfigure(SchedulePlan { enabled: false, ..quick }, vec![relay(1)], at(bench.now));
    assert_eq!((bench.schedule.next_due(), bench.schedule.is_running()), (None, false));
}
