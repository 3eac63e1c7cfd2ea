//! Answers that an actor waits for, thousands at a time.

use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll, Waker};

use actix::fut::ActorFuture;
use actix::{Actor, AsyncContext};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

/// An actor that waits for many answers at a time.
pub(super) trait Awaits: Actor {
    /// An answer, and to what.
    type Answer: 'static;

    /// Those under way.
    fn answers(&mut self) -> &mut Answers<Self::Answer>;

    /// One has come.
    fn answered(&mut self, answer: Self::Answer, ctx: &mut Self::Context);
}

/// The answers under way; each is looked at when it comes and not before.
///
/// `spawn` for each of them would do the same, but a context polls whatever was spawned with each message: a reader of
/// a value that is known would pay for every read of the bus that others wait for.
pub(super) struct Answers<T> {
    under_way: FuturesUnordered<LocalBoxFuture<'static, T>>,
    is_watched: bool,
    /// Told when one more is to be looked at.
    watcher: Option<Waker>,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self { under_way: FuturesUnordered::new(), is_watched: false, watcher: None }
    }
}

/// Lets the actor hear of this answer when it comes.
pub(super) fn await_answer<A>(
    actor: &mut A,
    answer: impl Future<Output = A::Answer> + 'static,
    ctx: &mut A::Context,
) where
    A: Awaits,
    A::Context: AsyncContext<A>,
{
    let answers = actor.answers();
    answers.under_way.push(Box::pin(answer));
    if !answers.is_watched {
        answers.is_watched = true;
        ctx.spawn(Watch);
    } else if let Some(watcher) = &answers.watcher {
        watcher.wake_by_ref();
    }
}

/// Lasts as long as an answer is under way.
struct Watch;

impl<A> ActorFuture<A> for Watch
where
    A: Awaits,
{
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut A::Context,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        loop {
            let answers = actor.answers();
            match answers.under_way.poll_next_unpin(task) {
                Poll::Ready(Some(answer)) => actor.answered(answer, ctx),
                Poll::Ready(None) => {
                    answers.is_watched = false;
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    if !answers.watcher.as_ref().is_some_and(|watcher| watcher.will_wake(task.waker())) {
                        answers.watcher = Some(task.waker().clone());
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use actix::{Context, Handler, Message, System};
    use tokio::sync::oneshot;

    use super::*;
    use crate::actors::ask;
    use crate::policy::BusError;

    /// What was heard so far.
    #[derive(Clone, Copy, Message)]
    #[rtype(result = "Result<Vec<u8>, BusError>")]
    struct Heard;

    /// Waits for what comes here.
    #[derive(Message)]
    #[rtype(result = "Result<(), BusError>")]
    struct WaitFor(oneshot::Receiver<u8>);

    #[derive(Default)]
    struct Reader {
        answers: Answers<u8>,
        heard: Vec<u8>,
        looks: Rc<Cell<u32>>,
    }

    impl Actor for Reader {
        type Context = Context<Self>;
    }

    impl Awaits for Reader {
        type Answer = u8;

        fn answers(&mut self) -> &mut Answers<u8> {
            &mut self.answers
        }

        fn answered(&mut self, answer: u8, _: &mut Context<Self>) {
            self.heard.push(answer);
        }
    }

    impl Handler<WaitFor> for Reader {
        type Result = Result<(), BusError>;

        fn handle(&mut self, wait: WaitFor, ctx: &mut Context<Self>) -> Self::Result {
            let (mut answer, looks) = (wait.0, self.looks.clone());
            let answer = std::future::poll_fn(move |task| {
                looks.set(looks.get() + 1);
                Pin::new(&mut answer).poll(task).map(|answer| answer.unwrap_or(0))
            });
            await_answer(self, answer, ctx);
            Ok(())
        }
    }

    impl Handler<Heard> for Reader {
        type Result = Result<Vec<u8>, BusError>;

        fn handle(&mut self, _: Heard, _: &mut Context<Self>) -> Self::Result {
            Ok(self.heard.clone())
        }
    }

    const WITHIN: Duration = Duration::from_secs(10);

    #[test]
    fn a_message_costs_no_look_at_answers_that_have_not_come() {
        System::new().block_on(async {
            let looks = Rc::new(Cell::new(0));
            let reader = Reader { looks: looks.clone(), ..Reader::default() }.start();
            let mut answers: Vec<oneshot::Sender<u8>> = vec![];
            for _ in 0..50 {
                let (answer, comes) = oneshot::channel();
                answers.push(answer);
                ask(&reader, WaitFor(comes), WITHIN).await.unwrap();
            }
            for _ in 0..50 {
                assert!(ask(&reader, Heard, WITHIN).await.unwrap().is_empty());
            }
            assert_eq!(looks.get(), 50, "each once, when it began");
        });
    }

    #[test]
    fn answers_are_heard_as_they_come_also_after_a_rest() {
        System::new().block_on(async {
            let reader = Reader::default().start();
            for round in 1..4 {
                let (first, last) = (oneshot::channel(), oneshot::channel::<u8>());
                ask(&reader, WaitFor(first.1), WITHIN).await.unwrap();
                ask(&reader, WaitFor(last.1), WITHIN).await.unwrap();
                last.0.send(2 * round).unwrap();
                while ask(&reader, Heard, WITHIN).await.unwrap().last() != Some(&(2 * round)) {}
                first.0.send(2 * round + 1).unwrap();
                while ask(&reader, Heard, WITHIN).await.unwrap().last() != Some(&(2 * round + 1)) {}
            }
            assert_eq!(ask(&reader, Heard, WITHIN).await.unwrap(), [2, 3, 4, 5, 6, 7]);
        });
    }
}
