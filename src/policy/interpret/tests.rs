//! Claims about what telegrams mean in a house.

use super::*;
use crate::conbus::{Command, Piece, Splitter};

fn ms(ms: u64) -> Moment {
    Moment::after_start(Duration::from_millis(ms))
}

fn serial(n: u8) -> SerialNumber {
    format!("00123450{n:02}").parse().unwrap()
}

fn output(n: u8) -> OutputIndex {
    OutputIndex::new(n).unwrap()
}

fn event(text: &str, edge: Edge) -> Telegram {
    Event { bus: EventBus::Xp, source: EventSource::parse_stem(text).unwrap(), edge }.into()
}

fn outputs(n: u8, bits: &str) -> Telegram {
    Reply::new(serial(n), Function::READ_DATAPOINT, format!("12{bits}")).unwrap().into()
}

fn read(n: u8) -> Telegram {
    System::read(serial(n), Datapoint::OUTPUTS).into()
}

/// An XP24 on link 6 (module 8) and an XP33LED on link 15 (module 12).
struct Bench {
    interpreter: Interpreter,
    facts: Vec<Fact>,
    seq: u64,
}

impl Bench {
    fn new() -> Self {
        let installed = |n, module_type, link| Installed { serial: serial(n), module_type, link };
        Self::of([installed(8, ModuleType::XP24, 6), installed(12, ModuleType::XP33LED, 15)])
    }

    fn of(modules: impl IntoIterator<Item = Installed>) -> Self {
        Self { interpreter: Interpreter::new(modules), facts: vec![], seq: 0 }
    }

    fn sent(&mut self, telegram: &Telegram, at: u64) {
        self.seq += 1;
        self.interpreter.sent(telegram, self.seq, ms(at), &mut self.facts);
    }

    fn heard(&mut self, telegram: &Telegram, at: u64) {
        self.seq += 1;
        self.interpreter.heard(telegram, self.seq, ms(at), &mut self.facts);
    }

    fn ended(&mut self, n: u8, how: Ending, at: u64) {
        self.seq += 1;
        self.interpreter.ended(serial(n), self.seq, how, ms(at), &mut self.facts);
    }

    fn states(&mut self) -> Vec<(u8, bool, Option<u64>)> {
        let told = self.facts.iter().flat_map(observed);
        let states = told.filter_map(|Observation { point, value, basis, .. }| {
            let asked = match basis {
                Basis::Report => None,
                Basis::Reply { asked } => Some(asked.map_or(0, |asked| asked.seq)),
            };
            let PointValue::On(on) = value else { return None };
            Some((point.output.get(), on, asked))
        });
        let states = states.collect();
        self.facts.retain(|fact| observed(fact).is_empty());
        states
    }

    fn news(&mut self) -> Vec<ModuleNews> {
        let facts = std::mem::take(&mut self.facts);
        let news = facts.into_iter().filter_map(|fact| match fact {
            Fact::Module(_, news) => Some(news),
            _ => None,
        });
        news.collect()
    }
}

/// What a fact tells of outputs.
fn observed(fact: &Fact) -> Vec<Observation> {
    match fact {
        Fact::Observed(seen) => vec![*seen],
        Fact::Answered(answer) => answer.observations().collect(),
        _ => vec![],
    }
}

#[test]
fn a_report_is_the_state_of_the_module_with_that_type_and_link() {
    let mut bench = Bench::new();
    bench.heard(&event("E07L06I80", Edge::Make), 10);
    bench.heard(&event("E35L15I82", Edge::Break), 20);
    let reports = std::mem::take(&mut bench.facts);
    let points: Vec<String> = reports
        .iter()
        .map(|fact| match fact {
            Fact::Observed(seen) => format!("{} {:?} {:?}", seen.point, seen.value, seen.basis),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(points, ["0012345008/0 On(true) Report", "0012345012/2 On(false) Report"]);
}

#[test]
fn a_reply_belongs_to_the_one_query_that_is_out() {
    let mut bench = Bench::new();
    bench.sent(&read(8), 0);
    bench.heard(&outputs(8, "xxxx0101"), 50);
    assert_eq!(
        bench.states(),
        [(0, true, Some(1)), (1, false, Some(1)), (2, true, Some(1)), (3, false, Some(1))]
    );
    bench.heard(&outputs(8, "xxxx0101"), 60);
    assert_eq!(bench.states()[0], (0, true, Some(0)), "a duplicate belongs to none");
    let doubts = bench.facts.iter().filter(|fact| matches!(fact, Fact::Doubtful { .. })).count();
    assert_eq!(doubts, 4);
}

#[test]
fn a_query_of_another_master_makes_the_reply_ambiguous() {
    let mut bench = Bench::new();
    bench.sent(&read(8), 0);
    bench.heard(&read(8), 10);
    bench.heard(&outputs(8, "xxxx0000"), 50);
    assert_eq!(bench.states()[0].2, Some(0));
}

#[test]
fn a_time_out_leaves_doubt_and_a_silent_module() {
    let mut bench = Bench::new();
    bench.sent(&read(8), 0);
    bench.ended(8, Ending::TimedOut, 300);
    let doubts =
        bench.facts.iter().filter(|fact| matches!(fact, Fact::Doubtful { aspect: Aspect::Switch, .. }));
    assert_eq!(doubts.count(), 4);
    assert_eq!(bench.news(), [ModuleNews::Silent]);
    bench.heard(&outputs(8, "xxxx0000"), 310);
    assert_eq!(bench.states()[0].2, Some(0), "a late reply belongs to no query");
}

#[test]
fn a_query_that_was_out_when_the_link_was_lost_leaves_doubt() {
    let mut bench = Bench::new();
    bench.sent(&read(8), 0);
    bench.interpreter.link_lost(ms(20), &mut bench.facts);
    bench.ended(8, Ending::LinkLost, 20);
    let doubts =
        bench.facts.iter().filter(|fact| matches!(fact, Fact::Doubtful { aspect: Aspect::Switch, .. }));
    assert_eq!(doubts.count(), 4, "its answer may come on the next link");
}

#[test]
fn commands_raise_fences_when_written_and_when_acknowledged() {
    let mut bench = Bench::new();
    bench.sent(&System::command(serial(8), Command::SetOutput(output(2), true)).into(), 0);
    bench.heard(&Reply::ack(serial(8)).into(), 50);
    bench.heard(&Reply::ack(serial(8)).into(), 60);
    let point = Point { serial: serial(8), output: output(2) };
    assert_eq!(
        bench.facts,
        [Fact::Commanded { point, seq: 1, at: ms(0) }, Fact::Commanded { point, seq: 2, at: ms(50) }]
    );
}

#[test]
fn a_change_that_no_report_announces_is_noticed_after_a_grace() {
    let mut bench = Bench::new();
    for (at, bits) in [(0, "xxxx0000"), (1000, "xxxx0000")] {
        bench.sent(&read(8), at);
        bench.heard(&outputs(8, bits), at + 50);
    }
    assert_eq!(bench.news(), [ModuleNews::CleanPoll, ModuleNews::CleanPoll]);
    bench.sent(&read(8), 2000);
    bench.heard(&outputs(8, "xxxx0001"), 2050);
    assert_eq!(bench.news(), []);
    bench.sent(&read(12), 3050);
    assert_eq!(bench.news(), [ModuleNews::Unannounced]);
}

#[test]
fn a_change_whose_report_comes_just_after_the_poll_is_announced() {
    let mut bench = Bench::new();
    bench.sent(&read(8), 0);
    bench.heard(&outputs(8, "xxxx0000"), 50);
    bench.sent(&read(8), 2000);
    bench.heard(&outputs(8, "xxxx0001"), 2050);
    bench.heard(&event("E07L06I80", Edge::Make), 2080);
    bench.sent(&read(12), 4000);
    assert_eq!(bench.news(), [ModuleNews::CleanPoll]);
}

#[test]
fn eight_bits_of_a_four_output_module_are_no_phantom_outputs_but_a_restart() {
    let mut bench = Bench::new();
    for input in 80..=87 {
        bench.heard(&event(&format!("E07L06I{input}"), Edge::Break), 10);
    }
    assert_eq!(bench.states().len(), 4);
    assert_eq!(bench.news(), [ModuleNews::Restarted]);
}

#[test]
fn a_report_that_fits_two_modules_is_applied_to_none_and_told_once() {
    let installed = |n| Installed { serial: serial(n), module_type: ModuleType::XP24, link: 6 };
    let mut bench = Bench::of([installed(1), installed(2)]);
    for _ in 0..2 {
        bench.heard(&event("E07L06I80", Edge::Make), 10);
    }
    let input = EventSource::parse_stem("E07L06I80").unwrap();
    let (one, two) = (Fact::Invalidate(serial(1)), Fact::Invalidate(serial(2)));
    let told = Fact::Unplaced { input, candidates: 2 };
    assert_eq!(bench.facts, [one, two, told, one, two]);
}

#[test]
fn the_link_a_module_tells_is_the_one_its_events_carry() {
    let mut bench = Bench::new();
    let link = Reply::new(serial(8), Function::READ_DATAPOINT, "0409").unwrap().into();
    bench.heard(&link, 0);
    bench.facts.clear();
    bench.heard(&event("E07L09I81", Edge::Make), 10);
    assert_eq!(bench.states(), [(1, true, None)]);
}

#[test]
fn buttons_are_told_and_change_no_state() {
    let mut bench = Bench::new();
    bench.heard(&event("E14L00I02", Edge::Make), 10);
    bench.heard(&event("E07L01I00", Edge::Make), 20);
    assert!(bench.facts.iter().all(|fact| matches!(fact, Fact::Button { edge: Edge::Make, .. })));
    assert_eq!(bench.facts.len(), 2);
}

#[test]
fn strangers_create_no_facts_about_outputs() {
    let mut bench = Bench::new();
    bench.heard(&outputs(99, "xxxx1111"), 0);
    bench.heard(&Reply::ack(serial(99)).into(), 0);
    assert_eq!(bench.facts, []);
}

#[test]
fn the_captured_switching_of_four_outputs_is_understood() {
    let text = "<R0012345008F18DFA><E07L06I80BAL><R0012345008F02D12xxxx1110FJ>";
    let mut bench = Bench::new();
    bench.sent(&System::command(serial(8), Command::SetOutput(output(0), false)).into(), 0);
    let mut splitter = Splitter::new();
    let mut input = text.as_bytes();
    let mut at = 50;
    while let Some(Piece::Frame(frame)) = splitter.next_piece(&mut input) {
        let telegram = Telegram::parse(frame).unwrap();
        if at == 150 {
            bench.sent(&read(8), 140);
        }
        bench.heard(&telegram, at);
        at += 50;
    }
    let states = bench.states();
    assert_eq!(states[0], (0, false, None));
    assert_eq!(states[1..].iter().map(|(_, on, _)| *on).collect::<Vec<_>>(), [false, true, true, true]);
}

#[test]
fn another_config_forgets_nothing_of_those_that_stay() {
    let mut bench = Bench::new();
    bench.sent(&read(8), 0);
    let installed = |n, module_type, link| Installed { serial: serial(n), module_type, link };
    bench.interpreter.reinstall([installed(8, ModuleType::XP24, 7), installed(9, ModuleType::XP24, 6)]);
    bench.heard(&outputs(8, "xxxx0001"), 50);
    let asked = bench.facts.iter().flat_map(observed);
    assert_eq!(asked.count(), 4, "the query of before is answered: {:?}", bench.facts);
    bench.facts.clear();
    bench.heard(&event("E07L06I81", Edge::Make), 60);
    let points: Vec<Point> = bench.facts.iter().flat_map(observed).map(|seen| seen.point).collect();
    assert_eq!(points, [Point { serial: serial(9), output: output(1) }], "link 6 is another module's now");
}
