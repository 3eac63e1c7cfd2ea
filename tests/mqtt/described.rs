//! Descriptions for Home Assistant: what they are, and that what is gone here disappears there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::broker::{ACCESSORIES, Broker, Ear, House};
use crate::schema::mistakes;

/// Set, the golden files are written instead of compared.
const WRITE: &str = "CONBUSD_WRITE_GOLDEN";

fn descriptions(ear: &Ear) -> Vec<(String, Value)> {
    let topics = ear.known.keys().filter(|topic| topic.starts_with("homeassistant/"));
    topics.map(|topic| (topic.clone(), ear.json(topic))).collect()
}

#[test]
fn descriptions_are_the_golden_ones_and_as_home_assistant_documents_them() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    let mut ear = broker.ear();
    // A version becomes known a while after the start.
    ear.until("every version", |ear| {
        let told =
            descriptions(ear).into_iter().filter(|(_, config)| config["device"]["sw_version"].is_string());
        // The daemon's own is on the gateway and on the groups.
        told.count() == 5
    });
    house.settle();
    ear.listen(Duration::from_millis(300));
    let described = descriptions(&ear);
    assert_eq!(described.len(), 5);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mqtt/golden");
    for (topic, mut config) in described {
        assert_eq!(mistakes(&topic, &config), Vec::<String>::new(), "{topic}: {config:#}");
        assert_eq!(config["origin"]["sw_version"], env!("CARGO_PKG_VERSION"));
        config["origin"]["sw_version"] = "…".into();
        if config["device"]["sw_version"] == env!("CARGO_PKG_VERSION") {
            config["device"]["sw_version"] = "…".into();
        }
        let file = folder.join(format!("{}.json", topic.split('/').nth(2).unwrap()));
        let text = format!("{config:#}\n");
        if std::env::var_os(WRITE).is_some() {
            fs::write(&file, &text).unwrap();
        }
        let golden = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(text, golden, "{} differs; {WRITE}=1 writes it anew", file.display());
    }
}

#[test]
fn accessories_that_are_gone_disappear_and_those_that_stay_do_not() {
    let Some(broker) = Broker::start() else { return };
    let mut house = House::start(&broker);
    house.settle();
    let mut ear = broker.ear();
    let (device, dimmer) =
        ("homeassistant/device/conbus_0012345002_home/config", "conbus/home/0012345003/output/0");
    ear.hears(dimmer, r#"{"state":"OFF"}"#);
    assert!(ear.json(device)["components"]["switch_1"]["name"].is_string());
    // The socket goes, and the lamp becomes one; the dimmer goes with all that there is of it.
    let section = format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\ninstance = \"test\"\n", broker.port);
    let fewer = ACCESSORIES.split("[[accessory]]").nth(1).unwrap().replace("\"light\"", "\"outlet\"");
    house.restart(&section, &format!("[[accessory]]{fewer}"));
    ear.until("the dimmer is gone", |ear| !ear.known.contains_key(dimmer));
    ear.until("the device is described anew", |ear| ear.json(device)["components"]["switch_0"].is_object());
    ear.until("nothing of the lost parts is left", |ear| {
        let parts = ear.json(device)["components"].clone();
        parts["switch_1"].is_null() && parts["light_0"].is_null()
    });
    let said: Vec<Value> = ear.said(device).iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let removed = |part: &str| {
        said.iter().any(|config| config["components"][part].as_object().is_some_and(|part| part.len() == 1))
    };
    assert!(removed("switch_1") && removed("light_0"), "Home Assistant is told that they are gone");
    for topic in ["homeassistant/device/conbus_0012345003_home/config", "conbus/home/0012345002/output/1"] {
        assert!(!ear.known.contains_key(topic), "{topic}");
    }
    assert!(ear.known.contains_key("conbus/home/0012345002/output/0"));
    // With another base, everything below the old one goes.
    house.restart(&format!("{section}base = \"bus\"\n"), &format!("[[accessory]]{fewer}"));
    ear.until("the old base is empty", |ear| {
        !ear.known.keys().any(|topic| topic.starts_with("conbus/home/"))
    });
    ear.hears("bus/home/0012345002/output/0", r#"{"state":"OFF"}"#);
}

#[test]
fn home_assistant_that_starts_is_told_everything_again() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    house.settle();
    let mut ear = broker.ear();
    ear.hears("conbus/home/0012345002/output/0", r#"{"state":"OFF"}"#);
    ear.all.clear();
    broker.publish("homeassistant/status", "online");
    ear.until("the last state", |ear| {
        ear.all.iter().any(|(topic, _)| topic == "conbus/home/0012345003/output/0")
    });
    // What else changes meanwhile may be said before; the order is that of what follows the birth.
    let mut said = ear.all.iter().map(|(topic, _)| topic.as_str());
    for topic in [
        "homeassistant/status",
        "conbus/bridge/test/state",
        "homeassistant/device/conbus_0012345003_home/config",
        "conbus/home/0012345003/availability",
        "conbus/home/0012345003/output/0",
    ] {
        assert!(said.any(|at| at == topic), "{topic} is not said in its turn: {:#?}", ear.all);
    }
}

#[test]
fn a_module_that_a_reload_adds_is_shown_at_once_and_one_that_it_takes_away_is_gone() {
    let Some(broker) = Broker::start() else { return };
    let house = House::start(&broker);
    house.settle();
    let mut ear = broker.ear();
    let (came, went) = (
        "homeassistant/device/conbus_0012345004_home/config",
        "homeassistant/device/conbus_0012345003_home/config",
    );
    let availability = "conbus/home/0012345003/availability";
    ear.hears(availability, "online");
    assert!(ear.known.contains_key(went) && !ear.known.contains_key(came));
    let file = house.folder.path().join("config.toml");
    // Another serial at the place of the dimmer: a module that goes, one that comes, and the lamp on it.
    let text = fs::read_to_string(&file).unwrap().replace("0012345003", "0012345004");
    fs::write(&file, text).unwrap();
    house.daemon.signal("HUP");
    ear.until("the new module is described", |ear| ear.known.contains_key(came));
    ear.until("the old one is gone", |ear| {
        !ear.known.contains_key(went) && !ear.known.contains_key(availability)
    });
    let parts = ear.json(came)["components"].clone();
    assert_eq!(parts["light_0"]["command_topic"], "conbus/home/0012345004/output/0/set");
    ear.until("whether it answers", |ear| ear.known.contains_key("conbus/home/0012345004/availability"));
    assert_eq!(house.mqtt()["connects_total"], 1);
}
