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
#[derive(Serialize, ToSchema)]
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

/// The bytes of a value.
pub(super) fn bytes(value: &impl Serialize) -> Bytes {
    written(value, ANSWER_BYTES)
}

/// The bytes of one accessory. Asked for a block as large as other answers have, the allocator tidies up first.
pub(super) fn object(object: &AccessoryObject<'_>) -> Bytes {
    written(object, OBJECT_BYTES)
}

/// The bytes of a list of accessories.
pub(super) fn list(objects: &[AccessoryObject<'_>]) -> Bytes {
    written(&objects, OBJECT_BYTES * (1 + objects.len()))
}

fn written(value: &impl Serialize, room: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(room);
    serde_json::to_writer(&mut bytes, value).expect("the objects of the contract have only text keys");
    bytes.into()
}

/// One server-sent event: JSON has no line breaks, so it is one line.
pub(super) fn event(name: &str, value: &impl Serialize) -> Bytes {
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(b"event: ");
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b"\ndata: ");
    serde_json::to_writer(&mut bytes, value).expect("the objects of the contract have only text keys");
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
        let object = bytes(&AccessoryObject::new(&face(AccessoryKind::Dimmer), &SEEN, now));
        assert_eq!(
            text(&object),
            r#"{"id":"lamp","name":"Lampe \"Süd\"","room":"Salon","kind":"dimmer","module":"0012345004","output":1,"#
                .to_owned()
                + r#""on":true,"brightness":100,"freshness":"fresh","age_ms":1234,"origin":"report"}"#
        );
    }

    #[test]
    fn what_is_not_known_is_null_and_a_light_has_no_brightness() {
        let light = bytes(&AccessoryObject::new(&face(AccessoryKind::Light), &SEEN, Moment::START));
        assert!(text(&light).contains(r#""on":true,"brightness":null,"freshness":"fresh","age_ms":0"#));
        let unknown = AccessoryState {
            on: None,
            brightness: None,
            freshness: Freshness::Unknown,
            observed_at: None,
            origin: None,
        };
        let object = bytes(&AccessoryObject::new(&face(AccessoryKind::Dimmer), &unknown, Moment::START));
        let end = r#""on":null,"brightness":null,"freshness":"unknown","age_ms":null,"origin":null}"#;
        assert!(text(&object).ends_with(end), "{}", text(&object));
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
