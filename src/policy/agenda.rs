//! Deadlines by key.

use std::collections::{BTreeMap, BTreeSet};

use super::Moment;

/// Holds at most one deadline a key and gives them back in order.
///
/// A policy keeps every deadline of its own here, so that its actor needs a single timer.
#[derive(Clone, Debug)]
pub struct Agenda<K: Ord + Copy> {
    by_time: BTreeSet<(Moment, K)>,
    by_key: BTreeMap<K, Moment>,
}

impl<K: Ord + Copy> Default for Agenda<K> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Agenda<K> {
    /// Sets the deadline of `key`, replacing an earlier one.
    pub fn set(&mut self, key: K, at: Moment) {
        if let Some(old) = self.by_key.insert(key, at) {
            self.by_time.remove(&(old, key));
        }
        self.by_time.insert((at, key));
    }

    /// Forgets the deadline of `key`.
    pub fn clear(&mut self, key: K) {
        if let Some(old) = self.by_key.remove(&key) {
            self.by_time.remove(&(old, key));
        }
    }

    /// Forgets every deadline whose key is not wanted any more.
    pub fn retain(&mut self, wanted: impl Fn(&K) -> bool) {
        self.by_key.retain(|key, _| wanted(key));
        self.by_time.retain(|(_, key)| wanted(key));
    }

    /// The deadline of `key`.
    pub fn get(&self, key: K) -> Option<Moment> {
        self.by_key.get(&key).copied()
    }

    /// The earliest deadline.
    pub fn next_due(&self) -> Option<Moment> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest key whose deadline is not after `now`.
    pub fn pop_due(&mut self, now: Moment) -> Option<K> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(key);
        Some(key)
    }

    /// How many keys have a deadline.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no key has a deadline.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn keys_come_back_in_time_order_and_each_once() {
        let at = |seconds| Moment::after_start(Duration::from_secs(seconds));
        let mut agenda = Agenda::default();
        agenda.set("late", at(5));
        agenda.set("soon", at(9));
        agenda.set("soon", at(1));
        agenda.set("never", at(2));
        agenda.clear("never");
        assert_eq!((agenda.next_due(), agenda.len()), (Some(at(1)), 2));
        assert_eq!(agenda.pop_due(at(0)), None);
        assert_eq!(agenda.pop_due(at(5)), Some("soon"));
        assert_eq!(agenda.pop_due(at(5)), Some("late"));
        assert_eq!(agenda.pop_due(at(50)), None);
    }
}
