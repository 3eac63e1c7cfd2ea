//! Groups and scenes: described, commanded, shown, and gone when they are.

use std::time::Duration;

use serde_json::json;

use crate::broker::{Broker, House};
use crate::programs::eventually;

const DEVICE: &str = "homeassistant/device/conbus_ensembles_test/config";
const SALON: &str = "conbus/bridge/test/ensemble/salon";
const FILM: &str = "conbus/bridge/test/ensemble/film-1";
const HALL: &str = "conbus/home/0012345002/output/0";
const TABLE: &str = "conbus/home/0012345003/output/0";
const ON: &str = r#"{"state":"ON"}"#;
const OFF: &str = r#"{"state":"OFF"}"#;

#[test]
fn a_group_passes_commands_on_and_its_retained_state_is_that_of_its_members() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    let mut ear = broker.ear();
    ear.hears(SALON, OFF);
    broker.publish(&format!("{SALON}/set"), "ON");
    ear.hears(HALL, ON);
    ear.hears(TABLE, r#"{"brightness":100,"state":"ON"}"#);
    broker.publish(&format!("{SALON}/set"), r#"{"state":"ON","brightness":30}"#);
    ear.hears(TABLE, r#"{"brightness":30,"state":"ON"}"#);
    // Alone the dimmer leaves the group on; with the lamp it goes off.
    broker.publish(&format!("{TABLE}/set"), "OFF");
    ear.hears(TABLE, OFF);
    house.settle();
    let mut late = broker.ear();
    late.until("the retained state", |late| late.known.contains_key(SALON));
    assert_eq!(late.json(SALON)["state"], "ON");
    broker.publish(&format!("{HALL}/set"), "OFF");
    late.hears(SALON, OFF);
    assert_eq!(house.get("/api/accessories/salon")["on"], false);
}

#[test]
fn a_scene_is_played_by_on_but_not_by_a_retained_one_and_has_no_state() {
    let Some(broker) = Broker::start() else { return };
    broker.retain(&format!("{FILM}/set"), "ON");
    broker.retain(&format!("{SALON}/set"), "ON");
    let house = House::start(&broker);
    let mut ear = broker.ear();
    ear.hears(TABLE, OFF);
    eventually("both were looked at", || house.mqtt()["ignored_total"] == 2);
    assert_eq!(house.get("/api/accessories/table")["on"], false);
    broker.publish(&format!("{HALL}/set"), "ON");
    ear.hears(HALL, ON);
    broker.publish(&format!("{FILM}/set"), "ON");
    ear.hears(TABLE, r#"{"brightness":20,"state":"ON"}"#);
    ear.hears(HALL, OFF);
    house.settle();
    ear.listen(Duration::from_millis(300));
    assert!(!ear.known.contains_key(FILM), "{:?}", ear.known.get(FILM));
}

#[test]
fn a_group_or_scene_that_a_reload_takes_away_disappears_and_the_last_takes_its_device_along() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    let mut ear = broker.ear();
    ear.hears(SALON, OFF);
    house.settle();
    ear.all.clear();
    house.reload(|text| {
        let (before, group) = text.split_once("[[group]]").unwrap();
        format!("{before}[[scene]]{}", group.split_once("[[scene]]").unwrap().1)
    });
    ear.until("the state of the group is gone", |ear| !ear.known.contains_key(SALON));
    ear.until("it is described no more", |ear| ear.json(DEVICE)["components"]["light_salon"].is_null());
    assert!(ear.json(DEVICE)["components"]["scene_film-1"].is_object());
    let told = ear.said(DEVICE).iter().any(|text| {
        let config: serde_json::Value = serde_json::from_str(text).unwrap();
        config["components"]["light_salon"] == json!({"platform": "light"})
    });
    assert!(told, "Home Assistant is told that the group is gone");
    house.reload(|text| text.split_once("[[scene]]").unwrap().0.to_owned());
    ear.until("the device is gone", |ear| !ear.known.contains_key(DEVICE));
    assert_eq!(house.mqtt()["connects_total"], 1);
}
