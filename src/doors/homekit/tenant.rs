//! An accessory behind the door, and how it is shown: groups and scenes are lamps and switches to a controller.

use super::lamp::Lamp;
use crate::doors::AccessoryFace;
use crate::policy::AccessoryKind;

/// An accessory behind the door.
pub(super) struct Tenant {
    /// What is known of it without asking.
    pub(super) face: AccessoryFace,
    /// What is remembered of what it shows.
    pub(super) lamp: Lamp,
}

impl Tenant {
    /// One of which nothing is known.
    pub(super) fn new(face: AccessoryFace) -> Self {
        Self { lamp: Lamp::new(face.dims), face }
    }
}

/// What calls itself so: a module's type, else what it is.
pub(super) fn model_of(face: &AccessoryFace) -> String {
    face.module_type.map_or_else(|| face.kind.to_string(), |of_type| of_type.to_string())
}

/// A group is a lamp to a controller.
pub(super) fn shown_as(face: &AccessoryFace) -> AccessoryKind {
    match face.kind {
        AccessoryKind::Group if face.dims => AccessoryKind::Dimmer,
        AccessoryKind::Group => AccessoryKind::Light,
        kind => kind,
    }
}

/// By which the accessory tells its changes.
pub(super) fn place_of(face: &AccessoryFace) -> usize {
    face.place.0 as usize
}
