//! What the desk wants to stand at the broker: every retained topic of the house, and which of the old ones go.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::board::Rank;
use super::desk::{Desk, Effect};
use super::discovery::{Describe, Device};
use super::ledger::{Parts, Wanted};
use super::payload;
use crate::actors::events::AccessoryId;
use crate::conbus::SerialNumber;
use crate::doors::Reload;
use crate::policy::{Moment, Origin};

/// From which state of the source the daemon was built, where its builder said so.
const COMMIT: Option<&str> = option_env!("CONBUSD_COMMIT");

/// What is counted of a gateway; nothing is known before the first look.
#[derive(Clone, Default, Serialize)]
pub(super) struct Line {
    /// Written and heard since the start.
    telegrams_total: Option<u64>,
    /// Exchanges that wait.
    queue: Option<u64>,
    /// How often the link came up.
    connects_total: Option<u64>,
}

impl Line {
    fn of(picture: &Value) -> Self {
        let number = |name: &str| picture[name].as_u64();
        let (sent, heard) = (number("telegrams_sent_total"), number("telegrams_received_total"));
        Self {
            telegrams_total: sent.zip(heard).map(|(sent, heard)| sent + heard),
            queue: number("queue"),
            connects_total: number("connects_total"),
        }
    }
}

/// The words that Home Assistant expects without being told.
fn presence(is_there: bool) -> String {
    if is_there { "online".into() } else { "offline".into() }
}

impl Desk {
    /// Says everything: who is there, what there is, whether it is reachable, what it does; and clears what is gone.
    pub(super) fn publish_all(&mut self, now: Moment) -> Vec<Effect> {
        let devices = self.devices();
        let wanted = self.wanted(&devices);
        let others = |gateway: &str| self.claims.is_others(&self.topics.instance, gateway);
        let ghosts = self.ledger.ghosts(&wanted, others);
        self.board.forget(|topic| wanted.contains_key(topic));
        for ghost in ghosts {
            self.board.clear(ghost);
        }
        let is_news = self.ledger.add(&wanted);
        let before = self.ledger.clone();
        self.board.pin(Rank::Bridge, self.topics.state(), presence(true));
        self.show_about();
        self.show_health(now);
        for device in devices {
            self.describe(device);
        }
        for gateway in 0..self.house.gateways().len() {
            self.show_link(gateway);
        }
        for serial in self.house.modules().iter().map(|module| module.serial).collect::<Vec<_>>() {
            self.show_availability(serial);
        }
        for place in self.house.lamps().iter().map(|lamp| lamp.place).collect::<Vec<_>>() {
            self.show(place);
        }
        self.board.all_again();
        self.clearing = true;
        let is_news = is_news || before != self.ledger;
        if is_news { vec![Effect::Keep(self.ledger.encode())] } else { Vec::new() }
    }

    /// What was cleared has arrived: the ledger forgets it, and devices are described without their lost parts.
    pub(super) fn cleared(&mut self) -> Option<Effect> {
        let devices = self.devices();
        let parts: BTreeMap<String, Parts> =
            devices.iter().map(|device| (device.id.clone(), parts_of(&device.config))).collect();
        let are_topics_gone = self.ledger.only(&self.wanted(&devices));
        let are_parts_gone = self.ledger.only_parts(parts);
        if are_parts_gone {
            for device in devices {
                self.describe(device);
            }
        }
        (are_topics_gone || are_parts_gone).then(|| Effect::Keep(self.ledger.encode()))
    }

    /// Every retained topic of the house as it is, with the gateway it belongs to.
    fn wanted(&self, devices: &[Device]) -> Wanted {
        let (topics, house) = (&self.topics, &self.house);
        let mut wanted: Wanted = [topics.state(), topics.about(), topics.health()]
            .into_iter()
            .map(|topic| (topic, None))
            .collect();
        for gateway in house.gateways() {
            wanted.insert(topics.gateway(gateway), Some(gateway.clone()));
        }
        for device in devices {
            wanted.insert(topics.description(&device.id), device.gateway.clone());
        }
        for module in house.modules().iter().filter(|module| !module.module_type.is_bridge()) {
            let Some(gateway) = house.gateways().get(module.gateway) else { continue };
            wanted.insert(topics.module(gateway, module.serial), Some(gateway.clone()));
            wanted.insert(topics.telemetry(gateway, module.serial), Some(gateway.clone()));
        }
        for lamp in house.lamps() {
            let gateway = lamp.point.and_then(|point| house.gateway_of(point.serial));
            if let Some(topic) = self.output_topic(lamp) {
                wanted.insert(topic, gateway.map(str::to_owned));
            }
        }
        wanted
    }

    fn devices(&self) -> Vec<Device> {
        let describe = Describe { topics: &self.topics, version: self.version, page: self.page.as_deref() };
        let house = &self.house;
        let gateways = house.gateways().iter().enumerate().map(|(index, gateway)| {
            let bridge = house
                .modules()
                .iter()
                .find(|module| module.gateway == index && module.module_type.is_bridge());
            describe.gateway(gateway, bridge)
        });
        let modules = house.modules().iter().filter_map(|module| {
            let lamps: Vec<_> = house.lamps_on(module.serial).collect();
            let facts = self.modules.of(module.serial);
            describe.module(house.gateways().get(module.gateway)?, module, &lamps, &facts)
        });
        gateways.chain(modules).chain(describe.ensembles(house.lamps())).collect()
    }

    fn describe(&mut self, device: Device) {
        let Device { id, mut config, .. } = device;
        for (part, platform) in self.ledger.parts(&id, &parts_of(&config)) {
            // This is how Home Assistant is told that a part is gone.
            config["components"][part] = json!({"platform": platform});
        }
        self.board.pin(Rank::Description, self.topics.description(&id), config.to_string());
    }

    /// By which config the daemon runs now, and what of the file waits for the next start.
    pub(super) fn reloaded(&mut self, last: &Reload) {
        self.config_hash.clone_from(&last.config_hash);
        self.needs_restart.clone_from(&last.needs_restart);
        self.show_about();
    }

    fn show_about(&mut self) {
        let mut about = json!({
            "instance": self.topics.instance,
            "name": self.name,
            "version": self.version,
            "config_hash": self.config_hash,
            "restart_required": self.needs_restart,
            "gateways": self.house.gateways(),
            "modules": self.house.modules().len(),
            "accessories": self.house.lamps().len(),
        });
        if let Some(commit) = COMMIT {
            about["commit"] = commit.into();
        }
        self.board.pin(Rank::Bridge, self.topics.about(), about.to_string());
    }

    /// How the daemon fares.
    pub(super) fn health(&self, now: Moment) -> Value {
        let modules = self.house.modules().iter().filter(|module| !module.module_type.is_bridge());
        let (mut total, mut online) = (0, 0);
        for module in modules {
            total += 1;
            online += u32::from(self.is_link_up(module.serial) && self.modules.of(module.serial).is_there());
        }
        let links: BTreeMap<&str, bool> = self
            .house
            .gateways()
            .iter()
            .enumerate()
            .map(|(index, gateway)| (gateway.as_str(), self.links.get(&index) == Some(&true)))
            .collect();
        let gateways: BTreeMap<&str, &Line> = self
            .house
            .gateways()
            .iter()
            .zip(&self.lines)
            .map(|(gateway, line)| (gateway.as_str(), line))
            .collect();
        json!({
            "uptime_s": now.since(self.began).as_secs(),
            "links_up": links,
            "gateways": gateways,
            "modules": total,
            "modules_online": online,
            "connects_total": self.counters.connects,
            "published_total": self.board.published,
            "dropped_total": self.board.dropped,
            "commands_total": self.counters.commands,
            "refused_total": self.counters.refused,
        })
    }

    pub(super) fn show_health(&mut self, now: Moment) {
        let health = self.health(now).to_string();
        self.board.pin(Rank::State, self.topics.health(), health);
    }

    /// This daemon is not there any more.
    pub(super) fn say_offline(&mut self) {
        self.board.pin(Rank::Bridge, self.topics.state(), presence(false));
    }

    /// Whether the link to a module's gateway is up.
    pub(super) fn is_link_up(&self, serial: SerialNumber) -> bool {
        let module = self.house.module(serial);
        module.is_some_and(|module| self.links.get(&module.gateway) == Some(&true))
    }

    pub(super) fn show_link(&mut self, gateway: usize) {
        let Some(name) = self.house.gateways().get(gateway) else { return };
        let is_up = self.links.get(&gateway) == Some(&true);
        self.board.pin(Rank::Availability, self.topics.gateway(name), presence(is_up));
    }

    fn show_availability(&mut self, serial: SerialNumber) {
        let module = self.house.module(serial);
        let Some(module) = module.filter(|module| !module.module_type.is_bridge()) else { return };
        let Some(gateway) = self.house.gateways().get(module.gateway) else { return };
        let facts = self.modules.of(serial);
        let availability = self.topics.module(gateway, serial);
        let telemetry = self.topics.telemetry(gateway, serial);
        self.board.pin(Rank::Availability, availability, presence(facts.is_there()));
        self.board.pin(Rank::State, telemetry, facts.telemetry());
    }

    /// What the daemon counts of its gateways: it is told with the health.
    pub(super) fn count(&mut self, picture: &Value) {
        let pictures = picture["gateways"].as_array().into_iter().flatten();
        for (line, picture) in self.lines.iter_mut().zip(pictures) {
            if picture.is_object() {
                *line = Line::of(picture);
            }
        }
    }

    /// What a module tells of itself is said again, though nothing of it changed.
    pub(super) fn repeat(&mut self, serial: SerialNumber) {
        if let Some(gateway) = self.house.gateway_of(serial) {
            let telemetry = self.topics.telemetry(gateway, serial);
            self.board.again(&telemetry);
        }
    }

    /// What is known of a module changed: it may have told its version, or that it has a thermometer.
    pub(super) fn show_module(&mut self, serial: SerialNumber) {
        self.show_availability(serial);
        if self.is_open() {
            for device in self.devices() {
                self.describe(device);
            }
        }
    }

    /// What an accessory does.
    pub(super) fn show(&mut self, place: AccessoryId) {
        let Some(lamp) = self.house.lamp(place) else { return };
        let Some(state) = self.shown.get(&place) else { return };
        // From before a restart: the broker has that already, and as news it might be believed.
        if state.origin == Some(Origin::Snapshot) {
            return;
        }
        let Some(topic) = self.output_topic(lamp) else { return };
        let text = payload::state(lamp.dims, state);
        self.board.pin(Rank::State, topic, text);
    }
}

/// The parts of a device's description, with the platform of each.
fn parts_of(config: &Value) -> Parts {
    let components = config["components"].as_object().into_iter().flatten();
    components
        .map(|(part, entity)| (part.clone(), entity["platform"].as_str().unwrap_or_default().to_owned()))
        .collect()
}
