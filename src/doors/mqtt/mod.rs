//! The MQTT door: states, commands and buttons at a broker, with descriptions for Home Assistant.
//!
//! Owns its connection to the broker, its topics and the list of those it ever published. It knows accessories and
//! asks them. The broker is a shared memory of the last states, never a lock and never a source of truth: what lies
//! there is replaced at every connect, and only fresh messages are obeyed.
//!
//! | file | what it does |
//! |---|---|
//! | `topics`, `payload`, `discovery`, `requests` | names and texts: values in, values out |
//! | `board`, `ledger`, `modules`, `claims` | what is to be said, what was ever said, who answers, who has which gateway |
//! | `desk`, `display` | the decisions, from facts and messages to what is published and asked; also pure |
//! | `pane` | the decisions without a connection |
//! | `link` | the one place that knows the client library |
//! | `fleet` | every daemon at a broker |
//! | `hub`, `server` | the actor that hears facts; the connection, its start and end |

mod board;
mod claims;
mod desk;
mod discovery;
mod display;
mod fleet;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod house;
mod hub;
mod ledger;
mod link;
mod modules;
#[doc(hidden)]
pub mod pane;
mod payload;
mod requests;
mod server;
mod topics;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::conbus::{ModuleType, SerialNumber};

pub use fleet::{Fleet, FleetError, fleet};
pub use hub::Hub;
pub use server::{Door, Inside, LookInside, Reload};

/// What the door is built from.
#[derive(Clone, Debug)]
pub struct MqttPlan {
    /// The broker, and how it is entered.
    pub broker: BrokerPlan,
    /// The first part of every topic.
    pub base: String,
    /// Where Home Assistant looks for descriptions.
    pub discovery_prefix: String,
    /// By which this daemon differs from others at the broker; drawn once and kept when absent.
    pub instance: Option<String>,
    /// After how long without this daemon the broker calls it offline.
    pub will_delay: Duration,
    /// What the installation is called.
    pub name: String,
    /// Where people find the page of this daemon, when others than this machine can.
    pub page: Option<String>,
    /// The file of every topic that was ever published.
    pub store: PathBuf,
    /// The ids of the gateways, each at the place of its [`GatewayId`](crate::policy::GatewayId).
    pub gateways: Vec<String>,
    /// The modules.
    pub modules: Vec<ModuleFace>,
}

/// A broker, and how it is entered.
#[derive(Clone, Debug)]
pub struct BrokerPlan {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is encrypted.
    pub tls: Option<TlsPlan>,
    /// The name it knows this daemon by.
    pub user: Option<String>,
    /// The password of that name.
    pub password: Option<Secret>,
}

/// How the connection is encrypted. All of it is PEM text.
#[derive(Clone, Debug)]
pub struct TlsPlan {
    /// Who vouches for the broker; those whom the system trusts when absent.
    pub ca: Option<Vec<u8>>,
    /// Certificate and key by which the broker knows this daemon.
    pub client: Option<(Vec<u8>, Secret)>,
}

/// Bytes that are never printed.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// These bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A module as the door shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModuleFace {
    /// Its serial number.
    pub serial: SerialNumber,
    /// Its type by the config.
    pub module_type: ModuleType,
    /// Its link number.
    pub link: u8,
    /// The place of its gateway.
    pub gateway: usize,
}

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read.
    #[error("cannot use the MQTT ledger `{}`: {cause}", path.display())]
    Ledger {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
}
