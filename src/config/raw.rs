//! What was typed: every key of the file, in the order of the documents, with its kind and its bounds.
//!
//! A value here is good by itself; what it means together with others is checked in `rules`.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::address::{Broker, GatewayAddress};
use super::checked::{Access, Network, Pin};
use super::entry::{Fields, Kind, List, tables};
use super::report::Report;
use super::words::{FilePath, Id, Ids, Interface, Lines, LogFilter, Name, Room, Steps, Topic, User};
use crate::conbus::{EventSource, ModuleType, SerialNumber, TableEntry};
use crate::policy::AccessoryKind;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Below a second nothing is fresh when it arrives; a day-old state is nobody's idea of fresh.
const TTL: RangeInclusive<Duration> = Duration::from_secs(1)..=DAY;
/// A million outputs take some hundred megabytes; the largest sites have a few thousand.
const MAX_ENTRIES: RangeInclusive<i64> = 1..=1_000_000;
/// One exchange takes 50 ms: a shorter interval would ask a module again before it has answered.
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;
/// Shorter than the poll of a minute's use would be no memory of use at all.
const IDLE_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=DAY;
/// Less is not enough to go round a house; 1 is all there is.
const BUS_SHARE: RangeInclusive<f64> = 0.05..=1.0;
/// A broker counts it in seconds; longer and nobody would notice that the daemon is gone.
const WILL_DELAY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);
/// Two decimal digits on the wire (protocol reference 2).
const LINK: RangeInclusive<i64> = 0..=99;
/// Percent.
const BRIGHTNESS: RangeInclusive<i64> = 0..=100;
/// Every telegram goes to every client: more of them are a sign of one that does not close.
const MUX_CLIENTS: RangeInclusive<i64> = 1..=64;
/// The bus carries about 18 exchanges a second (protocol reference 7.2).
const MUX_RATE: RangeInclusive<i64> = 1..=18;

tables! {
    /// The file.
    Document {
        "service" => service: Identity;
        "log" => log: Log;
        "cache" => cache: Cache;
        "poller" => poller: Poller;
        "gateway" => gateways: List<Gateway>;
        "module" => modules: List<Module>;
        "accessory" => accessories: List<Accessory>;
        "group" => groups: List<Group>;
        "scene" => scenes: List<Scene>;
        "http" => http: Http;
        "homekit" => homekit: HomeKit;
        "mqtt" => mqtt: Mqtt;
        "mux" => mux: Mux;
    }

    /// `[service]`
    Identity {
        "name" => name: Name;
        "state_dir" => state_dir: FilePath;
    }

    /// `[log]`
    Log {
        "filter" => filter: LogFilter;
    }

    /// `[cache]`
    Cache {
        "enabled" => enabled: bool;
        "ttl" => ttl: Duration, within(TTL);
        "max_entries" => max_entries: i64, within(MAX_ENTRIES);
    }

    /// `[poller]`
    Poller {
        "enabled" => enabled: bool;
        "interval" => interval: Duration, within(INTERVAL);
        "reporting_interval" => reporting_interval: Duration, within(INTERVAL);
        "idle_after" => idle_after: Duration, within(IDLE_AFTER);
        "bus_share" => bus_share: f64, within(BUS_SHARE);
    }

    /// `[[gateway]]`
    Gateway {
        "id" => id: Id, required;
        "address" => address: GatewayAddress, required;
    }

    /// `[[module]]`
    Module {
        "serial" => serial: SerialNumber, required;
        "type" => of_type: ModuleType, required;
        "link" => link: i64, required, within(LINK);
        "gateway" => gateway: Id;
        "action_table" => action_table: Lines<TableEntry>;
    }

    /// `[[accessory]]`
    Accessory {
        "id" => id: Id, required;
        "name" => name: Name, required;
        "room" => room: Room;
        "kind" => kind: AccessoryKind, required;
        "module" => module: SerialNumber, required;
        "output" => output: i64, required;
        "on" => on: EventSource;
        "off" => off: EventSource;
    }

    /// `[[group]]`
    Group {
        "id" => id: Id, required;
        "name" => name: Name, required;
        "room" => room: Room;
        "members" => members: Ids, required;
    }

    /// `[[scene]]`
    Scene {
        "id" => id: Id, required;
        "name" => name: Name, required;
        "room" => room: Room;
        "targets" => targets: Steps;
        "event" => event: EventSource;
        "gateway" => gateway: Id;
    }

    /// What a scene wants of one accessory.
    Step {
        "accessory" => accessory: Id, required;
        "on" => on: bool;
        "brightness" => brightness: i64, within(BRIGHTNESS);
    }

    /// `[http]`
    Http {
        "listen" => listen: SocketAddr;
        "token_file" => token_file: FilePath;
    }

    /// `[homekit]`
    HomeKit {
        "listen" => listen: SocketAddr;
        "pin" => pin: Pin;
        "interface" => interface: Interface;
        "advertise" => advertise: IpAddr;
    }

    /// `[mqtt]`
    Mqtt {
        "url" => url: Broker, required;
        "user" => user: User;
        "password_file" => password_file: FilePath;
        "ca_file" => ca_file: FilePath;
        "client_cert" => client_cert: FilePath;
        "client_key" => client_key: FilePath;
        "instance" => instance: Id;
        "base" => base: Topic;
        "discovery_prefix" => discovery_prefix: Topic;
        "will_delay" => will_delay: Duration, within(WILL_DELAY);
    }

    /// `[mux]`
    Mux {
        "listen" => listen: SocketAddr;
        "access" => access: Access;
        "allow" => allow: Lines<Network>;
        "gateway" => gateway: Id;
        "firmware" => firmware: bool;
        "max_clients" => max_clients: i64, within(MUX_CLIENTS);
        "telegrams_per_second" => telegrams_per_second: i64, within(MUX_RATE);
    }
}

impl Document {
    /// Reads the whole file; reports what is wrong with any value by itself.
    pub(super) fn read_file(table: &Spanned<DeTable<'_>>, report: &mut Report) -> Self {
        let mut fields = Fields::of(table.get_ref(), table.span(), "", report).known(Self::KEYS);
        Self::read_fields(&mut fields)
    }
}

/// The path of every key, such as `gateway.id`, in the order of the documents.
pub fn key_paths() -> Vec<String> {
    let mut paths = Vec::new();
    Document::key_paths("", &mut paths);
    paths
}

/// The sections that have this key, as they are written.
pub(super) fn sections_with(key: &str) -> Option<String> {
    let titles = Document::titles();
    let sections: Vec<&str> = key_paths()
        .iter()
        .filter_map(|path| path.split_once('.').filter(|(_, last)| *last == key))
        .filter_map(|(section, _)| titles.iter().find(|(known, _)| *known == section))
        .map(|(_, title)| title.as_str())
        .collect();
    (!sections.is_empty()).then(|| sections.join(", "))
}
