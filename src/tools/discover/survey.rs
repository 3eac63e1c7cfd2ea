//! Who is on the bus: three broadcasts, their union, then the identity reads of each module (protocol reference 3.2).
//!
//! Pure: it says what is to be asked and when, and keeps what was told. One read at a time for each module, spaced
//! as the daemon spaces its background reads.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::conbus::{Datapoint, DatapointValue, Function, ModuleType, SerialNumber, System, Telegram};
use crate::policy::outbox::{Delivered, Outbox, Ticket};
use crate::policy::{BusError, Moment, Urgency};
use crate::tools::line::Asker;

/// Answers collide and get lost, so it is asked more than once.
const BROADCASTS: u8 = 3;
/// More than any bus can carry; a gateway that tells of more tells nonsense.
pub(super) const MODULES_MAX: usize = 500;
/// Whoever waits longer for its turn is not asked.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two reads of one module.
const SPACING: Duration = Duration::from_millis(200);
/// The same for an XP33LR, which asked faster may repeat itself without end (protocol reference 7.5).
const SPACING_XP33LR: Duration = Duration::from_secs(2);
/// After so many reads in a row without an answer a module is left alone.
const UNANSWERED_MAX: usize = 2;

/// What is read of each module; the type first, as the pace depends on it.
const READS: [Datapoint; 9] = [
    Datapoint::TYPE_CODE,
    Datapoint::LINK,
    Datapoint::AUTO_REPORT,
    Datapoint::SOFTWARE_VERSION,
    Datapoint::MODULE_NUMBER,
    Datapoint::HARDWARE_VERSION,
    Datapoint::TYPE_NAME,
    Datapoint::ERROR_CODE,
    Datapoint::TABLE_CRC,
];

/// What one module told of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// D07; a code outside the registry too.
    pub(crate) module_type: Option<ModuleType>,
    /// D04.
    pub(crate) link: Option<u8>,
    /// D05.
    pub(crate) number: Option<u16>,
    /// D00, D01 and D02 as they were told.
    pub(crate) names: [Option<String>; 3],
    /// D21.
    pub(crate) auto_report: Option<bool>,
    /// D10.
    pub(crate) error_code: Option<u8>,
    /// D14.
    pub(crate) table_crc: Option<u32>,
    /// Which reads nothing answered.
    pub(crate) unanswered: Vec<Datapoint>,
}

/// A module and what is still to be read of it.
#[derive(Debug)]
struct Visit {
    found: Found,
    left: VecDeque<Datapoint>,
    asking: Option<(Ticket, Datapoint)>,
    ready_at: Moment,
}

/// The whole conversation.
#[derive(Debug, Default)]
pub(super) struct Survey {
    broadcasts: u8,
    broadcasting: Option<Ticket>,
    visits: BTreeMap<SerialNumber, Visit>,
    /// Whether there were more modules than can be.
    pub(super) overflown: bool,
    /// How many telegrams were heard at all.
    pub(super) heard: u64,
    words: Vec<String>,
}

impl Survey {
    /// What there is to say since it was last asked.
    pub(super) fn words(&mut self) -> Vec<String> {
        std::mem::take(&mut self.words)
    }

    /// What was found.
    pub(super) fn found(self) -> BTreeMap<SerialNumber, Found> {
        self.visits.into_iter().map(|(serial, visit)| (serial, visit.found)).collect()
    }

    fn is_listening(&self) -> bool {
        self.broadcasts < BROADCASTS || self.broadcasting.is_some()
    }

    fn meet(&mut self, serial: SerialNumber, now: Moment) {
        if serial.is_broadcast() || self.visits.contains_key(&serial) {
            return;
        }
        if self.visits.len() >= MODULES_MAX {
            self.overflown = true;
            return;
        }
        let visit = Visit { found: Found::default(), left: READS.into(), asking: None, ready_at: now };
        self.visits.insert(serial, visit);
    }
}

impl Visit {
    fn observe(&mut self, datapoint: Datapoint, value: DatapointValue) {
        let found = &mut self.found;
        let name = |value| match value {
            DatapointValue::Text(text) => Some(text),
            _ => None,
        };
        match (datapoint, value) {
            (Datapoint::TYPE_NAME, value) => found.names[0] = name(value),
            (Datapoint::HARDWARE_VERSION, value) => found.names[1] = name(value),
            (Datapoint::SOFTWARE_VERSION, value) => found.names[2] = name(value),
            (_, DatapointValue::TypeCode(module_type)) => found.module_type = Some(module_type),
            (_, DatapointValue::Link(link)) => found.link = Some(link).filter(|link| *link <= 99),
            (_, DatapointValue::ModuleNumber(number)) => found.number = Some(number),
            (_, DatapointValue::AutoReport(on)) => found.auto_report = Some(on),
            (_, DatapointValue::ErrorCode(code)) => found.error_code = Some(code),
            (Datapoint::TABLE_CRC, DatapointValue::Crc(crc)) => found.table_crc = Some(crc),
            _ => {}
        }
    }

    fn spacing(&self) -> Duration {
        if self.found.module_type == Some(ModuleType::XP33LR) { SPACING_XP33LR } else { SPACING }
    }

    fn is_done(&self) -> bool {
        self.left.is_empty() && self.asking.is_none()
    }
}

impl Asker for Survey {
    fn heard(&mut self, telegram: &Telegram, now: Moment) {
        self.heard += 1;
        let Telegram::Reply(reply) = telegram else { return };
        if self.is_listening() && reply.function == Function::DISCOVERY {
            self.meet(reply.serial, now);
        }
        if let (Some(visit), Some((datapoint, value))) = (self.visits.get_mut(&reply.serial), reply.value()) {
            visit.observe(datapoint, value);
        }
    }

    fn ask(&mut self, outbox: &mut Outbox, now: Moment) {
        if self.is_listening() {
            if self.broadcasting.is_none() {
                let asked = outbox.submit(System::discover().into(), Urgency::Reader, now + PATIENCE);
                self.broadcasting = asked.ok();
            }
            return;
        }
        for (serial, visit) in &mut self.visits {
            if visit.asking.is_some() || visit.ready_at > now {
                continue;
            }
            let Some(datapoint) = visit.left.front().copied() else { continue };
            let read = System::read(*serial, datapoint);
            let Ok(ticket) = outbox.submit(read.into(), Urgency::WarmUp, now + PATIENCE) else {
                // No room: there will be some when exchanges have ended.
                visit.ready_at = now + SPACING;
                continue;
            };
            visit.left.pop_front();
            visit.asking = Some((ticket, datapoint));
        }
    }

    fn ended(&mut self, ticket: Ticket, outcome: Result<Delivered, BusError>, now: Moment) {
        if self.broadcasting.take_if(|open| *open == ticket).is_some() {
            self.broadcasts += 1;
            self.words.push(format!(
                "asked who is there, {} of {BROADCASTS}: {} modules so far",
                self.broadcasts,
                self.visits.len()
            ));
            for visit in self.visits.values_mut() {
                visit.ready_at = now;
            }
            return;
        }
        let total = self.visits.len();
        let of_ticket = |visit: &&mut Visit| visit.asking.is_some_and(|(asked, _)| asked == ticket);
        let Some(visit) = self.visits.values_mut().find(of_ticket) else { return };
        let Some((_, datapoint)) = visit.asking.take() else { return };
        if !matches!(outcome, Ok(_) | Err(BusError::Refused)) {
            visit.found.unanswered.push(datapoint);
            if visit.found.unanswered.len() >= UNANSWERED_MAX && visit.found.module_type.is_none() {
                visit.left.clear();
            }
        }
        visit.ready_at = now + visit.spacing();
        if visit.is_done() {
            let done = self.visits.values().filter(|visit| visit.is_done()).count();
            self.words.push(format!("read {done} of {total} modules"));
        }
    }

    fn next_due(&self) -> Option<Moment> {
        if self.is_listening() {
            return None;
        }
        let waiting = self.visits.values().filter(|visit| visit.asking.is_none() && !visit.left.is_empty());
        waiting.map(|visit| visit.ready_at).min()
    }

    fn is_done(&self) -> bool {
        !self.is_listening() && self.visits.values().all(Visit::is_done)
    }
}
