//! One accessory: what is wanted of it against what is observed; confirm, retry or give up.
//!
//! Owns the wish of its users and whoever waits for it. A command goes out as one absolute telegram; the newest
//! wish replaces one that waits; nothing is called done before the bus has shown it.

#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

pub use self::words::{AccessoryState, Asker, Cause, Effect, SwitchPlan, Target, Until};
use super::figures::{Histogram, Sheet, names};
use super::{AccessoryKind, BusError, Freshness, Moment, Origin, Reading, earliest};
use crate::conbus::{Command, EventSource, Percent, Point};

/// How long a wish may stay unconfirmed; a little less than the five seconds that a writer is promised.
const CONFIRM_WITHIN: Duration = Duration::from_millis(4900);

/// How long after its acknowledgement a relay's report may take; the slowest one captured came 68 ms after it
/// (protocol reference 7.2).
const REPORT_WITHIN: Duration = Duration::from_millis(150);

/// Pause between two verifying reads: a dimmer may still be on its way to the level.
const VERIFY_AGAIN: Duration = Duration::from_millis(400);

/// How many may wait for one accessory.
const ASKERS_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wanted {
    on: bool,
    level: Option<Percent>,
    /// Somebody named the level; on by event would not be what was asked for.
    exact: bool,
}

/// A command that has not ended yet.
#[derive(Clone, Copy, Debug)]
struct Flight {
    wanted: Wanted,
    /// Whether the outbox took it.
    taken: bool,
}

/// Somebody who waits, for so long at most, whatever newer wishes come.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    asker: Asker,
    until: Until,
    deadline: Moment,
}

#[derive(Debug)]
struct Wish {
    wanted: Wanted,
    since: Moment,
    /// The longest waiting first.
    askers: Vec<Waiting>,
    cause: Cause,
    deadline: Moment,
    /// When the telegram for exactly this wish was written.
    sent_at: Option<Moment>,
    /// Whether the module acknowledged it.
    acknowledged: bool,
    repeated: bool,
    /// When the output is read to see whether it was done.
    verify_at: Option<Moment>,
}

/// The wish and the observed state of one accessory.
#[derive(Debug)]
pub struct Switch {
    plan: SwitchPlan,
    reading: Reading,
    last_level: Percent,
    /// A wish failed: what was observed before it is not vouched for.
    distrusted: bool,
    /// Apart, as most accessories want nothing most of the time.
    wish: Option<Box<Wish>>,
    in_flight: Option<Flight>,
    by_event: bool,
    verifying: bool,
    told: Option<(Option<bool>, Option<Percent>, Freshness)>,
    next_asker: u64,
    /// None until a wish has ended.
    ended: Option<Box<Ended>>,
}

/// How wishes ended.
#[derive(Debug)]
struct Ended {
    confirmed: Histogram,
    unconfirmed: u64,
}

impl Ended {
    fn none() -> Self {
        Self { confirmed: Histogram::new(names::FOR_A_LAMP), unconfirmed: 0 }
    }
}

impl Switch {
    /// Nothing is known and nothing is wanted.
    pub fn new(plan: SwitchPlan) -> Self {
        Self {
            plan,
            reading: Reading::UNKNOWN,
            last_level: Percent::FULL,
            distrusted: false,
            wish: None,
            in_flight: None,
            by_event: false,
            verifying: false,
            told: None,
            next_asker: 0,
            ended: None,
        }
    }

    /// Its output.
    pub fn point(&self) -> Point {
        self.plan.point
    }

    /// What it shows.
    pub fn state(&self) -> AccessoryState {
        self.state_of(&self.reading)
    }

    /// What it shows, given what the cache just said.
    pub fn state_of(&self, reading: &Reading) -> AccessoryState {
        let dims = self.plan.kind == AccessoryKind::Dimmer;
        let (on, brightness, freshness) = if let Some(wish) = &self.wish {
            let wanted = wish.wanted;
            (Some(wanted.on), wanted.shown_level(), Freshness::Pending)
        } else {
            let level = match reading.on {
                Some(false) => Some(Percent::OFF),
                // It went on, and its level is still the one of the dark: not known until it is read.
                _ => reading.level.filter(|level| *level != Percent::OFF),
            };
            let trusted = !self.distrusted || reading.revision != self.reading.revision;
            let freshness = if trusted { reading.freshness } else { reading.freshness.max(Freshness::Stale) };
            (reading.on, level, freshness)
        };
        AccessoryState {
            on,
            brightness: brightness.filter(|_| dims),
            freshness,
            observed_at: reading.observed_at,
            origin: reading.origin,
        }
    }

    /// Whether a wish is open.
    pub fn is_pending(&self) -> bool {
        self.wish.is_some()
    }

    /// How many writers wait.
    pub fn askers(&self) -> usize {
        self.wish.as_ref().map_or(0, |wish| wish.askers.len())
    }

    /// Notes what it shows and how its wishes went; it is behind this gateway.
    pub fn measure(&self, gateway: &str, now: Moment, sheet: &mut Sheet) {
        let state = self.state();
        let (module, output) = (self.plan.point.serial.to_string(), self.plan.point.output.to_string());
        if let Some(at) = state.observed_at {
            sheet.level(&names::STATE_AGE, &[gateway, &module], now.since(at).as_secs_f64());
        }
        if let Some(on) = state.on {
            sheet.flag(&names::ON, &[gateway, &module, &output], on);
        }
        if let Some(level) = state.brightness {
            sheet.level(&names::LEVEL, &[gateway, &module, &output], f64::from(level.get()) / 100.0);
        }
        let none = Ended::none();
        let ended = self.ended.as_deref().unwrap_or(&none);
        sheet.took(&names::CONFIRM_TIME, &[gateway], &ended.confirmed);
        sheet.count(&names::UNCONFIRMED, &[gateway], ended.unconfirmed);
    }

    /// When [`Switch::due`] is to be called next.
    pub fn next_due(&self) -> Option<Moment> {
        let wish = self.wish.as_ref()?;
        let first = wish.askers.first().map_or(wish.deadline, |first| first.deadline.min(wish.deadline));
        earliest(Some(first), wish.verify_at)
    }

    /// Somebody wants something; the answer follows as [`Effect::Answer`].
    pub fn set(
        &mut self,
        target: Target,
        until: Until,
        cause: Cause,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Result<Asker, BusError> {
        let mut askers = match &mut self.wish {
            Some(wish) if wish.askers.len() >= ASKERS_MAX => return Err(BusError::Busy),
            Some(wish) => std::mem::take(&mut wish.askers),
            None => Vec::new(),
        };
        self.next_asker += 1;
        let asker = Asker(self.next_asker);
        let deadline = now + CONFIRM_WITHIN;
        askers.push(Waiting { asker, until, deadline });
        let wanted = self.wanted(target);
        self.wish = Some(Box::new(Wish {
            wanted,
            since: now,
            askers,
            cause,
            deadline,
            sent_at: None,
            acknowledged: false,
            repeated: false,
            verify_at: None,
        }));
        self.tell(cause, effects);
        match self.in_flight {
            None => self.send(effects),
            // Perhaps it is the same wish once more, which nobody will take again.
            Some(Flight { taken: true, .. }) => self.taken(effects),
            Some(_) => {}
        }
        Ok(asker)
    }

    fn wanted(&self, target: Target) -> Wanted {
        let on = target.on.unwrap_or(true) && target.level != Some(Percent::OFF);
        let level = match (self.plan.module_dims, on) {
            (false, _) => None,
            (true, false) => Some(Percent::OFF),
            (true, true) => Some(target.level.unwrap_or(self.last_level)),
        };
        Wanted { on, level, exact: on && target.level.is_some() }
    }

    fn send(&mut self, effects: &mut Vec<Effect>) {
        let Some(wish) = &mut self.wish else { return };
        wish.sent_at = None;
        wish.acknowledged = false;
        let wanted = wish.wanted;
        let output = self.plan.point.output;
        self.in_flight = Some(Flight { wanted, taken: false });
        if self.by_event
            && let Some(event) = self.event_for(wanted)
        {
            effects.push(Effect::Press(event));
            return;
        }
        effects.push(Effect::Send(match wanted.level {
            Some(level) => Command::SetLevel(output, level),
            None => Command::SetOutput(output, wanted.on),
        }));
    }

    fn event_for(&self, wanted: Wanted) -> Option<EventSource> {
        let event = if wanted.on { self.plan.on_event } else { self.plan.off_event };
        event.filter(|_| !wanted.exact)
    }

    /// The outbox took the command.
    pub fn taken(&mut self, effects: &mut Vec<Effect>) {
        let Some(flight) = &mut self.in_flight else { return };
        flight.taken = true;
        let flown = flight.wanted;
        let state = self.state();
        let Some(wish) = &mut self.wish else { return };
        if flown == wish.wanted {
            wish.askers.retain(|waiting| {
                let answered = waiting.until == Until::Accepted;
                if answered {
                    effects.push(Effect::Answer(waiting.asker, Ok(state)));
                }
                !answered
            });
        }
    }

    /// The exchange of the command has ended; `Ok` holds when its telegram was written.
    pub fn sent(&mut self, outcome: Result<Moment, BusError>, now: Moment, effects: &mut Vec<Effect>) {
        let Some(Flight { wanted: flown, .. }) = self.in_flight.take() else { return };
        let pressed = self.by_event && self.event_for(flown).is_some();
        let Some(wish) = &mut self.wish else { return };
        if wish.wanted != flown {
            if let Err(error @ (BusError::LinkDown | BusError::Stopping | BusError::Busy)) = outcome {
                self.fail(error, effects);
            } else {
                self.by_event |= outcome == Err(BusError::Refused);
                self.send(effects);
            }
            return;
        }
        match outcome {
            Ok(sent_at) => {
                wish.sent_at = Some(sent_at);
                wish.acknowledged = true;
                if pressed {
                    effects.push(Effect::Invalidate);
                }
                // No report tells a level: it is read. A report tells on and off, if the module makes reports.
                let wait = if flown.level.is_some() { Duration::ZERO } else { REPORT_WITHIN };
                // It is gone once it is confirmed.
                wish.verify_at = Some(now + wait);
                if !self.confirm_by(self.reading, effects) {
                    self.due(now, effects);
                }
            }
            Err(BusError::TimedOut) if !pressed => {
                // Not known whether it was done: look before it is said again.
                wish.sent_at = Some(now);
                self.verify(effects);
            }
            Err(BusError::Refused) if !self.by_event && self.event_for(flown).is_some() => {
                self.by_event = true;
                self.send(effects);
            }
            Err(error) => self.fail(error, effects),
        }
    }

    fn verify(&mut self, effects: &mut Vec<Effect>) {
        let Some(wish) = &mut self.wish else { return };
        wish.verify_at = None;
        let Some(sent_at) = wish.sent_at else { return };
        if !self.verifying {
            self.verifying = true;
            effects.push(Effect::Verify(sent_at));
        }
    }

    /// The verifying read has ended.
    pub fn verified(&mut self, outcome: Result<Reading, BusError>, now: Moment, effects: &mut Vec<Effect>) {
        self.verifying = false;
        let Some(wish) = &mut self.wish else { return };
        if self.in_flight.is_some() || wish.sent_at.is_none() {
            return;
        }
        let shows_other = match outcome {
            Ok(reading) => {
                if self.confirm_by(reading, effects) {
                    return;
                }
                reading.freshness == Freshness::Fresh
            }
            Err(error @ (BusError::LinkDown | BusError::Stopping | BusError::Refused)) => {
                self.fail(error, effects);
                return;
            }
            Err(BusError::TimedOut | BusError::Busy) => false,
        };
        let Some(wish) = &mut self.wish else { return };
        if shows_other && !wish.acknowledged {
            if wish.repeated {
                self.fail(BusError::TimedOut, effects);
            } else {
                wish.repeated = true;
                self.send(effects);
            }
            return;
        }
        wish.verify_at = Some(now + VERIFY_AGAIN);
    }

    /// Ends the wish when this reading proves it.
    fn confirm_by(&mut self, reading: Reading, effects: &mut Vec<Effect>) -> bool {
        let Some(wish) = &self.wish else { return false };
        let level_agrees = wish.wanted.level.is_none()
            || !wish.wanted.on
            || reading.level == wish.wanted.level
            || (self.by_event && !wish.wanted.exact);
        let proves = reading.freshness == Freshness::Fresh
            && reading.on == Some(wish.wanted.on)
            && level_agrees
            && wish.sent_at.is_some_and(|sent| reading.observed_at.is_some_and(|at| at >= sent));
        if proves {
            let took = reading.observed_at.unwrap_or(wish.since).since(wish.since);
            self.ended().confirmed.took(took);
            self.take_reading(reading);
            self.finish(Ok(()), effects);
        }
        proves
    }

    fn ended(&mut self) -> &mut Ended {
        self.ended.get_or_insert_with(|| Box::new(Ended::none()))
    }

    fn fail(&mut self, error: BusError, effects: &mut Vec<Effect>) {
        self.distrusted |= error == BusError::TimedOut;
        self.finish(Err(error), effects);
        if error == BusError::TimedOut {
            effects.push(Effect::Reread);
        }
    }

    fn finish(&mut self, outcome: Result<(), BusError>, effects: &mut Vec<Effect>) {
        let Some(wish) = self.wish.take() else { return };
        if outcome.is_err() {
            self.ended().unconfirmed += 1;
        }
        self.tell(wish.cause, effects);
        let outcome = outcome.map(|()| self.state());
        effects.extend(wish.askers.into_iter().map(|waiting| Effect::Answer(waiting.asker, outcome)));
    }

    /// The cache accepted an observation, or no longer trusts one. What was so before a restart is no news.
    pub fn observed(&mut self, reading: Reading, effects: &mut Vec<Effect>) {
        self.take_reading(reading);
        if reading.origin == Some(Origin::Snapshot) && self.wish.is_none() {
            self.told = Some(self.state().shown());
            return;
        }
        if !self.confirm_by(reading, effects) {
            self.tell(Cause::Bus, effects);
        }
    }

    fn take_reading(&mut self, reading: Reading) {
        if reading.revision != self.reading.revision {
            self.distrusted = false;
        }
        if reading.on == Some(true)
            && let Some(level) = reading.level.filter(|level| *level != Percent::OFF)
        {
            self.last_level = level;
        }
        self.reading = reading;
    }

    fn tell(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        let state = self.state();
        if self.told != Some(state.shown()) {
            self.told = Some(state.shown());
            effects.push(Effect::Changed(state, cause));
        }
    }

    /// Does what is due: a verifying read, or giving up.
    pub fn due(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.wish.as_ref().is_some_and(|wish| wish.deadline <= now) {
            self.fail(BusError::TimedOut, effects);
        }
        if let Some(wish) = &mut self.wish {
            let late = wish.askers.partition_point(|waiting| waiting.deadline <= now);
            let late = wish.askers.drain(..late);
            effects.extend(late.map(|late| Effect::Answer(late.asker, Err(BusError::TimedOut))));
        }
        if self.wish.as_ref().and_then(|wish| wish.verify_at).is_some_and(|at| at <= now) {
            self.verify(effects);
        }
    }

    /// The daemon is about to end: nobody waits any longer.
    pub fn drain(&mut self, effects: &mut Vec<Effect>) {
        self.finish(Err(BusError::Stopping), effects);
    }
}

impl Wanted {
    fn shown_level(self) -> Option<Percent> {
        if self.on { self.level } else { Some(Percent::OFF) }
    }
}
