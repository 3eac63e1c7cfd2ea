//! When outputs grow stale by age: one deadline a module, for the first of its outputs.

use std::collections::BTreeSet;

use super::{Effect, Module, Store};
use crate::conbus::{OutputIndex, Point, SerialNumber};
use crate::policy::{Moment, earliest};

/// Which outputs of a module still have to be told as stale: a bit an output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Armed(u8);

const _: () = assert!(OutputIndex::COUNT_MAX as u32 <= u8::BITS, "a bit for each output of a module");

impl Armed {
    const NONE: Self = Self(0);

    pub(super) fn has(self, output: OutputIndex) -> bool {
        self.0 & bit(output) != 0
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

    /// Moves the deadline of a module.
    fn set(&mut self, module: &mut Module, at: Option<Moment>) {
        if module.expires_at == at {
            return;
        }
        if let Some(old) = std::mem::replace(&mut module.expires_at, at) {
            self.0.remove(&(old, module.plan.serial));
        }
        if let Some(at) = at {
            self.0.insert((at, module.plan.serial));
        }
    }

    /// None of its outputs is told any more.
    pub(super) fn forget(&mut self, module: &mut Module) {
        module.armed = Armed::NONE;
        self.set(module, None);
    }
}

impl Store {
    /// This output is told as stale, not before this moment.
    pub(super) fn arm(&mut self, point: Point, at: Moment) {
        let Some(module) = self.modules.get_mut(point.serial) else { return };
        module.armed.0 |= bit(point.output);
        let at = earliest(module.expires_at, Some(at));
        self.expiries.set(module, at);
    }

    /// This output is not told any more. The deadline stays while it may be that of another.
    pub(super) fn disarm(&mut self, point: Point) {
        let Some(module) = self.modules.get_mut(point.serial) else { return };
        module.armed.0 &= !bit(point.output);
        if module.armed == Armed::NONE {
            self.expiries.forget(module);
        }
    }

    /// The first deadline has come: outputs that were not observed again meanwhile are told.
    pub(super) fn expire_next(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Some((_, serial)) = self.expiries.0.pop_first() else { return };
        let Some(module) = self.modules.get_mut(serial) else { return };
        module.expires_at = None;
        let armed = module.armed;
        let outputs = OutputIndex::first(module.plan.outputs).filter(|output| armed.has(*output));
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
        if let Some(module) = self.modules.get_mut(serial) {
            self.expiries.set(module, next);
        }
    }
}
