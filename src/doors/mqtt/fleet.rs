//! Every daemon at a broker, by the words that they left there: for `conbusd fleet`.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use super::BrokerPlan;
use super::link::{BrokerDial, Dial as _, Heard, LinkError};
use super::topics::BRIDGE;

/// How long the broker may take altogether.
const WITHIN: Duration = Duration::from_secs(10);

/// Retained words come at once; after this much silence there are no more.
const QUIET: Duration = Duration::from_millis(700);

/// More than any site has; a broker that talks without end is not listened to without end.
const TOPICS_MAX: usize = 10_000;

/// Why the list cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The broker does not let us in, or is not there.
    #[error("cannot ask the broker: {0}")]
    Broker(String),
}

impl From<LinkError> for FleetError {
    fn from(error: LinkError) -> Self {
        Self::Broker(error.to_string())
    }
}

/// What the daemons left at the broker.
#[derive(Debug, Default)]
pub struct Fleet {
    states: BTreeMap<String, String>,
    abouts: BTreeMap<String, Value>,
    links: BTreeMap<String, String>,
}

/// Asks a broker which daemons there are. Call it inside a local task set.
pub async fn fleet(plan: BrokerPlan, base: &str) -> Result<Fleet, FleetError> {
    let client = format!("conbusd-fleet-{:08x}", fastrand::u32(..));
    let dial = BrokerDial { plan, client, will: None };
    let late = |_| FleetError::Broker(format!("no answer within {WITHIN:?}"));
    let mut session = tokio::time::timeout(WITHIN, dial.dial()).await.map_err(late)??;
    let filters = [format!("{base}/{BRIDGE}/+/info"), format!("{base}/{BRIDGE}/+/state")];
    session.subscribe([&filters[..], &[format!("{base}/+/gateway/availability")]].concat())?;
    let mut fleet = Fleet::default();
    let listening = async {
        let mut is_listening = false;
        loop {
            let patience = if is_listening { QUIET } else { WITHIN };
            match tokio::time::timeout(patience, session.next()).await {
                Ok(heard) => match heard? {
                    Heard::Message { topic, payload, .. } => fleet.note(base, &topic, &payload),
                    Heard::Listening => is_listening = true,
                    Heard::Acknowledged => {}
                },
                Err(_) => return Ok::<bool, LinkError>(is_listening),
            }
        }
    };
    // One who goes on talking has said enough by then.
    if !tokio::time::timeout(WITHIN, listening).await.unwrap_or(Ok(true))? {
        return Err(FleetError::Broker(format!("no answer within {WITHIN:?}")));
    }
    session.leave().await;
    Ok(fleet)
}

impl Fleet {
    fn note(&mut self, base: &str, topic: &str, payload: &[u8]) {
        if self.states.len() + self.abouts.len() + self.links.len() >= TOPICS_MAX {
            return;
        }
        let Some(rest) = topic.strip_prefix(base).and_then(|rest| rest.strip_prefix('/')) else { return };
        let word = || String::from_utf8_lossy(payload).into_owned();
        match rest.split('/').collect::<Vec<_>>()[..] {
            [BRIDGE, instance, "state"] => {
                self.states.insert(instance.to_owned(), word());
            }
            [BRIDGE, instance, "info"] => {
                let about = serde_json::from_slice(payload).unwrap_or_default();
                self.abouts.insert(instance.to_owned(), about);
            }
            [gateway, "gateway", "availability"] => {
                self.links.insert(gateway.to_owned(), word());
            }
            _ => {}
        }
    }

    fn gateways(about: &Value) -> Vec<&str> {
        about["gateways"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether the link of a gateway is up, as far as its daemon lives to say so.
    fn link(&self, instance: &str, gateway: &str) -> &str {
        if self.state(instance) != "online" {
            return "unknown";
        }
        match self.links.get(gateway).map(String::as_str) {
            Some("online") => "up",
            Some("offline") => "down",
            _ => "unknown",
        }
    }

    fn state(&self, instance: &str) -> &str {
        match self.states.get(instance).map(String::as_str) {
            Some("online") => "online",
            _ => "offline",
        }
    }

    /// The list as JSON.
    pub fn json(&self) -> Value {
        let instances = self.abouts.iter().map(|(instance, about)| {
            let gateways = Self::gateways(about).into_iter();
            let gateways: Vec<Value> = gateways
                .map(|gateway| json!({"id": gateway, "link": self.link(instance, gateway)}))
                .collect();
            json!({
                "instance": instance,
                "state": self.state(instance),
                "name": about["name"],
                "version": about["version"],
                "modules": about["modules"],
                "accessories": about["accessories"],
                "gateways": gateways,
            })
        });
        json!({"instances": instances.collect::<Vec<_>>()})
    }
}

impl fmt::Display for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<20} {:<8} {:<10} {:<20} gateways", "instance", "state", "version", "name")?;
        for (instance, about) in &self.abouts {
            let text = |key: &str| plain(about[key].as_str().unwrap_or("-"));
            let mut gateways = String::new();
            for gateway in Self::gateways(about) {
                let comma = if gateways.is_empty() { "" } else { ", " };
                write!(gateways, "{comma}{} ({})", plain(gateway), self.link(instance, gateway))?;
            }
            let (version, name) = (text("version"), text("name"));
            writeln!(
                f,
                "{:<20} {:<8} {version:<10} {name:<20} {gateways}",
                plain(instance),
                self.state(instance)
            )?;
        }
        Ok(())
    }
}

/// What a stranger wrote, without what a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_are_listed_with_their_gateways_and_a_dead_one_vouches_for_no_link() {
        let mut fleet = Fleet::default();
        let mut note = |topic: &str, payload: &str| fleet.note("conbus", topic, payload.as_bytes());
        note("conbus/bridge/attic/state", "online");
        note("conbus/bridge/attic/info", r#"{"version":"0.1.0","name":"Home","gateways":["roof"]}"#);
        note("conbus/bridge/cellar/info", r#"{"version":"0.2.0","gateways":["pump"]}"#);
        note("conbus/bridge/cellar/state", "offline");
        note("conbus/roof/gateway/availability", "online");
        note("conbus/pump/gateway/availability", "online");
        note("other/bridge/x/info", "{}");
        note("conbus/bridge/odd/info", "\u{1b}[2J");
        let instances = fleet.json()["instances"].clone();
        assert_eq!(instances[0]["gateways"], json!([{"id": "roof", "link": "up"}]));
        assert_eq!(
            (&instances[1]["state"], &instances[1]["gateways"][0]["link"]),
            (&json!("offline"), &json!("unknown"))
        );
        assert_eq!(instances.as_array().unwrap().len(), 3);
        let text = fleet.to_string();
        assert!(text.contains("roof (up)") && !text.contains('\u{1b}'), "{text}");
    }
}
