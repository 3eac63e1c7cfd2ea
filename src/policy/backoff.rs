//! How long to wait before the next dial (fault row 1 of the reliability notes).
//!
//! Owns the arithmetic of the delays; it knows neither sockets nor clocks. Randomness is a seed argument, so
//! that a run can be repeated.

use std::time::Duration;

/// The limits of a back-off, validated once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackoffPlan {
    first: Duration,
    cap: Duration,
    floor: Duration,
    stable_after: Duration,
}

/// Why four durations are not a back-off plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BackoffPlanError {
    /// One of them is zero: the dialler would spin, or forget every failure.
    #[error("a back-off duration is zero")]
    Zero,
    /// The first delay could not reach the least one.
    #[error("the first delay `{first:?}` is below the least delay `{floor:?}`")]
    FirstBelowFloor {
        /// The upper end of the first delay.
        first: Duration,
        /// The least delay.
        floor: Duration,
    },
    /// The delays could not grow.
    #[error("the first delay `{first:?}` is above the longest delay `{cap:?}`")]
    FirstAboveCap {
        /// The upper end of the first delay.
        first: Duration,
        /// The longest delay.
        cap: Duration,
    },
}

impl BackoffPlan {
    /// A plan whose delays lie between `floor` and an upper end that starts at `first` and doubles up to `cap`;
    /// a link that was up for `stable_after` starts again at `first`.
    pub fn new(
        first: Duration,
        cap: Duration,
        floor: Duration,
        stable_after: Duration,
    ) -> Result<Self, BackoffPlanError> {
        if [first, cap, floor, stable_after].contains(&Duration::ZERO) {
            return Err(BackoffPlanError::Zero);
        }
        if first < floor {
            return Err(BackoffPlanError::FirstBelowFloor { first, floor });
        }
        if first > cap {
            return Err(BackoffPlanError::FirstAboveCap { first, cap });
        }
        Ok(Self { first, cap, floor, stable_after })
    }

    /// The plan for dialling a gateway: 500 ms doubling to 5 s, and never less than 250 ms between close and
    /// dial, because the bridge needs that time to notice that its one client is gone.
    pub fn gateway() -> Self {
        Self {
            first: Duration::from_millis(500),
            cap: Duration::from_secs(5),
            floor: Duration::from_millis(250),
            stable_after: Duration::from_secs(10),
        }
    }

    /// The least delay.
    pub fn floor(&self) -> Duration {
        self.floor
    }

    /// The longest delay.
    pub fn cap(&self) -> Duration {
        self.cap
    }

    /// The delay after `attempt` failures in a row: full jitter between the floor and the doubled upper end.
    ///
    /// The same attempt and seed always give the same delay; any seed will do, a counter included.
    pub fn delay(&self, attempt: u32, seed: u64) -> Duration {
        let factor = 2_u32.checked_pow(attempt).unwrap_or(u32::MAX);
        let upper = self.first.saturating_mul(factor).min(self.cap);
        let span = u64::try_from(upper.saturating_sub(self.floor).as_micros()).unwrap_or(u64::MAX);
        self.floor + Duration::from_micros(spread(seed) % span.saturating_add(1).max(1))
    }
}

/// Turns neighbouring seeds into numbers far apart (the finaliser of `SplitMix64`), so that a counter is as good
/// a seed as a random number.
fn spread(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Counts the failures in a row of one link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    plan: BackoffPlan,
    attempt: u32,
}

impl Backoff {
    /// A link that has not failed yet.
    pub fn new(plan: BackoffPlan) -> Self {
        Self { plan, attempt: 0 }
    }

    /// The delay between now, with the old socket closed, and the next dial.
    pub fn delay(&self, seed: u64) -> Duration {
        self.plan.delay(self.attempt, seed)
    }

    /// Notes a dial that did not lead to a link.
    pub fn failed(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
    }

    /// Notes the end of a link that was up for this long.
    ///
    /// One that did not last counts as a failure: a gateway that accepts and hangs up must not be dialled at
    /// full speed.
    pub fn link_was_up(&mut self, up_for: Duration) {
        if up_for >= self.plan.stable_after {
            self.attempt = 0;
        } else {
            self.failed();
        }
    }

    /// How many failures in a row.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_plan_that_cannot_work_is_refused_with_a_sentence() {
        let plan = |first, cap, floor, stable| BackoffPlan::new(ms(first), ms(cap), ms(floor), ms(stable));
        assert_eq!(plan(500, 5000, 250, 10_000), Ok(BackoffPlan::gateway()));
        for zero in [plan(0, 1, 1, 1), plan(1, 0, 1, 1), plan(1, 1, 0, 1), plan(1, 1, 1, 0)] {
            assert_eq!(zero, Err(BackoffPlanError::Zero));
        }
        assert_eq!(
            plan(100, 5000, 250, 1).unwrap_err().to_string(),
            "the first delay `100ms` is below the least delay `250ms`"
        );
        assert_eq!(
            plan(6000, 5000, 250, 1).unwrap_err().to_string(),
            "the first delay `6s` is above the longest delay `5s`"
        );
        assert!(plan(250, 250, 250, 1).is_ok(), "a constant delay is a plan");
    }

    #[test]
    fn the_upper_end_doubles_up_to_the_cap() {
        let plan = BackoffPlan::gateway();
        let upper = |attempt| (0..2000).map(|seed| plan.delay(attempt, seed)).max().unwrap();
        for (attempt, limit) in [(0, 500), (1, 1000), (2, 2000), (3, 4000), (4, 5000), (40, 5000)] {
            let highest = upper(attempt);
            assert!(highest <= ms(limit) && highest > ms(limit) * 98 / 100, "{attempt}: {highest:?}");
        }
    }

    #[test]
    fn seeds_that_count_up_spread_over_the_whole_range() {
        let plan = BackoffPlan::gateway();
        let mut tenths = [0_u32; 10];
        for seed in 0..1000 {
            let above = plan.delay(9, seed).saturating_sub(plan.floor()).as_secs_f64();
            let part = above / plan.cap().saturating_sub(plan.floor()).as_secs_f64();
            tenths[((part * 10.0) as usize).min(9)] += 1;
        }
        assert!(tenths.iter().all(|count| (60..=140).contains(count)), "{tenths:?}");
    }

    #[test]
    fn only_a_link_that_lasted_starts_again_at_the_first_delay() {
        let mut backoff = Backoff::new(BackoffPlan::gateway());
        backoff.failed();
        backoff.failed();
        backoff.link_was_up(ms(9_999));
        assert_eq!(backoff.attempt(), 3, "accepted and hung up: still failing");
        backoff.link_was_up(ms(10_000));
        assert_eq!(backoff.attempt(), 0);
    }

    proptest! {
        #[test]
        fn a_delay_is_never_below_the_floor_nor_above_the_cap(
            floor in 1_u64..10_000, above in 0_u64..10_000, beyond in 0_u64..100_000,
            attempt: u32, seed: u64,
        ) {
            let (first, cap) = (floor + above, floor + above + beyond);
            let plan = BackoffPlan::new(ms(first), ms(cap), ms(floor), ms(1)).unwrap();
            let delay = plan.delay(attempt, seed);
            prop_assert!(delay >= ms(floor) && delay <= ms(cap));
            prop_assert_eq!(delay, plan.delay(attempt, seed));
        }
    }
}
