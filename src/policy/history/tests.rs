//! Who switched this light on?

use std::time::Duration;

use proptest::prelude::*;

use super::causes::PRESSES_MAX;
use super::*;
use crate::conbus::{Command, ModuleType, OutputIndex, System};

const RELAY: &str = "0012345001";
const PANEL: &str = "0012345007";
/// The place of a scene that is the event E02L00I00.
const SCENE: u32 = 9;

fn ms(millis: u64) -> Moment {
    Moment::after_start(Duration::from_millis(millis))
}

fn serial(text: &str) -> SerialNumber {
    text.parse().unwrap()
}

fn point(output: u8) -> Point {
    Point { serial: serial(RELAY), output: OutputIndex::new(output).unwrap() }
}

fn kind(name: &str) -> ModuleType {
    name.parse().unwrap()
}

fn plan() -> HistoryPlan {
    let module = |serial_number, name, link| Installed {
        serial: serial(serial_number),
        module_type: kind(name),
        link,
    };
    let modules = vec![(GatewayId(0), module(RELAY, "XP24", 1)), (GatewayId(0), module(PANEL, "XP20", 7))];
    HistoryPlan::new(Furniture {
        modules,
        accessories: (0..3).map(|place| (u32::from(place), point(place))).collect(),
        events: vec![(SCENE, GatewayId(0), EventSource::parse_stem("E02L00I00").unwrap())],
    })
}

/// A history of three lamps on one relay module.
fn house() -> History {
    History::new(plan())
}

fn state(on: bool, freshness: Freshness, origin: Origin) -> AccessoryState {
    AccessoryState { on: Some(on), brightness: None, freshness, observed_at: None, origin: Some(origin) }
}

fn shows(history: &mut History, place: u32, on: bool, at: u64) {
    history.changed(place, &state(on, Freshness::Fresh, Origin::Report), Cause::Bus, ms(at));
}

fn wish(history: &mut History, place: u8, name: &str, on: bool, at: u64) {
    let target = Target { on: Some(on), level: None };
    let told =
        WishTold { place: place.into(), point: Some(point(place)), name: name.into(), client: 7, target };
    history.wished(told, ms(at));
    history.changed(place.into(), &state(on, Freshness::Pending, Origin::Report), Cause::Client(7), ms(at));
}

fn hears(history: &mut History, text: &str, at: u64) {
    history.telegram(GatewayId(0), false, &Telegram::parse_payload(text.as_bytes()).unwrap(), ms(at));
}

fn sends(history: &mut History, output: u8, on: bool, at: u64) {
    let command = Command::SetOutput(OutputIndex::new(output).unwrap(), on);
    history.telegram(GatewayId(0), true, &System::command(serial(RELAY), command).into(), ms(at));
}

fn press(history: &mut History, gateway: u16, input: EventSource, at: u64) {
    let event = Event { bus: EventBus::Xp, source: input, edge: Edge::Make };
    history.telegram(GatewayId(gateway), false, &event.into(), ms(at));
}

fn injects(history: &mut History, stem: &str, at: u64) {
    for edge in ["M", "B"] {
        let telegram = Telegram::parse_payload(format!("{stem}{edge}").as_bytes()).unwrap();
        history.telegram(GatewayId(0), true, &telegram, ms(at));
    }
}

#[test]
fn a_wish_is_told_with_what_was_sent_what_was_heard_and_when_it_was_so() {
    let mut history = house();
    shows(&mut history, 0, false, 0);
    wish(&mut history, 0, "http 192.168.1.5", true, 1000);
    sends(&mut history, 0, true, 1001);
    hears(&mut history, "R0012345001F18D", 1050);
    hears(&mut history, "E07L01I80M", 1090);
    history.changed(0, &state(true, Freshness::Fresh, Origin::Report), Cause::Client(7), ms(1091));
    let told = history.recall(None, 10);
    let [entry] = &told[..] else { panic!("{told:?}") };
    assert_eq!(entry.doer, Doer::Client("http 192.168.1.5".into()));
    assert_eq!(entry.wanted, Some(Target { on: Some(true), level: None }));
    assert_eq!(entry.sent, ["<S0012345001F27D00ABFH>"]);
    assert_eq!(entry.heard.len(), 2, "{:?}", entry.heard);
    assert_eq!((entry.at, entry.on, entry.ended), (ms(1000), Some(true), Some((ms(1091), End::Confirmed))));
}

#[test]
fn a_wall_switch_is_named_with_its_module() {
    let mut history = house();
    shows(&mut history, 1, false, 0);
    let key = EventSource { module_type: kind("XP20"), link: 7, input: 3 };
    press(&mut history, 0, key, 5000);
    hears(&mut history, "E07L01I81M", 5050);
    shows(&mut history, 1, true, 5051);
    hears(&mut history, "E33L07I03B", 5100);
    let entry = &history.recall(Some(1), 10)[0];
    assert_eq!(entry.doer, Doer::Wall(vec![Press { module: Some(serial(PANEL)), input: key }]));
    assert_eq!((entry.on, entry.heard.len()), (Some(true), 1));
}

#[test]
fn a_press_long_before_and_one_behind_another_gateway_are_not_blamed() {
    let mut history = house();
    shows(&mut history, 1, false, 0);
    let key = EventSource { module_type: kind("XP20"), link: 7, input: 3 };
    press(&mut history, 0, key, 1000);
    press(&mut history, 1, key, 4990);
    hears(&mut history, "E07L01I81M", 5000);
    shows(&mut history, 1, true, 5001);
    assert_eq!(history.recall(None, 1)[0].doer, Doer::Module);
}

#[test]
fn a_change_that_nobody_announced_was_found() {
    let mut history = house();
    shows(&mut history, 1, false, 0);
    history.changed(1, &state(true, Freshness::Fresh, Origin::Poll), Cause::Bus, ms(60_000));
    assert_eq!(history.recall(None, 1)[0].doer, Doer::Found);
}

#[test]
fn another_program_is_known_by_its_command() {
    let mut history = house();
    shows(&mut history, 2, false, 0);
    hears(&mut history, "S0012345001F27D02AB", 900);
    hears(&mut history, "E07L01I82M", 950);
    shows(&mut history, 2, true, 951);
    assert_eq!(history.recall(None, 1)[0].doer, Doer::Program);
    // The same from behind the shared port: it goes out by us, and no door has asked for it.
    sends(&mut history, 2, false, 3000);
    hears(&mut history, "E07L01I82B", 3050);
    shows(&mut history, 2, false, 3051);
    assert_eq!(history.recall(None, 1)[0].doer, Doer::Program);
}

fn passed(payload: &str) -> Passed {
    let telegram = Telegram::parse_payload(payload.as_bytes()).unwrap();
    Passed { gateway: GatewayId(0), telegram, name: "shared port 127.0.0.1".into() }
}

#[test]
fn what_a_scenes_event_switched_is_the_doing_of_its_caller_and_of_no_wall_and_no_other_wish() {
    let mut history = house();
    shows(&mut history, 0, true, 0);
    shows(&mut history, 1, true, 0);
    let called = WishTold {
        place: SCENE,
        point: None,
        name: "homekit 1A2B".into(),
        client: 3,
        target: Target { on: Some(true), level: None },
    };
    history.wished(called, ms(1000));
    history.changed(SCENE, &state(true, Freshness::Fresh, Origin::Report), Cause::Client(3), ms(1000));
    // Somebody else wants a lamp meanwhile: the event is not its telegram.
    wish(&mut history, 2, "http 192.168.1.5", true, 1001);
    injects(&mut history, "E02L00I00", 1002);
    hears(&mut history, "E07L01I80B", 1050);
    shows(&mut history, 0, false, 1051);
    let entry = &history.recall(Some(0), 1)[0];
    assert_eq!((&entry.doer, entry.on), (&Doer::Client("homekit 1A2B".into()), Some(false)));
    assert_eq!(history.recall(Some(SCENE), 1)[0].sent, ["<E02L00I00MAP>", "<E02L00I00BAA>"]);
    assert_eq!(history.recall(Some(2), 1)[0].sent, [""; 0]);
    // A hand at the wall afterwards is a hand at the wall.
    let key = EventSource { module_type: kind("XP20"), link: 7, input: 3 };
    press(&mut history, 0, key, 1500);
    hears(&mut history, "E07L01I81B", 1550);
    shows(&mut history, 1, false, 1551);
    assert_eq!(
        history.recall(Some(1), 1)[0].doer,
        Doer::Wall(vec![Press { module: Some(serial(PANEL)), input: key }])
    );
}

#[test]
fn a_client_of_the_shared_port_is_named_for_its_commands_and_its_presses() {
    let mut history = house();
    shows(&mut history, 0, false, 0);
    shows(&mut history, 1, false, 0);
    history.passed_on(passed("S0012345001F27D00AB"), ms(900));
    sends(&mut history, 0, true, 950);
    hears(&mut history, "E07L01I80M", 1000);
    shows(&mut history, 0, true, 1001);
    let client = Doer::Client("shared port 127.0.0.1".into());
    assert_eq!(history.recall(None, 1)[0].doer, client);
    history.passed_on(passed("E33L07I03M"), ms(5000));
    injects(&mut history, "E33L07I03", 5010);
    hears(&mut history, "E07L01I81M", 5060);
    shows(&mut history, 1, true, 5061);
    assert_eq!(history.recall(None, 1)[0].doer, client);
    // The claim is spent: the same event once more, and nobody told of it.
    injects(&mut history, "E33L07I03", 9000);
    shows(&mut history, 1, false, 9050);
    assert_eq!(history.recall(None, 1)[0].doer, Doer::Program);
}

#[test]
fn a_slider_is_one_entry_and_another_client_is_another() {
    let mut history = house();
    shows(&mut history, 0, false, 0);
    for step in 0..10 {
        wish(&mut history, 0, "homekit 1A2B", step % 2 == 0, 1000 + step * 50);
    }
    assert_eq!(history.len(), 1);
    let other = WishTold {
        place: 0,
        point: Some(point(0)),
        name: "mqtt".into(),
        client: 8,
        target: Target { on: Some(true), level: None },
    };
    history.wished(other, ms(1600));
    let told = history.recall(None, 10);
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].ended, Some((ms(1600), End::Replaced)));
    history.changed(0, &state(false, Freshness::Stale, Origin::Report), Cause::Client(8), ms(7000));
    assert_eq!(history.recall(None, 1)[0].ended, Some((ms(7000), End::Failed)));
}

#[test]
fn what_a_group_passes_on_is_its_askers_doing_and_the_group_itself_does_nothing() {
    let mut history = house();
    shows(&mut history, 0, false, 0);
    let target = Target { on: Some(true), level: None };
    let all = WishTold { place: 9, point: None, name: "homekit 1A2B".into(), client: 7, target };
    history.wished(all, ms(1000));
    history.changed(9, &state(true, Freshness::Pending, Origin::Report), Cause::Client(7), ms(1000));
    history.changed(0, &state(true, Freshness::Pending, Origin::Report), Cause::Client(7), ms(1001));
    history.changed(0, &state(true, Freshness::Fresh, Origin::Report), Cause::Client(7), ms(1090));
    history.changed(9, &state(true, Freshness::Fresh, Origin::Report), Cause::Client(7), ms(1091));
    let told = history.recall(None, 10);
    assert_eq!(told.len(), 2);
    let doer = Doer::Client("homekit 1A2B".into());
    assert!(told.iter().all(|entry| entry.doer == doer && matches!(entry.ended, Some((_, End::Confirmed)))));
    shows(&mut history, 0, false, 9000);
    shows(&mut history, 9, false, 9001);
    assert_eq!(history.recall(None, 10).len(), 3, "the lamp, and not the group");
}

#[test]
fn a_refused_wish_failed_though_what_was_before_is_fresh() {
    let mut history = house();
    shows(&mut history, 0, false, 0);
    wish(&mut history, 0, "http", true, 1000);
    history.changed(0, &state(false, Freshness::Fresh, Origin::Report), Cause::Client(7), ms(1100));
    assert_eq!(history.recall(None, 1)[0].ended, Some((ms(1100), End::Failed)));
}

#[test]
fn what_is_seen_first_or_only_grows_old_is_no_event() {
    let mut history = house();
    shows(&mut history, 0, true, 0);
    history.changed(0, &state(true, Freshness::Stale, Origin::Report), Cause::Bus, ms(40_000));
    shows(&mut history, 0, true, 41_000);
    history.changed(1, &state(true, Freshness::Stale, Origin::Snapshot), Cause::Bus, ms(0));
    assert!(history.is_empty());
}

#[test]
fn a_change_while_nobody_looked_is_told_when_it_is_seen_though_the_lamp_was_stale() {
    let mut history = house();
    shows(&mut history, 0, true, 0);
    history.changed(0, &state(true, Freshness::Stale, Origin::Report), Cause::Bus, ms(40_000));
    history.changed(0, &state(false, Freshness::Fresh, Origin::Read), Cause::Bus, ms(50_000));
    assert_eq!(history.recall(None, 1)[0].on, Some(false));
}

#[test]
fn a_name_is_short_and_has_no_control_characters() {
    let mut history = house();
    wish(&mut history, 0, &format!("a\n\u{7}{}", "ü".repeat(500)), true, 0);
    let Doer::Client(name) = history.recall(None, 1)[0].doer.clone() else { panic!() };
    assert_eq!(name.chars().count(), NAME_CHARACTERS_MAX);
    assert!(name.starts_with("aü"));
}

proptest! {
    #[test]
    fn whatever_happens_the_ring_stays_within_its_bounds(
        steps in proptest::collection::vec((0u8..7, 0u8..3, any::<bool>(), 0u64..3000), 0..400)
    ) {
        let mut history = History::new(HistoryPlan { entries_max: 20, bytes_max: 4000, ..plan() });
        let mut now = 0;
        for (what, place, on, later) in steps {
            now += later;
            match what {
                0 => wish(&mut history, place, "somebody with a longer name", on, now),
                1 => shows(&mut history, place.into(), on, now),
                2 => sends(&mut history, place, on, now),
                3 => hears(&mut history, &format!("E07L01I8{place}M"), now),
                4 => injects(&mut history, "E02L00I00", now),
                5 => history.passed_on(passed(&format!("S0012345001F27D0{place}AB")), ms(now)),
                _ => press(&mut history, 0, EventSource { module_type: kind("XP20"), link: 7, input: place }, now),
            }
            prop_assert!(history.len() <= 20);
            prop_assert_eq!(history.bytes(), history.ring.latest().map(Entry::bytes).sum::<usize>());
            for entry in history.ring.latest() {
                let found = history.ring.open(|open| open.number == entry.number);
                prop_assert_eq!(found.is_some(), entry.ended.is_none());
            }
            let numbers: Vec<u64> = history.recall(None, usize::MAX).iter().map(|entry| entry.number).collect();
            prop_assert!(numbers.is_sorted_by(|newer, older| newer > older));
            prop_assert!(history.causes.presses.len() <= PRESSES_MAX && history.causes.commands.len() <= 3);
            for entry in history.ring.latest() {
                prop_assert!(entry.sent.len() <= TELEGRAMS_MAX && entry.heard.len() <= TELEGRAMS_MAX);
            }
        }
        // What an entry gathers after it began may pass the bound by one entry, until the next begins.
        prop_assert!(history.bytes() <= 4000 + 2000);
    }
}
