//! How a link ends: by itself, or because the daemon does.

use std::time::Duration;

use actix::{ActorContext, AsyncContext, Context, Handler, ResponseFuture};
use log::info;
use tokio::sync::oneshot;

use super::Connection;
use super::tally::Lost;
use crate::actors::events::{Drain, LinkState};
use crate::actors::now;
use crate::policy::{BusError, is_taken};

/// How long the end of the process waits for commands that were already taken.
const DRAIN_WITHIN: Duration = Duration::from_secs(1);

/// One failed dial in so many is told at warn, the first of a row always; the others are told at debug.
const FAILURES_A_WARNING: u32 = 16;

/// The first of a row is told as it is, and then one of sixteen: repeats are counted, not repeated.
pub(super) fn level_of_repeat(repeat: u32, first: log::Level) -> log::Level {
    if repeat.is_multiple_of(FAILURES_A_WARNING) { first } else { log::Level::Debug }
}

/// What a gateway that hangs up at once is suspected of.
const TAKEN: &str = "bus busy: the gateway takes the connection and hangs up, another client may have it";

impl Connection {
    /// Drops the writer: its future flushes, closes the socket and ends the session.
    pub(super) fn close(&mut self, ctx: &mut Context<Self>) {
        if self.writer.take().is_none() {
            ctx.stop();
        }
    }

    pub(super) fn session_ended(&mut self) {
        let at = now();
        self.outbox.link_went_down(&mut self.effects);
        self.liveness.disconnected();
        let closed = || (Lost::Closed, "closed by the gateway".into());
        let (why, reason) = self.reason.take().unwrap_or_else(closed);
        let up_for = self.up_since.take().map(|since| at.since(since));
        let by_gateway = matches!(why, Lost::Closed | Lost::Broken);
        let taken = by_gateway && up_for.is_some_and(|up_for| is_taken(up_for, self.heard_at));
        let is_news = taken && self.trouble.as_deref().is_none_or(|trouble| !trouble.starts_with(TAKEN));
        let reason = if taken { format!("{TAKEN} ({reason})") } else { reason };
        match up_for {
            Some(up_for) => {
                self.tally.lost(why);
                let repeat = if is_news { 0 } else { self.short_links };
                let level = level_of_repeat(repeat, log::Level::Warn);
                self.backoff.link_was_up(up_for);
                self.short_links = if self.backoff.attempt() == 0 { 0 } else { self.short_links + 1 };
                if self.draining {
                    info!(target: "connection", "closed gateway={}", self.plan.name);
                } else {
                    log::log!(target: "connection", level,
                        "link lost gateway={} reason=\"{reason}\" up_for={:?}", self.plan.name, up_for);
                }
            }
            None if !self.draining => {
                self.backoff.failed();
                self.failures += 1;
                let level = level_of_repeat(self.failures - 1, log::Level::Warn);
                log::log!(target: "connection", level, "cannot connect gateway={} address={} reason=\"{reason}\" attempt={}",
                    self.plan.name, self.dial.target(), self.failures);
            }
            None => {}
        }
        self.writer = None;
        self.trouble = Some(reason).filter(|_| !self.draining);
        self.link(LinkState::Down);
    }
}

impl Handler<Drain> for Connection {
    type Result = ResponseFuture<Result<(), BusError>>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        self.draining = true;
        self.outbox.drain(&mut self.effects);
        let (done, drained) = oneshot::channel();
        if self.up_since.is_none() {
            let _ = done.send(());
        } else {
            self.drained = Some(done);
            ctx.run_later(DRAIN_WITHIN, Connection::close);
            self.perform(ctx);
            self.step(ctx);
        }
        Box::pin(async move { drained.await.map_err(|_| BusError::Stopping) })
    }
}
