//! Tables that travel.

use super::*;
use crate::conbus::{ActionTable, TableChunk, TableEntry};

fn entries(texts: &[&str]) -> ActionTable {
    let entries: Vec<TableEntry> = texts.iter().map(|entry| entry.parse().unwrap()).collect();
    ActionTable::from_entries(&entries).unwrap()
}

fn letters(chunk: &TableChunk) -> String {
    String::from_utf8(chunk.to_letters()).unwrap()
}

#[test]
fn the_crcs_of_the_two_factory_tables_are_those_of_real_modules() {
    let mut visit = Visit::quick(setup());
    assert_eq!(visit.say(&format!("S{RELAY}F02D14")), format!("R{RELAY}F02D14MFAELCII"));
    assert_eq!(visit.say(&format!("S{DIMMER}F02D14")), format!("R{DIMMER}F02D14MHIEIJBG"));
    assert_eq!(visit.say(&format!("S{RELAY}F02D22")), format!("R{RELAY}F02D22PLLKMDIN"));
    assert_eq!(visit.say(&format!("S{RELAY}F02D13")), format!("R{RELAY}F02D13EIDCDONM"));
    assert_eq!(visit.say(&format!("S{DIMMER}F02D13")), format!("R{DIMMER}F02D13PGJALJLM"));
}

#[test]
fn a_download_is_fifteen_chunks_and_an_end_at_the_measured_pace() {
    let mut visit = Visit::new(setup());
    visit.say(&format!("S{RELAY}F11D00"));
    let seen = visit.wait(300 * MS);
    assert_eq!(seen[0].1, format!("R{RELAY}F18D"));
    assert!((50..=80).contains(&(seen[1].0 - seen[0].0)), "{seen:?}");
    assert_eq!(seen.len(), 2, "the first chunk comes unasked and the second does not");
    let mut chunks = vec![seen[1].1.clone()];
    for _ in 1..15 {
        let start = visit.now.as_millis() as u64;
        visit.say(&format!("S{RELAY}F18D00"));
        let seen = visit.wait(200 * MS);
        assert!((97..=108).contains(&(seen[0].0 - start)), "{seen:?}");
        chunks.push(seen[0].1.clone());
    }
    let read = chunks.iter().map(|chunk| TableChunk::parse(&chunk.as_bytes()[15..]).unwrap());
    assert_eq!(ActionTable::from_chunks(read).unwrap(), ActionTable::factory(ModuleType::XP24));
    assert!(chunks[14].contains("F17DAAAO"));
    visit.say(&format!("S{RELAY}F18D00"));
    let end = visit.wait(100 * MS);
    assert_eq!(end[0].1, format!("R{RELAY}F16D"));
    let dump = visit.wait(4_000 * MS);
    assert_eq!(dump.len(), 8);
    let restart = dump[0].0 - end[0].0;
    assert!((2_440..=2_480).contains(&restart), "reports again after {restart} ms");
    visit.say(&format!("S{RELAY}F18D00"));
    assert_eq!(visit.texts(300 * MS), [""; 0], "nothing more to acknowledge");
}

#[test]
fn a_table_is_read_as_the_capture_shows() {
    let mut visit =
        Visit::quick(HouseSetup::new(vec![ModuleSetup::new(serial("0012345005"), ModuleType::XP24, 9)]));
    assert_eq!(
        visit.raw(b"<S0012345005F11D00FF>"),
        concat!(
            "<R0012345005F18DFN>",
            "<R0012345005F17DAAAAACAAAABAAAACAAAABBAAACAAAABCAAACAAAABDAAACAAABAIAAACAAABAJAAACAAFH>",
        )
    );
    assert_eq!(
        visit.raw(b"<S0012345005F18D00FM>"),
        "<R0012345005F17DAAABABAKAAACAAABALAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAFE>"
    );
    assert_eq!(
        visit.raw(b"<S0012345005F13D00FH>"),
        concat!(
            "<R0012345005F18DFN>",
            "<R0012345005F17DAAAAADAAADAAADAAADAAAAAAAMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAFO>",
        )
    );
    assert!(visit.say("S0012345005F18D00").starts_with("R0012345005F16D E07L09I80B"));
}

#[test]
fn an_uploaded_table_changes_the_crc_and_runs_after_a_restart() {
    let mut visit = Visit::new(setup());
    let table = entries(&["CP20 9 0 > 1 ON"]);
    visit.say(&format!("S{RELAY}F10D00"));
    assert_eq!(visit.texts(100 * MS), [format!("R{RELAY}F18D")]);
    for chunk in table.chunks() {
        let start = visit.now.as_millis() as u64;
        visit.say(&format!("S{RELAY}F17D{}", letters(&chunk)));
        let seen = visit.wait(400 * MS);
        assert_eq!(seen[0].1, format!("R{RELAY}F18D"));
        assert!((347..=369).contains(&(seen[0].0 - start)), "{seen:?}");
    }
    visit.say(&format!("S{RELAY}F16D00"));
    assert_eq!(visit.texts(100 * MS), [format!("R{RELAY}F18D")]);
    assert_eq!(visit.texts(3_000 * MS).len(), 8);
    visit.say(&format!("S{RELAY}F02D14"));
    let crc: String = table.crc().iter().map(|&letter| char::from(letter)).collect();
    assert_eq!(visit.texts(100 * MS), [format!("R{RELAY}F02D14{crc}")]);
    visit.say("E02L09I00M");
    assert_eq!(visit.texts(200 * MS), ["E07L04I80M"]);
}

#[test]
fn the_own_tables_of_modules_travel_in_one_chunk() {
    let mut visit = Visit::quick(HouseSetup::new(vec![
        ModuleSetup::new(serial("0020037487"), ModuleType::XP20, 3),
        ModuleSetup::new(serial("0020045056"), ModuleType::XP33LED, 5),
        ModuleSetup::new(serial("0020045099"), ModuleType::XP130, 5),
    ]));
    // Both are as real modules sent them.
    let inputs = "AAAAAAAAAAABACAEAIBACAEAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert!(visit.say("S0020037487F13D00").ends_with(inputs));
    let own = "AAAAAAGEAAGEAAGEAABECIDMAADMFACIAABEBEBEAAGEGEGEAHAAAAAAAAAAAAAAAAAA";
    assert!(visit.say("S0020045056F13D00").ends_with(own));
    let changed = own.replace("AAGEAAGEAAGE", "AKGEAKGEAKGE");
    assert_eq!(visit.say("S0020045056F12D00"), "R0020045056F18D");
    assert_eq!(visit.say(&format!("S0020045056F17D{changed}")), "R0020045056F18D");
    assert!(visit.say("S0020045056F16D00").starts_with("R0020045056F18D"));
    assert!(visit.say("S0020045056F13D00").ends_with(&changed));
    for refused in ["10", "11", "12", "13", "16", "17"] {
        assert_eq!(
            visit.say(&format!("S0020045099F{refused}D00")),
            "R0020045099F19D",
            "a bridge has no table"
        );
    }
}

#[test]
fn chunks_without_a_session_or_a_place_are_refused() {
    let mut visit = Visit::quick(setup());
    let chunk = letters(&ActionTable::empty().chunk(0).unwrap());
    assert_eq!(visit.say(&format!("S{RELAY}F17D{chunk}")), format!("R{RELAY}F19D"));
    assert_eq!(visit.say(&format!("S{RELAY}F16D00")), format!("R{RELAY}F19D"));
    visit.say(&format!("S{RELAY}F10D00"));
    for bad in [format!("AAAP{}", &chunk[4..]), chunk[..40].to_owned(), chunk.replace('A', "Z")] {
        assert_eq!(visit.say(&format!("S{RELAY}F17D{bad}")), format!("R{RELAY}F19D"));
    }
    assert_eq!(visit.say(&format!("S{RELAY}F17D{chunk}")), format!("R{RELAY}F18D"));
}

#[test]
fn a_module_that_does_not_report_restarts_in_silence() {
    let mut setup = setup();
    setup.modules[1].auto_report = false;
    let mut visit = Visit::new(setup);
    visit.say(&format!("S{RELAY}F13D00"));
    visit.say(&format!("S{RELAY}F18D00"));
    assert_eq!(visit.texts(5_000 * MS).len(), 3);
}
