//! What outlives a restart: what every output was last seen doing, and which modules were used last. Pure.
//!
//! A stored text names its format and its version and carries a checksum. Ages are kept by the wall clock, which
//! may jump: they are for people to read, nothing is decided by them. A restored value is stale whatever its age.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::conbus::{OutputIndex, Percent, Point, SerialNumber};

/// The word by which a stored text is known.
const FORMAT: &str = "conbusd-state";

/// What this program writes, and the newest it reads.
const VERSION: u64 = 1;

/// What was known of one output, each with its age.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// Which output.
    pub point: Point,
    /// On or off.
    pub on: Option<(bool, Duration)>,
    /// How bright.
    pub level: Option<(Percent, Duration)>,
}

/// Everything that is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// The least likely to be forgotten first.
    pub outputs: Vec<Remembered>,
    /// The last used first.
    pub used: Vec<SerialNumber>,
}

/// Why a stored text is not used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Damage {
    /// It is something else, or torn.
    #[error("it is not a whole file of its kind")]
    Foreign,
    /// A program newer than this one wrote it.
    #[error("it has version {0}, this program knows {VERSION}")]
    Newer(u64),
    /// It was changed since it was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// It has not the shape that its version has.
    #[error("{0}")]
    Shape(String),
}

// The checksum is of the state with its keys in order, so the fields stand in that order: written directly they are
// what a tree of values would be, which a house of ten thousand modules need not build twice a minute.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    level: Option<u8>,
    level_age_ms: Option<u64>,
    module: SerialNumber,
    on: Option<bool>,
    on_age_ms: Option<u64>,
    output: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    outputs: Vec<Row>,
    saved_unix_ms: u64,
    used: Vec<SerialNumber>,
}

/// Of the text of a state in its order.
fn checksum(state: &str) -> String {
    format!("{:08x}", crc32fast::hash(state.as_bytes()))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Snapshot {
    /// The text that is kept; `wall` is the time since 1970.
    pub fn encode(&self, wall: Duration) -> Vec<u8> {
        let rows = self.outputs.iter().map(|known| Row {
            module: known.point.serial,
            output: known.point.output.get(),
            on: known.on.map(|(on, _)| on),
            on_age_ms: known.on.map(|(_, age)| millis(age)),
            level: known.level.map(|(level, _)| level.get()),
            level_age_ms: known.level.map(|(_, age)| millis(age)),
        });
        let state = State { saved_unix_ms: millis(wall), outputs: rows.collect(), used: self.used.clone() };
        let state = serde_json::to_string(&state).unwrap_or_default();
        let checksum = checksum(&state);
        // In the order of its keys, as `decode` will sort them; the state is written once.
        let whole =
            format!(r#"{{"checksum":"{checksum}","format":"{FORMAT}","state":{state},"version":{VERSION}}}"#);
        (whole + "\n").into_bytes()
    }

    /// Reads what was kept. What has grown older since then has; a clock that went back makes nothing younger.
    pub fn decode(text: &[u8], wall: Duration) -> Result<Self, Damage> {
        let mut text: Value = serde_json::from_slice(text).map_err(|_| Damage::Foreign)?;
        if text["format"] != FORMAT {
            return Err(Damage::Foreign);
        }
        match text["version"].as_u64() {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => return Err(Damage::Newer(newer)),
            _ => return Err(Damage::Foreign),
        }
        let state = text["state"].take();
        if text["checksum"] != checksum(&state.to_string()) {
            return Err(Damage::Checksum);
        }
        let state: State = serde_json::from_value(state).map_err(|error| Damage::Shape(error.to_string()))?;
        let since = wall.saturating_sub(Duration::from_millis(state.saved_unix_ms));
        let outputs = state.outputs.into_iter().map(|row| row.remembered(since)).collect::<Result<_, _>>()?;
        Ok(Self { outputs, used: state.used })
    }

    /// Whether both say the same of every output, whatever the ages and the order.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.values() == other.values()
    }

    fn values(&self) -> BTreeMap<Point, (Option<bool>, Option<Percent>)> {
        let value = |known: &Remembered| (known.on.map(|(on, _)| on), known.level.map(|(level, _)| level));
        self.outputs.iter().map(|known| (known.point, value(known))).collect()
    }
}

impl Row {
    fn remembered(self, since: Duration) -> Result<Remembered, Damage> {
        let output = OutputIndex::new(self.output);
        let output = output.ok_or_else(|| Damage::Shape(format!("no output {}", self.output)))?;
        let age = |ms: Option<u64>| Duration::from_millis(ms.unwrap_or(0)).saturating_add(since);
        let level = self
            .level
            .map(|level| Percent::new(level).ok_or_else(|| Damage::Shape(format!("no level {level}"))));
        Ok(Remembered {
            point: Point { serial: self.module, output },
            on: self.on.map(|on| (on, age(self.on_age_ms))),
            level: level.transpose()?.map(|level| (level, age(self.level_age_ms))),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WALL: Duration = Duration::from_secs(1_700_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn serial(n: u8) -> SerialNumber {
        format!("00123450{n:02}").parse().unwrap()
    }

    fn known(module: u8, output: u8, on: bool, level: Option<u8>) -> Remembered {
        Remembered {
            point: Point { serial: serial(module), output: OutputIndex::new(output).unwrap() },
            on: Some((on, seconds(5))),
            level: level.map(|level| (Percent::new(level).unwrap(), seconds(9))),
        }
    }

    fn sample() -> Snapshot {
        Snapshot {
            outputs: vec![known(2, 1, true, Some(40)), known(1, 3, false, None)],
            used: vec![serial(2), serial(1)],
        }
    }

    fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut text: Value = serde_json::from_slice(&sample().encode(WALL)).unwrap();
        change(&mut text);
        text["checksum"] = checksum(&text["state"].to_string()).into();
        text.to_string().into_bytes()
    }

    #[test]
    fn what_was_kept_comes_back_older() {
        let text = sample().encode(WALL);
        assert_eq!(Snapshot::decode(&text, WALL), Ok(sample()));
        let later = Snapshot::decode(&text, WALL + seconds(60)).unwrap();
        assert_eq!(later.outputs[0].on, Some((true, seconds(65))));
        assert_eq!(later.outputs[0].level, Some((Percent::new(40).unwrap(), seconds(69))));
        assert_eq!(later.used, sample().used);
        assert_eq!(Snapshot::decode(&text, seconds(0)), Ok(sample()), "a clock that went back");
    }

    #[test]
    fn a_newer_version_is_told_from_a_broken_file() {
        let newer = changed(|text| text["version"] = 2.into());
        assert_eq!(Snapshot::decode(&newer, WALL), Err(Damage::Newer(2)));
        for broken in [&b""[..], b"{}", b"[]", b"null", b"\xff\xfe", b"{\"format\":\"conbusd-state\"}"] {
            assert_eq!(Snapshot::decode(broken, WALL), Err(Damage::Foreign));
        }
    }

    #[test]
    fn a_shape_of_another_kind_is_refused_though_its_checksum_is_right() {
        for change in [
            (|text: &mut Value| text["state"]["outputs"][0]["output"] = 200.into()) as fn(&mut Value),
            |text| text["state"]["outputs"][0]["level"] = 101.into(),
            |text| text["state"]["outputs"][0]["module"] = "lamp".into(),
            |text| text["state"]["more"] = true.into(),
            |text| text["state"] = Value::Null,
        ] {
            let outcome = Snapshot::decode(&changed(change), WALL);
            assert!(matches!(outcome, Err(Damage::Shape(_))), "{outcome:?}");
        }
    }

    #[test]
    fn age_and_order_are_no_change() {
        let (old, mut new) = (sample(), sample());
        new.outputs.reverse();
        new.outputs[0].on = Some((false, seconds(500)));
        assert!(new.agrees_with(&old));
        new.outputs[0].on = Some((true, seconds(500)));
        assert!(!new.agrees_with(&old));
    }

    proptest! {
        #[test]
        fn no_torn_or_changed_text_is_taken_for_another(at in 0..10_000usize, byte: u8, cut: bool) {
            let mut text = sample().encode(WALL);
            let at = at % (text.len() - 1);
            if cut {
                text.truncate(at);
                prop_assert!(Snapshot::decode(&text, WALL).is_err());
            } else {
                text[at] = byte;
                let outcome = Snapshot::decode(&text, WALL);
                prop_assert!(outcome.is_err() || outcome == Ok(sample()), "{outcome:?}");
            }
        }

        #[test]
        fn nothing_makes_the_reader_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Snapshot::decode(&text, WALL);
        }
    }
}
