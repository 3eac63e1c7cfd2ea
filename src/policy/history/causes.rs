//! What may have made an accessory change: keys, events that we injected, commands that no accessory asked for.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Doer, GatewayId, Moment};
use crate::conbus::{EventSource, Point, Telegram};

/// Presses that are remembered: a hand makes two, children ten.
pub(super) const PRESSES_MAX: usize = 16;

/// Telegrams of other programs that are not written yet: each of 64 clients has one under way at most.
const CLAIMS_MAX: usize = 64;

/// A telegram that the shared port passes on for one of its clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Passed {
    /// To which gateway.
    pub gateway: GatewayId,
    /// What will be written.
    pub telegram: Telegram,
    /// What the client is called, for people.
    pub name: String,
}

/// A press that was heard, or that we sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pressed {
    pub(super) at: Moment,
    pub(super) gateway: GatewayId,
    pub(super) input: EventSource,
    /// Whose doing it was; absent of a key of the house.
    pub(super) doer: Option<Doer>,
}

/// What happened lately that a change may come of.
#[derive(Debug, Default)]
pub(super) struct Causes {
    pub(super) presses: VecDeque<Pressed>,
    /// Commands that no client of a door asked for, by output.
    pub(super) commands: BTreeMap<Point, (Moment, Doer)>,
    claims: VecDeque<(Moment, Passed)>,
}

impl Causes {
    /// Something was pressed.
    pub(super) fn pressed(&mut self, press: Pressed) {
        if self.presses.len() == PRESSES_MAX {
            self.presses.pop_front();
        }
        self.presses.push_back(press);
    }

    /// The presses of this long ago at most, the last one first.
    pub(super) fn presses_within(&self, within: Duration, now: Moment) -> impl Iterator<Item = &Pressed> {
        self.presses.iter().rev().take_while(move |press| now.since(press.at) <= within)
    }

    /// An output was commanded by somebody; what is older than `within` is forgotten.
    pub(super) fn commanded(&mut self, point: Point, doer: Doer, (now, within): (Moment, Duration)) {
        self.commands.retain(|_, (at, _)| now.since(*at) <= within);
        self.commands.insert(point, (now, doer));
    }

    /// Who commanded this output so long ago at most.
    pub(super) fn commander(&self, point: Point, (now, within): (Moment, Duration)) -> Option<&Doer> {
        self.commands.get(&point).filter(|(at, _)| now.since(*at) <= within).map(|(_, doer)| doer)
    }

    /// The shared port passes a telegram on.
    pub(super) fn claimed(&mut self, passed: Passed, now: Moment) {
        if self.claims.len() == CLAIMS_MAX {
            self.claims.pop_front();
        }
        self.claims.push_back((now, passed));
    }

    /// For which client of the shared port this telegram was written, if it was passed on so long ago at most.
    pub(super) fn claimant(
        &mut self,
        gateway: GatewayId,
        telegram: &Telegram,
        (now, within): (Moment, Duration),
    ) -> Option<Doer> {
        self.claims.retain(|(at, _)| now.since(*at) <= within);
        let is_it =
            |(_, passed): &(Moment, Passed)| passed.gateway == gateway && passed.telegram == *telegram;
        let at = self.claims.iter().position(is_it)?;
        self.claims.remove(at).map(|(_, passed)| Doer::Client(passed.name))
    }
}
