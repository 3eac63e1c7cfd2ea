//! The registry of module types (protocol reference 8).

use std::fmt;
use std::str::FromStr;

/// A module type by its decimal code, 0 to 99; codes outside the registry are kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleType(u8);

/// What kind of module a type is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Category {
    /// Empty entries, wildcards, software, reserved codes and interlinks: nothing to switch.
    System,
    /// A link that carries switches onto the bus.
    Link,
    /// A remote-control receiver or timer of the older bus.
    Remote,
    /// Switched outputs.
    Relay,
    /// Dimmed outputs.
    Dimmer,
    /// A TCP or serial bridge.
    Bridge,
    /// A push-button panel or button interface.
    Panel,
}

struct Entry {
    name: &'static str,
    category: Category,
    outputs: u8,
    inputs: u8,
}

const fn entry(name: &'static str, category: Category, outputs: u8, inputs: u8) -> Entry {
    Entry { name, category, outputs, inputs }
}

use Category::{Bridge, Dimmer, Link, Panel, Relay, Remote, System};

/// Index = type code.
const REGISTRY: [Entry; 37] = [
    entry("NOMOD", System, 0, 0),
    entry("ALLMOD", System, 0, 0),
    entry("CP20", Link, 0, 8),
    entry("CP70A", Remote, 0, 0),
    entry("CP70B", Remote, 0, 0),
    entry("CP70C", Remote, 0, 0),
    entry("CP70D", Remote, 0, 0),
    entry("XP24", Relay, 4, 4),
    entry("XP31UNI", Dimmer, 1, 0),
    // The peer's registry gives 9 and 32 the same name; the vendor calls 9 the control unit.
    entry("XP31BCU", Dimmer, 1, 0),
    entry("XP31DD", Dimmer, 1, 0),
    entry("XP33", Dimmer, 3, 5),
    entry("CP485", System, 0, 0),
    entry("XP130", Bridge, 0, 0),
    entry("XP2606", Panel, 0, 5),
    entry("XP2606A", Panel, 0, 5),
    entry("XP2606B", Panel, 0, 5),
    entry("XP26X1", Panel, 0, 0),
    entry("XP26X2", Panel, 0, 0),
    entry("XP2506", Panel, 0, 5),
    entry("XP2506A", Panel, 0, 5),
    entry("XP2506B", Panel, 0, 5),
    entry("XPX1_8", Panel, 0, 8),
    entry("XP134", System, 0, 0),
    entry("XP24P", Relay, 4, 4),
    entry("XP28A", Panel, 0, 8),
    entry("XP28B", Panel, 0, 8),
    entry("CONTOOL", System, 0, 0),
    entry("XP28", Panel, 0, 8),
    entry("XP31LR", Dimmer, 1, 0),
    entry("XP33LR", Dimmer, 3, 5),
    entry("XP31CR", Dimmer, 1, 0),
    entry("XP31BC", Dimmer, 1, 0),
    entry("XP20", Link, 0, 8),
    entry("XP230", Bridge, 0, 0),
    entry("XP33LED", Dimmer, 3, 5),
    entry("XP31LED", Dimmer, 1, 0),
];

/// Why a text is not the name of a module type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a module type")]
pub struct UnknownModuleType;

impl ModuleType {
    /// NOMOD: an empty table entry.
    pub const NOMOD: Self = Self(0);
    /// ALLMOD: every module type, in action tables.
    pub const ALLMOD: Self = Self(1);
    /// CP20: the switch link of the older bus, also the virtual source of injected events.
    pub const CP20: Self = Self(2);
    /// XP24: four relays.
    pub const XP24: Self = Self(7);
    /// XP33: three dimmers.
    pub const XP33: Self = Self(11);
    /// XP130: the serial bridge.
    pub const XP130: Self = Self(13);
    /// XP33LR: three dimmers that may repeat themselves when asked too fast.
    pub const XP33LR: Self = Self(30);
    /// XP20: the switch link.
    pub const XP20: Self = Self(33);
    /// XP230: the bridge with a server.
    pub const XP230: Self = Self(34);
    /// XP33LED: three LED dimmers.
    pub const XP33LED: Self = Self(35);

    /// The type with this decimal code, known or not; `None` above 99.
    pub fn new(code: u8) -> Option<Self> {
        (code <= 99).then_some(Self(code))
    }

    /// Every type of the registry.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..REGISTRY.len() as u8).map(Self)
    }

    /// The decimal code, 0 to 99.
    pub fn code(self) -> u8 {
        self.0
    }

    fn entry(self) -> Option<&'static Entry> {
        REGISTRY.get(usize::from(self.0))
    }

    /// The vendor's name; `None` for a code outside the registry.
    pub fn name(self) -> Option<&'static str> {
        self.entry().map(|entry| entry.name)
    }

    /// The kind of module; [`Category::System`] for a code outside the registry.
    pub fn category(self) -> Category {
        self.entry().map_or(System, |entry| entry.category)
    }

    /// How many outputs it has.
    pub fn outputs(self) -> u8 {
        self.entry().map_or(0, |entry| entry.outputs)
    }

    /// How many inputs of its own it has.
    pub fn inputs(self) -> u8 {
        self.entry().map_or(0, |entry| entry.inputs)
    }

    /// Whether it drives loads, and so reports its outputs as inputs 80 to 87.
    pub fn is_actor(self) -> bool {
        self.outputs() > 0
    }

    /// Whether its outputs have a light level.
    pub fn is_dimmable(self) -> bool {
        self.category() == Dimmer
    }

    /// Whether it is the bridge to TCP.
    pub fn is_bridge(self) -> bool {
        self.category() == Bridge
    }

    /// How many channels its D15 lists: a dimmer its own, an XP24 four that are always 0 (protocol reference 4.2).
    pub fn level_channels(self) -> u8 {
        if self.is_actor() { self.outputs() } else { 0 }
    }
}

impl FromStr for ModuleType {
    type Err = UnknownModuleType;

    fn from_str(name: &str) -> Result<Self, UnknownModuleType> {
        let code = REGISTRY.iter().position(|entry| entry.name == name).ok_or(UnknownModuleType)?;
        Ok(Self(code as u8))
    }
}

impl fmt::Display for ModuleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {:02}", self.0),
        }
    }
}

impl fmt::Debug for ModuleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_one_to_one() {
        assert_eq!(ModuleType::all().count(), 37);
        for module_type in ModuleType::all() {
            assert_eq!(module_type.name().unwrap().parse(), Ok(module_type));
        }
        assert_eq!("XP99".parse::<ModuleType>(), Err(UnknownModuleType));
    }

    #[test]
    fn the_types_seen_on_real_hardware() {
        for (name, code, outputs, dimmable) in [
            ("XP24", 7, 4, false),
            ("XP33LR", 30, 3, true),
            ("XP20", 33, 0, false),
            ("XP130", 13, 0, false),
            ("XP230", 34, 0, false),
            ("XP33LED", 35, 3, true),
        ] {
            let module_type: ModuleType = name.parse().unwrap();
            assert_eq!(
                (module_type.code(), module_type.outputs(), module_type.is_dimmable()),
                (code, outputs, dimmable)
            );
        }
    }

    #[test]
    fn a_code_outside_the_registry_is_kept_and_drives_nothing() {
        let unknown = ModuleType::new(99).unwrap();
        assert_eq!(
            (unknown.name(), unknown.is_actor(), unknown.to_string()),
            (None, false, "type 99".into())
        );
        assert_eq!(ModuleType::new(100), None);
    }
}
