//! The decisions of the door, on made-up moments and messages.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::house::House;
use super::super::ledger::Ledger;
use super::*;
use crate::conbus::{ModuleType, OutputIndex, Percent, Point, SerialNumber};
use crate::doors::Reload;
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
        members: if kind == AccessoryKind::Group { vec![TABLE, HALL] } else { Vec::new() },
        module_type: None,
    }
}

/// A panel, relays and dimmers, with a lamp, a dimmer, a group and a scene.
fn house() -> House {
    let modules = vec![
        module("0012345001", "XP20", 1),
        module("0012345002", "XP24", 2),
        module("0012345003", "XP33LED", 3),
    ];
    let lamps = vec![
        face(HALL, "hall", AccessoryKind::Light, Some(("0012345002", 0))),
        face(TABLE, "table", AccessoryKind::Dimmer, Some(("0012345003", 0))),
        face(SALON, "salon", AccessoryKind::Group, None),
        face(ALL_OFF, "all-off", AccessoryKind::Scene, None),
    ];
    House::new(vec!["home".into()]).furnished(modules, lamps)
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

#[test]
fn before_the_door_is_open_nothing_is_said_and_no_command_obeyed() {
    let mut desk = desk_of("m");
    desk.told(HALL, shown(true));
    assert_eq!(hears(&mut desk, HALL_SET, "OFF", at(0)), []);
    desk.arrived();
    desk.connected(at(100));
    assert_eq!(desk.deadline(), Some(at(600)));
    assert_eq!(hears(&mut desk, HALL_SET, "OFF", at(200)), []);
    assert_eq!(desk.tick(at(599)), []);
    assert_eq!((desk.next(), desk.counters.ignored), (None, 2));
    desk.tick(at(600));
    let all = said(&mut desk);
    assert_eq!(all.first().map(|first| first.topic.as_str()), Some("conbus/bridge/m/info"));
    assert!(topics(&all).contains(&"conbus/home/0012345002/output/0"), "what it was told meanwhile");
    assert!(all.iter().all(|message| message.retained));
    desk.lost();
    desk.told(HALL, shown(false));
    assert_eq!((desk.next(), desk.is_open(), desk.deadline()), (None, false, None));
}

#[test]
fn home_assistants_birth_is_answered_with_everything_one_to_five_seconds_later() {
    let mut waits = Vec::new();
    for turn in 0..40 {
        let born = at(1_000 + turn);
        let topics_of = Topics { base: "conbus".into(), prefix: "ha".into(), instance: "m".into() };
        let mut desk = Desk::new(topics_of, house(), Ledger::new("m".into()), at(turn));
        desk.connected(at(0));
        desk.tick(at(500));
        let everything = said(&mut desk);
        hears(&mut desk, "ha/status", "online", born);
        let due = desk.deadline().unwrap();
        let wait = due.since(born);
        assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&wait), "{wait:?}");
        waits.push(wait);
        desk.tick(at(1_000 + turn + wait.as_millis() as u64 - 1));
        assert_eq!(said(&mut desk), [], "not before {wait:?}");
        desk.tick(due);
        assert_eq!(said(&mut desk), everything);
    }
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 10, "the bridges of a house do not answer at once: {waits:?}");
}

#[test]
fn a_birth_that_lay_there_or_is_a_death_or_comes_before_the_door_is_open_is_not_answered() {
    let mut desk = open();
    let health = desk.deadline();
    desk.heard(Incoming { topic: "homeassistant/status", payload: b"online", retained: true }, at(600));
    hears(&mut desk, "homeassistant/status", "offline", at(600));
    assert_eq!(desk.deadline(), health);
    let mut early = desk_of("m");
    early.connected(at(0));
    hears(&mut early, "homeassistant/status", "online", at(100));
    early.tick(at(500));
    said(&mut early);
    early.tick(at(10_000));
    assert_eq!(said(&mut early), []);
}

/// One daemon hears that another is there and has the same gateway.
fn meets(desk: &mut Desk, other: &str, now: Moment) -> Vec<Effect> {
    let mut effects = hears(desk, &format!("conbus/bridge/{other}/state"), "online", now);
    let claim = json!({"gateways": ["home"]}).to_string();
    effects.extend(hears(desk, &format!("conbus/bridge/{other}/info"), &claim, now));
    effects
}

#[test]
fn of_two_daemons_that_open_together_the_one_whose_name_comes_later_gives_way() {
    let (mut attic, mut cellar) = (desk_of("attic"), desk_of("cellar"));
    for desk in [&mut attic, &mut cellar] {
        desk.connected(at(0));
        desk.tick(at(500));
        said(desk);
    }
    assert_eq!(meets(&mut attic, "cellar", at(550)), [], "the first stays");
    let leave = Effect::Leave { gateway: "home".into(), instance: "attic".into() };
    assert_eq!(meets(&mut cellar, "attic", at(550)), [leave]);
    assert!(cellar.has_last_words() && !cellar.is_open());
    let last = said(&mut cellar);
    assert_eq!(topics(&last), ["conbus/bridge/cellar/state"]);
    assert_eq!((last[0].payload.as_str(), cellar.has_last_words()), ("offline", false));
    // What the other has said in the meantime is put right behind him.
    attic.tick(at(1_550));
    let again = said(&mut attic);
    assert!(topics(&again).contains(&"conbus/home/gateway/availability"), "{again:?}");
}

#[test]
fn who_comes_later_and_finds_his_gateway_taken_opens_nothing() {
    let mut desk = desk_of("attic");
    desk.arrived();
    assert_eq!(meets(&mut desk, "zeta", at(10)), []);
    desk.connected(at(20));
    let leave = Effect::Leave { gateway: "home".into(), instance: "zeta".into() };
    assert_eq!(desk.tick(at(520)), [leave]);
    assert_eq!((desk.next(), desk.has_last_words()), (None, false));
}

#[test]
fn of_the_commands_that_come_while_one_is_out_the_newest_follows_it() {
    let mut desk = open();
    let level = |percent| Target { on: Some(true), level: Percent::new(percent) };
    let to = |percent: u8| json!({"state": "ON", "brightness": percent}).to_string();
    assert_eq!(hears(&mut desk, TABLE_SET, &to(10), at(600)), [Effect::Wish(TABLE, level(10))]);
    assert_eq!(hears(&mut desk, TABLE_SET, &to(20), at(601)), []);
    assert_eq!(hears(&mut desk, TABLE_SET, &to(30), at(602)), []);
    assert_eq!(hears(&mut desk, HALL_SET, "ON", at(603)), [Effect::Wish(HALL, ON)], "others do not wait");
    assert_eq!(desk.wished(TABLE, true), Some(Effect::Wish(TABLE, level(30))));
    assert_eq!(desk.wished(TABLE, true), None);
    assert_eq!(hears(&mut desk, TABLE_SET, "ON", at(700)), [Effect::Wish(TABLE, ON)]);
    assert_eq!(desk.counters.commands, 5);
}

#[test]
fn a_command_that_was_not_taken_is_answered_with_what_the_lamp_shows() {
    let mut desk = open();
    desk.told(HALL, shown(false));
    said(&mut desk);
    hears(&mut desk, HALL_SET, "ON", at(600));
    assert_eq!(desk.wished(HALL, false), None);
    let state =
        Message { topic: HALL_SET.replace("/set", ""), payload: r#"{"state":"OFF"}"#.into(), retained: true };
    assert_eq!(said(&mut desk), [state]);
}

#[test]
fn commands_for_nobody_or_without_sense_are_refused_and_an_empty_one_is_nothing() {
    let mut desk = open();
    for (topic, payload) in [
        ("conbus/home/0012345002/output/7/set", "ON"),
        ("conbus/attic/0012345002/output/0/set", "ON"),
        ("conbus/bridge/m/ensemble/nobody/set", "ON"),
        ("conbus/bridge/m/ensemble/hall/set", "ON"),
        (HALL_SET, "TOGGLE"),
        (SCENE_SET, r#"{"brightness":5}"#),
        ("conbus/bridge/m/request/explode", ""),
    ] {
        let effects = hears(&mut desk, topic, payload, at(600));
        assert!(matches!(effects[..], [Effect::Refused(_)]), "{topic} {payload}: {effects:?}");
    }
    assert_eq!(desk.counters.refused, 7);
    assert_eq!(hears(&mut desk, HALL_SET, "", at(600)), []);
    assert_eq!(hears(&mut desk, "conbus/bridge/other/ensemble/salon/set", "ON", at(600)), []);
}

#[test]
fn a_press_is_an_event_that_is_not_kept_and_is_lost_while_nobody_listens() {
    let mut desk = open();
    let pressed = |desk: &mut Desk, link| {
        let input = EventSource { module_type: "XP20".parse().unwrap(), link, input: 3 };
        desk.pressed(0, input, Edge::Make);
        desk.pressed(0, input, Edge::Break);
        said(desk)
    };
    let told = pressed(&mut desk, 1);
    assert_eq!(topics(&told), ["conbus/home/0012345001/input/3"; 2]);
    assert_eq!(told[0].payload, r#"{"event_type":"press"}"#);
    assert_eq!(told[1].payload, r#"{"event_type":"release"}"#);
    assert!(told.iter().all(|message| !message.retained));
    assert_eq!(pressed(&mut desk, 2), [], "no module has that type and link");
    desk.lost();
    desk.connected(at(1_000));
    pressed(&mut desk, 1);
    desk.tick(at(1_500));
    assert!(said(&mut desk).iter().all(|message| message.retained));
}

#[test]
fn the_health_is_told_every_minute_with_what_is_counted_of_each_gateway() {
    let mut desk = open();
    desk.link(0, true);
    said(&mut desk);
    let told = json!({
        "telegrams_sent_total": 40, "telegrams_received_total": 2, "queue": 3, "connects_total": 1,
    });
    desk.looked(&json!({"modules": [], "gateways": [told]}), at(30_000));
    assert_eq!(desk.tick(at(60_499)), []);
    assert_eq!(said(&mut desk), []);
    assert_eq!(desk.deadline(), Some(at(60_500)));
    desk.tick(at(60_500));
    let health = said(&mut desk);
    assert_eq!(topics(&health), ["conbus/bridge/m/health"]);
    let health: Value = serde_json::from_str(&health[0].payload).unwrap();
    assert_eq!((&health["uptime_s"], &health["links_up"]), (&json!(60), &json!({"home": true})));
    assert_eq!(health["gateways"]["home"], json!({"telegrams_total": 42, "queue": 3, "connects_total": 1}));
    // A connection that is too busy to tell leaves what is known.
    desk.looked(&json!({"modules": [], "gateways": [null]}), at(61_000));
    assert_eq!(desk.health(at(61_000))["gateways"], health["gateways"]);
    assert_eq!(desk.deadline(), Some(at(120_500)));
}

#[test]
fn a_reload_is_told_in_the_info_and_one_that_changes_nothing_is_not() {
    let mut desk = open();
    let mut last = Reload { config_hash: "0000abcd".into(), ..Reload::first(at(0)) };
    desk.reloaded(&last);
    let info = said(&mut desk);
    assert_eq!(topics(&info), ["conbus/bridge/m/info"]);
    let info: Value = serde_json::from_str(&info[0].payload).unwrap();
    assert_eq!((&info["config_hash"], &info["restart_required"]), (&json!("0000abcd"), &json!([])));
    assert_eq!(info["commit"].as_str(), option_env!("CONBUSD_COMMIT"));
    last.at = at(5);
    desk.reloaded(&last);
    assert_eq!(said(&mut desk), []);
    last.needs_restart = vec!["http.listen".into()];
    desk.reloaded(&last);
    let info: Value = serde_json::from_str(&said(&mut desk)[0].payload).unwrap();
    assert_eq!(info["restart_required"], json!(["http.listen"]));
}

#[test]
fn what_a_reload_takes_away_goes_before_the_rest_is_described_and_is_then_forgotten() {
    let mut desk = open();
    let before = desk.board.pinned("homeassistant/device/conbus_0012345003_home/config").is_some();
    let (modules, lamps) = (desk.house.modules()[..2].to_vec(), desk.house.lamps()[..1].to_vec());
    let effects = desk.rehouse(modules, lamps, at(600));
    assert!(before && effects.is_empty(), "what was published is known until it is cleared: {effects:?}");
    let mut all = Vec::new();
    let mut kept = Vec::new();
    while let Some(message) = desk.next() {
        all.push(message);
        kept.extend(desk.acknowledged());
    }
    let gone: Vec<&Message> = all.iter().filter(|message| message.payload.is_empty()).collect();
    assert!(gone.iter().any(|message| message.topic.ends_with("conbus_0012345003_home/config")));
    assert!(gone.iter().any(|message| message.topic.ends_with("conbus_ensembles_m/config")));
    assert!(gone.iter().any(|message| message.topic.ends_with("0012345003/availability")));
    let last_gone = all.iter().rposition(|message| message.payload.is_empty()).unwrap();
    let first_described = all.iter().position(|message| message.payload.contains("components")).unwrap();
    assert!(last_gone < first_described, "{:?}", topics(&all));
    let [Effect::Keep(text)] = &kept[..] else { panic!("{kept:?}") };
    let ledger = String::from_utf8(text.clone()).unwrap();
    assert!(ledger.contains("0012345002") && !ledger.contains("0012345003"), "{ledger}");
}

#[test]
fn when_another_daemon_changes_the_devices_are_described_again_and_nothing_else() {
    let mut desk = open();
    let claim = |modules: u32| json!({"gateways": ["roof"], "modules": modules}).to_string();
    let own = hears(&mut desk, "conbus/bridge/m/info", &claim(9), at(600));
    assert_eq!((own, desk.deadline()), (vec![], Some(at(60_500))), "its own words are no news");
    assert_eq!(hears(&mut desk, "conbus/bridge/attic/info", &claim(3), at(1_000)), []);
    let due = desk.deadline().unwrap();
    assert!((1_000..5_000).contains(&(due.since(at(1_000)).as_millis() as u64)));
    desk.tick(due);
    let described = said(&mut desk);
    assert!(topics(&described).iter().all(|topic| topic.starts_with("homeassistant/device/")));
    assert_eq!(described.len(), 5);
    hears(&mut desk, "conbus/bridge/attic/info", &claim(3), at(9_000));
    assert_eq!(desk.deadline(), Some(at(60_500)), "the same again is no news");
}

#[test]
fn a_state_from_before_a_restart_is_no_news() {
    let mut desk = open();
    desk.told(HALL, AccessoryState { origin: Some(Origin::Snapshot), ..shown(true) });
    assert_eq!(said(&mut desk), []);
    desk.told(HALL, shown(true));
    desk.told(HALL, AccessoryState { freshness: Freshness::Stale, ..shown(true) });
    assert_eq!(topics(&said(&mut desk)), ["conbus/home/0012345002/output/0"], "once");
}

/// The answers that were said, each with the verb it answers.
fn answers(desk: &mut Desk) -> Vec<(String, Value)> {
    let answers = said(desk).into_iter().filter_map(|message| {
        let verb = message.topic.strip_prefix("conbus/bridge/m/response/")?.to_owned();
        assert!(!message.retained);
        Some((verb, serde_json::from_str(&message.payload).unwrap()))
    });
    answers.collect()
}

#[test]
fn a_request_is_answered_once_with_the_askers_mark_and_a_second_of_its_kind_has_to_wait() {
    let mut desk = open();
    let mut effects = hears(&mut desk, REFRESH, r#"{"transaction":"t1"}"#, at(600));
    let Some(Effect::Do(request)) = effects.pop() else { panic!("{effects:?}") };
    assert_eq!(hears(&mut desk, REFRESH, r#"{"transaction":2}"#, at(601)), []);
    let busy = json!({"status": "error", "error": "one is under way already", "transaction": 2});
    assert_eq!(answers(&mut desk), [("refresh".to_owned(), busy)]);
    desk.answer(request, Ok(json!({"read": 2})));
    let done = json!({"status": "ok", "data": {"read": 2}, "transaction": "t1"});
    assert_eq!(answers(&mut desk), [("refresh".to_owned(), done)]);
    assert!(matches!(hears(&mut desk, REFRESH, "", at(700))[..], [Effect::Do(_)]));
}

#[test]
fn a_module_is_identified_by_any_of_its_lamps_and_what_is_not_said_is_asked_back() {
    let mut desk = open();
    let identify = "conbus/bridge/m/request/identify";
    for body in [r#"{"accessory":"table"}"#, r#"{"module":"0012345003"}"#] {
        let effects = hears(&mut desk, identify, body, at(600));
        let [Effect::Do(request)] = &effects[..] else { panic!("{body}: {effects:?}") };
        assert_eq!(request.verb, super::super::requests::Verb::Identify(TABLE), "{body}");
        desk.answer(request.clone(), Err("the module did not answer in time".into()));
    }
    assert_eq!(answers(&mut desk).len(), 2);
    for (body, words) in [
        ("{}", "say which"),
        (r#"{"module":"0012345001"}"#, "no such accessory"),
        ("[1]", "not a JSON object"),
        (&*"x".repeat(5_000), "5000 bytes"),
    ] {
        assert_eq!(hears(&mut desk, identify, body, at(600)), []);
        let [(_, answer)] = &answers(&mut desk)[..] else { panic!("{body}") };
        assert!(answer["error"].as_str().unwrap().contains(words), "{answer}");
    }
}

#[test]
fn a_module_that_falls_silent_is_offline_at_once_whether_it_has_lamps_or_buttons() {
    let mut desk = open();
    desk.link(0, true);
    let picture = |silent: &str| {
        let module = |serial: &str| json!({"serial": serial, "silent": serial == silent, "last_heard_ms": 5});
        let modules = ["0012345001", "0012345002", "0012345003"].map(module);
        json!({"modules": modules})
    };
    desk.looked(&picture(""), at(1_000));
    said(&mut desk);
    for silent in ["0012345001", "0012345002"] {
        desk.looked(&picture(silent), at(2_000));
        let told = said(&mut desk);
        let topic = format!("conbus/home/{silent}/availability");
        let offline = Message { topic, payload: "offline".into(), retained: true };
        assert!(told.contains(&offline), "{told:?}");
        assert_eq!(desk.health(at(2_000))["modules_online"], 2);
    }
}
