//! The shared port: a Conbus-compatible TCP port on which other programs use the one connection together.
//!
//! Owns its socket, its clients and their turns. To a client it is the bridge: it hears everything that is said on
//! the bus, and what it says goes onto the bus, behind what people want and before what this daemon asks for
//! itself. It is the one door that speaks telegrams.
//!
//! | file | what it does |
//! |---|---|
//! | `judge`, `transfer`, `port`, `tally` | decide, on values: what a telegram is, whose turn it is, who hears what |
//! | `hub` | the actor that hears what goes by |
//! | `server` | sockets, connections, the end |

mod hub;
mod judge;
mod port;
mod server;
mod tally;
#[cfg(test)]
mod tests;
mod transfer;

use std::net::SocketAddr;

use crate::conbus::{Frame, Telegram};
use crate::policy::GatewayId;

pub use hub::Hub;
pub use judge::{Access, Kind, Network, Refusal};
pub use port::Rules;
pub use server::{Desk, Door};

/// What the door is built from.
#[derive(Clone, Debug)]
pub struct MuxPlan {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whose connection is shared.
    pub gateway: GatewayId,
    /// The configured id of that gateway.
    pub gateway_name: String,
    /// What its clients may do.
    pub rules: Rules,
}

/// What becomes of a frame that a client sends, before it is anybody's turn: `None` when it is no telegram.
///
/// Total on any bytes; the fuzz target of this door.
pub fn judge_frame(frame: Frame<'_>, rules: &Rules) -> Option<Result<Kind, Refusal>> {
    let telegram = Telegram::parse(frame).ok()?;
    Some(judge::judge(&telegram, rules.access, rules.firmware))
}
