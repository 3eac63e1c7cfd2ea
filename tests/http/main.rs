//! Claims about the HTTP door: the whole daemon behind it, the emulated house in memory, real sockets on loopback.

#![allow(clippy::unwrap_used, reason = "a failed test is the only reader")]
#![allow(clippy::print_stdout, reason = "a test that lacks what it needs says so")]
#![allow(missing_docs, reason = "tests are named, not documented")]

mod api;
mod document;
mod ending;
mod events;
mod figures;
mod history;
mod hostile;
mod page;
mod support;
