//! Claims about the step from one config to another.

use super::*;
use crate::config::Changes;

const LAMP: &str =
    "[[accessory]]\nid = \"desk\"\nname = \"Desk\"\nkind = \"light\"\nmodule = \"0012345004\"\noutput = 0\n";

fn step(before: &str, after: &str) -> Changes {
    let before = good(before);
    Changes::between(&before, &good(after), &before)
}

#[test]
fn the_same_config_is_no_step() {
    let text = format!("{HOUSE}{LAMP}[http]\n");
    let changes = step(&text, &text);
    assert_eq!((changes.applied, changes.needs_restart), (vec![], vec![]));
    assert_eq!(changes.config, good(&text));
}

#[test]
fn every_key_that_can_be_applied_is_named() {
    let after = format!(
        "[log]\nfilter = \"debug\"\n[cache]\nttl = \"40s\"\nmax_entries = 7\n[poller]\ninterval = \"3s\"\n\
         idle_after = \"1m\"\nbus_share = 0.5\n{}{}",
        HOUSE.replace("link = 6", "link = 7"),
        LAMP.replace("\"light\"", "\"outlet\"").replace("output = 0", "output = 3")
    );
    let changes = step(&format!("{HOUSE}{LAMP}"), &after);
    let applied = [
        "log.filter",
        "cache.ttl",
        "cache.max_entries",
        "poller.interval",
        "poller.idle_after",
        "poller.bus_share",
        "module.0012345006.link",
        "accessory.desk.kind",
        "accessory.desk.output",
    ];
    assert_eq!(changes.applied, applied);
    assert_eq!(changes.needs_restart, ["gateway.home has an emulated house with the modules of the start"]);
}

#[test]
fn doors_and_gateways_wait_for_a_restart_and_stay_as_they_are() {
    let elsewhere = HOUSE.replace("\"emulator\"", "\"192.0.2.1:10001\"");
    let before = format!("{elsewhere}[http]\n[homekit]\n");
    let after = format!(
        "[service]\nstate_dir = \"there\"\n{}[http]\nlisten = \"127.0.0.1:1\"\n[mux]\n{LAMP}",
        elsewhere.replace("192.0.2.1", "192.0.2.2")
    );
    let changes = step(&before, &after);
    let keys = ["service.state_dir", "gateway.home.address", "http.listen", "homekit removed", "mux added"];
    assert_eq!(changes.needs_restart, keys);
    assert_eq!(changes.applied, ["accessory.desk added"]);
    assert_eq!(changes.config.http, good(&before).http);
    assert_eq!(changes.config.gateways, good(&before).gateways);
}

#[test]
fn every_key_of_a_door_that_differs_is_named() {
    let mqtt = |keys: &str| format!("{HOUSE}[mqtt]\nurl = \"mqtts://one.example\"\n{keys}");
    let plain = mqtt("ca_file = \"ca\"\n");
    for (keys, named) in [
        ("", vec!["mqtt.ca_file"]),
        ("ca_file = \"other\"\n", vec!["mqtt.ca_file"]),
        (
            "ca_file = \"ca\"\nclient_cert = \"cert\"\nclient_key = \"key\"\n",
            vec!["mqtt.client_cert", "mqtt.client_key"],
        ),
        ("ca_file = \"ca\"\ninstance = \"attic\"\n", vec!["mqtt.instance"]),
        ("ca_file = \"ca\"\nwill_delay = \"9s\"\n", vec!["mqtt.will_delay"]),
        (
            "ca_file = \"ca\"\nbase = \"bus\"\ndiscovery_prefix = \"ha\"\n",
            vec!["mqtt.base", "mqtt.discovery_prefix"],
        ),
        ("ca_file = \"ca\"\nuser = \"me\"\n", vec!["mqtt.user"]),
    ] {
        assert_eq!(step(&plain, &mqtt(keys)).needs_restart, named, "{keys}");
    }
    let elsewhere = plain.replace("one.example", "two.example");
    assert_eq!(step(&plain, &elsewhere).needs_restart, ["mqtt.url"]);
}

#[test]
fn modules_follow_their_gateway_by_name_and_order_alone_is_a_change() {
    let two = |gateways: [&str; 2]| {
        let gateway = |id: &str| format!("[[gateway]]\nid = \"{id}\"\naddress = \"{id}.local:10001\"\n");
        let modules = HOUSE.split_once("[[module]]").unwrap().1.replace("link", "gateway = \"barn\"\nlink");
        format!("{}{}[[module]]{modules}", gateway(gateways[0]), gateway(gateways[1]))
    };
    let changes = step(&two(["home", "barn"]), &two(["barn", "home"]));
    assert_eq!((changes.applied, changes.needs_restart), (vec![], vec![]));
    assert_eq!(changes.config.modules[0].gateway, 1);
    let swapped =
        format!("{HOUSE}{}{LAMP}", LAMP.replace("desk", "hall").replace("output = 0", "output = 1"));
    let hall = format!("{HOUSE}{LAMP}{}", LAMP.replace("desk", "hall").replace("output = 0", "output = 1"));
    assert_eq!(step(&swapped, &hall).applied, ["order"]);
}
