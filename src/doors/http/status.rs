//! What the actors tell of themselves, put together. Pure.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::pictures::{GatewayObject, ModuleObject};
use crate::actors::events::LinkState;
use crate::doors::{AccessoryFace, Reload};
use crate::policy::{BusError, Moment};

/// What an actor told of itself, if it did in time.
pub(super) type Picture = Result<Value, BusError>;

/// How an actor is, in a word.
pub(super) fn word(picture: &Picture) -> &'static str {
    match picture {
        Ok(_) => "ok",
        Err(BusError::Stopping) => "stopped",
        Err(_) => "busy",
    }
}

/// The picture itself, else the word.
pub(super) fn shown(picture: Picture) -> Value {
    match picture {
        Ok(picture) => picture,
        Err(_) => word(&picture).into(),
    }
}

/// The poller's picture without the modules, which have a path of their own.
pub(super) fn without_modules(mut poller: Value) -> Value {
    if let Some(fields) = poller.as_object_mut() {
        fields.remove("modules");
    }
    poller
}

/// How the config was read last.
pub(super) fn reload(last: &Reload, now: Moment) -> Value {
    json!({
        "generation": last.generation,
        "age_ms": now.since(last.at).as_millis() as u64,
        "applied": last.applied,
        "needs_restart": last.needs_restart,
        "error": last.error,
    })
}

/// What a gateway's two actors tell, as one object.
pub(super) fn gateway(
    id: &str,
    address: &str,
    link: Option<LinkState>,
    connection: Picture,
    listener: Picture,
) -> GatewayObject {
    let mut fields = Map::new();
    for (actor, picture) in [("connection", connection), ("listener", listener)] {
        match picture {
            Ok(Value::Object(told)) => {
                fields.extend(told);
            }
            other => {
                fields.insert(actor.into(), shown(other));
            }
        }
    }
    fields.remove("id");
    fields.remove("address");
    let told = fields.remove("link").and_then(|told| serde_json::from_value(told).ok());
    // What was last told of the link, should the connection be too busy to tell.
    let link = told.or(link).unwrap_or(LinkState::Down);
    GatewayObject { id: id.into(), address: address.into(), link, told: fields }
}

/// The modules of the poller's picture, each with the ids of the accessories on it.
pub(super) fn modules<'a>(
    mut poller: Value,
    faces: &(impl Iterator<Item = &'a AccessoryFace> + Clone),
) -> Vec<ModuleObject> {
    let told = poller.get_mut("modules").map(Value::take).unwrap_or_default();
    // A test reads what the roster tells: every field of it is one of the object.
    let mut modules: Vec<ModuleObject> = serde_json::from_value(told).unwrap_or_default();
    for module in &mut modules {
        let on_it = faces
            .clone()
            .filter(|face| face.point.is_some_and(|point| point.serial.to_string() == module.serial));
        module.accessories = on_it.map(|face| face.id.clone()).collect();
    }
    modules
}

/// What has to be well for the daemon to be ready; its name is how a client leaves it out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// The links to the gateways.
    Link,
    /// The cache.
    Cache,
    /// The poller.
    Poller,
    /// This door.
    Http,
    /// The HomeKit door.
    HomeKit,
    /// The MQTT door, and its broker.
    Mqtt,
    /// The shared port.
    Mux,
}

impl Part {
    /// All of them, in the order in which they are told.
    pub(super) const ALL: [Self; 7] =
        [Self::Link, Self::Cache, Self::Poller, Self::Http, Self::HomeKit, Self::Mqtt, Self::Mux];

    /// How it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Cache => "cache",
            Self::Poller => "poller",
            Self::Http => "http",
            Self::HomeKit => "homekit",
            Self::Mqtt => "mqtt",
            Self::Mux => "mux",
        }
    }
}

/// A line of readiness.
#[derive(Debug)]
pub(super) struct Check {
    part: Part,
    passed: bool,
    what: String,
}

/// The check of a link.
pub(super) fn link(gateway: &str, state: Option<LinkState>) -> Check {
    let state = match state {
        Some(LinkState::Up) => "up",
        Some(LinkState::Dialling) => "dialling",
        Some(LinkState::Down) | None => "down",
    };
    Check { part: Part::Link, passed: state == "up", what: format!("link of gateway {gateway} is {state}") }
}

/// The check of an actor by what it tells of itself.
pub(super) fn part(part: Part, picture: &Picture) -> Check {
    let connected = picture.as_ref().ok().and_then(|told| told["connected"].as_bool());
    let (passed, how) = match (part, connected, word(picture)) {
        (Part::Mqtt, Some(true), _) => (true, "is connected to its broker"),
        (Part::Mqtt, _, "ok") => (false, "is not connected to its broker"),
        (_, _, "ok") => (true, "answers"),
        (_, _, other) => (false, other),
    };
    Check { part, passed, what: format!("{} {how}", part.name()) }
}

/// Whether the daemon is ready, and why not: one line a check. What is left out is told and does not count.
pub(super) fn readiness(checks: &[Check], left_out: &[Part]) -> (bool, String) {
    let mut text = String::new();
    let mut ready = true;
    for Check { part, passed, what } in checks {
        let verdict = match (passed, left_out.contains(part)) {
            (true, _) => "ok",
            (false, true) => "left out",
            (false, false) => {
                ready = false;
                "not ready"
            }
        };
        writeln!(text, "{verdict}: {what}").expect("a string takes everything");
    }
    (ready, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::events::AccessoryId;
    use crate::conbus::{ModuleType, OutputIndex, Point};
    use crate::policy::AccessoryKind;

    #[test]
    fn a_gateway_is_one_object_of_both_its_actors() {
        let connection = Ok(json!({"link": "up", "address": "resolved", "connects_total": 1}));
        let both =
            gateway("home", "1.2.3.4:5", Some(LinkState::Down), connection, Ok(json!({"storms_total": 2})));
        assert_eq!(
            json!(both),
            json!({"id": "home", "address": "1.2.3.4:5", "link": "up", "connects_total": 1, "storms_total": 2})
        );
    }

    #[test]
    fn an_actor_that_does_not_tell_is_busy() {
        let up = Some(LinkState::Up);
        let quiet = gateway("home", "a", up, Err(BusError::TimedOut), Err(BusError::Stopping));
        assert_eq!(
            json!(quiet),
            json!({"id": "home", "address": "a", "link": "up", "connection": "busy", "listener": "stopped"})
        );
        assert_eq!(shown(Err(BusError::TimedOut)), json!("busy"));
        assert_eq!(shown(Ok(json!({"entries": 1}))), json!({"entries": 1}));
    }

    #[test]
    fn modules_know_their_accessories() {
        let point =
            |serial: &str| Point { serial: serial.parse().unwrap(), output: OutputIndex::new(0).unwrap() };
        let face = |id: &str, serial| AccessoryFace {
            place: AccessoryId(0),
            id: id.into(),
            name: String::new(),
            room: String::new(),
            kind: AccessoryKind::Light,
            dims: false,
            point: Some(point(serial)),
            members: Vec::new(),
            module_type: Some(ModuleType::XP24),
        };
        let faces = [face("a", "0012345004"), face("b", "0012345005"), face("c", "0012345004")];
        let poller =
            json!({"running": true, "modules": [{"serial": "0012345004"}, {"serial": "0012345006"}]});
        assert_eq!(without_modules(poller.clone()), json!({"running": true}));
        let told = modules(poller, &faces.iter());
        let told: Vec<_> = told.iter().map(|one| (one.serial.as_str(), one.accessories.join(" "))).collect();
        assert_eq!(told, [("0012345004", "a c".to_owned()), ("0012345006", String::new())]);
        assert_eq!(modules(json!({}), &faces.iter()), []);
    }

    #[test]
    fn readiness_has_a_line_for_each_check() {
        let checks = |broker: bool, cache: Picture| {
            vec![
                link("home", Some(LinkState::Up)),
                part(Part::Cache, &cache),
                part(Part::Mqtt, &Ok(json!({"connected": broker}))),
            ]
        };
        let (ready, text) = readiness(&checks(true, Ok(json!({}))), &[]);
        let well = "ok: link of gateway home is up\nok: cache answers\nok: mqtt is connected to its broker\n";
        assert!(ready && text == well, "{text}");
        let (ready, text) = readiness(&checks(false, Err(BusError::TimedOut)), &[Part::Mqtt]);
        assert!(!ready);
        assert_eq!(
            text,
            "ok: link of gateway home is up\nnot ready: cache busy\nleft out: mqtt is not connected to its broker\n"
        );
        assert!(!readiness(&checks(false, Ok(json!({}))), &[]).0, "a door that is open has to be well");
        assert!(readiness(&checks(false, Ok(json!({}))), &[Part::Mqtt]).0);
        let (ready, text) = readiness(&[link("barn", None)], &[Part::Cache]);
        assert!(!ready && text == "not ready: link of gateway barn is down\n");
        assert_eq!(
            readiness(&[part(Part::Mqtt, &Err(BusError::Stopping))], &[]).1,
            "not ready: mqtt stopped\n"
        );
    }
}
