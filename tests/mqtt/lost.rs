//! What breaks: the broker, the daemon, a module, and words of strangers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::broker::{ACCESSORIES, Broker, House};
use crate::programs::{Program, ask, eventually};

const STATE: &str = "conbus/bridge/test/state";
const HALL: &str = "conbus/home/0012345002/output/0";

/// An answer of the HTTP door that is plain text, with its head.
fn text(house: &House, path: &str) -> String {
    let mut stream = TcpStream::connect(house.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// The figures of the door, by name and labels.
fn figures(house: &House) -> BTreeMap<String, u64> {
    let page = text(house, "/metrics");
    let rows = page.lines().filter(|line| line.starts_with("conbusd_mqtt_"));
    let rows = rows.filter_map(|line| line.rsplit_once(' '));
    rows.map(|(name, value)| (name.to_owned(), value.trim_end_matches(".0").parse().unwrap())).collect()
}

fn put(house: &House, id: &str, on: bool) -> u16 {
    let path = format!("/api/accessories/{id}");
    ask(&house.http.to_string(), "PUT", &path, Some(&json!({"on": on})), Duration::from_secs(10)).unwrap().0
}

#[test]
fn a_broker_that_died_and_came_back_empty_is_told_everything() {
    let Some(mut broker) = Broker::start() else { return };
    let house = House::start(&broker);
    house.settle();
    let mut ear = broker.ear();
    ear.hears(HALL, r#"{"state":"OFF"}"#);
    let before: Vec<String> = ear.known.keys().filter(|topic| !topic.starts_with("test/")).cloned().collect();
    assert!(before.len() > 12, "{before:?}");
    broker.publish(&format!("{HALL}/set"), "OFF");
    eventually("the command is counted", || {
        figures(&house)["conbusd_mqtt_messages_total{direction=\"in\"}"] >= 1
    });
    let counted = figures(&house);
    assert_eq!(counted["conbusd_mqtt_connected"], 1);
    assert!(counted["conbusd_mqtt_messages_total{direction=\"out\"}"] > 12, "{counted:?}");
    assert_eq!(counted["conbusd_mqtt_messages_dropped_total"], 0);
    broker.kill();
    eventually("the door knows", || house.mqtt()["connected"] == false);
    assert_eq!(figures(&house)["conbusd_mqtt_connected"], 0);
    let ready = text(&house, "/readyz");
    assert!(ready.contains(" 503 ") && ready.contains("\nnot ready: mqtt is not connected"), "{ready}");
    let ready = text(&house, "/readyz?exclude=mqtt");
    assert!(ready.contains(" 200 OK") && ready.contains("\nleft out: mqtt is not connected"), "{ready}");
    assert_eq!(put(&house, "hall", true), 200, "the bus does not care");
    broker.go_on();
    let mut ear = broker.ear();
    ear.hears(HALL, r#"{"state":"ON"}"#);
    ear.until("everything", |ear| before.iter().all(|topic| ear.known.contains_key(topic)));
    assert_eq!(ear.known[STATE], "online");
}

#[test]
fn a_killed_daemon_is_offline_after_the_delay_and_a_restarted_one_was_never_away() {
    let Some(broker) = Broker::start() else { return };
    let mut house = House::start(&broker);
    house.settle();
    let mut ear = broker.ear();
    ear.hears(STATE, "online");
    let section = format!(
        "[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\ninstance = \"test\"\nwill_delay = \"30s\"\n",
        broker.port
    );
    house.daemon.signal("KILL");
    assert!(!house.daemon.end().success());
    ear.hears(STATE, "offline");
    // The next one has a longer patience than it takes to start again.
    house.daemon = Program::start(&["run"], house.folder.path());
    ear.hears(STATE, "online");
    house.restart(&section, ACCESSORIES);
    ear.hears(STATE, "online");
    house.settle();
    ear.listen(Duration::from_millis(300));
    ear.all.clear();
    house.daemon.signal("KILL");
    assert!(!house.daemon.end().success());
    house.daemon = Program::start(&["run"], house.folder.path());
    house.settle();
    ear.listen(Duration::from_millis(500));
    assert!(!ear.said(STATE).contains(&"offline"), "{:?}", ear.said(STATE));
    // One that ends in order says so itself.
    house.daemon.signal("TERM");
    assert!(house.daemon.end().success());
    ear.hears(STATE, "offline");
}

#[test]
fn long_words_of_strangers_end_no_connection() {
    let Some(broker) = Broker::start() else { return };
    let long = "x".repeat(12_000);
    broker.retain("conbus/bridge/stranger/info", &long);
    broker.retain("homeassistant/status", &long);
    broker.retain(&format!("{HALL}/set"), &long);
    let house = House::start(&broker);
    house.settle();
    broker.publish(&format!("{HALL}/set"), &long);
    broker.publish("conbus/bridge/test/request/health", &long);
    let mut ear = broker.ear();
    ear.hears(HALL, r#"{"state":"OFF"}"#);
    broker.publish(&format!("{HALL}/set"), "ON");
    ear.hears(HALL, r#"{"state":"ON"}"#);
    assert_eq!(house.mqtt()["connects_total"], 1);
}

#[test]
fn a_broker_that_stands_still_disturbs_nobody_and_is_given_the_last_state_only() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    house.settle();
    broker.signal("STOP");
    for turn in 0..60 {
        assert_eq!(put(&house, "hall", turn % 2 == 0), 200);
    }
    let waiting = house.mqtt()["queued"].as_u64().unwrap();
    assert!(waiting <= 30, "{waiting} messages wait for 15 topics");
    assert_eq!(put(&house, "pump-1", true), 200);
    broker.signal("CONT");
    let mut ear = broker.ear();
    ear.hears("conbus/home/0012345002/output/1", r#"{"state":"ON"}"#);
    ear.hears(HALL, r#"{"state":"OFF"}"#);
    assert!(house.mqtt()["connected"] == true);
}

#[test]
fn a_module_or_gateway_that_is_lost_is_offline_and_the_others_are_not() {
    let Some(broker) = Broker::start() else { return };
    let mut house = House::start(&broker);
    let mut ear = broker.ear();
    let (module, gateway) = ("conbus/home/0012345002/availability", "conbus/home/gateway/availability");
    ear.hears(module, "online");
    ear.hears(gateway, "online");
    house.settle();
    house.order(r#"{"do":"fault","kind":"silence","serial":"0012345002"}"#);
    broker.publish(&format!("{HALL}/set"), "ON");
    ear.hears(module, "offline");
    assert_eq!(ear.known["conbus/home/0012345003/availability"], "online");
    // What was wanted did not happen, and nobody is left believing it.
    ear.hears(HALL, r#"{"state":"OFF"}"#);
    house.order(r#"{"do":"clear_faults"}"#);
    let path = "/api/accessories/hall?max_age_ms=0";
    eventually("it answers", || house.get(path)["freshness"] == "fresh");
    ear.hears(module, "online");
    house.order(r#"{"do":"gateway","up":false}"#);
    ear.hears(gateway, "offline");
    house.order(r#"{"do":"gateway","up":true}"#);
    ear.hears(gateway, "online");
}

#[test]
fn a_panel_that_does_not_answer_is_offline_until_one_of_its_keys_is_pressed() {
    let Some(broker) = Broker::start() else { return };
    let mut house = House::start(&broker);
    let mut ear = broker.ear();
    let (panel, gateway) = ("conbus/home/0012345001/availability", "conbus/home/gateway/availability");
    ear.hears(panel, "online");
    ear.hears(gateway, "online");
    house.settle();
    house.order(r#"{"do":"fault","kind":"silence","serial":"0012345001"}"#);
    // A new connection asks every module who it is.
    house.order(r#"{"do":"gateway","up":false}"#);
    ear.hears(gateway, "offline");
    house.order(r#"{"do":"gateway","up":true}"#);
    ear.hears(panel, "offline");
    assert_eq!(ear.known["conbus/home/0012345002/availability"], "online");
    house.order(r#"{"do":"clear_faults"}"#);
    house.order(r#"{"do":"press","stem":"E33L01I00"}"#);
    ear.hears(panel, "online");
}
