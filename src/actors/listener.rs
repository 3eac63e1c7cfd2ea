//! The telegram listener of one gateway: every telegram heard or written becomes facts.
//!
//! Hears: [`TelegramReceived`], [`TelegramSent`], [`ExchangeEnded`], [`LinkChanged`]. Tells the cache what was
//! observed, the poller what is new of modules, the doors what goes by. A storm is stopped here, before it is
//! told to anybody. It never asks anything of anyone. A [`Reconfigure`] brings another list of modules.

use std::collections::VecDeque;

use actix::{Actor, ActorContext, Context, Handler};
use log::{debug, info, warn};

use super::events::{
    ButtonPressed, Direction, Drain, ExchangeEnded, Invalidate, LinkChanged, LinkState, Measure, ModuleNoted,
    ModuleObserved, Name, NewsLost, Observe, PointCommanded, PointDoubtful, PointObserved, Reconfigure,
    Reread, StormChanged, StormPhase, TelegramReceived, TelegramSeen, TelegramSent,
};
use super::{Alarm, Outlet, now, tell};
use crate::conbus::{Reply, Telegram};
use crate::policy::figures::{Sheet, names};
use crate::policy::interpret::{Answer, Attribution, Fact, Installed, Interpreter};
use crate::policy::store::Observation;
use crate::policy::{BusError, GatewayId, Moment, Storm, StormEffect, StormPlan, earliest};

/// A 200-telegram storm between two turns, and headroom.
const MAILBOX: usize = 256;

/// How long to wait before lost facts are told again.
const TELL_AGAIN: std::time::Duration = std::time::Duration::from_millis(100);

/// What a listener is built from.
pub struct ListenerPlan {
    /// Which gateway.
    pub gateway: GatewayId,
    /// Its configured id.
    pub name: Name,
    /// The modules behind it.
    pub modules: Vec<Installed>,
    /// When a module repeats itself.
    pub storm: StormPlan,
    /// Which query a reply is taken to belong to.
    pub attribution: Attribution,
}

/// Where a listener's facts go.
pub struct ListenerFacts {
    /// To the cache.
    pub observed: Outlet<PointObserved>,
    /// To the cache.
    pub commanded: Outlet<PointCommanded>,
    /// To the cache.
    pub doubtful: Outlet<PointDoubtful>,
    /// To the cache.
    pub invalidate: Outlet<Invalidate>,
    /// To the poller.
    pub module: Outlet<ModuleObserved>,
    /// To the poller.
    pub noted: Outlet<ModuleNoted>,
    /// To the poller.
    pub storm: Outlet<StormChanged>,
    /// To the poller and the doors.
    pub button: Vec<Outlet<ButtonPressed>>,
    /// To the doors.
    pub seen: Vec<Outlet<TelegramSeen>>,
    /// To the cache and the poller: facts that found no room.
    pub lost: Vec<Outlet<NewsLost>>,
}

/// The actor. See the module.
pub struct Listener {
    plan: ListenerPlan,
    facts: ListenerFacts,
    interpreter: Interpreter,
    storm: Storm,
    lost_since: Option<Moment>,
    news_lost: u64,
    alarm: Alarm,
    found: Vec<Fact>,
    storm_effects: Vec<StormEffect>,
    /// Storms begun and ended that found no room: without them a module would stay out of the schedule. At most
    /// as many as modules that storm at one time.
    storms_untold: VecDeque<StormChanged>,
}

impl Listener {
    /// A listener that has heard nothing.
    pub fn new(plan: ListenerPlan, facts: ListenerFacts) -> Self {
        Self {
            interpreter: Interpreter::new(plan.modules.iter().copied()).with_attribution(plan.attribution),
            storm: Storm::new(plan.storm),
            plan,
            facts,
            lost_since: None,
            news_lost: 0,
            alarm: Alarm::default(),
            found: Vec::new(),
            storm_effects: Vec::new(),
            storms_untold: VecDeque::new(),
        }
    }

    /// Tells what was found; `heard` is the reply that told it, if one did.
    fn tell_found(&mut self, heard: Option<&Reply>, at: Moment) {
        let mut found = std::mem::take(&mut self.found);
        for fact in found.drain(..) {
            self.tell_one(fact, heard, at);
        }
        self.found = found;
    }

    fn tell_one(&mut self, fact: Fact, heard: Option<&Reply>, at: Moment) {
        let facts = &mut self.facts;
        let told = match fact {
            Fact::Observed(seen) => tell_seen(&mut facts.observed, seen),
            Fact::Answered(answer) => {
                let lost =
                    answer.observations().filter(|seen| !tell_seen(&mut facts.observed, *seen)).count();
                let Answer { serial, datapoint, at, .. } = answer;
                let observed =
                    heard.map(|reply| ModuleObserved { serial, datapoint, value: answer.value(reply), at });
                observed.is_none_or(|observed| tell(&mut facts.module, observed)) && lost == 0
            }
            Fact::Commanded { point, seq, at } => {
                tell(&mut facts.commanded, PointCommanded { point, seq, at })
            }
            Fact::Doubtful { point, aspect, seq, at } => {
                tell(&mut facts.doubtful, PointDoubtful { point, aspect, seq, at })
            }
            Fact::Module(serial, news) => tell(&mut facts.noted, ModuleNoted { serial, news, at }),
            Fact::Button { input, edge } => {
                debug!(target: "listener", "input gateway={} input={input} edge={edge:?}", self.plan.name);
                let pressed = ButtonPressed { gateway: self.plan.gateway, input, edge, at };
                // An event, not a state: what a door misses is counted and nothing grows stale.
                facts.button.iter_mut().for_each(|outlet| {
                    let _ = tell(outlet, pressed);
                });
                true
            }
            Fact::Invalidate(serial) => {
                tell(&mut facts.invalidate, Invalidate { serial, reread: Reread::Now })
            }
            Fact::Unplaced { input, candidates } => {
                warn!(target: "listener",
                    "report fits {candidates} configured modules, applied to none gateway={} source={input}",
                    self.plan.name);
                true
            }
        };
        if !told {
            self.news_lost += 1;
            self.lost_since.get_or_insert(at);
        }
    }

    fn show(&mut self, direction: Direction, telegram: &Telegram, at: Moment) {
        let gateway = self.plan.gateway;
        for outlet in &mut self.facts.seen {
            let _ = tell(outlet, TelegramSeen { gateway, direction, telegram: telegram.clone(), at });
        }
    }

    /// Telegrams that a door had no room for, of all doors. It is shown fewer, and no state grows stale by it.
    fn unshown(&self) -> u64 {
        self.facts.seen.iter().map(Outlet::lost).sum()
    }

    fn tell_storm(&mut self) {
        let (gateway, name) = (self.plan.gateway, &self.plan.name);
        let mut effects = std::mem::take(&mut self.storm_effects);
        for effect in effects.drain(..) {
            let (serial, phase) = match effect {
                StormEffect::Started { serial } => {
                    // The repeats that gave it away had entered the cache, and they may have been old. It answers
                    // nothing but a probe now: a read would keep the bus from others until it is given up.
                    if !tell(&mut self.facts.invalidate, Invalidate { serial, reread: Reread::Later }) {
                        self.lost_since.get_or_insert(now());
                    }
                    warn!(target: "listener", "storm gateway={name} serial={serial}: the module repeats itself, muted");
                    (serial, StormPhase::Started)
                }
                StormEffect::Probe { serial, number } => {
                    debug!(target: "listener", "storm probe gateway={name} serial={serial} number={number}");
                    (serial, StormPhase::Probe)
                }
                StormEffect::Released { serial } => {
                    info!(target: "listener", "storm over gateway={name} serial={serial} dropped={}", self.storm.dropped_total());
                    (serial, StormPhase::Released)
                }
                StormEffect::GaveUp { serial } => {
                    warn!(target: "listener",
                        "storm goes on gateway={name} serial={serial}: five probes did not help, the module may need a power cycle");
                    (serial, StormPhase::GaveUp)
                }
            };
            self.storms_untold
                .retain(|untold| untold.serial != serial || untold.phase == StormPhase::Started);
            self.storms_untold.push_back(StormChanged { gateway, serial, phase });
        }
        self.storm_effects = effects;
        while let Some(changed) = self.storms_untold.front() {
            if !tell(&mut self.facts.storm, *changed) {
                break;
            }
            self.storms_untold.pop_front();
        }
    }

    fn step(&mut self, ctx: &mut Context<Self>) {
        let at = now();
        self.storm.due(at, &mut self.storm_effects);
        self.tell_storm();
        if let Some(since) = self.lost_since {
            let fact = NewsLost { gateway: self.plan.gateway, since };
            let mut all_told = true;
            for outlet in &mut self.facts.lost {
                all_told &= tell(outlet, fact);
            }
            if all_told {
                warn!(target: "listener", "facts lost gateway={} total={}", self.plan.name, self.news_lost);
                self.lost_since = None;
            }
        }
        let untold = self.lost_since.is_some() || !self.storms_untold.is_empty();
        let due = earliest(self.storm.next_due(), untold.then(|| at + TELL_AGAIN));
        self.alarm.set(due, ctx, |this: &mut Self, ctx| {
            this.alarm.rang();
            this.step(ctx);
        });
    }
}

/// Tells the cache the state of an output; false when there was no room.
fn tell_seen(outlet: &mut Outlet<PointObserved>, seen: Observation) -> bool {
    let Observation { point, value, basis, seq, at, not_before } = seen;
    tell(outlet, PointObserved { point, value, basis, seq, at, not_before })
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<TelegramReceived> for Listener {
    type Result = ();

    fn handle(&mut self, heard: TelegramReceived, ctx: &mut Context<Self>) {
        let TelegramReceived { telegram, seq, at, waits_since, .. } = heard;
        let reply = match &telegram {
            Telegram::Reply(reply) => Some(reply),
            Telegram::Event(_) | Telegram::System(_) => None,
        };
        if let Some(reply) = reply {
            let solicited = self.interpreter.is_solicited(reply);
            let pass = self.storm.heard_reply(reply, solicited, at, &mut self.storm_effects);
            if !pass {
                self.step(ctx);
                return;
            }
        }
        self.interpreter.heard(&telegram, seq, at, &mut self.found);
        for fact in &mut self.found {
            match fact {
                Fact::Observed(seen) => seen.not_before = waits_since,
                Fact::Answered(answer) => answer.not_before = waits_since,
                _ => {}
            }
        }
        self.tell_found(reply, at);
        self.show(Direction::Received, &telegram, at);
        self.step(ctx);
    }
}

impl Handler<TelegramSent> for Listener {
    type Result = ();

    fn handle(&mut self, sent: TelegramSent, ctx: &mut Context<Self>) {
        self.interpreter.sent(&sent.telegram, sent.seq, sent.at, &mut self.found);
        self.tell_found(None, sent.at);
        self.show(Direction::Sent, &sent.telegram, sent.at);
        self.step(ctx);
    }
}

impl Handler<ExchangeEnded> for Listener {
    type Result = ();

    fn handle(&mut self, ended: ExchangeEnded, ctx: &mut Context<Self>) {
        self.interpreter.ended(ended.serial, ended.seq, ended.how, ended.at, &mut self.found);
        self.tell_found(None, ended.at);
        self.step(ctx);
    }
}

impl Handler<LinkChanged> for Listener {
    type Result = ();

    fn handle(&mut self, link: LinkChanged, ctx: &mut Context<Self>) {
        // Up: the end of the link before it may have found no room here.
        if link.state != LinkState::Dialling {
            self.interpreter.link_lost(link.at, &mut self.found);
            self.tell_found(None, link.at);
            for serial in self.storm.link_lost() {
                self.storm_effects.push(StormEffect::Released { serial });
            }
            self.step(ctx);
        }
    }
}

impl Handler<Reconfigure<Vec<Installed>>> for Listener {
    type Result = Result<(), BusError>;

    fn handle(&mut self, plan: Reconfigure<Vec<Installed>>, _: &mut Context<Self>) -> Self::Result {
        self.interpreter.reinstall(plan.0);
        Ok(())
    }
}

impl Handler<Observe> for Listener {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        Ok(serde_json::json!({
            "storms_total": self.storm.storms_total(),
            "storm_telegrams_dropped_total": self.storm.dropped_total(),
            "facts_lost_total": self.news_lost,
            "telegrams_unshown_total": self.unshown(),
        }))
    }
}

impl Handler<Measure> for Listener {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        let mut sheet = Sheet::default();
        sheet.took(&names::STORM_TIME, &[&self.plan.name], self.storm.recoveries());
        sheet.count(&names::FACTS_LOST, &[&self.plan.name], self.news_lost);
        sheet.count(&names::UNSHOWN, &[&self.plan.name], self.unshown());
        Ok(sheet)
    }
}

impl Handler<Drain> for Listener {
    type Result = Result<(), BusError>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        ctx.stop();
        Ok(())
    }
}
