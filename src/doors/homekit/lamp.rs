//! What the door remembers of one accessory: the last state told, and whether it still answers.
//!
//! The accessory's actor owns the truth; this is its echo, so that a read of 300 characteristics costs no message.

use std::time::Duration;

use super::model::{Source, Value};
use crate::policy::switch::AccessoryState;
use crate::policy::{BusError, Freshness, Moment};

/// After this long without an answer a tile says so.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a read by a controller is passed on as use.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What a lamp that was never seen on returns to, as the accessory does itself.
const FULL: u8 = 100;

/// How the accessory is to be asked behind an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Behind {
    /// It is used; nobody waits.
    Use,
    /// What is known is old: does it still answer?
    Look,
}

/// What an accessory showed, its last known values kept.
#[derive(Clone, Copy, Debug)]
struct Echo {
    on: Option<bool>,
    level_known: bool,
    /// The level when it was on last.
    level: u8,
}

impl Echo {
    fn hear(&mut self, state: &AccessoryState) {
        self.on = state.on.or(self.on);
        if let Some(level) = state.brightness {
            self.level_known = true;
            if level.get() > 0 {
                self.level = level.get();
            }
        }
    }
}

/// The echo of one accessory.
#[derive(Debug)]
pub(super) struct Lamp {
    dims: bool,
    shown: Echo,
    /// The same without the wish that is open: what is shown when it comes to nothing.
    proven: Echo,
    freshness: Freshness,
    silent_since: Option<Moment>,
    /// When the wish that is open was made.
    wished: Option<Moment>,
    asked: Option<Moment>,
    looking: bool,
}

impl Lamp {
    /// A lamp of which nothing is known.
    pub(super) fn new(dims: bool) -> Self {
        let dark = Echo { on: None, level_known: false, level: FULL };
        Self {
            dims,
            shown: dark,
            proven: dark,
            freshness: Freshness::Unknown,
            silent_since: None,
            wished: None,
            asked: None,
            looking: false,
        }
    }

    /// Its accessory shows this. True when it had been given up and is back.
    pub(super) fn told(&mut self, state: &AccessoryState, now: Moment) -> bool {
        let was_lost = self.is_lost(now);
        match (state.freshness, self.wished) {
            (Freshness::Fresh, _) => (self.wished, self.silent_since) = (None, None),
            (Freshness::Pending, None) => self.wished = Some(now),
            // The wish ended without becoming true: since it was made the module has not answered.
            (Freshness::Stale | Freshness::Unknown, Some(wished)) => {
                self.wished = None;
                self.silent_since.get_or_insert(wished);
            }
            _ => {}
        }
        self.freshness = state.freshness;
        if state.freshness == Freshness::Pending {
            self.shown.hear(state);
        } else {
            self.proven.hear(state);
            self.shown = self.proven;
        }
        was_lost && self.silent_since.is_none()
    }

    /// The value of one of its characteristics, if it was ever known.
    pub(super) fn value(&self, source: &Source) -> Option<Value> {
        match source {
            Source::Fixed(value) => Some(value.clone()),
            Source::On => self.shown.on.map(Value::Bool),
            // Off keeps its level: Home would else turn it on at full, and the tile would jump.
            Source::Brightness => self.shown.level_known.then_some(Value::Int(i64::from(self.shown.level))),
            Source::Identify => None,
        }
    }

    /// Whether anything of it was never known.
    pub(super) fn is_unknown(&self) -> bool {
        self.shown.on.is_none() || (self.dims && !self.shown.level_known)
    }

    /// Whether it has not answered for too long.
    pub(super) fn is_lost(&self, now: Moment) -> bool {
        self.silent_since.is_some_and(|since| now.since(since) >= PATIENCE)
    }

    /// Whether it stopped answering, however short ago.
    pub(super) fn is_silent(&self) -> bool {
        self.silent_since.is_some()
    }

    /// A controller reads it: how to ask behind the answer, if it is time.
    pub(super) fn ask(&mut self, now: Moment) -> Option<Behind> {
        if self.looking || self.asked.is_some_and(|at| now.since(at) < ASK_EVERY) {
            return None;
        }
        self.asked = Some(now);
        match self.freshness {
            Freshness::Fresh | Freshness::Pending => Some(Behind::Use),
            Freshness::Stale | Freshness::Unknown => {
                self.looking = true;
                Some(Behind::Look)
            }
        }
    }

    /// What came of a [`Behind::Look`] that was asked at this moment.
    pub(super) fn looked(&mut self, outcome: &Result<AccessoryState, BusError>, asked: Moment) {
        self.looking = false;
        match outcome {
            Ok(state) if state.freshness <= Freshness::Pending => self.silent_since = None,
            Ok(_) | Err(BusError::TimedOut | BusError::LinkDown | BusError::Refused) => {
                self.silent_since.get_or_insert(asked);
            }
            Err(BusError::Busy | BusError::Stopping) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conbus::Percent;

    fn at(seconds: u64) -> Moment {
        Moment::START + Duration::from_secs(seconds)
    }

    fn state(on: bool, level: Option<u8>, freshness: Freshness) -> AccessoryState {
        let brightness = level.and_then(Percent::new);
        AccessoryState { on: Some(on), brightness, freshness, observed_at: None, origin: None }
    }

    #[test]
    fn a_wish_for_a_lamp_that_was_never_heard_leaves_nothing_behind_when_it_fails() {
        let mut lamp = Lamp::new(true);
        lamp.told(&state(true, Some(40), Freshness::Pending), at(0));
        assert_eq!(lamp.value(&Source::On), Some(Value::Bool(true)));
        let unknown = AccessoryState { on: None, brightness: None, ..state(true, None, Freshness::Unknown) };
        lamp.told(&unknown, at(5));
        assert_eq!((lamp.value(&Source::On), lamp.value(&Source::Brightness)), (None, None));
        assert!(lamp.is_unknown() && lamp.is_silent());
    }

    #[test]
    fn a_dimmer_that_is_off_keeps_its_level() {
        let mut lamp = Lamp::new(true);
        lamp.told(&state(true, Some(40), Freshness::Fresh), at(0));
        lamp.told(&state(false, Some(0), Freshness::Fresh), at(1));
        assert_eq!(lamp.value(&Source::On), Some(Value::Bool(false)));
        assert_eq!(lamp.value(&Source::Brightness), Some(Value::Int(40)));
    }

    #[test]
    fn a_level_that_was_never_told_is_unknown_by_itself() {
        let mut lamp = Lamp::new(true);
        lamp.told(&state(true, None, Freshness::Fresh), at(0));
        assert!(lamp.is_unknown() && lamp.value(&Source::On).is_some());
        assert_eq!(lamp.value(&Source::Brightness), None);
        lamp.told(&state(false, Some(0), Freshness::Fresh), at(1));
        assert_eq!(lamp.value(&Source::Brightness), Some(Value::Int(100)));
    }

    #[test]
    fn ten_seconds_without_an_answer_lose_it_and_one_answer_brings_it_back() {
        let mut lamp = Lamp::new(false);
        lamp.told(&state(true, None, Freshness::Stale), at(0));
        assert_eq!(lamp.ask(at(1)), Some(Behind::Look));
        assert_eq!(lamp.ask(at(3)), None);
        lamp.looked(&Err(BusError::TimedOut), at(1));
        assert!(!lamp.is_lost(at(10)) && lamp.is_lost(at(11)));
        assert!(lamp.told(&state(true, None, Freshness::Fresh), at(12)));
        assert!(!lamp.is_lost(at(100)));
    }

    #[test]
    fn a_write_that_was_not_done_counts_as_silence() {
        let mut lamp = Lamp::new(false);
        lamp.told(&state(false, None, Freshness::Fresh), at(0));
        lamp.told(&state(true, None, Freshness::Pending), at(1));
        assert!(!lamp.told(&state(false, None, Freshness::Stale), at(6)));
        assert!(lamp.is_silent() && !lamp.is_lost(at(10)) && lamp.is_lost(at(11)));
    }

    #[test]
    fn use_is_passed_on_once_a_second() {
        let mut lamp = Lamp::new(false);
        lamp.told(&state(false, None, Freshness::Fresh), at(0));
        assert_eq!(
            (lamp.ask(at(1)), lamp.ask(at(1)), lamp.ask(at(2))),
            (Some(Behind::Use), None, Some(Behind::Use))
        );
    }
}
