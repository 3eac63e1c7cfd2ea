//! The identity reads of one gateway that are still to be made.

use std::collections::BTreeMap;

use crate::conbus::{Datapoint, SerialNumber};

/// One read.
type Read = (SerialNumber, Datapoint);

/// Each read once, in the order in which they came. One is found and taken out without a look at the others: every
/// value that is heard may be one that need not be asked for any more.
#[derive(Debug, Default)]
pub(super) struct Reads {
    by_turn: BTreeMap<u64, Read>,
    turn_of: BTreeMap<Read, u64>,
    turns: u64,
}

impl Reads {
    /// Puts one at the end, unless it is there.
    pub(super) fn push(&mut self, read: Read) {
        if !self.turn_of.contains_key(&read) {
            self.turns += 1;
            self.turn_of.insert(read, self.turns);
            self.by_turn.insert(self.turns, read);
        }
    }

    pub(super) fn remove(&mut self, read: Read) {
        if let Some(turn) = self.turn_of.remove(&read) {
            self.by_turn.remove(&turn);
        }
    }

    /// Takes the first whose module may be asked.
    pub(super) fn take(&mut self, may_be_asked: impl Fn(SerialNumber) -> bool) -> Option<Read> {
        let read = self.by_turn.values().copied().find(|(serial, _)| may_be_asked(*serial))?;
        self.remove(read);
        Some(read)
    }

    pub(super) fn retain(&mut self, wanted: impl Fn(SerialNumber) -> bool) {
        self.by_turn.retain(|_, (serial, _)| wanted(*serial));
        self.turn_of.retain(|(serial, _), _| wanted(*serial));
    }

    pub(super) fn clear(&mut self) {
        self.by_turn.clear();
        self.turn_of.clear();
    }

    /// The modules that are to be asked, once for each read.
    pub(super) fn modules(&self) -> impl Iterator<Item = SerialNumber> {
        self.by_turn.values().map(|(serial, _)| *serial)
    }
}
