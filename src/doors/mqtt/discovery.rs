//! The descriptions that Home Assistant makes devices and entities of. Pure.
//!
//! One device for each module and one for each gateway. What an entity is remembered by is serial and output, never
//! a name: names may change freely.

use serde_json::{Map, Value, json};

use super::ModuleFace;
use super::modules::{EXPIRE_AFTER, Facts};
use super::topics::Topics;
use crate::actors::events::AccessoryId;
use crate::conbus::{Category, Point};
use crate::doors::AccessoryFace;
use crate::policy::AccessoryKind;

/// At least once: a state that is lost on the way would be wrong until the next change.
const QOS: u8 = 1;

/// What the descriptions have in common.
pub(super) struct Describe<'a> {
    /// The names.
    pub(super) topics: &'a Topics,
    /// Of this program.
    pub(super) version: &'a str,
    /// Where its page is, when there is one for others than its machine.
    pub(super) page: Option<&'a str>,
}

/// A device as it is published.
pub(super) struct Device {
    /// Its part of the topic. Two daemons never have the same, whatever modules are behind their gateways.
    pub(super) id: String,
    /// Behind which gateway it is; none of what is this daemon's.
    pub(super) gateway: Option<String>,
    /// Its description.
    pub(super) config: Value,
}

/// What the daemon counts of a gateway: its name in the health, for people, and how it moves.
const COUNTED: [(&str, &str, &str); 3] = [
    ("telegrams_total", "Telegrams", "total_increasing"),
    ("queue", "Waiting telegrams", "measurement"),
    ("connects_total", "Connects", "total_increasing"),
];

/// By which Home Assistant knows the device of a gateway.
fn gateway_device(gateway: &str) -> String {
    format!("conbus_gw_{gateway}")
}

/// What an output's entity is remembered by: serials are never given twice, so that it may move to another gateway.
fn lamp_entity(point: Point) -> String {
    format!("conbus_{}_o{}", point.serial, point.output.get())
}

/// What the entities of a group's members are remembered by.
fn members(group: &AccessoryFace, all: &[AccessoryFace]) -> Vec<String> {
    let point =
        |place: &AccessoryId| all.iter().find(|lamp| lamp.place == *place).and_then(|lamp| lamp.point);
    group.members.iter().filter_map(point).map(lamp_entity).collect()
}

/// A JSON light, with a brightness or without.
fn light(dims: bool) -> Value {
    let mut light = json!({"schema": "json", "transition": false, "flash": false});
    if dims {
        light["supported_color_modes"] = json!(["brightness"]);
        light["brightness"] = true.into();
        light["brightness_scale"] = 100.into();
    } else {
        light["supported_color_modes"] = json!(["onoff"]);
    }
    light
}

impl Describe<'_> {
    fn origin(&self) -> Value {
        json!({"name": "conbusd", "sw_version": self.version})
    }

    /// The device of a gateway: whether it is connected, and what can be asked of the daemon.
    pub(super) fn gateway(&self, gateway: &str, bridge: Option<&ModuleFace>) -> Device {
        let id = gateway_device(gateway);
        let mut device = json!({
            "identifiers": [id],
            "name": format!("Conbus {gateway}"),
            "manufacturer": "Conson",
            "model": bridge.map_or_else(|| "Gateway".to_owned(), |bridge| bridge.module_type.to_string()),
            "sw_version": self.version,
        });
        if let Some(page) = self.page {
            device["configuration_url"] = page.into();
        }
        if let Some(bridge) = bridge {
            device["serial_number"] = bridge.serial.to_string().into();
        }
        let button = |what: &str, name: &str| {
            json!({
                "platform": "button",
                "name": name,
                "unique_id": format!("{id}_{what}"),
                "entity_category": "config",
                "command_topic": self.topics.request(what),
                "payload_press": "{}",
            })
        };
        let link = json!({
            "platform": "binary_sensor",
            "name": "Link",
            "unique_id": format!("{id}_link"),
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": self.topics.gateway(gateway),
            "payload_on": "online",
            "payload_off": "offline",
        });
        let mut components = json!({
            "link": link,
            "refresh": button("refresh", "Read every output"),
            "reload": button("reload", "Reload configuration"),
        });
        for (what, name, class) in COUNTED {
            components[what] = json!({
                "platform": "sensor",
                "name": name,
                "unique_id": format!("{id}_{what}"),
                "entity_category": "diagnostic",
                "state_class": class,
                "state_topic": self.topics.health(),
                "value_template": format!("{{{{ value_json.gateways['{gateway}'].{what} }}}}"),
            });
        }
        let config = json!({
            "device": device,
            "origin": self.origin(),
            "availability": [{"topic": self.topics.state()}],
            "availability_mode": "all",
            "qos": QOS,
            "components": components,
        });
        Device { id, gateway: Some(gateway.to_owned()), config }
    }

    /// The device of a module, with an entity for each of its outputs and buttons; none for one that has nothing to show.
    pub(super) fn module(
        &self,
        gateway: &str,
        module: &ModuleFace,
        lamps: &[&AccessoryFace],
        facts: &Facts,
    ) -> Option<Device> {
        if module.module_type.is_bridge() {
            return None;
        }
        let (serial, topics) = (module.serial, self.topics);
        let device = format!("conbus_{serial}");
        let mut components = Map::new();
        for lamp in lamps {
            components.extend(self.lamp(gateway, lamp));
        }
        let has_buttons = matches!(module.module_type.category(), Category::Panel | Category::Link);
        for input in 0..if has_buttons { module.module_type.inputs() } else { 0 } {
            components.insert(format!("event_{input}"), self.button(gateway, module, input));
        }
        if components.is_empty() {
            return None;
        }
        components.extend(self.diagnostics(gateway, module, facts));
        if let Some(lamp) = lamps.first() {
            components.insert("identify".into(), self.identify(&device, lamp));
        }
        // The serial comes first: no gateway can be called so that its own device would be another's.
        let id = format!("{device}_{gateway}");
        let mut device = json!({
            "identifiers": [device],
            "name": format!("{} {}", module.module_type, module.link),
            "manufacturer": "Conson",
            "model": module.module_type.to_string(),
            "model_id": module.module_type.code().to_string(),
            "serial_number": serial.to_string(),
            "via_device": gateway_device(gateway),
        });
        if let Some(version) = &facts.software_version {
            device["sw_version"] = version.as_str().into();
        }
        if let Some(room) = one_room(lamps) {
            device["suggested_area"] = room.into();
        }
        let config = json!({
            "device": device,
            "origin": self.origin(),
            "availability": [
                {"topic": topics.state()},
                {"topic": topics.gateway(gateway)},
                {"topic": topics.module(gateway, serial)},
            ],
            "availability_mode": "all",
            "qos": QOS,
            "components": components,
        });
        Some(Device { id, gateway: Some(gateway.to_owned()), config })
    }

    /// The device of this daemon's groups and scenes, if there are any among its accessories.
    pub(super) fn ensembles(&self, all: &[AccessoryFace]) -> Option<Device> {
        let id = format!("conbus_ensembles_{}", self.topics.instance);
        let ensembles = all.iter().filter(|one| one.point.is_none());
        let components: Map<String, Value> = ensembles.map(|one| self.ensemble(&id, one, all)).collect();
        if components.is_empty() {
            return None;
        }
        let mut device = json!({
            "identifiers": [id],
            "name": "Conbus groups and scenes",
            "manufacturer": "Conson",
            "model": "Groups",
            "sw_version": self.version,
        });
        if let Some(page) = self.page {
            device["configuration_url"] = page.into();
        }
        let config = json!({
            "device": device,
            "origin": self.origin(),
            "availability": [{"topic": self.topics.state()}],
            "availability_mode": "all",
            "qos": QOS,
            "components": components,
        });
        Some(Device { id, gateway: None, config })
    }

    /// What is remembered of it is its configured id.
    fn ensemble(&self, device: &str, face: &AccessoryFace, all: &[AccessoryFace]) -> (String, Value) {
        let platform = if face.kind == AccessoryKind::Scene { "scene" } else { "light" };
        let slug = face.id.to_lowercase().replace('-', "_");
        let mut entity = json!({
            "platform": platform,
            "name": face.name,
            "unique_id": format!("{device}_{}", face.id),
            "default_entity_id": format!("{platform}.{slug}"),
            "command_topic": self.topics.call(&face.id),
        });
        let more = if face.kind == AccessoryKind::Scene {
            json!({"payload_on": "ON"})
        } else {
            let mut more = light(face.dims);
            more["state_topic"] = self.topics.ensemble(&face.id).into();
            // Its members, for those that know the word (Home Assistant since 2026.4); the others pass over it.
            more["group"] = members(face, all).into();
            more
        };
        if let (Some(entity), Value::Object(more)) = (entity.as_object_mut(), more) {
            entity.extend(more);
        }
        (format!("{platform}_{}", face.id), entity)
    }

    fn lamp(&self, gateway: &str, lamp: &AccessoryFace) -> Option<(String, Value)> {
        let point = lamp.point?;
        let output = point.output.get();
        let platform = if lamp.kind == AccessoryKind::Outlet { "switch" } else { "light" };
        let slug = lamp.id.to_lowercase().replace('-', "_");
        let mut entity = json!({
            "platform": platform,
            "name": lamp.name,
            "unique_id": lamp_entity(point),
            "default_entity_id": format!("{platform}.{slug}"),
            "state_topic": self.topics.output(gateway, point),
            "command_topic": self.topics.set(gateway, point),
        });
        let more = match lamp.kind {
            AccessoryKind::Outlet => json!({
                "device_class": "outlet",
                "value_template": "{{ value_json.state }}",
                "payload_on": "ON",
                "payload_off": "OFF",
            }),
            _ => light(lamp.dims),
        };
        if let (Some(entity), Value::Object(more)) = (entity.as_object_mut(), more) {
            entity.extend(more);
        }
        // Another kind is another component: Home Assistant removes the entity of the old platform by its name.
        Some((format!("{platform}_{output}"), entity))
    }

    fn button(&self, gateway: &str, module: &ModuleFace, input: u8) -> Value {
        json!({
            "platform": "event",
            "name": format!("Button {input}"),
            "unique_id": format!("conbus_{}_i{input}", module.serial),
            "device_class": "button",
            "event_types": ["press", "release"],
            "state_topic": self.topics.input(gateway, module.serial, input),
        })
    }

    fn identify(&self, device: &str, lamp: &AccessoryFace) -> Value {
        json!({
            "platform": "button",
            "name": "Identify",
            "unique_id": format!("{device}_identify"),
            "device_class": "identify",
            "entity_category": "config",
            "command_topic": self.topics.request("identify"),
            "payload_press": json!({"accessory": lamp.id}).to_string(),
        })
    }

    fn diagnostics(&self, gateway: &str, module: &ModuleFace, facts: &Facts) -> Map<String, Value> {
        let topic = self.topics.telemetry(gateway, module.serial);
        let entity = |platform: &str, what: &str, name: &str, template: &str| {
            json!({
                "platform": platform,
                "name": name,
                "unique_id": format!("conbus_{}_{what}", module.serial),
                "entity_category": "diagnostic",
                "state_topic": topic,
                "value_template": template,
            })
        };
        let mut all = Map::new();
        let code = entity("sensor", "error_code", "Error code", "{{ value_json.error_code }}");
        all.insert("error_code".into(), code);
        if module.module_type.is_actor() {
            let template = "{{ {true: 'ON', false: 'OFF'}.get(value_json.auto_report, 'None') }}";
            all.insert(
                "auto_report".into(),
                entity("binary_sensor", "auto_report", "Reports by itself", template),
            );
        }
        // Modules without a sensor answer a temperature that is none; those get no entity.
        if facts.temperature.is_some() {
            let mut sensor = entity("sensor", "temperature", "Temperature", "{{ value_json.temperature }}");
            sensor["device_class"] = "temperature".into();
            sensor["unit_of_measurement"] = "°C".into();
            sensor["state_class"] = "measurement".into();
            sensor["expire_after"] = EXPIRE_AFTER.as_secs().into();
            all.insert("temperature".into(), sensor);
        }
        all
    }
}

/// The room that all of these are in.
fn one_room<'a>(lamps: &[&'a AccessoryFace]) -> Option<&'a str> {
    let room = lamps.first().map(|lamp| lamp.room.as_str()).filter(|room| !room.is_empty())?;
    lamps.iter().all(|lamp| lamp.room == room).then_some(room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conbus::ModuleType;

    /// A panel behind the gateway `home`, described with these facts.
    fn panel(facts: &Facts) -> Value {
        let topics =
            Topics { base: "conbus".into(), prefix: "homeassistant".into(), instance: "attic".into() };
        let describe = Describe { topics: &topics, version: "1.0", page: None };
        let module = ModuleFace {
            serial: "0012345001".parse().unwrap(),
            module_type: "XP20".parse::<ModuleType>().unwrap(),
            link: 1,
            gateway: 0,
        };
        describe.module("home", &module, &[], facts).unwrap().config
    }

    #[test]
    fn a_module_with_a_thermometer_has_a_temperature() {
        let facts = Facts { temperature: Some(-5), ..Facts::default() };
        assert_eq!(
            panel(&facts)["components"]["temperature"],
            json!({
                "platform": "sensor",
                "name": "Temperature",
                "unique_id": "conbus_0012345001_temperature",
                "device_class": "temperature",
                "state_class": "measurement",
                "expire_after": 1800,
                "unit_of_measurement": "°C",
                "entity_category": "diagnostic",
                "state_topic": "conbus/home/0012345001/telemetry",
                "value_template": "{{ value_json.temperature }}",
            })
        );
        // What the template looks for is what is published.
        let told: Value = serde_json::from_str(&facts.telemetry()).unwrap();
        assert_eq!(told["temperature"], json!(-0.5));
    }

    #[test]
    fn a_module_without_a_thermometer_has_none() {
        let config = panel(&Facts::default());
        assert!(config["components"]["error_code"].is_object());
        assert_eq!(config["components"].get("temperature"), None);
        assert!(!Facts::default().telemetry().contains("temperature"));
    }

    #[test]
    fn the_page_is_linked_from_the_gateway_and_the_groups_when_there_is_one_for_others() {
        let topics =
            Topics { base: "conbus".into(), prefix: "homeassistant".into(), instance: "attic".into() };
        let link = |page| {
            let describe = Describe { topics: &topics, version: "1.0", page };
            let device = describe.gateway("home", None).config["device"].clone();
            assert_eq!(device["sw_version"], "1.0");
            device["configuration_url"].clone()
        };
        assert_eq!(link(Some("http://192.168.1.5:8480/")), "http://192.168.1.5:8480/");
        assert_eq!(link(None), Value::Null);
    }
}
