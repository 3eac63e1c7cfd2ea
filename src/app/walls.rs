//! The wall switches of emulated houses, for whoever shows them: which keys there are, what they do, and a press.

use std::time::Duration;

use log::info;
use tokio::sync::mpsc;

use super::run::emulated_house;
use crate::conbus::{Edge, EventSource, SerialNumber};
use crate::config::{Config, Module};
use crate::doors::http::{Deed, Key, Panel, Press};
use crate::emulator::{Emulator, HouseSetup};

/// How long a finger stays on a key (protocol reference 6.3).
const HELD: Duration = Duration::from_millis(80);

/// Presses that may wait for the house: more than ten fingers make in the time it takes to hear them.
const WAITING: usize = 16;

/// Emulated houses by the place of their gateway in the config.
#[derive(Default)]
pub(super) struct Walls(Vec<(usize, Emulator)>);

/// A press on its way.
struct Pressed {
    gateway: usize,
    serial: SerialNumber,
    input: u8,
}

impl Walls {
    /// This gateway is emulated by that house.
    pub(super) fn add(&mut self, gateway: usize, house: Emulator) {
        self.0.push((gateway, house));
    }

    /// Every panel, in the order of the config.
    pub(super) fn panels(&self, config: &Config) -> Vec<Panel> {
        self.0.iter().flat_map(|(gateway, _)| panels(config, *gateway)).collect()
    }

    /// A way to press keys; the houses are on this thread, whoever presses need not be.
    pub(super) fn press(self, config: &Config) -> Option<Press> {
        if self.0.is_empty() {
            return None;
        }
        let ids: Vec<String> = config.gateways.iter().map(|gateway| gateway.id.clone()).collect();
        let (presses, mut waiting) = mpsc::channel::<Pressed>(WAITING);
        tokio::task::spawn_local(async move {
            while let Some(pressed) = waiting.recv().await {
                let house = self.0.iter().find(|(gateway, _)| *gateway == pressed.gateway);
                if let Some((_, house)) = house {
                    tokio::task::spawn_local(hold(house.clone(), pressed.serial, pressed.input));
                }
            }
        });
        Some(Box::new(move |panel, input| {
            let Some(gateway) = ids.iter().position(|id| *id == panel.gateway) else { return false };
            info!(target: "emulator", "pressed gateway={} module={} input={input}", panel.gateway, panel.module);
            presses.try_send(Pressed { gateway, serial: panel.module, input }).is_ok()
        }))
    }
}

async fn hold(house: Emulator, serial: SerialNumber, input: u8) {
    house.with(|house, now| house.input(now, serial, input, Edge::Make));
    tokio::time::sleep(HELD).await;
    house.with(|house, now| house.input(now, serial, input, Edge::Break));
}

/// The modules behind this gateway that have keys and no outputs, and what the tables of the others make of them.
fn panels(config: &Config, gateway: usize) -> Vec<Panel> {
    let house = emulated_house(config, gateway);
    let is_panel = |module: &&Module| {
        module.gateway == gateway && module.module_type.inputs() > 0 && !module.module_type.is_actor()
    };
    let panel = |module: &Module| Panel {
        gateway: config.gateways[gateway].id.clone(),
        module: module.serial,
        module_type: module.module_type.to_string(),
        link: module.link,
        keys: (0..module.module_type.inputs())
            .map(|input| {
                let source = EventSource { module_type: module.module_type, link: module.link, input };
                Key { input, does: deeds(config, &house, source) }
            })
            .collect(),
    };
    config.modules.iter().filter(is_panel).map(panel).collect()
}

fn deeds(config: &Config, house: &HouseSetup, source: EventSource) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for module in &house.modules {
        let entries = module.table.entries().filter_map(|(_, entry)| entry.ok());
        for entry in entries.filter(|entry| entry.listens_to(source)) {
            let is_meant = |accessory: &&crate::config::Accessory| {
                accessory.point.serial == module.serial && accessory.point.output == entry.output
            };
            if let Some(accessory) = config.accessories.iter().find(is_meant) {
                let (action, parameter) = (entry.action.to_string(), entry.parameter.get());
                deeds.push(Deed { accessory: accessory.id.clone(), action, parameter });
            }
        }
    }
    deeds
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SHIPPED: &str = include_str!("../../config.toml");

    #[test]
    fn every_key_of_the_shipped_house_does_something() {
        let config = crate::config::parse("config.toml", SHIPPED, Path::new("/")).unwrap();
        let panels = panels(&config, 0);
        assert_eq!(panels.len(), 1);
        assert_eq!((panels[0].module_type.as_str(), panels[0].link, panels[0].keys.len()), ("XP20", 2, 8));
        for key in &panels[0].keys {
            assert!(!key.does.is_empty(), "key {} does nothing", key.input);
        }
        let first = Deed { accessory: "entrance_ceiling".into(), action: "TOGGLE".into(), parameter: 0 };
        assert_eq!(panels[0].keys[0].does, [first]);
    }
}
