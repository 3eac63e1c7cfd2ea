//! One fetch for many readers.

use std::time::Duration;

use super::expiry::Armed;
use super::{Due, Effect, ModulePlan, Store, Token};
use crate::conbus::{OutputIndex, Point, SerialNumber};
use crate::policy::settle::{Aspect, Doubts, Guard};
use crate::policy::{BusError, Freshness, Moment, Origin, Urgency};

/// How often a reader may cause a fetch before it is told that the module does not answer usefully.
const FETCHES_MAX: u8 = 4;

/// How long after a delivered read its observations may still be on their way from the listener.
const OBSERVATION_LAG: Duration = Duration::from_millis(20);

/// When a read for which the bus had no room comes again.
const BUSY_AGAIN: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Phase {
    #[default]
    Idle,
    /// Will be asked for when its deadline comes.
    Waiting,
    /// Is asked for; true once an answer was observed.
    Asked(bool),
    /// Is answered; the observation is still on its way.
    Delivered,
}

/// The fetch of one datapoint of one module; there is never more than one. Packed, as every module has two.
#[derive(Clone, Copy, Debug, Default)]
#[repr(Rust, packed)]
pub(super) struct Fetch {
    phase: Phase,
    urgency: Option<Urgency>,
    /// Wanted again once this one is over, not before this time.
    again: Option<Moment>,
}

impl Fetch {
    /// A reply was heard; gives the origin of its value.
    pub(super) fn observed(&mut self, attributed: bool) -> Origin {
        if let (Phase::Asked(seen), true) = (&mut self.phase, attributed) {
            *seen = true;
        }
        match (self.phase, self.urgency) {
            (Phase::Asked(_) | Phase::Delivered, Some(Urgency::Confirm | Urgency::Reader)) => Origin::Read,
            _ => Origin::Poll,
        }
    }
}

/// A reader that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) point: Point,
    /// Observed no earlier than this; `None`: any known value will do.
    need: Option<Moment>,
    urgency: Urgency,
    /// A query young enough for this reader was answered, whatever became of the reply.
    answered: [bool; 2],
    fetches: u8,
}

impl Waiter {
    pub(super) fn new(point: Point, need: Option<Moment>, urgency: Urgency) -> Self {
        Self { point, need, urgency, answered: [false; 2], fetches: 0 }
    }
}

/// One module and whatever concerns it as a whole.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) plan: ModulePlan,
    pub(super) guards: Box<[Guard]>,
    pub(super) doubts: Doubts,
    pub(super) fetches: [Fetch; 2],
    pub(super) unsupported: [bool; 2],
    /// The outputs that are to be told when they grow stale by age.
    pub(super) armed: Armed,
    /// When the first of them may.
    pub(super) expires_at: Option<Moment>,
}

impl Module {
    pub(super) fn new(plan: ModulePlan) -> Self {
        Self {
            guards: vec![Guard::default(); usize::from(plan.outputs.min(OutputIndex::COUNT_MAX))].into(),
            plan,
            fetches: [Fetch::default(); 2],
            unsupported: [false; 2],
            doubts: Doubts::default(),
            armed: Armed::default(),
            expires_at: None,
        }
    }

    pub(super) fn has(&self, output: OutputIndex) -> bool {
        usize::from(output.get()) < self.guards.len()
    }

    pub(super) fn points(&self) -> Vec<Point> {
        let serial = self.plan.serial;
        OutputIndex::first(self.plan.outputs).map(|output| Point { serial, output }).collect()
    }
}

impl Store {
    /// A background turn of the poller: the whole module this output belongs to.
    pub fn refresh(&mut self, point: Point, urgency: Urgency, now: Moment, effects: &mut Vec<Effect>) {
        let Some(module) = self.modules.get(point.serial) else { return };
        if !self.link_up(module.plan.gateway) {
            return;
        }
        let level = module.points().iter().any(|&point| self.level_is_wanted(point));
        self.fetch(point.serial, Aspect::Switch, urgency, now, effects);
        if level {
            self.fetch(point.serial, Aspect::Level, urgency, now, effects);
        }
    }

    /// Fetches what is missing for a reader of this output.
    pub(super) fn fetch_point(
        &mut self,
        point: Point,
        urgency: Urgency,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        self.fetch(point.serial, Aspect::Switch, urgency, now, effects);
        if self.level_is_wanted(point) {
            self.fetch(point.serial, Aspect::Level, urgency, now, effects);
        }
    }

    /// Whether the level of this output has to be asked: it has one, and it is not known to be off.
    fn level_is_wanted(&self, point: Point) -> bool {
        let Some(module) = self.modules.get(point.serial) else { return false };
        module.plan.dimmable
            && !module.unsupported[Aspect::Level as usize]
            && self
                .entries
                .peek(&point)
                .is_none_or(|entry| entry.level.is_none() || entry.on.is_none_or(|on| on.value))
    }

    /// Asks for a datapoint as soon as its fences allow; joins a fetch that is under way.
    fn fetch(
        &mut self,
        serial: SerialNumber,
        aspect: Aspect,
        urgency: Urgency,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(module) = self.modules.get(serial) else { return };
        let earliest = module.guards.iter().map(|guard| guard.ask_from(&self.plan.settle)).max();
        self.fetch_from(serial, aspect, urgency, earliest.unwrap_or(now).max(now), now, effects);
    }

    /// A reply was refused, or a value must be asked again: once more when its answer can settle.
    pub(super) fn fetch_again(
        &mut self,
        point: Point,
        aspect: Aspect,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(module) = self.modules.get(point.serial) else { return };
        if !self.link_up(module.plan.gateway) {
            return;
        }
        let guard = &module.guards[usize::from(point.output.get())];
        let wait = module.doubts.wait(&self.plan.settle, aspect, now);
        let from = guard.settled_from(aspect, wait).max(now);
        self.fetch_from(point.serial, aspect, Urgency::Poll, from, now, effects);
    }

    fn fetch_from(
        &mut self,
        serial: SerialNumber,
        aspect: Aspect,
        urgency: Urgency,
        from: Moment,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let key = Due::Fetch(serial, aspect);
        let Some(module) = self.modules.get_mut(serial) else { return };
        if module.unsupported[aspect as usize] {
            return;
        }
        let gateway = module.plan.gateway;
        let fetch = &mut module.fetches[aspect as usize];
        match fetch.phase {
            Phase::Idle | Phase::Waiting => {
                let from = self.agenda.get(key).map_or(from, |set| set.min(from));
                fetch.urgency = Some(fetch.urgency.map_or(urgency, |other| other.min(urgency)));
                fetch.phase = Phase::Waiting;
                self.agenda.set(key, from);
                if from <= now {
                    self.agenda.clear(key);
                    self.fetch_due(serial, aspect, now, effects);
                }
            }
            Phase::Asked(_) | Phase::Delivered => {
                if !urgency.is_background() && fetch.urgency.is_some_and(|other| urgency < other) {
                    fetch.urgency = Some(urgency);
                    effects.push(Effect::Hasten { gateway, serial, aspect, urgency });
                }
                if urgency.is_background() && from > now {
                    fetch.again = Some(fetch.again.map_or(from, |again| again.max(from)));
                }
            }
        }
    }

    /// The deadline of a fetch has come: ask now, or stop waiting for the observation.
    pub(super) fn fetch_due(
        &mut self,
        serial: SerialNumber,
        aspect: Aspect,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(module) = self.modules.get_mut(serial) else { return };
        let gateway = module.plan.gateway;
        let up = self.links.is_up(gateway);
        let fetch = &mut module.fetches[aspect as usize];
        match fetch.phase {
            Phase::Waiting if up => {
                fetch.phase = Phase::Asked(false);
                let urgency = fetch.urgency.unwrap_or(Urgency::Poll);
                self.counters.fetches += 1;
                effects.push(Effect::Fetch { gateway, serial, aspect, urgency });
            }
            Phase::Waiting => *fetch = Fetch::default(),
            Phase::Delivered => self.fetch_over(serial, aspect, now, effects),
            Phase::Idle | Phase::Asked(_) => {}
        }
    }

    /// The exchange of a fetch has ended.
    pub fn fetch_ended(
        &mut self,
        serial: SerialNumber,
        aspect: Aspect,
        outcome: Result<(), BusError>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(module) = self.modules.get_mut(serial) else { return };
        let fetch = &mut module.fetches[aspect as usize];
        let Phase::Asked(observed) = fetch.phase else { return };
        match outcome {
            Ok(()) if !observed => {
                fetch.phase = Phase::Delivered;
                self.agenda.set(Due::Fetch(serial, aspect), now + OBSERVATION_LAG);
            }
            Ok(()) => self.fetch_over(serial, aspect, now, effects),
            Err(error) => self.fetch_failed(serial, aspect, error, now, effects),
        }
    }

    fn fetch_over(&mut self, serial: SerialNumber, aspect: Aspect, now: Moment, effects: &mut Vec<Effect>) {
        let Some(module) = self.modules.get_mut(serial) else { return };
        let again = module.fetches[aspect as usize].again;
        module.fetches[aspect as usize] = Fetch::default();
        self.evaluate(serial, now, effects);
        if let Some(from) = again {
            self.fetch_from(serial, aspect, Urgency::Poll, from.max(now), now, effects);
        }
    }

    fn fetch_failed(
        &mut self,
        serial: SerialNumber,
        aspect: Aspect,
        error: BusError,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(module) = self.modules.get_mut(serial) else { return };
        module.fetches[aspect as usize] = Fetch::default();
        if error == BusError::Refused {
            module.unsupported[aspect as usize] = true;
        }
        let points = module.points();
        if error == BusError::Refused && aspect == Aspect::Level {
            for point in &points {
                if let Some(entry) = self.entries.peek_mut(point) {
                    entry.levelled = false;
                    entry.level = None;
                }
            }
            self.evaluate(serial, now, effects);
            return;
        }
        if error == BusError::TimedOut {
            for &point in &points {
                self.distrust(point, now, effects);
            }
        }
        for token in self.readers_of(serial).collect::<Vec<_>>() {
            if self.waiters.get(&token).is_some_and(|waiter| !self.has(waiter, aspect)) {
                self.answer(token, Err(error), effects);
            }
        }
        if error == BusError::Busy {
            // Nobody was asked: what is doubtful would stay so until somebody looks.
            self.fetch_from(serial, aspect, Urgency::Poll, now + BUSY_AGAIN, now, effects);
        }
    }

    /// A query asked at `asked_at` was answered for this output.
    pub(super) fn note_reply(&mut self, point: Point, aspect: Aspect, asked_at: Moment) {
        for token in self.readers_of(point.serial).collect::<Vec<_>>() {
            if let Some(waiter) = self.waiters.get_mut(&token)
                && waiter.point == point
                && waiter.need.is_none_or(|need| asked_at >= need)
            {
                waiter.answered[aspect as usize] = true;
            }
        }
    }

    /// Whether a waiting reader has what it needs of one aspect.
    fn has(&self, waiter: &Waiter, aspect: Aspect) -> bool {
        let entry = self.entries.peek(&waiter.point);
        let (known_at, doubtful) = match (aspect, entry) {
            (_, None) => (None, false),
            (Aspect::Switch, Some(entry)) => {
                (entry.on.map(|on| on.at), entry.on.is_some_and(|on| on.doubtful))
            }
            (Aspect::Level, Some(entry)) if entry.on.is_some() && !entry.level_counts() => return true,
            (Aspect::Level, Some(entry)) => {
                (entry.level.map(|level| level.at), entry.level.is_some_and(|level| level.doubtful))
            }
        };
        if waiter.answered[aspect as usize] {
            return true;
        }
        known_at.is_some_and(|at| waiter.need.is_none_or(|need| at >= need && !doubtful))
    }

    /// Answers the readers of a module that have what they need, and fetches what others still miss.
    pub(super) fn evaluate(&mut self, serial: SerialNumber, now: Moment, effects: &mut Vec<Effect>) {
        let waiting: Vec<Token> = self.readers_of(serial).collect();
        let Some(module) = self.modules.get(serial).filter(|_| !waiting.is_empty()) else { return };
        let dimmable = module.plan.dimmable && !module.unsupported[Aspect::Level as usize];
        for token in waiting {
            let Some(waiter) = self.waiters.get(&token).copied() else { continue };
            let missing: Vec<Aspect> = Aspect::BOTH
                .into_iter()
                .filter(|&aspect| (aspect == Aspect::Switch || dimmable) && !self.has(&waiter, aspect))
                .collect();
            if missing.is_empty() {
                self.answer_reader(token, &waiter, now, effects);
                continue;
            }
            for aspect in missing {
                self.fetch_missing(token, aspect, now, effects);
            }
        }
    }

    fn answer_reader(&mut self, token: Token, waiter: &Waiter, now: Moment, effects: &mut Vec<Effect>) {
        let mut reading = self.peek(waiter.point, now);
        let met =
            |entry: &super::Entry| waiter.need.is_none_or(|need| entry.satisfies(super::Want::Since(need)));
        if reading.freshness == Freshness::Fresh && !self.entries.peek(&waiter.point).is_some_and(met) {
            reading.freshness = Freshness::Stale;
        }
        self.answer(token, Ok(reading), effects);
    }

    fn fetch_missing(&mut self, token: Token, aspect: Aspect, now: Moment, effects: &mut Vec<Effect>) {
        let Some(waiter) = self.waiters.get_mut(&token) else { return };
        let (serial, urgency) = (waiter.point.serial, waiter.urgency);
        let idle = self.modules.get(serial).is_some_and(|m| m.fetches[aspect as usize].phase == Phase::Idle);
        if !idle {
            return;
        }
        waiter.fetches += 1;
        if waiter.fetches > FETCHES_MAX {
            self.answer(token, Err(BusError::TimedOut), effects);
            return;
        }
        self.fetch(serial, aspect, urgency, now, effects);
    }
}
