//! The decisions of the daemon: pure. `now` is always an argument, the next deadline is a result.

mod accessory;
mod agenda;
mod backoff;
mod facts;
<<<<<<< .merge_file_9ZlnjT
pub mod interpret;
mod moment;
pub mod outbox;
pub mod settle;
pub mod store;
pub mod switch;
=======
mod liveness;
mod moment;
mod roster;
mod schedule;
mod storm;
>>>>>>> .merge_file_wakNsU

pub use accessory::AccessoryKind;
pub use agenda::Agenda;
pub use backoff::{Backoff, BackoffPlan, BackoffPlanError};
pub use facts::{BusError, Freshness, GatewayId, Origin, Reading, Urgency};
pub use liveness::{Liveness, LivenessPlan, Verdict};
pub use moment::{Moment, earliest};
pub use roster::{ModuleSnapshot, Roster, RosterEffect, RosterPlan};
pub use schedule::{ModulePlan, Schedule, SchedulePlan, Turn};
pub use storm::{Storm, StormEffect, StormPlan};
