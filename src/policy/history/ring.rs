//! The entries, the oldest first, within bounds.

use std::collections::VecDeque;

use super::Entry;

/// A ring of entries. Those that have not ended are found without a look at the others: a telegram of a wall switch
/// must not cost what a family has done for days.
#[derive(Debug, Default)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    /// How many there have ever been: the number of the newest.
    begun: u64,
    /// The numbers of those that have not ended, the oldest first.
    open: VecDeque<u64>,
    bytes: usize,
}

impl Ring {
    /// Adds the newest, and forgets the oldest while there are more than so many, or more than so many bytes.
    pub(super) fn begin(&mut self, entry: Entry, (entries_max, bytes_max): (usize, usize)) {
        self.begun += 1;
        if entry.ended.is_none() {
            self.open.push_back(self.begun);
        }
        self.bytes += entry.bytes();
        self.entries.push_back(Entry { number: self.begun, ..entry });
        while self.entries.len() > entries_max || self.bytes > bytes_max {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.bytes();
            if self.open.front() == Some(&oldest.number) {
                self.open.pop_front();
            }
        }
    }

    /// All of them, the newest first.
    pub(super) fn latest(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev()
    }

    /// The newest like this that has not ended.
    pub(super) fn open(&self, like: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        self.open
            .iter()
            .rev()
            .filter_map(|number| self.entries.get(self.place_of(*number)?))
            .find(|entry| like(entry))
    }

    /// Changes the newest like this that has not ended, if there is one.
    pub(super) fn change_open(&mut self, like: impl Fn(&Entry) -> bool, how: impl FnOnce(&mut Entry)) {
        if let Some(number) = self.open(like).map(|open| open.number) {
            self.change(number, how);
        }
    }

    /// Changes the one of this number, if it is still there; gives it back.
    pub(super) fn change(&mut self, number: u64, how: impl FnOnce(&mut Entry)) -> Option<&Entry> {
        let place = self.place_of(number)?;
        let entry = self.entries.get_mut(place)?;
        self.bytes -= entry.bytes();
        how(entry);
        self.bytes += entry.bytes();
        if entry.ended.is_some() {
            self.open.retain(|open| *open != number);
        }
        Some(entry)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// About how many bytes the entries take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Numbers follow each other, so that one tells its place.
    fn place_of(&self, number: u64) -> Option<usize> {
        let oldest = self.entries.front()?.number;
        usize::try_from(number.checked_sub(oldest)?).ok()
    }
}
