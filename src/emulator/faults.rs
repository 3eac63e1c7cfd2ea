//! What can go wrong on the bus, on purpose and repeatably.
//!
//! Owns the list of faults that are switched on, the chance behind them (seeded) and a count of each strike.
//! Refuses to know time and the bus: it says what shall happen to one telegram.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::conbus::{SerialNumber, Telegram};

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// A reply never reaches anybody.
    LostReply,
    /// An event that a module sends never reaches anybody.
    LostReport,
    /// A reply comes this much later.
    LateReply(Duration),
    /// An event that a module sends comes this much later.
    LateReport(Duration),
    /// A reply waits until the next telegram of anybody has gone before it.
    ReorderedReply,
    /// A telegram has a checksum that does not agree.
    BadChecksum,
    /// A telegram stops somewhere before its end.
    Truncated,
    /// The same telegram is heard twice.
    Doubled,
    /// A request is refused without being done.
    Refusal,
    /// Two answers to a discovery meet on the bus, and both are lost (protocol reference 3.2).
    Collision,
    /// A module puts its type code before the bitmap of D12, as an XP33LED did (protocol reference 4.1).
    TypeCodePrefix,
    /// The module neither hears nor speaks, as if its fuse had blown; its outputs stay.
    Silence,
}

impl FaultKind {
    /// The name in counters and on the control port.
    pub fn name(self) -> &'static str {
        match self {
            Self::LostReply => "lost_reply",
            Self::LostReport => "lost_report",
            Self::LateReply(_) => "late_reply",
            Self::LateReport(_) => "late_report",
            Self::ReorderedReply => "reordered_reply",
            Self::BadChecksum => "bad_checksum",
            Self::Truncated => "truncated",
            Self::Doubled => "doubled",
            Self::Refusal => "refusal",
            Self::Collision => "collision",
            Self::TypeCodePrefix => "type_code_prefix",
            Self::Silence => "silence",
        }
    }

    /// The fault with this name; `by` is how late a late telegram comes.
    pub fn from_name(name: &str, by: Duration) -> Option<Self> {
        [
            Self::LostReply,
            Self::LostReport,
            Self::LateReply(by),
            Self::LateReport(by),
            Self::ReorderedReply,
            Self::BadChecksum,
            Self::Truncated,
            Self::Doubled,
            Self::Refusal,
            Self::Collision,
            Self::TypeCodePrefix,
            Self::Silence,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }
}

/// How often it goes wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Dose {
    /// Never again.
    Off,
    /// The next so many times it could.
    Next(u32),
    /// Each time with this chance, 0 to 1.
    Chance(f64),
}

impl Dose {
    /// Every time.
    pub const ALWAYS: Self = Self::Chance(1.0);
}

/// One fault.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// On which module; on all when `None`.
    pub serial: Option<SerialNumber>,
    /// How often.
    pub dose: Dose,
}

impl Fault {
    /// A fault on every module.
    pub fn everywhere(kind: FaultKind, dose: Dose) -> Self {
        Self { kind, serial: None, dose }
    }

    /// A fault on one module.
    pub fn on(serial: SerialNumber, kind: FaultKind, dose: Dose) -> Self {
        Self { kind, serial: Some(serial), dose }
    }
}

/// What becomes of one telegram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fate {
    pub(super) shape: Shape,
    pub(super) later: Duration,
    pub(super) reordered: bool,
    pub(super) doubled: bool,
}

/// In what shape a telegram arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Whole,
    /// Its checksum does not agree.
    Spoilt,
    /// Only so many bytes of it remain.
    Cut(usize),
    Lost,
}

/// The faults that are switched on.
#[derive(Debug)]
pub(super) struct Faults {
    active: Vec<Fault>,
    chance: fastrand::Rng,
    strikes: BTreeMap<&'static str, u64>,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self { active: Vec::new(), chance: fastrand::Rng::with_seed(seed), strikes: BTreeMap::new() }
    }

    /// Switches a fault on or off; it replaces the one of the same kind on the same module.
    pub(super) fn set(&mut self, fault: Fault) {
        let name = fault.kind.name();
        self.active.retain(|other| (other.kind.name(), other.serial) != (name, fault.serial));
        if fault.dose != Dose::Off {
            self.active.push(fault);
        }
    }

    pub(super) fn clear(&mut self) {
        self.active.clear();
    }

    /// Counts something that went wrong without a dose: a storm, a restart, a lost connection.
    pub(super) fn count(&mut self, name: &'static str) {
        *self.strikes.entry(name).or_default() += 1;
    }

    /// Whether a module is silenced for good, and so does not hear events either.
    pub(super) fn is_silenced(&self, serial: SerialNumber) -> bool {
        self.active.iter().any(|fault| {
            fault.kind == FaultKind::Silence
                && fault.dose == Dose::ALWAYS
                && fault.serial.is_none_or(|only| only == serial)
        })
    }

    /// How often each kind has struck.
    pub(super) fn strikes(&self) -> &BTreeMap<&'static str, u64> {
        &self.strikes
    }

    /// Whether a fault of this kind strikes this module now; the kind with what was set for it.
    pub(super) fn strikes_now(&mut self, name: &'static str, serial: SerialNumber) -> Option<FaultKind> {
        let mut struck = None;
        for fault in &mut self.active {
            if fault.kind.name() != name || fault.serial.is_some_and(|only| only != serial) {
                continue;
            }
            let strikes = match &mut fault.dose {
                Dose::Off | Dose::Next(0) => false,
                Dose::Next(left) => {
                    *left -= 1;
                    true
                }
                Dose::Chance(chance) => self.chance.f64() < *chance,
            };
            if strikes {
                struck = Some(fault.kind);
                break;
            }
        }
        self.active.retain(|fault| fault.dose != Dose::Next(0));
        if struck.is_some() {
            self.count(name);
        }
        struck
    }

    /// Decides what becomes of a telegram that this module is about to send.
    pub(super) fn fate(&mut self, telegram: &Telegram, author: SerialNumber) -> Fate {
        let mut fate = Fate { shape: Shape::Whole, later: Duration::ZERO, reordered: false, doubled: false };
        let (lost, late) = match telegram {
            Telegram::Reply(_) => ("lost_reply", "late_reply"),
            _ => ("lost_report", "late_report"),
        };
        if self.strikes_now(lost, author).is_some() {
            fate.shape = Shape::Lost;
            return fate;
        }
        if let Some(FaultKind::LateReply(by) | FaultKind::LateReport(by)) = self.strikes_now(late, author) {
            fate.later = by;
        }
        fate.reordered =
            matches!(telegram, Telegram::Reply(_)) && self.strikes_now("reordered_reply", author).is_some();
        fate.doubled = self.strikes_now("doubled", author).is_some();
        if self.strikes_now("bad_checksum", author).is_some() {
            fate.shape = Shape::Spoilt;
        }
        if self.strikes_now("truncated", author).is_some() {
            let whole = telegram.to_bytes().len();
            fate.shape = Shape::Cut(self.chance.usize(1..whole));
        }
        fate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conbus::Reply;

    fn serial(text: &str) -> SerialNumber {
        text.parse().unwrap()
    }

    #[test]
    fn a_counted_fault_strikes_exactly_so_often_and_only_its_module() {
        let mut faults = Faults::new(1);
        let (sick, well) = (serial("0012345004"), serial("0012345005"));
        faults.set(Fault::on(sick, FaultKind::LostReply, Dose::Next(2)));
        let lost = |faults: &mut Faults, who| faults.fate(&Reply::ack(who).into(), who).shape == Shape::Lost;
        let seen = [well, sick, well, sick, sick].map(|who| lost(&mut faults, who));
        assert_eq!(seen, [false, true, false, true, false]);
        assert_eq!(faults.strikes()["lost_reply"], 2);
    }

    #[test]
    fn the_same_seed_gives_the_same_house() {
        let run = |seed| {
            let mut faults = Faults::new(seed);
            faults.set(Fault::everywhere(FaultKind::BadChecksum, Dose::Chance(0.3)));
            let who = serial("0012345004");
            (0..200)
                .map(|_| faults.fate(&Reply::ack(who).into(), who).shape == Shape::Spoilt)
                .collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let struck = run(7).into_iter().filter(|&spoilt| spoilt).count();
        assert!((30..90).contains(&struck), "{struck} of 200 at a chance of 0.3");
    }

    #[test]
    fn a_fault_is_replaced_and_switched_off_by_name_and_module() {
        let mut faults = Faults::new(1);
        let who = serial("0012345004");
        let late = |ms| FaultKind::LateReply(Duration::from_millis(ms));
        faults.set(Fault::on(who, late(100), Dose::ALWAYS));
        faults.set(Fault::on(who, late(300), Dose::ALWAYS));
        let later = |faults: &mut Faults| faults.fate(&Reply::ack(who).into(), who).later;
        assert_eq!(later(&mut faults), Duration::from_millis(300));
        faults.set(Fault::on(who, late(0), Dose::Off));
        assert_eq!(later(&mut faults), Duration::ZERO);
    }
}
