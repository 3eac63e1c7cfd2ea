//! What outlives a restart: who the bridges are, who is paired, and which number each accessory has for ever.
//!
//! Numbers of accessories that left the config are kept, so that nobody else ever gets them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};

use super::bytes_as_hex::{self, hex};
use super::code::{random_code, random_device_id, random_setup_id};
use super::keys::{Draw, Identity, draw_bytes};
use super::model::{BRIDGE_AID, MEMBERS_MAX};
use super::pairings::Controller;

/// The first word of the file.
const FORMAT: &str = "conbusd-homekit-1";

/// Who one bridge is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BridgeState {
    /// `XX:XX:XX:XX:XX:XX`.
    pub(super) device_id: String,
    /// Four characters for the picture of the setup code.
    pub(super) setup_id: String,
    /// The setup code that was drawn; one in the config goes before it.
    pub(super) code: String,
    #[serde(with = "bytes_as_hex")]
    secret: [u8; 32],
    /// The number of the database, `c#`.
    pub(super) config_number: u16,
    /// Of the database that has this number.
    fingerprint: String,
    /// Wrong codes since the last right one.
    pub(super) wrong_codes: u32,
    /// Who is paired.
    pub(super) controllers: Vec<Controller>,
}

impl BridgeState {
    fn new(draw: Draw) -> Self {
        Self {
            device_id: random_device_id(draw),
            setup_id: random_setup_id(draw),
            code: random_code(draw),
            secret: draw_bytes(draw),
            config_number: 1,
            fingerprint: String::new(),
            wrong_codes: 0,
            controllers: Vec::new(),
        }
    }

    /// The keys of this bridge.
    pub(super) fn identity(&self) -> Identity {
        Identity::new(self.device_id.clone(), &self.secret)
    }

    /// Whether somebody is paired.
    pub(super) fn is_paired(&self) -> bool {
        !self.controllers.is_empty()
    }

    /// The database is this one; true when it is another than before, and so has another number.
    pub(super) fn note_database(&mut self, fingerprint: String) -> bool {
        if self.fingerprint == fingerprint {
            return false;
        }
        if !self.fingerprint.is_empty() {
            // 65535 is followed by 1, by the specification.
            self.config_number = self.config_number.checked_add(1).unwrap_or(1);
        }
        self.fingerprint = fingerprint;
        true
    }
}

/// Where an accessory is, and what its module said of itself last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// Behind which bridge, from 0.
    pub(super) bridge: usize,
    /// Its number.
    pub(super) aid: u64,
    /// The type of its module.
    pub(super) model: Option<String>,
    /// The version of its module's software.
    pub(super) firmware: Option<String>,
}

/// Everything that is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// The bridges, in the order of their ports.
    pub(super) bridges: Vec<BridgeState>,
    /// Every accessory there ever was, by its configured id.
    pub(super) places: BTreeMap<String, Place>,
    next_aid: u64,
}

/// Why a stored text is not trusted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Damage {
    /// The first line is not ours.
    #[error("it does not begin like one")]
    Heading,
    /// The rest does not belong to the first line.
    #[error("its checksum is wrong")]
    Checksum,
    /// The rest has not the shape it should.
    #[error("{0}")]
    Shape(String),
}

impl State {
    /// Nobody is paired and nothing has a number.
    pub(super) fn new(draw: Draw) -> Self {
        Self { bridges: vec![BridgeState::new(draw)], places: BTreeMap::new(), next_aid: BRIDGE_AID + 1 }
    }

    /// Makes every bridge a new one.
    pub(super) fn renew(&mut self, draw: Draw) {
        for bridge in &mut self.bridges {
            *bridge = BridgeState::new(draw);
        }
    }

    /// The text that is kept.
    pub(super) fn encode(&self) -> Vec<u8> {
        let body = serde_json::to_string_pretty(self).expect("plain values have a text");
        format!("{FORMAT} {}\n{body}\n", checksum(body.trim_end())).into_bytes()
    }

    /// Reads what was kept.
    pub(super) fn decode(text: &[u8]) -> Result<Self, Damage> {
        let text = std::str::from_utf8(text).map_err(|_| Damage::Heading)?;
        let (heading, body) = text.split_once('\n').ok_or(Damage::Heading)?;
        let (format, sum) = heading.split_once(' ').ok_or(Damage::Heading)?;
        if format != FORMAT {
            return Err(Damage::Heading);
        }
        if sum != checksum(body.trim_end()) {
            return Err(Damage::Checksum);
        }
        let state: Self = serde_json::from_str(body).map_err(|error| Damage::Shape(error.to_string()))?;
        if state.bridges.is_empty() || state.places.values().any(|place| place.bridge >= state.bridges.len())
        {
            return Err(Damage::Shape("a bridge is missing".into()));
        }
        Ok(state)
    }

    /// Gives every configured accessory its bridge and number; those that have them keep them.
    pub(super) fn settle(&mut self, configured: &[&str], draw: Draw) {
        while !self.settle_here(configured).is_empty() {
            self.bridges.push(BridgeState::new(draw));
        }
    }

    /// The same with the bridges there are; returns those that they have no room for.
    pub(super) fn settle_here<'a>(&mut self, configured: &[&'a str]) -> Vec<&'a str> {
        let mut members = vec![0; self.bridges.len()];
        let (mut homeless, mut left) = (Vec::new(), Vec::new());
        for id in configured {
            match self.places.get(*id) {
                Some(place) if members[place.bridge] < MEMBERS_MAX => members[place.bridge] += 1,
                _ => homeless.push(*id),
            }
        }
        for id in homeless {
            let Some(bridge) = members.iter().position(|count| *count < MEMBERS_MAX) else {
                left.push(id);
                continue;
            };
            members[bridge] += 1;
            let place = Place { bridge, aid: self.next_aid, model: None, firmware: None };
            self.next_aid += 1;
            self.places.insert(id.to_owned(), place);
        }
        left
    }
}

fn checksum(body: &str) -> String {
    hex(&Sha512::digest(body)[..16])
}

#[cfg(test)]
mod tests {
    use super::super::keys::system_draw;
    use super::*;

    fn aids(state: &State, ids: &[&str]) -> Vec<(usize, u64)> {
        ids.iter().map(|id| (state.places[*id].bridge, state.places[*id].aid)).collect()
    }

    fn settled(ids: &[&str]) -> State {
        let mut state = State::new(system_draw);
        state.settle(ids, system_draw);
        state
    }

    #[test]
    fn order_and_insertion_change_nobodys_number() {
        let mut state = settled(&["a", "b", "c"]);
        let before = aids(&state, &["a", "b", "c"]);
        state.settle(&["x", "c", "a", "y", "b"], system_draw);
        assert_eq!(aids(&state, &["a", "b", "c"]), before);
        assert_eq!(aids(&state, &["x", "y"]), [(0, 5), (0, 6)]);
    }

    #[test]
    fn a_number_is_never_given_again() {
        let mut state = settled(&["a", "b"]);
        state.settle(&["a"], system_draw);
        state.settle(&["a", "c"], system_draw);
        assert_eq!(aids(&state, &["a", "c"]), [(0, 2), (0, 4)]);
        state.settle(&["a", "b", "c"], system_draw);
        assert_eq!(aids(&state, &["b"]), [(0, 3)]);
    }

    #[test]
    fn a_large_house_gets_a_second_bridge_and_keeps_its_rooms() {
        let ids: Vec<String> = (0..200).map(|n| format!("lamp{n}")).collect();
        let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut state = settled(&ids);
        assert_eq!(state.bridges.len(), 2);
        assert_ne!(state.bridges[0].device_id, state.bridges[1].device_id);
        let before = aids(&state, &ids);
        assert_eq!(before.iter().filter(|(bridge, _)| *bridge == 0).count(), MEMBERS_MAX);
        ids.reverse();
        state.settle(&ids, system_draw);
        ids.reverse();
        assert_eq!(aids(&state, &ids), before);
    }

    #[test]
    fn the_number_of_the_database_grows_only_when_it_changed() {
        let mut bridge = BridgeState::new(system_draw);
        assert!(bridge.note_database("one".into()));
        assert_eq!((bridge.note_database("one".into()), bridge.config_number), (false, 1));
        assert_eq!((bridge.note_database("two".into()), bridge.config_number), (true, 2));
        bridge.config_number = u16::MAX;
        bridge.note_database("three".into());
        assert_eq!(bridge.config_number, 1);
    }

    #[test]
    fn what_is_kept_comes_back_and_damage_is_seen() {
        let mut state = settled(&["a"]);
        state.bridges[0].controllers.push(Controller::new(b"phone", &[1; 32], true).unwrap());
        let text = state.encode();
        assert_eq!(State::decode(&text), Ok(state));
        for place in (0..text.len() - 1).step_by(7) {
            let mut damaged = text.clone();
            damaged[place] ^= 1;
            assert!(State::decode(&damaged).is_err(), "{place}");
        }
        for length in [0, 5, 40, text.len() / 2] {
            assert!(State::decode(&text[..length]).is_err());
        }
    }
}
