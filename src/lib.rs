//! `conbusd` keeps the state of a Conson XP ("Conbus") installation in memory and answers every reader at once.

pub mod actors;
pub mod conbus;
pub mod config;
pub mod doors;
pub mod emulator;
pub mod policy;
pub mod tools;
pub mod transport;
