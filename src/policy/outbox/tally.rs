//! What the outbox counts and measures for watchers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pending::Expects;
use crate::policy::Urgency;
use crate::policy::figures::{Histogram, Sheet, names};

#[derive(Debug)]
pub(super) struct Tally {
    written: BTreeMap<Urgency, u64>,
    reads: Histogram,
    writes: Histogram,
}

impl Default for Tally {
    fn default() -> Self {
        let times = || Histogram::new(names::ON_THE_BUS);
        Self { written: BTreeMap::new(), reads: times(), writes: times() }
    }
}

impl Tally {
    pub(super) fn written(&mut self, urgency: Urgency) {
        *self.written.entry(urgency).or_default() += 1;
    }

    /// An exchange was answered, be it by a refusal.
    pub(super) fn answered(&mut self, expected: Expects, took: Duration) {
        match expected {
            Expects::Value(_) => self.reads.took(took),
            _ => self.writes.took(took),
        }
    }

    pub(super) fn note(&self, gateway: &str, waiting: impl Iterator<Item = Urgency>, sheet: &mut Sheet) {
        let mut depths: BTreeMap<Urgency, u32> = BTreeMap::new();
        waiting.for_each(|urgency| *depths.entry(urgency).or_default() += 1);
        for urgency in Urgency::ALL {
            let labels = [gateway, urgency.name()];
            sheet.count(&names::SENT, &labels, self.written.get(&urgency).copied().unwrap_or_default());
            let depth = depths.get(&urgency).copied().unwrap_or_default();
            sheet.level(&names::QUEUE, &labels, f64::from(depth));
        }
        sheet.took(&names::REQUEST_TIME, &[gateway, "read"], &self.reads);
        sheet.took(&names::REQUEST_TIME, &[gateway, "write"], &self.writes);
    }
}
