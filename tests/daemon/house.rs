//! The cable: pulled, plugged in, and the house in between.

use std::time::Duration;

use crate::programs::{Pair, Program, config, eventually, free_port, get, pause, write_config};

#[test]
fn a_gateway_that_is_not_there_makes_unknown_503_at_once_and_the_list_empty_of_claims() {
    let folder = tempfile::tempdir().unwrap();
    let http = free_port();
    write_config(folder.path(), &config(&format!("127.0.0.1:{}", free_port()), http));
    let mut daemon = Program::start(&["run"], folder.path());
    daemon.says("cannot connect gateway=home");
    let address = ([127, 0, 0, 1], http).into();
    assert_eq!(get(address, "/livez").0, 200);
    assert_eq!(get(address, "/readyz").0, 503);
    let (status, error) = get(address, "/api/accessories/m1o0");
    assert_eq!((status, error["error"]["code"].as_str()), (503, Some("link_down")), "{error}");
    let (status, list) = get(address, "/api/accessories");
    assert_eq!(status, 200);
    for lamp in list.as_array().unwrap() {
        assert!(lamp["on"].is_null() && lamp["freshness"] == "unknown" && lamp["age_ms"].is_null(), "{lamp}");
    }
}

#[test]
fn a_pulled_and_plugged_in_cable_is_stale_and_true_again() {
    let mut pair = Pair::start();
    let fresh = |pair: &Pair| {
        let (_, list) = pair.get("/api/accessories");
        list.as_array().unwrap().iter().all(|lamp| lamp["freshness"] == "fresh")
    };
    eventually("all fresh", || fresh(&pair));
    pair.order(r#"{"do":"gateway","up":false}"#);
    eventually("stale", || pair.get("/api/accessories/m1o0").1["freshness"] == "stale");
    let (status, lamp) = pair.get("/api/accessories/m1o0");
    assert_eq!((status, lamp["on"].as_bool()), (200, Some(false)));
    assert!(lamp["age_ms"].is_u64());
    assert_eq!(pair.get("/api/accessories/m1o0?max_age_ms=0").0, 503);
    pair.turn(2, 3, true);
    pair.order(r#"{"do":"gateway","up":true}"#);
    eventually("true again", || fresh(&pair) && pair.get("/api/accessories/m2o3").1["on"] == true);
    let (_, status) = pair.get("/api/status");
    assert_eq!(status["gateways"][0]["connects_total"], 2, "{status}");
}

#[test]
fn resets_in_the_middle_of_frames_lose_no_truth() {
    let mut pair = Pair::start();
    for (round, how) in ["rst", "rst_mid_frame", "fin"].iter().enumerate() {
        let on = round % 2 == 0;
        pair.turn(1, 1, on);
        pair.order(&format!(r#"{{"do":"disconnect","how":"{how}"}}"#));
        pair.turn(1, 0, on);
        eventually("the truth", || {
            let lamp = pair.get("/api/accessories/m1o0").1;
            lamp["on"] == on && lamp["freshness"] == "fresh"
        });
    }
    pause(Duration::from_millis(300));
    let counters = pair.order(r#"{"do":"counters"}"#);
    assert_eq!(counters["counters"]["connections_open_max"], 1, "{counters}");
}

#[test]
fn single_bytes_and_noise_on_the_wire_make_no_difference() {
    let mut pair = Pair::start();
    // Connected is what the daemon says; noise before the house has taken the connection would reach nobody.
    eventually("known", || pair.get("/api/accessories/m1o3").1["freshness"] == "fresh");
    pair.order(r#"{"do":"segments","bytes":1}"#);
    pair.order(r#"{"do":"noise","bytes":"<R00<E07\u0000>>><"}"#);
    pair.turn(1, 3, true);
    eventually("the report", || pair.get("/api/accessories/m1o3").1["on"] == true);
    let (_, status) = pair.get("/api/status");
    let gateway = &status["gateways"][0];
    assert_eq!((gateway["connects_total"].as_u64(), gateway["link"].as_str()), (Some(1), Some("up")));
    // The lamp may be known by a read before the last of the noise has come, byte by byte.
    eventually("the noise is counted", || {
        pair.get("/api/status").1["gateways"][0]["noise_total"].as_u64() >= Some(1)
    });
}

#[test]
fn a_gateway_that_dies_leaves_a_daemon_that_lives() {
    let mut pair = Pair::start();
    let gateway = pair.gateway.take().unwrap();
    eventually("connected", || pair.get("/api/status").1["gateways"][0]["link"] == "up");
    drop(gateway);
    eventually("down", || pair.get("/api/status").1["gateways"][0]["link"] != "up");
    assert_eq!(pair.get("/livez").0, 200);
}

#[test]
fn a_wall_button_lights_a_lamp() {
    let mut pair = Pair::start();
    pair.order(r#"{"do":"table","serial":"0012345001","entries":["XP20 2 0 > 3 TOGGLE"]}"#);
    pair.order(r#"{"do":"press","stem":"E33L02I00"}"#);
    eventually("the lamp is on", || pair.get("/api/accessories/m1o2").1["on"] == true);
    let others =
        ["m1o0", "m1o1", "m1o3"].map(|id| pair.get(&format!("/api/accessories/{id}")).1["on"].clone());
    assert_eq!(others, [false, false, false], "and no other");
}
