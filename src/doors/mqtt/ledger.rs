//! Every retained topic that was ever published and not cleared, so that what is gone here disappears there. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The form of the text.
const VERSION: u32 = 1;

/// What outlives a restart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Ledger {
    version: u32,
    /// The name that was drawn at the first start, for when none is configured.
    pub(super) instance: String,
    /// Each topic with the gateway it belongs to; none is this daemon's own.
    topics: BTreeMap<String, Option<String>>,
    /// The parts of each device that Home Assistant was told of, with the platform of each.
    devices: BTreeMap<String, Parts>,
}

/// Topics with the gateway each belongs to.
pub(super) type Wanted = BTreeMap<String, Option<String>>;

/// The parts of a device, with the platform of each.
pub(super) type Parts = BTreeMap<String, String>;

impl Ledger {
    /// Nothing was published yet, under this name.
    pub(super) fn new(instance: String) -> Self {
        Self { version: VERSION, instance, topics: BTreeMap::new(), devices: BTreeMap::new() }
    }

    /// What was kept; the error says why it cannot be read.
    pub(super) fn decode(text: &[u8]) -> Result<Self, String> {
        let ledger: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if ledger.version != VERSION {
            return Err(format!("version {}, this daemon knows {VERSION}", ledger.version));
        }
        Ok(ledger)
    }

    /// As it is kept.
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// These are about to be published; true when that is news, and to be kept before it is done.
    pub(super) fn add(&mut self, wanted: &Wanted) -> bool {
        let before = self.topics.len();
        self.topics.extend(wanted.iter().map(|(topic, gateway)| (topic.clone(), gateway.clone())));
        self.topics.len() != before
    }

    /// Topics that stand there and are not wanted. Those of a gateway that is another daemon's now are his.
    pub(super) fn ghosts(&self, wanted: &Wanted, is_others: impl Fn(&str) -> bool) -> Vec<String> {
        let gone = self.topics.iter().filter(|(topic, _)| !wanted.contains_key(*topic));
        let ours = gone.filter(|(_, gateway)| !gateway.as_deref().is_some_and(&is_others));
        ours.map(|(topic, _)| topic.clone()).collect()
    }

    /// Everything else was cleared; true when that is news.
    pub(super) fn only(&mut self, wanted: &Wanted) -> bool {
        let before = self.topics.len();
        self.topics.retain(|topic, _| wanted.contains_key(topic));
        self.topics.len() != before
    }

    /// A device is about to be described with these parts: gives those that it had and has no longer.
    pub(super) fn parts(&mut self, device: &str, parts: &Parts) -> Parts {
        let known = self.devices.entry(device.to_owned()).or_default();
        known.extend(parts.clone());
        let gone = known.iter().filter(|(part, _)| !parts.contains_key(*part));
        gone.map(|(part, platform)| (part.clone(), platform.clone())).collect()
    }

    /// The devices have these parts and no others, and whoever listens was told; true when that is news.
    pub(super) fn only_parts(&mut self, devices: BTreeMap<String, Parts>) -> bool {
        let is_news = self.devices != devices;
        self.devices = devices;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(topics: &[(&str, Option<&str>)]) -> Wanted {
        topics.iter().map(|(topic, gateway)| ((*topic).into(), gateway.map(Into::into))).collect()
    }

    #[test]
    fn what_is_no_longer_wanted_is_a_ghost_until_it_was_cleared() {
        let mut ledger = Ledger::new("c1".into());
        assert!(ledger.add(&wanted(&[("a", None), ("b", Some("home"))])));
        assert!(!ledger.add(&wanted(&[("a", None)])));
        let now = wanted(&[("a", None), ("c", None)]);
        assert!(ledger.add(&now));
        let kept = Ledger::decode(&ledger.encode()).unwrap();
        assert_eq!(kept.ghosts(&now, |_| false), ["b"]);
        assert!(ledger.only(&now));
        assert!(ledger.ghosts(&now, |_| false).is_empty() && !ledger.only(&now));
    }

    #[test]
    fn topics_of_a_gateway_that_moved_to_another_daemon_are_his() {
        let mut ledger = Ledger::new("c1".into());
        ledger.add(&wanted(&[("a", Some("attic")), ("b", Some("home"))]));
        assert_eq!(ledger.ghosts(&Wanted::new(), |gateway| gateway == "attic"), ["b"]);
    }

    #[test]
    fn a_part_that_a_device_lost_is_known_until_it_was_told() {
        let mut ledger = Ledger::new("c1".into());
        let parts =
            |names: &[&str]| -> Parts { names.iter().map(|name| ((*name).into(), "light".into())).collect() };
        assert_eq!(ledger.parts("d", &parts(&["light_0", "light_1"])), Parts::new());
        assert_eq!(ledger.parts("d", &parts(&["light_1"])), parts(&["light_0"]));
        let now = BTreeMap::from([("d".to_owned(), parts(&["light_1"]))]);
        assert!(ledger.only_parts(now.clone()) && !ledger.only_parts(now));
        assert_eq!(ledger.parts("d", &parts(&["light_1"])), Parts::new());
    }

    #[test]
    fn a_text_of_somebody_else_is_refused() {
        assert!(Ledger::decode(b"").is_err());
        assert!(Ledger::decode(b"{}").is_err());
        let newer = br#"{"version":2,"instance":"c","topics":{},"devices":{}}"#;
        assert!(Ledger::decode(newer).unwrap_err().contains("version 2"));
    }
}
