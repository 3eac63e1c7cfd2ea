//! The decisions of the daemon: pure. `now` is always an argument, the next deadline is a result.

mod accessory;
mod agenda;
mod facts;
pub mod interpret;
mod moment;
pub mod outbox;
pub mod settle;
pub mod store;
pub mod switch;

pub use accessory::AccessoryKind;
pub use agenda::Agenda;
pub use facts::{BusError, Freshness, GatewayId, Origin, Reading, Urgency};
pub use moment::{Moment, earliest};
