//! What an accessory is to the people who use it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of an accessory, as configured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessoryKind {
    /// A lamp that is on or off.
    Light,
    /// A socket that is on or off.
    Outlet,
    /// A lamp with a brightness.
    Dimmer,
    /// Several accessories with one switch.
    Group,
    /// A wish for each of several accessories.
    Scene,
}

impl AccessoryKind {
    /// Every kind that an output can be, in the order of the documents.
    pub const ALL: [Self; 3] = [Self::Light, Self::Outlet, Self::Dimmer];

    /// The word used in the config and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Outlet => "outlet",
            Self::Dimmer => "dimmer",
            Self::Group => "group",
            Self::Scene => "scene",
        }
    }
}

impl fmt::Display for AccessoryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
