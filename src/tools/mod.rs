//! What the subcommands do.

pub mod check;
