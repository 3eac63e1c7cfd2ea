//! The decisions of the daemon: pure. `now` is always an argument, the next deadline is a result.

mod accessory;
mod moment;

pub use accessory::AccessoryKind;
pub use moment::{Moment, earliest};
