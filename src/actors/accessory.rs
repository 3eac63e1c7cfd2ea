//! One configured accessory: the only thing a door talks to.
//!
//! Hears: [`GetState`], [`SetTarget`], [`Identify`] (doors), [`PointChanged`] (cache). Asks the cache to read and
//! its connection to write; tells the poller that it is used and the doors what it shows.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll};
use std::time::Duration;

use actix::dev::{MessageResponse, OneshotSender, ToEnvelope};
use actix::fut::ActorFuture;
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, Response,
    ResponseActFuture, WrapFuture,
};
use futures_util::future::Either;
use log::{debug, info};
use pin_project_lite::pin_project;
use tokio::sync::oneshot;

use super::cache::Cache;
use super::connection::Connection;
use super::ensemble::Ensemble;
use super::events::{
    AccessoryChanged, AccessoryId, Drain, Exchange, Follow, GetState, Identify, Invalidate, MarkActive,
    Measure, Name, Observe, PointChanged, Read, Reread, SetTarget,
};
use super::{Alarm, Asked, Asks, Outlet, ask, now, tell};
use crate::conbus::{Edge, Event, EventBus, EventSource, SerialNumber, System, Telegram};
use crate::policy::figures::Sheet;
use crate::policy::outbox::Delivered;
use crate::policy::store::Want;
use crate::policy::switch::{AccessoryState, Asker, Cause, Effect, Switch, SwitchPlan};
use crate::policy::{BusError, Moment, Urgency, earliest};

/// A door asks once a controller; the switch behind it holds 64 writers and answers `Busy` beyond.
const MAILBOX: usize = 128;

/// How long a read may take: a little more than the cache's own patience.
const READ_WITHIN: Duration = Duration::from_millis(3500);

/// How long a command may wait to be written and acknowledged.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// How often use is told to the poller.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// How long a module blinks when it is identified.
const BLINK_FOR: Duration = Duration::from_secs(5);

/// How long to wait before facts that found no room are told again.
const TELL_AGAIN: Duration = Duration::from_millis(100);

/// Where an accessory is asked, whatever it is: one output, or several accessories as one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccessoryAddr {
    /// One output.
    Output(Addr<Accessory>),
    /// A group or a scene.
    Ensemble(Addr<Ensemble>),
}

impl AccessoryAddr {
    /// The accessory that stands for one output, if it is one.
    pub fn output(&self) -> Option<&Addr<Accessory>> {
        match self {
            Self::Output(addr) => Some(addr),
            Self::Ensemble(_) => None,
        }
    }
}

impl<M, T> Asks<M> for AccessoryAddr
where
    Accessory: Handler<M>,
    Ensemble: Handler<M>,
    Context<Accessory>: ToEnvelope<Accessory, M>,
    Context<Ensemble>: ToEnvelope<Ensemble, M>,
    M: Message<Result = Result<T, BusError>> + Send + 'static,
    T: Send + 'static,
{
    type Asked = Either<Asked<Accessory, M>, Asked<Ensemble, M>>;

    fn ask(&self, message: M, within: Duration) -> Self::Asked {
        match self {
            Self::Output(addr) => Either::Left(ask(addr, message, within)),
            Self::Ensemble(addr) => Either::Right(ask(addr, message, within)),
        }
    }
}

/// What an accessory is built from.
pub struct AccessoryPlan {
    /// By which it tells its changes.
    pub id: AccessoryId,
    /// Its configured id.
    pub name: Name,
    /// Its output and how it is switched.
    pub switch: SwitchPlan,
}

/// Whom the accessories of one gateway talk to. They share it: a handle of a mailbox is larger than what is known of a
/// lamp, and one bounds what all of them may leave there.
pub struct AccessoryPeers {
    /// The configured id of the gateway.
    pub gateway: Name,
    /// Knows the state.
    pub cache: Addr<Cache>,
    /// Writes the commands.
    pub connection: Addr<Connection>,
    /// Whom they tell. Borrowed for no longer than a `tell`, which runs nobody else.
    pub outlets: RefCell<AccessoryOutlets>,
}

/// Where the accessories of one gateway tell what.
pub struct AccessoryOutlets {
    /// Learns of the use.
    pub poller: Outlet<MarkActive>,
    /// Learns that an event may have switched more than one output.
    pub invalidate: Outlet<Invalidate>,
    /// Learn of changes.
    pub doors: Vec<Outlet<AccessoryChanged>>,
}

/// A group that learns of changes.
struct Follower {
    outlet: Outlet<AccessoryChanged>,
    /// Whether it missed one.
    untold: bool,
}

/// The actor. See the module.
pub struct Accessory {
    id: AccessoryId,
    name: Name,
    peers: Rc<AccessoryPeers>,
    switch: Switch,
    waiting: BTreeMap<Asker, oneshot::Sender<Result<AccessoryState, BusError>>>,
    marked: Option<Moment>,
    /// The places of the doors that missed a change.
    untold: Vec<usize>,
    followers: Vec<Follower>,
    uninvalidated: bool,
    last_shown: (Option<bool>, Option<crate::conbus::Percent>),
    alarm: Alarm,
}

impl Accessory {
    /// An accessory of which nothing is known.
    pub fn new(plan: AccessoryPlan, peers: Rc<AccessoryPeers>) -> Self {
        Self {
            id: plan.id,
            name: plan.name,
            peers,
            switch: Switch::new(plan.switch),
            waiting: BTreeMap::new(),
            marked: None,
            untold: Vec::new(),
            followers: Vec::new(),
            uninvalidated: false,
            last_shown: (None, None),
            alarm: Alarm::default(),
        }
    }

    fn mark_used(&mut self, at: Moment) {
        if self.marked.is_none_or(|marked| at.since(marked) >= MARK_EVERY) {
            let serial = self.switch.point().serial;
            // No room: the next use marks it.
            if tell(&mut self.peers.outlets.borrow_mut().poller, MarkActive { serial }) {
                self.marked = Some(at);
            }
        }
    }

    fn perform(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            self.perform_one(effect, ctx);
        }
        let again = (self.uninvalidated || self.untold() > 0).then(|| now() + TELL_AGAIN);
        self.alarm.set(earliest(self.switch.next_due(), again), ctx, |this: &mut Self, ctx| {
            this.alarm.rang();
            let mut effects = Vec::new();
            this.switch.due(now(), &mut effects);
            this.tell_again();
            this.perform(effects, ctx);
        });
    }

    fn perform_one(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        let point = self.switch.point();
        match effect {
            Effect::Send(command) => {
                let telegram = System::command(point.serial, command).into();
                debug!(target: "accessory", "command id={} telegram={telegram}", self.name);
                let (taken, accepted) = oneshot::channel();
                let written = self.exchange(telegram, Some(taken));
                self.await_command(accepted, written, ctx);
            }
            Effect::Press(input) => self.press(input, ctx),
            Effect::Verify(since) => {
                let answer = self.read(Want::Since(since), Urgency::Confirm, now());
                ctx.spawn(answer.into_actor(self).map(|outcome, this: &mut Self, ctx| {
                    let mut effects = Vec::new();
                    this.switch.verified(outcome, now(), &mut effects);
                    this.perform(effects, ctx);
                }));
            }
            Effect::Reread => {
                let at = now();
                let answer = self.read(Want::Since(at), Urgency::Reader, at);
                ctx.spawn(answer.into_actor(self).map(|_, _, _| ()));
            }
            Effect::Invalidate => {
                self.invalidate(point.serial);
            }
            Effect::Answer(asker, outcome) => {
                if let Some(writer) = self.waiting.remove(&asker) {
                    // The writer may have given up meanwhile.
                    let _ = writer.send(outcome);
                }
            }
            Effect::Changed(state, cause) => self.tell_doors(state, cause),
        }
    }

    fn exchange(
        &self,
        telegram: Telegram,
        taken: Option<oneshot::Sender<()>>,
    ) -> impl Future<Output = Result<Delivered, BusError>> + use<> {
        let exchange =
            Exchange { telegram, urgency: Urgency::Command, deadline: now() + WRITE_WITHIN, taken };
        ask(&self.peers.connection, exchange, WRITE_WITHIN + Duration::from_secs(1))
    }

    fn read(&self, max_age: Want, urgency: Urgency, asked_at: Moment) -> Asked<Cache, Read> {
        let point = self.switch.point();
        ask(&self.peers.cache, Read { point, max_age, urgency, asked_at }, READ_WITHIN)
    }

    /// Press and release, one right behind the other: the outbox keeps them 60 ms apart.
    fn press(&mut self, input: EventSource, ctx: &mut Context<Self>) {
        debug!(target: "accessory", "press id={} input={input}", self.name);
        let event = |edge| Event { bus: EventBus::Xp, source: input, edge }.into();
        let (taken, accepted) = oneshot::channel();
        let make = self.exchange(event(Edge::Make), Some(taken));
        let release = self.exchange(event(Edge::Break), None);
        let pressed = async move {
            let pressed = make.await;
            release.await.and(pressed)
        };
        self.await_command(accepted, pressed, ctx);
    }

    fn await_command(
        &mut self,
        accepted: oneshot::Receiver<()>,
        written: impl Future<Output = Result<Delivered, BusError>> + 'static,
        ctx: &mut Context<Self>,
    ) {
        ctx.spawn(accepted.into_actor(self).map(|taken, this: &mut Self, ctx| {
            if taken.is_ok() {
                let mut effects = Vec::new();
                this.switch.taken(&mut effects);
                this.perform(effects, ctx);
            }
        }));
        ctx.spawn(written.into_actor(self).map(|outcome, this: &mut Self, ctx| {
            let sent = outcome.map(|delivered| delivered.sent_at);
            let mut effects = Vec::new();
            this.switch.sent(sent, now(), &mut effects);
            this.perform(effects, ctx);
        }));
    }

    fn tell_doors(&mut self, state: AccessoryState, cause: Cause) {
        self.log_change(&state, cause);
        let fact = AccessoryChanged { id: self.id, state, cause };
        self.untold.clear();
        for (place, door) in self.peers.outlets.borrow_mut().doors.iter_mut().enumerate() {
            if !tell(door, fact) {
                self.untold.push(place);
            }
        }
        for follower in &mut self.followers {
            follower.untold = !tell(&mut follower.outlet, fact);
        }
    }

    /// A lamp that was switched is a life event; one that is merely found, or grows stale, is not.
    fn log_change(&mut self, state: &AccessoryState, cause: Cause) {
        let shown = (state.on, state.brightness);
        let switched = shown != self.last_shown && self.last_shown.0.is_some() && state.on.is_some();
        let level = if switched { log::Level::Info } else { log::Level::Debug };
        let on = state.on.map_or("unknown", |on| if on { "true" } else { "false" });
        let brightness = state.brightness.map(|level| format!(" brightness={level}")).unwrap_or_default();
        let (name, freshness) = (&self.name, state.freshness);
        log::log!(target: "accessory", level, "shows id={name} on={on}{brightness} freshness={freshness:?} cause={cause:?}");
        self.last_shown = shown;
    }

    /// How many missed a change.
    fn untold(&self) -> usize {
        self.untold.len() + self.followers.iter().filter(|follower| follower.untold).count()
    }

    fn invalidate(&mut self, serial: SerialNumber) {
        let outlet = &mut self.peers.outlets.borrow_mut().invalidate;
        self.uninvalidated = !tell(outlet, Invalidate { serial, reread: Reread::Now });
    }

    /// Doors and groups that are gone hear nothing any more.
    fn tell_again(&mut self) {
        let fact = AccessoryChanged { id: self.id, state: self.switch.state(), cause: Cause::Bus };
        self.untold.retain(|place| {
            let mut outlets = self.peers.outlets.borrow_mut();
            outlets.doors.get_mut(*place).is_some_and(|door| door.is_open() && !tell(door, fact))
        });
        if self.untold.is_empty() {
            // A mailbox overflows once a year: no accessory keeps room for it.
            self.untold = Vec::new();
        }
        self.followers.retain(|follower| follower.outlet.is_open());
        for follower in self.followers.iter_mut().filter(|follower| follower.untold) {
            follower.untold = !tell(&mut follower.outlet, fact);
        }
        if self.uninvalidated {
            self.invalidate(self.switch.point().serial);
        }
    }
}

impl Actor for Accessory {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<GetState> for Accessory {
    type Result = Relayed;

    fn handle(&mut self, get: GetState, _: &mut Context<Self>) -> Self::Result {
        let at = now();
        self.mark_used(at);
        Relayed { asked: self.read(get.max_age, Urgency::Reader, at), reader: None }
    }
}

pin_project! {
    /// A reader's question under way to the cache; the answer is what the accessory shows when it arrives.
    ///
    /// `ResponseActFuture` would do the same, but the context boxes a boxed future again, and every read pays.
    pub struct Relayed {
        #[pin]
        asked: Asked<Cache, Read>,
        reader: Option<OneshotSender<Result<AccessoryState, BusError>>>,
    }
}

impl MessageResponse<Accessory, GetState> for Relayed {
    fn handle(
        mut self,
        ctx: &mut Context<Accessory>,
        reader: Option<OneshotSender<Result<AccessoryState, BusError>>>,
    ) {
        self.reader = reader;
        ctx.spawn(self);
    }
}

impl ActorFuture<Accessory> for Relayed {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        accessory: &mut Accessory,
        _: &mut Context<Accessory>,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        let relayed = self.project();
        relayed.asked.poll(task).map(|outcome| {
            if let Some(reader) = relayed.reader.take() {
                // The reader may have given up meanwhile.
                let _ = reader.send(outcome.map(|reading| accessory.switch.state_of(&reading)));
            }
        })
    }
}

impl Handler<SetTarget> for Accessory {
    type Result = Response<Result<AccessoryState, BusError>>;

    fn handle(&mut self, set: SetTarget, ctx: &mut Context<Self>) -> Self::Result {
        self.mark_used(now());
        debug!(target: "accessory", "wanted id={} on={:?} level={:?}", self.name, set.target.on, set.target.level);
        let mut effects = Vec::new();
        let asker = self.switch.set(set.target, set.until, Cause::Client(set.client), now(), &mut effects);
        let asker = match asker {
            Ok(asker) => asker,
            Err(error) => return Response::reply(Err(error)),
        };
        let (writer, answer) = oneshot::channel();
        self.waiting.insert(asker, writer);
        self.perform(effects, ctx);
        Response::fut(async move { answer.await.unwrap_or(Err(BusError::Stopping)) })
    }
}

impl Handler<Identify> for Accessory {
    type Result = ResponseActFuture<Self, Result<AccessoryState, BusError>>;

    fn handle(&mut self, _: Identify, _: &mut Context<Self>) -> Self::Result {
        let serial = self.switch.point().serial;
        info!(target: "accessory", "identify id={} serial={serial}", self.name);
        let blink = self.exchange(System::blink(serial, true).into(), None);
        Box::pin(blink.into_actor(self).map(move |outcome, this: &mut Self, ctx: &mut Context<Self>| {
            outcome?;
            ctx.run_later(BLINK_FOR, move |this, ctx| {
                let stop = this.exchange(System::blink(serial, false).into(), None);
                ctx.spawn(stop.into_actor(this).map(|_, _, _| ()));
            });
            Ok(this.switch.state())
        }))
    }
}

impl Handler<PointChanged> for Accessory {
    type Result = ();

    fn handle(&mut self, changed: PointChanged, ctx: &mut Context<Self>) {
        let mut effects = Vec::new();
        self.switch.observed(changed.reading, &mut effects);
        self.perform(effects, ctx);
    }
}

impl Handler<Follow> for Accessory {
    type Result = Result<AccessoryState, BusError>;

    fn handle(&mut self, follow: Follow, _: &mut Context<Self>) -> Self::Result {
        self.followers.retain(|follower| follower.outlet.is_open());
        self.followers.push(Follower { outlet: Outlet::new(follow.0), untold: false });
        Ok(self.switch.state())
    }
}

impl Handler<Observe> for Accessory {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        let state = self.switch.state();
        Ok(serde_json::json!({
            "id": &*self.name,
            "on": state.on,
            "freshness": state.freshness,
            "pending": self.switch.is_pending(),
            "writers_waiting": self.waiting.len(),
            "changes_untold": self.untold(),
        }))
    }
}

impl Handler<Measure> for Accessory {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        let mut sheet = Sheet::default();
        self.switch.measure(&self.peers.gateway, now(), &mut sheet);
        Ok(sheet)
    }
}

impl Handler<Drain> for Accessory {
    type Result = Result<(), BusError>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        let mut effects = Vec::new();
        self.switch.drain(&mut effects);
        self.perform(effects, ctx);
        ctx.stop();
        Ok(())
    }
}
