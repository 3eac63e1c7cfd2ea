//! What modules answer and report.

use super::*;

#[test]
fn a_relay_is_switched_acknowledged_reported_and_read_as_the_capture_shows() {
    let mut visit = Visit::quick(HouseSetup::new(vec![
        ModuleSetup::new(serial("0012345008"), ModuleType::XP24, 6).all_on(),
    ]));
    let answer = visit.raw(b"<S0012345008F27D00AAFN>");
    assert_eq!(answer, "<R0012345008F18DFA><E07L06I80BAL>");
    assert_eq!(visit.raw(b"<S0012345008F02D12FJ>"), "<R0012345008F02D12xxxx1110FJ>");
    assert_eq!(visit.raw(b"<S0012345008F27D03AAFO>"), "<R0012345008F18DFA><E07L06I83BAI>");
    assert_eq!(visit.raw(b"<S0012345008F02D12FJ>"), "<R0012345008F02D12xxxx0110FI>");
    assert_eq!(visit.raw(b"<S0012345008F02D18FD>"), "<R0012345008F02D18+28,0\u{a7}CIL>");
}

#[test]
fn a_command_for_the_state_it_already_has_is_acknowledged_and_not_reported() {
    let mut visit = Visit::quick(setup());
    assert_eq!(visit.say("S0012345004F27D00AA"), "R0012345004F18D");
}

#[test]
fn a_dimmer_refuses_f27_takes_levels_and_reports_only_the_edge() {
    let mut visit = Visit::quick(setup());
    assert_eq!(visit.say("S0012345011F27D00AB"), "R0012345011F19D");
    assert_eq!(visit.say("S0012345011F04D1502:050"), "R0012345011F18D E35L11I82M");
    assert_eq!(visit.say("S0012345011F04D1502:080"), "R0012345011F18D");
    assert!(visit.say("S0012345011F02D15").contains("1500:000[%],01:000[%],02:080[%]"));
    assert!(visit.say("S0012345011F02D12").contains("12xxxxx100"));
    assert_eq!(visit.say("S0012345011F04D1502:000"), "R0012345011F18D E35L11I82B");
    for refused in ["1503:050", "1502:101", "1502050", "15", "9900"] {
        assert!(visit.say(&format!("S0012345011F04D{refused}")).contains("F19D"), "{refused}");
    }
    assert!(visit.say("S0012345004F04D1500:050").contains("F19D"), "a relay has no level");
}

#[test]
fn a_dimmer_that_is_switched_at_the_wall_goes_back_to_its_last_level() {
    let mut visit = Visit::quick(setup());
    visit.house.set_level(visit.now, point(DIMMER, 0), percent(30));
    visit.turn(DIMMER, 0, false);
    visit.turn(DIMMER, 0, true);
    assert_eq!(visit.output(DIMMER, 0), Some((true, percent(30))));
    assert_eq!(visit.texts(MS), ["E35L11I80M", "E35L11I80B", "E35L11I80M"]);
}

#[test]
fn every_datapoint_is_answered_and_what_a_module_lacks_with_question_marks() {
    let mut visit = Visit::quick(setup());
    for code in 0..=99 {
        for module in [RELAY, DIMMER, BRIDGE] {
            let answer = visit.say(&format!("S{module}F02D{code:02}"));
            assert!(answer.starts_with(&format!("R{module}F02D{code:02}")), "{module} D{code:02}: {answer}");
            assert_eq!(
                answer.contains(&format!("D{code:02}??")),
                matches!(
                    (code, module),
                    (26..|19| 20, _) | (16 | 17, DIMMER) | (11 | 12 | 14 | 15 | 16 | 17 | 22..=25, BRIDGE)
                ),
                "{module} D{code:02}: {answer}"
            );
        }
    }
}

#[test]
fn values_read_from_real_modules_are_given_by_ours() {
    let mut visit = Visit::quick(HouseSetup::new(vec![
        ModuleSetup::new(serial("0020044966"), ModuleType::XP24, 6),
        ModuleSetup::new(serial("0020041824"), ModuleType::XP230, 12),
        ModuleSetup {
            type_code_before_outputs: true,
            ..ModuleSetup::new(serial("0020045057"), ModuleType::XP33LED, 15)
        },
    ]));
    for frame in [
        "<R0020044966F02D00XP24FH>",
        "<R0020044966F02D02XP24_V0.34.03GI>",
        "<R0020044966F02D0406FL>",
        "<R0020044966F02D0707FJ>",
        "<R0020044966F02D09OFFBP>",
        "<R0020044966F02D1000FI>",
        "<R0020044966F02D12xxxx0000FK>",
        "<R0020044966F02D1500:000[%],01:000[%],02:000[%],03:000[%]HB>",
        "<R0020044966F02D1600:000[H],01:000[H],02:000[H],03:000[H]HC>",
        "<R0020044966F02D1700:00000[NA],01:00000[NA],02:00000[NA],03:00000[NA]HD>",
        "<R0020044966F02D19??FB>",
        "<R0020044966F02D21PPFK>",
        "<R0020044966F02D22PLLKMDINEM>",
        "<R0020044966F02D23AAFI>",
        "<R0020044966F02D24AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAFP>",
        "<R0020045057F02D1235xxxxx000BO>",
    ] {
        let (module, code) = (&frame[2..12], &frame[16..18]);
        assert_eq!(visit.say(&format!("S{module}F02D{code}")), frame[1..frame.len() - 3]);
    }
    assert!(visit.say("S0020041824F02D00").contains("D00XP130"), "an XP230 calls itself XP130");
    assert!(visit.say("S0020041824F02D07").contains("D0734"));
    assert!(visit.say("S0020045057F02D18").contains("-20,0\u{a7}C"));
    assert!(visit.say("S0020044966F02D25AC").contains("D25ACAAAA"));
}

#[test]
fn digits_are_taken_by_their_low_halves_and_echoed_as_sent() {
    let mut visit = Visit::quick(setup());
    let known = |answer: &str| answer[17..].to_owned();
    for (odd, plain) in [("0A", "01"), ("0C", "03"), ("1C", "13"), ("A8", "18"), ("B1", "21"), ("AA", "11")] {
        let answer = visit.say(&format!("S{RELAY}F02D{odd}"));
        assert!(answer.starts_with(&format!("R{RELAY}F02D{odd}")), "{answer}");
        assert_eq!(known(&answer), known(&visit.say(&format!("S{RELAY}F02D{plain}"))), "{odd}");
    }
}

#[test]
fn what_a_module_does_not_know_is_refused() {
    let mut visit = Visit::quick(setup());
    for asked in [
        "F00D00", "F03D04", "F07D00", "F09D00", "F20D00", "F14D00", "F99D00", "F27D04AB", "F27D00AC", "F27D0",
    ] {
        assert_eq!(visit.say(&format!("S{RELAY}{asked}")), "R0012345004F19D", "{asked}");
    }
    assert_eq!(visit.say("S0012345001F27D00AB"), "R0012345001F19D", "a bridge has nothing to switch");
    assert_eq!(visit.say(&format!("S{RELAY}F26D00")), "", "never answered");
    assert_eq!(visit.say("S0099999999F02D12"), "", "nobody has this serial number");
    assert_eq!(visit.say("S0000000000F02D12"), "", "only a discovery is for everybody");
}

#[test]
fn blinking_is_acknowledged() {
    let mut visit = Visit::quick(setup());
    assert_eq!(visit.say(&format!("S{RELAY}F05D00")), "R0012345004F18D");
    assert!(visit.house.modules()[1].blinking());
    assert_eq!(visit.say(&format!("S{RELAY}F06D00")), "R0012345004F18D");
    assert!(!visit.house.modules()[1].blinking());
}

#[test]
fn a_written_configuration_is_read_back_and_carried_by_events() {
    let mut visit = Visit::quick(setup());
    for (write, read) in
        [("0425", "0425"), ("050031", "050031"), ("0602", "0602"), ("21AA", "21AA"), ("21PP", "21PP")]
    {
        assert!(visit.say(&format!("S{RELAY}F04D{write}")).starts_with("R0012345004F18D"), "{write}");
        assert!(visit.say(&format!("S{RELAY}F02D{}", &read[..2])).contains(&format!("F02D{read}")), "{read}");
    }
    assert_eq!(visit.say(&format!("S{RELAY}F27D01AB")), "R0012345004F18D E07L25I81M");
    for refused in ["0525", "04", "04100", "0603", "21AB", "0"] {
        assert!(visit.say(&format!("S{RELAY}F04D{refused}")).contains("F19D"), "{refused}");
    }
}

#[test]
fn a_module_that_does_not_report_is_silent_until_reporting_is_switched_on_and_then_tells_all_eight() {
    let mut setup = setup();
    setup.modules[1].auto_report = false;
    let mut visit = Visit::quick(setup);
    assert_eq!(visit.say(&format!("S{RELAY}F27D02AB")), "R0012345004F18D");
    visit.turn(RELAY, 0, true);
    assert_eq!(
        visit.say(&format!("S{RELAY}F04D21PP")),
        "R0012345004F18D E07L04I80M E07L04I81B E07L04I82M E07L04I83B \
         E07L04I84B E07L04I85B E07L04I86B E07L04I87B"
    );
    assert_eq!(visit.say(&format!("S{RELAY}F04D21PP")), "R0012345004F18D", "it was on already");
}

#[test]
fn a_peer_compatible_house_ends_lines_reverses_bits_and_reports_on_low_inputs() {
    let mut visit = Visit::quick(HouseSetup { dialect: Dialect::Peer, ..setup() });
    let bytes = visit.raw(b"<S0012345004F27D00ABFC>");
    assert!(
        bytes.ends_with(
            ">
"
        ) && bytes.contains(
            ">
<E07L04I00M"
        ),
        "{bytes}"
    );
    assert!(visit.say(&format!("S{RELAY}F02D12")).contains("D12xxxx1000"));
}
