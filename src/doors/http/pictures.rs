//! What the actors tell of themselves, as clients see it: the objects that are sent, and so described. Pure.
//!
//! An actor gives a picture, which is JSON; what is promised of it has a field here, with its meaning. A gateway and
//! the whole may tell more than that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::actors::events::LinkState;

/// A module: as configured, and what it told of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct ModuleObject {
    /// Its serial number.
    #[schema(pattern = "^[0-9]{10}$")]
    pub serial: String,
    /// The id of its gateway.
    pub gateway: String,
    /// The name of its type by the config.
    #[serde(rename = "type")]
    pub module_type: String,
    /// Its link number by the config.
    #[schema(maximum = 99)]
    pub link: u8,
    /// How many outputs it has.
    #[schema(maximum = 8)]
    pub outputs: u8,
    /// The name of the type that it tells itself.
    #[schema(required)]
    pub reported_type: Option<String>,
    /// The link number that it tells itself.
    #[schema(required)]
    pub reported_link: Option<u8>,
    /// The version of its software.
    #[schema(required)]
    pub software_version: Option<String>,
    /// Its temperature in tenths of a degree Celsius, if it has a thermometer and was asked.
    #[schema(required)]
    pub temperature_tenths: Option<i16>,
    /// Whether it left the last question unanswered and was not heard since.
    pub silent: bool,
    /// Whether it reports its outputs by itself.
    #[schema(required)]
    pub auto_report: Option<bool>,
    /// Its fault code, 0 when healthy.
    #[schema(required)]
    pub error_code: Option<u8>,
    /// The datapoints that it said it does not have, two characters each.
    pub refused: Vec<String>,
    /// Whether it repeats itself and is muted.
    pub storming: bool,
    /// Since anything was heard of it.
    #[schema(required)]
    pub last_heard_ms: Option<u64>,
    /// The ids of the accessories on it.
    pub accessories: Vec<String>,
}

/// A gateway. The totals are missing while its actors are too busy to tell them.
#[derive(Serialize, ToSchema)]
pub(super) struct GatewayObject {
    /// Its configured id.
    pub id: String,
    /// Where it is.
    pub address: String,
    /// Whether it is connected.
    pub link: LinkState,
    /// What its connection and its listener tell.
    #[serde(flatten)]
    #[schema(value_type = GatewayTotals)]
    pub told: Map<String, Value>,
}

/// What is promised of a connection and its listener; there is more.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes; the picture itself is passed on")]
pub(super) struct GatewayTotals {
    /// Why there is no link, or why the one before ended while this one has not spoken yet; `bus busy` first when
    /// another client may have the gateway.
    reason: Option<String>,
    /// Whether more than a twentieth of what was heard in the last minute was no telegram.
    degraded: Option<bool>,
    /// Times that it was connected.
    connects_total: Option<u64>,
    /// Telegrams written.
    telegrams_sent_total: Option<u64>,
    /// Telegrams heard.
    telegrams_received_total: Option<u64>,
    /// Pieces heard that were no telegram.
    noise_total: Option<u64>,
    /// Reads that joined an equal one.
    exchanges_joined_total: Option<u64>,
    /// Telegrams that were not answered in time.
    timeouts_total: Option<u64>,
    /// Times that a module began to repeat itself.
    storms_total: Option<u64>,
    /// What such modules said and nobody was told.
    storm_telegrams_dropped_total: Option<u64>,
    /// Telegrams that found no room on the way to a door.
    telegrams_unshown_total: Option<u64>,
}

/// What is promised of the cache.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes; the picture itself is passed on")]
pub(super) struct CacheTotals {
    /// Outputs of which something is known.
    entries: u64,
    /// Reads that were answered at once by what is fresh.
    hits_total: u64,
    /// Reads that found something old.
    stale_total: u64,
    /// Reads that found nothing.
    misses_total: u64,
    /// Outputs forgotten to make room.
    evictions_total: u64,
    /// Outputs no longer vouched for by their age.
    expirations_total: u64,
    /// Replies that might have been older than what was known.
    updates_refused_total: u64,
}

/// What is promised of the poller.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes; the picture itself is passed on")]
pub(super) struct PollerTotals {
    /// Whether it asks anything.
    running: bool,
    /// Modules that were used recently.
    active_modules: u64,
    /// Reads that it asked for.
    refreshes_total: u64,
}

/// The picture of an actor, or how it is in a word: `busy` or `stopped`.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes; the picture itself is passed on")]
pub(super) enum CachePicture {
    /// What it told.
    Told(CacheTotals),
    /// It did not.
    Word(String),
}

/// The picture of an actor, or how it is in a word: `busy` or `stopped`.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes; the picture itself is passed on")]
pub(super) enum PollerPicture {
    /// What it told.
    Told(PollerTotals),
    /// It did not.
    Word(String),
}

/// What the daemon tells of itself.
#[derive(Serialize, ToSchema)]
pub(super) struct StatusObject {
    /// What the installation is called.
    pub name: String,
    /// Which version runs.
    pub version: &'static str,
    /// In the order of the config.
    pub gateways: Vec<GatewayObject>,
    /// The cache.
    #[schema(value_type = CachePicture)]
    pub cache: Value,
    /// The poller.
    #[schema(value_type = PollerPicture)]
    pub poller: Value,
    /// What outlives a restart, and how writing it went.
    pub state: Value,
    /// The shared port; null when it is closed.
    pub mux: Value,
    /// How the config was read last.
    pub reload: Value,
    /// This door.
    #[schema(value_type = Object)]
    pub http: Value,
    /// The MQTT door; null when it is closed.
    pub mqtt: Value,
    /// Each actor in a word: `ok`, `busy` or `stopped`.
    pub actors: BTreeMap<String, &'static str>,
}

/// The HomeKit door: its bridges, who is paired, how to pair.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HomeKitObject {
    /// Whether it is open.
    pub open: bool,
    /// Connections of controllers.
    pub sessions: u64,
    /// Its bridges.
    pub bridges: Vec<BridgeObject>,
}

/// A HomeKit bridge.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BridgeObject {
    /// What it is called.
    name: String,
    /// Its id, `XX:XX:XX:XX:XX:XX`.
    device_id: String,
    /// How to pair it; null once somebody is paired.
    #[schema(required)]
    setup: Option<SetupObject>,
    /// Who is paired.
    controllers: Vec<ControllerObject>,
}

/// How to pair a bridge.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetupObject {
    /// The code for people.
    #[schema(pattern = "^[0-9]{3}-[0-9]{2}-[0-9]{3}$")]
    code: String,
    /// The text of the picture, an address of a scheme of its own.
    uri: String,
    /// How many squares the picture has on a side.
    side: u64,
    /// The dark squares, as the path of an SVG drawing.
    path: String,
}

/// A paired controller.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ControllerObject {
    /// What it calls itself.
    name: String,
    /// Whether it may add and remove others.
    admin: bool,
}
