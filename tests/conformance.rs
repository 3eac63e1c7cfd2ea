//! Every telegram of the recorded material, real and invented, is read as the record says.
//!
//! The two files lie beside the package where they are there at all; without them the tests say that they skip.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::fs;
use std::path::Path;

use conbusd::conbus::{
    ActionTable, Description, EventMeaning, Frame, Kind, ModuleTable, ModuleType, NoiseCause, Piece,
    Splitter, TableChunk, Telegram, describe, describe_noise,
};
use serde_json::Value;

/// The lines of a recorded file; `None` where it is not there.
fn lines(name: &str) -> Option<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The bytes of a telegram in the record, whose text is ISO 8859-1.
fn bytes_of(line: &Value) -> Vec<u8> {
    line["telegram"].as_str().unwrap().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// Judges one telegram alone: `judged` sees the piece, the rest of the answer is its description.
fn alone<T>(bytes: &[u8], judged: impl Fn(Piece<'_>) -> T) -> (T, Description) {
    let mut splitter = Splitter::new();
    let mut input = bytes;
    if let Some(piece) = splitter.next_piece(&mut input) {
        assert!(input.is_empty(), "one piece: {bytes:?}");
        return (judged(piece), describe(piece));
    }
    let noise = splitter.finish().expect("something was heard");
    (judged(Piece::Noise(noise)), describe_noise(noise))
}

fn telegram_of(frame: Frame<'_>) -> Telegram {
    Telegram::parse(frame).unwrap()
}

#[test]
fn every_captured_telegram_is_valid_and_prints_back_byte_for_byte() {
    let Some(lines) = lines("captured-exchanges.jsonl") else {
        println!("skipped: no captured-exchanges.jsonl");
        return;
    };
    assert!(!lines.is_empty());
    let mut stream = Vec::new();
    let mut expected = Vec::new();
    for line in &lines {
        let bytes = bytes_of(line);
        let (telegram, description) = alone(&bytes, |piece| match piece {
            Piece::Frame(frame) => telegram_of(frame),
            Piece::Noise(noise) => panic!("{line}: {noise:?}"),
        });
        assert_eq!(telegram.to_bytes(), bytes, "{line}");
        assert_eq!(telegram.to_string(), line["telegram"].as_str().unwrap());
        assert!(description.valid && description.meaning.is_some(), "{line}");
        stream.extend(&bytes);
        expected.push(telegram);
    }
    let mut splitter = Splitter::new();
    let mut input = &stream[..];
    let mut heard = Vec::new();
    while let Some(piece) = splitter.next_piece(&mut input) {
        let Piece::Frame(frame) = piece else { panic!("noise between captured frames") };
        heard.push(telegram_of(frame));
    }
    assert_eq!(heard, expected, "the same when they come without a gap");
}

#[test]
fn a_captured_action_table_has_the_crc_that_such_modules_report() {
    let Some(lines) = lines("captured-exchanges.jsonl") else {
        println!("skipped: no captured-exchanges.jsonl");
        return;
    };
    let from = |start: &str| {
        let at = lines.iter().position(|line| line["telegram"].as_str().unwrap().contains(start)).unwrap();
        lines[at..].iter().filter(|line| line["dir"] == "RX").map(bytes_of)
    };
    let chunk_of = |bytes: Vec<u8>| {
        let (telegram, _) = alone(&bytes, |piece| match piece {
            Piece::Frame(frame) => telegram_of(frame),
            Piece::Noise(noise) => panic!("{noise:?}"),
        });
        match telegram {
            Telegram::Reply(reply) => TableChunk::parse(reply.data()).ok(),
            _ => None,
        }
    };
    let chunks = from("F11D00").filter_map(chunk_of).take(usize::from(ActionTable::CHUNKS));
    let table = ActionTable::from_chunks(chunks).unwrap();
    assert_eq!(&table.crc(), b"MFAELCII");
    assert_eq!(table, ActionTable::factory(ModuleType::XP24));
    assert_eq!(table.to_string().parse(), Ok(table), "it survives as text");

    let own = from("F13D00").find_map(chunk_of).unwrap();
    let own = ModuleTable::decode(ModuleType::XP24, own.bytes).unwrap();
    assert_eq!(own.to_string(), "T:0 T:0 T:0 T:0 | M12:0 M34:0 C12:0 C34:0 DT:12\n");
}

#[test]
fn every_collected_telegram_is_judged_as_recorded() {
    let Some(lines) = lines("telegrams.jsonl") else {
        println!("skipped: no telegrams.jsonl");
        return;
    };
    assert!(!lines.is_empty());
    for line in &lines {
        let bytes = bytes_of(line);
        let (verdict, description) = alone(&bytes, |piece| match piece {
            Piece::Frame(_) => None,
            Piece::Noise(noise) => Some(noise.why),
        });
        assert_eq!(description.telegram, line["telegram"].as_str().unwrap());
        let recorded_ok = line["checksum_ok"].as_bool().unwrap();
        match line["telegram"].as_str().unwrap() {
            // Too short to hold a checksum at all, so there is none to be wrong.
            "<S>" => assert_eq!(verdict, Some(NoiseCause::Grammar)),
            // Its `<` is missing: no frame, whose checksum could be judged.
            "E14L00I02MAK>" => assert_eq!(verdict, Some(NoiseCause::Framing)),
            _ => assert_eq!(verdict, (!recorded_ok).then_some(NoiseCause::Checksum), "{line}"),
        }
        let kind = match line["kind"].as_str().unwrap() {
            // The record wants capital letters or digits where the checksum stands; by its shape alone this one,
            // which has a telegram's name pasted behind a good beginning, looks like a reply.
            "invalid" if line["telegram"] == "<R0012345011F01D©XP24®>" => Kind::Reply,
            "invalid" => Kind::Noise,
            "E" => Kind::Event,
            "O" => Kind::CpEvent,
            "S" => Kind::System,
            "R" => Kind::Reply,
            other => panic!("{other}"),
        };
        assert_eq!(description.kind, kind, "{line}");
        // Two have an agreeing checksum and no `D`, so a good checksum alone does not make a telegram.
        assert_eq!(description.valid, recorded_ok && line["kind"] != "invalid", "{line}");
        if description.valid {
            same_fields(&bytes, &description, &line["fields"]);
        }
    }
}

/// Compares every field that the record has for a valid telegram.
fn same_fields(bytes: &[u8], description: &Description, fields: &Value) {
    let (telegram, _) = alone(bytes, |piece| match piece {
        Piece::Frame(frame) => telegram_of(frame),
        Piece::Noise(_) => panic!("{fields}"),
    });
    assert_eq!(telegram.to_bytes(), bytes, "{fields}");
    let found = serde_json::to_value(description).unwrap();
    let data = found["data"].as_str().unwrap_or_default();
    for (name, recorded) in fields.as_object().unwrap() {
        let text = recorded.as_str().unwrap_or_default();
        match name.as_str() {
            // An F02 without data has no datapoint; the record writes an empty one.
            "datapoint" | "value" if data.is_empty() => {
                assert_eq!((text, found.get(name)), ("", None), "{fields}");
            }
            "serial" | "function" | "data" | "datapoint" | "module_type" | "link" | "input" => {
                assert_eq!(&found[name], recorded, "{name} of {fields}");
            }
            "checksum" => assert_eq!(text.as_bytes(), &bytes[bytes.len() - 3..bytes.len() - 1]),
            "value" | "action" => assert_eq!(data.get(2..), Some(text), "{fields}"),
            "chunk" => assert_eq!(data.get(..4), Some(text), "{fields}"),
            "table" => assert_eq!(data.get(4..), Some(text), "{fields}"),
            "output" => assert_eq!(data.get(..2), Some(text), "{fields}"),
            "meaning" => {
                let words = if text == "ACK" { "acknowledged" } else { "refused" };
                assert_eq!(found["meaning"], words, "{fields}");
            }
            "event" => assert_eq!(found["edge"], if text == "M" { "make" } else { "break" }),
            "input_class" => assert_eq!(input_class(&telegram), text, "{fields}"),
            other => panic!("the record has a field `{other}` that nobody compares"),
        }
    }
}

/// The record's word for what an input number stands for.
fn input_class(telegram: &Telegram) -> &'static str {
    let Telegram::Event(event) = telegram else { panic!("an event") };
    match event.meaning() {
        EventMeaning::OutputReport(_) => "output_report",
        EventMeaning::Button(_) => "button",
        EventMeaning::Remote(_) => "ir",
        EventMeaning::Proximity => "proximity",
        EventMeaning::TimerExpired(_) | EventMeaning::Undefined => "unassigned",
    }
}
