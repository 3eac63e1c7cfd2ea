//! The decisions of the daemon: pure. `now` is always an argument, the next deadline is a result.

mod accessory;
mod agenda;
mod backlog;
mod backoff;
mod facts;
pub mod figures;
pub mod group;
pub mod history;
pub mod interpret;
mod keeping;
mod liveness;
mod moment;
pub mod outbox;
mod places;
mod quality;
mod roster;
mod schedule;
pub mod settle;
mod snapshot;
pub mod store;
mod storm;
pub mod switch;
pub mod waits;

pub use accessory::AccessoryKind;
pub use agenda::Agenda;
pub use backlog::Backlog;
pub use backoff::{Backoff, BackoffPlan, BackoffPlanError};
pub use facts::{BusError, Freshness, GatewayId, Origin, Reading, Urgency};
pub use keeping::{Keeping, KeepingCounters, KeepingPlan, Remark};
pub use liveness::{Liveness, LivenessPlan, Verdict};
pub use moment::{Moment, earliest};
pub use quality::{Quality, Turned, is_taken};
pub use roster::{ModuleSnapshot, Roster, RosterEffect, RosterPlan};
pub use schedule::{ModulePlan, Schedule, SchedulePlan, Turn};
pub use snapshot::{Damage, Remembered, Snapshot};
pub use storm::{Storm, StormEffect, StormPlan};
