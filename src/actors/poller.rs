//! The poller: asks the cache to refresh outputs, and owns the roster.
//!
//! Hears: [`MarkActive`] (accessories), [`LinkChanged`] and [`NewsLost`] (connections), [`ModuleObserved`],
//! [`ModuleNoted`], [`ButtonPressed`] and [`StormChanged`] (listeners). Tells the cache [`Refresh`]; asks connections
//! itself only for what the roster needs and for storm probes. A [`Reconfigure`] brings other modules and times.

use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, WrapFuture};
use futures_util::FutureExt as _;
use log::{debug, info, warn};

use super::answers::{Answers, Awaits, await_answer};
use super::connection::Connection;
use super::events::{
    ButtonPressed, CaptureUse, Drain, Exchange, LinkChanged, LinkState, MarkActive, Measure, ModuleNoted,
    ModuleObserved, NewsLost, Observe, Reconfigure, Refresh, StartPolling, StopPolling, StormChanged,
    StormPhase,
};
use super::{Alarm, Outlet, ask, now, tell};
use crate::conbus::{Datapoint, OutputIndex, Point, SerialNumber, System};
use crate::policy::figures::Sheet;
use crate::policy::interpret::ModuleNews;
use crate::policy::{
    Agenda, BusError, GatewayId, ModulePlan, Roster, RosterEffect, RosterPlan, Schedule, SchedulePlan,
    Urgency, earliest,
};

/// What listeners and connections tell between two turns. A mark from each output comes on top: one list of a large
/// house marks all of it at once, and what was not marked would not be polled.
const MAILBOX: usize = 1024;

/// How long a read of the roster may wait in the outbox.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Between two reads of the roster on one gateway: they leave the bus more time than they take.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// How long after a button an output has switched: the event, the action, the report (protocol reference 7.2).
const BUTTON_EFFECT: Duration = Duration::from_millis(150);

/// How long a storm probe may take to be written and answered.
const PROBE_WITHIN: Duration = Duration::from_secs(1);

/// After a connect, when modules are first asked how they are: everything else comes before.
const DIAGNOSE_FIRST: Duration = Duration::from_secs(30);

/// What a poller is built from.
pub struct PollerPlan {
    /// How often, how much.
    pub schedule: SchedulePlan,
    /// The modules, as the schedule sees them.
    pub modules: Vec<ModulePlan>,
    /// The modules, as the roster sees them.
    pub roster: Vec<RosterPlan>,
    /// How often modules are asked how they are; never when absent. Only the first plan tells.
    pub diagnose_every: Option<Duration>,
}

/// What is done later beside the schedule. A timer for each would be polled with each message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Errand {
    /// Looks what the roster wants to know.
    Identify(GatewayId),
    /// Does so again, as the pause behind a read is over.
    ReadOn(GatewayId),
    /// Asks how the modules are.
    Diagnose(GatewayId),
}

/// How a read of the roster ended.
pub(super) struct Identified {
    gateway: GatewayId,
    serial: SerialNumber,
    datapoint: Datapoint,
    outcome: Result<(), BusError>,
}

/// The actor. See the module.
pub struct Poller {
    schedule: Schedule,
    roster: Roster,
    gateways: Vec<super::events::Name>,
    connections: Vec<Addr<Connection>>,
    cache: Outlet<Refresh>,
    /// Whether a read of the roster is under way, for each gateway.
    reading: Vec<bool>,
    diagnose_every: Option<Duration>,
    /// What is done later beside the schedule.
    errands: Agenda<Errand>,
    /// The reads of the roster under way.
    answers: Answers<Identified>,
    alarm: Alarm,
    refreshes: u64,
    warm_ups: u64,
}

impl Poller {
    /// A poller that waits for a link. `connections` in the order of `gateways`, which are their names.
    pub fn new(
        plan: PollerPlan,
        gateways: Vec<super::events::Name>,
        connections: Vec<Addr<Connection>>,
        cache: Outlet<Refresh>,
    ) -> Self {
        Self {
            schedule: Schedule::new(plan.schedule, plan.modules),
            roster: Roster::new(plan.roster),
            reading: vec![false; gateways.len()],
            gateways,
            connections,
            cache,
            diagnose_every: plan.diagnose_every,
            errands: Agenda::default(),
            answers: Answers::default(),
            alarm: Alarm::default(),
            refreshes: 0,
            warm_ups: 0,
        }
    }

    fn gateway_name(&self, gateway: GatewayId) -> &str {
        self.gateways.get(usize::from(gateway.0)).map_or("", |name| name)
    }

    fn step(&mut self, ctx: &mut Context<Self>) {
        let at = now();
        for turn in self.schedule.due(at) {
            let Some(output) = OutputIndex::new(0) else { continue };
            let urgency = if turn.warm_up { Urgency::WarmUp } else { Urgency::Poll };
            debug!(target: "poll", "refresh serial={} urgency={urgency:?}", turn.serial);
            self.refreshes += 1;
            self.warm_ups += u64::from(turn.warm_up);
            if !tell(&mut self.cache, Refresh { point: Point { serial: turn.serial, output }, urgency }) {
                self.schedule.postponed(turn, now());
            }
        }
        while let Some(errand) = self.errands.pop_due(at) {
            self.run(errand, ctx);
        }
        self.arm(ctx);
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let due = earliest(self.schedule.next_due(), self.errands.next_due());
        self.alarm.set(due, ctx, |this: &mut Self, ctx| {
            this.alarm.rang();
            this.step(ctx);
        });
    }

    fn run(&mut self, errand: Errand, ctx: &mut Context<Self>) {
        match errand {
            Errand::Identify(gateway) => self.identify(gateway, ctx),
            Errand::ReadOn(gateway) => {
                self.reading[usize::from(gateway.0)] = false;
                self.identify(gateway, ctx);
            }
            Errand::Diagnose(gateway) => {
                self.roster.ask_silent(gateway);
                self.roster.diagnose(gateway);
                self.identify(gateway, ctx);
                self.diagnose_later(gateway, Duration::MAX);
            }
        }
    }

    /// Reads the next thing the roster wants to know of a gateway's modules, one at a time.
    fn identify(&mut self, gateway: GatewayId, ctx: &mut Context<Self>) {
        let index = usize::from(gateway.0);
        if self.reading.get(index) != Some(&false) || !self.schedule.is_running() {
            return;
        }
        let Some((serial, datapoint)) = self.roster.next_read(gateway) else { return };
        let Some(connection) = self.connections.get(index) else { return };
        self.reading[index] = true;
        debug!(target: "poll", "identify serial={serial} datapoint={datapoint}");
        let telegram = System::read(serial, datapoint).into();
        let exchange =
            Exchange { telegram, urgency: Urgency::Poll, deadline: now() + READ_WITHIN, taken: None };
        let answer = ask(connection, exchange, READ_WITHIN + PROBE_WITHIN);
        let identified = move |outcome: Result<_, _>| {
            let outcome = outcome.map(|_| ());
            Identified { gateway, serial, datapoint, outcome }
        };
        await_answer(self, answer.map(identified), ctx);
    }

    /// Asks the modules of a gateway how they are, after this time at the latest, and then again and again.
    fn diagnose_later(&mut self, gateway: GatewayId, after: Duration) {
        if let Some(every) = self.diagnose_every {
            self.errands.set(Errand::Diagnose(gateway), now() + after.min(every));
        }
    }

    fn note(&mut self, effect: RosterEffect) {
        match effect {
            RosterEffect::TypeDiffers { serial, configured, reported } => {
                warn!(target: "poll",
                    "module type differs serial={serial} configured={configured} reported={reported}: correct `type` in the config");
            }
            RosterEffect::LinkDiffers { serial, configured, reported } => {
                warn!(target: "poll",
                    "module link differs serial={serial} configured={configured} reported={reported}: correct `link` in the config");
            }
            RosterEffect::AutoReportOff { serial } => {
                warn!(target: "poll",
                    "module does not report its outputs serial={serial}: it is polled; its auto report (F04 D21 PP), \
                     enabled in the vendor's tool, would tell switches at once");
            }
            RosterEffect::Reporting { serial, by_itself } => {
                self.schedule.auto_report(serial, Some(by_itself));
            }
            RosterEffect::Faulty { serial, code } => {
                warn!(target: "poll", "module tells a fault serial={serial} error_code={code:02X}");
            }
            RosterEffect::Healthy { serial } => {
                info!(target: "poll", "module is healthy again serial={serial}");
            }
        }
    }

    fn probe(&mut self, gateway: GatewayId, serial: SerialNumber, ctx: &mut Context<Self>) {
        let Some(connection) = self.connections.get(usize::from(gateway.0)) else { return };
        let telegram = System::read(serial, Datapoint::ERROR_CODE).into();
        let deadline = now() + PROBE_WITHIN;
        let exchange = Exchange { telegram, urgency: Urgency::StormProbe, deadline, taken: None };
        let answer = ask(connection, exchange, PROBE_WITHIN + PROBE_WITHIN);
        // Its answer is heard by the listener, which knows what it means for the storm.
        ctx.spawn(answer.into_actor(self).map(|_, _, _| ()));
    }
}

impl Awaits for Poller {
    type Answer = Identified;

    fn answers(&mut self) -> &mut Answers<Identified> {
        &mut self.answers
    }

    fn answered(&mut self, answer: Identified, ctx: &mut Context<Self>) {
        let Identified { gateway, serial, datapoint, outcome } = answer;
        match outcome {
            Ok(()) | Err(BusError::LinkDown | BusError::Stopping) => {}
            Err(BusError::TimedOut) => self.roster.unanswered(serial, datapoint),
            Err(BusError::Refused) => self.roster.refused(serial, datapoint),
            Err(BusError::Busy) => self.roster.postponed(serial, datapoint),
        }
        self.errands.set(Errand::ReadOn(gateway), now() + READ_PAUSE);
        self.arm(ctx);
    }
}

impl Actor for Poller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX + self.roster.outputs());
    }
}

impl Handler<MarkActive> for Poller {
    type Result = ();

    fn handle(&mut self, used: MarkActive, ctx: &mut Context<Self>) {
        self.schedule.used(used.serial, now());
        self.step(ctx);
    }
}

impl Handler<StartPolling> for Poller {
    type Result = ();

    fn handle(&mut self, _: StartPolling, ctx: &mut Context<Self>) {
        self.schedule.resume();
        self.step(ctx);
    }
}

impl Handler<StopPolling> for Poller {
    type Result = ();

    fn handle(&mut self, _: StopPolling, _: &mut Context<Self>) {
        self.schedule.pause();
    }
}

impl Handler<LinkChanged> for Poller {
    type Result = ();

    fn handle(&mut self, link: LinkChanged, ctx: &mut Context<Self>) {
        match link.state {
            LinkState::Up => {
                self.schedule.link_up(link.gateway, now());
                self.roster.link_up(link.gateway);
                self.step(ctx);
                // State first: what the cache now asks for is on its way to the outbox.
                self.errands.set(Errand::Identify(link.gateway), now() + READ_PAUSE);
                self.diagnose_later(link.gateway, DIAGNOSE_FIRST);
                self.arm(ctx);
            }
            LinkState::Down => {
                self.errands.clear(Errand::Diagnose(link.gateway));
                self.schedule.link_down(link.gateway);
                self.roster.link_down(link.gateway);
            }
            LinkState::Dialling => {}
        }
    }
}

impl Handler<ModuleObserved> for Poller {
    type Result = ();

    fn handle(&mut self, seen: ModuleObserved, ctx: &mut Context<Self>) {
        let ModuleObserved { serial, datapoint, value, at } = seen;
        self.roster.heard(serial, at);
        self.schedule.answered(serial);
        for effect in self.roster.observed(serial, datapoint, &value, at) {
            self.note(effect);
        }
        self.step(ctx);
    }
}

impl Handler<ModuleNoted> for Poller {
    type Result = ();

    fn handle(&mut self, noted: ModuleNoted, ctx: &mut Context<Self>) {
        let ModuleNoted { serial, news, at } = noted;
        match news {
            ModuleNews::Refused(_) => self.roster.heard(serial, at),
            ModuleNews::Silent => {
                self.roster.silent(serial);
                self.schedule.silent(serial, at);
            }
            ModuleNews::CleanPoll => self.schedule.polled_clean(serial),
            ModuleNews::Unannounced => {
                debug!(target: "poll", "a change was not reported serial={serial}");
                self.schedule.unannounced(serial, at);
            }
            ModuleNews::Restarted => {
                debug!(target: "poll", "module restarted serial={serial}");
                self.roster.identify(serial);
                for gateway in 0..self.gateways.len() {
                    self.identify(GatewayId(gateway as u16), ctx);
                }
            }
        }
        self.step(ctx);
    }
}

impl Handler<ButtonPressed> for Poller {
    type Result = ();

    fn handle(&mut self, pressed: ButtonPressed, ctx: &mut Context<Self>) {
        self.roster.pressed(pressed.gateway, pressed.input, pressed.at);
        for serial in self.roster.may_be_driven(pressed.gateway) {
            self.schedule.early(serial, BUTTON_EFFECT, now());
        }
        self.step(ctx);
    }
}

impl Handler<NewsLost> for Poller {
    type Result = ();

    fn handle(&mut self, lost: NewsLost, ctx: &mut Context<Self>) {
        for serial in self.roster.actors(lost.gateway) {
            self.schedule.early(serial, Duration::ZERO, now());
        }
        self.step(ctx);
    }
}

impl Handler<StormChanged> for Poller {
    type Result = ();

    fn handle(&mut self, storm: StormChanged, ctx: &mut Context<Self>) {
        let StormChanged { gateway, serial, phase } = storm;
        match phase {
            StormPhase::Started | StormPhase::Released => {
                let storming = phase == StormPhase::Started;
                self.roster.storming(serial, storming);
                self.schedule.quarantine(serial, storming);
                self.step(ctx);
            }
            StormPhase::Probe => self.probe(gateway, serial, ctx),
            StormPhase::GaveUp => {
                debug!(target: "poll", "storm quarantine gateway={} serial={serial}", self.gateway_name(gateway));
            }
        }
    }
}

impl Handler<Reconfigure<PollerPlan>> for Poller {
    type Result = Result<(), BusError>;

    fn handle(&mut self, plan: Reconfigure<PollerPlan>, ctx: &mut Context<Self>) -> Self::Result {
        let PollerPlan { schedule, modules, roster, diagnose_every: _ } = plan.0;
        self.schedule.reconfigure(schedule, modules, now());
        self.roster.reconfigure(roster);
        ctx.set_mailbox_capacity(MAILBOX + self.roster.outputs());
        self.step(ctx);
        for gateway in (0..self.gateways.len()).map(|gateway| GatewayId(gateway as u16)) {
            if self.schedule.is_up(gateway) {
                self.identify(gateway, ctx);
            }
        }
        Ok(())
    }
}

impl Handler<Observe> for Poller {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        let at = now();
        let modules = self.roster.snapshot().into_iter().map(|module| {
            let mut picture = serde_json::to_value(&module).unwrap_or_default();
            picture["gateway"] = self.gateway_name(module.gateway).into();
            picture["last_heard_ms"] =
                module.last_heard.map(|heard| at.since(heard).as_millis() as u64).into();
            picture
        });
        let modules: Vec<serde_json::Value> = modules.collect();
        Ok(serde_json::json!({
            "running": self.schedule.is_running(),
            "active_modules": self.schedule.active(),
            "refreshes_total": self.refreshes,
            "warm_ups_total": self.warm_ups,
            "refreshes_skipped_total": self.cache.lost(),
            "modules": modules,
        }))
    }
}

impl Handler<Measure> for Poller {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        let mut sheet = Sheet::default();
        self.roster.measure(&self.gateways, &mut sheet);
        Ok(sheet)
    }
}

impl Handler<CaptureUse> for Poller {
    type Result = Result<Vec<SerialNumber>, BusError>;

    fn handle(&mut self, _: CaptureUse, _: &mut Context<Self>) -> Self::Result {
        Ok(self.schedule.by_use())
    }
}

impl Handler<Drain> for Poller {
    type Result = Result<(), BusError>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        self.schedule.pause();
        ctx.stop();
        Ok(())
    }
}
