//! What the actors tell of themselves, put together. Pure.

use std::fmt::Write;

use serde_json::{Map, Value, json};

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
) -> Value {
    let mut fields = Map::new();
    fields.insert("id".into(), id.into());
    fields.insert("address".into(), address.into());
    // What was last told of the link, should the connection be too busy to tell.
    fields.insert("link".into(), json!(link.unwrap_or(LinkState::Down)));
    for (actor, picture) in [("connection", connection), ("listener", listener)] {
        match picture {
            Ok(Value::Object(told)) => {
                fields
                    .extend(told.into_iter().filter(|(name, _)| !matches!(name.as_str(), "id" | "address")));
            }
            other => {
                fields.insert(actor.into(), shown(other));
            }
        }
    }
    fields.into()
}

/// The modules of the poller's picture, each with the ids of the accessories on it.
pub(super) fn modules<'a>(
    mut poller: Value,
    faces: &(impl Iterator<Item = &'a AccessoryFace> + Clone),
) -> Value {
    let mut modules = poller.get_mut("modules").map(Value::take).unwrap_or_default();
    let Some(list) = modules.as_array_mut() else { return json!([]) };
    for module in list {
        let serial = module["serial"].as_str().unwrap_or_default();
        let accessories: Vec<&str> = faces
            .clone()
            .filter(|face| face.point.is_some_and(|point| point.serial.to_string() == serial))
            .map(|face| face.id.as_str())
            .collect();
        module["accessories"] = accessories.into();
    }
    modules
}

/// Whether the daemon is ready, and why not: one line a check.
pub(super) fn readiness<'a>(
    links: impl Iterator<Item = (&'a str, Option<LinkState>)>,
    cache: &Picture,
) -> (bool, String) {
    let mut text = String::new();
    let mut ready = true;
    let mut check = |passed: bool, what: std::fmt::Arguments<'_>| {
        ready &= passed;
        let verdict = if passed { "ok" } else { "not ready" };
        writeln!(text, "{verdict}: {what}").expect("a string takes everything");
    };
    for (gateway, link) in links {
        let state = match link {
            Some(LinkState::Up) => "up",
            Some(LinkState::Dialling) => "dialling",
            Some(LinkState::Down) | None => "down",
        };
        check(state == "up", format_args!("link of gateway {gateway} is {state}"));
    }
    let cache = match word(cache) {
        "ok" => "answers",
        other => other,
    };
    check(cache == "answers", format_args!("cache {cache}"));
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
            both,
            json!({"id": "home", "address": "1.2.3.4:5", "link": "up", "connects_total": 1, "storms_total": 2})
        );
    }

    #[test]
    fn an_actor_that_does_not_tell_is_busy() {
        let up = Some(LinkState::Up);
        let quiet = gateway("home", "a", up, Err(BusError::TimedOut), Err(BusError::Stopping));
        assert_eq!(
            quiet,
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
        assert_eq!(
            modules(poller, &faces.iter()),
            json!([
                {"serial": "0012345004", "accessories": ["a", "c"]},
                {"serial": "0012345006", "accessories": []},
            ])
        );
        assert_eq!(modules(json!({}), &faces.iter()), json!([]));
    }

    #[test]
    fn readiness_has_a_line_for_each_check() {
        let links = [("home", Some(LinkState::Up)), ("barn", None)];
        let (ready, text) = readiness(links.into_iter(), &Ok(json!({})));
        assert!(!ready);
        assert_eq!(
            text,
            "ok: link of gateway home is up\nnot ready: link of gateway barn is down\nok: cache answers\n"
        );
        assert!(readiness([("home", Some(LinkState::Up))].into_iter(), &Ok(json!({}))).0);
        let (ready, text) = readiness(std::iter::empty(), &Err(BusError::TimedOut));
        assert!(!ready && text == "not ready: cache busy\n");
    }
}
