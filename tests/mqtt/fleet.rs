//! Several daemons at one broker: one house, and each gateway has one daemon.

use std::process::Command;

use serde_json::{Value, json};

use crate::broker::{ACCESSORIES, Broker, House};
use crate::programs::{CONBUSD, eventually};

fn daemon(broker: &Broker, gateway: &str, instance: &str) -> House {
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let section = format!("[mqtt]\nurl = \"{url}\"\ninstance = \"{instance}\"\nwill_delay = \"1s\"\n");
    House::start_with(gateway, &section, ACCESSORIES)
}

fn fleet(broker: &Broker, more: &[&str]) -> String {
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let answer = Command::new(CONBUSD).args(["fleet", "--broker", &url]).args(more).output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8(answer.stdout).unwrap()
}

fn fleet_json(broker: &Broker) -> Value {
    serde_json::from_str(&fleet(broker, &["--json"])).unwrap()
}

#[test]
fn two_daemons_are_one_house_and_each_is_listed_with_its_gateway() {
    let Some(broker) = Broker::start() else { return };
    let (mut attic, cellar) = (daemon(&broker, "roof", "attic"), daemon(&broker, "pump", "cellar"));
    attic.settle();
    cellar.settle();
    let mut ear = broker.ear();
    ear.hears("conbus/roof/0012345002/output/0", r#"{"state":"OFF"}"#);
    ear.hears("conbus/pump/0012345002/output/0", r#"{"state":"OFF"}"#);
    broker.publish("conbus/pump/0012345002/output/0/set", "ON");
    ear.hears("conbus/pump/0012345002/output/0", r#"{"state":"ON"}"#);
    assert_eq!(ear.known["conbus/roof/0012345002/output/0"], r#"{"state":"OFF"}"#);
    let list = fleet_json(&broker);
    let first = &list["instances"][0];
    assert_eq!((&first["instance"], &first["state"]), (&json!("attic"), &json!("online")));
    assert_eq!(
        (&first["version"], &first["name"]),
        (&json!(env!("CARGO_PKG_VERSION")), &json!("Test house"))
    );
    assert_eq!(first["gateways"], json!([{"id": "roof", "link": "up"}]));
    assert_eq!(list["instances"][1]["gateways"], json!([{"id": "pump", "link": "up"}]));
    attic.order(r#"{"do":"gateway","up":false}"#);
    eventually("the link is down", || fleet_json(&broker)["instances"][0]["gateways"][0]["link"] == "down");
    attic.daemon.signal("KILL");
    attic.daemon.end();
    ear.hears("conbus/bridge/attic/state", "offline");
    let text = fleet(&broker, &[]);
    assert!(
        text.contains("offline") && text.contains("pump (up)") && text.contains("roof (unknown)"),
        "{text}"
    );
}

#[test]
fn the_second_daemon_with_a_gateway_of_the_first_stays_closed_until_that_has_gone() {
    let Some(broker) = Broker::start() else { return };
    let mut first = daemon(&broker, "home", "zeta");
    first.settle();
    let mut second = daemon(&broker, "home", "alpha");
    let why = second.daemon.says("the door stays closed: ");
    assert!(why.contains("`zeta`") && why.contains("`home`"), "{why}");
    let mut ear = broker.ear();
    broker.publish("conbus/home/0012345002/output/0/set", "ON");
    ear.hears("conbus/home/0012345002/output/0", r#"{"state":"ON"}"#);
    assert_eq!(first.get("/api/accessories/hall")["on"], true);
    assert_eq!(second.get("/api/accessories/hall")["on"], false);
    assert_eq!(second.mqtt()["connected"], false);
    assert!(!ear.known.contains_key("conbus/bridge/alpha/info"), "it claims nothing");
    first.daemon.signal("TERM");
    assert!(first.daemon.end().success());
    ear.hears("conbus/bridge/alpha/state", "online");
    ear.hears("conbus/home/0012345002/output/0", r#"{"state":"OFF"}"#);
}

fn cellar_of_other_serials(broker: &Broker) -> House {
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let section = format!("[mqtt]\nurl = \"{url}\"\ninstance = \"cellar\"\nwill_delay = \"1s\"\n");
    House::start_series("pump", &section, ACCESSORIES, "00223450")
}

#[test]
fn no_topic_of_two_daemons_has_two_authors_whatever_modules_they_have() {
    let Some(broker) = Broker::start() else { return };
    let (roof, pump) = (daemon(&broker, "roof", "attic"), cellar_of_other_serials(&broker));
    // A third has the serials of the first.
    let twin = daemon(&broker, "twin", "twin");
    let houses = [&roof, &pump, &twin];
    for house in houses {
        house.settle();
    }
    let mut ear = broker.ear();
    ear.hears("conbus/pump/0022345002/output/0", r#"{"state":"OFF"}"#);
    let ledgers = houses.map(House::ledger);
    assert!(ledgers.iter().all(|topics| topics.len() > 12), "{ledgers:?}");
    let mut all: Vec<&String> = ledgers.iter().flatten().collect();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "a topic is in two ledgers: {ledgers:#?}");
    let kept = |topic: &&String| topic.starts_with("conbus/") || topic.starts_with("homeassistant/");
    ear.until("all that is kept is in a ledger", |ear| {
        ear.known.keys().filter(kept).all(|topic| all.contains(&topic))
    });
}

#[test]
fn a_module_that_moves_to_another_daemon_is_described_there_after_it_is_gone_here() {
    let Some(broker) = Broker::start() else { return };
    let (roof, pump) = (daemon(&broker, "roof", "attic"), cellar_of_other_serials(&broker));
    roof.settle();
    pump.settle();
    let mut ear = broker.ear();
    let description = |gateway: &str| format!("homeassistant/device/conbus_0012345003_{gateway}/config");
    let (old, new) = (description("roof"), description("pump"));
    ear.until("it is described", |ear| ear.known.contains_key(&old));
    // The new owner comes before the old one has let go.
    let module = "[[module]]\nserial = \"0012345003\"\ntype = \"XP33LED\"\nlink = 4\n\
        [[accessory]]\nid = \"guest\"\nname = \"Guest\"\nkind = \"dimmer\"\nmodule = \"0012345003\"\noutput = 0\n";
    pump.reload(|text| text + module);
    ear.until("both describe it", |ear| ear.known.contains_key(&new));
    let identifiers = ear.json(&old)["device"]["identifiers"].clone();
    assert_eq!(ear.json(&new)["device"]["identifiers"], identifiers, "to Home Assistant it is the same");
    ear.all.clear();
    roof.reload(|text| {
        let (before, rest) = text.split_once("[[module]]\nserial = \"0012345003\"").unwrap();
        let accessories =
            rest.split_once("[[accessory]]").unwrap().1.split_once("[[accessory]]\nid = \"table\"");
        format!("{before}[[accessory]]{}", accessories.unwrap().0)
    });
    ear.until("the old daemon cleared its own", |ear| !ear.known.contains_key(&old));
    ear.until("the new one describes it again, or it would be unknown until the next start", |ear| {
        let gone = ear.all.iter().position(|(topic, payload)| *topic == old && payload.is_empty());
        ear.all.iter().skip(gone.unwrap_or(usize::MAX)).any(|(topic, _)| *topic == new)
    });
    assert!(ear.known.contains_key("conbus/pump/0012345003/availability"));
    assert!(!ear.known.contains_key("conbus/roof/0012345003/availability"));
}

#[test]
fn two_daemons_of_one_name_are_told_to_take_two() {
    let Some(broker) = Broker::start() else { return };
    let mut first = daemon(&broker, "roof", "attic");
    first.settle();
    let _second = daemon(&broker, "pump", "attic");
    let why = first.daemon.says("another client took the name `conbusd-attic`");
    assert!(why.contains("`instance`"), "{why}");
}

#[test]
fn a_fleet_without_its_broker_is_an_error_that_names_it() {
    let port = crate::programs::free_port();
    let answer = Command::new(CONBUSD)
        .args(["fleet", "--broker", &format!("mqtt://127.0.0.1:{port}")])
        .output()
        .unwrap();
    assert_eq!(answer.status.code(), Some(1));
    let text = String::from_utf8(answer.stderr).unwrap();
    assert!(text.contains("cannot ask the broker"), "{text}");
}
