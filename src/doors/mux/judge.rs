//! What a telegram of a client is, and whether the client may say it. Pure.
//!
//! Whatever is not certainly harmless counts as a write: an event makes modules act, and the transfer of a table,
//! in whichever direction, ends in a restart of the module (protocol reference 3.6).

use std::net::IpAddr;

use crate::conbus::{Function, Reply, Telegram};

/// What clients may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everything that can be said on the bus, but for firmware.
    Full,
    /// Read datapoints and find modules.
    NoWrite,
    /// Hear.
    Listen,
}

/// An address, or those that share its first bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    /// The first of them.
    pub address: IpAddr,
    /// How many bits count.
    pub bits: u8,
}

impl Network {
    /// Whether this address is one of them; an IPv4 address may come in the clothes of IPv6.
    pub fn holds(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(v4)) => {
                (net.to_bits() ^ v4.to_bits()).checked_shr(32 - bits.min(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(v6)) => {
                (net.to_bits() ^ v6.to_bits()).checked_shr(128 - bits.min(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// What a telegram does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Reads a value; equal ones can be joined.
    Read,
    /// Asks who is there.
    Discovery,
    /// Changes something, or may.
    Write,
    /// Begins the transfer of a table.
    TableStart,
    /// Goes on with it, or ends it.
    TablePart,
    /// Begins the transfer of firmware.
    FirmwareStart,
    /// Goes on with it, or ends it.
    FirmwarePart,
}

/// Why a telegram is not passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Clients of this port may not do that.
    Access,
    /// Firmware is rewritten only where the config says so.
    Firmware,
    /// It addresses every module at once and is no discovery: what all of them answer nobody can tell apart.
    Broadcast,
    /// Only modules reply.
    Impersonation,
    /// Another client transfers a table or firmware.
    InTransfer,
    /// A step of a transfer that was not begun, or has ended.
    NoTransfer,
}

/// What this telegram does, if a client with this access may say it.
pub(super) fn judge(telegram: &Telegram, access: Access, firmware: bool) -> Result<Kind, Refusal> {
    let kind = kind(telegram)?;
    let allowed = match access {
        Access::Full => true,
        Access::NoWrite => matches!(kind, Kind::Read | Kind::Discovery),
        Access::Listen => false,
    };
    match kind {
        _ if !allowed => Err(Refusal::Access),
        Kind::FirmwareStart | Kind::FirmwarePart if !firmware => Err(Refusal::Firmware),
        kind => Ok(kind),
    }
}

fn kind(telegram: &Telegram) -> Result<Kind, Refusal> {
    let system = match telegram {
        Telegram::System(system) => system,
        Telegram::Event(_) => return Ok(Kind::Write),
        Telegram::Reply(_) => return Err(Refusal::Impersonation),
    };
    let function = system.function;
    if system.serial.is_broadcast() && function != Function::DISCOVERY {
        return Err(Refusal::Broadcast);
    }
    Ok(match function {
        Function::DISCOVERY => Kind::Discovery,
        Function::READ_DATAPOINT | Function::READ_CONFIG => Kind::Read,
        Function::FIRMWARE_START | Function::TOP_FIRMWARE_START => Kind::FirmwareStart,
        _ if function.is_destructive() => Kind::FirmwarePart,
        _ if function.begins_table() => Kind::TableStart,
        // A NAK to a module has a meaning only where a chunk of it is refused.
        _ if function.is_of_table() || function == Function::NAK => Kind::TablePart,
        _ => Kind::Write,
    })
}

/// What the client is told of a telegram that is not passed on: the NAK that a module sends for what it does not
/// support, the only refusal that the bus knows. Nothing where no module would answer either.
pub(super) fn refusal(telegram: &Telegram) -> Option<Telegram> {
    match telegram {
        Telegram::System(system)
            if !system.serial.is_broadcast() && system.function != Function::AFTER_DISCOVERY =>
        {
            Some(Reply::nak(system.serial).into())
        }
        _ => None,
    }
}
