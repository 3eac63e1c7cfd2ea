//! Which topic is for what: their names, and what a topic that was heard means. Pure.
//!
//! Every name has exactly one author: those below `bridge/<instance>` this daemon, those below a gateway's id the
//! one daemon that has the gateway.

use crate::conbus::{OutputIndex, Point, SerialNumber};

/// What stands where a gateway's id stands elsewhere; no gateway may be called so.
pub(super) const BRIDGE: &str = "bridge";

/// The names of everything.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    /// The first part of every topic.
    pub(super) base: String,
    /// Where Home Assistant looks for descriptions.
    pub(super) prefix: String,
    /// By which this daemon differs from others at the broker.
    pub(super) instance: String,
}

/// What a topic that was heard is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route<'a> {
    /// Home Assistant comes and goes.
    Birth,
    /// Somebody asks this daemon for something.
    Request(&'a str),
    /// A daemon tells which gateways it has.
    Claim(&'a str),
    /// A daemon comes or goes.
    Presence(&'a str),
    /// A command for the group or scene with this id.
    Call(&'a str),
    /// A command for an output behind this gateway.
    Set(&'a str, Point),
}

impl Topics {
    fn bridge(&self, last: &str) -> String {
        format!("{}/{BRIDGE}/{}/{last}", self.base, self.instance)
    }

    /// Whether this daemon is at the broker: its will.
    pub(super) fn state(&self) -> String {
        self.bridge("state")
    }

    /// Who this daemon is, and which gateways it has.
    pub(super) fn about(&self) -> String {
        self.bridge("info")
    }

    /// How it fares.
    pub(super) fn health(&self) -> String {
        self.bridge("health")
    }

    /// Where a request is made.
    pub(super) fn request(&self, verb: &str) -> String {
        self.bridge(&format!("request/{verb}"))
    }

    /// Where it is answered.
    pub(super) fn response(&self, verb: &str) -> String {
        self.bridge(&format!("response/{verb}"))
    }

    /// Whether the link to a gateway is up.
    pub(super) fn gateway(&self, gateway: &str) -> String {
        format!("{}/{gateway}/gateway/availability", self.base)
    }

    /// Whether a module answers.
    pub(super) fn module(&self, gateway: &str, serial: SerialNumber) -> String {
        format!("{}/{gateway}/{serial}/availability", self.base)
    }

    /// What a module tells of itself.
    pub(super) fn telemetry(&self, gateway: &str, serial: SerialNumber) -> String {
        format!("{}/{gateway}/{serial}/telemetry", self.base)
    }

    /// What an output does.
    pub(super) fn output(&self, gateway: &str, point: Point) -> String {
        format!("{}/{gateway}/{}/output/{}", self.base, point.serial, point.output.get())
    }

    /// What it is to do.
    pub(super) fn set(&self, gateway: &str, point: Point) -> String {
        self.output(gateway, point) + "/set"
    }

    /// What a group shows: it is this daemon's, whatever its members are behind.
    pub(super) fn ensemble(&self, id: &str) -> String {
        self.bridge(&format!("ensemble/{id}"))
    }

    /// What a group or scene is to do.
    pub(super) fn call(&self, id: &str) -> String {
        self.ensemble(id) + "/set"
    }

    /// What a button does.
    pub(super) fn input(&self, gateway: &str, serial: SerialNumber, input: u8) -> String {
        format!("{}/{gateway}/{serial}/input/{input}", self.base)
    }

    /// The description of a device for Home Assistant.
    pub(super) fn description(&self, device: &str) -> String {
        format!("{}/device/{device}/config", self.prefix)
    }

    /// What is to be heard, no two of them the same message. A part of `gateways` is a gateway's id.
    pub(super) fn subscriptions(&self, gateways: &[String]) -> Vec<String> {
        let base = &self.base;
        let mut filters = vec![
            format!("{base}/{BRIDGE}/+/info"),
            format!("{base}/{BRIDGE}/+/state"),
            self.request("+"),
            self.call("+"),
            format!("{}/status", self.prefix),
        ];
        filters.extend(gateways.iter().map(|gateway| format!("{base}/{gateway}/+/output/+/set")));
        filters
    }

    /// What this topic is for; nothing when it is none of ours.
    pub(super) fn read<'a>(&self, topic: &'a str) -> Option<Route<'a>> {
        if topic.strip_prefix(self.prefix.as_str()) == Some("/status") {
            return Some(Route::Birth);
        }
        let rest = topic.strip_prefix(self.base.as_str())?.strip_prefix('/')?;
        let parts: Vec<&str> = rest.split('/').collect();
        match parts[..] {
            [BRIDGE, instance, "info"] => Some(Route::Claim(instance)),
            [BRIDGE, instance, "state"] => Some(Route::Presence(instance)),
            [BRIDGE, instance, "request", verb] if instance == self.instance => Some(Route::Request(verb)),
            [BRIDGE, instance, "ensemble", id, "set"] => {
                (instance == self.instance).then_some(Route::Call(id))
            }
            [gateway, serial, "output", output, "set"] => {
                let output = output.parse().ok().and_then(OutputIndex::new)?;
                Some(Route::Set(gateway, Point { serial: serial.parse().ok()?, output }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Topics { base: "home/conbus".into(), prefix: "homeassistant".into(), instance: "attic".into() }
    }

    fn point() -> Point {
        Point { serial: "0012345004".parse().unwrap(), output: OutputIndex::new(2).unwrap() }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let topics = topics();
        assert_eq!(topics.set("ground", point()), "home/conbus/ground/0012345004/output/2/set");
        assert_eq!(topics.read(&topics.set("ground", point())), Some(Route::Set("ground", point())));
        assert_eq!(topics.read(&topics.call("salon")), Some(Route::Call("salon")));
        assert_eq!(topics.read(&topics.request("refresh")), Some(Route::Request("refresh")));
        assert_eq!(topics.read("home/conbus/bridge/cellar/info"), Some(Route::Claim("cellar")));
        assert_eq!(topics.read(&topics.state()), Some(Route::Presence("attic")));
        assert_eq!(topics.read("homeassistant/status"), Some(Route::Birth));
    }

    #[test]
    fn what_is_not_ours_is_nothing() {
        for topic in [
            "",
            "home/conbus",
            "home/conbus/",
            "home/conbusx/ground/0012345004/output/2/set",
            "home/conbus/ground/0012345004/output/2",
            "home/conbus/ground/0012345004/output/9/set",
            "home/conbus/ground/0012345004/output/-1/set",
            "home/conbus/ground/12/output/1/set",
            "home/conbus/bridge/cellar/request/refresh",
            "home/conbus/bridge/attic/request/a/b",
            "homeassistant/statusx",
        ] {
            assert_eq!(topics().read(topic), None, "{topic}");
        }
    }

    #[test]
    fn no_two_subscriptions_hear_the_same() {
        let filters = topics().subscriptions(&["ground".into(), "first".into()]);
        for topic in [
            topics().set("ground", point()),
            topics().set("first", point()),
            topics().request("refresh"),
            topics().state(),
            topics().about(),
            "homeassistant/status".into(),
        ] {
            let hits = filters.iter().filter(|filter| {
                let (filter, topic): (Vec<_>, Vec<_>) =
                    (filter.split('/').collect(), topic.split('/').collect());
                filter.len() == topic.len()
                    && filter.iter().zip(&topic).all(|(filter, part)| *filter == "+" || filter == part)
            });
            assert_eq!(hits.count(), 1, "{topic}");
        }
    }
}
