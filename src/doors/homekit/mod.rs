//! The HomeKit door: a bridge (HAP over IP) that answers from memory.
//!
//! Owns its sockets, its pairings and the numbers by which controllers know the accessories. It knows accessories
//! and asks them; it knows nothing of datapoints. No request waits for the bus, but the first read of a value that
//! was never known. Words of the protocol that the rest of the house has other words for: an accessory is a
//! `model::Member`, a service a `Unit`, the setup code the config's `pin`.
//!
//! | file | what it does |
//! |---|---|
//! | `tlv`, `srp`, `keys`, `setup`, `verify`, `pairings`, `record` | the protocol of trust: bytes in, bytes out |
//! | `http`, `batch`, `status`, `model`, `events`, `code` | the protocol of accessories, also pure |
//! | `lamp`, `tenant`, `hall` | what is remembered of an accessory; how it is shown; what all sessions share |
//! | `shown` | who is paired, and the setup code as a drawing, for the owner |
//! | `store`, `vault` | what outlives a restart, and the file it is in |
//! | `pane` | one controller without a socket |
//! | `routes`, `session` | a request to its answer; a connection |
//! | `hub`, `announce`, `server` | facts in; the record in multicast DNS; sockets, start and end |

mod announce;
mod batch;
mod bytes_as_hex;
mod cipher;
mod code;
mod events;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hall;
mod http;
mod hub;
mod keys;
mod lamp;
mod model;
mod offline;
mod pairings;
#[doc(hidden)]
pub mod pane;
mod record;
mod routes;
mod server;
mod session;
mod setup;
mod shown;
mod srp;
mod status;
mod store;
mod tenant;
#[cfg(test)]
mod tests;
mod tlv;
mod vault;
mod verify;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::doors::AccessoryFace;

pub use hub::{Hub, ShowPairing};
pub use offline::{pairings, reset};
pub use server::{Door, LookAtModules};

/// What the door is built from.
#[derive(Clone, Debug)]
pub struct HomeKitPlan {
    /// Where the first bridge listens; further ones on the ports behind it.
    pub listen: SocketAddr,
    /// What the bridge is called.
    pub name: String,
    /// The setup code of the first bridge; drawn when absent.
    pub code: Option<SetupCode>,
    /// The interface it is announced on; without it what follows from `listen`.
    pub interface: Option<String>,
    /// The address it is announced with; without it those of the interface.
    pub advertise: Option<IpAddr>,
    /// The file of its pairings and numbers.
    pub store: PathBuf,
    /// The accessories it begins with.
    pub faces: Vec<AccessoryFace>,
}

/// A setup code. It is never printed by `Debug`.
#[derive(Clone)]
pub struct SetupCode(String);

impl SetupCode {
    /// The code in this text, `ddd-dd-ddd`.
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read or written.
    #[error("cannot use the HomeKit store `{}`: {cause}", path.display())]
    Store {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is not what was written. It is left as it is.
    #[error("the HomeKit store `{}` is damaged ({why}); bring it back from a copy, or move it away and pair anew", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
    /// There is no `[homekit]` section.
    #[error("the HomeKit door is closed: the config has no [homekit] section")]
    Closed,
    /// An address cannot be listened on.
    #[error("cannot listen on `{address}` for HomeKit: {cause}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
}
