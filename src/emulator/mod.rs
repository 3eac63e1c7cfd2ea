//! A stand-in house of Conbus modules behind a gateway, as close to the real thing as is known.
//!
//! [`House`] is the whole of it and pure: modules, the bus with its timing, faults, which client is connected;
//! time is an argument and the next deadline is a result. [`Emulator`] is the thin shell around it that has
//! sockets and a clock. It shares only the vocabulary of the bus with the daemon, none of its behaviour.

mod bus;
pub mod capture;
pub mod control;

mod faults;
mod gateway;
mod house;
mod ledger;
mod module;
mod server;
mod setup;
#[cfg(test)]
mod tests;
mod timing;

pub use faults::{Dose, Fault, FaultKind};
pub use gateway::{Arrival, ClientId, Ending, Outgoing};
pub use house::House;
pub use ledger::{Counters, Direction, Passed};
pub use server::Emulator;
pub use setup::{Dialect, DirectSwitching, HouseSetup, ModuleSetup, SecondClient};
pub use timing::Timing;
