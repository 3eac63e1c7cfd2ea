//! What the daemon tells of itself and of its modules.

use std::time::Duration;

use serde_json::{Value, json};

use crate::broker::{Broker, Ear, House};
use crate::programs::pause;

const INFO: &str = "conbus/bridge/test/info";
const TELEMETRY: &str = "conbus/home/0012345002/telemetry";
const RELAYS: &str = "homeassistant/device/conbus_0012345002_home/config";

/// A telegram with its checksum.
fn telegram(payload: &str) -> String {
    let sum = payload.chars().fold(0, |sum, letter| sum ^ letter as u8);
    let letter = |nibble: u8| char::from(b'A' + nibble);
    format!("<{payload}{}{}>", letter(sum >> 4), letter(sum & 0x0F))
}

/// It is heard on the bus.
fn bus(house: &mut House, payload: &str) {
    house.order(&json!({"do": "telegram", "telegram": telegram(payload)}).to_string());
}

fn told(ear: &Ear, topic: &str) -> Value {
    ear.known.get(topic).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[test]
fn a_temperature_and_a_fault_are_told_and_a_thermometer_is_described_once_there_is_one() {
    let Some(broker) = Broker::start() else { return };
    let mut house = House::start(&broker);
    let mut ear = broker.ear();
    ear.hears(TELEMETRY, r#"{"auto_report":true,"error_code":"00"}"#);
    assert!(told(&ear, RELAYS)["components"]["error_code"].is_object());
    assert!(told(&ear, RELAYS)["components"]["temperature"].is_null());
    bus(&mut house, "R0012345002F02D18+21,5\u{a7}C");
    ear.until("the temperature", |ear| told(ear, TELEMETRY)["temperature"] == 21.5);
    ear.until("its entity", |ear| told(ear, RELAYS)["components"]["temperature"].is_object());
    let sensor = told(&ear, RELAYS)["components"]["temperature"].clone();
    assert_eq!((&sensor["state_topic"], &sensor["expire_after"]), (&json!(TELEMETRY), &json!(1800)));
    // A fault does not wait for the minute that a temperature waits for.
    house.order(r#"{"do":"error_code","serial":"0012345002","code":254}"#);
    bus(&mut house, "S0012345002F02D10");
    ear.until("the fault", |ear| told(ear, TELEMETRY)["error_code"] == "FE");
    let mut late = broker.ear();
    late.until("it is kept", |late| told(late, TELEMETRY)["error_code"] == "FE");
}

#[test]
fn the_info_tells_by_which_config_the_daemon_runs_and_what_waits_for_a_restart() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    let mut ear = broker.ear();
    ear.until("the info", |ear| told(ear, INFO)["config_hash"].as_str().is_some_and(|hash| hash.len() == 8));
    let first = told(&ear, INFO);
    let expected = json!({
        "instance": "test", "name": "Test house", "version": env!("CARGO_PKG_VERSION"), "gateways": ["home"],
        "modules": 4, "accessories": 5, "restart_required": [],
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&first[key], value, "{key}: {first}");
    }
    house.settle();
    // Words that mean the same are the same config.
    house.reload(|text| format!("# a remark\n{text}"));
    house.reload(|text| text.replace("name = \"Hall\"", "name = \"Entrance\""));
    ear.until("another config", |ear| told(ear, INFO)["config_hash"] != first["config_hash"]);
    let second = told(&ear, INFO);
    assert_eq!(second["restart_required"], json!([]));
    house.reload(|text| text.replace("will_delay = \"2s\"", "will_delay = \"3s\""));
    ear.until("what has to wait", |ear| told(ear, INFO)["restart_required"] == json!(["mqtt.will_delay"]));
    assert_eq!(told(&ear, INFO)["config_hash"], second["config_hash"], "it is not what runs");
    house.reload(|text| {
        text.replace("will_delay = \"3s\"", "will_delay = \"2s\"").replace("Entrance", "Hall")
    });
    ear.until("all is as it was", |ear| told(ear, INFO) == first);
}

#[test]
fn what_is_counted_of_a_gateway_is_in_the_health_where_its_sensors_look() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    let mut ear = broker.ear();
    house.settle();
    let gateway = "homeassistant/device/conbus_gw_home/config";
    ear.until("the gateway is described", |ear| ear.known.contains_key(gateway));
    let (health, response) = ("conbus/bridge/test/health", "conbus/bridge/test/response/health");
    ear.until("the health is kept", |ear| ear.known.contains_key(health));
    // It looks every 5 s, and may have looked before the link was there.
    let mut now = Value::Null;
    for _ in 0..30 {
        ear.known.remove(response);
        broker.publish("conbus/bridge/test/request/health", "");
        ear.until("the answer", |ear| ear.known.contains_key(response));
        now = told(&ear, response)["data"]["gateways"]["home"].clone();
        if now["telegrams_total"].as_u64().is_some_and(|total| total > 0) {
            break;
        }
        pause(Duration::from_secs(1));
    }
    assert!(now["telegrams_total"].as_u64() > Some(0) && now["connects_total"] == 1, "{now}");
    let components = told(&ear, gateway)["components"].clone();
    for what in ["telegrams_total", "queue", "connects_total"] {
        assert!(now[what].is_u64(), "{what}: {now}");
        assert_eq!(components[what]["state_topic"], health);
        assert_eq!(
            components[what]["value_template"],
            format!("{{{{ value_json.gateways['home'].{what} }}}}")
        );
    }
    ear.listen(Duration::from_millis(100));
    let device = told(&ear, gateway)["device"].clone();
    assert_eq!(device["sw_version"], env!("CARGO_PKG_VERSION"));
    assert!(device["configuration_url"].is_null(), "nobody else can reach 127.0.0.1");
}
