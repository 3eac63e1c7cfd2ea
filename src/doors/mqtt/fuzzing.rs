//! What may come from a broker, as claims about any bytes (`crate::fuzzing`).
#![allow(clippy::missing_panics_doc, reason = "to panic on a finding is what each of these is for")]

use super::payload::command;
use super::topics::{Route, Topics};

/// Quotes are cut: no complaint grows with the message.
const COMPLAINT_BYTES_MAX: usize = 400;

/// A topic, and behind a zero byte a message: a topic is ours or not, a message is a wish of its kind or a complaint.
pub fn mqtt(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (topic, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let topics = Topics { base: "conbus".into(), prefix: "homeassistant".into(), instance: "attic".into() };
    match std::str::from_utf8(topic).ok().and_then(|topic| topics.read(topic)) {
        Some(Route::Set(gateway, point)) => {
            assert!(!gateway.contains('/'));
            assert_eq!(topics.read(&topics.set(gateway, point)), Some(Route::Set(gateway, point)));
        }
        Some(Route::Call(id)) => assert_eq!(topic, topics.call(id).as_bytes()),
        Some(Route::Request(verb)) => assert_eq!(topic, topics.request(verb).as_bytes()),
        _ => {}
    }
    for dims in [false, true] {
        match command(dims, payload) {
            Ok(target) => {
                assert!(target.on.is_some() || target.level.is_some());
                assert!(target.level.is_none() || dims);
            }
            Err(complaint) => assert!((1..=COMPLAINT_BYTES_MAX).contains(&complaint.len()), "{complaint}"),
        }
    }
}
