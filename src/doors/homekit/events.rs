//! What one session wants to be told, and when it is: the first change at once, then at most one message in 250 ms.
//!
//! For each characteristic it keeps the value that the session already has, from an event or from its own write, so
//! that nobody is told what he said himself and nobody misses it when a write of his did not last.

use std::collections::BTreeMap;
use std::time::Duration;

use super::batch::{Told, listed};
use super::model::Value;
use crate::policy::Moment;

/// Between two messages of a session.
const QUIET: Duration = Duration::from_millis(250);

/// A characteristic: aid and iid.
pub(super) type Key = (u64, u64);

/// The body of a message with these changes.
pub(super) fn told(changes: Vec<(Key, Value)>) -> Vec<u8> {
    let changes: Vec<Told> = changes.into_iter().map(|(key, value)| Told::changed(key, value)).collect();
    listed(&changes)
}

#[derive(Debug)]
struct Watch {
    /// The value that the session has.
    known: Option<Value>,
    /// Whether the value may have changed since.
    stirred: bool,
}

/// What one session wants to be told. It is as long as what it asked for.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    watched: BTreeMap<Key, Watch>,
    quiet_until: Moment,
}

impl Subscriptions {
    /// Tell it changes of this, from this value on.
    pub(super) fn add(&mut self, key: Key, known: Option<Value>) {
        self.watched.entry(key).or_insert(Watch { known, stirred: false });
    }

    /// No longer.
    pub(super) fn remove(&mut self, key: Key) {
        self.watched.remove(&key);
    }

    /// Whether changes of this are told.
    pub(super) fn has(&self, key: Key) -> bool {
        self.watched.contains_key(&key)
    }

    /// The session wrote this value itself.
    pub(super) fn wrote(&mut self, key: Key, value: Value) {
        if let Some(watch) = self.watched.get_mut(&key) {
            watch.known = Some(value);
        }
    }

    /// The value may have changed; true when that is to be looked at in [`Self::take`].
    pub(super) fn stir(&mut self, key: Key) -> bool {
        self.watched.get_mut(&key).is_some_and(|watch| {
            watch.stirred = true;
            true
        })
    }

    /// What the session has is not to be relied upon: tell the value again.
    pub(super) fn forget(&mut self, key: Key) -> bool {
        if let Some(watch) = self.watched.get_mut(&key) {
            watch.known = None;
        }
        self.stir(key)
    }

    /// When [`Self::take`] has something to look at.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.watched.values().any(|watch| watch.stirred).then_some(self.quiet_until)
    }

    /// The changes to tell now; `value_of` knows the latest values.
    pub(super) fn take(&mut self, now: Moment, value_of: &dyn Fn(Key) -> Option<Value>) -> Vec<(Key, Value)> {
        if now < self.quiet_until {
            return Vec::new();
        }
        let mut changes = Vec::new();
        for (key, watch) in self.watched.iter_mut().filter(|(_, watch)| watch.stirred) {
            watch.stirred = false;
            let value = value_of(*key);
            if value.is_some() && value != watch.known {
                watch.known.clone_from(&value);
                changes.extend(value.map(|value| (*key, value)));
            }
        }
        if !changes.is_empty() {
            self.quiet_until = now + QUIET;
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAMP: Key = (2, 17);
    const OFF: Value = Value::Bool(false);
    const ON: Value = Value::Bool(true);

    fn at(ms: u64) -> Moment {
        Moment::START + Duration::from_millis(ms)
    }

    fn watching() -> Subscriptions {
        let mut subscriptions = Subscriptions::default();
        subscriptions.add(LAMP, Some(OFF));
        subscriptions
    }

    fn changed(subscriptions: &mut Subscriptions, ms: u64, value: &Value) -> Vec<(Key, Value)> {
        subscriptions.stir(LAMP);
        subscriptions.take(at(ms), &|_| Some(value.clone()))
    }

    #[test]
    fn the_first_change_is_told_at_once_and_then_the_latest_one() {
        let mut subscriptions = watching();
        assert_eq!(changed(&mut subscriptions, 1000, &ON), [(LAMP, ON)]);
        assert_eq!(changed(&mut subscriptions, 1100, &OFF), []);
        assert_eq!(changed(&mut subscriptions, 1200, &ON), []);
        assert_eq!(changed(&mut subscriptions, 1240, &OFF), []);
        assert_eq!(subscriptions.next_due(), Some(at(1250)));
        assert_eq!(subscriptions.take(at(1250), &|_| Some(OFF)), [(LAMP, OFF)]);
        assert_eq!(subscriptions.next_due(), None);
    }

    #[test]
    fn what_is_again_as_it_was_is_no_change() {
        let mut subscriptions = watching();
        changed(&mut subscriptions, 0, &ON);
        changed(&mut subscriptions, 100, &OFF);
        assert_eq!(changed(&mut subscriptions, 300, &ON), []);
    }

    #[test]
    fn the_writer_is_not_told_unless_his_write_did_not_last() {
        let mut subscriptions = watching();
        subscriptions.wrote(LAMP, ON);
        assert_eq!(changed(&mut subscriptions, 1000, &ON), []);
        assert_eq!(changed(&mut subscriptions, 6000, &OFF), [(LAMP, OFF)]);
    }

    #[test]
    fn an_accessory_that_came_back_is_told_again() {
        let mut subscriptions = watching();
        assert!(subscriptions.forget(LAMP));
        assert_eq!(subscriptions.take(at(1000), &|_| Some(OFF)), [(LAMP, OFF)]);
        assert!(!subscriptions.forget((9, 9)));
    }

    #[test]
    fn unwatched_and_unknown_values_are_not_told() {
        let mut subscriptions = watching();
        subscriptions.stir(LAMP);
        assert_eq!(subscriptions.take(at(0), &|_| None), []);
        subscriptions.remove(LAMP);
        assert_eq!(changed(&mut subscriptions, 0, &ON), []);
        assert!(!subscriptions.has(LAMP));
    }
}
