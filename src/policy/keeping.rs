//! When the state is worth writing down: seldom enough for a memory card, often enough for its owner. Pure.

use std::time::Duration;

use serde::Serialize;

use super::{Moment, Snapshot};

/// How often at most, and at least.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepingPlan {
    /// Between two looks at what is known; a lamp that was switched is written at the next one.
    pub look_every: Duration,
    /// Between two writes when only ages and the order of use have changed.
    pub refresh_every: Duration,
}

impl Default for KeepingPlan {
    fn default() -> Self {
        // A card stands a hundred thousand writes of a block: at one in half a minute, years of a busy house.
        Self { look_every: Duration::from_secs(30), refresh_every: Duration::from_secs(600) }
    }
}

/// Totals since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct KeepingCounters {
    /// Writes that succeeded.
    pub saves_total: u64,
    /// Writes that failed.
    pub save_failures_total: u64,
}

/// What a write is worth a word for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remark {
    /// Nothing has changed about writing.
    Nothing,
    /// The first write that failed after one that did not.
    Failing,
    /// The first write that succeeded after so many that failed.
    Recovered(u64),
}

/// Decides when to write.
#[derive(Debug)]
pub struct Keeping {
    plan: KeepingPlan,
    kept: Option<(Snapshot, Moment)>,
    failed_in_a_row: u64,
    counters: KeepingCounters,
    next_look: Moment,
}

impl Keeping {
    /// Nothing was written yet.
    pub fn new(plan: KeepingPlan, now: Moment) -> Self {
        Self {
            plan,
            kept: None,
            failed_in_a_row: 0,
            counters: KeepingCounters::default(),
            next_look: now + plan.look_every,
        }
    }

    /// When to look again.
    pub fn next_due(&self) -> Moment {
        self.next_look
    }

    /// How often what happened.
    pub fn counters(&self) -> KeepingCounters {
        self.counters
    }

    /// Whether this is to be written now; the next look is one interval away, however late this one came.
    pub fn looked(&mut self, snapshot: &Snapshot, now: Moment) -> bool {
        self.next_look = now + self.plan.look_every;
        match &self.kept {
            // An empty snapshot would replace what may still be good after a start without a bus.
            None => !snapshot.outputs.is_empty(),
            Some((kept, at)) => {
                !snapshot.agrees_with(kept) || (snapshot != kept && now.since(*at) >= self.plan.refresh_every)
            }
        }
    }

    /// The daemon is about to end: the next look is the last, and writes what changed in any way.
    pub fn closing(&mut self) {
        self.plan.refresh_every = Duration::ZERO;
    }

    /// How a write ended.
    pub fn written(&mut self, snapshot: Snapshot, is_kept: bool, now: Moment) -> Remark {
        if is_kept {
            self.counters.saves_total += 1;
            self.kept = Some((snapshot, now));
            let failed = std::mem::take(&mut self.failed_in_a_row);
            return if failed > 0 { Remark::Recovered(failed) } else { Remark::Nothing };
        }
        self.counters.save_failures_total += 1;
        self.failed_in_a_row += 1;
        if self.failed_in_a_row == 1 { Remark::Failing } else { Remark::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conbus::{OutputIndex, Point};
    use crate::policy::snapshot::Remembered;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn lamp(on: bool, age: u64) -> Snapshot {
        let point = Point { serial: "0012345001".parse().unwrap(), output: OutputIndex::new(0).unwrap() };
        let known = Remembered { point, on: Some((on, Duration::from_secs(age))), level: None };
        Snapshot { outputs: vec![known], used: vec![] }
    }

    #[test]
    fn a_change_is_written_at_the_next_look_and_no_change_seldom() {
        let mut keeping = Keeping::new(KeepingPlan::default(), at(0));
        assert_eq!(keeping.next_due(), at(30));
        assert!(!keeping.looked(&Snapshot::default(), at(30)), "nothing is known");
        assert!(keeping.looked(&lamp(true, 1), at(60)));
        assert_eq!(keeping.written(lamp(true, 1), true, at(60)), Remark::Nothing);
        assert!(!keeping.looked(&lamp(true, 5), at(90)), "only older");
        assert!(keeping.looked(&lamp(false, 1), at(120)));
        assert!(keeping.looked(&lamp(true, 2), at(660)), "older, and long not written");
        assert!(!keeping.looked(&lamp(true, 1), at(900)), "the very same");
        assert_eq!(keeping.next_due(), at(930));
    }

    #[test]
    fn a_full_disk_is_told_once_counted_and_tried_again() {
        let mut keeping = Keeping::new(KeepingPlan::default(), at(0));
        assert_eq!(keeping.written(lamp(true, 1), false, at(30)), Remark::Failing);
        assert!(keeping.looked(&lamp(true, 1), at(60)), "not written yet");
        assert_eq!(keeping.written(lamp(true, 1), false, at(60)), Remark::Nothing);
        assert_eq!(keeping.written(lamp(true, 1), true, at(90)), Remark::Recovered(2));
        assert_eq!(keeping.written(lamp(true, 1), false, at(120)), Remark::Failing);
        let counters = KeepingCounters { saves_total: 1, save_failures_total: 3 };
        assert_eq!(keeping.counters(), counters);
    }
}
