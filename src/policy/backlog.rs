//! Since when what is read now may have lain unread (fault row 18 of the reliability notes).
//!
//! A process that was stopped, or whose machine was, finds in the socket what came meanwhile, and nothing on it says
//! when. Owns the suspicion: whoever reads tells of every turn it gets, and after a gap between two of them everything
//! counts as come right behind the last turn before it, until the socket was found empty. So no age is ever told too
//! short. It knows neither sockets nor clocks.

use std::time::Duration;

use super::Moment;

/// How often a turn is wanted, whatever else there is to do.
const TURN_EVERY: Duration = Duration::from_millis(250);
/// How often while it is behind.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A longer gap between two turns is one in which something may have come.
const GAP_MAX: Duration = Duration::from_millis(500);
/// The socket is empty when so many looks in a row have found nothing. The first may come before the system was asked
/// what there is to read, the second not.
const QUIET_LOOKS: u8 = 2;
/// A house that talks without a pause is believed to have been heard to the end after this.
const BEHIND_MAX: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Behind {
    /// The last turn before the gap.
    since: Moment,
    until: Moment,
    /// The last look that counted.
    looked: Moment,
    quiet: u8,
    heard: bool,
}

/// What one reader may have left unread.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    last: Moment,
    behind: Option<Behind>,
}

impl Backlog {
    /// A reader that begins now: nothing can have come before.
    pub fn new(now: Moment) -> Self {
        Self { last: now, behind: None }
    }

    /// The reader has a turn. How long it had none, when that was too long.
    pub fn turn(&mut self, now: Moment) -> Option<Duration> {
        let (last, gap) = (self.last, now.since(self.last));
        self.last = self.last.max(now);
        if gap <= GAP_MAX {
            return None;
        }
        let since = self.behind.map_or(last, |behind| behind.since);
        self.behind = Some(Behind { since, until: now + BEHIND_MAX, looked: now, quiet: 0, heard: false });
        Some(gap)
    }

    /// The timer of [`Backlog::next_due`] has rung: the system was asked in between what there is to read. No other turn
    /// proves that.
    pub fn look(&mut self, now: Moment) -> Option<Duration> {
        let gap = self.turn(now);
        if gap.is_none()
            && let Some(behind) = self.behind.as_mut().filter(|behind| now.since(behind.looked) >= LOOK_EVERY)
        {
            behind.looked = now;
            behind.quiet = if behind.heard { 0 } else { behind.quiet + 1 };
            behind.heard = false;
            if behind.quiet >= QUIET_LOOKS || behind.until <= now {
                self.behind = None;
            }
        }
        gap
    }

    /// Something was read, in a turn that was told. Since when it may have lain there: `now`, or the last turn before a
    /// gap.
    pub fn heard(&mut self, now: Moment) -> Moment {
        let Some(behind) = &mut self.behind else { return now };
        behind.heard = true;
        behind.since.min(now)
    }

    /// When to call [`Backlog::look`] next.
    pub fn next_due(&self) -> Moment {
        self.last + if self.behind.is_some() { LOOK_EVERY } else { TURN_EVERY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    /// Looked at every 250 ms until `stopped`, and then at `again` for the first time.
    fn stood_still(stopped: u64, again: u64) -> Backlog {
        let mut backlog = Backlog::new(at(0));
        for time in (250..=stopped).step_by(250) {
            assert_eq!(backlog.look(at(time)), None);
            assert_eq!(backlog.heard(at(time)), at(time), "nothing waits while there are turns");
        }
        assert_eq!(backlog.look(at(again)), Some(Duration::from_millis(again - stopped)));
        backlog
    }

    #[test]
    fn what_waited_behind_a_gap_is_as_old_as_the_gap() {
        let mut backlog = stood_still(1_000, 9_000);
        assert_eq!(backlog.heard(at(9_001)), at(1_000));
        assert_eq!(backlog.heard(at(9_030)), at(1_000));
    }

    #[test]
    fn a_gap_is_noticed_by_whatever_comes_first() {
        let mut backlog = Backlog::new(at(0));
        assert_eq!(backlog.turn(at(500)), None, "a busy machine is no gap");
        assert_eq!(backlog.turn(at(1_001)), Some(Duration::from_millis(501)));
        assert_eq!(backlog.heard(at(1_001)), at(500));
    }

    #[test]
    fn two_looks_that_find_nothing_end_it_and_one_does_not() {
        let mut backlog = stood_still(1_000, 9_000);
        assert_eq!(backlog.next_due(), at(9_050));
        assert_eq!(backlog.look(at(9_050)), None);
        assert_eq!(
            backlog.heard(at(9_051)),
            at(1_000),
            "the first may have come before the system was asked"
        );
        backlog.look(at(9_100));
        backlog.look(at(9_150));
        backlog.look(at(9_200));
        assert_eq!((backlog.heard(at(9_201)), backlog.next_due()), (at(9_201), at(9_450)));
    }

    #[test]
    fn looks_that_follow_too_soon_prove_nothing() {
        let mut backlog = stood_still(1_000, 9_000);
        for time in 9_001..9_050 {
            backlog.look(at(time));
        }
        assert_eq!(backlog.heard(at(9_049)), at(1_000));
    }

    #[test]
    fn turns_that_are_no_looks_prove_nothing() {
        let mut backlog = stood_still(1_000, 9_000);
        for time in (9_010..9_900).step_by(10) {
            backlog.turn(at(time));
        }
        assert_eq!(backlog.heard(at(9_900)), at(1_000));
    }

    #[test]
    fn a_second_gap_while_behind_begins_where_the_first_did() {
        let mut backlog = stood_still(1_000, 9_000);
        backlog.look(at(9_050));
        assert!(backlog.turn(at(20_000)).is_some());
        backlog.look(at(20_050));
        assert_eq!(backlog.heard(at(20_051)), at(1_000));
    }

    #[test]
    fn a_storm_without_a_pause_is_believed_again_after_two_seconds() {
        let mut backlog = stood_still(1_000, 9_000);
        for time in (9_000..11_000).step_by(50) {
            backlog.look(at(time));
            assert_eq!(backlog.heard(at(time + 1)), at(1_000), "{time}");
        }
        backlog.look(at(11_000));
        assert_eq!(backlog.heard(at(11_001)), at(11_001));
    }
}
