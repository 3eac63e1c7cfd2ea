//! How long a connection may stay as it is. Pure: the connection tells what happens, and asks for the deadline.

use std::cell::Cell;
use std::time::Duration;

use super::Limits;
use crate::policy::Moment;

/// Once the door closes, a connection without a request is given up after this.
const FAREWELL: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nothing of the next request has come.
    Idle(Moment),
    /// A part of a header has come; of a new connection also nothing.
    Head(Moment),
    /// A request is being answered; whoever answers it has deadlines of its own.
    Request,
}

/// Why a connection was cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    /// It asked for nothing.
    Idle,
    /// Its header took too long.
    SlowHead,
    /// It did not read.
    SlowReader,
}

/// The state of a connection, shared by its socket and its requests.
#[derive(Debug)]
pub(super) struct Pulse {
    stage: Cell<Stage>,
    stalled: Cell<Option<Moment>>,
    closing: Cell<Option<Moment>>,
}

impl Pulse {
    /// Of a connection that was just accepted.
    pub(super) fn new(now: Moment) -> Self {
        Self { stage: Cell::new(Stage::Head(now)), stalled: Cell::new(None), closing: Cell::new(None) }
    }

    /// Bytes came.
    pub(super) fn heard(&self, now: impl FnOnce() -> Moment) {
        if matches!(self.stage.get(), Stage::Idle(_)) {
            self.stage.set(Stage::Head(now()));
        }
    }

    /// A header is complete.
    pub(super) fn asked(&self) {
        self.stage.set(Stage::Request);
    }

    /// The request has its answer, which is not a stream.
    pub(super) fn answered(&self, now: Moment) {
        self.stage.set(Stage::Idle(now));
    }

    /// The client takes no bytes.
    pub(super) fn stalled(&self, now: impl FnOnce() -> Moment) {
        if self.stalled.get().is_none() {
            self.stalled.set(Some(now()));
        }
    }

    /// The client took bytes.
    pub(super) fn flowed(&self) {
        self.stalled.set(None);
    }

    /// The door closes.
    pub(super) fn closing(&self, now: Moment) {
        self.closing.set(Some(now));
    }

    /// When the connection is to be cut, and why.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<(Moment, Cut)> {
        let farewell = self.closing.get().map(|at| at + FAREWELL);
        let quiet = |at: Moment| farewell.map_or(at, |farewell| farewell.min(at));
        let asking = match self.stage.get() {
            Stage::Idle(since) => Some((quiet(since + limits.idle), Cut::Idle)),
            Stage::Head(since) => Some((quiet(since + limits.head_within), Cut::SlowHead)),
            Stage::Request => None,
        };
        let reading = self.stalled.get().map(|since| (since + limits.write_stall, Cut::SlowReader));
        [asking, reading].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn deadline(pulse: &Pulse) -> Option<(Moment, Cut)> {
        pulse.deadline(&Limits::default())
    }

    #[test]
    fn a_header_that_drips_has_one_deadline() {
        let pulse = Pulse::new(second(0));
        assert_eq!(deadline(&pulse), Some((second(5), Cut::SlowHead)));
        pulse.heard(|| second(4));
        assert_eq!(deadline(&pulse), Some((second(5), Cut::SlowHead)));
        pulse.asked();
        assert_eq!(deadline(&pulse), None);
        pulse.heard(|| second(6));
        assert_eq!(deadline(&pulse), None, "the body has a deadline of its own");
    }

    #[test]
    fn between_requests_there_is_a_minute_and_then_five_seconds_for_the_next_header() {
        let pulse = Pulse::new(second(0));
        pulse.asked();
        pulse.answered(second(10));
        assert_eq!(deadline(&pulse), Some((second(70), Cut::Idle)));
        pulse.heard(|| second(60));
        assert_eq!(deadline(&pulse), Some((second(65), Cut::SlowHead)));
    }

    #[test]
    fn whoever_reads_nothing_is_cut_off_also_on_a_stream() {
        let pulse = Pulse::new(second(0));
        pulse.asked();
        pulse.stalled(|| second(20));
        pulse.stalled(|| second(25));
        assert_eq!(deadline(&pulse), Some((second(30), Cut::SlowReader)));
        pulse.flowed();
        assert_eq!(deadline(&pulse), None);
    }

    #[test]
    fn a_closing_door_waits_for_requests_only() {
        let pulse = Pulse::new(second(0));
        pulse.asked();
        pulse.closing(second(1));
        assert_eq!(deadline(&pulse), None);
        pulse.answered(second(2));
        assert_eq!(deadline(&pulse), Some((second(1) + FAREWELL, Cut::Idle)));
    }
}
