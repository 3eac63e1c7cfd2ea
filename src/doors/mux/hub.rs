//! The actor that hears what goes by on the bus and passes it to the desk.
//!
//! Hears: [`TelegramSeen`] (listeners), [`LinkChanged`] (connections). Tells nobody.

use std::rc::Rc;

use actix::{Actor, ActorContext, Context, Handler};

use super::server::Desk;
use crate::actors::events::{Direction, Drain, LinkChanged, LinkState, Measure, Observe, TelegramSeen};
use crate::policy::BusError;
use crate::policy::figures::Sheet;

/// A storm's 200 telegrams between two turns, and headroom.
const MAILBOX: usize = 512;

/// The actor. See the module.
pub struct Hub {
    pub(super) desk: Rc<Desk>,
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<TelegramSeen> for Hub {
    type Result = ();

    fn handle(&mut self, seen: TelegramSeen, _: &mut Context<Self>) {
        if seen.gateway != self.desk.gateway {
            return;
        }
        self.desk.turn(|port, now, effects| match seen.direction {
            Direction::Received => port.heard(&seen.telegram, effects),
            Direction::Sent => port.written(&seen.telegram, now, effects),
        });
    }
}

impl Handler<LinkChanged> for Hub {
    type Result = ();

    fn handle(&mut self, changed: LinkChanged, _: &mut Context<Self>) {
        if changed.gateway == self.desk.gateway {
            self.desk.turn(|port, _, _| port.link(changed.state == LinkState::Up));
        }
    }
}

impl Handler<Observe> for Hub {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        Ok(self.desk.picture())
    }
}

impl Handler<Measure> for Hub {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        Ok(self.desk.measure())
    }
}

impl Handler<Drain> for Hub {
    type Result = Result<(), BusError>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        ctx.stop();
        Ok(())
    }
}
