//! What another config changes in a daemon that runs, and what of it has to wait for the next start.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{
    Accessory, Cache, Config, Deed, GatewayAddress, Group, HomeKit, Http, Module, Mqtt, Mux, Poller, Scene,
};

/// What the step from one config to another means to a running daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// What the daemon is to run by from now on: the new config where it can be applied, the running one elsewhere.
    pub config: Config,
    /// What of the new config differs and can be applied, by key: `cache.ttl`, `accessory.salon.name`,
    /// `module.0012345004 added`.
    pub applied: Vec<String>,
    /// What differs and has to wait for the next start, by key: `http.listen`, `gateway.barn added`.
    pub needs_restart: Vec<String>,
}

impl Changes {
    /// From `running` to `wanted`. `started` is the config of the start, of which an emulated house still is.
    pub fn between(running: &Config, wanted: &Config, started: &Config) -> Self {
        let mut applied = Vec::new();
        let mut needs_restart = restarts(running, wanted);
        needs_restart.extend(emulated(running, wanted, started));
        let config = effective(running, wanted);
        settings(running, &config, &mut applied);
        let module = |module: &Module| (format!("module.{}", module.serial), module.clone());
        let modules = |config: &Config| config.modules.iter().map(module).collect::<Vec<_>>();
        lists(&modules(running), &modules(&config), &module_keys, &mut applied);
        let accessory = |accessory: &Accessory| (format!("accessory.{}", accessory.id), accessory.clone());
        let accessories = |config: &Config| config.accessories.iter().map(accessory).collect::<Vec<_>>();
        lists(&accessories(running), &accessories(&config), &accessory_keys, &mut applied);
        let group = |group: &Group| (format!("group.{}", group.id), group.clone());
        let groups = |config: &Config| config.groups.iter().map(group).collect::<Vec<_>>();
        lists(&groups(running), &groups(&config), &group_keys, &mut applied);
        let scene = |scene: &Scene| (format!("scene.{}", scene.id), scene.clone());
        let scenes = |config: &Config| config.scenes.iter().map(scene).collect::<Vec<_>>();
        lists(&scenes(running), &scenes(&config), &scene_keys, &mut applied);
        if applied.is_empty() && config != *running {
            applied.push("order".into());
        }
        Self { config, applied, needs_restart }
    }
}

/// The new config with the gateways and doors of the running one. Modules of a gateway that is not dialled yet, and
/// what hangs on them, are left out.
fn effective(running: &Config, wanted: &Config) -> Config {
    let place = |gateway: usize| {
        let id = &wanted.gateways.get(gateway)?.id;
        running.gateways.iter().position(|gateway| gateway.id == *id)
    };
    let modules: Vec<Module> = wanted
        .modules
        .iter()
        .filter_map(|module| Some(Module { gateway: place(module.gateway)?, ..module.clone() }))
        .collect();
    let is_there =
        |accessory: &&Accessory| modules.iter().any(|module| module.serial == accessory.point.serial);
    let accessories: Vec<Accessory> = wanted.accessories.iter().filter(is_there).cloned().collect();
    let is_shown = |id: &String| accessories.iter().any(|accessory| accessory.id == *id);
    let mut groups = wanted.groups.clone();
    for group in &mut groups {
        group.members.retain(is_shown);
    }
    groups.retain(|group| !group.members.is_empty());
    let mut scenes = wanted.scenes.clone();
    scenes.retain_mut(|scene| match &mut scene.deed {
        Deed::Targets(steps) => {
            steps.retain(|step| is_shown(&step.accessory));
            !steps.is_empty()
        }
        Deed::Event { gateway, .. } => place(*gateway).inspect(|there| *gateway = *there).is_some(),
    });
    Config {
        log: wanted.log.clone(),
        cache: wanted.cache.clone(),
        poller: wanted.poller.clone(),
        modules,
        accessories,
        groups,
        scenes,
        ..running.clone()
    }
}

/// The keys of these pairs that differ.
fn differing<'a>(pairs: impl IntoIterator<Item = (&'a str, bool)>) -> impl Iterator<Item = &'a str> {
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key)
}

fn settings(running: &Config, config: &Config, applied: &mut Vec<String>) {
    let (Cache { enabled, ttl, max_entries }, cache) = (&running.cache, &config.cache);
    let (poller, new) = (&running.poller, &config.poller);
    let Poller { interval, reporting_interval, idle_after, bus_share, .. } = poller;
    #[expect(clippy::float_cmp, reason = "both were typed, or are the same default")]
    let pairs = [
        ("log.filter", running.log != config.log),
        ("cache.enabled", *enabled != cache.enabled),
        ("cache.ttl", *ttl != cache.ttl),
        ("cache.max_entries", *max_entries != cache.max_entries),
        ("poller.enabled", poller.enabled != new.enabled),
        ("poller.interval", *interval != new.interval),
        ("poller.reporting_interval", *reporting_interval != new.reporting_interval),
        ("poller.idle_after", *idle_after != new.idle_after),
        ("poller.bus_share", *bus_share != new.bus_share),
    ];
    applied.extend(differing(pairs).map(str::to_owned));
}

/// What two lists of named things have come, gone and changed.
fn lists<T: PartialEq>(
    before: &[(String, T)],
    after: &[(String, T)],
    keys: &dyn Fn(&T, &T) -> Vec<&'static str>,
    applied: &mut Vec<String>,
) {
    let known: BTreeMap<&String, &T> = before.iter().map(|(name, thing)| (name, thing)).collect();
    let there: BTreeMap<&String, &T> = after.iter().map(|(name, thing)| (name, thing)).collect();
    for (name, _) in before.iter().filter(|(name, _)| !there.contains_key(name)) {
        applied.push(format!("{name} removed"));
    }
    for (name, thing) in after {
        match known.get(name) {
            None => applied.push(format!("{name} added")),
            Some(old) => applied.extend(keys(old, thing).iter().map(|key| format!("{name}.{key}"))),
        }
    }
}

fn module_keys(old: &Module, new: &Module) -> Vec<&'static str> {
    let pairs = [
        ("type", old.module_type != new.module_type),
        ("link", old.link != new.link),
        ("gateway", old.gateway != new.gateway),
        ("action_table", old.action_table != new.action_table),
    ];
    differing(pairs).collect()
}

fn accessory_keys(old: &Accessory, new: &Accessory) -> Vec<&'static str> {
    let pairs = [
        ("name", old.name != new.name),
        ("room", old.room != new.room),
        ("kind", old.kind != new.kind),
        ("module", old.point.serial != new.point.serial),
        ("output", old.point.output != new.point.output),
        ("on", old.on_event != new.on_event),
        ("off", old.off_event != new.off_event),
    ];
    differing(pairs).collect()
}

fn group_keys(old: &Group, new: &Group) -> Vec<&'static str> {
    let pairs = [
        ("name", old.name != new.name),
        ("room", old.room != new.room),
        ("members", old.members != new.members),
    ];
    differing(pairs).collect()
}

fn scene_keys(old: &Scene, new: &Scene) -> Vec<&'static str> {
    let key = if matches!(new.deed, Deed::Targets(_)) { "targets" } else { "event" };
    let pairs = [("name", old.name != new.name), ("room", old.room != new.room), (key, old.deed != new.deed)];
    differing(pairs).collect()
}

/// What is taken up at the start only.
fn restarts(running: &Config, wanted: &Config) -> Vec<String> {
    let (old, new) = (&running.service, &wanted.service);
    let service =
        [("service.name", old.name != new.name), ("service.state_dir", old.state_dir != new.state_dir)];
    let mut keys: Vec<String> = differing(service).map(str::to_owned).collect();
    for gateway in &running.gateways {
        match wanted.gateways.iter().find(|other| other.id == gateway.id) {
            None => keys.push(format!("gateway.{} removed", gateway.id)),
            Some(other) if other.address != gateway.address => {
                keys.push(format!("gateway.{}.address", gateway.id));
            }
            Some(_) => {}
        }
    }
    let is_new = |id: &str| running.gateways.iter().all(|gateway| gateway.id != id);
    let added = wanted.gateways.iter().filter(|gateway| is_new(&gateway.id));
    keys.extend(added.map(|gateway| format!("gateway.{} added", gateway.id)));
    door("http", running.http.as_ref(), wanted.http.as_ref(), &http, &mut keys);
    door("homekit", running.homekit.as_ref(), wanted.homekit.as_ref(), &homekit, &mut keys);
    door("mqtt", running.mqtt.as_ref(), wanted.mqtt.as_ref(), &mqtt, &mut keys);
    door("mux", running.mux.as_ref(), wanted.mux.as_ref(), &mux, &mut keys);
    keys
}

/// Keys of a section, and whether they differ.
type Pairs = Vec<(&'static str, bool)>;

/// A door that is to be opened or closed, or whose keys differ.
fn door<T: PartialEq>(
    section: &str,
    old: Option<&T>,
    new: Option<&T>,
    pairs: &dyn Fn(&T, &T) -> Pairs,
    keys: &mut Vec<String>,
) {
    match (old, new) {
        (None, None) => {}
        (Some(old), Some(new)) => {
            let before = keys.len();
            keys.extend(differing(pairs(old, new)).map(|key| format!("{section}.{key}")));
            if keys.len() == before && old != new {
                keys.push(section.into());
            }
        }
        (None, Some(_)) => keys.push(format!("{section} added")),
        (Some(_), None) => keys.push(format!("{section} removed")),
    }
}

fn http(old: &Http, new: &Http) -> Pairs {
    vec![("listen", old.listen != new.listen), ("token_file", old.token_file != new.token_file)]
}

fn homekit(old: &HomeKit, new: &HomeKit) -> Pairs {
    vec![
        ("listen", old.listen != new.listen),
        ("pin", old.pin != new.pin),
        ("interface", old.interface != new.interface),
        ("advertise", old.advertise != new.advertise),
    ]
}

fn mqtt(old: &Mqtt, new: &Mqtt) -> Pairs {
    fn cert(mqtt: &Mqtt) -> Option<&PathBuf> {
        mqtt.client.as_ref().map(|(cert, _)| cert)
    }
    fn key(mqtt: &Mqtt) -> Option<&PathBuf> {
        mqtt.client.as_ref().map(|(_, key)| key)
    }
    vec![
        ("url", old.broker != new.broker),
        ("user", old.user != new.user),
        ("password_file", old.password_file != new.password_file),
        ("ca_file", old.ca_file != new.ca_file),
        ("client_cert", cert(old) != cert(new)),
        ("client_key", key(old) != key(new)),
        ("instance", old.instance != new.instance),
        ("base", old.base != new.base),
        ("discovery_prefix", old.discovery_prefix != new.discovery_prefix),
        ("will_delay", old.will_delay != new.will_delay),
    ]
}

fn mux(old: &Mux, new: &Mux) -> Pairs {
    vec![
        ("listen", old.listen != new.listen),
        ("access", old.access != new.access),
        ("allow", old.allow != new.allow),
        ("gateway", old.gateway != new.gateway),
        ("firmware", old.firmware != new.firmware),
        ("max_clients", old.max_clients != new.max_clients),
        ("telegrams_per_second", old.telegrams_per_second != new.telegrams_per_second),
    ]
}

/// An emulated house was built at the start and has the modules of then.
fn emulated(running: &Config, wanted: &Config, started: &Config) -> Vec<String> {
    let modules = |config: &Config, id: &str| -> Vec<Module> {
        let place = config.gateways.iter().position(|gateway| gateway.id == id);
        let behind = config.modules.iter().filter(|module| Some(module.gateway) == place);
        let mut behind: Vec<Module> = behind.map(|module| Module { gateway: 0, ..module.clone() }).collect();
        behind.sort_unstable_by_key(|module| module.serial);
        behind
    };
    let emulated = running.gateways.iter().filter(|gateway| gateway.address == GatewayAddress::Emulator);
    let differs = |id: &str| modules(started, id) != modules(wanted, id);
    emulated
        .filter(|gateway| differs(&gateway.id))
        .map(|gateway| format!("gateway.{} has an emulated house with the modules of the start", gateway.id))
        .collect()
}
