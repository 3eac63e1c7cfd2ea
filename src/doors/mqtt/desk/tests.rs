//! The decisions of the door, on made-up moments and messages.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::House;
use super::super::ledger::Ledger;
use super::*;
use crate::conbus::{ModuleType, OutputIndex, Percent, Point, SerialNumber};
use crate::policy::{Freshness, Origin};

const HALL: AccessoryId = AccessoryId(0);
const TABLE: AccessoryId = AccessoryId(1);
const SALON: AccessoryId = AccessoryId(2);
const ALL_OFF: AccessoryId = AccessoryId(3);

/// Milliseconds after the start.
fn at(ms: u64) -> Moment {
    Moment::START + Duration::from_millis(ms)
}

fn serial(text: &str) -> SerialNumber {
    text.parse().unwrap()
}

fn module(number: &str, kind: &str, link: u8) -> ModuleFace {
    ModuleFace { serial: serial(number), module_type: kind.parse::<ModuleType>().unwrap(), link, gateway: 0 }
}

fn face(place: AccessoryId, id: &str, kind: AccessoryKind, output: Option<(&str, u8)>) -> AccessoryFace {
    let point =
        output.map(|(number, n)| Point { serial: serial(number), output: OutputIndex::new(n).unwrap() });
    AccessoryFace {
        place,
        id: id.into(),
        name: id.to_uppercase(),
        room: String::new(),
        kind,
        dims: matches!(kind, AccessoryKind::Dimmer | AccessoryKind::Group),
        point,
        module_type: None,
    }
}

/// A panel, relays and dimmers, with a lamp, a dimmer, a group and a scene.
fn house() -> House {
    House {
        gateways: vec!["home".into()],
        modules: vec![
            module("0012345001", "XP20", 1),
            module("0012345002", "XP24", 2),
            module("0012345003", "XP33LED", 3),
        ],
        lamps: vec![
            face(HALL, "hall", AccessoryKind::Light, Some(("0012345002", 0))),
            face(TABLE, "table", AccessoryKind::Dimmer, Some(("0012345003", 0))),
            face(SALON, "salon", AccessoryKind::Group, None),
            face(ALL_OFF, "all-off", AccessoryKind::Scene, None),
        ],
    }
}

/// A desk that has not met its broker.
fn desk_of(instance: &str) -> Desk {
    let topics = Topics { base: "conbus".into(), prefix: "homeassistant".into(), instance: instance.into() };
    Desk::new(topics, house(), Ledger::new(instance.into()), at(0))
}

/// A desk whose door is open since 500 ms; what it then says was taken.
fn open() -> Desk {
    let mut desk = desk_of("m");
    desk.arrived();
    desk.connected(at(0));
    let effects = desk.tick(at(500));
    assert!(matches!(effects[..], [Effect::Keep(_)]), "{effects:?}");
    said(&mut desk);
    desk
}

/// What it says now, all of it taken by the broker.
fn said(desk: &mut Desk) -> Vec<Message> {
    let mut all = Vec::new();
    while let Some(message) = desk.next() {
        all.push(message);
        desk.acknowledged();
    }
    all
}

fn topics(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.topic.as_str()).collect()
}

fn hears(desk: &mut Desk, topic: &str, payload: &str, now: Moment) -> Vec<Effect> {
    desk.heard(Incoming { topic, payload: payload.as_bytes(), retained: false }, now)
}

fn shown(on: bool) -> AccessoryState {
    AccessoryState {
        on: Some(on),
        brightness: None,
        freshness: Freshness::Fresh,
        observed_at: Some(at(0)),
        origin: Some(Origin::Report),
    }
}

const HALL_SET: &str = "conbus/home/0012345002/output/0/set";
const TABLE_SET: &str = "conbus/home/0012345003/output/0/set";
const SALON_SET: &str = "conbus/bridge/m/ensemble/salon/set";
const SCENE_SET: &str = "conbus/bridge/m/ensemble/all-off/set";
const REFRESH: &str = "conbus/bridge/m/request/refresh";
const ON: Target = Target { on: Some(true), level: None };

#[test]
fn no_retained_command_is_obeyed_be_it_for_a_lamp_a_group_a_scene_or_the_daemon() {
    let mut desk = open();
    for (count, topic) in [HALL_SET, SALON_SET, SCENE_SET, REFRESH].into_iter().enumerate() {
        let effects = desk.heard(Incoming { topic, payload: b"ON", retained: true }, at(600));
        assert!(matches!(effects[..], [Effect::Refused(_)]), "{topic}: {effects:?}");
        assert_eq!(desk.counters.ignored, count as u64 + 1, "{topic}");
    }
    assert_eq!(desk.counters.commands, 0);
    assert_eq!(hears(&mut desk, SCENE_SET, "ON", at(700)), [Effect::Wish(ALL_OFF, ON)]);
}
