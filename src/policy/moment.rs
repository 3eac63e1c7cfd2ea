//! Time as an argument.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign};
use std::time::Duration;

/// A point in monotonic time, in microseconds; the process (or the test) began at [`Moment::START`].
///
/// What was observed before a restart lies before the beginning. Never zero, so that a moment that may be absent takes no
/// more room than one.
/// Only the actors read a clock; policies get moments and answer with moments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// The beginning.
    pub const START: Self = Self(NonZeroU64::MIN.saturating_add((1 << 60) - 1));

    /// The moment this long after the beginning.
    pub fn after_start(since: Duration) -> Self {
        Self::START + since
    }

    /// How long after the beginning this is; zero when it is before.
    pub fn since_start(self) -> Duration {
        self.since(Self::START)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// The moment this long before.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(NonZeroU64::new(self.0.get().saturating_sub(micros(span))).unwrap_or(NonZeroU64::MIN))
    }
}

fn micros(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(span.subsec_micros()))
}

impl Default for Moment {
    fn default() -> Self {
        Self::START
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.since_start())
    }
}

/// The earlier of two deadlines, either of which may be absent.
pub fn earliest(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
