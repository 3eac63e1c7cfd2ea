//! The connection to one gateway: sole owner of the socket and of the outbox.
//!
//! Hears: [`Exchange`] (cache, accessories, poller). Tells: [`TelegramReceived`], [`TelegramSent`] and
//! [`ExchangeEnded`] to its listener, [`LinkChanged`] to whoever holds state. It is supervised: whatever ends the
//! link ends the actor's session, and the restart, which keeps address and mailbox, dials again after the
//! back-off. Of two sockets the old one is always closed before the new one is dialled.

mod ending;
mod reload;
mod tally;

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Response, Running, StreamHandler,
    Supervised, WrapFuture,
};
use log::{debug, info, trace, warn};
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::codec::FramedRead;

use self::ending::level_of_repeat;
pub use self::reload::LinkPlan;
use self::tally::{Counters, Lost, Tally};
use super::events::{
    Exchange, ExchangeEnded, LinkChanged, LinkState, Name, NewsLost, TelegramReceived, TelegramSent,
};
use super::{Alarm, Outlet, now, tell};
use crate::conbus::{Datapoint, System, Telegram, latin1};
use crate::policy::outbox::{Delivered, Effect, Ending, Outbox, OutboxPlan, Ticket};
use crate::policy::{
    Backlog, Backoff, BackoffPlan, BusError, GatewayId, Liveness, LivenessPlan, Moment, Quality, Turned,
    Urgency, Verdict, earliest,
};
use crate::transport::{BusDecoder, BusStream, Dial, Heard};

/// Requests that may queue in the mailbox: the outbox behind it holds 200 and answers `Busy` beyond.
const MAILBOX: usize = 256;

/// Frames between the outbox and the socket: one exchange is in flight, a press is two events.
const WRITER_FRAMES: usize = 4;

/// A gateway that takes no byte for this long is gone.
const WRITE_WITHIN: Duration = Duration::from_secs(2);

/// How long to wait before facts that found no room are told again.
const TELL_AGAIN: Duration = Duration::from_millis(100);

/// What a connection is built from.
pub struct ConnectionPlan {
    /// Which gateway.
    pub gateway: GatewayId,
    /// Its configured id.
    pub name: Name,
    /// Times and limits of the outbox.
    pub outbox: OutboxPlan,
    /// When to dial again.
    pub backoff: BackoffPlan,
    /// When to doubt the link.
    pub liveness: LivenessPlan,
    /// The bridge itself, when configured: the target of probes.
    pub bridge: Option<crate::conbus::SerialNumber>,
    /// Spreads the back-off of several gateways and runs.
    pub seed: u64,
}

/// Where a connection's facts go.
pub struct ConnectionFacts {
    /// What was heard.
    pub received: Outlet<TelegramReceived>,
    /// What was written.
    pub sent: Outlet<TelegramSent>,
    /// What waits no longer.
    pub ended: Outlet<ExchangeEnded>,
    /// Up and down.
    pub link: Vec<Outlet<LinkChanged>>,
    /// Facts that found no room.
    pub lost: Vec<Outlet<NewsLost>>,
}

/// Whoever asked for an exchange, and when.
type Waiting = (oneshot::Sender<Result<Delivered, BusError>>, Moment);

/// The actor. See the module.
pub struct Connection {
    plan: ConnectionPlan,
    dial: Box<dyn Dial>,
    facts: ConnectionFacts,
    outbox: Outbox,
    backlog: Backlog,
    quality: Quality,
    backoff: Backoff,
    liveness: Liveness,
    waiting: HashMap<Ticket, Waiting>,
    /// Raised with every telegram written and heard, over all links.
    seq: u64,
    state: LinkState,
    state_since: Moment,
    /// Who has not heard of the state yet, by place.
    link_untold: Vec<bool>,
    writer: Option<mpsc::Sender<Vec<u8>>>,
    up_since: Option<Moment>,
    /// Why the session ended, for the log.
    reason: Option<(Lost, String)>,
    /// Why there is no link, or why the one before ended while this one has not spoken yet; for watchers.
    trouble: Option<String>,
    /// When this link was heard last.
    heard_at: Option<Moment>,
    failures: u32,
    /// Links in a row that did not last: somebody else may hold the gateway, which accepts and hangs up.
    short_links: u32,
    lost_since: Option<Moment>,
    /// Answered when the socket is closed for good.
    drained: Option<oneshot::Sender<()>>,
    draining: bool,
    alarm: Alarm,
    effects: Vec<Effect>,
    counters: Counters,
    tally: Tally,
}

impl Connection {
    /// A connection that dials as soon as it is started.
    pub fn new(plan: ConnectionPlan, dial: Box<dyn Dial>, facts: ConnectionFacts) -> Self {
        Self {
            outbox: Outbox::new(plan.outbox.clone()),
            backlog: Backlog::new(Moment::START),
            quality: Quality::default(),
            backoff: Backoff::new(plan.backoff),
            liveness: Liveness::new(plan.liveness, plan.bridge),
            link_untold: vec![false; facts.link.len()],
            plan,
            dial,
            facts,
            waiting: HashMap::new(),
            seq: 0,
            state: LinkState::Down,
            state_since: Moment::START,
            writer: None,
            up_since: None,
            reason: None,
            trouble: None,
            heard_at: None,
            failures: 0,
            short_links: 0,
            lost_since: None,
            drained: None,
            draining: false,
            alarm: Alarm::default(),
            effects: Vec::new(),
            counters: Counters::default(),
            tally: Tally::default(),
        }
    }

    fn link(&mut self, state: LinkState) {
        if self.state == state {
            return;
        }
        (self.state, self.state_since) = (state, now());
        self.link_untold.fill(true);
        self.tell_link();
    }

    /// The latest state wins: whoever had no room for it is told again until it is heard.
    fn tell_link(&mut self) {
        let fact = LinkChanged { gateway: self.plan.gateway, state: self.state, at: self.state_since };
        for (outlet, untold) in self.facts.link.iter_mut().zip(&mut self.link_untold) {
            *untold = *untold && !tell(outlet, fact);
            self.counters.news_lost_total += u64::from(*untold);
        }
    }

    fn dial_now(&mut self, ctx: &mut Context<Self>) {
        if self.draining {
            return;
        }
        self.link(LinkState::Dialling);
        // What comes on the new socket comes after this.
        self.backlog = Backlog::new(now());
        self.counters.dials_total += 1;
        debug!(target: "connection", "dialling gateway={} address={}", self.plan.name, self.dial.target());
        ctx.spawn(self.dial.dial().into_actor(self).map(Self::dialled));
    }

    fn dialled(outcome: io::Result<Box<dyn BusStream>>, this: &mut Self, ctx: &mut Context<Self>) {
        let stream = match outcome {
            Ok(stream) if !this.draining => stream,
            Ok(_) => return,
            Err(error) => {
                this.reason = Some((Lost::Broken, error.to_string()));
                ctx.stop();
                return;
            }
        };
        let (reader, writer) = tokio::io::split(stream);
        ctx.add_stream(FramedRead::new(reader, BusDecoder::default()));
        let (frames, queue) = mpsc::channel(WRITER_FRAMES);
        this.writer = Some(frames);
        ctx.spawn(write(writer, queue).into_actor(this).map(|outcome, this: &mut Self, ctx| {
            if let Err(error) = outcome {
                this.reason = Some((Lost::Broken, format!("write: {error}")));
            }
            ctx.stop();
        }));
        let at = now();
        (this.up_since, this.heard_at) = (Some(at), None);
        this.failures = 0;
        this.counters.connects_total += 1;
        this.tally.connected();
        this.outbox.link_came_up(at);
        this.liveness.connected(at);
        let level = level_of_repeat(this.short_links, log::Level::Info);
        log::log!(target: "connection", level, "connected gateway={} address={}", this.plan.name, this.dial.target());
        this.link(LinkState::Up);
        this.step(ctx);
    }

    /// Lets the policies do what is due, then arms the timer for what comes next.
    fn step(&mut self, ctx: &mut Context<Self>) {
        let at = now();
        if self.up_since.is_some() {
            let gap = self.backlog.turn(at);
            self.note_gap(gap);
        }
        match self.liveness.due(at) {
            Some(Verdict::Probe(serials)) => {
                debug!(target: "connection", "probing gateway={} modules={serials:?}", self.plan.name);
                for serial in serials {
                    let read = System::read(serial, Datapoint::ERROR_CODE).into();
                    // Nobody waits for it: anything heard proves the link. Behind the queries whose silence
                    // raised the suspicion it would prove nothing in time.
                    let _ = self.outbox.submit(read, Urgency::LinkProbe, at + Duration::from_secs(2));
                }
            }
            Some(Verdict::Dead) => {
                self.reason = Some((Lost::Silent, "nothing answers".into()));
                ctx.stop();
                return;
            }
            None => {}
        }
        self.outbox.due(at, &mut self.effects);
        self.perform(ctx);
        self.tell_link();
        self.tell_lost();
        self.arm(ctx);
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let untold = self.lost_since.is_some() || self.link_untold.contains(&true);
        let due = earliest(self.outbox.next_due(), self.liveness.next_due());
        let due = earliest(due, untold.then(|| now() + TELL_AGAIN));
        let look = self.up_since.map(|_| self.backlog.next_due());
        self.alarm.set(earliest(due, look), ctx, |this: &mut Self, ctx| {
            this.alarm.rang();
            let gap = this.backlog.look(now());
            this.note_gap(gap);
            this.step(ctx);
        });
    }

    fn tell_quality(&self, turned: Option<Turned>) {
        let name = &self.plan.name;
        match turned {
            Some(Turned::Degraded { bad, of }) => warn!(target: "connection",
                "link degraded gateway={name} bad={bad} of={of} in the last minute: look at the cable of the bus"),
            Some(Turned::Recovered) => info!(target: "connection", "link well again gateway={name}"),
            None => {}
        }
    }

    fn note_gap(&self, gap: Option<Duration>) {
        if let Some(gap) = gap.filter(|_| self.up_since.is_some()) {
            debug!(target: "connection", "stood still gateway={} for={gap:?}; what was left unread counts as old",
                self.plan.name);
        }
    }

    fn perform(&mut self, ctx: &mut Context<Self>) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Write(telegram) => self.write(telegram, ctx),
                Effect::Ended { ticket, outcome } => {
                    if let Some((asker, since)) = self.waiting.remove(&ticket) {
                        if let Ok(Delivered { sent_at }) = outcome {
                            self.tally.waited(sent_at.since(since));
                        }
                        // The asker may have given up meanwhile.
                        let _ = asker.send(outcome);
                    }
                }
                Effect::WireFree { serial, how } => {
                    let at = now();
                    if how == Ending::TimedOut {
                        debug!(target: "connection", "no answer gateway={} serial={serial}", self.plan.name);
                        self.liveness.unanswered(serial, at);
                    }
                    let (gateway, seq) = (self.plan.gateway, self.next_seq());
                    let told = tell(&mut self.facts.ended, ExchangeEnded { gateway, serial, seq, how, at });
                    self.note_told(told, at);
                }
            }
        }
        self.effects = effects;
        if self.draining && self.outbox.is_idle() {
            self.close(ctx);
        }
    }

    fn write(&mut self, telegram: Telegram, ctx: &mut Context<Self>) {
        let at = now();
        // What answers this comes behind it: no answer is dated before its question.
        self.backlog.turn(at);
        trace!(target: "conbus::tx", "gateway={} {telegram}", self.plan.name);
        let stalled = self.writer.as_ref().is_none_or(|writer| writer.try_send(telegram.to_bytes()).is_err());
        if stalled {
            self.reason = Some((Lost::Stalled, "the gateway takes no more bytes".into()));
            ctx.stop();
            return;
        }
        self.counters.telegrams_sent_total += 1;
        let (gateway, seq) = (self.plan.gateway, self.next_seq());
        let told = tell(&mut self.facts.sent, TelegramSent { gateway, telegram, seq, at });
        self.note_told(told, at);
    }

    fn heard(&mut self, telegram: &Telegram, ctx: &mut Context<Self>) {
        let at = now();
        let gap = self.backlog.turn(at);
        self.note_gap(gap);
        trace!(target: "conbus::rx", "gateway={} {telegram}", self.plan.name);
        self.counters.telegrams_received_total += 1;
        self.tally.heard(telegram);
        (self.heard_at, self.trouble) = (Some(at), None);
        let turned = self.quality.telegram(at);
        self.tell_quality(turned);
        let serial = match telegram {
            Telegram::Reply(reply) => Some(reply.serial),
            _ => None,
        };
        self.liveness.heard(serial, at);
        let (gateway, seq) = (self.plan.gateway, self.next_seq());
        let waits_since = self.backlog.heard(at);
        let fact = TelegramReceived { gateway, telegram: telegram.clone(), seq, at, waits_since };
        // The listener hears it before whoever waits for the answer learns that it came.
        let told = tell(&mut self.facts.received, fact);
        self.note_told(told, at);
        self.outbox.heard(telegram, at, &mut self.effects);
        self.step(ctx);
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn note_told(&mut self, told: bool, at: Moment) {
        if !told {
            self.counters.news_lost_total += 1;
            self.lost_since.get_or_insert(at);
        }
    }

    /// Facts were lost: whoever vouches for state must know. Told until it is heard.
    fn tell_lost(&mut self) {
        let Some(since) = self.lost_since else { return };
        let fact = NewsLost { gateway: self.plan.gateway, since };
        let mut all_told = true;
        for outlet in &mut self.facts.lost {
            all_told &= tell(outlet, fact);
        }
        if all_told {
            warn!(target: "connection", "facts lost gateway={} total={}", self.plan.name, self.counters.news_lost_total);
            self.lost_since = None;
        }
    }
}

/// Writes the frames of the outbox until there are no more, then closes the socket.
async fn write(
    mut socket: WriteHalf<Box<dyn BusStream>>,
    mut frames: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let stalled = |_| io::Error::from(io::ErrorKind::TimedOut);
    while let Some(frame) = frames.recv().await {
        tokio::time::timeout(WRITE_WITHIN, socket.write_all(&frame)).await.map_err(stalled)??;
        tokio::time::timeout(WRITE_WITHIN, socket.flush()).await.map_err(stalled)??;
    }
    tokio::time::timeout(WRITE_WITHIN, socket.shutdown()).await.map_err(stalled)?
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        // Never dialled from here at once: a restart loop would not yield.
        let seed = self.plan.seed.wrapping_add(self.counters.dials_total);
        let pause = if self.counters.dials_total == 0 { Duration::ZERO } else { self.backoff.delay(seed) };
        debug!(target: "connection", "next dial gateway={} in={pause:?}", self.plan.name);
        ctx.run_later(pause, Connection::dial_now);
        self.arm(ctx);
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.session_ended();
        self.perform(ctx);
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        if let Some(drained) = self.drained.take() {
            let _ = drained.send(());
        }
    }
}

impl Supervised for Connection {
    fn restarting(&mut self, _: &mut Context<Self>) {
        // Handles of the old context mean other timers now.
        self.alarm.forget();
    }
}

impl StreamHandler<io::Result<Heard>> for Connection {
    fn handle(&mut self, heard: io::Result<Heard>, ctx: &mut Context<Self>) {
        match heard {
            Ok(Heard::Telegram(telegram)) => self.heard(&telegram, ctx),
            Ok(Heard::Noise { bytes, total, why }) => {
                self.counters.noise_total += 1;
                self.tally.noise(why);
                let turned = self.quality.noise(now());
                self.tell_quality(turned);
                debug!(target: "connection", "noise gateway={} why={why:?} bytes={total} begins={:?}",
                    self.plan.name, latin1(&bytes[..bytes.len().min(32)]));
            }
            Err(error) => self.reason = Some((Lost::Broken, format!("read: {error}"))),
        }
    }

    fn finished(&mut self, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

impl Handler<Exchange> for Connection {
    type Result = Response<Result<Delivered, BusError>>;

    fn handle(&mut self, exchange: Exchange, ctx: &mut Context<Self>) -> Self::Result {
        let ticket = match self.outbox.submit(exchange.telegram, exchange.urgency, exchange.deadline) {
            Ok(ticket) => ticket,
            Err(error) => return Response::reply(Err(error)),
        };
        if let Some(taken) = exchange.taken {
            let _ = taken.send(());
        }
        let (answer, ended) = oneshot::channel();
        self.waiting.insert(ticket, (answer, now()));
        self.step(ctx);
        Response::fut(async move { ended.await.unwrap_or(Err(BusError::Stopping)) })
    }
}
