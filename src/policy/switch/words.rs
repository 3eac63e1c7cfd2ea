//! What is asked of an accessory, what it shows, and what its policy wants done.

use crate::conbus::{Command, EventSource, Percent, Point};
use crate::policy::{AccessoryKind, BusError, Freshness, Moment, Origin};

/// What somebody asks for. Brightness 0 is off, `on: false` wins over brightness, brightness alone switches on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Target {
    /// On or off.
    pub on: Option<bool>,
    /// The level, of a dimmer.
    pub level: Option<Percent>,
}

/// When a writer wants its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// When the outbox has taken the command.
    Accepted,
    /// When a report or a read has shown the wanted state.
    Confirmed,
}

/// Why an accessory changed; stops echo loops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The bus said so.
    Bus,
    /// This client of a door asked for it.
    Client(u64),
}

/// What an accessory shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessoryState {
    /// On or off; `None`: not known.
    pub on: Option<bool>,
    /// The brightness of a dimmer, 0 when it is off; `None`: not known, or not a dimmer.
    pub brightness: Option<Percent>,
    /// How far it can be trusted.
    pub freshness: Freshness,
    /// When it was last observed.
    pub observed_at: Option<Moment>,
    /// How it was last observed.
    pub origin: Option<Origin>,
}

impl AccessoryState {
    /// Nothing is known.
    pub const UNKNOWN: Self =
        Self { on: None, brightness: None, freshness: Freshness::Unknown, observed_at: None, origin: None };

    /// What people see of it.
    pub fn shown(&self) -> (Option<bool>, Option<Percent>, Freshness) {
        (self.on, self.brightness, self.freshness)
    }
}

/// An accessory as configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwitchPlan {
    /// Its output.
    pub point: Point,
    /// What it is to people.
    pub kind: AccessoryKind,
    /// Whether its module dims, and so takes levels instead of F27 (protocol reference 6.4).
    pub module_dims: bool,
    /// The event that switches it on, should its module refuse commands.
    pub on_event: Option<EventSource>,
    /// The same for off.
    pub off_event: Option<EventSource>,
}

/// Somebody who waits for a wish.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Asker(pub(super) u64);

/// What the owner of the policy is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Send this command, then call [`Switch::taken`](super::Switch::taken) and [`Switch::sent`](super::Switch::sent).
    Send(Command),
    /// Press and release this input, then call [`Switch::taken`](super::Switch::taken) and [`Switch::sent`](super::Switch::sent).
    Press(EventSource),
    /// Read the output, observed no earlier than this, for a confirmation; then call [`Switch::verified`](super::Switch::verified).
    Verify(Moment),
    /// Read the output again; nobody waits.
    Reread,
    /// What is known of the module may be wrong: an event may have switched any of its outputs.
    Invalidate,
    /// Answer a writer.
    Answer(Asker, Result<AccessoryState, BusError>),
    /// A shown value or its freshness changed.
    Changed(AccessoryState, Cause),
}
