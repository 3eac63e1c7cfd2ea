//! `[http]`, `[homekit]`, `[mqtt]` and `[mux]`: who may come in, and on which port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;

use super::house;
use crate::config::address::GatewayAddress;
use crate::config::checked::{Access, HomeKit, Http, Mqtt, Mux, Network};
use crate::config::entry::Entry;
use crate::config::raw::{self, Document};
use crate::config::report::{Fault, Report};
use crate::config::words::{FilePath, Id, Interface, Lines, Topic, User};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Not used by a common program.
const HTTP_LISTEN: SocketAddr = SocketAddr::new(LOOPBACK, 8480);
/// What HomeKit bridges use by custom.
const HOMEKIT_LISTEN: SocketAddr = SocketAddr::new(LOOPBACK, 51826);
/// A hundred above the port of the bridges, so that both fit one machine.
const MUX_LISTEN: SocketAddr = SocketAddr::new(LOOPBACK, 10101);
/// Who reaches a port of the loopback address.
const LOOPBACK_NETWORKS: [Network; 2] = [
    Network { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), bits: 8 },
    Network { address: IpAddr::V6(Ipv6Addr::LOCALHOST), bits: 128 },
];
/// A vendor tool, a bridge, and some command lines.
const MUX_CLIENTS: i64 = 16;
/// About two thirds of what the bus carries: discovering a house stays quick, and polling goes on beside it.
const MUX_RATE: i64 = 10;
const MQTT_BASE: &str = "conbus";
/// Where Home Assistant looks unless told otherwise.
const MQTT_DISCOVERY_PREFIX: &str = "homeassistant";
/// A restart of the daemon takes less, so that it is no news.
const MQTT_WILL_DELAY: Duration = Duration::from_secs(5);

pub(super) fn http(entry: &Entry<raw::Http>, base: &Path, report: &mut Report) -> Option<Http> {
    let raw = entry.get()?;
    let listen = raw.listen.value_or(HTTP_LISTEN);
    let open_to_all = !listen.ip().to_canonical().is_loopback() && raw.token_file.is_absent();
    if open_to_all {
        let fault = Fault::new(format!("[http] listens beyond this machine on `{listen}` without a token"));
        let hint = "add `token_file = \"http.token\"`, or listen on `127.0.0.1`";
        report.add(&raw.listen.place(), fault.hint(hint));
    }
    Some(Http { listen, token_file: raw.token_file.get().map(|FilePath(path)| base.join(path)) })
}

pub(super) fn homekit(entry: &Entry<raw::HomeKit>) -> Option<HomeKit> {
    let raw = entry.get()?;
    Some(HomeKit {
        listen: raw.listen.value_or(HOMEKIT_LISTEN),
        pin: raw.pin.get().cloned(),
        interface: raw.interface.get().map(|Interface(name)| name.clone()),
        advertise: raw.advertise.get().copied(),
    })
}

pub(super) fn mqtt(entry: &Entry<raw::Mqtt>, base: &Path, report: &mut Report) -> Option<Mqtt> {
    let raw = entry.get()?;
    if let Some(place) = raw.password_file.given().filter(|_| raw.user.is_absent()) {
        let fault = Fault::new("`password_file` without `user`");
        report.add(&place.span(), fault.hint("add `user = \"…\"`, the name the password belongs to"));
    }
    check_tls(raw, report);
    let topic = |entry: &Entry<Topic>, default: &str| {
        entry.get().map_or_else(|| default.into(), |Topic(topic)| topic.clone())
    };
    let file = |entry: &Entry<FilePath>| entry.get().map(|FilePath(path)| base.join(path));
    Some(Mqtt {
        broker: raw.url.get()?.clone(),
        user: raw.user.get().map(|User(user)| user.clone()),
        password_file: file(&raw.password_file),
        ca_file: file(&raw.ca_file),
        client: file(&raw.client_cert).zip(file(&raw.client_key)),
        instance: raw.instance.get().map(|Id(instance)| instance.clone()),
        base: topic(&raw.base, MQTT_BASE),
        discovery_prefix: topic(&raw.discovery_prefix, MQTT_DISCOVERY_PREFIX),
        will_delay: raw.will_delay.value_or(MQTT_WILL_DELAY),
    })
}

/// Certificates belong to an encrypted connection, and those of a client come in pairs.
fn check_tls(raw: &raw::Mqtt, report: &mut Report) {
    let is_plain = raw.url.get().is_some_and(|broker| !broker.tls);
    let keys =
        [("ca_file", &raw.ca_file), ("client_cert", &raw.client_cert), ("client_key", &raw.client_key)];
    for (key, entry) in keys {
        let Some(place) = entry.given() else { continue };
        let fault = if is_plain {
            Fault::new(format!("`{key}` with a broker that is not encrypted"))
                .hint("write `mqtts://` in `url`")
        } else if key == "client_cert" && raw.client_key.is_absent() {
            Fault::new("`client_cert` without `client_key`")
                .hint("add `client_key = \"…\"`, the key of the certificate")
        } else if key == "client_key" && raw.client_cert.is_absent() {
            Fault::new("`client_key` without `client_cert`")
                .hint("add `client_cert = \"…\"`, the certificate of the key")
        } else if key == "client_cert" && raw.ca_file.is_absent() {
            Fault::new("`client_cert` without `ca_file`")
                .hint("add `ca_file = \"…\"`, the certificate of who vouches for the broker")
        } else {
            continue;
        };
        report.add(&place.span(), fault);
    }
}

/// The word that stands in topics where gateways' ids stand, for the daemons themselves.
pub(super) fn check_gateway_names(document: &Document, report: &mut Report) {
    if document.mqtt.get().is_none() {
        return;
    }
    for gateway in document.gateways.get().into_iter().flatten() {
        if let Some(id) = gateway.get_ref().id.given().filter(|id| id.get_ref().0 == "bridge") {
            let fault = Fault::new("`bridge` cannot be the id of a gateway beside [mqtt]");
            report
                .add(&id.span(), fault.hint("topics of the daemons themselves begin so: take another word"));
        }
    }
}

pub(super) fn mux(document: &Document, report: &mut Report) -> Option<Mux> {
    let place = document.mux.place();
    let raw = document.mux.get()?;
    let listen = raw.listen.value_or(MUX_LISTEN);
    let open_to_all = !listen.ip().to_canonical().is_loopback() && raw.allow.is_absent();
    if open_to_all {
        let fault = Fault::new(format!(
            "[mux] listens beyond this machine on `{listen}`, and the bus knows no passwords: say who may come in"
        ));
        let hint = "add `allow = [\"192.168.1.0/24\"]`, or listen on `127.0.0.1`";
        report.add(&raw.listen.place(), fault.hint(hint));
    }
    if let Some(allow) = raw.allow.given().filter(|allow| allow.get_ref().0.is_empty()) {
        let fault = Fault::new("nobody may come in");
        report.add(&allow.span(), fault.hint("name an address, or leave the section out"));
    }
    let allow = match raw.allow.get() {
        Some(Lines(allow)) => allow.iter().map(|network| *network.get_ref()).collect(),
        None => LOOPBACK_NETWORKS.into(),
    };
    let whose = "[mux] does not say which one its clients share";
    let gateway = house::gateway_of(&raw.gateway, whose, &place, document, report);
    Some(Mux {
        listen,
        access: raw.access.value_or(Access::Full),
        allow,
        gateway: gateway.unwrap_or_default(),
        firmware: raw.firmware.value_or(false),
        max_clients: usize::try_from(raw.max_clients.value_or(MUX_CLIENTS)).unwrap_or(1),
        telegrams_per_second: u32::try_from(raw.telegrams_per_second.value_or(MUX_RATE)).unwrap_or(1),
    })
}

/// A port this daemon listens on.
struct Listener {
    section: &'static str,
    address: SocketAddr,
    place: Range<usize>,
}

impl Listener {
    /// Where a section listens; its header is the place when that is the default.
    fn of<T>(
        section: &'static str,
        entry: &Entry<T>,
        listen: impl Fn(&T) -> &Entry<SocketAddr>,
        default: SocketAddr,
    ) -> Option<Self> {
        let raw = entry.given()?;
        let listen = listen(raw.get_ref());
        if listen.is_wrong() {
            return None;
        }
        let place = listen.given().map_or(raw.span(), Spanned::span);
        Some(Self { section, address: listen.value_or(default), place })
    }
}

/// Reports two listeners that cannot both have their port, and a gateway that is a listener of this daemon.
pub(super) fn check_ports(document: &Document, report: &mut Report) {
    let listeners = [
        Listener::of("[http]", &document.http, |raw| &raw.listen, HTTP_LISTEN),
        Listener::of("[homekit]", &document.homekit, |raw| &raw.listen, HOMEKIT_LISTEN),
        Listener::of("[mux]", &document.mux, |raw| &raw.listen, MUX_LISTEN),
    ];
    let mut listeners: Vec<Listener> = listeners.into_iter().flatten().collect();
    listeners.sort_by_key(|listener| listener.place.start);
    for (index, later) in listeners.iter().enumerate() {
        let Some(earlier) = listeners[..index].iter().find(|earlier| overlap(earlier.address, later.address))
        else {
            continue;
        };
        let fault = Fault::new(format!(
            "{} cannot listen on `{}`: {} listens on `{}` (line {})",
            later.section,
            later.address,
            earlier.section,
            earlier.address,
            report.line_of(&earlier.place)
        ));
        report.add(&later.place, fault.hint("give one of them another port"));
    }
    check_gateways(document, &listeners, report);
}

fn check_gateways(document: &Document, listeners: &[Listener], report: &mut Report) {
    for gateway in document.gateways.get().into_iter().flatten() {
        let Some(address) = gateway.get_ref().address.given() else { continue };
        let (Some(ip), GatewayAddress::Remote { port, .. }) = (address.get_ref().ip(), address.get_ref())
        else {
            continue;
        };
        let dialled = SocketAddr::new(ip.to_canonical(), *port);
        // A listener on every address is reached by any address of this machine; loopback is surely one of them.
        let reaches = |listener: &&Listener| {
            let same = listener.address.ip().to_canonical() == dialled.ip();
            (same || dialled.ip().is_loopback()) && overlap(listener.address, dialled)
        };
        if let Some(own) = listeners.iter().find(reaches) {
            let fault =
                Fault::new(format!("the gateway `{dialled}` is this daemon's own {} port", own.section));
            report.add(&address.span(), fault.hint("write the address of the bridge"));
        }
    }
}

/// Whether one socket takes the other's port.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    if one.port() != other.port() || one.port() == 0 {
        return false;
    }
    let (one, other) = (one.ip().to_canonical(), other.ip().to_canonical());
    // An IPv6 socket on every address takes IPv4 connections too.
    let covers = |all: IpAddr, ip: IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    one == other || covers(one, other) || covers(other, one)
}
