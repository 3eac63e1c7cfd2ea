//! Claims about the four telegram forms.

use proptest::prelude::*;

use super::*;
use crate::conbus::{Piece, Splitter};

fn parse(text: &str) -> Option<Telegram> {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let mut splitter = Splitter::new();
    match splitter.next_piece(&mut &bytes[..])? {
        Piece::Frame(frame) => Telegram::parse(frame).ok(),
        Piece::Noise(_) => None,
    }
}

fn serial() -> SerialNumber {
    "0012345008".parse().unwrap()
}

#[test]
fn commands_and_reads_are_byte_exact() {
    let output = |n| OutputIndex::new(n).unwrap();
    for (telegram, text) in [
        (System::discover(), "<S0000000000F01D00FA>"),
        (System::read(serial(), Datapoint::OUTPUTS), "<S0012345008F02D12FJ>"),
        (System::command(serial(), Command::SetOutput(output(0), true)), "<S0012345008F27D00ABFO>"),
        (System::command(serial(), Command::SetOutput(output(3), false)), "<S0012345008F27D03AAFO>"),
        (System::blink(serial(), true), "<S0012345008F05D00FN>"),
        (System::blink(serial(), false), "<S0012345008F06D00FO>"),
        (
            System::command(
                "0012345012".parse().unwrap(),
                Command::SetLevel(output(2), Percent::new(50).unwrap()),
            ),
            "<S0012345012F04D1502:050FO>",
        ),
        (System::set_auto_report("0012345004".parse().unwrap(), true), "<S0012345004F04D21PPFD>"),
    ] {
        assert_eq!(Telegram::from(telegram.clone()).to_string(), text);
        assert_eq!(parse(text), Some(telegram.into()));
    }
}

#[test]
fn a_temperature_reply_keeps_its_latin_1_byte() {
    let telegram = parse("<R0020012521F02D18+26,0§CIL>").unwrap();
    assert_eq!(telegram.to_bytes()[23], 0xA7);
    let Telegram::Reply(reply) = telegram else { panic!("a reply") };
    assert_eq!(reply.value(), Some((Datapoint::TEMPERATURE, DatapointValue::Temperature(Some(260)))));
}

#[test]
fn what_an_event_means_depends_on_its_sender() {
    let meaning = |text| match parse(text) {
        Some(Telegram::Event(event)) => event.meaning(),
        other => panic!("{other:?}"),
    };
    let output = |n| EventMeaning::OutputReport(OutputIndex::new(n).unwrap());
    assert_eq!(meaning("<E07L06I80MAE>"), output(0));
    assert_eq!(meaning("<E35L15I82MAF>"), output(2));
    assert_eq!(meaning("<E14L00I02MAK>"), EventMeaning::Button(2));
    assert_eq!(meaning("<O06L00I07MAG>"), EventMeaning::Button(7));
    assert_eq!(meaning("<E07L01I00MAL>"), EventMeaning::Button(0));
}

#[test]
fn forms_that_are_not_telegrams_are_refused() {
    let checked = |payload: &str| {
        let sum = checksum::checksum(payload.as_bytes());
        parse(&format!("<{payload}{}{}>", char::from(sum[0]), char::from(sum[1])))
    };
    for payload in [
        "e14L00I02M",
        "X14L00I02M",
        "E100L00I02M",
        "E14L100I02M",
        "E14L00I100M",
        "E14L00I02X",
        "E14X00I02M",
        "E12L1B",
        "E071299939",
        "E7L09I80M",
        "S001234500F02D18",
        "S0020012521F2D18",
        "S0123450001F04E21PP",
        "S00123450081F02D12",
        "R002003083F01D",
        "E14L00I02",
        "T123456789012D0",
        "E14L00I02MX",
    ] {
        assert_eq!(checked(payload), None, "{payload}");
    }
    assert!(checked("S0012345008F16D").is_some(), "data may be empty");
    assert!(checked("S0012345008F99D00").is_some(), "an unknown function is valid");
    assert!(checked("E99L00I99M").is_some(), "an unknown type is valid");
}

#[test]
fn a_reply_cannot_forge_a_frame() {
    assert_eq!(Reply::new(serial(), Function::ACK, &b"AA>"[..]), None);
}

#[test]
fn a_stem_is_read_and_printed() {
    let stem = EventSource::parse_stem("E02L04I01").unwrap();
    assert_eq!((stem.module_type, stem.link, stem.input), (ModuleType::CP20, 4, 1));
    assert_eq!(stem.to_string(), "E02L04I01");
    for bad in ["E02L04I01M", "02L04I01", "E2L04I01", "", "E02L04I0"] {
        assert_eq!(EventSource::parse_stem(bad), None, "{bad}");
    }
}

fn any_telegram() -> impl Strategy<Value = Telegram> {
    let data =
        prop::collection::vec(any::<u8>().prop_filter("no brackets", |b| !matches!(b, b'<' | b'>')), 0..80);
    let serial = (0u64..10_000_000_000).prop_map(|n| format!("{n:010}").parse::<SerialNumber>().unwrap());
    let addressed = (serial, 0u8..100, data, any::<bool>()).prop_map(|(serial, function, data, is_reply)| {
        let function = Function::new(function).unwrap();
        if is_reply {
            Reply { serial, function, data: Letters::new(&data) }.into()
        } else {
            System { serial, function, data: Letters::new(&data) }.into()
        }
    });
    let event = (0u8..100, 0u8..100, 0u8..100, any::<bool>(), any::<bool>()).prop_map(
        |(t, link, input, make, cp)| {
            let source = EventSource { module_type: ModuleType::new(t).unwrap(), link, input };
            let bus = if cp { EventBus::Cp } else { EventBus::Xp };
            Telegram::Event(Event { bus, source, edge: Edge::of_output(make) })
        },
    );
    prop_oneof![addressed, event]
}

proptest! {
    #[test]
    fn every_telegram_survives_the_wire(telegram in any_telegram()) {
        let bytes = telegram.to_bytes();
        let mut splitter = Splitter::new();
        let Some(Piece::Frame(frame)) = splitter.next_piece(&mut &bytes[..]) else {
            panic!("no frame in {bytes:?}");
        };
        prop_assert_eq!(Telegram::parse(frame), Ok(telegram));
    }

    #[test]
    fn no_single_changed_byte_passes(telegram in any_telegram(), at in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let mut bytes = telegram.to_bytes();
        let inside = bytes.len() - 4;
        let at = 1 + at.index(inside);
        bytes[at] ^= flip;
        let mut splitter = Splitter::new();
        let mut input = &bytes[..];
        while let Some(piece) = splitter.next_piece(&mut input) {
            prop_assert!(matches!(piece, Piece::Noise(_)));
        }
    }
}
