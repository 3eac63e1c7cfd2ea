//! A telegram that waits to be written, and one that waits for its answer.

use super::{Delivered, Effect, Ending, OutboxPlan, Ticket};
use crate::conbus::{Datapoint, Function, Reply, System, Telegram};
use crate::policy::{BusError, Moment, Urgency};

/// What answers a telegram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expects {
    /// A reply with this datapoint.
    Value(Datapoint),
    /// ACK or NAK: they carry only the serial number, so no more than one command may be open (protocol
    /// reference 3.1).
    Ack,
    /// A chunk of a table or its end; the ACK before the first one is not the answer (protocol reference 3.6).
    Chunk,
    /// Any number of replies within a window.
    Many,
    /// Nothing: an injected event.
    Nothing,
}

impl Expects {
    pub(super) fn of(telegram: &Telegram) -> Self {
        match telegram {
            Telegram::System(system) if system.serial.is_broadcast() => Self::Many,
            Telegram::System(system) => system.reads().map_or(Self::ack_of(system), Self::Value),
            Telegram::Event(_) | Telegram::Reply(_) => Self::Nothing,
        }
    }

    fn ack_of(system: &System) -> Self {
        match system.function {
            // F26 is never answered (protocol reference 3).
            Function::AFTER_DISCOVERY => Self::Nothing,
            Function::TABLE_DOWNLOAD | Function::MODULE_TABLE_DOWNLOAD | Function::ACK => Self::Chunk,
            _ => Self::Ack,
        }
    }
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) telegram: Telegram,
    pub(super) tickets: Vec<Ticket>,
    pub(super) deadline: Moment,
    pub(super) expects: Expects,
    pub(super) attempt: u8,
}

impl Queued {
    pub(super) fn end(self, outcome: Result<Delivered, BusError>, effects: &mut Vec<Effect>) {
        effects.extend(self.tickets.into_iter().map(|ticket| Effect::Ended { ticket, outcome }));
    }
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) queued: Queued,
    pub(super) key: (Urgency, u64),
    pub(super) sent_at: Moment,
    pub(super) until: Moment,
}

impl Flight {
    /// Whether it may be said again: only reads, and not for ever. A client of the shared port repeats its own.
    pub(super) fn may_repeat(&self, plan: &OutboxPlan, now: Moment) -> bool {
        matches!(self.queued.expects, Expects::Value(_))
            && self.key.0 != Urgency::MuxClient
            && self.queued.attempt < plan.read_retries
            && self.queued.deadline > now
    }

    /// How this reply ends the exchange; `None` when it does not belong to it.
    pub(super) fn answered_by(&self, reply: &Reply) -> Option<Ending> {
        if self.queued.telegram.serial() != Some(reply.serial) {
            return None;
        }
        match (self.queued.expects, reply.function) {
            (Expects::Value(_) | Expects::Ack | Expects::Chunk, Function::NAK) => Some(Ending::Refused),
            (Expects::Chunk, Function::TABLE_CHUNK | Function::TABLE_END) | (Expects::Ack, Function::ACK) => {
                Some(Ending::Answered)
            }
            (Expects::Value(asked), Function::READ_DATAPOINT) => {
                let (datapoint, value) = reply.datapoint()?;
                (datapoint == asked).then_some(if value == b"??" {
                    Ending::Refused
                } else {
                    Ending::Answered
                })
            }
            // Discovery of one module, or a table read: its own function answers it.
            (Expects::Ack, function) => {
                let Telegram::System(system) = &self.queued.telegram else { return None };
                (function == system.function).then_some(Ending::Answered)
            }
            _ => None,
        }
    }
}
