//! Claims about the roster.

use std::time::Duration;

use super::*;
use crate::policy::figures::{Amount, Sheet, names};

const HOME: GatewayId = GatewayId(0);
const SHED: GatewayId = GatewayId(1);

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

fn serial(number: u64) -> SerialNumber {
    format!("{number:010}").parse().unwrap()
}

fn relay(number: u64) -> RosterPlan {
    RosterPlan {
        serial: serial(number),
        gateway: HOME,
        module_type: ModuleType::XP24,
        link: 4,
        outputs: 4,
        actor: true,
    }
}

fn bridge(number: u64) -> RosterPlan {
    RosterPlan { module_type: ModuleType::XP130, outputs: 0, actor: false, ..relay(number) }
}

fn roster() -> Roster {
    let mut roster = Roster::new(vec![relay(2), bridge(1)]);
    roster.link_up(HOME);
    roster
}

/// Everything that is still to be asked, as `serial/datapoint`.
fn reads(roster: &mut Roster, gateway: GatewayId) -> Vec<String> {
    std::iter::from_fn(|| roster.next_read(gateway))
        .map(|(serial, datapoint)| format!("{}/{datapoint}", serial.to_string().trim_start_matches('0')))
        .collect()
}

fn tell(roster: &mut Roster, number: u64, datapoint: Datapoint, value: &[u8]) -> Vec<RosterEffect> {
    roster.observed(serial(number), datapoint, &DatapointValue::parse(datapoint, value), at(1))
}

#[test]
fn each_module_is_identified_once_per_connection_one_datapoint_after_the_other() {
    let mut roster = roster();
    let all = ["2/21", "2/10", "1/10", "2/07", "1/07", "2/04", "1/04", "2/02", "1/02"];
    assert_eq!(roster.pending(HOME), 9);
    assert_eq!(reads(&mut roster, HOME), all);
    assert_eq!((roster.pending(HOME), roster.next_read(HOME)), (0, None));
    roster.link_up(HOME);
    assert_eq!(reads(&mut roster, HOME), all);
    roster.link_up(HOME);
    roster.link_down(HOME);
    assert_eq!(roster.next_read(HOME), None);
}

#[test]
fn gateways_are_identified_apart() {
    let mut roster = Roster::new(vec![relay(1), RosterPlan { gateway: SHED, ..bridge(2) }]);
    roster.link_up(SHED);
    assert_eq!(roster.next_read(HOME), None);
    assert_eq!(reads(&mut roster, SHED), ["2/10", "2/07", "2/04", "2/02"]);
    assert_eq!(roster.next_read(GatewayId(7)), None);
}

#[test]
fn what_was_heard_by_chance_is_not_asked_for() {
    let mut roster = roster();
    tell(&mut roster, 2, Datapoint::LINK, b"04");
    assert!(!reads(&mut roster, HOME).contains(&"2/04".to_owned()));
}

#[test]
fn a_read_that_found_no_room_comes_again() {
    let mut roster = roster();
    let (module, datapoint) = roster.next_read(HOME).unwrap();
    roster.postponed(module, datapoint);
    roster.postponed(module, datapoint);
    assert_eq!(roster.pending(HOME), 9);
    assert_eq!(reads(&mut roster, HOME).last().unwrap(), "2/21");
}

#[test]
fn a_silent_module_is_passed_over_until_it_is_heard() {
    let mut roster = roster();
    assert_eq!(roster.next_read(HOME), Some((serial(2), Datapoint::AUTO_REPORT)));
    roster.unanswered(serial(2), Datapoint::AUTO_REPORT);
    assert_eq!(reads(&mut roster, HOME), ["1/10", "1/07", "1/04", "1/02"]);
    roster.heard(serial(2), at(5));
    assert_eq!(reads(&mut roster, HOME), ["2/10", "2/07", "2/04", "2/02"], "D21 not again");
    roster.identify(serial(2));
    assert_eq!(roster.pending(HOME), 5, "a restarted module is asked everything");
}

#[test]
fn a_module_that_did_not_answer_is_asked_once_more_when_it_is_time() {
    let mut roster = roster();
    let silent = |roster: &Roster| roster.snapshot().iter().any(|module| module.silent);
    reads(&mut roster, HOME);
    roster.identify(serial(1));
    let read = roster.next_read(HOME).unwrap();
    roster.unanswered(read.0, read.1);
    roster.silent(read.0);
    assert_eq!((roster.next_read(HOME), silent(&roster)), (None, true));
    roster.ask_silent(SHED);
    assert_eq!(roster.next_read(HOME), None);
    roster.ask_silent(HOME);
    let again = roster.next_read(HOME).unwrap();
    assert!(silent(&roster), "to be asked is not to be there");
    roster.unanswered(again.0, again.1);
    assert_eq!(roster.next_read(HOME), None, "once");
    roster.ask_silent(HOME);
    roster.next_read(HOME).unwrap();
    tell(&mut roster, 1, Datapoint::LINK, b"04");
    assert!(!silent(&roster));
}

#[test]
fn what_a_module_refuses_is_not_asked_again_on_this_connection() {
    let mut roster = roster();
    tell(&mut roster, 2, Datapoint::AUTO_REPORT, b"??");
    roster.refused(serial(2), Datapoint::SOFTWARE_VERSION);
    roster.identify(serial(2));
    assert!(roster.refuses(serial(2), Datapoint::AUTO_REPORT));
    assert!(!roster.refuses(serial(2), Datapoint::LINK));
    let asked = reads(&mut roster, HOME);
    assert!(!asked.contains(&"2/21".to_owned()) && !asked.contains(&"2/02".to_owned()), "{asked:?}");
    assert_eq!(roster.snapshot()[0].refused, ["02", "21"]);
    roster.link_up(HOME);
    assert!(!roster.refuses(serial(2), Datapoint::AUTO_REPORT));
    assert_eq!(roster.pending(HOME), 9);
}

#[test]
fn another_type_or_link_than_configured_is_told_once_per_connection_and_value() {
    let mut roster = roster();
    let differs = |code: u8| RosterEffect::TypeDiffers {
        serial: serial(2),
        configured: ModuleType::XP24,
        reported: ModuleType::new(code).unwrap(),
    };
    assert_eq!(tell(&mut roster, 2, Datapoint::TYPE_CODE, b"07"), []);
    assert_eq!(tell(&mut roster, 2, Datapoint::TYPE_CODE, b"30"), [differs(30)]);
    assert_eq!(tell(&mut roster, 2, Datapoint::TYPE_CODE, b"30"), []);
    assert_eq!(tell(&mut roster, 2, Datapoint::TYPE_CODE, b"33"), [differs(33)]);
    let link = RosterEffect::LinkDiffers { serial: serial(2), configured: 4, reported: 9 };
    assert_eq!(tell(&mut roster, 2, Datapoint::LINK, b"04"), []);
    assert_eq!(tell(&mut roster, 2, Datapoint::LINK, b"09"), [link]);
    assert_eq!(tell(&mut roster, 2, Datapoint::LINK, b"09"), []);
    roster.link_up(HOME);
    assert_eq!(tell(&mut roster, 2, Datapoint::LINK, b"09"), [link]);
    let known = &roster.snapshot()[0];
    assert_eq!((known.reported_link, known.reported_type.as_deref()), (Some(9), Some("XP20")));
}

#[test]
fn an_actor_that_does_not_report_is_warned_of_once_and_a_bridge_never() {
    let mut roster = roster();
    let reporting = |by_itself| RosterEffect::Reporting { serial: serial(2), by_itself };
    let off = RosterEffect::AutoReportOff { serial: serial(2) };
    assert_eq!(tell(&mut roster, 2, Datapoint::AUTO_REPORT, b"AA"), [reporting(false), off]);
    assert_eq!(tell(&mut roster, 2, Datapoint::AUTO_REPORT, b"AA"), []);
    assert_eq!(tell(&mut roster, 2, Datapoint::AUTO_REPORT, b"PP"), [reporting(true)]);
    assert_eq!(tell(&mut roster, 2, Datapoint::AUTO_REPORT, b"AA"), [reporting(false)]);
    assert_eq!(tell(&mut roster, 1, Datapoint::AUTO_REPORT, b"AA"), []);
    assert_eq!(roster.snapshot()[1].auto_report, Some(false));
    roster.link_up(HOME);
    assert_eq!(tell(&mut roster, 2, Datapoint::AUTO_REPORT, b"AA"), [reporting(false), off]);
}

#[test]
fn a_fault_is_told_when_it_changes_and_health_only_after_a_fault() {
    let mut roster = roster();
    let faulty = |code| RosterEffect::Faulty { serial: serial(1), code };
    for (value, expected) in [
        (b"00", None),
        (b"FE", Some(faulty(0xFE))),
        (b"FE", None),
        (b"01", Some(faulty(1))),
        (b"00", Some(RosterEffect::Healthy { serial: serial(1) })),
        (b"00", None),
    ] {
        assert_eq!(tell(&mut roster, 1, Datapoint::ERROR_CODE, value).first(), expected.as_ref());
    }
}

#[test]
fn a_malformed_value_or_a_stranger_teaches_nothing() {
    let mut roster = roster();
    let before = roster.snapshot();
    assert_eq!(tell(&mut roster, 2, Datapoint::AUTO_REPORT, b"00"), []);
    assert_eq!(tell(&mut roster, 77, Datapoint::TYPE_CODE, b"30"), []);
    roster.heard(serial(77), at(9));
    roster.storming(serial(77), true);
    let after = roster.snapshot();
    assert_eq!(after.len(), 2);
    assert_eq!(ModuleSnapshot { last_heard: None, ..after[0].clone() }, before[0]);
}

#[test]
fn a_storming_module_is_not_identified_until_it_is_quiet() {
    let mut roster = roster();
    roster.storming(serial(2), true);
    assert!(roster.snapshot()[0].storming);
    assert_eq!(reads(&mut roster, HOME), ["1/10", "1/07", "1/04", "1/02"]);
    roster.storming(serial(2), false);
    assert_eq!(roster.pending(HOME), 5);
}

#[test]
fn the_snapshot_is_what_people_and_programs_read() {
    let mut roster = roster();
    tell(&mut roster, 2, Datapoint::SOFTWARE_VERSION, b"XP24_V0.34.03");
    tell(&mut roster, 2, Datapoint::ERROR_CODE, b"00");
    roster.heard(serial(2), at(40));
    roster.heard(serial(2), at(30));
    let snapshot = roster.snapshot();
    assert_eq!(snapshot[0].last_heard, Some(at(40)));
    assert_eq!(
        serde_json::to_value(&snapshot[0]).unwrap(),
        serde_json::json!({
            "serial": "0000000002", "gateway": 0, "type": "XP24", "link": 4, "outputs": 4,
            "reported_type": null, "reported_link": null, "software_version": "XP24_V0.34.03",
            "auto_report": null, "error_code": 0, "refused": [], "storming": false,
            "silent": false, "temperature_tenths": null,
        })
    );
}

#[test]
fn another_config_identifies_what_is_new_or_configured_otherwise() {
    let mut roster = roster();
    reads(&mut roster, HOME);
    tell(&mut roster, 2, Datapoint::TYPE_CODE, b"07");
    roster.reconfigure(vec![bridge(1), relay(2), relay(5)]);
    assert_eq!(reads(&mut roster, HOME), ["5/21", "5/10", "5/07", "5/04", "5/02"]);
    let told = roster.snapshot();
    assert_eq!(
        told.iter().map(|module| module.serial).collect::<Vec<_>>(),
        [serial(1), serial(2), serial(5)]
    );
    assert_eq!(told[1].reported_type.as_deref(), Some("XP24"), "what is known stays");
    roster.reconfigure(vec![RosterPlan { link: 9, ..relay(2) }]);
    assert_eq!(reads(&mut roster, HOME).len(), 5);
    assert_eq!(roster.snapshot().len(), 1);
}

#[test]
fn a_module_is_silent_until_it_is_heard_and_one_without_a_thermometer_is_not_asked_again() {
    let mut roster = roster();
    roster.silent(serial(2));
    assert!(roster.snapshot()[0].silent);
    tell(&mut roster, 2, Datapoint::TEMPERATURE, b"+28,5\xA7C");
    assert!(!roster.snapshot()[0].silent);
    assert_eq!(roster.snapshot()[0].temperature_tenths, Some(285));
    let asked = |roster: &mut Roster| {
        roster.diagnose(HOME);
        let reads = std::iter::from_fn(|| roster.next_read(HOME));
        reads.filter(|read| *read == (serial(2), Datapoint::TEMPERATURE)).count()
    };
    assert_eq!(asked(&mut roster), 1);
    tell(&mut roster, 2, Datapoint::TEMPERATURE, b"-20,0\xA7C");
    assert_eq!((asked(&mut roster), roster.snapshot()[0].temperature_tenths), (0, None));
}

#[test]
fn every_module_is_asked_for_faults_again_and_those_that_drive_loads_for_their_temperature() {
    let panel = RosterPlan { module_type: ModuleType::XP20, link: 2, outputs: 0, actor: false, ..relay(3) };
    let mut roster = Roster::new(vec![relay(2), panel, RosterPlan { gateway: SHED, ..relay(5) }]);
    roster.diagnose(HOME);
    assert_eq!(reads(&mut roster, HOME), ["2/10", "2/18", "3/10"]);
    assert_eq!(roster.pending(SHED), 0);
    roster.refused(serial(3), Datapoint::ERROR_CODE);
    roster.diagnose(HOME);
    assert_eq!(reads(&mut roster, HOME), ["2/10", "2/18"]);
    tell(&mut roster, 2, Datapoint::TEMPERATURE, b"+28,5\xA7C");
    let mut sheet = Sheet::default();
    roster.measure(&["home", "shed"], &mut sheet);
    let told: Vec<_> = sheet
        .families()
        .filter(|(family, _)| **family == names::TEMPERATURE)
        .map(|(_, rows)| rows.clone())
        .collect();
    let labels = vec!["home".to_owned(), serial(2).to_string()];
    assert_eq!(told, [BTreeMap::from([(labels, Amount::Level(28.5))])]);
}

#[test]
fn a_panel_whose_key_was_pressed_was_heard() {
    let panel = RosterPlan { module_type: ModuleType::XP20, link: 2, outputs: 0, actor: false, ..relay(3) };
    let mut roster = Roster::new(vec![relay(2), panel]);
    let key = |link| EventSource { module_type: ModuleType::XP20, link, input: 5 };
    roster.pressed(HOME, key(2), at(7));
    roster.pressed(HOME, key(4), at(8));
    roster.pressed(SHED, key(2), at(9));
    let heard: Vec<Option<Moment>> = roster.snapshot().iter().map(|module| module.last_heard).collect();
    assert_eq!(heard, [None, Some(at(7))]);
    roster.silent(serial(3));
    roster.pressed(HOME, key(2), at(9));
    assert!(!roster.snapshot()[1].silent, "who is pressed is there");
}
