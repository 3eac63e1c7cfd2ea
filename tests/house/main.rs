//! Claims about a house: the whole daemon but its sockets, on virtual time, against the emulated house in memory.

#![allow(clippy::unwrap_used, reason = "a failed test is the only reader")]
#![allow(missing_docs, reason = "tests are named, not documented")]

mod commands;
mod ensembles;
mod history;
mod links;
mod quiet;
mod reads;
mod reload;
mod restarts;
mod sharing;
mod storms;
mod support;
mod traffic;
