//! Which daemon at the broker has which gateways, by their own retained words. Pure.
//!
//! This is a courtesy among daemons that mean well, not a lock: a broker keeps words, it does not judge them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// More daemons than any site has.
const OTHERS_MAX: usize = 256;

#[derive(Debug, Default)]
struct Other {
    online: bool,
    gateways: BTreeSet<String>,
    /// What it told, as a number by which two texts are told apart.
    told: u32,
}

/// What the other daemons say.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<String, Other>);

impl Claims {
    fn other(&mut self, instance: &str) -> Option<&mut Other> {
        if self.0.len() >= OTHERS_MAX && !self.0.contains_key(instance) {
            return None;
        }
        Some(self.0.entry(instance.to_owned()).or_default())
    }

    /// A daemon tells which gateways it has; what cannot be read claims nothing. True when it told otherwise before.
    pub(super) fn claim(&mut self, instance: &str, payload: &[u8]) -> bool {
        let told: Value = serde_json::from_slice(payload).unwrap_or_default();
        let gateways = told["gateways"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let gateways = gateways.map(str::to_owned).collect();
        let Some(other) = self.other(instance) else { return false };
        other.gateways = gateways;
        let told = crc32fast::hash(payload);
        std::mem::replace(&mut other.told, told) != told
    }

    /// A daemon comes or goes.
    pub(super) fn presence(&mut self, instance: &str, payload: &[u8]) {
        if let Some(other) = self.other(instance) {
            other.online = payload == b"online";
        }
    }

    /// The first of these gateways that a living daemon of another name has, and that name.
    pub(super) fn clash(&self, own: &str, gateways: &[String]) -> Option<(String, String)> {
        let living = self.0.iter().filter(|(instance, other)| *instance != own && other.online);
        living
            .flat_map(|(instance, other)| other.gateways.iter().map(move |gateway| (gateway, instance)))
            .find(|(gateway, _)| gateways.contains(gateway))
            .map(|(gateway, instance)| (gateway.clone(), instance.clone()))
    }

    /// Whether any other daemon, living or not, says that it has this gateway.
    pub(super) fn is_others(&self, own: &str, gateway: &str) -> bool {
        self.0.iter().any(|(instance, other)| instance != own && other.gateways.contains(gateway))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        let mut claims = Claims::default();
        claims.claim("attic", br#"{"gateways":["roof","home"]}"#);
        claims.presence("attic", b"online");
        claims.claim("cellar", br#"{"gateways":["pump"]}"#);
        claims
    }

    #[test]
    fn a_gateway_of_a_living_daemon_clashes() {
        let mut claims = claims();
        let home = ["home".to_owned()];
        assert_eq!(claims.clash("me", &home), Some(("home".into(), "attic".into())));
        assert_eq!(claims.clash("attic", &home), None);
        assert_eq!(claims.clash("me", &["pump".into()]), None, "the cellar was never seen alive");
        claims.presence("attic", b"offline");
        assert_eq!(claims.clash("me", &home), None);
        assert!(claims.is_others("me", "home") && !claims.is_others("attic", "home"));
    }

    #[test]
    fn nonsense_claims_nothing_and_takes_no_room() {
        let mut claims = claims();
        claims.claim("attic", &[b'x'; 12_000]);
        assert_eq!(claims.clash("me", &["home".into()]), None);
        assert!(!claims.claim("attic", &[b'x'; 12_000]), "the same again is no news");
        for n in 0..1000 {
            claims.claim(&n.to_string(), br#"{"gateways":["x"]}"#);
        }
        assert_eq!(claims.0.len(), OTHERS_MAX);
    }
}
