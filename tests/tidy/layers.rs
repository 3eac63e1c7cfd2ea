//! Who may import whom: `crate::` paths, in tests too.

use crate::paths::{self, Named};
use crate::source::{Finding, Source};

/// Each part of the tree and the parts it may name besides itself.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("conbus", &[]),
    ("policy", &["conbus"]),
    ("config", &["policy", "conbus"]),
    ("transport", &["conbus"]),
    ("vault", &[]),
    ("actors", &["policy", "transport", "vault", "conbus"]),
    ("doors", &["actors", "vault", "conbus", "policy"]),
    ("emulator", &["conbus"]),
    ("fuzzing", &["tools", "config", "doors", "policy", "conbus"]),
    ("tools", &["app", "config", "policy", "transport", "emulator", "conbus"]),
    ("app", &["config", "doors", "actors", "policy", "transport", "vault", "emulator", "conbus"]),
    ("cli", &["config", "emulator"]),
    ("main", &["cli", "app", "config", "tools", "emulator", "policy", "conbus"]),
    ("lib", &[]),
];

/// The plain values of `policy` that a door may name: what messages to and from accessories carry, how to dial, figures,
/// and what the history tells.
const DOOR_VALUES: &[&str] = &[
    "AccessoryKind",
    "AccessoryState",
    "Backoff",
    "BackoffPlan",
    "BusError",
    "Cause",
    "figures",
    "Freshness",
    "history",
    "Moment",
    "Origin",
    "Target",
    "Until",
    "Want",
];

/// What the shared port, which speaks telegrams, may name besides.
const MUX_VALUES: &[&str] = &["GatewayId", "Urgency", "earliest"];

/// Paths with one owner: the path, the files that may name it, and why.
const OWNED: &[(&str, &str, &[&str], &str)] = &[
    ("src/actors/", "crate::transport", &["connection"], "only the connection owns a socket to the bus"),
    ("src/actors/", "crate::vault", &["keeper"], "only the keeper writes the state down"),
    ("src/actors/", "crate::policy::store::Store", &["cache"], "only the cache owns the store"),
    ("src/actors/", "crate::policy::Store", &["cache"], "only the cache owns the store"),
    ("src/doors/", "crate::actors::connection", &["mux"], "doors talk to accessories"),
    ("src/doors/", "crate::actors::listener", &["mux"], "doors talk to accessories"),
    ("src/doors/", "crate::actors::cache", &[], "doors talk to accessories"),
    ("src/doors/", "crate::actors::poller", &[], "doors talk to accessories"),
    ("src/doors/", "crate::conbus::Datapoint", &["mux"], "doors know accessories, not datapoints"),
];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let layer = layer_of(&source.path);
    let Some((_, below)) = MAY_NAME.iter().find(|(name, _)| *name == layer) else {
        let advice =
            format!("`{layer}` has no place among the layers: give it a row in tests/tidy/layers.rs");
        return vec![Finding::file(&source.path, advice)];
    };
    paths::of(source).iter().filter_map(|named| judge(source, layer, below, named)).collect()
}

fn judge(source: &Source, layer: &str, below: &[&str], named: &Named) -> Option<Finding> {
    let segments = named.segments();
    if !matches!(segments[0], "crate" | "conbusd") || segments.len() < 2 {
        return None;
    }
    let target = segments[1];
    let is_layer = MAY_NAME.iter().any(|(name, _)| *name == target);
    let what = if is_layer && target != layer && !below.contains(&target) {
        format!(
            "`{}`: {layer} may name only [{}]; pass a value in or move the code",
            named.path,
            below.join(", ")
        )
    } else if layer == "doors" && target == "policy" && !is_door_value(&segments, &source.path) {
        format!("`{}`: a door may name only {DOOR_VALUES:?} of policy; ask an accessory instead", named.path)
    } else {
        owned(&source.path, &named.path)?
    };
    Some(Finding::line(&source.path, source.line(named.at), what))
}

fn is_door_value(segments: &[&str], file: &str) -> bool {
    let more = if file.starts_with("src/doors/mux/") { MUX_VALUES } else { &[] };
    segments[2..].iter().any(|segment| DOOR_VALUES.contains(segment) || more.contains(segment))
}

fn owned(file: &str, path: &str) -> Option<String> {
    let path = path.replacen("conbusd::", "crate::", 1);
    let (_, _, _, why) = OWNED.iter().find(|(folder, prefix, owners, _)| {
        let is_named =
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        let place = file.strip_prefix(folder).map(|place| place.split(['/', '.']).next().unwrap_or_default());
        is_named && place.is_some_and(|place| !owners.contains(&place))
    })?;
    Some(format!("`{path}`: {why}; send it a message"))
}

/// The first part of the path under `src/`: a folder, or a file of its own.
fn layer_of(path: &str) -> &str {
    path.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default()
}

#[cfg(test)]
fn findings(path: &str, text: &str) -> usize {
    check(&Source::new(path, text)).len()
}

#[test]
fn importing_upwards_is_found() {
    for (path, text) in [
        ("src/conbus/frame.rs", "use crate::policy::Moment;"),
        ("src/policy/store.rs", "use super::super::config::Config;"),
        ("src/policy/store.rs", "#[cfg(test)] mod tests { use crate::actors::now; }"),
        ("src/config/raw.rs", "fn f() { crate::app::assemble() }"),
        ("src/transport.rs", "use crate::{policy, conbus};"),
        ("src/actors/cache.rs", "use crate::config::Config;"),
        ("src/actors/cache.rs", "use crate::transport::Dial;"),
        ("src/actors/poller.rs", "use crate::policy::store::{Store, Want};"),
        ("src/doors/http/server.rs", "use crate::policy::Outbox;"),
        ("src/doors/http/server.rs", "use crate::policy::Urgency;"),
        ("src/doors/http/server.rs", "use crate::actors::cache::Read;"),
        ("src/doors/http/server.rs", "use crate::config::Config;"),
        ("src/emulator/server.rs", "use crate::policy::Moment;"),
        ("src/main.rs", "use conbusd::actors::now;"),
        ("src/gadgets.rs", ""),
    ] {
        assert_eq!(findings(path, text), 1, "{path}: {text}");
    }
}

#[test]
fn importing_downwards_is_fine() {
    for (path, text) in [
        ("src/policy/store.rs", "use crate::conbus::Point; use super::Moment; use crate::policy::roster;"),
        ("src/actors/connection.rs", "use crate::{transport::Dial, policy::Outbox};"),
        ("src/actors/cache.rs", "use crate::policy::store::Store;"),
        ("src/actors/events.rs", "use crate::policy::store::Want;"),
        (
            "src/doors/http/server.rs",
            "use crate::policy::{AccessoryKind, Moment}; use crate::actors::accessory;",
        ),
        ("src/doors/mux/server.rs", "use crate::actors::connection::Exchange; use crate::policy::Urgency;"),
        ("src/lib.rs", "pub mod app;"),
        ("src/main.rs", "use conbusd::app; use std::fs;"),
    ] {
        assert_eq!(findings(path, text), 0, "{path}: {text}");
    }
}
