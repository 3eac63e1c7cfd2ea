//! The objects of the contract and their bytes. Pure.

use axum::body::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::translate::Fault;
use crate::actors::events::{Direction, LinkState};
use crate::conbus::{Description, OutputIndex, Percent, SerialNumber};
use crate::doors::AccessoryFace;
use crate::policy::switch::AccessoryState;
use crate::policy::{AccessoryKind, Freshness, Moment, Origin};

/// An accessory as clients see it.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Serialize))]
pub(super) struct AccessoryObject<'a> {
    /// By which it is asked for.
    id: &'a str,
    /// Its name.
    name: &'a str,
    /// Where it is; may be empty.
    room: &'a str,
    kind: AccessoryKind,
    /// The serial number of its module; null of a group or a scene.
    #[schema(required, value_type = Option<String>, pattern = "^[0-9]{10}$")]
    module: Option<SerialNumber>,
    /// Its output, from 0; null of a group or a scene.
    #[schema(required, value_type = Option<u8>, maximum = 7)]
    output: Option<OutputIndex>,
    /// Null: not known.
    #[schema(required)]
    on: Option<bool>,
    /// Of a dimmer, 0 when it is off; null of others, or not known.
    #[schema(required, value_type = Option<u8>, maximum = 100)]
    brightness: Option<Percent>,
    freshness: Freshness,
    /// Since the last observation; of a reply, since its query was sent.
    #[schema(required)]
    age_ms: Option<u64>,
    #[schema(required)]
    origin: Option<Origin>,
}

impl<'a> AccessoryObject<'a> {
    /// This accessory in this state; its age counts until `now`.
    pub(super) fn new(face: &'a AccessoryFace, state: &AccessoryState, now: Moment) -> Self {
        Self {
            id: &face.id,
            name: &face.name,
            room: &face.room,
            kind: face.kind,
            module: face.point.map(|point| point.serial),
            output: face.point.map(|point| point.output),
            on: state.on,
            brightness: state.brightness.filter(|_| face.dims),
            freshness: state.freshness,
            age_ms: state.observed_at.map(|at| now.since(at).as_millis() as u64),
            origin: state.origin,
        }
    }

    /// Appends its bytes. They are what `Serialize` would write, which looks at each letter of the keys, too: a seventh
    /// of a read went into that.
    fn write(&self, to: &mut Vec<u8>) {
        write_text(b"{\"id\":", self.id, to);
        write_text(b",\"name\":", self.name, to);
        write_text(b",\"room\":", self.room, to);
        write_text(b",\"kind\":", self.kind.word(), to);
        match &self.module {
            Some(serial) => write_quoted(b",\"module\":", &serial.digits(), to),
            None => to.extend_from_slice(b",\"module\":null"),
        }
        write_field(b",\"output\":", &self.output, to);
        write_field(b",\"on\":", &self.on, to);
        write_field(b",\"brightness\":", &self.brightness, to);
        write_field(b",\"freshness\":", &self.freshness, to);
        write_field(b",\"age_ms\":", &self.age_ms, to);
        write_field(b",\"origin\":", &self.origin, to);
        to.push(b'}');
    }
}

/// Appends a key, as it is, and a text with its quotes.
fn write_text(key: &[u8], text: &str, to: &mut Vec<u8>) {
    let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // To the end in any case: that takes several bytes at a time.
    if text.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
        write_field(key, text, to);
    } else {
        write_quoted(key, text.as_bytes(), to);
    }
}

fn write_quoted(key: &[u8], plain: &[u8], to: &mut Vec<u8>) {
    to.extend_from_slice(key);
    to.push(b'"');
    to.extend_from_slice(plain);
    to.push(b'"');
}

fn write_field(key: &[u8], value: &(impl Serialize + ?Sized), to: &mut Vec<u8>) {
    to.extend_from_slice(key);
    write_value(value, to);
}

fn write_value(value: &(impl Serialize + ?Sized), to: &mut Vec<u8>) {
    serde_json::to_writer(to, value).expect("the objects of the contract have only text keys");
}

/// What is wanted of an accessory; at least one of the two.
#[derive(ToSchema)]
#[schema(min_properties = 1)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is read field by field, to name what is wrong in each")]
pub(super) struct WishObject {
    /// On or off; off wins over a brightness, on alone returns to the last level.
    #[schema(nullable = false)]
    on: Option<bool>,
    /// Of a dimmer only; 0 is off.
    #[schema(nullable = false, maximum = 100)]
    brightness: Option<u8>,
}

/// A change of a link as clients see it.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkObject<'a> {
    pub gateway: &'a str,
    pub state: LinkState,
}

/// A telegram as clients see it: the object of `decode`, and where it went by.
#[derive(Serialize, ToSchema)]
pub(super) struct TelegramObject<'a> {
    #[serde(flatten)]
    pub description: Description,
    pub gateway: &'a str,
    pub direction: Direction,
}

/// How many telegrams a client was too slow for.
#[derive(Serialize, ToSchema)]
pub(super) struct LostObject {
    pub telegrams: u64,
}

/// What an accessory with names of the usual length fits into.
const OBJECT_BYTES: usize = 256;

/// What most other answers fit into.
const ANSWER_BYTES: usize = 4096;

/// What most events fit into.
const EVENT_BYTES: usize = 512;

/// The bytes of a value.
pub(super) fn bytes(value: &impl Serialize) -> Bytes {
    let mut bytes = Vec::with_capacity(ANSWER_BYTES);
    write_value(value, &mut bytes);
    bytes.into()
}

/// The bytes of one accessory. Asked for a block as large as other answers have, the allocator tidies up first.
pub(super) fn object(object: &AccessoryObject<'_>) -> Bytes {
    let mut bytes = Vec::with_capacity(OBJECT_BYTES);
    object.write(&mut bytes);
    bytes.into()
}

/// The bytes of a list of accessories.
pub(super) fn list(objects: &[AccessoryObject<'_>]) -> Bytes {
    let mut bytes = Vec::with_capacity(list_bytes(objects));
    write_list(objects, &mut bytes);
    bytes.into()
}

fn list_bytes(objects: &[AccessoryObject<'_>]) -> usize {
    OBJECT_BYTES * (1 + objects.len())
}

fn write_list(objects: &[AccessoryObject<'_>], to: &mut Vec<u8>) {
    to.push(b'[');
    for (place, object) in objects.iter().enumerate() {
        if place > 0 {
            to.push(b',');
        }
        object.write(to);
    }
    to.push(b']');
}

/// One server-sent event: JSON has no line breaks, so it is one line.
pub(super) fn event(name: &str, value: &impl Serialize) -> Bytes {
    line(name, EVENT_BYTES, |to| write_value(value, to))
}

/// The event that an accessory changed.
pub(super) fn changed(object: &AccessoryObject<'_>) -> Bytes {
    line("accessory", EVENT_BYTES, |to| object.write(to))
}

/// The event that tells of all accessories.
pub(super) fn all(objects: &[AccessoryObject<'_>]) -> Bytes {
    line("accessories", list_bytes(objects), |to| write_list(objects, to))
}

fn line(name: &str, room: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = Vec::with_capacity(room);
    bytes.extend_from_slice(b"event: ");
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b"\ndata: ");
    write(&mut bytes);
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}

/// The body that goes with every error.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorObject<'a> {
    error: ErrorWords<'a>,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorWords<'a> {
    /// For programs.
    code: &'a str,
    /// For people.
    message: &'a str,
}

/// The bytes of an error.
pub(super) fn error(fault: &Fault) -> Bytes {
    bytes(&ErrorObject { error: ErrorWords { code: fault.code, message: &fault.message } })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::actors::events::AccessoryId;
    use crate::conbus::{ModuleType, Point, Telegram, describe_telegram};
    use crate::policy::BusError;

    fn face(kind: AccessoryKind) -> AccessoryFace {
        AccessoryFace {
            place: AccessoryId(0),
            id: "lamp".into(),
            name: "Lampe \"Süd\"".into(),
            room: "Salon".into(),
            kind,
            dims: kind == AccessoryKind::Dimmer,
            point: Some(Point {
                serial: "0012345004".parse().unwrap(),
                output: OutputIndex::new(1).unwrap(),
            }),
            members: Vec::new(),
            module_type: Some(ModuleType::XP33LED),
        }
    }

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    const SEEN: AccessoryState = AccessoryState {
        on: Some(true),
        brightness: Some(Percent::FULL),
        freshness: Freshness::Fresh,
        observed_at: Some(Moment::START),
        origin: Some(Origin::Report),
    };

    #[test]
    fn a_dimmer_has_all_its_fields() {
        let now = Moment::after_start(Duration::from_micros(1_234_999));
        let object = object(&AccessoryObject::new(&face(AccessoryKind::Dimmer), &SEEN, now));
        assert_eq!(
            text(&object),
            r#"{"id":"lamp","name":"Lampe \"Süd\"","room":"Salon","kind":"dimmer","module":"0012345004","output":1,"#
                .to_owned()
                + r#""on":true,"brightness":100,"freshness":"fresh","age_ms":1234,"origin":"report"}"#
        );
    }

    #[test]
    fn what_is_not_known_is_null_and_a_light_has_no_brightness() {
        let light = object(&AccessoryObject::new(&face(AccessoryKind::Light), &SEEN, Moment::START));
        assert!(text(&light).contains(r#""on":true,"brightness":null,"freshness":"fresh","age_ms":0"#));
        let unknown = AccessoryState {
            on: None,
            brightness: None,
            freshness: Freshness::Unknown,
            observed_at: None,
            origin: None,
        };
        let object = object(&AccessoryObject::new(&face(AccessoryKind::Dimmer), &unknown, Moment::START));
        let end = r#""on":null,"brightness":null,"freshness":"unknown","age_ms":null,"origin":null}"#;
        assert!(text(&object).ends_with(end), "{}", text(&object));
    }

    #[test]
    fn an_accessory_is_written_as_it_would_be_serialized() {
        let texts = [
            "",
            "Süd",
            "a \"b\"",
            "back\\slash",
            "tab\t",
            "\u{0}\u{1f}\u{7f}",
            "plain 0123456789",
            "\u{2028}",
        ];
        let kinds =
            [AccessoryKind::Light, AccessoryKind::Outlet, AccessoryKind::Dimmer, AccessoryKind::Group];
        let freshness = [Freshness::Fresh, Freshness::Pending, Freshness::Stale, Freshness::Unknown];
        let origins = [Origin::Report, Origin::Poll, Origin::Read, Origin::Snapshot].map(Some);
        let mut objects = Vec::new();
        for place in 0..64_usize {
            let (kind, odd) = (kinds[place % 4], place % 2 == 1);
            objects.push(AccessoryObject {
                id: texts[place / 8],
                name: texts[place % 8],
                room: texts[(place + 3) % 8],
                kind,
                module: odd.then(|| format!("{:010}", place * 100_003).parse().unwrap()),
                output: OutputIndex::new(place as u8 % 8).filter(|_| odd),
                on: [None, Some(false), Some(true)][place % 3],
                brightness: Percent::new(place as u8).filter(|_| place % 5 > 0),
                freshness: freshness[place / 4 % 4],
                age_ms: (place % 7 > 0).then(|| 10_u64.pow(place as u32 % 20)),
                origin: origins.get(place % 5).copied().flatten(),
            });
        }
        for one in &objects {
            assert_eq!(text(&object(one)), serde_json::to_string(one).unwrap());
            assert_eq!(text(&changed(one)), text(&event("accessory", one)));
        }
        for few in [&objects[..0], &objects[..1], &objects] {
            assert_eq!(text(&list(few)), serde_json::to_string(few).unwrap());
            assert_eq!(text(&all(few)), text(&event("accessories", &few)));
        }
    }

    #[test]
    fn events_are_one_line_of_json() {
        let link = event("link", &LinkObject { gateway: "home\n", state: LinkState::Dialling });
        assert_eq!(text(&link), "event: link\ndata: {\"gateway\":\"home\\n\",\"state\":\"dialling\"}\n\n");
    }

    #[test]
    fn a_telegram_is_the_decode_object_and_its_way() {
        let telegram = Telegram::parse_payload(b"E07L06I80M").unwrap();
        let object = TelegramObject {
            description: describe_telegram(&telegram),
            gateway: "home",
            direction: Direction::Received,
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes(&object)).unwrap();
        assert_eq!(value["telegram"], "<E07L06I80MAE>");
        assert_eq!(value["kind"], "event");
        assert_eq!(value["gateway"], "home");
        assert_eq!(value["direction"], "received");
    }

    #[test]
    fn an_error_has_a_code_and_a_message() {
        let body = error(&Fault::from(BusError::LinkDown));
        assert_eq!(text(&body), r#"{"error":{"code":"link_down","message":"the gateway is not connected"}}"#);
    }
}
