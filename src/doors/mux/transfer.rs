//! Which client transfers a table or firmware, and to which module. Pure.
//!
//! A transfer is a conversation: its steps make sense only one behind the other (protocol reference 3.6), so its
//! client has the module to itself, or with firmware the bus. It ends with its last step, or when its client says
//! nothing more; the outbox keeps everything else of this daemon off the module in the same way.

use std::collections::BTreeMap;
use std::time::Duration;

use super::judge::{Kind, Refusal};
use super::port::ClientId;
use crate::conbus::{Function, Reply, SerialNumber, System, Telegram};
use crate::policy::{Moment, earliest};

/// How long a client may think between two steps: other programs give a chunk up after two seconds.
const IDLE: Duration = Duration::from_secs(3);

/// The same for firmware, of which nobody knows how long its steps take.
const FIRMWARE_IDLE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
struct Transfer {
    client: ClientId,
    until: Moment,
    firmware: bool,
}

impl Transfer {
    fn rest(&self) -> Duration {
        if self.firmware { FIRMWARE_IDLE } else { IDLE }
    }
}

/// The transfers under way, by module.
#[derive(Debug, Default)]
pub(super) struct Transfers(BTreeMap<SerialNumber, Transfer>);

impl Transfers {
    /// Whether this client may say that now; begins or prolongs a transfer when it does. True when one begins.
    pub(super) fn admit(
        &mut self,
        client: ClientId,
        telegram: &Telegram,
        kind: Kind,
        now: Moment,
    ) -> Result<bool, Refusal> {
        let serial = telegram.serial();
        let bars = |(module, transfer): (&SerialNumber, &Transfer)| {
            transfer.client != client && (transfer.firmware || serial == Some(*module))
        };
        if self.0.iter().any(bars) {
            return Err(Refusal::InTransfer);
        }
        let Some(serial) = serial else { return Ok(false) };
        match kind {
            Kind::TableStart | Kind::FirmwareStart => {
                let transfer = Transfer { client, until: now, firmware: kind == Kind::FirmwareStart };
                self.0.insert(serial, Transfer { until: now + transfer.rest(), ..transfer });
                Ok(true)
            }
            Kind::TablePart | Kind::FirmwarePart => {
                let transfer = self.0.get_mut(&serial).ok_or(Refusal::NoTransfer)?;
                transfer.until = now + transfer.rest();
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// A module spoke: the end of a table ends the transfer.
    pub(super) fn heard(&mut self, reply: &Reply) {
        if reply.function == Function::TABLE_END {
            self.0.remove(&reply.serial);
        }
    }

    /// What a client said to a module was answered, refused or given up.
    pub(super) fn ended(&mut self, system: &System, refused: bool, now: Moment) {
        let function = system.function;
        let is_last =
            matches!(function, Function::TABLE_END | Function::FIRMWARE_STOP | Function::TOP_FIRMWARE_STOP);
        if is_last || (refused && (function.begins_table() || function.is_destructive())) {
            self.0.remove(&system.serial);
        } else if let Some(transfer) = self.0.get_mut(&system.serial) {
            // The time in which the module answered is not the client's.
            transfer.until = transfer.until.max(now + transfer.rest());
        }
    }

    /// This client is gone.
    pub(super) fn left(&mut self, client: ClientId) {
        self.0.retain(|_, transfer| transfer.client != client);
    }

    /// The link is gone, and with it whatever was under way.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Ends those whose client said nothing more; how many.
    pub(super) fn expire(&mut self, now: Moment) -> u64 {
        let before = self.0.len();
        self.0.retain(|_, transfer| transfer.until > now);
        (before - self.0.len()) as u64
    }

    pub(super) fn next_due(&self) -> Option<Moment> {
        self.0.values().map(|transfer| transfer.until).fold(None, |due, until| earliest(due, Some(until)))
    }
}
