//! How good a link is (fault rows 5 and 15 of the reliability notes): how much of what is heard is no telegram, and
//! whether a gateway that hangs up at once has another client.

use std::collections::VecDeque;
use std::time::Duration;

use super::Moment;

/// How far back it looks.
const WINDOW: Duration = Duration::from_secs(60);
/// In steps of this.
const STEP: Duration = Duration::from_secs(5);
/// So many bad pieces within the window are no accident of one moment.
const BAD_MIN: u32 = 10;
/// One bad piece in so many is too much: an exchange in ten is lost then, of two telegrams each.
const ONE_IN: u32 = 20;
/// A gateway that hangs up within this, without a word, has another client.
const HANGS_UP_WITHIN: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
struct Step {
    since: Moment,
    good: u32,
    bad: u32,
}

/// What was heard on one link lately.
#[derive(Debug, Default)]
pub struct Quality {
    steps: VecDeque<Step>,
    is_degraded: bool,
}

/// What is new of the quality of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turned {
    /// So many of so many pieces of the last minute were no telegrams.
    Degraded {
        /// No telegrams.
        bad: u32,
        /// All pieces.
        of: u32,
    },
    /// It is well again.
    Recovered,
}

impl Quality {
    /// Whether too much of what is heard is no telegram.
    pub fn is_degraded(&self) -> bool {
        self.is_degraded
    }

    /// A telegram was heard.
    pub fn telegram(&mut self, now: Moment) -> Option<Turned> {
        self.step(now).good += 1;
        self.judge()
    }

    /// Something that is no telegram was heard.
    pub fn noise(&mut self, now: Moment) -> Option<Turned> {
        self.step(now).bad += 1;
        self.judge()
    }

    fn step(&mut self, now: Moment) -> &mut Step {
        self.steps.retain(|step| now.since(step.since) < WINDOW);
        if self.steps.back().is_none_or(|step| now.since(step.since) >= STEP) {
            self.steps.push_back(Step { since: now, good: 0, bad: 0 });
        }
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    /// It is well again only when half as much is bad: it does not go back and forth.
    fn judge(&mut self) -> Option<Turned> {
        let (good, bad) = self.steps.iter().fold((0, 0), |sum, step| (sum.0 + step.good, sum.1 + step.bad));
        let of = good + bad;
        if !self.is_degraded && bad >= BAD_MIN && bad * ONE_IN >= of {
            self.is_degraded = true;
            return Some(Turned::Degraded { bad, of });
        }
        if self.is_degraded && bad < BAD_MIN && bad * ONE_IN * 2 < of {
            self.is_degraded = false;
            return Some(Turned::Recovered);
        }
        None
    }
}

/// Whether a gateway that ended a link after `up_for` has another client: it takes the connection and hangs up.
pub fn is_taken(up_for: Duration, was_heard: Option<Moment>) -> bool {
    was_heard.is_none() && up_for < HANGS_UP_WITHIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    #[test]
    fn a_tenth_of_noise_is_told_once_and_its_end_once() {
        let mut quality = Quality::default();
        let mut told = Vec::new();
        for n in 0..200 {
            told.extend(if n % 10 == 9 { quality.noise(at(n * 100)) } else { quality.telegram(at(n * 100)) });
        }
        assert_eq!(told, [Turned::Degraded { bad: 10, of: 100 }]);
        assert!(quality.is_degraded());
        for n in 200..1200 {
            told.extend(quality.telegram(at(n * 100)));
        }
        assert_eq!(told.split_off(1), [Turned::Recovered]);
        assert!(!quality.is_degraded());
    }

    #[test]
    fn a_burst_and_a_bad_piece_now_and_then_are_no_bad_link() {
        let mut quality = Quality::default();
        for n in 0..9 {
            assert_eq!(quality.noise(at(n)), None);
        }
        for n in 1_000..5_000 {
            let heard = if n % 30 == 0 { quality.noise(at(n * 100)) } else { quality.telegram(at(n * 100)) };
            assert_eq!(heard, None, "{n}");
        }
    }

    #[test]
    fn a_line_of_nothing_but_noise_is_degraded() {
        let mut quality = Quality::default();
        let told: Vec<_> = (0..50).filter_map(|n| quality.noise(at(n * 1_000))).collect();
        assert_eq!(told, [Turned::Degraded { bad: 10, of: 10 }]);
    }

    #[test]
    fn no_more_than_a_minute_is_remembered() {
        let mut quality = Quality::default();
        for n in 0..100_000 {
            quality.telegram(at(n * 10));
            assert!(quality.steps.len() <= 12);
        }
    }

    #[test]
    fn who_hangs_up_at_once_without_a_word_has_another_client() {
        assert!(is_taken(Duration::from_millis(3), None));
        assert!(!is_taken(Duration::from_millis(3), Some(at(0))), "it spoke");
        assert!(!is_taken(Duration::from_secs(2), None), "it took its time");
    }
}
