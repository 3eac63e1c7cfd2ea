//! What the subcommands do.

pub mod decode;
