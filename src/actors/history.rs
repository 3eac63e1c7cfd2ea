//! The history: puts together who did what to which accessory, and what came of it.
//!
//! Hears: [`Wished`] (doors), [`PassedOn`] (the shared port), [`AccessoryChanged`] (accessories), [`TelegramSeen`]
//! (listeners), [`Reconfigure`] (the app). Asks nobody and decides nothing; what it misses is missing.

use actix::{Actor, ActorContext, Addr, Context, Handler};

use super::events::{
    AccessoryChanged, Direction, Drain, Observe, PassedOn, Recall, Reconfigure, TelegramSeen, Wished,
};
use super::now;
use crate::policy::BusError;
use crate::policy::history::{Entry, Furniture, History as Ring, HistoryPlan};

/// A storm's 200 telegrams between two turns, every output of a large house, and headroom.
const MAILBOX: usize = 1024;

/// Where a door tells wishes and asks what happened.
pub type HistoryAddr = Addr<History>;

/// The actor. See the module.
pub struct History {
    ring: Ring,
}

impl History {
    /// A history of nothing yet.
    pub fn new(plan: HistoryPlan) -> Self {
        Self { ring: Ring::new(plan) }
    }
}

impl Actor for History {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Reconfigure<Furniture>> for History {
    type Result = Result<(), BusError>;

    fn handle(&mut self, told: Reconfigure<Furniture>, _: &mut Context<Self>) -> Self::Result {
        self.ring.furnish(told.0);
        Ok(())
    }
}

impl Handler<Wished> for History {
    type Result = Result<(), BusError>;

    fn handle(&mut self, wished: Wished, _: &mut Context<Self>) -> Self::Result {
        self.ring.wished(wished.wish, now());
        Ok(())
    }
}

impl Handler<AccessoryChanged> for History {
    type Result = ();

    fn handle(&mut self, changed: AccessoryChanged, _: &mut Context<Self>) {
        self.ring.changed(changed.id.0, &changed.state, changed.cause, now());
    }
}

impl Handler<PassedOn> for History {
    type Result = ();

    fn handle(&mut self, passed: PassedOn, _: &mut Context<Self>) {
        self.ring.passed_on(passed.passed, now());
    }
}

impl Handler<TelegramSeen> for History {
    type Result = ();

    fn handle(&mut self, seen: TelegramSeen, _: &mut Context<Self>) {
        self.ring.telegram(seen.gateway, seen.direction == Direction::Sent, &seen.telegram, seen.at);
    }
}

impl Handler<Recall> for History {
    type Result = Result<Vec<Entry>, BusError>;

    fn handle(&mut self, recall: Recall, _: &mut Context<Self>) -> Self::Result {
        Ok(self.ring.recall(recall.accessory.map(|id| id.0), recall.limit))
    }
}

impl Handler<Observe> for History {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        Ok(serde_json::json!({"entries": self.ring.len(), "bytes": self.ring.bytes()}))
    }
}

impl Handler<Drain> for History {
    type Result = Result<(), BusError>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        ctx.stop();
        Ok(())
    }
}
