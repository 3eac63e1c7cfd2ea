//! The actors: thin shells around the policies, one file each.
//!
//! Here are the two sanctioned ways to send, the one clock and the one timer of an actor. An actor takes the
//! clock, asks its policy and performs the effects; it decides nothing.

pub mod accessory;
mod answers;
pub mod cache;
pub mod connection;
pub mod ensemble;
pub mod events;
pub mod history;
pub mod keeper;
pub mod listener;
pub mod poller;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll, Wake, Waker};
use std::time::Duration;

use actix::dev::{Request, ToEnvelope};
use actix::fut::ActorFuture;
use actix::{Actor, Addr, AsyncContext, Handler, MailboxError, Message, Recipient, SpawnHandle};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::policy::{BusError, Moment};

thread_local! {
    /// The beginning of time on this thread.
    static EPOCH: tokio::time::Instant = tokio::time::Instant::now();
}

/// The one clock: monotonic, and virtual where tokio's clock is.
pub fn now() -> Moment {
    Moment::after_start(EPOCH.with(|epoch| tokio::time::Instant::now().saturating_duration_since(*epoch)))
}

pin_project! {
    /// A question under way; see [`ask`].
    #[must_use = "an answer that nobody waits for is not given"]
    pub struct Asked<A, M>
    where
        A: Actor,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message,
        M: Send,
        M: 'static,
        M::Result: Send,
    {
        #[pin]
        request: Request<A, M>,
    }
}

impl<A, M, T> Future for Asked<A, M>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = Result<T, BusError>> + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<T, BusError>;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.project().request.poll(task).map(|answer| match answer {
            Ok(outcome) => outcome,
            Err(MailboxError::Closed) => Err(BusError::Stopping),
            Err(MailboxError::Timeout) => Err(BusError::TimedOut),
        })
    }
}

/// Who can be asked something: an actor, or one of several kinds of actors.
pub trait Asks<M> {
    /// The question under way.
    type Asked;

    /// See [`ask`].
    fn ask(&self, message: M, within: Duration) -> Self::Asked;
}

/// Asks an actor and waits for its answer, `within` at most. The only way to send a request.
///
/// An actor that is gone answers [`BusError::Stopping`]. The answer is a plain future because every read passes
/// here: an async block would move the request twice more.
pub fn ask<A, M>(to: &A, message: M, within: Duration) -> A::Asked
where
    A: Asks<M>,
{
    to.ask(message, within)
}

impl<A, M, T> Asks<M> for Addr<A>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = Result<T, BusError>> + Send + 'static,
    T: Send + 'static,
{
    type Asked = Asked<A, M>;

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that sends a request: it always has a deadline"
    )]
    fn ask(&self, message: M, within: Duration) -> Self::Asked {
        Asked { request: self.send(message).timeout(within) }
    }
}

/// Where facts of one kind go. The only way to tell something.
///
/// It never waits. The mailbox behind it bounds what may queue; what finds no room is counted, and the caller
/// decides what its loss means.
#[derive(Debug)]
pub struct Outlet<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    to: Recipient<M>,
    lost: u64,
}

impl<M> Outlet<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    /// An outlet that keeps `to`: the bound of a mailbox holds for each kept handle.
    pub fn new(to: Recipient<M>) -> Self {
        Self { to, lost: 0 }
    }

    /// Whether anybody is there to hear.
    pub fn is_open(&self) -> bool {
        self.to.connected()
    }

    /// How many facts found no room.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// Tells a fact; false when it found no room.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that tells: on a kept recipient, losses counted"
)]
pub fn tell<M>(outlet: &mut Outlet<M>, message: M) -> bool
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    let told = outlet.to.try_send(message).is_ok();
    outlet.lost += u64::from(!told);
    told
}

/// A timer that would ring so much too early is moved: a ring in vain wakes the process, which costs more.
const MOVED_BY: Duration = Duration::from_millis(100);

/// The one timer of an actor, armed for the earliest deadline its policy has.
#[derive(Debug, Default)]
struct Alarm {
    armed: Option<(Moment, SpawnHandle)>,
}

impl Alarm {
    /// Arms the timer for `at`, unless it rings a little earlier anyway; `ring` looks at the policy again.
    fn set<A>(&mut self, at: Option<Moment>, ctx: &mut A::Context, ring: fn(&mut A, &mut A::Context))
    where
        A: Actor,
        A::Context: AsyncContext<A>,
    {
        let Some(at) = at else { return };
        match self.armed {
            // One that is due has rung, though nobody has looked at it yet.
            Some((armed, _)) if armed <= at && (at.since(armed) < MOVED_BY || armed <= now()) => return,
            Some((_, handle)) => {
                ctx.cancel_future(handle);
            }
            None => {}
        }
        let sleep = tokio::time::sleep(at.since(now()));
        let handle = ctx.spawn(Ringing { sleep, bell: None, ring });
        self.armed = Some((at, handle));
    }

    /// The timer has rung.
    fn rang(&mut self) {
        self.armed = None;
    }

    /// The actor was restarted: its timers are gone, and their handles mean other timers now.
    fn forget(&mut self) {
        self.armed = None;
    }
}

/// Told when a timer is to be looked at, and tells the context that has it.
struct Bell {
    rang: AtomicBool,
    context: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.context.wake_by_ref();
    }
}

pin_project! {
    /// A timer that is looked at when it rings and not before.
    ///
    /// `run_later` would do the same, but a context polls whatever it waits for with each message, and a poll of
    /// tokio's timer takes longer than the cache needs to find an answer.
    struct Ringing<A>
    where
        A: Actor,
    {
        #[pin]
        sleep: Sleep,
        bell: Option<Arc<Bell>>,
        ring: fn(&mut A, &mut A::Context),
    }
}

impl<A: Actor> ActorFuture<A> for Ringing<A> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut A::Context,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        let this = self.project();
        let has_rung =
            |bell: &Arc<Bell>| bell.rang.load(Ordering::Acquire) || !bell.context.will_wake(task.waker());
        if this.bell.as_ref().is_some_and(|bell| !has_rung(bell)) {
            return Poll::Pending;
        }
        let bell = Arc::new(Bell { rang: AtomicBool::new(false), context: task.waker().clone() });
        *this.bell = Some(Arc::clone(&bell));
        let waker = Waker::from(bell);
        this.sleep.poll(&mut task::Context::from_waker(&waker)).map(|()| (this.ring)(actor, ctx))
    }
}
