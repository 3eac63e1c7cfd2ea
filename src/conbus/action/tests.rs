//! Claims about action-table entries.

use proptest::prelude::*;

use super::*;

fn entry(text: &str) -> TableEntry {
    text.parse().unwrap()
}

#[test]
fn the_first_captured_entry() {
    let first = TableEntry::decode([0x02, 0x00, 0x00, 0x10, 0x00]).unwrap();
    assert_eq!(first.to_string(), "CP20 0 0 > 1 OFF");
    assert_eq!(first, entry("CP20 0 0 > 1 OFF;"));
}

#[test]
fn inversion_and_parameter_survive_both_ways() {
    let entry = entry(" XP33LED 15  80 > 3 ~LEVELINC 100 ; ");
    assert!(entry.inverted);
    assert_eq!(entry.encode(), [0x35, 0x15, 0x80, (9 << 3) | 2, 0x80 + 100]);
    assert_eq!(entry.to_string(), "XP33LED 15 80 > 3 ~LEVELINC 100");
}

#[test]
fn types_and_actions_without_a_name_are_kept() {
    let odd = TableEntry::decode([0x99, 0x01, 0x02, (27 << 3) | 7, 0x7F]).unwrap();
    assert_eq!(odd.to_string(), "TYPE99 1 2 > 8 ACTION27 127");
    assert_eq!(entry("TYPE99 1 2 > 8 ACTION27 127"), odd);
}

#[test]
fn short_names_of_the_xp24_are_read() {
    assert_eq!(entry("CP20 4 8 > 1 OF"), entry("CP20 4 8 > 1 OFF"));
    assert_eq!(Action::KNOWN.len(), 29);
    for &action in Action::KNOWN {
        assert_eq!(action.short_name().unwrap().parse(), Ok(action));
        assert_eq!(action.name().unwrap().parse(), Ok(action));
    }
}

#[test]
fn a_source_that_is_not_decimal_is_an_error_value() {
    for at in 0..3 {
        let mut bytes = [0x02, 0x00, 0x00, 0x10, 0x00];
        bytes[at] = 0x1A;
        assert_eq!(TableEntry::decode(bytes), Err(EntryError::NotDecimal(bytes)));
    }
}

#[test]
fn a_wrong_text_says_what_is_wrong() {
    type E = EntryError;
    for (text, error) in [
        ("", E::Form(String::new())),
        ("CP20 0 0 1 ON", E::Form("CP20 0 0 1 ON".into())),
        ("CP20 0 0 > 1 ON 1 2", E::Form("CP20 0 0 > 1 ON 1 2".into())),
        ("CP21 0 0 > 1 ON", E::ModuleType("CP21".into())),
        ("CP20 100 0 > 1 ON", E::Number("100".into())),
        ("CP20 0 +1 > 1 ON", E::Number("+1".into())),
        ("CP20 0 0 > 0 ON", E::Output("0".into())),
        ("CP20 0 0 > 9 ON", E::Output("9".into())),
        ("CP20 0 0 > 1 ~~ON", E::Action("~ON".into())),
        ("CP20 0 0 > 1 ACTION32", E::Action("ACTION32".into())),
        ("CP20 0 0 > 1 ON 128", E::Parameter("128".into())),
    ] {
        assert_eq!(text.parse::<TableEntry>(), Err(error), "{text}");
    }
}

#[test]
fn times_of_the_reference() {
    let seconds = |code| TimeCode::new(code).unwrap().duration().as_secs_f32();
    for (code, expected) in [(0, 0.0), (1, 0.5), (2, 1.0), (9, 45.0), (10, 60.0), (19, 7200.0)] {
        assert!((seconds(code) - expected).abs() < f32::EPSILON, "{code}");
    }
    assert_eq!(TimeCode::new(20), None);
    for code in (0..20).filter_map(TimeCode::new) {
        assert_eq!(code.to_string().parse(), Ok(code));
        assert_eq!(code.code().to_string().parse(), Ok(code));
    }
    assert_eq!(Parameter::new(100).unwrap().time(), None);
}

#[test]
fn the_wildcard_type_listens_to_every_type_of_its_link() {
    let heard = EventSource::parse_stem("E14L04I02").unwrap();
    assert!(entry("XP2606 4 2 > 1 ON").listens_to(heard));
    assert!(entry("ALLMOD 4 2 > 1 ON").listens_to(heard));
    assert!(!entry("ALLMOD 5 2 > 1 ON").listens_to(heard));
    assert!(!entry("CP20 4 2 > 1 ON").listens_to(heard));
}

proptest! {
    #[test]
    fn every_decodable_entry_round_trips_as_bytes_and_text(bytes in any::<[u8; 5]>()) {
        match TableEntry::decode(bytes) {
            Ok(entry) => {
                prop_assert_eq!(entry.encode(), bytes);
                prop_assert_eq!(entry.to_string().parse(), Ok(entry));
            }
            Err(error) => prop_assert_eq!(error, EntryError::NotDecimal(bytes)),
        }
    }

    #[test]
    fn any_text_is_an_entry_or_an_error(text in ".{0,40}") {
        let _ = text.parse::<TableEntry>();
    }
}
