//! Commands, states, buttons and requests: what people do with it.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::broker::{Broker, House};
use crate::programs::{ask, eventually, pause};

const HALL: &str = "conbus/home/0012345002/output/0";
const PUMP: &str = "conbus/home/0012345002/output/1";
const TABLE: &str = "conbus/home/0012345003/output/0";
const ON: &str = r#"{"state":"ON"}"#;
const OFF: &str = r#"{"state":"OFF"}"#;

#[test]
fn a_command_switches_the_lamp_and_its_state_is_published_and_kept() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    let mut ear = broker.ear();
    ear.hears(TABLE, OFF);
    broker.publish(&format!("{TABLE}/set"), r#"{"state":"ON","brightness":40}"#);
    ear.hears(TABLE, r#"{"brightness":40,"state":"ON"}"#);
    broker.publish(&format!("{PUMP}/set"), "ON");
    ear.hears(PUMP, ON);
    eventually("the bus has it", || house.get("/api/accessories/pump-1")["freshness"] == "fresh");
    assert_eq!(house.get("/api/accessories/table?max_age_ms=0")["brightness"], 40);
    broker.publish(&format!("{TABLE}/set"), OFF);
    ear.hears(TABLE, OFF);
    house.settle();
    let mut late = broker.ear();
    late.until("what is retained", |late| late.known.contains_key(TABLE));
    assert_eq!((late.known[PUMP].as_str(), late.known[TABLE].as_str()), (ON, OFF));
}

#[test]
fn a_lamp_that_is_switched_elsewhere_is_told_once_and_a_press_is_an_event() {
    let Some(broker) = Broker::start() else { return };
    let mut house = House::start(&broker);
    let mut ear = broker.ear();
    ear.hears(HALL, OFF);
    house.settle();
    ear.listen(Duration::from_millis(300));
    ear.all.clear();
    house.order(r#"{"do":"press","stem":"E33L01I00"}"#);
    ear.hears(HALL, ON);
    ear.until("the release", |ear| ear.said("conbus/home/0012345001/input/0").len() == 2);
    assert_eq!(
        ear.said("conbus/home/0012345001/input/0"),
        [r#"{"event_type":"press"}"#, r#"{"event_type":"release"}"#]
    );
    // Reads that confirm what is known are no news.
    let put = json!({"on": true});
    let path = "/api/accessories/hall";
    assert_eq!(
        ask(&house.http.to_string(), "PUT", path, Some(&put), Duration::from_secs(10)).unwrap().0,
        200
    );
    broker.publish("conbus/bridge/test/request/refresh", "");
    ear.until("the answer", |ear| ear.known.contains_key("conbus/bridge/test/response/refresh"));
    ear.listen(Duration::from_millis(300));
    assert_eq!(ear.said(HALL), [ON]);
    let mut late = broker.ear();
    late.until("what is retained", |late| late.known.contains_key(HALL));
    assert!(!late.known.contains_key("conbus/home/0012345001/input/0"), "a press is never retained");
}

#[test]
fn what_is_retained_wrong_too_long_or_for_nobody_is_not_obeyed() {
    let Some(broker) = Broker::start() else { return };
    broker.retain(&format!("{HALL}/set"), "ON");
    let house = House::start(&broker);
    let mut ear = broker.ear();
    ear.hears(HALL, OFF);
    broker.publish(&format!("{PUMP}/set"), "TOGGLE");
    broker.publish(&format!("{PUMP}/set"), r#"{"state":"ON","brightness":10}"#);
    broker.publish(&format!("{PUMP}/set"), &format!(r#"{{"state":"ON","x":"{}"}}"#, "y".repeat(5000)));
    broker.publish("conbus/home/0012345002/output/7/set", "ON");
    broker.publish("conbus/other/0012345002/output/1/set", "ON");
    broker.publish("conbus/bridge/test/request/explode", "{}");
    eventually("all were looked at", || house.mqtt()["refused_total"] == 5);
    assert_eq!(house.mqtt()["ignored_total"], 1);
    let lamps = house.get("/api/accessories");
    assert!(lamps.as_array().unwrap().iter().all(|lamp| lamp["on"] == false), "{lamps}");
}

#[test]
fn five_hundred_commands_in_a_second_end_in_the_last_with_few_telegrams() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    let mut ear = broker.ear();
    ear.hears(TABLE, OFF);
    house.settle();
    let sent =
        |house: &House| house.get("/api/status")["gateways"][0]["telegrams_sent_total"].as_u64().unwrap();
    pause(Duration::from_secs(2));
    let before = sent(&house);
    let levels: Vec<String> =
        (0..500).map(|n| format!(r#"{{"state":"ON","brightness":{}}}"#, n % 99 + 1)).collect();
    broker.publish_lines(&format!("{TABLE}/set"), &(levels.join("\n") + "\n"), true);
    let last = 499 % 99 + 1;
    ear.hears(TABLE, &format!(r#"{{"brightness":{last},"state":"ON"}}"#));
    eventually("the bus agrees", || house.get("/api/accessories/table?max_age_ms=0")["brightness"] == last);
    eventually("all were heard", || house.mqtt()["commands_total"] == 500);
    assert_eq!(house.get("/api/accessories/table?max_age_ms=0")["brightness"], last);
    let telegrams = sent(&house) - before;
    assert!(telegrams < 100, "{telegrams} telegrams for 500 commands");
}

#[test]
fn requests_are_answered_with_the_askers_mark() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    let mut ear = broker.ear();
    house.settle();
    let mut asked = |verb: &str, body: &str| {
        let topic = format!("conbus/bridge/test/response/{verb}");
        ear.known.remove(&topic);
        broker.publish(&format!("conbus/bridge/test/request/{verb}"), body);
        ear.until(verb, |ear| ear.known.contains_key(&topic));
        ear.json(&topic)
    };
    let answer = asked("refresh", r#"{"transaction":"t1"}"#);
    assert_eq!(answer, json!({"status": "ok", "transaction": "t1", "data": {"read": 3, "failed": 0}}));
    assert_eq!(asked("identify", r#"{"accessory":"hall"}"#)["status"], "ok");
    assert_eq!(asked("identify", r#"{"module":"0012345003"}"#)["status"], "ok");
    let nobody = json!({"status": "error", "error": "there is no such accessory", "transaction": 5});
    assert_eq!(asked("identify", r#"{"accessory":"nobody","transaction":5}"#), nobody);
    assert!(asked("identify", "{}")["error"].as_str().unwrap().contains("say which"));
    assert!(asked("refresh", "[1]")["error"].as_str().unwrap().contains("not a JSON object"));
    let health = asked("health", "");
    assert_eq!(health["data"]["links_up"], json!({"home": true}));
    assert_eq!(health["data"]["modules"], 3);
    let answer = asked("reload", "{}");
    assert_eq!(answer, json!({"status": "ok", "data": {"applied": [], "needs_restart": []}}));
}

#[test]
fn an_accessory_that_a_reload_takes_away_disappears_while_the_daemon_runs() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    let mut ear = broker.ear();
    ear.hears(PUMP, OFF);
    house.settle();
    let file = house.folder.path().join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    let without = text.split("[[accessory]]").filter(|part| !part.contains("pump-1")).collect::<Vec<_>>();
    fs::write(&file, without.join("[[accessory]]")).unwrap();
    broker.publish("conbus/bridge/test/request/reload", "");
    ear.until("the socket is gone", |ear| !ear.known.contains_key(PUMP));
    let answer = "conbus/bridge/test/response/reload";
    ear.until("the answer", |ear| ear.known.contains_key(answer));
    assert_eq!(ear.json(answer)["status"], "ok");
    broker.publish(&format!("{HALL}/set"), "ON");
    ear.hears(HALL, ON);
    assert_eq!(house.mqtt()["connects_total"], 1);
}
