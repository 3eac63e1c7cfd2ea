//! The event stream.

use std::time::Duration;

use conbusd::actors::events::{AccessoryChanged, AccessoryId};
use conbusd::actors::{Outlet, now, tell};
use conbusd::conbus::{OutputIndex, Point};
use conbusd::doors::http::Limits;
use conbusd::policy::switch::{AccessoryState, Cause};
use conbusd::policy::{Freshness, Origin};
use tokio::net::TcpSocket;

use crate::support::{CONFIG, Client, Home, Plan, in_real_time, pass, request};

async fn follow(home: &Home, query: &str) -> Client {
    let mut client = home.connect().await;
    client.say(&request("GET", &format!("/api/events{query}"), "", "")).await;
    let answer = client.answer(false).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    client
}

fn ceiling() -> Point {
    Point { serial: "0012345004".parse().unwrap(), output: OutputIndex::new(1).unwrap() }
}

fn plug() -> Point {
    Point { output: OutputIndex::new(0).unwrap(), ..ceiling() }
}

/// Waits until the plug is told to be on, whatever is told of the ceiling lamp until then.
async fn plug_is_told_as_on(client: &mut Client) {
    loop {
        let change = client.event_of("accessory").await;
        if change["id"] == "plug" && change["on"] == true {
            return;
        }
    }
}

#[test]
fn a_stream_opens_with_everything_and_then_tells_every_change() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let mut client = follow(&home, "").await;
        let (name, list) = client.event().await.unwrap();
        assert_eq!((name.as_str(), list.as_array().unwrap().len()), ("accessories", 3));
        let (name, link) = client.event().await.unwrap();
        assert_eq!((name.as_str(), link), ("link", serde_json::json!({"gateway": "home", "state": "up"})));
        home.emulator.turn(ceiling(), true);
        let (name, change) = client.event().await.unwrap();
        assert_eq!(
            (name.as_str(), &change["id"], &change["on"]),
            ("accessory", &"ceiling".into(), &true.into())
        );
        assert_eq!((&change["origin"], &change["room"]), (&"report".into(), &"Salon".into()));
        home.emulator.gateway_up(false);
        home.emulator.drop_client(conbusd::emulator::Ending::Fin);
        while client.event_of("link").await["state"] != "down" {}
    });
}

#[test]
fn telegrams_are_told_to_those_who_ask() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let mut quiet = follow(&home, "").await;
        let mut curious = follow(&home, "?telegrams=1").await;
        quiet.event_of("accessories").await;
        curious.event_of("accessories").await;
        let put = home.put("ceiling", r#"{"on":true}"#).await;
        assert_eq!(put.status, 200);
        // Modules may still be asked who they are.
        let mut sent = curious.event_of("telegram").await;
        while sent["direction"] != "sent" || sent["function"] != "27" {
            sent = curious.event_of("telegram").await;
        }
        assert_eq!(sent["gateway"], "home");
        assert_eq!((&sent["kind"], &sent["valid"]), (&"system".into(), &true.into()));
        while curious.event_of("telegram").await["direction"] != "received" {}
        let names = [quiet.event().await.unwrap().0, quiet.event().await.unwrap().0];
        assert!(!names.contains(&"telegram".to_owned()), "{names:?}");
        home.get("/api/events?telegrams=yes").await.is_error(400, "bad_request");
    });
}

#[test]
fn a_quiet_stream_shows_that_it_lives() {
    in_real_time(async {
        let limits = Limits { keep_alive: Duration::from_millis(30), ..Limits::default() };
        let home = Plan { limits, ..Plan::default() }.warm().await;
        let mut client = follow(&home, "").await;
        client.event_of("accessories").await;
        client.event_of("").await;
        client.event_of("").await;
    });
}

/// Small buffers: what a client does not read is not read soon.
fn narrow(write_stall_ms: u64) -> Plan {
    let write_stall = Duration::from_millis(write_stall_ms);
    Plan { limits: Limits { write_stall, send_buffer_bytes: 4096, ..Limits::default() }, ..Plan::default() }
}

async fn follow_narrowly(home: &Home) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = Client::of(socket.connect(home.address).await.unwrap());
    client.say(&request("GET", "/api/events", "", "")).await;
    client.answer(false).await;
    client.event_of("accessories").await;
    client
}

/// Changes the ceiling lamp this often, as far as the door can tell.
async fn flicker(outlet: &mut Outlet<AccessoryChanged>, times: u32) {
    for turn in 0..times {
        let state = AccessoryState {
            on: Some(turn % 2 == 0),
            brightness: None,
            freshness: Freshness::Fresh,
            observed_at: Some(now()),
            origin: Some(Origin::Report),
        };
        assert!(tell(outlet, AccessoryChanged { id: AccessoryId(0), state, cause: Cause::Bus }));
        if turn % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    tokio::task::yield_now().await;
}

#[test]
fn a_slow_reader_is_told_everything_again_instead_of_losing_changes() {
    in_real_time(async {
        let home = narrow(10_000).warm().await;
        let mut client = follow_narrowly(&home).await;
        flicker(&mut home.outlet(), 5000).await;
        let mut changes = 0;
        loop {
            match client.event().await.unwrap().0.as_str() {
                "accessories" => break,
                "accessory" => changes += 1,
                _ => {}
            }
        }
        assert!(changes < 5000, "{changes}");
        client.event_of("link").await;
        home.emulator.turn(plug(), true);
        plug_is_told_as_on(&mut client).await;
    });
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_others_do_not_notice() {
    in_real_time(async {
        let home = narrow(300).warm().await;
        let _deaf = follow_narrowly(&home).await;
        let mut other = follow(&home, "").await;
        other.event_of("accessories").await;
        flicker(&mut home.outlet(), 500).await;
        for _ in 0..500 {
            other.event_of("accessory").await;
        }
        loop {
            let status = home.get("/api/status").await.json();
            if status["http"]["door"]["connections_cut_total"] == 1 {
                assert_eq!(status["http"]["hub"]["event_streams"], 1);
                break;
            }
            pass(20).await;
        }
        home.emulator.turn(plug(), true);
        plug_is_told_as_on(&mut other).await;
    });
}

#[test]
fn a_new_config_is_told_as_a_new_list() {
    in_real_time(async {
        let mut home = Plan::default().warm().await;
        let mut client = follow(&home, "").await;
        assert_eq!(client.event_of("accessories").await.as_array().unwrap().len(), 3);
        let lamp = "id = \"ceiling\"\nname = \"Ceiling\"";
        let text = CONFIG.replace(lamp, "id = \"lamp\"\nname = \"Ceiling lamp\"");
        let config = conbusd::config::parse("test.toml", &text, std::path::Path::new("/")).unwrap();
        let reload = home.app.reload(&config).await;
        assert_eq!(reload.applied, ["accessory.ceiling removed", "accessory.lamp added"]);
        let list = client.event_of("accessories").await;
        let ids: Vec<&str> =
            list.as_array().unwrap().iter().map(|object| object["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["lamp", "plug", "spots"]);
        home.emulator.turn(ceiling(), true);
        while client.event_of("accessory").await["on"] != true {}
        assert_eq!(home.get("/api/accessories/lamp").await.json()["name"], "Ceiling lamp");
        home.get("/api/accessories/ceiling").await.is_error(404, "unknown_accessory");
        home.put("plug", r#"{"on":true}"#).await.json();
        let told = home.get("/api/status").await.json();
        assert_eq!(told["reload"]["generation"], 2);
        assert!(told["actors"]["accessory/lamp"] == "ok" && told["actors"]["accessory/ceiling"].is_null());
        let modules = home.get("/api/modules").await.json();
        assert_eq!(modules[0]["accessories"], serde_json::json!(["lamp", "plug"]));
    });
}
