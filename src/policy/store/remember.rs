//! What of the store outlives a restart, and how it comes back: believed by nobody until the bus has said it again.

use super::{Effect, Entry, Seen, Store};
use crate::policy::{Moment, Remembered};

impl Store {
    /// What is known of every output, the most recently read first.
    pub fn remembered(&self, now: Moment) -> Vec<Remembered> {
        let entries = self.entries.iter();
        entries
            .map(|(point, entry)| Remembered {
                point: *point,
                on: entry.on.map(|on| (on.value, now.since(on.at))),
                level: entry.level.map(|level| (level.value, now.since(level.at))),
            })
            .collect()
    }

    /// Takes back what was known before a restart, into an empty store. Outputs that are no longer configured are
    /// left out, and so is what has no room.
    pub fn restore(&mut self, outputs: &[Remembered], now: Moment, effects: &mut Vec<Effect>) {
        let seen_before = |age| now.before(age);
        let known = outputs.iter().filter(|known| known.on.is_some());
        let mut restored = Vec::new();
        for known in known {
            let Some(module) = self.modules.get(known.point.serial) else { continue };
            if !module.has(known.point.output) || self.entries.peek(&known.point).is_some() {
                continue;
            }
            let mut entry = Entry::new(&module.plan, false);
            entry.on = known.on.map(|(value, age)| Seen { value, at: seen_before(age), doubtful: true });
            entry.level = known.level.filter(|_| module.plan.dimmable).map(|(value, age)| Seen {
                value,
                at: seen_before(age),
                doubtful: true,
            });
            restored.push((known.point, entry));
        }
        restored.truncate(self.plan.max_entries.get().saturating_sub(self.entries.len()));
        // The least likely to be forgotten goes in last.
        for (point, mut entry) in restored.into_iter().rev() {
            self.revision += 1;
            entry.revision = self.revision;
            self.entries.push(point, entry);
            effects.push(Effect::Changed { point, reading: self.peek(point, now) });
        }
    }
}
