//! What the subcommands do.

pub mod answers;
pub mod check;
pub mod decode;
pub mod discover;
mod draft;
pub mod emulate;
pub mod import;
pub mod init;
mod line;
pub mod monitor;
mod writing;
