//! What was heard, in words: the object that `decode`, the monitor and the event stream print.
//!
//! Owns the names of its fields; knows nothing of who prints it.

use serde::Serialize;

use super::{
    Bitmap, Command, Datapoint, DatapointValue, Edge, Event, EventBus, EventMeaning, Frame, Function, Levels,
    Noise, NoiseCause, Piece, Reply, SerialNumber, System, TableChunk, Telegram, checksum, latin1,
};

/// Which of the four telegram forms something has (protocol reference 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `E`.
    Event,
    /// `O`.
    CpEvent,
    /// `S`.
    System,
    /// `R`.
    Reply,
    /// None of them.
    Noise,
}

/// One telegram, or bytes that are none, in words.
///
/// The fields behind `why` are there only where they mean something, and only when the telegram is valid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct Description {
    /// The bytes as heard, each as the character of ISO 8859-1.
    pub telegram: String,
    /// Which form; of an invalid frame the form that it seems to have.
    pub kind: Kind,
    /// Whether checksum and grammar are right.
    pub valid: bool,
    /// What is wrong.
    pub why: Option<NoiseCause>,
    /// To or from which module (system, reply).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub serial: Option<SerialNumber>,
    /// The two digits behind the `F` (system, reply).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The two characters of a datapoint, where the function has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datapoint: Option<String>,
    /// All that follows the `D` (system, reply).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The sender's type code (events).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module_type: Option<u8>,
    /// The sender's link number (events).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<u8>,
    /// The sender's input (events).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<u8>,
    /// Make or break (events).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<Edge>,
    /// What it says, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
}

impl Description {
    fn new(telegram: String, kind: Kind, why: Option<NoiseCause>) -> Self {
        Self {
            telegram,
            kind,
            valid: why.is_none(),
            why,
            serial: None,
            function: None,
            datapoint: None,
            data: None,
            module_type: None,
            link: None,
            input: None,
            edge: None,
            meaning: None,
        }
    }
}

/// Describes what a splitter found.
pub fn describe(piece: Piece<'_>) -> Description {
    match piece {
        Piece::Frame(frame) => match Telegram::parse(frame) {
            Ok(telegram) => describe_telegram(&telegram),
            Err(_) => describe_noise(Noise {
                bytes: &whole(frame),
                total: frame.payload().len() + 4,
                why: NoiseCause::Grammar,
            }),
        },
        Piece::Noise(noise) => describe_noise(noise),
    }
}

/// Describes a telegram.
pub fn describe_telegram(telegram: &Telegram) -> Description {
    let words = |kind| Description::new(telegram.to_string(), kind, None);
    match telegram {
        Telegram::Event(event) => {
            let kind = if event.bus == EventBus::Xp { Kind::Event } else { Kind::CpEvent };
            Description {
                module_type: Some(event.source.module_type.code()),
                link: Some(event.source.link),
                input: Some(event.source.input),
                edge: Some(event.edge),
                meaning: Some(event_meaning(*event)),
                ..words(kind)
            }
        }
        Telegram::System(system) => Description {
            serial: Some(system.serial),
            function: Some(system.function.to_string()),
            datapoint: written_or_read(system).map(|datapoint| datapoint.to_string()),
            data: Some(latin1(system.data())),
            meaning: Some(system_meaning(system)),
            ..words(Kind::System)
        },
        Telegram::Reply(reply) => Description {
            serial: Some(reply.serial),
            function: Some(reply.function.to_string()),
            datapoint: answered(reply).map(|datapoint| datapoint.to_string()),
            data: Some(latin1(reply.data())),
            meaning: Some(reply_meaning(reply)),
            ..words(Kind::Reply)
        },
    }
}

/// Describes bytes that are no telegram; of a frame it tells which form it seems to have.
pub fn describe_noise(noise: Noise<'_>) -> Description {
    let kind = match noise.why {
        NoiseCause::Framing => Kind::Noise,
        NoiseCause::Checksum | NoiseCause::Grammar => seeming_kind(noise.bytes),
    };
    Description::new(latin1(noise.bytes), kind, Some(noise.why))
}

/// The frame as heard: its checksum agreed, so it can be made again.
fn whole(frame: Frame<'_>) -> Vec<u8> {
    let payload = frame.payload();
    [&b"<"[..], payload, &checksum::checksum(payload), b">"].concat()
}

/// The form by letter and shape; the type of an event may have one digit, as the peer reads it (protocol
/// reference 2.1).
fn seeming_kind(frame: &[u8]) -> Kind {
    let inside = frame.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">"));
    let payload =
        inside.and_then(|inside| inside.split_last_chunk::<2>()).map_or(&b""[..], |(payload, _)| payload);
    let digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    match payload {
        [letter @ (b'E' | b'O'), module_type @ .., b'L', l0, l1, b'I', i0, i1, b'M' | b'B']
            if matches!(module_type.len(), 1 | 2) && digits(module_type) && digits(&[*l0, *l1, *i0, *i1]) =>
        {
            if *letter == b'E' {
                Kind::Event
            } else {
                Kind::CpEvent
            }
        }
        [letter @ (b'S' | b'R'), rest @ ..] if addressed(rest) => {
            if *letter == b'S' {
                Kind::System
            } else {
                Kind::Reply
            }
        }
        _ => Kind::Noise,
    }
}

/// Whether it begins as `0012345008F02D`.
fn addressed(rest: &[u8]) -> bool {
    rest.split_first_chunk::<10>().is_some_and(|(serial, rest)| {
        serial.iter().all(u8::is_ascii_digit) && matches!(rest, [b'F', b'0'..=b'9', b'0'..=b'9', b'D', ..])
    })
}

/// Which datapoint a request is about (protocol reference 3).
fn written_or_read(system: &System) -> Option<Datapoint> {
    match system.function {
        Function::READ_DATAPOINT | Function::READ_CONFIG | Function::WRITE_CONFIG => {
            Datapoint::from_wire(*system.data().first_chunk()?)
        }
        _ => None,
    }
}

/// Which datapoint a reply is about (protocol reference 3).
fn answered(reply: &Reply) -> Option<Datapoint> {
    match reply.function {
        Function::READ_DATAPOINT | Function::READ_CONFIG => {
            Datapoint::from_wire(*reply.data().first_chunk()?)
        }
        _ => None,
    }
}

fn event_meaning(event: Event) -> String {
    let pressed = if event.edge == Edge::Make { "pressed" } else { "released" };
    match event.meaning() {
        // An event of the older bus carries no output state (protocol reference 2).
        EventMeaning::OutputReport(output) if event.bus == EventBus::Xp => {
            format!("output {output} {}", on_off(event.edge == Edge::Make))
        }
        EventMeaning::TimerExpired(timer) => match event.edge {
            Edge::Make => format!("timer {timer} expired"),
            Edge::Break => format!("timer {timer} released"),
        },
        EventMeaning::Button(button) => format!("button {button} {pressed}"),
        EventMeaning::Remote(channel) => format!("remote channel {channel} {pressed}"),
        EventMeaning::Proximity => match event.edge {
            Edge::Make => "somebody near".into(),
            Edge::Break => "nobody near".into(),
        },
        EventMeaning::OutputReport(_) | EventMeaning::Undefined => {
            format!("input {} {pressed}", event.source.input)
        }
    }
}

fn function_name(function: Function) -> String {
    function.name().map_or_else(|| format!("function {function}"), str::to_owned)
}

fn datapoint_name(datapoint: Datapoint) -> String {
    datapoint.name().map_or_else(|| format!("datapoint {datapoint}"), str::to_owned)
}

fn system_meaning(system: &System) -> String {
    match system.commands() {
        Some(Command::SetOutput(output, on)) => return format!("switch output {output} {}", on_off(on)),
        Some(Command::SetLevel(output, level)) => return format!("set output {output} to {level} %"),
        None => {}
    }
    let name = function_name(system.function);
    match (system.function, written_or_read(system)) {
        (Function::READ_DATAPOINT, Some(datapoint)) => format!("read {}", datapoint_name(datapoint)),
        (Function::READ_CONFIG, Some(datapoint)) => format!("{name}: {}", datapoint_name(datapoint)),
        (Function::WRITE_CONFIG, Some(datapoint)) => {
            let value = DatapointValue::parse(datapoint, &system.data()[2..]);
            format!("write {}: {}", datapoint_name(datapoint), value_words(&value))
        }
        (Function::TABLE_CHUNK, _) => chunk_words(system.data()),
        // The same code means "go on" in a request and "accepted" in a reply (protocol reference 3).
        (Function::ACK, _) => "continue".into(),
        _ => name,
    }
}

fn reply_meaning(reply: &Reply) -> String {
    match (reply.function, reply.value()) {
        (_, Some((datapoint, value))) => format!("{}: {}", datapoint_name(datapoint), value_words(&value)),
        (Function::DISCOVERY, None) => "present".into(),
        (Function::TABLE_CHUNK, None) => chunk_words(reply.data()),
        (function, None) => function_name(function),
    }
}

fn chunk_words(data: &[u8]) -> String {
    match TableChunk::parse(data) {
        Ok(chunk) => format!("table chunk {}", chunk.index),
        Err(_) => "table chunk, malformed".into(),
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn value_words(value: &DatapointValue) -> String {
    match value {
        DatapointValue::Unsupported => "unsupported".into(),
        DatapointValue::Text(text) => text.clone(),
        DatapointValue::Serial(serial) => serial.to_string(),
        DatapointValue::Link(link) => link.to_string(),
        DatapointValue::ModuleNumber(number) => number.to_string(),
        DatapointValue::SystemType(0) => "CP".into(),
        DatapointValue::SystemType(1) => "XP".into(),
        DatapointValue::SystemType(2) => "mixed".into(),
        DatapointValue::SystemType(other) => other.to_string(),
        DatapointValue::TypeCode(module_type) => module_type.to_string(),
        DatapointValue::State(on) | DatapointValue::AutoReport(on) => on_off(*on).into(),
        DatapointValue::ErrorCode(0) => "healthy".into(),
        DatapointValue::ErrorCode(code) => format!("fault {code:02X}"),
        DatapointValue::Inputs(bitmap) | DatapointValue::Outputs(bitmap) => bitmap_words(*bitmap),
        DatapointValue::Crc(crc) => latin1(&checksum::to_letters(&crc.to_be_bytes())),
        DatapointValue::Levels(levels) => levels_words(*levels),
        DatapointValue::Channels(channels) => {
            list(channels.iter().map(|(at, number)| format!("{at} at {number}")))
        }
        DatapointValue::Temperature(Some(tenths)) => {
            let sign = if *tenths < 0 { "-" } else { "" };
            format!("{sign}{}.{} °C", tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10)
        }
        DatapointValue::Temperature(None) => "no sensor".into(),
        DatapointValue::Bytes(bytes) => latin1(&checksum::to_letters(bytes)),
        DatapointValue::Malformed => "malformed".into(),
    }
}

/// `1,2,3 on`, `all off`, or `unknown`; outputs count from 0.
fn bitmap_words(bitmap: Bitmap) -> String {
    let on: Vec<String> =
        bitmap.known().filter(|(_, on)| *on).map(|(output, _)| output.to_string()).collect();
    match (bitmap.known().next(), on.is_empty()) {
        (None, _) => "unknown".into(),
        (Some(_), true) => "all off".into(),
        (Some(_), false) => format!("{} on", on.join(",")),
    }
}

fn levels_words(levels: Levels) -> String {
    list(levels.known().map(|(output, level)| format!("{output} at {level} %")))
}

fn list(entries: impl Iterator<Item = String>) -> String {
    let entries: Vec<String> = entries.collect();
    if entries.is_empty() { "unknown".into() } else { entries.join(", ") }
}

#[cfg(test)]
mod tests;
