//! The names under which figures are exported, with what they say.
//!
//! Names and labels follow the habits of Prometheus: the program's prefix, base units, `_total` for what only rises.

use super::{Family, Kind};

/// Times on the bus: an exchange takes about 50 ms and is given up after 300.
pub const ON_THE_BUS: &[f64] = &[0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0];

/// Times before the bus: nothing when it is free, seconds when the house is read.
pub const IN_THE_QUEUE: &[f64] = &[0.001, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// Times that a person waits for a lamp: below a tenth of a second it is at once, a writer is told after five.
pub const FOR_A_LAMP: &[f64] = &[0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0];

/// Times of a door that answers from memory, or waits for a lamp.
pub const AT_A_DOOR: &[f64] = &[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// How long storms last: a second when a probe ends them, minutes when none does.
pub const STORMS: &[f64] = &[1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

macro_rules! families {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $id: Family =
                Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*

        /// All of them.
        pub static ALL: &[&Family] = &[$(&$id),*];
    };
}

families! {
    BUILD: Info "conbusd_build_info" ["version", "commit"] "Which version runs";

    CONNECTED: Gauge "conbusd_gateway_connected" ["gateway"] "Whether the gateway is connected";
    RECONNECTS: Counter "conbusd_gateway_reconnects_total" ["gateway", "reason"]
        "Links made anew, by what ended the one before";
    RECEIVED: Counter "conbusd_telegrams_received_total" ["gateway", "type"] "Telegrams heard on the bus";
    SENT: Counter "conbusd_telegrams_sent_total" ["gateway", "origin"] "Telegrams written, by what they were for";
    INVALID: Counter "conbusd_telegrams_invalid_total" ["gateway", "reason"] "Pieces heard that were no telegram";
    REQUEST_TIME: Histogram "conbusd_request_duration_seconds" ["gateway", "function"]
        "From writing a telegram to its answer";
    REQUEST_TIMEOUTS: Counter "conbusd_request_timeouts_total" ["gateway", "module"]
        "Telegrams to a module that were not answered in time";
    BUSY: Counter "conbusd_bus_busy_seconds_total" ["gateway"] "Time that exchanges of the daemon took of the bus";
    COALESCED: Counter "conbusd_requests_coalesced_total" ["gateway"] "Reads that joined an equal one before it was written";
    QUEUE: Gauge "conbusd_queue_depth" ["gateway", "priority"] "Telegrams that wait to be written";
    QUEUE_TIME: Histogram "conbusd_queue_wait_seconds" ["gateway"] "From asking for an answered telegram to its writing";

    CACHE_REQUESTS: Counter "conbusd_cache_requests_total" ["result"] "Reads of the cache, by what they found";
    CACHE_ENTRIES: Gauge "conbusd_cache_entries" [] "Outputs of which something is known";
    CACHE_EVICTIONS: Counter "conbusd_cache_evictions_total" ["reason"]
        "Outputs forgotten to make room (capacity) or no longer vouched for by age (ttl)";
    CACHE_REFUSED: Counter "conbusd_cache_updates_refused_total" []
        "Replies that were not stored because they might have been older than what was known";
    STATE_AGE: Gauge "conbusd_state_age_seconds" ["gateway", "module"]
        "Time since an accessory of the module was last observed, the longest of them";

    AVAILABLE: Gauge "conbusd_module_available" ["gateway", "module"]
        "Whether the module was heard on this link and left nothing unanswered since";
    ERROR_CODE: Info "conbusd_module_error_code_info" ["gateway", "module", "code"]
        "The fault code that the module told last, 00 when healthy";
    TEMPERATURE: Gauge "conbusd_module_temperature_celsius" ["gateway", "module"]
        "The temperature that the module told last, where it has a thermometer";
    STORMS_SEEN: Counter "conbusd_bus_storms_total" ["gateway", "module"] "Times that a module began to repeat itself";
    STORM_TIME: Histogram "conbusd_bus_storm_recovery_seconds" ["gateway"]
        "From the beginning of a storm to the release of its module";

    ON: Gauge "conbusd_output_on" ["gateway", "module", "output"] "Whether the output is on, as shown";
    LEVEL: Gauge "conbusd_output_level_ratio" ["gateway", "module", "output"]
        "The level of a dimmer's output, as shown, 0 to 1";
    CONFIRM_TIME: Histogram "conbusd_command_to_confirm_seconds" ["gateway"]
        "From the last wish for an accessory to the proof that it is so";
    UNCONFIRMED: Counter "conbusd_commands_unconfirmed_total" ["gateway"] "Wishes that ended without a proof";

    FACTS_LOST: Counter "conbusd_facts_lost_total" ["gateway"] "News between actors that found no room";
    UNSHOWN: Counter "conbusd_telegrams_unshown_total" ["gateway"]
        "Telegrams that found no room on the way to a door, which shows fewer";
    STATE_WRITES: Counter "conbusd_state_writes_total" ["result"] "Times that the state was written to its file";

    HOMEKIT_PAIRINGS: Gauge "conbusd_homekit_pairings" [] "Controllers that are paired";
    HOMEKIT_SESSIONS: Gauge "conbusd_homekit_sessions" [] "Connections of controllers";
    HOMEKIT_TIME: Histogram "conbusd_homekit_request_duration_seconds" []
        "From a whole request of a controller to its answer";

    MQTT_CONNECTED: Gauge "conbusd_mqtt_connected" [] "Whether the MQTT door is open at its broker";
    MQTT_MESSAGES: Counter "conbusd_mqtt_messages_total" ["direction"]
        "Commands that came from the broker (in), messages given to it (out)";
    MQTT_DROPPED: Counter "conbusd_mqtt_messages_dropped_total"
        [] "Events and answers that found no room on the way to the broker, or no broker";

    MUX_CLIENTS: Gauge "conbusd_proxy_clients" ["gateway"] "Clients of the shared port";
    MUX_TELEGRAMS: Counter "conbusd_proxy_telegrams_total" ["gateway", "fate"] "Telegrams of shared-port clients, by what became of them";
    MUX_DENIED: Counter "conbusd_proxy_clients_denied_total" ["gateway", "reason"] "Shared-port clients not let in or cut off";

    HTTP_REQUESTS: Counter "conbusd_http_requests_total" [] "Requests answered by the HTTP door";
    HTTP_CONNECTIONS: Gauge "conbusd_http_connections" [] "Connections of the HTTP door";
    HTTP_REFUSED: Counter "conbusd_http_connections_refused_total" [] "Connections closed at once because there were too many";
    HTTP_WRONG_TOKENS: Counter "conbusd_http_wrong_tokens_total" [] "Requests with a wrong token";
    HTTP_STREAMS: Gauge "conbusd_http_event_streams" [] "Event streams that are followed";

    CPU: Counter "process_cpu_seconds_total" [] "Processor time used";
    MEMORY: Gauge "process_resident_memory_bytes" [] "Memory that is resident";
    OPEN_FILES: Gauge "process_open_fds" [] "Open files and sockets";
    STARTED: Gauge "process_start_time_seconds" [] "When the daemon started, in seconds since 1970";
}
