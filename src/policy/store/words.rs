//! What goes into the store and what comes out of it.

use crate::conbus::{Point, SerialNumber};
use crate::policy::settle::{Aspect, Basis, PointValue};
use crate::policy::{BusError, GatewayId, Moment, Reading, Urgency};

/// A reader that waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Token(pub(super) u64);

impl Token {
    pub(super) const FIRST: Self = Self(0);
    pub(super) const LAST: Self = Self(u64::MAX);
}

/// What becomes of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The answer.
    Now(Result<Reading, BusError>),
    /// The answer follows as [`Effect::Answer`] with this token.
    Later(Token),
}

/// What the owner of the store is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Read this datapoint of this module, then call [`Store::fetch_ended`](super::Store::fetch_ended).
    Fetch {
        /// Whose bus.
        gateway: GatewayId,
        /// Which module.
        serial: SerialNumber,
        /// Which of its datapoints.
        aspect: Aspect,
        /// How soon.
        urgency: Urgency,
    },
    /// A reader joins the read of this datapoint: should it still wait to be written, it is more urgent now.
    Hasten {
        /// Whose bus.
        gateway: GatewayId,
        /// Which module.
        serial: SerialNumber,
        /// Which of its datapoints.
        aspect: Aspect,
        /// How soon.
        urgency: Urgency,
    },
    /// Answer a reader.
    Answer {
        /// Which reader.
        token: Token,
        /// With what.
        outcome: Result<Reading, BusError>,
    },
    /// An observation was accepted, or what is known is no longer trusted.
    Changed {
        /// Of which output.
        point: Point,
        /// What is known now.
        reading: Reading,
    },
}

/// One observation of one output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation {
    /// Of which output.
    pub point: Point,
    /// What was observed.
    pub value: PointValue,
    /// On what it rests.
    pub basis: Basis,
    /// The counter of the connection.
    pub seq: u64,
    /// When it was heard.
    pub at: Moment,
    /// Since when it may have lain unread: `at`, unless the process stood still meanwhile.
    pub not_before: Moment,
}
