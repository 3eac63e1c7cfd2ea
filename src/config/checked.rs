//! What is true: the configuration after every check, as plain values.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::address::{Broker, GatewayAddress};
use crate::conbus::{EventSource, ModuleType, Percent, Point, SerialNumber, TableEntry};
use crate::policy::AccessoryKind;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How this daemon is called and where it keeps its files.
    pub service: Identity,
    /// What is logged.
    pub log: Log,
    /// How long state is remembered.
    pub cache: Cache,
    /// What is asked without anybody asking.
    pub poller: Poller,
    /// The bridges to the bus; none is a daemon without a house.
    pub gateways: Vec<Gateway>,
    /// What is on the bus.
    pub modules: Vec<Module>,
    /// What people see.
    pub accessories: Vec<Accessory>,
    /// Several accessories with one switch.
    pub groups: Vec<Group>,
    /// What can be called by one switch.
    pub scenes: Vec<Scene>,
    /// The HTTP door, when it is open.
    pub http: Option<Http>,
    /// The HomeKit door, when it is open.
    pub homekit: Option<HomeKit>,
    /// The MQTT door, when it is open.
    pub mqtt: Option<Mqtt>,
    /// The port for other Conbus tools, when it is open.
    pub mux: Option<Mux>,
}

/// `[service]`: how this daemon is called and where it keeps its files.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The name in HomeKit, in MQTT and on the dashboard.
    pub name: String,
    /// The folder of everything that outlives a restart; beside the config file unless absolute.
    pub state_dir: PathBuf,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// What is logged, in the syntax of `RUST_LOG`.
    pub filter: String,
}

/// `[cache]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// Whether state is remembered at all; otherwise every read goes to the bus.
    pub enabled: bool,
    /// How long an observation counts as fresh.
    pub ttl: Duration,
    /// How many outputs are remembered.
    pub max_entries: usize,
}

/// `[poller]`; `interval <= reporting_interval < cache.ttl`.
#[derive(Clone, Debug, PartialEq)]
pub struct Poller {
    /// Whether modules are polled.
    pub enabled: bool,
    /// How often recently used modules are asked that do not report by themselves.
    pub interval: Duration,
    /// How often recently used modules are asked that do.
    pub reporting_interval: Duration,
    /// After how long without use a module is left alone.
    pub idle_after: Duration,
    /// The part of bus time that polling may take, above 0 and at most 1.
    pub bus_share: f64,
}

/// A `[[gateway]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// Its stable key.
    pub id: String,
    /// Where it is.
    pub address: GatewayAddress,
}

/// A `[[module]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    /// Its address on the bus, the only one with this number.
    pub serial: SerialNumber,
    /// What it is.
    pub module_type: ModuleType,
    /// Its link number, 0 to 99; the only one of its type with it on its gateway.
    pub link: u8,
    /// The index of its gateway in [`Config::gateways`].
    pub gateway: usize,
    /// By which an emulated module reacts to events; the factory's when absent. A real one has its own.
    pub action_table: Option<Vec<TableEntry>>,
}

/// An `[[accessory]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Accessory {
    /// Its stable key.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where it is; empty when that was not written.
    pub room: String,
    /// What it is to people.
    pub kind: AccessoryKind,
    /// The output it stands for: of a configured module, and no other accessory's.
    pub point: Point,
    /// The event that switches it on where the module refuses direct commands.
    pub on_event: Option<EventSource>,
    /// The event that switches it off.
    pub off_event: Option<EventSource>,
}

/// A `[[group]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its stable key; no accessory, group or scene has the same.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where it is; empty when that was not written.
    pub room: String,
    /// The ids of its accessories, at least one, each once.
    pub members: Vec<String>,
}

/// A `[[scene]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Its stable key; no accessory, group or scene has the same.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where it is; empty when that was not written.
    pub room: String,
    /// What it does.
    pub deed: Deed,
}

/// What a scene does.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// A wish for each of these accessories, each once; at least one.
    Targets(Vec<Step>),
    /// An event that modules know what to do at.
    Event {
        /// Type, link and input of its sender.
        input: EventSource,
        /// The index of the gateway in [`Config::gateways`].
        gateway: usize,
    },
}

/// What a scene wants of one accessory.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The id of the accessory.
    pub accessory: String,
    /// On or off.
    pub on: Option<bool>,
    /// The level, of a dimmer.
    pub brightness: Option<Percent>,
}

/// `[http]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The file with the token that readers must show; always there when it listens beyond this machine.
    pub token_file: Option<PathBuf>,
}

/// `[homekit]`.
#[derive(Clone, Debug, PartialEq)]
pub struct HomeKit {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The setup code; when it was not written one is made and kept in the state folder.
    pub pin: Option<Pin>,
    /// The network interface it is announced on; without it what follows from `listen`.
    pub interface: Option<String>,
    /// The address it is announced with; without it those of the interface.
    pub advertise: Option<IpAddr>,
}

/// The setup code of HomeKit, `ddd-dd-ddd`; not one of those that everybody would try.
///
/// It is printed on purpose only: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(pub(super) String);

impl Pin {
    /// The code with its dashes.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(***)")
    }
}

/// `[mqtt]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mqtt {
    /// The broker.
    pub broker: Broker,
    /// The name under which it knows this daemon.
    pub user: Option<String>,
    /// The file with the password of that name.
    pub password_file: Option<PathBuf>,
    /// The file with the certificates of those who vouch for the broker; those of the system when absent.
    pub ca_file: Option<PathBuf>,
    /// The files with the certificate and the key by which the broker knows this daemon.
    pub client: Option<(PathBuf, PathBuf)>,
    /// By which this daemon differs from others at the broker; drawn once and kept in the state folder when absent.
    pub instance: Option<String>,
    /// The first part of every topic.
    pub base: String,
    /// Where Home Assistant looks for descriptions.
    pub discovery_prefix: String,
    /// After how long without this daemon the broker calls it offline; whole seconds.
    pub will_delay: Duration,
}

/// `[mux]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mux {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What its clients may do.
    pub access: Access,
    /// From where they may come.
    pub allow: Vec<Network>,
    /// The index of the gateway they share in [`Config::gateways`]; 0 also when there is none.
    pub gateway: usize,
    /// Whether they may rewrite firmware.
    pub firmware: bool,
    /// How many there may be at one time.
    pub max_clients: usize,
    /// How many telegrams all of them together may have on the bus, on average.
    pub telegrams_per_second: u32,
}

/// An address, or those that share its first bits: `192.168.1.7`, `192.168.1.0/24`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    /// The address; the bits beyond `bits` are zero.
    pub address: IpAddr,
    /// How many bits count, at most 32 or 128.
    pub bits: u8,
}

/// What clients of the shared port may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everything a tool does.
    Full,
    /// Read, but change nothing.
    NoWrite,
    /// Hear, but say nothing.
    Listen,
}

impl Access {
    /// Every access, in the order of the documents.
    pub const ALL: [Self; 3] = [Self::Full, Self::NoWrite, Self::Listen];

    /// The word in the config.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NoWrite => "no-write",
            Self::Listen => "listen",
        }
    }
}
