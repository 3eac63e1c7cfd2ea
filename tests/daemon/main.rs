//! The binary itself, on real sockets and real time: start, stop, exit codes, latency, faults of the cable.

#![allow(clippy::unwrap_used, reason = "a failed test is the only reader")]
#![allow(missing_docs, reason = "tests are named, not documented")]

mod captures;
mod command_line;
mod faults;
mod house;
mod killed;
mod latency;
mod moving;
mod programs;
mod reload;
mod supervision;
mod survival;
