//! What the real house said beside what the emulated one says.

use std::fmt;
use std::time::Duration;

use crate::conbus::{Datapoint, Point, Telegram};

use super::latency::Latency;
use super::{Capture, Direction};

/// The same telegram at most this far apart in time is the same answer.
const APART_MAX: Duration = Duration::from_millis(1_500);
/// What the emulated house says this shortly before the end of the capture may have come too late for it.
const CUT_OFF: Duration = Duration::from_millis(200);

/// A telegram that the emulated house sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Heard {
    pub(super) at: Duration,
    pub(super) telegram: Telegram,
}

/// A place where the two houses differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disagreement {
    /// When, on the clock of the capture.
    pub at: Duration,
    /// What the real house said; nothing when it was silent.
    pub captured: Option<Telegram>,
    /// What the emulated house says; nothing when it is silent.
    pub emulated: Option<Telegram>,
}

/// How well the emulated house agrees with a capture.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Agreement {
    /// How many telegrams of the capture were compared.
    pub compared: usize,
    /// How many of them the emulated house sends as well, to the byte.
    pub agreed: usize,
    /// How many answers differ only in something measured: temperature, hours, energy.
    pub measured: usize,
    /// Answers that the emulated house gives and that were lost on the real bus, where others of their kind came.
    pub lost: Vec<Disagreement>,
    /// Reports that nothing in the capture explains: taken for hands on switches.
    pub hands: Vec<(Duration, Point)>,
    /// Everything else.
    pub disagreements: Vec<Disagreement>,
    /// How long exchanges take, by kind.
    pub latencies: Vec<Latency>,
}

impl Agreement {
    /// Whether every telegram agrees and every kind of exchange takes as long as it should.
    pub fn is_good(&self) -> bool {
        self.disagreements.is_empty() && self.latencies.iter().all(Latency::is_good)
    }
}

/// Compares telegram by telegram; each of the emulated house counts once.
pub(super) fn compare(capture: &Capture, heard: &[Heard]) -> Agreement {
    let captured: Vec<Heard> = capture
        .rows()
        .iter()
        .filter(|row| row.direction == Direction::ToClient)
        .filter_map(|row| Some(Heard { at: row.at, telegram: row.telegram()? }))
        .collect();
    let mut agreement = Agreement { compared: captured.len(), ..Agreement::default() };
    let mut rest: Vec<Heard> = heard.to_vec();
    let mut unmatched = Vec::new();
    for real in &captured {
        match take_nearest(&mut rest, real.at, |telegram| *telegram == real.telegram) {
            Some(_) => agreement.agreed += 1,
            None => unmatched.push(real),
        }
    }
    for real in unmatched {
        let other = take_nearest(&mut rest, real.at, |telegram| same_question(telegram, &real.telegram));
        match other {
            Some(other) if is_measured(&real.telegram) && is_measured(&other.telegram) => {
                agreement.measured += 1;
            }
            other => agreement.disagreements.push(Disagreement {
                at: real.at,
                captured: Some(real.telegram.clone()),
                emulated: other.map(|other| other.telegram),
            }),
        }
    }
    for extra in rest.into_iter().filter(|extra| extra.at + CUT_OFF <= capture.end()) {
        let is_lost = captured.iter().any(|real| same_kind(&real.telegram, &extra.telegram));
        let silence = Disagreement { at: extra.at, captured: None, emulated: Some(extra.telegram) };
        if is_lost { &mut agreement.lost } else { &mut agreement.disagreements }.push(silence);
    }
    agreement.disagreements.sort_by_key(|one| one.at);
    agreement
}

/// Takes the telegram nearest in time that fits.
fn take_nearest(rest: &mut Vec<Heard>, at: Duration, fits: impl Fn(&Telegram) -> bool) -> Option<Heard> {
    let fitting = rest.iter().enumerate().filter(|(_, heard)| fits(&heard.telegram));
    let (index, _) = fitting
        .map(|(index, heard)| (index, heard.at.abs_diff(at)))
        .filter(|(_, apart)| *apart <= APART_MAX)
        .min_by_key(|(_, apart)| *apart)?;
    Some(rest.remove(index))
}

fn datapoint(telegram: &Telegram) -> Option<Datapoint> {
    match telegram {
        Telegram::Reply(reply) => reply.datapoint().map(|(datapoint, _)| datapoint),
        _ => None,
    }
}

/// Whether two telegrams answer the same request or report the same output.
fn same_question(one: &Telegram, other: &Telegram) -> bool {
    match (one, other) {
        (Telegram::Event(one), Telegram::Event(other)) => one.source == other.source,
        (Telegram::Reply(a), Telegram::Reply(b)) => {
            let acks = [a, b].iter().all(|reply| reply.data().is_empty());
            a.serial == b.serial && (a.function == b.function || acks) && datapoint(one) == datapoint(other)
        }
        _ => false,
    }
}

/// Whether a telegram answers the same kind of request as another, of whatever module. Reports have no kind: one
/// that was not heard was not sent.
fn same_kind(one: &Telegram, other: &Telegram) -> bool {
    match (one, other) {
        (Telegram::Reply(a), Telegram::Reply(b)) => {
            a.function == b.function && datapoint(one) == datapoint(other)
        }
        _ => false,
    }
}

/// Whether the answer depends on the weather or on what the house has been through.
fn is_measured(telegram: &Telegram) -> bool {
    datapoint(telegram).is_some_and(|datapoint| {
        [Datapoint::HOURS, Datapoint::ENERGY, Datapoint::TEMPERATURE, Datapoint::D24, Datapoint::PAGED]
            .contains(&datapoint)
    })
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_silence = |telegram: &Option<Telegram>| match telegram {
            Some(telegram) => telegram.to_string(),
            None => "silence".into(),
        };
        let (captured, emulated) = (or_silence(&self.captured), or_silence(&self.emulated));
        write!(f, "at {} ms: captured {captured}, emulated {emulated}", self.at.as_millis())
    }
}

/// A report for people: the telegrams, then the times, then what differs.
impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, agreed, measured, .. } = self;
        writeln!(
            f,
            "telegrams: {agreed} of {compared} agree to the byte, {measured} more but for a measured value"
        )?;
        writeln!(
            f,
            "{:<24} {:>5}  {:>15}  {:>15}  {:>9}",
            "milliseconds", "count", "emulated", "captured", "measured"
        )?;
        for latency in &self.latencies {
            writeln!(f, "{latency}")?;
        }
        for lost in &self.lost {
            writeln!(f, "lost on the real bus: {lost}")?;
        }
        for (at, point) in &self.hands {
            writeln!(f, "a hand on the switch of {point} at {} ms", at.as_millis())?;
        }
        for disagreement in &self.disagreements {
            writeln!(f, "differs {disagreement}")?;
        }
        f.write_str(if self.is_good() { "the houses agree" } else { "the houses do not agree" })
    }
}
