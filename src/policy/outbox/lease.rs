//! Modules that a client of the shared port has to itself while it transfers a table or firmware.
//!
//! A transfer is a conversation: whatever else is said to the module in between may break it (protocol reference
//! 3.6). A lease begins with the first telegram of a transfer, lives on every further one and ends by itself, so
//! that a client that goes away blocks nobody for long.

use std::collections::BTreeMap;

use super::OutboxPlan;
use crate::conbus::{Function, Reply, SerialNumber, System};
use crate::policy::{Moment, Urgency};

#[derive(Clone, Copy, Debug)]
struct Lease {
    until: Moment,
    /// Firmware is not interrupted by anything.
    whole_bus: bool,
    /// The transfer has ended and the module restarts.
    ending: bool,
}

/// The leases of one gateway.
#[derive(Debug, Default)]
pub(super) struct Leases(BTreeMap<SerialNumber, Lease>);

impl Leases {
    /// A client's telegram was written.
    pub(super) fn written(&mut self, system: &System, plan: &OutboxPlan, now: Moment) {
        self.0.retain(|_, lease| lease.until > now);
        let function = system.function;
        if !function.is_of_table() && !function.is_destructive() {
            return;
        }
        let ending =
            matches!(function, Function::TABLE_END | Function::FIRMWARE_STOP | Function::TOP_FIRMWARE_STOP);
        let rest = match (ending, function.is_destructive()) {
            (true, _) => plan.restart,
            (false, true) => plan.firmware_idle,
            (false, false) => plan.transfer_idle,
        };
        let whole_bus = function.is_destructive() && !ending;
        self.0.insert(system.serial, Lease { until: now + rest, whole_bus, ending });
    }

    /// A module spoke: it may have ended the transfer, or refused it.
    pub(super) fn heard(&mut self, reply: &Reply, plan: &OutboxPlan, now: Moment) {
        let Some(lease) = self.0.get_mut(&reply.serial) else { return };
        match reply.function {
            Function::TABLE_END => {
                *lease = Lease { until: now + plan.restart, whole_bus: false, ending: true }
            }
            Function::NAK if !lease.ending => {
                self.0.remove(&reply.serial);
            }
            _ => {}
        }
    }

    /// When something of this urgency may be said to this module, or to nobody in particular.
    pub(super) fn free_at(&self, serial: Option<SerialNumber>, urgency: Urgency) -> Moment {
        // Probes ask whether anything lives at all; the clients' own turns are the shared port's to give.
        if matches!(urgency, Urgency::LinkProbe | Urgency::StormProbe | Urgency::MuxClient) {
            return Moment::START;
        }
        let binding = self.0.iter().filter(|(leased, lease)| lease.whole_bus || Some(**leased) == serial);
        binding.map(|(_, lease)| lease.until).max().unwrap_or(Moment::START)
    }

    /// The link is gone, or the daemon ends: nothing is left to protect.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
