//! What `conbusd decode` promises: an object for every frame, whatever the bytes.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::io::{self, ErrorKind, Read, Write};

use conbusd::tools::decode;
use proptest::prelude::*;
use serde_json::{Value, json};

fn objects(input: &[u8]) -> Vec<Value> {
    let mut output = Vec::new();
    decode::run(&mut &*input, &mut output).unwrap();
    assert!(output.is_empty() || output.ends_with(b"\n"));
    let text = String::from_utf8(output).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_mixed_stream_gives_one_object_a_frame_and_one_for_other_bytes() {
    let found = objects(b"\r\n<E07L06I80MAE>\n <E07L06I80MAF>xyz <S><R0020012521F02D18+26,0\xA7CIL>\n");
    let short: Vec<Value> =
        found.iter().map(|object| json!([object["telegram"], object["kind"], object["why"]])).collect();
    assert_eq!(
        short,
        [
            json!(["<E07L06I80MAE>", "event", null]),
            json!(["<E07L06I80MAF>", "event", "checksum"]),
            json!(["xyz", "noise", "framing"]),
            json!(["<S>", "noise", "grammar"]),
            json!(["<R0020012521F02D18+26,0§CIL>", "reply", null]),
        ]
    );
    assert_eq!(found[0]["module_type"], 7);
    assert_eq!(found[4]["serial"], "0020012521");
    assert_eq!(found[4]["datapoint"], "18");
}

#[test]
fn a_frame_far_longer_than_the_bus_allows_is_still_one_object() {
    let long = format!("<{}>", "B".repeat(65_001));
    let found = objects(format!("{long}<E07L06I80MAE>").as_bytes());
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["telegram"], long.as_str());
    assert_eq!(found[0]["why"], "checksum");
}

#[test]
fn an_empty_input_and_blank_lines_give_nothing() {
    assert_eq!(objects(b""), Vec::<Value>::new());
    assert_eq!(objects(b"\r\n \n"), Vec::<Value>::new());
}

/// Gives its parts from the last to the first, one a read; an empty one is an interruption; then it breaks.
struct Slow<'a> {
    parts: Vec<&'a [u8]>,
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.parts.pop() {
            None => Err(io::Error::other("the cable")),
            Some(b"") => Err(ErrorKind::Interrupted.into()),
            Some(part) => {
                buffer[..part.len()].copy_from_slice(part);
                Ok(part.len())
            }
        }
    }
}

#[test]
fn what_was_complete_before_a_read_fails_is_written() {
    let mut output = Vec::new();
    let parts = vec![&b"80MAE><E07"[..], b"", b"<E07L06I"];
    let error = decode::run(&mut Slow { parts }, &mut output).unwrap_err();
    assert_eq!(error.to_string(), "the cable");
    assert_eq!(String::from_utf8(output).unwrap().lines().count(), 1);
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    assert!(decode::run(&mut &b"<E07L06I80MAE>"[..], &mut Closed).is_ok());
}

proptest! {
    #[test]
    fn whatever_the_bytes_every_line_is_an_object_with_the_promised_fields(
        bytes in prop::collection::vec(
            prop_oneof![3 => Just(b'<'), 3 => Just(b'>'), 2 => b'A'..=b'Z', 2 => b'0'..=b'9', 2 => any::<u8>()],
            0..400,
        ),
    ) {
        for object in objects(&bytes) {
            prop_assert!(object["telegram"].is_string());
            prop_assert_eq!(object["valid"].as_bool(), Some(object["why"].is_null()));
            prop_assert!(["event", "cp_event", "system", "reply", "noise"].contains(&object["kind"].as_str().unwrap()));
            prop_assert_eq!(object["why"] == "framing", !(object["telegram"].as_str().unwrap().starts_with('<')
                && object["telegram"].as_str().unwrap().ends_with('>')));
        }
    }
}
