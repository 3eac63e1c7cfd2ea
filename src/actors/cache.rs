//! The cache: sole owner of the store.
//!
//! Every update passes through this mailbox; there is no lock anywhere. Hears: [`Read`] (accessories),
//! [`Refresh`] (poller), [`Invalidate`] and all observations (listeners), [`LinkChanged`], [`NewsLost`]
//! (connections). Asks connections to read; tells accessories [`PointChanged`]. A [`Reconfigure`] brings other modules,
//! accessories and times.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, Context, Handler, Response};
use futures_util::FutureExt as _;
use log::debug;
use tokio::sync::oneshot;

use super::answers::{Answers, Awaits, await_answer};
use super::connection::Connection;
use super::events::{
    CaptureOutputs, Drain, Exchange, Invalidate, LinkChanged, LinkState, Measure, NewsLost, Observe,
    PointChanged, PointCommanded, PointDoubtful, PointObserved, Read, Reconfigure, Refresh, Reread,
};
use super::{Alarm, Outlet, ask, now, tell};
use crate::conbus::{Point, SerialNumber, System};
use crate::policy::figures::Sheet;
use crate::policy::outbox::Delivered;
use crate::policy::settle::Aspect;
use crate::policy::store::{Effect, ModulePlan, Observation, Outcome, Store, StorePlan, Token};
use crate::policy::{BusError, GatewayId, Reading, Remembered, Urgency, earliest};

/// Eight facts a reply, from several gateways, while every accessory reads: 1024 is a second of a busy bus. A turn of
/// the poller for each module comes on top, and so one for each output: when the gateways of a large house come up
/// together, it tells thousands of turns at once, and what is heard meanwhile must find room.
const MAILBOX: usize = 1024;

/// How long a fetch may take in the outbox and on the bus: three tries and a full queue before them.
const FETCH_WITHIN: Duration = Duration::from_secs(10);

/// How long to wait before a change that found no room is told again.
const TELL_AGAIN: Duration = Duration::from_millis(100);

/// The actor. See the module.
pub struct Cache {
    store: Store,
    connections: Vec<Addr<Connection>>,
    accessories: HashMap<Point, Outlet<PointChanged>>,
    waiting: BTreeMap<Token, oneshot::Sender<Result<Reading, BusError>>>,
    /// Changes that found no room.
    untold: BTreeSet<Point>,
    /// From before a restart; taken in when the actor starts.
    restored: Vec<Remembered>,
    /// The reads of the bus under way.
    fetches: Answers<Fetched>,
    alarm: Alarm,
    effects: Vec<Effect>,
}

/// How a read of the bus ended; `None`: nobody waits for it by itself.
type Fetched = Option<(SerialNumber, Aspect, Result<(), BusError>)>;

impl Cache {
    /// A cache that knows what is `restored`. `connections` in the order of their gateways.
    pub fn new(
        plan: StorePlan,
        modules: Vec<ModulePlan>,
        restored: Vec<Remembered>,
        connections: Vec<Addr<Connection>>,
        accessories: HashMap<Point, Outlet<PointChanged>>,
    ) -> Self {
        Self {
            store: Store::new(plan, modules),
            connections,
            accessories,
            waiting: BTreeMap::new(),
            untold: BTreeSet::new(),
            restored,
            fetches: Answers::default(),
            alarm: Alarm::default(),
            effects: Vec::new(),
        }
    }

    /// Performs what the store wants done, then arms the timer for what comes next.
    fn perform(&mut self, ctx: &mut Context<Self>) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Fetch { gateway, serial, aspect, urgency } => {
                    self.fetch(gateway, serial, aspect, urgency, ctx);
                }
                Effect::Hasten { gateway, serial, aspect, urgency } => {
                    // Nobody cares from now on: it joins an equal read that still waits, and else is not written.
                    if let Some(joined) = self.read(gateway, serial, aspect, urgency, Duration::ZERO) {
                        await_answer(self, joined.map(|_| None), ctx);
                    }
                }
                Effect::Answer { token, outcome } => {
                    if let Some(reader) = self.waiting.remove(&token) {
                        // The reader may have given up meanwhile.
                        let _ = reader.send(outcome);
                    }
                }
                Effect::Changed { point, reading } => self.tell_change(point, reading),
            }
        }
        self.effects = effects;
        let again = (!self.untold.is_empty()).then(|| now() + TELL_AGAIN);
        self.alarm.set(earliest(self.store.next_due(), again), ctx, |this: &mut Self, ctx| {
            this.alarm.rang();
            let at = now();
            this.store.due(at, &mut this.effects);
            for point in std::mem::take(&mut this.untold) {
                this.tell_change(point, this.store.peek(point, at));
            }
            this.perform(ctx);
        });
    }

    fn fetch(
        &mut self,
        gateway: GatewayId,
        serial: SerialNumber,
        aspect: Aspect,
        urgency: Urgency,
        ctx: &mut Context<Self>,
    ) {
        debug!(target: "cache", "fetch serial={serial} datapoint={} urgency={urgency:?}", aspect.datapoint());
        let Some(answer) = self.read(gateway, serial, aspect, urgency, FETCH_WITHIN) else { return };
        await_answer(self, answer.map(move |outcome| Some((serial, aspect, outcome.map(|_| ())))), ctx);
    }

    fn read(
        &self,
        gateway: GatewayId,
        serial: SerialNumber,
        aspect: Aspect,
        urgency: Urgency,
        within: Duration,
    ) -> Option<impl Future<Output = Result<Delivered, BusError>> + use<>> {
        let connection = self.connections.get(usize::from(gateway.0))?;
        let telegram = System::read(serial, aspect.datapoint()).into();
        let exchange = Exchange { telegram, urgency, deadline: now() + within, taken: None };
        Some(ask(connection, exchange, FETCH_WITHIN + Duration::from_secs(1)))
    }

    fn tell_change(&mut self, point: Point, reading: Reading) {
        debug!(target: "cache", "known point={point} on={:?} level={:?} freshness={:?} origin={:?}",
            reading.on, reading.level, reading.freshness, reading.origin);
        if let Some(accessory) = self.accessories.get_mut(&point)
            && !tell(accessory, PointChanged { point, reading })
        {
            self.untold.insert(point);
        }
    }
}

impl Awaits for Cache {
    type Answer = Fetched;

    fn answers(&mut self) -> &mut Answers<Fetched> {
        &mut self.fetches
    }

    fn answered(&mut self, fetched: Fetched, ctx: &mut Context<Self>) {
        let Some((serial, aspect, ended)) = fetched else { return };
        if let Err(error) = ended {
            debug!(target: "cache", "fetch failed serial={serial} datapoint={} error={error:?}", aspect.datapoint());
        }
        self.store.fetch_ended(serial, aspect, ended, now(), &mut self.effects);
        self.perform(ctx);
    }
}

impl Actor for Cache {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX + self.store.outputs());
        let restored = std::mem::take(&mut self.restored);
        self.store.restore(&restored, now(), &mut self.effects);
        self.perform(ctx);
    }
}

impl Handler<Read> for Cache {
    type Result = Response<Result<Reading, BusError>>;

    fn handle(&mut self, read: Read, ctx: &mut Context<Self>) -> Self::Result {
        if let Some(reading) = self.store.hit(read.point, read.max_age, read.asked_at) {
            return Response::reply(Ok(reading));
        }
        let outcome = self.store.read(read.point, read.max_age, read.urgency, now(), &mut self.effects);
        let response = match outcome {
            Outcome::Now(answer) => Response::reply(answer),
            Outcome::Later(token) => {
                let (reader, answer) = oneshot::channel();
                self.waiting.insert(token, reader);
                Response::fut(async move { answer.await.unwrap_or(Err(BusError::Stopping)) })
            }
        };
        if !self.effects.is_empty() || matches!(outcome, Outcome::Later(_)) {
            self.perform(ctx);
        }
        response
    }
}

impl Handler<Refresh> for Cache {
    type Result = ();

    fn handle(&mut self, refresh: Refresh, ctx: &mut Context<Self>) {
        self.store.refresh(refresh.point, refresh.urgency, now(), &mut self.effects);
        self.perform(ctx);
    }
}

impl Handler<Invalidate> for Cache {
    type Result = ();

    fn handle(&mut self, invalid: Invalidate, ctx: &mut Context<Self>) {
        let Invalidate { serial, reread } = invalid;
        match reread {
            Reread::Now => self.store.invalidate(serial, now(), &mut self.effects),
            Reread::Later => self.store.doubt_module(serial, now(), &mut self.effects),
        }
        self.perform(ctx);
    }
}

impl Handler<PointObserved> for Cache {
    type Result = ();

    fn handle(&mut self, seen: PointObserved, ctx: &mut Context<Self>) {
        let PointObserved { point, value, basis, seq, at, not_before } = seen;
        self.store.observed(Observation { point, value, basis, seq, at, not_before }, &mut self.effects);
        self.perform(ctx);
    }
}

impl Handler<PointCommanded> for Cache {
    type Result = ();

    fn handle(&mut self, commanded: PointCommanded, _: &mut Context<Self>) {
        self.store.commanded(commanded.point, commanded.seq, commanded.at);
    }
}

impl Handler<PointDoubtful> for Cache {
    type Result = ();

    fn handle(&mut self, doubtful: PointDoubtful, _: &mut Context<Self>) {
        self.store.doubtful(doubtful.point, doubtful.aspect, doubtful.at);
    }
}

impl Handler<LinkChanged> for Cache {
    type Result = ();

    fn handle(&mut self, link: LinkChanged, ctx: &mut Context<Self>) {
        self.store.link_changed(link.gateway, link.state == LinkState::Up, now(), &mut self.effects);
        self.perform(ctx);
    }
}

impl Handler<NewsLost> for Cache {
    type Result = ();

    fn handle(&mut self, lost: NewsLost, ctx: &mut Context<Self>) {
        self.store.news_lost(lost.gateway, now(), &mut self.effects);
        self.perform(ctx);
    }
}

/// What another config changes.
pub struct CachePlan {
    /// How long what is remembered.
    pub store: StorePlan,
    /// The modules there are now.
    pub modules: Vec<ModulePlan>,
    /// The outputs whose accessories are gone.
    pub gone: Vec<Point>,
    /// The outputs that have a new accessory; it is told what is known.
    pub come: Vec<(Point, Outlet<PointChanged>)>,
}

impl Handler<Reconfigure<CachePlan>> for Cache {
    type Result = Result<(), BusError>;

    fn handle(&mut self, plan: Reconfigure<CachePlan>, ctx: &mut Context<Self>) -> Self::Result {
        let CachePlan { store, modules, gone, come } = plan.0;
        for point in gone {
            self.accessories.remove(&point);
            self.untold.remove(&point);
        }
        // Told below what they cannot know yet; whoever was there already is told what changes.
        self.untold.extend(come.iter().map(|(point, _)| *point));
        self.accessories.extend(come);
        let at = now();
        self.store.reconfigure(store, modules, at, &mut self.effects);
        ctx.set_mailbox_capacity(MAILBOX + self.store.outputs());
        for point in std::mem::take(&mut self.untold) {
            self.tell_change(point, self.store.peek(point, at));
        }
        self.perform(ctx);
        Ok(())
    }
}

impl Handler<Observe> for Cache {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        let mut picture = serde_json::to_value(self.store.counters()).unwrap_or_default();
        picture["entries"] = self.store.len().into();
        picture["readers_waiting"] = self.store.waiting().into();
        picture["facts_untold"] = self.untold.len().into();
        Ok(picture)
    }
}

impl Handler<Measure> for Cache {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        let mut sheet = Sheet::default();
        self.store.measure(&mut sheet);
        Ok(sheet)
    }
}

impl Handler<CaptureOutputs> for Cache {
    type Result = Result<Vec<Remembered>, BusError>;

    fn handle(&mut self, _: CaptureOutputs, _: &mut Context<Self>) -> Self::Result {
        Ok(self.store.remembered(now()))
    }
}

impl Handler<Drain> for Cache {
    type Result = Result<(), BusError>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        self.store.drain(&mut self.effects);
        self.perform(ctx);
        ctx.stop();
        Ok(())
    }
}
