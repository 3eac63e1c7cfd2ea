//! How long exchanges take, beside what was measured on a real bus (protocol reference 7.2).

use std::fmt;
use std::time::Duration;

use crate::conbus::{Command, Datapoint, EventMeaning, Function, System, Telegram};

use super::super::HouseSetup;
use super::check::Played;
use super::compare::Heard;
use super::{Capture, Direction};

/// An answer this long after its request is not its answer.
const ANSWER_MAX: Duration = Duration::from_millis(1_500);
/// One in so many exchanges may fall out of the range: it met another telegram on the bus.
const OUTLIERS: usize = 20;

/// An answer of at most so many bytes is a short one.
const SHORT_BYTES: usize = 25;

/// Kind, least and most in milliseconds, as measured.
type Reference = (&'static str, u64, u64);

const BRIDGE: Reference = ("bridge datapoint", 23, 37);
const SHORT: Reference = ("short datapoint", 47, 71);
const OUTPUTS: Reference = ("D12", 52, 70);
const VERSION: Reference = ("D02", 58, 70);
const ENERGY: Reference = ("D17", 87, 95);
const SWITCHED: Reference = ("F27 acknowledged", 47, 68);
const REPORTED: Reference = ("F27 reported", 65, 115);
const WRITTEN: Reference = ("F04 acknowledged", 50, 70);
const CHUNK_READ: Reference = ("table chunk read", 97, 108);
const CHUNK_WRITTEN: Reference = ("table chunk written", 347, 369);
const DISCOVERED: Reference = ("discovery, the last", 0, 310);

const ALL: [Reference; 11] = [
    BRIDGE,
    SHORT,
    OUTPUTS,
    VERSION,
    ENERGY,
    SWITCHED,
    REPORTED,
    WRITTEN,
    CHUNK_READ,
    CHUNK_WRITTEN,
    DISCOVERED,
];

/// The time of one kind of exchange.
#[derive(Clone, PartialEq, Debug)]
pub struct Latency {
    /// Which kind.
    pub exchange: &'static str,
    /// Each one in the emulated house, in milliseconds, shortest first.
    pub emulated: Vec<u64>,
    /// Each one in the capture.
    pub captured: Vec<u64>,
    /// The least and the most of protocol reference 7.2.
    pub reference: (u64, u64),
}

impl Latency {
    /// Whether the emulated house keeps within the measured range.
    pub fn is_good(&self) -> bool {
        let (least, most) = self.reference;
        let outside = self.emulated.iter().filter(|ms| !(least..=most).contains(*ms)).count();
        outside * OUTLIERS <= self.emulated.len()
    }
}

/// What every exchange of a capture took in the emulated house and in the real one.
pub(super) fn latencies(capture: &Capture, played: &Played, setup: &HouseSetup) -> Vec<Latency> {
    let real: Vec<Heard> = capture
        .rows()
        .iter()
        .filter(|row| row.direction == Direction::ToClient)
        .filter_map(|row| Some(Heard { at: row.at, telegram: row.telegram()? }))
        .collect();
    let mut all: Vec<Latency> = ALL
        .iter()
        .map(|(exchange, least, most)| Latency {
            exchange,
            emulated: Vec::new(),
            captured: Vec::new(),
            reference: (*least, *most),
        })
        .collect();
    let asked = capture.rows().iter().filter(|row| row.direction == Direction::FromClient);
    let asked: Vec<Heard> =
        asked.filter_map(|row| Some(Heard { at: row.at, telegram: row.telegram()? })).collect();
    for (is_real, asked, answers) in [(true, &asked, &real), (false, &played.sent, &played.heard)] {
        for Heard { at, telegram } in asked {
            let Telegram::System(request) = telegram else { continue };
            for (kind, took) in answers_to(*at, request, answers, setup) {
                if let Some(latency) = all.iter_mut().find(|latency| latency.exchange == kind.0) {
                    let times = if is_real { &mut latency.captured } else { &mut latency.emulated };
                    times.push(took.as_millis() as u64);
                }
            }
        }
    }
    all.retain(|latency| !latency.emulated.is_empty());
    for latency in &mut all {
        latency.emulated.sort_unstable();
        latency.captured.sort_unstable();
    }
    all
}

/// The answers to one request that have a measured time.
fn answers_to(
    asked: Duration,
    request: &System,
    heard: &[Heard],
    setup: &HouseSetup,
) -> Vec<(Reference, Duration)> {
    let module = setup.modules.iter().find(|module| module.serial == request.serial);
    let within = |heard: &&Heard| heard.at >= asked && heard.at.saturating_sub(asked) <= ANSWER_MAX;
    let mut found = Vec::new();
    if request.function == Function::DISCOVERY && request.serial.is_broadcast() {
        let mut answers = heard.iter().filter(within).filter(|heard| {
            matches!(&heard.telegram, Telegram::Reply(reply) if reply.function == Function::DISCOVERY)
        });
        return answers
            .next_back()
            .map(|last| (DISCOVERED, last.at.saturating_sub(asked)))
            .into_iter()
            .collect();
    }
    let answer = heard.iter().filter(within).find(|heard| answers(&heard.telegram, request));
    let is_bridge = module.is_some_and(|module| module.module_type.is_bridge());
    let slow = module.is_some_and(|module| !module.latency.is_zero());
    if let Some(answer) = answer
        && let Some(kind) = kind_of(request, &answer.telegram, is_bridge)
        && !slow
    {
        found.push((kind, answer.at.saturating_sub(asked)));
    }
    if let (Some(Command::SetOutput(output, _)), Some(module)) = (request.commands(), module) {
        let report = heard.iter().filter(within).find(|heard| {
            matches!(&heard.telegram, Telegram::Event(event)
                if event.meaning() == EventMeaning::OutputReport(output)
                    && (event.source.module_type, event.source.link) == (module.module_type, module.link))
        });
        found.extend(report.map(|report| (REPORTED, report.at.saturating_sub(asked))));
    }
    found
}

/// Whether a telegram answers this request.
fn answers(telegram: &Telegram, request: &System) -> bool {
    let Telegram::Reply(reply) = telegram else { return false };
    let expected = match request.function {
        Function::READ_DATAPOINT => {
            return reply.serial == request.serial
                && reply.datapoint().map(|(datapoint, _)| datapoint) == request.reads();
        }
        Function::DISCOVERY => Function::DISCOVERY,
        Function::ACK => {
            // A download goes on with the next chunk; the first may still be on its way.
            return reply.serial == request.serial
                && reply.function == Function::TABLE_CHUNK
                && !reply.data().starts_with(b"AAAA");
        }
        _ => Function::ACK,
    };
    reply.serial == request.serial && reply.function == expected
}

fn kind_of(request: &System, answer: &Telegram, is_bridge: bool) -> Option<Reference> {
    match (request.function, request.reads()) {
        (Function::SET_OUTPUT, _) => Some(SWITCHED),
        (Function::WRITE_CONFIG, _) => Some(WRITTEN),
        (Function::ACK, _) => Some(CHUNK_READ),
        (Function::TABLE_CHUNK, _) => Some(CHUNK_WRITTEN),
        (_, Some(_)) if is_bridge => Some(BRIDGE),
        // A module without outputs answers with two question marks.
        (_, Some(Datapoint::OUTPUTS)) if answer.to_bytes().len() > SHORT_BYTES => Some(OUTPUTS),
        (_, Some(Datapoint::SOFTWARE_VERSION)) => Some(VERSION),
        (_, Some(Datapoint::ENERGY)) => Some(ENERGY),
        (_, Some(_)) => (answer.to_bytes().len() <= SHORT_BYTES).then_some(SHORT),
        _ => None,
    }
}

/// One line of a table: least, median and most of both houses, and the measured range.
impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let three = |times: &[u64]| match (times.first(), times.get(times.len() / 2), times.last()) {
            (Some(least), Some(median), Some(most)) => format!("{least}/{median}/{most}"),
            _ => "-".into(),
        };
        let (least, most) = self.reference;
        let verdict = if self.is_good() { "" } else { "  out of range" };
        write!(
            f,
            "{:<24} {:>5}  {:>15}  {:>15}  {:>9}{verdict}",
            self.exchange,
            self.emulated.len(),
            three(&self.emulated),
            three(&self.captured),
            format!("{least}-{most}")
        )
    }
}
