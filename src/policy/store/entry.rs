//! What is known of one output.

use std::time::Duration;

use super::plan::{ModulePlan, Want};
use crate::conbus::Percent;
use crate::policy::settle::PointValue;
use crate::policy::{Freshness, GatewayId, Moment, Origin, Reading};

/// One aspect as last observed. Packed, and so without its origin: there are two in each entry of the house.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed)]
pub(super) struct Seen<T> {
    pub(super) value: T,
    /// The output had this state at some time since then.
    pub(super) at: Moment,
    /// Something happened since that may have changed it unheard.
    pub(super) doubtful: bool,
}

impl<T: Copy> Seen<T> {
    fn is_since(self, need: Moment) -> bool {
        let at = self.at;
        at >= need
    }

    fn freshness(&self, link_up: bool, ttl: Duration, now: Moment) -> Freshness {
        let at = self.at;
        if link_up && !self.doubtful && now <= at + ttl { Freshness::Fresh } else { Freshness::Stale }
    }
}

/// The state of one output.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) gateway: GatewayId,
    pub(super) on: Option<Seen<bool>>,
    /// How on/off came to be known; from an earlier run unless it was observed in this one.
    pub(super) origin: Origin,
    pub(super) level: Option<Seen<Percent>>,
    pub(super) revision: u64,
    /// Whether the output has a level that its module tells.
    pub(super) levelled: bool,
}

impl Entry {
    pub(super) fn new(plan: &ModulePlan, level_unsupported: bool) -> Self {
        let levelled = plan.dimmable && !level_unsupported;
        Self { gateway: plan.gateway, on: None, origin: Origin::Snapshot, level: None, revision: 0, levelled }
    }

    /// Whether the level is part of the state now: of a dimmer that is on.
    pub(super) fn level_counts(&self) -> bool {
        self.levelled && self.on.is_some_and(|on| on.value)
    }

    /// Whether this value is known already.
    pub(super) fn agrees(&self, value: PointValue) -> bool {
        match value {
            PointValue::On(on) => self.on.is_some_and(|seen| seen.value == on),
            PointValue::Level(level) => self.level.is_some_and(|seen| seen.value == level),
        }
    }

    /// Whether what is known, if fresh, is good enough.
    pub(super) fn satisfies(&self, want: Want) -> bool {
        let Want::Since(need) = want else { return true };
        self.on.is_some_and(|on| on.is_since(need))
            && (!self.level_counts() || self.level.is_some_and(|level| level.is_since(need)))
    }

    pub(super) fn reading(&self, link_up: bool, ttl: Duration, now: Moment) -> Reading {
        let Some(on) = &self.on else {
            let level = self.level.map(|level| level.value);
            return Reading { level, revision: self.revision, ..Reading::UNKNOWN };
        };
        let mut freshness = on.freshness(link_up, ttl, now);
        let mut observed_at = on.at;
        if self.level_counts() {
            match &self.level {
                None => freshness = Freshness::Unknown,
                Some(level) => {
                    freshness = freshness.max(level.freshness(link_up, ttl, now));
                    observed_at = observed_at.min(level.at);
                }
            }
        }
        Reading {
            on: Some(on.value),
            level: self.level.map(|level| level.value),
            freshness,
            observed_at: Some(observed_at),
            origin: Some(self.origin),
            revision: self.revision,
        }
    }

    /// From when on it is no longer fresh by age.
    pub(super) fn expires_at(&self, ttl: Duration) -> Moment {
        let level = self.level.filter(|_| self.level_counts()).map(|level| level.at);
        let oldest = self.on.map(|on| on.at).into_iter().chain(level).min().unwrap_or(Moment::START);
        oldest + ttl + Duration::from_micros(1)
    }

    pub(super) fn distrust(&mut self) {
        if let Some(on) = &mut self.on {
            on.doubtful = true;
        }
        if let Some(level) = &mut self.level {
            level.doubtful = true;
        }
    }
}
