//! The accessory database of one bridge: what HAP calls accessories, services and characteristics, and their numbers.
//!
//! An accessory's number (aid) comes from the store. The numbers inside it (iid) are constants below: each kind of
//! characteristic of each kind of service has one that no other ever gets, so they cannot be lost or reused.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha512};

use super::bytes_as_hex::hex;
use crate::policy::AccessoryKind;

/// The bridge's own aid.
pub(super) const BRIDGE_AID: u64 = 1;

/// How many accessories fit behind a bridge: with itself 150, more than which Home refuses as a whole.
pub(super) const MEMBERS_MAX: usize = 149;

/// Longer texts are refused by controllers.
const TEXT_CHARACTERS_MAX: usize = 64;

/// The version of the protocol.
const PROTOCOL: &str = "1.1.0";

/// What may be done with a characteristic.
pub(super) mod perms {
    pub(in crate::doors::homekit) const READ: u8 = 1;
    pub(in crate::doors::homekit) const WRITE: u8 = 2;
    pub(in crate::doors::homekit) const EVENTS: u8 = 4;
    pub(in crate::doors::homekit) const TIMED: u8 = 8;
    pub(super) const NAMES: [(u8, &str); 4] = [(READ, "pr"), (WRITE, "pw"), (EVENTS, "ev"), (TIMED, "tw")];
}

/// A value; in JSON it stands for itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    /// On or off.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

impl Value {
    /// As JSON.
    pub(super) fn json(&self) -> Json {
        match self {
            Self::Bool(value) => json!(value),
            Self::Int(value) => json!(value),
            Self::Text(value) => json!(value),
        }
    }
}

/// What values a characteristic has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// On or off.
    Bool,
    /// Percent, in steps of one.
    Percent,
    /// A short text.
    Text,
}

impl Format {
    /// The value that was written, if it is one of these. Controllers write 0 and 1 for off and on.
    pub(super) fn accept(self, written: &Json) -> Option<Value> {
        match self {
            Self::Bool => match written {
                Json::Bool(value) => Some(Value::Bool(*value)),
                _ => whole(written)
                    .filter(|value| (0..=1).contains(value))
                    .map(|value| Value::Bool(value == 1)),
            },
            Self::Percent => whole(written).filter(|value| (0..=100).contains(value)).map(Value::Int),
            Self::Text => written
                .as_str()
                .filter(|text| text.chars().count() <= TEXT_CHARACTERS_MAX)
                .map(|text| Value::Text(text.to_owned())),
        }
    }

    fn describe(self, object: &mut serde_json::Map<String, Json>) {
        let name = match self {
            Self::Bool => "bool",
            Self::Percent => "int",
            Self::Text => "string",
        };
        object.insert("format".into(), name.into());
        if self == Self::Percent {
            for (key, value) in [("minValue", 0), ("maxValue", 100), ("minStep", 1)] {
                object.insert(key.into(), value.into());
            }
            object.insert("unit".into(), "percentage".into());
        }
    }
}

fn whole(written: &Json) -> Option<i64> {
    let float = || written.as_f64().filter(|value| value.fract() == 0.0 && value.abs() < 1e9);
    written.as_i64().or_else(|| float().map(|value| value as i64))
}

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// It never changes while the database is the same.
    Fixed(Value),
    /// Whether the accessory is on.
    On,
    /// How bright it is, or was when it was on last.
    Brightness,
    /// Written to make the module blink; cannot be read.
    Identify,
}

/// A characteristic.
#[derive(Clone, Debug)]
pub(super) struct Characteristic {
    /// Its number inside its accessory.
    pub(super) iid: u64,
    /// What it may be used for, see [`perms`].
    pub(super) perms: u8,
    /// Its values.
    pub(super) format: Format,
    /// Where they come from.
    pub(super) source: Source,
    kind: &'static str,
}

impl Characteristic {
    /// Whether it may be used for this.
    pub(super) fn allows(&self, perm: u8) -> bool {
        self.perms & perm != 0
    }

    /// Adds what `meta`, `perms` and `type` of a read ask for.
    pub(super) fn describe(
        &self,
        object: &mut serde_json::Map<String, Json>,
        meta: bool,
        perms: bool,
        kind: bool,
    ) {
        if kind {
            object.insert("type".into(), self.kind.into());
        }
        if perms {
            let names = perms::NAMES.iter().filter(|(perm, _)| self.allows(*perm)).map(|(_, name)| *name);
            object.insert("perms".into(), names.collect::<Vec<_>>().into());
        }
        if meta {
            self.format.describe(object);
        }
    }
}

/// Characteristics that belong together; HAP calls it a service.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    iid: u64,
    kind: &'static str,
    primary: bool,
    characteristics: Vec<Characteristic>,
}

/// One accessory of the bridge, or the bridge itself.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its number.
    pub(super) aid: u64,
    /// By which it tells its changes; none of the bridge itself.
    pub(super) place: Option<usize>,
    units: Vec<Unit>,
}

/// What people read of an accessory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Label {
    /// What it is called.
    pub(super) name: String,
    /// The type of its module.
    pub(super) model: String,
    /// The serial number of its module, and its output.
    pub(super) serial: String,
    /// The version of its module's software.
    pub(super) firmware: String,
}

fn text(iid: u64, kind: &'static str, value: &str, shortest: usize) -> Characteristic {
    let mut value: String = value.chars().take(TEXT_CHARACTERS_MAX).collect();
    // Home refuses a whole bridge for one text that is too short.
    while value.chars().count() < shortest {
        value.push('-');
    }
    let source = Source::Fixed(Value::Text(value));
    Characteristic { iid, perms: perms::READ, format: Format::Text, source, kind }
}

fn labelled(label: &Label) -> Unit {
    let identify = Characteristic {
        iid: 2,
        kind: "14",
        perms: perms::WRITE,
        format: Format::Bool,
        source: Source::Identify,
    };
    let characteristics = vec![
        identify,
        text(3, "20", "Conson", 2),
        text(4, "21", &label.model, 2),
        text(5, "23", &label.name, 1),
        text(6, "30", &label.serial, 2),
        text(7, "52", &label.firmware, 1),
    ];
    Unit { iid: 1, kind: "3E", primary: false, characteristics }
}

fn switched(iid: u64, kind: &'static str, perms: u8, format: Format, source: Source) -> Characteristic {
    Characteristic { iid, perms, format, source, kind }
}

fn purpose(kind: AccessoryKind) -> Unit {
    const ALL: u8 = perms::READ | perms::WRITE | perms::EVENTS;
    let (iid, unit, characteristics) = match kind {
        AccessoryKind::Light | AccessoryKind::Group => {
            (16, "43", vec![switched(17, "25", ALL, Format::Bool, Source::On)])
        }
        AccessoryKind::Dimmer => {
            let on = switched(17, "25", ALL, Format::Bool, Source::On);
            (16, "43", vec![on, switched(18, "8", ALL, Format::Percent, Source::Brightness)])
        }
        // A switch that falls back to off.
        AccessoryKind::Scene => (64, "49", vec![switched(65, "25", ALL, Format::Bool, Source::On)]),
        AccessoryKind::Outlet => {
            let on = switched(33, "25", ALL, Format::Bool, Source::On);
            // Nothing on this bus measures a load: what is on counts as in use.
            let in_use = switched(34, "26", perms::READ | perms::EVENTS, Format::Bool, Source::On);
            (32, "47", vec![on, in_use])
        }
    };
    Unit { iid, kind: unit, primary: true, characteristics }
}

impl Member {
    /// The bridge itself.
    pub(super) fn bridge(label: &Label) -> Self {
        let protocol =
            Unit { iid: 48, kind: "A2", primary: false, characteristics: vec![text(49, "37", PROTOCOL, 1)] };
        Self { aid: BRIDGE_AID, place: None, units: vec![labelled(label), protocol] }
    }

    /// A configured accessory.
    pub(super) fn accessory(aid: u64, place: usize, kind: AccessoryKind, label: &Label) -> Self {
        Self { aid, place: Some(place), units: vec![labelled(label), purpose(kind)] }
    }

    /// All its characteristics.
    pub(super) fn characteristics(&self) -> impl Iterator<Item = &Characteristic> {
        self.units.iter().flat_map(|unit| &unit.characteristics)
    }

    fn json(&self, value_of: &dyn Fn(&Self, &Characteristic) -> Json) -> Json {
        let characteristic = |own: &Characteristic| {
            let mut object = serde_json::Map::new();
            object.insert("iid".into(), own.iid.into());
            own.describe(&mut object, true, true, true);
            if own.allows(perms::READ) {
                object.insert("value".into(), value_of(self, own));
            }
            Json::Object(object)
        };
        let unit = |unit: &Unit| {
            let characteristics: Vec<Json> = unit.characteristics.iter().map(characteristic).collect();
            let mut object =
                json!({ "iid": unit.iid, "type": unit.kind, "characteristics": characteristics });
            if unit.primary {
                object["primary"] = true.into();
            }
            object
        };
        json!({ "aid": self.aid, "services": self.units.iter().map(unit).collect::<Vec<_>>() })
    }
}

/// Everything a bridge has.
#[derive(Clone, Debug, Default)]
pub(super) struct Database {
    members: BTreeMap<u64, Member>,
}

impl Database {
    /// A database of these members.
    pub(super) fn new(members: impl IntoIterator<Item = Member>) -> Self {
        Self { members: members.into_iter().map(|member| (member.aid, member)).collect() }
    }

    /// Its members, by their numbers.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The characteristic with this number.
    pub(super) fn find(&self, aid: u64, iid: u64) -> Option<(&Member, &Characteristic)> {
        let member = self.members.get(&aid)?;
        Some((member, member.characteristics().find(|own| own.iid == iid)?))
    }

    /// The body of `/accessories`; `value_of` knows the values that change.
    pub(super) fn json(&self, value_of: &dyn Fn(usize, &Source) -> Option<Value>) -> Vec<u8> {
        let value = |member: &Member, own: &Characteristic| match &own.source {
            Source::Fixed(value) => value.json(),
            source => member
                .place
                .and_then(|place| value_of(place, source))
                .map_or(Json::Null, |value| value.json()),
        };
        let members: Vec<Json> = self.members().map(|member| member.json(&value)).collect();
        json!({ "accessories": members }).to_string().into_bytes()
    }

    /// Changes with anything but the values that change by themselves.
    pub(super) fn fingerprint(&self) -> String {
        hex(&Sha512::digest(self.json(&|_, _| None))[..16])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn label(name: &str) -> Label {
        Label {
            name: name.into(),
            model: "XP24".into(),
            serial: "0012345004-1".into(),
            firmware: "0.34.3".into(),
        }
    }

    /// The bridge, a light (2), a dimmer (3) and an outlet (4).
    pub(in super::super) fn database() -> Database {
        let kinds = [AccessoryKind::Light, AccessoryKind::Dimmer, AccessoryKind::Outlet];
        let members = kinds.iter().enumerate().map(|(place, kind)| {
            Member::accessory(place as u64 + 2, place, *kind, &label(&format!("Lamp {place}")))
        });
        Database::new(std::iter::once(Member::bridge(&label("Home"))).chain(members))
    }

    #[test]
    fn every_accessory_says_who_it_is_first() {
        let body: Json = serde_json::from_slice(&database().json(&|_, _| None)).unwrap();
        for accessory in body["accessories"].as_array().unwrap() {
            let first = &accessory["services"][0];
            assert_eq!((&first["type"], &first["iid"]), (&json!("3E"), &json!(1)));
            let kinds: Vec<&str> = first["characteristics"]
                .as_array()
                .unwrap()
                .iter()
                .map(|characteristic| characteristic["type"].as_str().unwrap())
                .collect();
            assert_eq!(kinds, ["14", "20", "21", "23", "30", "52"]);
        }
        assert_eq!(body["accessories"][0]["services"][1]["characteristics"][0]["value"], json!("1.1.0"));
    }

    #[test]
    fn numbers_inside_an_accessory_differ_and_kinds_do_not_share_them() {
        for member in database().members() {
            let mut seen: Vec<u64> = member.units.iter().map(|unit| unit.iid).collect();
            seen.extend(member.characteristics().map(|own| own.iid));
            let count = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), count);
        }
        let on = |kind| purpose(kind).characteristics[0].iid;
        assert_ne!(on(AccessoryKind::Light), on(AccessoryKind::Outlet));
    }

    #[test]
    fn the_fingerprint_knows_names_but_not_states() {
        let database = database();
        let mut renamed = database.clone();
        renamed.members.insert(2, Member::accessory(2, 0, AccessoryKind::Light, &label("Other")));
        assert_ne!(database.fingerprint(), renamed.fingerprint());
        assert_eq!(database.fingerprint(), Database::new(database.members().cloned()).fingerprint());
    }

    #[test]
    fn values_are_checked_and_numbers_taken_for_switches() {
        for (written, value) in [(json!(true), true), (json!(1), true), (json!(0), false), (json!(1.0), true)]
        {
            assert_eq!(Format::Bool.accept(&written), Some(Value::Bool(value)));
        }
        for wrong in [json!(2), json!("1"), json!(null), json!(0.5), json!([true]), json!({})] {
            assert_eq!(Format::Bool.accept(&wrong), None);
        }
        assert_eq!(Format::Percent.accept(&json!(40)), Some(Value::Int(40)));
        for wrong in [json!(101), json!(-1), json!(40.5), json!("40"), json!(true), json!(1e300)] {
            assert_eq!(Format::Percent.accept(&wrong), None);
        }
        assert_eq!(Format::Text.accept(&json!("x".repeat(65))), None);
    }

    #[test]
    fn texts_are_neither_too_short_nor_too_long() {
        let Source::Fixed(Value::Text(short)) = text(1, "21", "X", 2).source else { panic!() };
        let Source::Fixed(Value::Text(long)) = text(1, "23", &"é".repeat(90), 1).source else { panic!() };
        assert_eq!((short.as_str(), long.chars().count()), ("X-", 64));
    }
}
