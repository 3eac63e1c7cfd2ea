//! The fault suite on real sockets: the rows of the fault table that have a wire, against the daemon as a process of its
//! own, each with its bound.
//!
//! | # | fault | where it is tested on real sockets |
//! |---|---|---|
//! | 1 | half-open gateway | `bus`: five queries and 2 s; 30 s of silence and 2 s |
//! | 2 | RST, FIN within a frame | `bus`: halves of two connections; `house`: `resets_in_the_middle_of_frames_lose_no_truth` |
//! | 3 | split and merged frames | `bus`: one segment, single bytes; `house`: `single_bytes_and_noise_on_the_wire_make_no_difference` |
//! | 4 | garbage | `bus`: between frames; every byte sequence: fuzz target `splitter` |
//! | 5 | wrong checksum | `bus`: one, and so many that the link is degraded |
//! | 6 | frame without an end | `bus`: a megabyte of it |
//! | 7 | storm of an XP33 | `bus`: 1000 a second |
//! | 8 | lost reply | `bus` |
//! | 9 | late reply | `bus`; every order: `tests/model.rs` |
//! | 10, 11 | strangers, replies nobody asked for | `bus` |
//! | 15 | refusal, second client taken | `bus`; nobody listens: `house` |
//! | 16 | two connections, two daemons | `bus` (every test counts), `command_line`: `a_second_daemon_…` |
//! | 18 | process stopped and continued | `bus`: no burst; what lay unread is old |
//! | 22 | slow HTTP and HomeKit clients | `clients`; with shorter times `tests/http/hostile.rs`, `tests/http/events.rs` |
//! | 23 | guessing at the setup code | `doors/homekit/tests/sockets.rs` |
//! | 24 | replayed or tampered record | `doors/homekit/tests/sockets.rs`; fuzz target `record` |
//! | 25, 26 | broker gone or still; retained commands | `tests/mqtt/lost.rs`, `tests/mqtt/spoken.rs` |
//! | 27, 28, 29 | full disk, `kill -9`, torn state | `survival`, `doors/homekit/tests/killed.rs`, `tests/house/restarts.rs` |
//! | 30 | reload of a bad file | `reload` |
//! | 31 | 1000 accessories | `large` |
//! | 32 | slowloris, oversized, too many sockets | `clients`; with shorter times `tests/http/hostile.rs` |
//! | 33 | strangers at the door | `tests/http/hostile.rs`, `doors/homekit/tests/wire.rs` |
//! | 36 | no file numbers left | `clients`; that a name is looked up at each dial (`src/transport.rs`), no test shows |
//! | 34, 35 | panic, TERM | `supervision`, `command_line` |
//!
//! Rows without a wire (12 to 14, 17, 19 to 21, 37) are of `tests/simulation.rs`, `tests/house` and `tests/model.rs`.

mod bus;
mod clients;
mod gateway;
mod large;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;

/// Gives an emulated house an order on a connection of its own.
fn order(control: &str, order: &Value) -> Value {
    let mut stream = TcpStream::connect(control).unwrap();
    stream.write_all(format!("{order}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}
