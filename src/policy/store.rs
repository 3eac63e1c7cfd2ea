//! The cache policy: what is known of every output, how far it can be trusted, and when to ask again.
//!
//! A pure reducer that owns the entries (TTL and LRU), the fences, one fetch for many readers, and the readers that
//! wait. It knows neither actors nor telegrams: its caller fetches and answers. Tests, model and simulation share it.

mod entry;
mod expiry;
mod fetch;
mod modules;
mod plan;
mod reload;
mod remember;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use lru::LruCache;

use self::entry::{Entry, Seen};
use self::expiry::Expiries;
use self::fetch::{Fetch, Module, Waiter};
use self::modules::Modules;
pub use self::plan::{Counters, ModulePlan, StorePlan, Want};
pub use self::words::{Effect, Observation, Outcome, Token};
use super::figures::{Sheet, names};
use super::settle::{Aspect, Basis, PointValue, Verdict};
use super::{Agenda, BusError, Freshness, GatewayId, Moment, Origin, Reading, Urgency, earliest};
use crate::conbus::{Point, SerialNumber};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Due {
    Waiter(Token),
    Fetch(SerialNumber, Aspect),
}

/// Which links are up, by gateway.
#[derive(Debug)]
struct Links(Vec<bool>);

impl Links {
    fn is_up(&self, gateway: GatewayId) -> bool {
        self.0.get(usize::from(gateway.0)).copied().unwrap_or(false)
    }

    /// Also of a gateway without modules: another config may bring some.
    fn set(&mut self, gateway: GatewayId, up: bool) {
        let place = usize::from(gateway.0);
        self.0.resize(self.0.len().max(place + 1), false);
        self.0[place] = up;
    }
}

/// The state of every output of the configured modules.
#[derive(Debug)]
pub struct Store {
    plan: StorePlan,
    entries: LruCache<Point, Entry>,
    modules: Modules,
    links: Links,
    waiters: BTreeMap<Token, Waiter>,
    /// Who of them waits for which module.
    readers: BTreeSet<(SerialNumber, Token)>,
    agenda: Agenda<Due>,
    expiries: Expiries,
    next_token: u64,
    revision: u64,
    counters: Counters,
}

impl Store {
    /// An empty store; every link is down.
    pub fn new(plan: StorePlan, modules: impl IntoIterator<Item = ModulePlan>) -> Self {
        Self {
            entries: LruCache::new(plan.max_entries),
            modules: Modules::new(modules),
            links: Links(Vec::new()),
            waiters: BTreeMap::new(),
            readers: BTreeSet::new(),
            agenda: Agenda::default(),
            expiries: Expiries::default(),
            next_token: 0,
            revision: 0,
            counters: Counters::default(),
            plan,
        }
    }

    /// How often what happened.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Notes what was counted.
    pub fn measure(&self, sheet: &mut Sheet) {
        let Counters { hits, stale, misses, evictions, expirations, updates_refused, .. } = self.counters;
        for (result, total) in [("hit", hits), ("stale", stale), ("miss", misses)] {
            sheet.count(&names::CACHE_REQUESTS, &[result], total);
        }
        for (reason, total) in [("capacity", evictions), ("ttl", expirations)] {
            sheet.count(&names::CACHE_EVICTIONS, &[reason], total);
        }
        sheet.count(&names::CACHE_REFUSED, &[], updates_refused);
        sheet.level(&names::CACHE_ENTRIES, &[], self.entries.len() as f64);
    }

    /// How many outputs have an entry.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many outputs all modules have.
    pub fn outputs(&self) -> usize {
        self.modules.all().map(|module| usize::from(module.plan.outputs)).sum()
    }

    /// How many readers wait.
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// When [`Store::due`] is to be called next.
    pub fn next_due(&self) -> Option<Moment> {
        earliest(self.agenda.next_due(), self.expiries.next_due())
    }

    /// What is known of an output; does not count as use.
    pub fn peek(&self, point: Point, now: Moment) -> Reading {
        self.entries.peek(&point).map_or(Reading::UNKNOWN, |entry| self.reading_of(entry, now))
    }

    fn link_up(&self, gateway: GatewayId) -> bool {
        self.links.is_up(gateway)
    }

    fn reading_of(&self, entry: &Entry, now: Moment) -> Reading {
        entry.reading(self.link_up(entry.gateway), self.plan.ttl, now)
    }

    /// Somebody wants to know. Answers at once when the store knows well enough, else joins a fetch.
    pub fn read(
        &mut self,
        point: Point,
        want: Want,
        urgency: Urgency,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Outcome {
        match self.hit(point, want, now) {
            Some(reading) => Outcome::Now(Ok(reading)),
            None => self.read_behind(point, want, urgency, now, effects),
        }
    }

    /// What is known, when that is good enough for somebody who asked at `asked_at`; counts as use.
    pub fn hit(&mut self, point: Point, want: Want, asked_at: Moment) -> Option<Reading> {
        let entry = self.entries.get(&point)?;
        let reading = entry.reading(self.links.is_up(entry.gateway), self.plan.ttl, asked_at);
        let good = reading.freshness == Freshness::Fresh && self.plan.enabled && entry.satisfies(want);
        self.counters.hits += u64::from(good);
        good.then_some(reading)
    }

    fn read_behind(
        &mut self,
        point: Point,
        want: Want,
        urgency: Urgency,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Outcome {
        let Some(module) = self.modules.get(point.serial).filter(|module| module.has(point.output)) else {
            return Outcome::Now(Err(BusError::Refused));
        };
        let gateway = module.plan.gateway;
        let reading = self.peek(point, now);
        if reading.freshness == Freshness::Unknown {
            self.counters.misses += 1;
        } else {
            self.counters.stale += 1;
        }
        // Some: the reader has to wait, and for what.
        let patience = match want {
            Want::Any => None,
            Want::Known if self.plan.enabled => (reading.freshness == Freshness::Unknown).then_some(None),
            Want::Known => Some(Some(now)),
            Want::Since(at) => Some(Some(at)),
        };
        let in_vain = if !self.link_up(gateway) {
            Some(BusError::LinkDown)
        } else if module.unsupported[Aspect::Switch as usize] {
            Some(BusError::Refused)
        } else {
            None
        };
        if let Some(error) = in_vain {
            let known = want == Want::Any || (want == Want::Known && reading.on.is_some());
            return Outcome::Now(if known { Ok(reading) } else { Err(error) });
        }
        let Some(need) = patience else {
            // Nobody waits for it: a list of a thousand lamps must not keep off who does, nor a command.
            self.fetch_point(point, urgency.max(Urgency::MuxClient), now, effects);
            return Outcome::Now(Ok(reading));
        };
        if self.waiters.len() >= self.plan.max_waiters {
            return Outcome::Now(Err(BusError::Busy));
        }
        let token = Token(self.next_token);
        self.next_token += 1;
        self.waiters.insert(token, Waiter::new(point, need, urgency));
        self.agenda.set(Due::Waiter(token), now + self.plan.patience);
        self.readers.insert((point.serial, token));
        self.fetch_point(point, urgency, now, effects);
        Outcome::Later(token)
    }

    /// The reader no longer waits.
    pub fn forget(&mut self, token: Token) {
        self.agenda.clear(Due::Waiter(token));
        if let Some(waiter) = self.waiters.remove(&token) {
            self.readers.remove(&(waiter.point.serial, token));
        }
    }

    /// Who waits for this module, in the order in which they came.
    fn readers_of(&self, serial: SerialNumber) -> impl Iterator<Item = Token> {
        self.readers.range((serial, Token::FIRST)..=(serial, Token::LAST)).map(|(_, token)| *token)
    }

    /// A value was observed.
    pub fn observed(&mut self, seen: Observation, effects: &mut Vec<Effect>) {
        let (point, aspect, now) = (seen.point, seen.value.aspect(), seen.at);
        let rule = self.plan.settle;
        let known = self.entries.peek(&point);
        let agrees = known.is_some_and(|entry| entry.agrees(seen.value));
        // What lay unread is no newer than that, but no older than what was told before it.
        let reported =
            known.and_then(|entry| entry.on).map_or(seen.not_before, |on| seen.not_before.max(on.at));
        let Some(module) = self.modules.get_mut(point.serial) else { return };
        if !module.has(point.output) {
            return;
        }
        let guard = &mut module.guards[usize::from(point.output.get())];
        let (stamp, origin, asked) = match seen.basis {
            Basis::Report => {
                guard.raise(seen.seq, now);
                (Some(reported), Origin::Report, None)
            }
            Basis::Reply { asked } => {
                module.unsupported[aspect as usize] = false;
                let certain = module.doubts.certain(&rule, aspect, asked, seen.not_before);
                let stamp = match guard.judge(&rule, aspect, certain, seen.not_before, agrees) {
                    Verdict::Settled { not_before } => Some(not_before),
                    Verdict::Unsettled => {
                        guard.refused(asked, seen.seq, now);
                        None
                    }
                };
                let fetch = &mut module.fetches[aspect as usize];
                (stamp, fetch.observed(asked.is_some()), asked)
            }
        };
        let stored = stamp.is_some_and(|stamp| self.accept(&seen, stamp, origin, effects));
        if stored {
            if let Some(guard) = self.guard_mut(point) {
                guard.settle(aspect, now);
            }
            let reading = self.peek(point, now);
            effects.push(Effect::Changed { point, reading });
        } else {
            self.counters.updates_refused += 1;
            self.fetch_again(point, aspect, now, effects);
        }
        if let Some(asked) = asked {
            self.note_reply(point, aspect, asked.at);
        }
        self.evaluate(point.serial, now, effects);
        if stored {
            // Behind the readers: what they wait for must not be fetched with the patience of a poll.
            self.ask_level(&seen, effects);
        }
    }

    /// Nothing tells the level of a dimmer that went on: it is asked (protocol reference 5.2).
    fn ask_level(&mut self, seen: &Observation, effects: &mut Vec<Effect>) {
        let Some(entry) = self.entries.peek(&seen.point) else { return };
        let unknown = entry.level.is_none_or(|level| level.doubtful);
        if seen.value == PointValue::On(true) && entry.level_counts() && unknown {
            self.fetch_again(seen.point, Aspect::Level, seen.at, effects);
        }
    }

    /// Stores a value unless something newer is known; true when it was stored.
    fn accept(
        &mut self,
        seen: &Observation,
        stamp: Moment,
        origin: Origin,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Observation { point, value, at: now, .. } = *seen;
        let Some(module) = self.modules.get(point.serial) else { return false };
        let dimmable = module.plan.dimmable;
        let armed = module.armed.has(point.output);
        let fresh_entry = Entry::new(&module.plan, module.unsupported[Aspect::Level as usize]);
        if self.entries.peek(&point).is_none() {
            let evicted = self.entries.push(point, fresh_entry);
            if let Some((evicted, _)) = evicted.filter(|(evicted, _)| *evicted != point) {
                self.counters.evictions += 1;
                self.disarm(evicted);
                effects.push(Effect::Changed { point: evicted, reading: Reading::UNKNOWN });
            }
        }
        let Some(entry) = self.entries.peek_mut(&point) else { return false };
        let seen_at = |at: Option<Moment>| at.is_some_and(|at| at > stamp);
        match value {
            PointValue::On(on) => {
                if seen_at(entry.on.map(|seen| seen.at)) {
                    return false;
                }
                let was_on = entry.on.is_some_and(|seen| seen.value);
                if on
                    && (origin == Origin::Report || !was_on)
                    && let Some(level) = &mut entry.level
                {
                    level.doubtful = true;
                }
                entry.on = Some(Seen { value: on, at: stamp, doubtful: false });
                entry.origin = origin;
            }
            PointValue::Level(level) => {
                if seen_at(entry.level.map(|seen| seen.at)) {
                    return false;
                }
                entry.levelled = dimmable;
                entry.level = Some(Seen { value: level, at: stamp, doubtful: false });
            }
        }
        self.revision += 1;
        entry.revision = self.revision;
        if !armed {
            let expires_at = entry.expires_at(self.plan.ttl).max(now);
            self.arm(point, expires_at);
        }
        true
    }

    /// A command for this output was written or acknowledged.
    pub fn commanded(&mut self, point: Point, seq: u64, at: Moment) {
        if let Some(guard) = self.guard_mut(point) {
            guard.raise(seq, at);
        }
    }

    /// Who answers for this output is in doubt, and so for all of its module: they answer in one reply.
    pub fn doubtful(&mut self, point: Point, aspect: Aspect, at: Moment) {
        if let Some(module) = self.modules.get_mut(point.serial).filter(|module| module.has(point.output)) {
            module.doubts.raise(aspect, at);
        }
    }

    fn guard_mut(&mut self, point: Point) -> Option<&mut super::settle::Guard> {
        self.modules.get_mut(point.serial)?.guards.get_mut(usize::from(point.output.get()))
    }

    /// What is known of a module may be wrong: it is stale until observed again, and asked for.
    pub fn invalidate(&mut self, serial: SerialNumber, now: Moment, effects: &mut Vec<Effect>) {
        self.doubt_module(serial, now, effects);
        let Some(module) = self.modules.get(serial) else { return };
        if self.link_up(module.plan.gateway)
            && let Some(&point) = module.points().first()
        {
            self.fetch_point(point, Urgency::Poll, now, effects);
        }
    }

    /// What is known of a module may be wrong, and it would not answer now: it is stale until observed again.
    pub fn doubt_module(&mut self, serial: SerialNumber, now: Moment, effects: &mut Vec<Effect>) {
        let points = self.modules.get(serial).map(fetch::Module::points).unwrap_or_default();
        for point in points {
            self.distrust(point, now, effects);
        }
    }

    /// Facts of a gateway were lost: everything behind it is stale until observed again.
    pub fn news_lost(&mut self, gateway: GatewayId, now: Moment, effects: &mut Vec<Effect>) {
        for point in self.points_behind(gateway) {
            for aspect in Aspect::BOTH {
                self.doubtful(point, aspect, now);
            }
            self.distrust(point, now, effects);
        }
    }

    /// The points behind a gateway, in their order.
    fn points_behind(&self, gateway: GatewayId) -> Vec<Point> {
        let behind = self.modules.all().filter(|module| module.plan.gateway == gateway);
        behind.flat_map(Module::points).collect()
    }

    fn distrust(&mut self, point: Point, now: Moment, effects: &mut Vec<Effect>) {
        let was = self.peek(point, now).freshness;
        if let Some(entry) = self.entries.peek_mut(&point) {
            entry.distrust();
            self.disarm(point);
        }
        let reading = self.peek(point, now);
        if reading.freshness != was {
            effects.push(Effect::Changed { point, reading });
        }
    }

    /// The link came up or went down. Down: readers get [`BusError::LinkDown`], everything is stale.
    pub fn link_changed(&mut self, gateway: GatewayId, up: bool, now: Moment, effects: &mut Vec<Effect>) {
        let points = self.points_behind(gateway);
        // Up again without a word of its end: that it was down has been missed.
        if !up || self.link_up(gateway) {
            for &point in &points {
                self.distrust(point, now, effects);
            }
        }
        self.links.set(gateway, up);
        if up {
            return;
        }
        let mut serials: Vec<SerialNumber> = points.iter().map(|point| point.serial).collect();
        serials.dedup();
        for serial in serials {
            self.reset_module(serial, effects);
        }
    }

    /// Ends the fetches of a module and answers its readers.
    fn reset_module(&mut self, serial: SerialNumber, effects: &mut Vec<Effect>) {
        let Some(module) = self.modules.get_mut(serial) else { return };
        module.fetches = [Fetch::default(); 2];
        module.unsupported = [false; 2];
        for point in module.points() {
            if let Some(entry) = self.entries.peek_mut(&point) {
                entry.levelled = module.plan.dimmable;
            }
        }
        for aspect in Aspect::BOTH {
            self.agenda.clear(Due::Fetch(serial, aspect));
        }
        for token in self.readers_of(serial).collect::<Vec<_>>() {
            self.answer(token, Err(BusError::LinkDown), effects);
        }
    }

    fn answer(&mut self, token: Token, outcome: Result<Reading, BusError>, effects: &mut Vec<Effect>) {
        self.forget(token);
        effects.push(Effect::Answer { token, outcome });
    }

    /// Answers every waiting reader: the daemon is about to end.
    pub fn drain(&mut self, effects: &mut Vec<Effect>) {
        let tokens: Vec<Token> = self.waiters.keys().copied().collect();
        for token in tokens {
            self.answer(token, Err(BusError::Stopping), effects);
        }
    }

    /// Does what is due: starts fetches that had to wait, gives up readers, lets entries grow stale.
    pub fn due(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        while let Some(at) = self.next_due().filter(|at| *at <= now) {
            // At the same moment whoever waits comes first.
            match self.agenda.pop_due(at) {
                Some(Due::Waiter(token)) => self.answer(token, Err(BusError::TimedOut), effects),
                Some(Due::Fetch(serial, aspect)) => self.fetch_due(serial, aspect, now, effects),
                None => self.expire_next(now, effects),
            }
        }
    }
}
