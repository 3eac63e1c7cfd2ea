//! The keeper: writes down what should outlive the daemon.
//!
//! Looks at what the cache and the poller know and hands it to the vault when it is worth it; sole owner of the
//! vault. Nobody tells it facts, so it can never be behind. It refuses to know what a value means.

use std::future::Future;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, ResponseActFuture, WrapFuture,
};
use log::{debug, info, warn};

use super::cache::Cache;
use super::events::{CaptureOutputs, CaptureUse, Drain, Measure, Observe};
use super::poller::Poller;
use super::{Alarm, ask, now};
use crate::policy::figures::{Sheet, names};
use crate::policy::{BusError, Keeping, KeepingPlan, Remark, Snapshot};
use crate::vault::Vault;

/// Requests of one door for its picture, and a drain.
const MAILBOX: usize = 16;

/// How long the cache and the poller may take to tell what they know.
const CAPTURE_WITHIN: Duration = Duration::from_millis(500);

/// What a keeper is built from.
pub struct KeeperPlan {
    /// How often.
    pub keeping: KeepingPlan,
    /// Where.
    pub vault: Box<dyn Vault>,
    /// The time since 1970, for the ages after a restart.
    pub wall: fn() -> Duration,
}

/// The actor. See the module.
pub struct Keeper {
    keeping: Keeping,
    vault: Box<dyn Vault>,
    wall: fn() -> Duration,
    cache: Addr<Cache>,
    poller: Addr<Poller>,
    alarm: Alarm,
}

type Written = Option<(Snapshot, std::io::Result<()>)>;

impl Keeper {
    /// A keeper that begins with an interval of waiting.
    pub fn new(plan: KeeperPlan, cache: Addr<Cache>, poller: Addr<Poller>) -> Self {
        Self {
            keeping: Keeping::new(plan.keeping, now()),
            vault: plan.vault,
            wall: plan.wall,
            cache,
            poller,
            alarm: Alarm::default(),
        }
    }

    /// What is known now.
    fn capture(&self) -> impl Future<Output = Result<Snapshot, BusError>> + use<> {
        let outputs = ask(&self.cache, CaptureOutputs, CAPTURE_WITHIN);
        let used = ask(&self.poller, CaptureUse, CAPTURE_WITHIN);
        async move { Ok(Snapshot { outputs: outputs.await?, used: used.await? }) }
    }

    /// Looks, and writes when it is worth it.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let looked = self.capture().into_actor(self).then(|captured, this, _| this.write(captured));
        ctx.spawn(looked.map(|written, this: &mut Self, ctx| {
            this.note(written);
            this.arm(ctx);
        }));
    }

    fn write(
        &mut self,
        captured: Result<Snapshot, BusError>,
    ) -> impl actix::ActorFuture<Self, Output = Written> + use<> {
        let worth = match captured {
            Ok(snapshot) => self.keeping.looked(&snapshot, now()).then_some(snapshot),
            Err(error) => {
                debug!(target: "state", "cannot look at what is known error={error:?}");
                self.keeping.looked(&Snapshot::default(), now());
                None
            }
        };
        let saving = worth.map(|snapshot| (self.vault.save(snapshot.encode((self.wall)())), snapshot));
        async move {
            let (saving, snapshot) = saving?;
            Some((snapshot, saving.await))
        }
        .into_actor(self)
    }

    fn note(&mut self, written: Written) {
        let Some((snapshot, outcome)) = written else { return };
        let outputs = snapshot.outputs.len();
        match (self.keeping.written(snapshot, outcome.is_ok(), now()), outcome) {
            (Remark::Failing, Err(error)) => {
                warn!(target: "state", "cannot write the state, it is tried again error=\"{error}\"");
            }
            (Remark::Recovered(failures), _) => {
                info!(target: "state", "the state is written again failures={failures}");
            }
            (_, outcome) => debug!(target: "state", "wrote outputs={outputs} outcome={outcome:?}"),
        }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        self.alarm.set(Some(self.keeping.next_due()), ctx, |this: &mut Self, ctx| {
            this.alarm.rang();
            this.look(ctx);
        });
    }
}

impl Actor for Keeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.arm(ctx);
    }
}

impl Handler<Observe> for Keeper {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        Ok(serde_json::to_value(self.keeping.counters()).unwrap_or_default())
    }
}

impl Handler<Measure> for Keeper {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        let mut sheet = Sheet::default();
        let counters = self.keeping.counters();
        sheet.count(&names::STATE_WRITES, &["ok"], counters.saves_total);
        sheet.count(&names::STATE_WRITES, &["failed"], counters.save_failures_total);
        Ok(sheet)
    }
}

impl Handler<Drain> for Keeper {
    type Result = ResponseActFuture<Self, Result<(), BusError>>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> Self::Result {
        let captured = self.capture().into_actor(self);
        let written = captured.then(|captured, this, _| {
            this.keeping.closing();
            this.write(captured)
        });
        Box::pin(written.map(|written, this: &mut Self, ctx| {
            this.note(written);
            ctx.stop();
            Ok(())
        }))
    }
}
