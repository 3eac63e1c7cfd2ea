//! What the subcommands do.

pub mod check;
pub mod decode;
pub mod emulate;
pub mod monitor;
