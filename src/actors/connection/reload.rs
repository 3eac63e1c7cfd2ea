//! Another config while the link is up: the link stays.

use actix::{Context, Handler};

use super::Connection;
use crate::actors::events::Reconfigure;
use crate::conbus::SerialNumber;
use crate::policy::BusError;
use crate::policy::outbox::OutboxPlan;

/// What another config changes of a connection.
#[derive(Debug)]
pub struct LinkPlan {
    /// Times and limits of the outbox.
    pub outbox: OutboxPlan,
    /// The bridge itself, when configured.
    pub bridge: Option<SerialNumber>,
}

impl Handler<Reconfigure<LinkPlan>> for Connection {
    type Result = Result<(), BusError>;

    fn handle(&mut self, plan: Reconfigure<LinkPlan>, _: &mut Context<Self>) -> Self::Result {
        let LinkPlan { outbox, bridge } = plan.0;
        self.outbox.reconfigure(outbox);
        self.liveness.with_bridge(bridge);
        Ok(())
    }
}
