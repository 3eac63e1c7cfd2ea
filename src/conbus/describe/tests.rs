//! Claims about what people and programs are shown of a telegram.

use super::*;
use crate::conbus::Splitter;

fn described(text: &str) -> Description {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let mut splitter = Splitter::new();
    let mut input = &bytes[..];
    if let Some(piece) = splitter.next_piece(&mut input) {
        return describe(piece);
    }
    describe_noise(splitter.finish().unwrap())
}

/// The frame of a payload with the right checksum.
fn framed(payload: &str) -> String {
    let bytes: Vec<u8> = payload.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    format!("<{payload}{}>", latin1(&checksum::checksum(&bytes)))
}

#[test]
fn an_event_is_described_field_by_field() {
    assert_eq!(
        serde_json::to_string(&described("<E07L06I80MAE>")).unwrap(),
        concat!(
            r#"{"telegram":"<E07L06I80MAE>","kind":"event","valid":true,"why":null,"#,
            r#""module_type":7,"link":6,"input":80,"edge":"make","meaning":"output 0 on"}"#
        )
    );
}

#[test]
fn a_reply_is_described_field_by_field() {
    assert_eq!(
        serde_json::to_string(&described("<R0020012521F02D18+26,0§CIL>")).unwrap(),
        concat!(
            r#"{"telegram":"<R0020012521F02D18+26,0§CIL>","kind":"reply","valid":true,"why":null,"#,
            r#""serial":"0020012521","function":"02","datapoint":"18","data":"18+26,0§C","#,
            r#""meaning":"temperature: 26.0 °C"}"#
        )
    );
}

#[test]
fn an_invalid_frame_tells_why_and_nothing_more() {
    assert_eq!(
        serde_json::to_string(&described("<E07L06I80MAF>")).unwrap(),
        r#"{"telegram":"<E07L06I80MAF>","kind":"event","valid":false,"why":"checksum"}"#
    );
}

#[test]
fn the_kind_of_an_invalid_frame_is_what_it_seems_to_be() {
    use NoiseCause::{Checksum, Framing, Grammar};
    for (text, kind, why) in [
        ("<E7L09I80MDA>", Kind::Event, Checksum),
        ("<O06L00I07MAA>", Kind::CpEvent, Checksum),
        ("<S0012345008F06DZZ>", Kind::System, Checksum),
        ("<R0012345008F18DAA>", Kind::Reply, Checksum),
        ("<R00123450030F18DFF>", Kind::Noise, Checksum),
        ("<E14L100I02MAK>", Kind::Noise, Checksum),
        ("<E14L00I02MA>", Kind::Noise, Checksum),
        ("<S0020044966F02100CN>", Kind::Noise, Grammar),
        (&framed("E7L09I80M"), Kind::Event, Grammar),
        (&framed("X07L09I80M"), Kind::Noise, Grammar),
        ("<>", Kind::Noise, Grammar),
        ("<S>", Kind::Noise, Grammar),
        ("<AB>", Kind::Noise, Grammar),
        ("E14L00I02MAK>", Kind::Noise, Framing),
        ("<E14L00I02MAK", Kind::Noise, Framing),
    ] {
        let found = described(text);
        assert_eq!((found.kind, found.why, found.valid), (kind, Some(why), false), "{text}");
        assert_eq!(found.telegram, text);
        assert_eq!((found.serial, found.meaning), (None, None), "{text}");
    }
}

#[test]
fn a_datapoint_is_named_only_where_the_function_has_one() {
    for (payload, datapoint) in [
        ("S0012345008F02D12", Some("12")),
        ("R0012345008F02D12xxxx1110", Some("12")),
        ("R0012345008F02D0A??", Some("0A")),
        ("S0012345004F04D21PP", Some("21")),
        ("S0012345004F03D04", Some("04")),
        ("R0012345008F02D", None),
        ("S0012345008F02D1", None),
        ("S0012345008F27D00AA", None),
        ("R0012345008F18DFA", None),
        ("S0000000000F01D00", None),
        ("S0012345008F99D12", None),
    ] {
        let found = described(&framed(payload));
        assert!(found.valid, "{payload}");
        assert_eq!(found.datapoint.as_deref(), datapoint, "{payload}");
        assert_eq!(found.data.as_deref(), Some(&payload[15..]), "{payload}");
    }
}

#[test]
fn meanings_for_people() {
    for (payload, meaning) in [
        ("E07L06I81B", "output 1 off"),
        ("O07L06I81B", "input 81 released"),
        ("E07L06I71M", "timer 2 expired"),
        ("E14L00I02M", "button 2 pressed"),
        ("E14L00I25B", "remote channel 25 released"),
        ("E14L00I90M", "somebody near"),
        ("E14L00I95M", "input 95 pressed"),
        ("S0000000000F01D00", "discovery"),
        ("R0012345008F01D", "present"),
        ("S0012345008F02D12", "read output state"),
        ("S0012345008F02D77", "read datapoint 77"),
        ("R0012345008F02D12xxxx1110", "output state: 1,2,3 on"),
        ("R0012345008F02D12xxxx0000", "output state: all off"),
        ("R0012345008F02D12??", "output state: unsupported"),
        ("R0012345008F02D1500:000[%],01:050[%]", "light level: 0 at 0 %, 1 at 50 %"),
        ("R0012345008F02D18-00,5§C", "temperature: -0.5 °C"),
        ("R0012345008F02D18-20,0§C", "temperature: no sensor"),
        ("R0012345008F02D10FE", "error code: fault FE"),
        ("R0012345008F02D0733", "module type code: XP20"),
        ("R0012345008F02D14MFAELCII", "action table crc: MFAELCII"),
        ("R0012345008F02D06xx", "system type: malformed"),
        ("S0012345008F27D00AB", "switch output 0 on"),
        ("S0012345012F04D1502:050", "set output 2 to 50 %"),
        ("S0012345004F04D21PP", "write auto report: on"),
        ("S0012345004F04D", "write configuration"),
        ("S0012345005F18D00", "continue"),
        ("R0012345008F18D", "acknowledged"),
        ("R0012345008F19D", "refused"),
        ("R0012345005F16D", "end of table"),
        ("R9999999999F17DXXAAAAACFK", "table chunk, malformed"),
        ("R0012345008F42D00", "function 42"),
    ] {
        assert_eq!(described(&framed(payload)).meaning.as_deref(), Some(meaning), "{payload}");
    }
    let chunk = format!("R0012345005F17DAAAO{}", "A".repeat(64));
    assert_eq!(described(&framed(&chunk)).meaning.as_deref(), Some("table chunk 14"));
}
