//! What a connection counts and measures, and how it tells that.

use std::time::Duration;

use actix::{Context, Handler};
use serde::Serialize;

use super::Connection;
use crate::actors::events::{LinkState, Measure, Observe};
use crate::actors::now;
use crate::conbus::{NoiseCause, Telegram};
use crate::policy::BusError;
use crate::policy::figures::{Histogram, Sheet, names};

/// What ended a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lost {
    /// The gateway closed it.
    Closed,
    /// The system told an error.
    Broken,
    /// Nothing answered.
    Silent,
    /// The gateway took no more bytes.
    Stalled,
}

const LOST: [(Lost, &str); 4] = [
    (Lost::Closed, "closed"),
    (Lost::Broken, "broken"),
    (Lost::Silent, "silent"),
    (Lost::Stalled, "stalled"),
];

const NOISE: [(NoiseCause, &str); 3] =
    [(NoiseCause::Checksum, "checksum"), (NoiseCause::Grammar, "grammar"), (NoiseCause::Framing, "framing")];

const TYPES: [&str; 3] = ["event", "system", "reply"];

/// The totals of the status contract.
#[derive(Debug, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the status contract")]
pub(super) struct Counters {
    pub(super) connects_total: u64,
    pub(super) dials_total: u64,
    pub(super) telegrams_sent_total: u64,
    pub(super) telegrams_received_total: u64,
    pub(super) noise_total: u64,
    pub(super) news_lost_total: u64,
}

/// What is told to watchers only.
#[derive(Debug)]
pub(super) struct Tally {
    received: [u64; TYPES.len()],
    noise: [u64; NOISE.len()],
    reconnects: [u64; LOST.len()],
    /// What ended the link before, while there is none.
    lost: Option<Lost>,
    waits: Histogram,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            received: Default::default(),
            noise: Default::default(),
            reconnects: Default::default(),
            lost: None,
            waits: Histogram::new(names::IN_THE_QUEUE),
        }
    }
}

impl Tally {
    pub(super) fn heard(&mut self, telegram: &Telegram) {
        self.received[match telegram {
            Telegram::Event(_) => 0,
            Telegram::System(_) => 1,
            Telegram::Reply(_) => 2,
        }] += 1;
    }

    pub(super) fn noise(&mut self, why: NoiseCause) {
        add(&mut self.noise, &NOISE, why);
    }

    pub(super) fn lost(&mut self, why: Lost) {
        self.lost = Some(why);
    }

    pub(super) fn connected(&mut self) {
        if let Some(why) = self.lost.take() {
            add(&mut self.reconnects, &LOST, why);
        }
    }

    /// A telegram that was answered had waited this long to be written.
    pub(super) fn waited(&mut self, waited: Duration) {
        self.waits.took(waited);
    }

    fn note(&self, gateway: &str, sheet: &mut Sheet) {
        for ((_, reason), total) in LOST.iter().zip(self.reconnects) {
            sheet.count(&names::RECONNECTS, &[gateway, reason], total);
        }
        for ((_, reason), total) in NOISE.iter().zip(self.noise) {
            sheet.count(&names::INVALID, &[gateway, reason], total);
        }
        for (sort, total) in TYPES.iter().zip(self.received) {
            sheet.count(&names::RECEIVED, &[gateway, sort], total);
        }
        sheet.took(&names::QUEUE_TIME, &[gateway], &self.waits);
    }
}

fn add<T: Copy + PartialEq>(totals: &mut [u64], names: &[(T, &str)], which: T) {
    if let Some(place) = names.iter().position(|(name, _)| *name == which) {
        totals[place] += 1;
    }
}

impl Handler<Observe> for Connection {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        let mut picture = serde_json::to_value(&self.counters).unwrap_or_default();
        picture["link"] = serde_json::json!(self.state);
        picture["reason"] = self.trouble.as_deref().into();
        picture["degraded"] = self.quality.is_degraded().into();
        picture["address"] = self.dial.target().into();
        picture["exchanges_joined_total"] = self.outbox.joined_total().into();
        picture["timeouts_total"] = self.outbox.timeouts_total().into();
        picture["queue"] = self.outbox.len().into();
        picture["waits"] = serde_json::to_value(self.outbox.waits()).unwrap_or_default();
        picture["up_ms"] = self.up_since.map(|since| now().since(since).as_millis() as u64).into();
        Ok(picture)
    }
}

impl Handler<Measure> for Connection {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        let mut sheet = Sheet::default();
        let gateway = &*self.plan.name;
        sheet.flag(&names::CONNECTED, &[gateway], self.state == LinkState::Up);
        sheet.count(&names::FACTS_LOST, &[gateway], self.counters.news_lost_total);
        self.tally.note(gateway, &mut sheet);
        self.outbox.measure(gateway, &mut sheet);
        Ok(sheet)
    }
}
