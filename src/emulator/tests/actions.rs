//! Action tables that run.

use super::*;
use crate::conbus::{ActionTable, Edge, TableEntry};

fn table(entries: &[&str]) -> ActionTable {
    let entries: Vec<TableEntry> = entries.iter().map(|entry| entry.parse().unwrap()).collect();
    ActionTable::from_entries(&entries).unwrap()
}

/// A relay on link 4 and a dimmer on link 11 with these tables.
fn visit(relay: &[&str], dimmer: &[&str]) -> Visit {
    let mut setup = setup();
    setup.modules[1].table = table(relay);
    setup.modules[2].table = table(dimmer);
    Visit::quick(setup)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_factory_table_switches_all_off_and_all_on_for_the_whole_site() {
    let mut visit = Visit::quick(setup());
    assert_eq!(visit.say("E02L00I01M").split(' ').count(), 7, "four relays and three channels report");
    assert_eq!(visit.say("E02L00I01B"), "", "and the release does nothing");
    assert_eq!(visit.output(DIMMER, 2), Some((true, Percent::FULL)));
    assert!(visit.say("E02L00I00M").starts_with("E07L04I80B"));
    assert_eq!(visit.output(RELAY, 3), Some((false, Percent::OFF)));
}

#[test]
fn an_entry_wants_the_whole_source_and_any_type_stands_for_all() {
    let mut visit = visit(&["CP20 4 0 > 1 ON", "ALLMOD 4 7 > 2 ON"], &[]);
    for other in ["E14L04I00M", "E02L05I00M", "E02L04I01M", "E02L04I00B"] {
        assert_eq!(visit.say(other), "", "{other}");
    }
    assert_eq!(visit.say("E02L04I00M"), "E07L04I80M");
    assert_eq!(visit.say("E28L04I07M"), "E07L04I81M");
    assert_eq!(visit.say("E28L04I07M"), "", "it is on already");
}

#[test]
fn a_panel_of_the_house_drives_the_lamps_as_an_injected_event_does() {
    let mut visit = visit(&["XP2606 0 2 > 1 TOGGLE"], &[]);
    let press = Telegram::parse_payload(b"E14L00I02M").unwrap();
    visit.house.overhear(visit.now, press.clone());
    assert_eq!(visit.texts(MS), ["E14L00I02M", "E07L04I80M"]);
    visit.house.overhear(visit.now, press);
    assert_eq!(visit.texts(MS), ["E14L00I02M", "E07L04I80B"]);
}

#[test]
fn an_inverted_entry_acts_on_release() {
    let mut visit = visit(&["CP20 4 0 > 1 ~TOGGLE", "CP20 4 1 > 2 ~AUXRELAY"], &[]);
    assert_eq!(visit.say("E02L04I00M"), "");
    assert_eq!(visit.say("E02L04I00B"), "E07L04I80M");
    assert_eq!(visit.say("E02L04I01B"), "E07L04I81M");
    assert_eq!(visit.say("E02L04I01M"), "E07L04I81B");
}

#[test]
fn a_held_relay_is_on_while_the_button_is() {
    let mut visit = visit(&["CP20 4 0 > 3 AUXRELAY"], &[]);
    assert_eq!(visit.say("E02L04I00M"), "E07L04I82M");
    assert_eq!(visit.say("E02L04I00B"), "E07L04I82B");
}

#[test]
fn a_blocked_output_stays_as_it_is() {
    let mut visit = visit(&["CP20 4 0 > 1 BLOCK", "CP20 4 1 > 1 ON", "CP20 4 1 > 2 ON"], &[]);
    visit.say("E02L04I00M");
    assert_eq!(visit.say("E02L04I01M"), "E07L04I81M", "only the other one");
    visit.say("E02L04I00B");
    assert_eq!(visit.say("E02L04I01M"), "E07L04I80M");
}

#[test]
fn one_output_of_a_pair_excludes_the_other() {
    let mut visit = visit(&["CP20 4 0 > 1 MUTUALEX", "CP20 4 1 > 2 MUTUALEX"], &[]);
    assert_eq!(visit.say("E02L04I00M"), "E07L04I80M");
    assert_eq!(visit.say("E02L04I01M"), "E07L04I80B E07L04I81M");
}

#[test]
fn levels_go_up_and_down_by_steps_and_to_a_value() {
    let mut visit = visit(
        &["CP20 4 0 > 1 LEVELINC 10"],
        &["CP20 4 0 > 1 LEVELINC 10", "CP20 4 1 > 1 LEVELDEC 30", "CP20 4 2 > 1 LEVELSET 42"],
    );
    assert_eq!(visit.say("E02L04I00M"), "E07L04I80M E35L11I80M", "a relay has no steps between");
    assert_eq!(visit.output(DIMMER, 0), Some((true, percent(10))));
    assert_eq!(visit.say("E02L04I00M"), "", "a level that changes while on is not reported");
    assert_eq!(visit.output(DIMMER, 0), Some((true, percent(20))));
    assert_eq!(visit.say("E02L04I01M"), "E35L11I80B");
    visit.say("E02L04I02M");
    assert!(visit.say("S0012345011F02D15").contains("00:042[%]"));
}

#[test]
fn a_ramp_runs_while_the_button_is_held_and_stops_with_it() {
    let mut visit = visit(&[], &["CP20 4 0 > 2 LEVELUP", "CP20 4 1 > 2 LEVELDOWN"]);
    assert_eq!(visit.say("E02L04I00M"), "E35L11I81M");
    visit.wait(SECOND);
    assert_eq!(visit.output(DIMMER, 1), Some((true, percent(26))));
    visit.say("E02L04I00B");
    visit.wait(SECOND);
    assert_eq!(visit.output(DIMMER, 1), Some((true, percent(26))), "it stays where it was let go");
    visit.say("E02L04I00M");
    visit.wait(10 * SECOND);
    assert_eq!(visit.output(DIMMER, 1), Some((true, Percent::FULL)), "an unmatched press ends at the top");
    visit.say("E02L04I00B");
    visit.say("E02L04I01M");
    assert_eq!(visit.texts(10 * SECOND), ["E35L11I81B"]);
    assert_eq!(visit.output(DIMMER, 1), Some((false, Percent::OFF)));
}

#[test]
fn a_ramp_keeps_the_limits_of_its_channel() {
    let mut setup = setup();
    setup.modules[2].table = table(&["CP20 4 0 > 1 LEVELUP", "CP20 4 1 > 1 LEVELDOWN"]);
    setup.modules[2].own_table[..2].copy_from_slice(&[20, 80]);
    let mut visit = Visit::quick(setup);
    visit.say("E02L04I00M");
    assert_eq!(visit.output(DIMMER, 0), Some((true, percent(20))));
    visit.wait(10 * SECOND);
    assert_eq!(visit.output(DIMMER, 0), Some((true, percent(80))));
    visit.say("E02L04I00B");
    visit.say("E02L04I01M");
    visit.wait(10 * SECOND);
    assert_eq!(visit.output(DIMMER, 0), Some((true, percent(20))));
}

#[test]
fn a_delayed_lamp_comes_on_after_its_time_unless_it_is_switched_off_before() {
    let mut visit = visit(&["CP20 4 0 > 1 DELAYEDON 4", "CP20 4 1 > 1 OFF"], &[]);
    visit.say("E02L04I00M");
    visit.say("E02L04I00B");
    assert_eq!(visit.texts(Duration::from_millis(4_999)), [""; 0]);
    assert_eq!(visit.texts(MS), ["E07L04I80M"]);
    visit.say("E02L04I01M");
    visit.say("E02L04I00M");
    visit.say("E02L04I01M");
    assert_eq!(visit.texts(20 * SECOND), [""; 0]);
}

#[test]
fn a_timer_ends_with_an_event_of_its_module_that_can_drive_another() {
    let mut visit =
        visit(&["CP20 4 0 > 1 ON", "CP20 4 0 > 1 EVENTTIMER2 2", "XP24 4 71 > 1 OFF"], &["XP24 4 71 > 1 ON"]);
    assert_eq!(visit.say("E02L04I00M"), "E07L04I80M");
    visit.wait(Duration::from_millis(500));
    visit.say("E02L04I00M");
    let seen = visit.wait(2 * SECOND);
    assert_eq!(seen[0], (1_500, "E07L04I71M".into()), "a second press starts its second anew");
    assert_eq!(seen.iter().map(|one| one.1.as_str()).collect::<Vec<_>>()[1..], ["E07L04I80B", "E35L11I80M"]);
}

#[test]
fn a_report_drives_other_modules_and_its_own() {
    let mut visit = visit(&["XP24 4 80 > 2 ON", "XP24 4 80 > 2 ~OFF"], &["XP24 4 81 > 1 AUXRELAY"]);
    assert_eq!(visit.say(&format!("S{RELAY}F27D00AB")), "R0012345004F18D E07L04I80M E07L04I81M E35L11I80M");
    assert_eq!(visit.say(&format!("S{RELAY}F27D00AA")), "R0012345004F18D E07L04I80B E07L04I81B E35L11I80B");
}

#[test]
fn tables_that_chase_each_other_are_cut_off() {
    let mut visit = visit(
        &["XP33LED 11 80 > 1 TOGGLE", "XP33LED 11 80 > 1 ~TOGGLE"],
        &["XP24 4 80 > 1 TOGGLE", "XP24 4 80 > 1 ~TOGGLE"],
    );
    visit.turn(RELAY, 0, true);
    let seen = visit.texts(SECOND);
    assert!((10..30).contains(&seen.len()), "{} telegrams", seen.len());
    assert_eq!(visit.house.counters().chains_cut, 1);
}

#[test]
fn a_module_that_does_not_report_drives_nobody() {
    let mut setup = setup();
    setup.modules[1].auto_report = false;
    setup.modules[2].table = table(&["XP24 4 80 > 1 ON"]);
    let mut visit = Visit::quick(setup);
    visit.turn(RELAY, 0, true);
    assert_eq!(visit.output(DIMMER, 0), Some((false, Percent::OFF)));
}

#[test]
fn an_action_that_nobody_has_described_does_nothing_and_is_counted() {
    let mut visit = visit(&["CP20 4 0 > 1 LEARN"], &["CP20 4 0 > 1 SCENENEXT"]);
    assert_eq!(visit.say("E02L04I00M"), "");
    assert_eq!(visit.house.counters().actions_unknown, 2);
}

#[test]
fn the_own_inputs_of_a_relay_module_switch_its_outputs_and_other_inputs_are_events() {
    let mut setup = setup();
    setup.modules.push(ModuleSetup::new(serial("0012345020"), "XP2606".parse().unwrap(), 3));
    let mut visit = Visit::quick(setup);
    let press = |visit: &mut Visit, module: &str, edge| {
        visit.house.input(visit.now, serial(module), 1, edge);
        visit.texts(MS)
    };
    assert_eq!(press(&mut visit, RELAY, Edge::Make), ["E07L04I81M"]);
    assert!(visit.say(&format!("S{RELAY}F02D11")).contains("D11xxxx0010"));
    assert_eq!(press(&mut visit, RELAY, Edge::Break), [""; 0]);
    assert_eq!(press(&mut visit, RELAY, Edge::Make), ["E07L04I81B"]);
    assert_eq!(press(&mut visit, DIMMER, Edge::Make), ["E35L11I01M"]);
    assert_eq!(press(&mut visit, "0012345020", Edge::Break), ["E14L03I01B"]);
}

#[test]
fn a_house_programmed_by_the_sites_convention_obeys_its_virtual_switches() {
    let mut setup = setup();
    setup.modules = setup.modules.into_iter().map(ModuleSetup::with_site_table).collect();
    let mut visit = Visit::quick(setup);
    for (event, told) in [
        ("E02L04I01M", "E07L04I81M"),
        ("E02L04I05M", "E07L04I81B"),
        ("E02L04I11M", "E07L04I83M"),
        ("E02L11I02M", "E35L11I82M"),
        ("E02L11I14M", ""),
        ("E02L11I05M", "E35L11I82B"),
        ("E02L00I00M", "E07L04I83B"),
    ] {
        assert_eq!(visit.say(event), told, "{event}");
    }
    visit.say("E02L11I09M");
    assert_eq!(visit.output(DIMMER, 0), Some((true, percent(10))));
    visit.say("E02L11I15M");
    visit.wait(SECOND);
    visit.say("E02L11I15B");
    assert_eq!(visit.output(DIMMER, 0), Some((true, percent(36))));
}
