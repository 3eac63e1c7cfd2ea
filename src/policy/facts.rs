//! The small words that policies, actors and doors share.

use std::fmt;

use serde::Serialize;

use super::Moment;
use crate::conbus::Percent;

/// Which of the configured gateways: its place in the config, from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
pub struct GatewayId(pub u16);

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why the bus did not do what was asked. Every door translates these five once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum BusError {
    /// There is no connection to the gateway.
    #[error("the gateway is not connected")]
    LinkDown,
    /// The module did not answer, or did not confirm, in time.
    #[error("the module did not answer in time")]
    TimedOut,
    /// The module answered that it does not do that.
    #[error("the module refused")]
    Refused,
    /// A queue is full.
    #[error("too much is waiting already")]
    Busy,
    /// The daemon is about to end.
    #[error("the daemon is stopping")]
    Stopping,
}

/// How urgent an exchange is; the smaller goes first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Whether anybody is there at all: until that is known, the rest may be said to nobody.
    LinkProbe,
    /// Somebody pressed something.
    Command,
    /// A module repeats itself and must be stopped.
    StormProbe,
    /// A command waits to be confirmed.
    Confirm,
    /// Somebody waits for a value.
    Reader,
    /// A client of the shared port.
    MuxClient,
    /// The first reads after a connect.
    WarmUp,
    /// Keeping the cache true.
    Poll,
}

impl Urgency {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 8] = [
        Self::LinkProbe,
        Self::Command,
        Self::StormProbe,
        Self::Confirm,
        Self::Reader,
        Self::MuxClient,
        Self::WarmUp,
        Self::Poll,
    ];

    /// Its name for watchers.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinkProbe => "link_probe",
            Self::Command => "command",
            Self::StormProbe => "storm_probe",
            Self::Confirm => "confirm",
            Self::Reader => "reader",
            Self::MuxClient => "mux_client",
            Self::WarmUp => "warm_up",
            Self::Poll => "poll",
        }
    }

    /// Whether nobody waits for it, so that the spacing of its module binds it.
    pub fn is_background(self) -> bool {
        matches!(self, Self::WarmUp | Self::Poll)
    }
}

/// How a value came to be known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The module told it by itself.
    Report,
    /// A background read.
    Poll,
    /// A read that somebody waited for.
    Read,
    /// Kept from an earlier run.
    Snapshot,
}

/// How far a value can be trusted, best first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// The output had this state within the last TTL.
    Fresh,
    /// A command is on its way; the shown state is the wanted one.
    Pending,
    /// It was so once; the daemon does not vouch for it now.
    Stale,
    /// Never observed.
    Unknown,
}

/// What the cache knows of one output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// On or off.
    pub on: Option<bool>,
    /// The level, of a dimmer.
    pub level: Option<Percent>,
    /// The worst of on/off and, for a dimmer that is on, level.
    pub freshness: Freshness,
    /// Since when the shown state is certain at the earliest: the older of the two observations that count.
    pub observed_at: Option<Moment>,
    /// How on/off came to be known.
    pub origin: Option<Origin>,
    /// Raised with every observation that the store accepts.
    pub revision: u64,
}

impl Reading {
    /// Of an output that was never observed.
    pub const UNKNOWN: Self = Self {
        on: None,
        level: None,
        freshness: Freshness::Unknown,
        observed_at: None,
        origin: None,
        revision: 0,
    };
}
