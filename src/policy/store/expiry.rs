//! When outputs grow stale by age: one deadline a module, for the first of its outputs.

use std::collections::BTreeSet;

use super::{Effect, Store};
use crate::conbus::{OutputIndex, Point, SerialNumber};
use crate::policy::{Moment, earliest};

/// Which outputs of a module still have to be told as stale, and when the first may have to be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expiry {
    at: Option<Moment>,
    /// A bit an output.
    armed: u8,
}

const _: () = assert!(OutputIndex::COUNT_MAX as u32 <= u8::BITS, "a bit for each output of a module");

impl Expiry {
    pub(super) fn is_armed(&self, output: OutputIndex) -> bool {
        self.armed & bit(output) != 0
    }
}

fn bit(output: OutputIndex) -> u8 {
    1 << output.get()
}

/// The modules that have such outputs, the next one first.
#[derive(Debug, Default)]
pub(super) struct Expiries(BTreeSet<(Moment, SerialNumber)>);

impl Expiries {
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.0.first().map(|(at, _)| *at)
    }

    fn set(&mut self, serial: SerialNumber, expiry: &mut Expiry, at: Option<Moment>) {
        if expiry.at == at {
            return;
        }
        if let Some(old) = std::mem::replace(&mut expiry.at, at) {
            self.0.remove(&(old, serial));
        }
        if let Some(at) = at {
            self.0.insert((at, serial));
        }
    }

    /// None of its outputs is told any more.
    pub(super) fn forget(&mut self, serial: SerialNumber, expiry: &mut Expiry) {
        expiry.armed = 0;
        self.set(serial, expiry, None);
    }
}

impl Store {
    /// This output is told as stale, not before this moment.
    pub(super) fn arm(&mut self, point: Point, at: Moment) {
        let Some(module) = self.modules.get_mut(&point.serial) else { return };
        let expiry = &mut module.expiry;
        expiry.armed |= bit(point.output);
        self.expiries.set(point.serial, expiry, earliest(expiry.at, Some(at)));
    }

    /// This output is not told any more. The deadline stays while it may be that of another.
    pub(super) fn disarm(&mut self, point: Point) {
        let Some(module) = self.modules.get_mut(&point.serial) else { return };
        module.expiry.armed &= !bit(point.output);
        if module.expiry.armed == 0 {
            self.expiries.forget(point.serial, &mut module.expiry);
        }
    }

    /// The first deadline has come: outputs that were not observed again meanwhile are told.
    pub(super) fn expire_next(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Some((_, serial)) = self.expiries.0.pop_first() else { return };
        let Some(module) = self.modules.get_mut(&serial) else { return };
        module.expiry.at = None;
        let armed = module.expiry;
        let outputs = OutputIndex::first(module.plan.outputs).filter(|output| armed.is_armed(*output));
        let mut next = None;
        for point in outputs.map(|output| Point { serial, output }) {
            match self.entries.peek(&point).map(|entry| entry.expires_at(self.plan.ttl)) {
                Some(at) if at > now => next = earliest(next, Some(at)),
                known => {
                    self.disarm(point);
                    if known.is_some() {
                        self.counters.expirations += 1;
                        let reading = self.peek(point, now);
                        effects.push(Effect::Changed { point, reading });
                    }
                }
            }
        }
        if let Some(module) = self.modules.get_mut(&serial) {
            self.expiries.set(serial, &mut module.expiry, next);
        }
    }
}
