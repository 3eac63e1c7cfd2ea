//! `conbusd` keeps the state of a Conson XP ("Conbus") installation in memory and answers every reader at once.
//!
//! The guided tour, in reading order:
//!
//! 1. [`conbus`]: the bus's vocabulary, telegrams and what they are made of. Pure.
//! 2. [`policy`]: the decisions. Pure; the time is an argument, the next deadline a result.
//! 3. [`transport`]: the way to a gateway, and the decoder between bytes and telegrams.
//! 4. [`vault`]: where state is kept that outlives a restart.
//! 5. [`actors`]: thin shells around the policies that exchange messages; `actors.md` is their map.
//! 6. [`doors`]: HTTP and HomeKit today; each a pure translation and a thin server, fed by accessories only.
//! 7. [`config`]: from the text of `config.toml` to a checked configuration, every mistake told at once.
//! 8. [`app`]: the wiring, and the order in which everything stops.
//! 9. [`emulator`]: a stand-in house of modules that shares nothing with the daemon but the vocabulary.
//! 10. [`tools`]: what the subcommands do.
//! 11. [`cli`]: how they are called.

pub mod actors;
pub mod app;
pub mod cli;
pub mod conbus;
pub mod config;
pub mod doors;
pub mod emulator;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod policy;
pub mod tools;
pub mod transport;
pub mod vault;
