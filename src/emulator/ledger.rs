//! What happened in the house, for tests to look at.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;

use crate::conbus::Telegram;

/// How many telegrams the transcript keeps; older ones are only counted.
const TRANSCRIPT_MAX: usize = 200_000;
/// How many different requests are counted one by one.
const DISTINCT_MAX: usize = 10_000;

/// Which way a telegram went through the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the client to the bus: the TX of a capture.
    FromClient,
    /// From the bus to the client: the RX of a capture.
    ToClient,
}

/// One telegram that passed the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Passed {
    /// Since the house was switched on.
    pub at: Duration,
    /// Which way.
    pub direction: Direction,
    /// What.
    pub telegram: Telegram,
}

/// What the gateway has counted since the house was switched on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counters {
    /// Telegrams from clients with a good checksum and form.
    pub telegrams_received: u64,
    /// Telegrams to clients, spoilt ones included.
    pub telegrams_sent: u64,
    /// Pieces from clients that are not telegrams.
    pub noise_received: u64,
    /// Connections that were served.
    pub connections: u64,
    /// Connections that were closed at once.
    pub connections_refused: u64,
    /// Sockets that are open now.
    pub connections_open: u64,
    /// The most sockets that were open at one time, refused ones included.
    pub connections_open_max: u64,
    /// The shortest time from the end of one connection to the next attempt.
    #[serde(rename = "connection_gap_min_ms", serialize_with = "as_millis")]
    pub connection_gap_min: Option<Duration>,
    /// Telegrams that were not sent on because the client did not read, or because too many were waiting.
    pub telegrams_dropped: u64,
    /// Actions that were not carried out because too many had led to them.
    pub chains_cut: u64,
    /// Actions of tables whose effect is not known, so that nothing was done.
    pub actions_unknown: u64,
    /// How often each telegram was received, by its frame.
    pub received: BTreeMap<String, u64>,
    /// How often each fault struck.
    pub faults: BTreeMap<&'static str, u64>,
}

#[expect(clippy::ref_option, reason = "the form that serde calls")]
fn as_millis<S: serde::Serializer>(gap: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&gap.map(|gap| gap.as_millis() as u64))
}

/// The counters and the transcript.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) counters: Counters,
    transcript: VecDeque<Passed>,
    last_closed: Option<Duration>,
}

impl Ledger {
    pub(super) fn heard(&mut self, at: Duration, telegram: &Telegram) {
        self.counters.telegrams_received += 1;
        let frame = telegram.to_string();
        if self.counters.received.len() < DISTINCT_MAX || self.counters.received.contains_key(&frame) {
            *self.counters.received.entry(frame).or_default() += 1;
        }
        self.note(Passed { at, direction: Direction::FromClient, telegram: telegram.clone() });
    }

    /// `telegram` is missing for noise.
    pub(super) fn told(&mut self, at: Duration, telegram: Option<&Telegram>) {
        self.counters.telegrams_sent += 1;
        if let Some(telegram) = telegram {
            self.note(Passed { at, direction: Direction::ToClient, telegram: telegram.clone() });
        }
    }

    pub(super) fn opened(&mut self, at: Duration) {
        let counters = &mut self.counters;
        counters.connections_open += 1;
        counters.connections_open_max = counters.connections_open_max.max(counters.connections_open);
        if let Some(closed) = self.last_closed {
            let gap = at.saturating_sub(closed);
            counters.connection_gap_min =
                Some(counters.connection_gap_min.map_or(gap, |shortest| shortest.min(gap)));
        }
    }

    pub(super) fn closed(&mut self, at: Duration) {
        self.counters.connections_open = self.counters.connections_open.saturating_sub(1);
        self.last_closed = Some(at);
    }

    pub(super) fn transcript(&self) -> impl Iterator<Item = &Passed> {
        self.transcript.iter()
    }

    fn note(&mut self, passed: Passed) {
        if self.transcript.len() >= TRANSCRIPT_MAX {
            self.transcript.pop_front();
        }
        self.transcript.push_back(passed);
    }
}
