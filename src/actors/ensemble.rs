//! Several accessories as one: a group, or a scene. To a door it is an accessory like any other.
//!
//! Hears: [`GetState`], [`SetTarget`], [`Identify`] (doors), [`AccessoryChanged`] (its members). Asks its members, and
//! the connection of a scene that is an event of the bus; tells the doors what it shows.

use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, WrapFuture};
use actix::{ResponseActFuture, ResponseFuture, SpawnHandle};
use futures_util::future::join_all;
use log::{debug, info, warn};

use super::accessory::Accessory;
use super::connection::Connection;
use super::events::{
    AccessoryChanged, AccessoryId, Drain, Exchange, Follow, GetState, Identify, Invalidate, Measure, Name,
    Observe, Reread, SetTarget,
};
use super::{Outlet, ask, now, tell};
use crate::conbus::{Edge, Event, EventBus, EventSource, Percent, SerialNumber};
use crate::policy::figures::Sheet;
use crate::policy::group::{Member, together};
use crate::policy::switch::{AccessoryState, Cause, Target, Until};
use crate::policy::{BusError, Freshness, Urgency};

/// Every member may change in one turn of the bus, and doors ask as they ask an accessory.
const MAILBOX: usize = 256;

/// How long a member may take to answer a reader: it gives up before.
const READ_WITHIN: Duration = Duration::from_millis(3600);

/// How long a member may take to answer a writer: it gives up before.
const WRITE_WITHIN: Duration = Duration::from_millis(5500);

/// How long a scene shows that it was called: a switch that falls back to off.
const SHOWN_FOR: Duration = Duration::from_secs(1);

/// How long after an event its modules have switched: the event, the action, the report (protocol reference 7.2).
const EVENT_EFFECT: Duration = Duration::from_millis(150);

/// How long to wait before what found no room is told again.
const AGAIN: Duration = Duration::from_millis(100);

/// A member of a group.
#[derive(Clone, Debug)]
pub struct Part {
    /// By which it tells its changes.
    pub id: AccessoryId,
    /// Whether it has a brightness.
    pub dims: bool,
    /// Whom to ask.
    pub addr: Addr<Accessory>,
}

/// What several accessories are together.
pub enum Role {
    /// One switch for all.
    Group(Vec<Part>),
    /// A wish for each.
    Scene(Vec<(Addr<Accessory>, Target)>),
    /// An event that modules know what to do at.
    Event {
        /// Where the bus is.
        connection: Addr<Connection>,
        /// What is pressed.
        input: EventSource,
        /// The modules that may switch then.
        drives: Vec<SerialNumber>,
        /// To the cache: what is known of them may be wrong.
        invalidate: Outlet<Invalidate>,
    },
}

/// What an ensemble is built from.
pub struct EnsemblePlan {
    /// By which it tells its changes.
    pub id: AccessoryId,
    /// Its configured id.
    pub name: Name,
    /// What it is.
    pub role: Role,
    /// Learn of changes.
    pub doors: Vec<Outlet<AccessoryChanged>>,
}

/// The actor. See the module.
pub struct Ensemble {
    plan: EnsemblePlan,
    members: Vec<Member>,
    state: AccessoryState,
    /// The doors, by place, that missed a change.
    untold: Vec<bool>,
    /// Modules that are yet to be read again.
    doubtful: Vec<SerialNumber>,
    again: Option<SpawnHandle>,
    falls_back: Option<SpawnHandle>,
    /// How often it was called.
    calls: u64,
}

impl Ensemble {
    /// An ensemble that knows nothing of its members yet.
    pub fn new(plan: EnsemblePlan) -> Self {
        let members: Vec<Member> = match &plan.role {
            Role::Group(parts) => parts.iter().map(|part| Member::new(part.dims)).collect(),
            Role::Scene(_) | Role::Event { .. } => Vec::new(),
        };
        let state = match &plan.role {
            Role::Group(_) => together(&members),
            Role::Scene(_) | Role::Event { .. } => scene_state(false),
        };
        let untold = vec![false; plan.doors.len()];
        Self { plan, members, state, untold, doubtful: Vec::new(), again: None, falls_back: None, calls: 0 }
    }

    fn parts(&self) -> &[Part] {
        if let Role::Group(parts) = &self.plan.role { parts } else { &[] }
    }

    /// From now on this member tells its changes.
    fn follow(&mut self, at: usize, ctx: &mut Context<Self>) {
        let Some(part) = self.parts().get(at) else { return };
        let asked = ask(&part.addr, Follow(ctx.address().recipient()), READ_WITHIN);
        ctx.spawn(asked.into_actor(self).map(move |outcome, this: &mut Self, ctx| match outcome {
            Ok(state) => this.learn(at, state, Cause::Bus, ctx),
            // It is gone, and so is this ensemble: another config made another one.
            Err(BusError::Stopping) => {}
            Err(_) => {
                ctx.run_later(AGAIN, move |this, ctx| this.follow(at, ctx));
            }
        }));
    }

    fn learn(&mut self, at: usize, state: AccessoryState, cause: Cause, ctx: &mut Context<Self>) {
        let Some(member) = self.members.get_mut(at) else { return };
        member.state = state;
        let shown = together(&self.members);
        self.show(shown, cause, ctx);
    }

    fn show(&mut self, state: AccessoryState, cause: Cause, ctx: &mut Context<Self>) {
        let is_new = state.shown() != self.state.shown();
        self.state = state;
        if !is_new {
            return;
        }
        debug!(target: "ensemble", "shows id={} on={:?} freshness={:?}", self.plan.name, state.on, state.freshness);
        self.untold.fill(true);
        self.tell_doors(cause, ctx);
    }

    fn tell_doors(&mut self, cause: Cause, ctx: &mut Context<Self>) {
        let fact = AccessoryChanged { id: self.plan.id, state: self.state, cause };
        for (door, untold) in self.plan.doors.iter_mut().zip(&mut self.untold) {
            *untold = *untold && !tell(door, fact);
        }
        if let Role::Event { invalidate, .. } = &mut self.plan.role {
            self.doubtful
                .retain(|serial| !tell(invalidate, Invalidate { serial: *serial, reread: Reread::Now }));
        }
        let is_due = self.untold.contains(&true) || !self.doubtful.is_empty();
        if is_due && self.again.is_none() {
            self.again = Some(ctx.run_later(AGAIN, |this, ctx| {
                this.again = None;
                this.tell_doors(Cause::Bus, ctx);
            }));
        }
    }

    /// A scene was called: it shows so for a moment.
    fn called(&mut self, cause: Cause, ctx: &mut Context<Self>) {
        self.calls += 1;
        info!(target: "ensemble", "scene called id={}", self.plan.name);
        if let Some(before) = self.falls_back.take() {
            ctx.cancel_future(before);
        }
        self.show(scene_state(true), cause, ctx);
        self.falls_back = Some(ctx.run_later(SHOWN_FOR, |this, ctx| {
            this.falls_back = None;
            this.show(scene_state(false), Cause::Bus, ctx);
        }));
    }

    /// Press and release, one right behind the other; then the modules that may have switched are read again.
    fn press(
        &self,
        connection: &Addr<Connection>,
        input: EventSource,
    ) -> impl Future<Output = Result<(), BusError>> + use<> {
        debug!(target: "ensemble", "press id={} input={input}", self.plan.name);
        let exchange = |edge| Exchange {
            telegram: Event { bus: EventBus::Xp, source: input, edge }.into(),
            urgency: Urgency::Command,
            deadline: now() + WRITE_WITHIN,
            taken: None,
        };
        let make = ask(connection, exchange(Edge::Make), WRITE_WITHIN);
        let release = ask(connection, exchange(Edge::Break), WRITE_WITHIN);
        async move {
            let pressed = make.await;
            release.await.and(pressed).map(|_| ())
        }
    }

    fn effects(&mut self, outcome: Result<(), BusError>, ctx: &mut Context<Self>) {
        let Role::Event { drives, .. } = &self.plan.role else { return };
        if outcome.is_err() {
            return;
        }
        let drives = drives.clone();
        ctx.run_later(EVENT_EFFECT, move |this, ctx| {
            this.doubtful = drives;
            this.tell_doors(Cause::Bus, ctx);
        });
    }
}

/// A scene has no state: it shows for a moment that it was called.
fn scene_state(called: bool) -> AccessoryState {
    AccessoryState { on: Some(called), freshness: Freshness::Fresh, ..AccessoryState::UNKNOWN }
}

fn to_members(
    wishes: &[(&Addr<Accessory>, Target)],
    until: Until,
    client: u64,
) -> impl Future<Output = Result<Vec<AccessoryState>, BusError>> + use<> {
    // All at once: the outbox paces them, and tells who finds no room.
    let wish = |(addr, target): &(&Addr<Accessory>, Target)| {
        ask(*addr, SetTarget { target: *target, until, client }, WRITE_WITHIN)
    };
    let asked: Vec<_> = wishes.iter().map(wish).collect();
    async move { join_all(asked).await.into_iter().collect() }
}

fn joined(dims: Vec<bool>, states: Vec<AccessoryState>) -> AccessoryState {
    let members: Vec<Member> =
        dims.into_iter().zip(states).map(|(dims, state)| Member { dims, state }).collect();
    together(&members)
}

impl Actor for Ensemble {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        for at in 0..self.members.len() {
            self.follow(at, ctx);
        }
    }
}

impl Handler<AccessoryChanged> for Ensemble {
    type Result = ();

    fn handle(&mut self, changed: AccessoryChanged, ctx: &mut Context<Self>) {
        let at = self.parts().iter().position(|part| part.id == changed.id);
        if let Some(at) = at {
            self.learn(at, changed.state, changed.cause, ctx);
        }
    }
}

impl Handler<GetState> for Ensemble {
    type Result = ResponseFuture<Result<AccessoryState, BusError>>;

    fn handle(&mut self, get: GetState, _: &mut Context<Self>) -> Self::Result {
        if self.members.is_empty() {
            let state = self.state;
            return Box::pin(async move { Ok(state) });
        }
        // Asked, not remembered: so members are used, and a reader who insists is answered by the bus.
        let asked: Vec<_> = self.parts().iter().map(|part| ask(&part.addr, get, READ_WITHIN)).collect();
        let dims = self.members.iter().map(|member| member.dims).collect();
        Box::pin(async move {
            let states: Result<Vec<_>, _> = join_all(asked).await.into_iter().collect();
            Ok(joined(dims, states?))
        })
    }
}

impl Handler<SetTarget> for Ensemble {
    type Result = ResponseActFuture<Self, Result<AccessoryState, BusError>>;

    fn handle(&mut self, set: SetTarget, ctx: &mut Context<Self>) -> Self::Result {
        let SetTarget { target, until, client } = set;
        if let Role::Group(parts) = &self.plan.role {
            debug!(target: "ensemble", "wanted id={} on={:?} level={:?}", self.plan.name, target.on, target.level);
            let dims: Vec<bool> = parts.iter().map(|part| part.dims).collect();
            let wishes: Vec<_> =
                parts.iter().map(|part| (&part.addr, Member::wish(part.dims, target))).collect();
            let done = to_members(&wishes, until, client);
            let done = async move { Ok(joined(dims, done.await?)) };
            return Box::pin(done.into_actor(self));
        }
        let called = target.on.or(target.level.map(|level| level != Percent::OFF)) == Some(true);
        if !called {
            let state = self.state;
            return Box::pin(async move { Ok(state) }.into_actor(self));
        }
        self.called(Cause::Client(client), ctx);
        let done: std::pin::Pin<Box<dyn Future<Output = Result<(), BusError>>>> = match &self.plan.role {
            Role::Event { connection, input, .. } => Box::pin(self.press(connection, *input)),
            Role::Scene(steps) => {
                let wishes: Vec<_> = steps.iter().map(|(addr, target)| (addr, *target)).collect();
                let done = to_members(&wishes, until, client);
                Box::pin(async move { done.await.map(|_| ()) })
            }
            Role::Group(_) => Box::pin(async { Ok(()) }),
        };
        Box::pin(done.into_actor(self).map(|outcome, this: &mut Self, ctx: &mut Context<Self>| {
            if let Err(error) = outcome {
                warn!(target: "ensemble", "scene is not complete id={} error={error:?}", this.plan.name);
            }
            this.effects(outcome, ctx);
            outcome.map(|()| scene_state(true))
        }))
    }
}

impl Handler<Identify> for Ensemble {
    type Result = ResponseFuture<Result<AccessoryState, BusError>>;

    fn handle(&mut self, identify: Identify, _: &mut Context<Self>) -> Self::Result {
        let asked: Vec<_> = self.parts().iter().map(|part| ask(&part.addr, identify, WRITE_WITHIN)).collect();
        let state = self.state;
        Box::pin(async move {
            let states: Result<Vec<_>, _> = join_all(asked).await.into_iter().collect();
            states.map(|_| state)
        })
    }
}

impl Handler<Observe> for Ensemble {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        Ok(serde_json::json!({
            "id": &*self.plan.name,
            "on": self.state.on,
            "freshness": self.state.freshness,
            "members": self.members.len(),
            "calls_total": self.calls,
            "changes_untold": self.untold.iter().filter(|untold| **untold).count(),
        }))
    }
}

impl Handler<Measure> for Ensemble {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        // What its members show is on their sheets.
        Ok(Sheet::default())
    }
}

impl Handler<Drain> for Ensemble {
    type Result = Result<(), BusError>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        ctx.stop();
        Ok(())
    }
}
