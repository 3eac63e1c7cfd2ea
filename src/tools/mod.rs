//! What the subcommands do.

pub mod check;
pub mod decode;
mod draft;
pub mod emulate;
pub mod import;
pub mod monitor;
mod writing;
