//! What is due on one gateway, and when its bus time is paid for.

use std::time::Duration;

use crate::conbus::SerialNumber;
use crate::policy::{Agenda, Moment, earliest};

/// Why a background turn was due.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Early,
    Poll,
}

/// What the schedule knows of one gateway.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) up: bool,
    /// When the next background turn is paid for.
    pub(super) free_at: Moment,
    /// Keyed by rank, so that modules due at the same moment keep the order of their last use.
    pub(super) warm_up: Agenda<(usize, SerialNumber)>,
    pub(super) early: Agenda<SerialNumber>,
    pub(super) periodic: Agenda<SerialNumber>,
}

impl Lane {
    /// When something is due; never while it is down.
    pub(super) fn next_due(&self) -> Option<Moment> {
        earliest(self.warm_up.next_due(), self.next_background()).filter(|_| self.up)
    }

    fn next_background(&self) -> Option<Moment> {
        earliest(self.early.next_due(), self.periodic.next_due()).map(|due| due.max(self.free_at))
    }

    pub(super) fn forget(&mut self, serial: SerialNumber) {
        self.warm_up.retain(|(_, other)| *other != serial);
        self.early.clear(serial);
        self.periodic.clear(serial);
    }

    /// Takes the most overdue module. An early refresh counts as one `boost` more overdue than it is: it goes
    /// ahead, yet a waiting poll grows older than any early refresh that is still to come, so none starves.
    pub(super) fn take_background(&mut self, now: Moment, boost: Duration) -> Option<(SerialNumber, Why)> {
        let early = self.early.next_due().filter(|due| *due <= now);
        let periodic = self.periodic.next_due().filter(|due| *due <= now);
        let early_first = match (early, periodic) {
            (Some(early), Some(periodic)) => early.before(boost) <= periodic,
            (early, _) => early.is_some(),
        };
        if early_first {
            Some((self.early.pop_due(now)?, Why::Early))
        } else {
            Some((self.periodic.pop_due(now)?, Why::Poll))
        }
    }
}
