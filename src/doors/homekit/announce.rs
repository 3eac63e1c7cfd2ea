//! How a bridge is found: its record in multicast DNS, announced anew whenever it changes, taken back at the end.
//!
//! Trouble with the network is a warning here, never an end: a paired controller finds a bridge by its old address.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use log::{debug, info, warn};
use mdns_sd::{IfKind, IfPredicate, ServiceDaemon, ServiceEvent, ServiceInfo};

use super::code::{CATEGORY, setup_hash};
use super::hall::{Hall, MODEL};
use super::store::BridgeState;

const KIND: &str = "_hap._tcp.local.";

/// Interfaces of containers and virtual machines: no phone is behind them.
const VIRTUAL: [&str; 5] = ["docker", "br-", "veth", "virbr", "vnet"];

/// One packet in the air can be lost: what changed is said once more after this.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// How long the own record may take to be found.
const FOUND_WITHIN: Duration = Duration::from_secs(10);

/// How long the goodbye may take.
const GOODBYE_WITHIN: Duration = Duration::from_millis(500);

/// Where a bridge is announced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scope {
    interface: Option<String>,
    advertise: Option<IpAddr>,
    listen: IpAddr,
}

impl Scope {
    /// The interface and address of the config; without them what follows from where the door listens.
    pub(super) fn new(listen: IpAddr, interface: Option<String>, advertise: Option<IpAddr>) -> Self {
        Self { interface, advertise, listen: listen.to_canonical() }
    }

    fn interfaces(&self) -> Vec<IfKind> {
        match &self.interface {
            Some(name) => vec![IfKind::Name(name.clone())],
            None if self.listen.is_loopback() && self.listen.is_ipv6() => vec![IfKind::LoopbackV6],
            None if self.listen.is_loopback() => vec![IfKind::LoopbackV4],
            None if self.listen.is_unspecified() => vec![IfKind::Predicate(IfPredicate::new(|interface| {
                let is_virtual = VIRTUAL.iter().any(|name| interface.name.starts_with(name));
                !interface.is_loopback() && !interface.is_link_local() && !is_virtual
            }))],
            None => vec![IfKind::Addr(self.listen)],
        }
    }

    /// The address to tell; without one, whatever the interfaces have.
    fn address(&self) -> Option<IpAddr> {
        self.advertise.or(Some(self.listen).filter(|listen| !listen.is_unspecified()))
    }
}

/// The keys of the record.
pub(super) fn record(bridge: &BridgeState) -> [(&'static str, String); 9] {
    [
        ("c#", bridge.config_number.to_string()),
        ("ff", "0".into()),
        ("id", bridge.device_id.clone()),
        ("md", MODEL.into()),
        ("pv", "1.1".into()),
        ("s#", "1".into()),
        ("sf", u8::from(!bridge.is_paired()).to_string()),
        ("ci", CATEGORY.to_string()),
        ("sh", setup_hash(&bridge.setup_id, &bridge.device_id)),
    ]
}

/// Announces the bridges of a door.
pub(super) struct Announcer {
    daemon: ServiceDaemon,
    scope: Scope,
}

impl Announcer {
    /// Begins; `None` when that is impossible here, with a word why.
    pub(super) fn new(scope: Scope) -> Option<Self> {
        let begun = ServiceDaemon::new().and_then(|daemon| {
            confine(&daemon, &scope)?;
            Ok(Self { daemon, scope })
        });
        begun.inspect_err(|error| warn!(target: "homekit", "cannot announce the bridge: {error}")).ok()
    }

    /// Announces a bridge, again with every change. Never ends by itself.
    pub(super) async fn announce(self: Rc<Self>, hall: Rc<RefCell<Hall>>, bridge: usize, listen: SocketAddr) {
        let changed = hall.borrow().changed(bridge);
        self.say(&hall.borrow(), bridge, listen);
        tokio::task::spawn_local(find_self(
            self.scope.clone(),
            hall.borrow().bridge(bridge).device_id.clone(),
        ));
        loop {
            changed.notified().await;
            self.say(&hall.borrow(), bridge, listen);
            tokio::time::sleep(SAY_AGAIN).await;
            self.say(&hall.borrow(), bridge, listen);
        }
    }

    fn say(&self, hall: &Hall, bridge: usize, listen: SocketAddr) {
        let kept = hall.bridge(bridge);
        let record = record(kept);
        debug!(target: "homekit", "announce c#={} sf={}", record[0].1, record[6].1);
        let said = entry(&hall.bridge_name(bridge), &kept.device_id, &record, &self.scope, listen.port())
            .and_then(|entry| self.daemon.register(entry));
        if let Err(error) = said {
            warn!(target: "homekit", "cannot announce the bridge: {error}");
        }
    }

    /// Takes back what was announced.
    pub(super) async fn goodbye(&self, hall: &RefCell<Hall>) {
        let bridges = hall.borrow().bridge_count();
        for bridge in 0..bridges {
            let name = {
                let hall = hall.borrow();
                format!("{}.{KIND}", instance(&hall.bridge_name(bridge), &hall.bridge(bridge).device_id))
            };
            if let Ok(said) = self.daemon.unregister(&name) {
                // Late is as good as never: the record expires.
                let _ = tokio::time::timeout(GOODBYE_WITHIN, said.recv_async()).await;
            }
        }
        let _ = self.daemon.shutdown();
    }
}

fn confine(daemon: &ServiceDaemon, scope: &Scope) -> mdns_sd::Result<()> {
    daemon.disable_interface(IfKind::All)?;
    daemon.enable_interface(scope.interfaces())
}

/// What people see in the list of bridges that can be added: the name alone may be a neighbour's too.
fn instance(name: &str, device_id: &str) -> String {
    let tail: String = device_id.chars().filter(char::is_ascii_hexdigit).skip(8).collect();
    // 63 bytes are the end of a name; a dot would begin the next label.
    let mut name = name.replace('.', " ");
    while name.len() > 50 {
        name.pop();
    }
    format!("{name} {tail}")
}

fn entry(
    name: &str,
    device_id: &str,
    record: &[(&'static str, String)],
    scope: &Scope,
    port: u16,
) -> mdns_sd::Result<ServiceInfo> {
    let host = format!("conbusd-{}.local.", device_id.replace(':', "").to_lowercase());
    let instance = instance(name, device_id);
    let mut entry = match scope.address() {
        Some(address) => ServiceInfo::new(KIND, &instance, &host, address, port, record)?,
        None => ServiceInfo::new(KIND, &instance, &host, "", port, record)?.enable_addr_auto(),
    };
    // Both names carry an id that was drawn for this bridge alone, so there is nobody to ask. And a record that changed
    // would be asked for again, where the answer with the old one, which we hear ourselves, counts as a rival's: the
    // bridge would call itself "(2)" or stay silent.
    entry.set_requires_probe(false);
    Ok(entry)
}

/// Looks for the own record as a controller would, and says so when it is not there.
async fn find_self(scope: Scope, device_id: String) {
    let Ok(daemon) = ServiceDaemon::new() else { return };
    let found = async {
        confine(&daemon, &scope).ok()?;
        let answers = daemon.browse(KIND).ok()?;
        loop {
            if let ServiceEvent::ServiceResolved(entry) = answers.recv_async().await.ok()?
                && entry.txt_properties.get_property_val_str("id") == Some(&device_id)
            {
                return Some(());
            }
        }
    };
    match tokio::time::timeout(FOUND_WITHIN, found).await {
        Ok(Some(())) => info!(target: "homekit", "announced: the bridge finds its own record"),
        _ => warn!(target: "homekit",
            "the bridge does not find its own record within {FOUND_WITHIN:?}: phones may not find it either; see `interface` in [homekit]"),
    }
    let _ = daemon.shutdown();
}

#[cfg(test)]
mod tests {
    use super::super::keys::system_draw;
    use super::super::pairings::Controller;
    use super::super::store::State;
    use super::*;

    #[test]
    fn the_record_has_every_key_and_says_whether_it_is_paired() {
        let mut state = State::new(system_draw);
        let bridge = &mut state.bridges[0];
        let keys: Vec<&str> = record(bridge).iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["c#", "ff", "id", "md", "pv", "s#", "sf", "ci", "sh"]);
        assert_eq!(record(bridge)[6].1, "1");
        bridge.controllers.push(Controller::new(b"phone", &[1; 32], true).unwrap());
        assert_eq!((record(bridge)[6].1.as_str(), record(bridge)[7].1.as_str()), ("0", "2"));
    }

    #[test]
    fn names_fit_their_label() {
        assert_eq!(instance("Home", "AA:BB:CC:DD:EE:FF"), "Home EEFF");
        assert!(instance(&"é.".repeat(60), "AA:BB:CC:DD:EE:FF").len() <= 63);
        assert!(!instance("St. Ives", "AA:BB:CC:DD:EE:FF").contains('.'));
    }

    #[test]
    fn a_record_that_changed_is_told_at_once_and_is_nobodys_rival() {
        let state = State::new(system_draw);
        let (bridge, scope) = (&state.bridges[0], Scope::new("127.0.0.1".parse().unwrap(), None, None));
        let entry = entry("Home", &bridge.device_id, &record(bridge), &scope, 51826).unwrap();
        assert!(!entry.requires_probe());
    }

    #[test]
    fn loopback_stays_on_loopback() {
        let scope = |listen: &str| Scope::new(listen.parse().unwrap(), None, None);
        let interfaces = |scope: &Scope| format!("{:?}", scope.interfaces());
        assert_eq!(interfaces(&scope("127.0.0.1")), "[LoopbackV4]");
        assert_eq!(scope("127.0.0.1").address(), Some("127.0.0.1".parse().unwrap()));
        assert_eq!(interfaces(&scope("::1")), "[LoopbackV6]");
        assert_eq!(scope("0.0.0.0").address(), None);
        let chosen =
            Scope::new("0.0.0.0".parse().unwrap(), Some("eth0".into()), Some("10.0.0.7".parse().unwrap()));
        assert_eq!(interfaces(&chosen), "[Name(\"eth0\")]");
        assert_eq!(chosen.address(), Some("10.0.0.7".parse().unwrap()));
    }
}
