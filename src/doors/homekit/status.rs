//! What became of one characteristic in a request, as the protocol counts it.

use crate::policy::BusError;

/// A status of one characteristic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub(super) enum Status {
    /// Done.
    Success = 0,
    /// The asker may not.
    Privileges = -70401,
    /// The accessory does not answer.
    Unreachable = -70402,
    /// Too much is waiting.
    Busy = -70403,
    /// It cannot be written.
    ReadOnly = -70404,
    /// It cannot be read.
    WriteOnly = -70405,
    /// It has no events.
    NoEvents = -70406,
    /// There is no such characteristic.
    Missing = -70409,
    /// It cannot have this value.
    Invalid = -70410,
    /// The module refuses.
    NotAllowed = -70412,
}

impl Status {
    /// Its number.
    pub(super) fn code(self) -> i32 {
        self as i32
    }
}

impl From<BusError> for Status {
    fn from(error: BusError) -> Self {
        match error {
            BusError::LinkDown | BusError::TimedOut | BusError::Stopping => Self::Unreachable,
            BusError::Refused => Self::NotAllowed,
            BusError::Busy => Self::Busy,
        }
    }
}
