//! What a client of this door is shown, and what its words come to, without a socket. Pure.
//!
//! Through it the simulation looks: a judge outside of the crate decodes these bytes again.

use axum::body::Bytes;

use super::json::{self, AccessoryObject};
use super::translate;
use crate::doors::AccessoryFace;
use crate::policy::Moment;
use crate::policy::store::Want;
use crate::policy::switch::{AccessoryState, Target};

/// The body of a `GET` of this accessory when it shows this.
pub fn object(face: &AccessoryFace, state: &AccessoryState, now: Moment) -> Bytes {
    json::object(&AccessoryObject::new(face, state, now))
}

/// The server-sent event of this accessory when it shows this from now on.
pub fn event(face: &AccessoryFace, state: &AccessoryState, now: Moment) -> Bytes {
    json::changed(&AccessoryObject::new(face, state, now))
}

/// What the body of a `PUT` wants of this accessory; the body of the answer when it cannot be obeyed.
pub fn wish(body: &[u8], face: &AccessoryFace) -> Result<Target, Bytes> {
    translate::target(body, &face.id, (face.kind, face.dims)).map_err(|fault| json::error(&fault))
}

/// How old an answer the query of a `GET` allows; the body of the answer when it cannot be read.
pub fn want(query: &str, now: Moment) -> Result<Want, Bytes> {
    translate::want(Some(query), now).map_err(|fault| json::error(&fault))
}
