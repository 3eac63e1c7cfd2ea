//! The MQTT door against a real mosquitto, with daemons and emulated gateways as processes of their own.
//!
//! `tests/run` brings the broker; it listens on a free loopback port and ends with its test.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test is the only reader; a skip is said"
)]
#![allow(missing_docs, reason = "tests are named, not documented")]

mod broker;
mod described;
mod ensembles;
mod fleet;
mod lost;
mod schema;
mod secured;
mod spoken;
mod told;

#[path = "../daemon/programs.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod programs;
