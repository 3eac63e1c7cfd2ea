//! What a stranger or a controller may say to this door, as claims about any bytes (`crate::fuzzing`).
#![allow(clippy::missing_panics_doc, reason = "to panic on a finding is what each of these is for")]

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::batch::{Prepared, Query, Writes};
use super::http::{BODY_BYTES_MAX, HEAD_BYTES_MAX, Inbox, Request, Unreadable};
use super::keys::Identity;
use super::model::{Database, Label, Member, Source, Value};
use super::pairings::{Controller, PAIRINGS_MAX, change};
use super::record::{Opener, PIECE_BYTES, Sealer, Tampered};
use super::status::Status;
use super::store::State;
use super::tlv::{Tlv, kind};
use super::verify::Verify;
use crate::conbus::fuzzing::{cuts_and_bytes, segments};
use crate::policy::{AccessoryKind, Moment};

/// A text of items prints to a text of the same items, and no item has more bytes than came.
pub fn tlv(input: &[u8]) {
    let Ok(items) = Tlv::parse(input) else { return };
    let text = items.encode();
    assert!(text.len() <= input.len(), "{} bytes from {}", text.len(), input.len());
    assert_eq!(Tlv::parse(&text).as_ref(), Ok(&items));
    for kind in 0..=u8::MAX {
        let value = items.get(kind);
        assert!(value.is_none_or(|value| value.len() <= input.len()));
        assert_eq!(items.byte(kind), value.filter(|value| value.len() == 1).map(|value| value[0]));
    }
}

/// Everything that comes out of a connection, and why it ends, if it does.
fn requests<'a>(stream: impl Iterator<Item = &'a [u8]>) -> (Vec<Request>, Option<Unreadable>) {
    let mut inbox = Inbox::default();
    let mut all = Vec::new();
    for segment in stream {
        inbox.push(segment);
        loop {
            match inbox.next() {
                Ok(Some(request)) => {
                    assert!(request.body.len() <= BODY_BYTES_MAX);
                    assert!(!request.path.contains('?'));
                    all.push(request);
                }
                Ok(None) => break,
                Err(unreadable) => {
                    assert!((400..500).contains(&unreadable.status()));
                    return (all, Some(unreadable));
                }
            }
        }
        let held = inbox.held_bytes();
        assert!(held < HEAD_BYTES_MAX + BODY_BYTES_MAX, "{held} bytes held");
    }
    (all, None)
}

/// However a stream is cut, the same requests come out of it and it ends for the same reason.
pub fn homekit_http(input: &[u8]) {
    let (cuts, bytes) = cuts_and_bytes(input);
    let whole = requests(std::iter::once(bytes));
    assert_eq!(requests(segments(bytes, cuts)), whole);
    if bytes.len() <= 1024 {
        assert_eq!(requests(bytes.chunks(1)), whole);
    }
}

/// What is sealed opens however it is cut; a change of any byte is found, and nothing behind it is believed;
/// what was never sealed opens to nothing.
pub fn record(input: &[u8]) {
    let Some((&[place, bit], rest)) = input.split_first_chunk::<2>() else { return };
    let (cuts, plain) = cuts_and_bytes(rest);
    let sealed = Sealer::new(&[7; 32]).seal(plain);
    assert_eq!(opened(&sealed, cuts), (plain.to_vec(), false));
    if !sealed.is_empty() {
        let mut changed = sealed.clone();
        let at = usize::from(place) * sealed.len() / 256;
        changed[at] ^= 1 << (bit % 8);
        let (before, _) = opened(&changed, cuts);
        assert!(plain.starts_with(&before) && before.len() < plain.len(), "believed behind the change");
        let piece = (plain.len().min(PIECE_BYTES) + 18).min(sealed.len());
        let mut opener = Opener::new(&[7; 32]);
        assert_eq!(opener.open(&sealed[..piece]).map(|once| once.len()), Ok(piece - 18));
        assert_eq!(opener.open(&sealed[..piece]), Err(Tampered), "replayed");
    }
    assert!(opened(plain, cuts).0.is_empty(), "opened what nobody sealed");
}

/// What a fresh opener gives, and whether it ended the session.
fn opened(stream: &[u8], cuts: &[u8]) -> (Vec<u8>, bool) {
    let mut opener = Opener::new(&[7; 32]);
    let mut plain = Vec::new();
    for segment in segments(stream, cuts) {
        match opener.open(segment) {
            Ok(more) => plain.extend(more),
            Err(Tampered) => return (plain, true),
        }
        assert!(opener.held_bytes() < PIECE_BYTES + 18);
    }
    (plain, false)
}

/// The bridge, a light (2), a dimmer (3) and an outlet (4).
fn database() -> Database {
    let label = |name: &str| Label {
        name: name.into(),
        model: "XP24".into(),
        serial: "0012345004-1".into(),
        firmware: "1.0".into(),
    };
    let kinds = [AccessoryKind::Light, AccessoryKind::Dimmer, AccessoryKind::Outlet];
    let members = kinds
        .iter()
        .enumerate()
        .map(|(place, kind)| Member::accessory(place as u64 + 2, place, *kind, &label("Lamp")));
    Database::new(std::iter::once(Member::bridge(&label("Home"))).chain(members))
}

/// The statuses that answers may hold.
const STATUSES: std::ops::RangeInclusive<i64> = -70_412..=0;

/// A body or a query is refused whole, or every entry of it is answered, with a status of the protocol.
pub fn homekit_writes(input: &[u8]) {
    let database = database();
    let mut prepared = Prepared::parse(input, Moment::START).ok();
    if let Ok(writes) = Writes::parse(input) {
        let batch = writes.plan(&database, &mut prepared, Moment::START);
        assert!(batch.targets.keys().all(|place| *place < 3));
        let outcomes: BTreeMap<usize, Status> =
            batch.targets.keys().map(|place| (*place, Status::Success)).collect();
        let (written, answer) = batch.finish(&outcomes);
        for ((aid, iid), value) in written {
            let (_, own) = database.find(aid, iid).expect("what was written exists");
            assert_eq!(own.format.accept(&value.json()), Some(value));
        }
        are_statuses(answer.body.map(|(_, body)| body));
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(query) = Query::parse(text) else { return };
    assert!(query.places(&database).iter().all(|place| *place < 3));
    let value_of = |place: usize, source: &Source| match (place, source) {
        (1, _) => Err(Status::Unreachable),
        _ => Ok(Value::Bool(true)),
    };
    let asked = query.keys.len();
    let answer = query.answer(&database, &value_of, &|_| false);
    let body = answer.body.map(|(_, body)| body);
    assert_eq!(are_statuses(body), asked);
}

/// How many entries an answer has; each status in it is one of the protocol's.
fn are_statuses(body: Option<Vec<u8>>) -> usize {
    let Some(body) = body else { return 0 };
    let body: Json = serde_json::from_slice(&body).expect("an answer is an object");
    let entries = body["characteristics"].as_array().expect("an answer is a list");
    for entry in entries {
        let status = entry.get("status").map_or(Some(0), Json::as_i64);
        assert!(status.is_some_and(|status| STATUSES.contains(&status)), "{entry}");
    }
    entries.len()
}

/// A fixed draw: the same input has to take the same way.
fn draw(buffer: &mut [u8]) {
    buffer.fill(0x21);
}

/// Whoever does not know a key is never let in, only an admin changes the list, and it stays a list one can live with.
pub fn homekit_pairing(input: &[u8]) {
    let own = Identity::new("AA:BB:CC:DD:EE:FF".into(), &[3; 32]);
    let phone = Identity::new("phone".into(), &[4; 32]).public();
    let guest = Identity::new("guest".into(), &[5; 32]).public();
    let paired: Vec<Controller> = [(&b"phone"[..], &phone, true), (b"guest", &guest, false)]
        .into_iter()
        .filter_map(|(id, key, admin)| Controller::new(id, key, admin))
        .collect();
    let key_of =
        |id: &[u8]| paired.iter().find(|controller| controller.id == id).map(|controller| controller.key);
    let mut verify = Verify::default();
    for text in input.split(|byte| *byte == kind::SEPARATOR) {
        let Ok(request) = Tlv::parse(text) else { continue };
        let (reply, verified) = verify.step(&request, &own, &key_of, draw);
        assert!(verified.is_none(), "let in without a key");
        assert!(matches!(reply.byte(kind::STATE), Some(2 | 4)));
    }
    let Ok(request) = Tlv::parse(input) else { return };
    for asker in [&b"guest"[..], b"nobody", b""] {
        assert!(change(&paired, asker, &request).keep.is_none(), "changed by {asker:?}");
    }
    if let Some(kept) = change(&paired, b"phone", &request).keep {
        assert!(kept.len() <= PAIRINGS_MAX);
        assert!(kept.is_empty() || kept.iter().any(|controller| controller.admin));
    }
}

/// A store is read or refused; what was read is kept and read as the same.
pub(crate) fn store(input: &[u8]) {
    if let Ok(state) = State::decode(input) {
        assert_eq!(State::decode(&state.encode()).ok().map(|again| again.encode()), Some(state.encode()));
    }
}
