//! What an evening of reports, queries and replies sounds like, and what a listener does with it.

use std::time::Duration;

use conbusd::conbus::{
    Datapoint, Function, ModuleType, Piece, Reply, SerialNumber, Splitter, System, Telegram,
};
use conbusd::policy::Moment;
use conbusd::policy::interpret::{Fact, Installed, Interpreter};

/// Between two telegrams: more do not fit onto the bus.
const SPACING: Duration = Duration::from_millis(25);

/// The modules that speak: six XP24 and six XP33LED.
const MODULES: u32 = 12;

fn serial(module: u32) -> SerialNumber {
    format!("00123450{module:02}").parse().expect("ten digits")
}

/// The house of the corpus.
pub(crate) fn installed() -> Vec<Installed> {
    (1..=MODULES)
        .map(|module| Installed {
            serial: serial(module),
            module_type: if module <= 6 { ModuleType::XP24 } else { ModuleType::XP33LED },
            link: module as u8,
        })
        .collect()
}

/// So many telegrams: half of them reports, a quarter queries, a quarter their replies, which tell what was reported.
pub(crate) fn telegrams(count: usize) -> Vec<u8> {
    let mut on = [0; MODULES as usize + 1];
    (0..count as u32).flat_map(|turn| telegram(turn, &mut on).to_bytes()).collect()
}

/// The telegram of this turn; `on` are the outputs of each module, a bit each.
fn telegram(turn: u32, on: &mut [u8]) -> Telegram {
    let module = turn / 4 % MODULES + 1;
    let outputs = &mut on[module as usize];
    let from = serial(module);
    match turn % 4 {
        0 | 1 => event(module, turn, outputs),
        2 => System::read(from, Datapoint::OUTPUTS).into(),
        _ => reply(from, module, *outputs),
    }
}

fn event(module: u32, turn: u32, on: &mut u8) -> Telegram {
    let (code, outputs) = if module <= 6 { (7, 4) } else { (35, 3) };
    let output = turn % 2 + turn / 48 % (outputs - 1);
    *on ^= 1 << output;
    let edge = if *on >> output & 1 == 1 { 'M' } else { 'B' };
    let text = format!("E{code:02}L{module:02}I{}{edge}", 80 + output);
    Telegram::parse_payload(text.as_bytes()).expect("an event")
}

fn reply(from: SerialNumber, module: u32, on: u8) -> Telegram {
    let bits = if module <= 6 { format!("xxxx{on:04b}") } else { format!("xxxxx{on:03b}") };
    Reply::new(from, Function::READ_DATAPOINT, format!("12{bits}")).expect("a reply").into()
}

/// Everything that a listener does with bytes.
pub(crate) struct Decoder {
    splitter: Splitter,
    interpreter: Interpreter,
    facts: Vec<Fact>,
    seq: u64,
    at: Moment,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            splitter: Splitter::new(),
            interpreter: Interpreter::new(installed()),
            facts: Vec::new(),
            seq: 0,
            at: Moment::START,
        }
    }

    /// Gives the number of facts.
    pub(crate) fn decode(&mut self, corpus: &[u8]) -> usize {
        let Self { splitter, interpreter, facts, seq, at } = self;
        let (mut input, mut count) = (corpus, 0);
        while let Some(piece) = splitter.next_piece(&mut input) {
            let Piece::Frame(frame) = piece else { continue };
            let Ok(telegram) = &Telegram::parse(frame) else { continue };
            *seq += 1;
            *at += SPACING;
            // Queries are the daemon's own: it does not hear them.
            match telegram {
                Telegram::System(_) => interpreter.sent(telegram, *seq, *at, facts),
                _ => interpreter.heard(telegram, *seq, *at, facts),
            }
            count += facts.len();
            facts.clear();
        }
        count
    }
}
