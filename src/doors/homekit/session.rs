//! One connection: bytes in, requests answered one after another, events in between, bytes out.
//!
//! Everything is written here and nowhere else, so that no event ever falls inside an answer.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::events::told;
use super::hall::Hall;
use super::http::{Answer, Inbox, Request, event};
use super::record::{Opener, Sealer};
use super::routes::{Next, Talk};
use crate::actors::now;
use crate::policy::Moment;

/// How long a controller may leave what was sent to it unread.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// From the first byte of a request to its last.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// How long a stranger may be silent; controllers may be for days.
const STRANGER_WITHIN: Duration = Duration::from_secs(300);

/// What is read at once.
const READ_BYTES: usize = 8 * 1024;

/// A way to a controller: a socket, or memory in tests.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

/// Serves a connection to its end.
pub(super) async fn serve(stream: impl Wire, hall: Rc<RefCell<Hall>>, bridge: usize) {
    let Some((id, wake)) = hall.borrow_mut().enter(bridge, now()) else { return };
    let talk = Talk::new(hall.clone(), bridge, id);
    let session = Session {
        stream,
        wake,
        talk,
        inbox: Inbox::default(),
        sealed: None,
        heard: now(),
        request_since: None,
    };
    // How a connection ends is nobody's concern: controllers come and go.
    let _ = session.run(&hall, id).await;
    hall.borrow_mut().leave(id);
}

struct Session<W> {
    stream: W,
    wake: Rc<Notify>,
    talk: Talk,
    inbox: Inbox,
    sealed: Option<(Opener, Sealer)>,
    heard: Moment,
    request_since: Option<Moment>,
}

impl<W: Wire> Session<W> {
    async fn run(mut self, hall: &RefCell<Hall>, id: u64) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match self.inbox.next() {
                Ok(Some(request)) => {
                    self.request_since = None;
                    let begun = now();
                    self.answer(request).await?;
                    hall.borrow_mut().answers.took(now().since(begun));
                }
                Ok(None) => self.wait(hall, id, &mut buffer).await?,
                Err(unreadable) => {
                    self.write(&Answer::bare(unreadable.status()).bytes()).await?;
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            if hall.borrow_mut().seat(id).is_none_or(|seat| seat.closing) {
                return self.stream.shutdown().await;
            }
        }
    }

    async fn answer(&mut self, request: Request) -> io::Result<()> {
        let (answer, next) = self.talk.answer(request).await;
        self.write(&answer.bytes()).await?;
        if let Next::Secure(verified) = next {
            let mut opener = Opener::new(&verified.inward);
            // What came behind the last request of the open part is sealed already.
            let early = self.inbox.take_rest();
            let plain = opener.open(&early).map_err(|_| io::ErrorKind::InvalidData)?;
            self.inbox.push(&plain);
            self.sealed = Some((opener, Sealer::new(&verified.outward)));
        }
        Ok(())
    }

    /// Waits for bytes, for changes to tell, or for patience to end.
    async fn wait(&mut self, hall: &RefCell<Hall>, id: u64, buffer: &mut [u8]) -> io::Result<()> {
        let events_due = hall.borrow_mut().seat(id).and_then(|seat| seat.subscriptions.next_due());
        let gives_up = if self.inbox.is_partial() {
            Some(*self.request_since.get_or_insert_with(now) + REQUEST_WITHIN)
        } else {
            self.sealed.is_none().then(|| self.heard + STRANGER_WITHIN)
        };
        let until = events_due.into_iter().chain(gives_up).min();
        tokio::select! {
            biased;
            // Bytes first would let a busy controller starve its own events; they are few.
            () = sleep_until(until) => {
                if gives_up.is_some_and(|at| at <= now()) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                self.tell_events(hall, id).await
            }
            () = self.wake.notified() => Ok(()),
            read = self.stream.read(buffer) => {
                let length = read?;
                if length == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.heard = now();
                self.take(&buffer[..length])
            }
        }
    }

    fn take(&mut self, arrived: &[u8]) -> io::Result<()> {
        match &mut self.sealed {
            Some((opener, _)) => {
                let plain = opener.open(arrived).map_err(|_| io::ErrorKind::InvalidData)?;
                self.inbox.push(&plain);
            }
            None => self.inbox.push(arrived),
        }
        Ok(())
    }

    async fn tell_events(&mut self, hall: &RefCell<Hall>, id: u64) -> io::Result<()> {
        let changes = hall.borrow_mut().take_events(id, now());
        if changes.is_empty() {
            return Ok(());
        }
        self.write(&event(&told(changes))).await
    }

    async fn write(&mut self, message: &[u8]) -> io::Result<()> {
        let sealed = self.sealed.as_mut().map(|(_, sealer)| sealer.seal(message));
        let bytes = sealed.as_deref().unwrap_or(message);
        tokio::time::timeout(WRITE_WITHIN, self.stream.write_all(bytes)).await?
    }
}

async fn sleep_until(at: Option<Moment>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(now())).await,
        None => std::future::pending().await,
    }
}
