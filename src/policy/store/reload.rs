//! Another config while the store is in use: what is known of modules that stay is kept, with its age.

use std::collections::{BTreeSet, HashMap};

use super::{Due, Effect, Module, ModulePlan, Store, StorePlan};
use crate::conbus::{Point, SerialNumber};
use crate::policy::settle::Aspect;
use crate::policy::{BusError, Freshness, Moment, Reading};

impl Store {
    /// From now on by this plan, for these modules. What is known of a module that is gone, or is another one now, is
    /// forgotten and its readers are told [`BusError::Refused`]; what is fresh by the old TTL and not by the new, or
    /// the other way round, is told.
    pub fn reconfigure(
        &mut self,
        plan: StorePlan,
        modules: impl IntoIterator<Item = ModulePlan>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let modules: HashMap<SerialNumber, ModulePlan> =
            modules.into_iter().map(|module| (module.serial, module)).collect();
        let stays = |module: &Module| modules.get(&module.plan.serial) == Some(&module.plan);
        let gone: BTreeSet<SerialNumber> =
            self.modules.all().filter(|module| !stays(module)).map(|module| module.plan.serial).collect();
        for serial in gone {
            self.remove(serial, effects);
        }
        self.modules.install(modules.into_values());
        let before = self.freshness(now);
        self.plan = plan;
        for (point, was) in before {
            self.rearm(point, now);
            let reading = self.peek(point, now);
            if reading.freshness != was {
                effects.push(Effect::Changed { point, reading });
            }
        }
        self.make_room(effects);
    }

    fn remove(&mut self, serial: SerialNumber, effects: &mut Vec<Effect>) {
        let Some(module) = self.modules.get(serial) else { return };
        let points = module.points();
        for token in self.readers_of(serial).collect::<Vec<_>>() {
            self.answer(token, Err(BusError::Refused), effects);
        }
        for aspect in Aspect::BOTH {
            self.agenda.clear(Due::Fetch(serial, aspect));
        }
        for point in points {
            if self.entries.pop(&point).is_some() {
                effects.push(Effect::Changed { point, reading: Reading::UNKNOWN });
            }
        }
        if let Some(mut module) = self.modules.remove(serial) {
            self.expiries.forget(&mut module);
        }
    }

    /// How fresh every output is, in a fixed order.
    fn freshness(&self, now: Moment) -> Vec<(Point, Freshness)> {
        let entries = self.entries.iter();
        let mut all: Vec<_> =
            entries.map(|(point, entry)| (*point, self.reading_of(entry, now).freshness)).collect();
        all.sort_unstable_by_key(|(point, _)| *point);
        all
    }

    /// The moment at which it grows stale by age is another one.
    fn rearm(&mut self, point: Point, now: Moment) {
        let Some(entry) = self.entries.peek(&point) else { return };
        if self.reading_of(entry, now).freshness == Freshness::Fresh {
            self.arm(point, entry.expires_at(self.plan.ttl));
        } else {
            self.disarm(point);
        }
    }

    fn make_room(&mut self, effects: &mut Vec<Effect>) {
        while self.entries.len() > self.plan.max_entries.get()
            && let Some((point, _)) = self.entries.pop_lru()
        {
            self.counters.evictions += 1;
            self.disarm(point);
            effects.push(Effect::Changed { point, reading: Reading::UNKNOWN });
        }
        self.entries.resize(self.plan.max_entries);
    }
}
