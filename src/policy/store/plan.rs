//! What a store is built from, what readers want, what it counts.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Serialize;

use crate::conbus::SerialNumber;
use crate::policy::settle::Settle;
use crate::policy::{GatewayId, Moment};

/// The settings of a store.
#[derive(Clone, Copy, Debug)]
pub struct StorePlan {
    /// False: no read is answered from memory while the bus can be asked.
    pub enabled: bool,
    /// How long an observation counts as fresh.
    pub ttl: Duration,
    /// How many outputs are remembered; the least recently used goes first.
    pub max_entries: NonZeroUsize,
    /// How many readers may wait at once.
    pub max_waiters: usize,
    /// How long a reader waits at most.
    pub patience: Duration,
    /// The times of the update rule.
    pub settle: Settle,
}

impl StorePlan {
    /// How long a reader waits for the bus at most.
    pub const PATIENCE: Duration = Duration::from_secs(3);
    /// How many readers may wait: 16 controllers that ask for 64 lamps each at the same time.
    pub const WAITERS_MAX: usize = 1024;
}

/// A module whose outputs the store may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModulePlan {
    /// Its address.
    pub serial: SerialNumber,
    /// Behind which gateway.
    pub gateway: GatewayId,
    /// How many outputs.
    pub outputs: u8,
    /// Whether they have levels.
    pub dimmable: bool,
}

/// How good an answer a reader needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// Whatever is known, also nothing; never waits.
    Any,
    /// Whatever is known; waits only when nothing is.
    Known,
    /// Observed no earlier than this.
    Since(Moment),
}

/// Totals since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counters {
    /// Reads answered with a fresh value.
    #[serde(rename = "hits_total")]
    pub hits: u64,
    /// Reads that found a value that was stale, or not new enough for the reader.
    #[serde(rename = "stale_total")]
    pub stale: u64,
    /// Reads that found nothing.
    #[serde(rename = "misses_total")]
    pub misses: u64,
    /// Outputs forgotten to make room.
    #[serde(rename = "evictions_total")]
    pub evictions: u64,
    /// Outputs that grew stale by age.
    #[serde(rename = "expirations_total")]
    pub expirations: u64,
    /// Replies that might have been older than what was known.
    #[serde(rename = "updates_refused_total")]
    pub updates_refused: u64,
    /// Reads of a module that were asked for.
    #[serde(rename = "fetches_total")]
    pub fetches: u64,
}
