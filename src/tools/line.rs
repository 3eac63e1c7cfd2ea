//! One connection to a gateway for as long as a subcommand runs: the daemon's dial, decoder and outbox, without it.
//!
//! It owns the socket and the pace; what is asked, and what the answers mean, belongs to an [`Asker`].

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::Decoder;

use crate::conbus::Telegram;
use crate::policy::outbox::{Delivered, Effect, Outbox, OutboxPlan, Ticket};
use crate::policy::{BusError, Moment, earliest};
use crate::transport::{BusDecoder, BusStream, Dial, Heard, TcpDial};

/// A gateway that takes no bytes for so long is gone.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// How much is read at once.
const READ_BYTES: usize = 4_096;

/// Why a gateway is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It cannot be dialled.
    #[error(
        "gateway `{address}` cannot be reached: {why}; check address and power, and stop the daemon or tool that holds its \
         one connection"
    )]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system says.
        why: io::Error,
    },
    /// It hung up.
    #[error(
        "gateway `{address}` closed the connection: {why}; it serves one client: stop the daemon, the vendor's tool or \
         whatever else is connected, wait a minute, and try again"
    )]
    Closed {
        /// Host and port.
        address: String,
        /// What the system says.
        why: io::Error,
    },
}

/// Who asks, and hears what the bus says.
pub(super) trait Asker {
    /// Something was heard, asked for or not.
    fn heard(&mut self, telegram: &Telegram, now: Moment);
    /// Puts what is to be asked into the outbox; called whenever something has happened.
    fn ask(&mut self, outbox: &mut Outbox, now: Moment);
    /// An exchange is over.
    fn ended(&mut self, ticket: Ticket, outcome: Result<Delivered, BusError>, now: Moment);
    /// When it wants to ask again although nothing happens.
    fn next_due(&self) -> Option<Moment>;
    /// Whether there is nothing more to ask.
    fn is_done(&self) -> bool;
}

/// The connection.
pub(super) struct Line {
    address: String,
    stream: Box<dyn BusStream>,
    decoder: BusDecoder,
    unread: BytesMut,
    outbox: Outbox,
    began: Instant,
}

impl Line {
    /// Dials a gateway.
    pub(super) async fn dial(host: &str, port: u16) -> Result<Self, LineError> {
        let dial = TcpDial::new(host, port);
        let address = dial.target();
        match dial.dial().await {
            Ok(stream) => Ok(Self::over(address, stream)),
            Err(why) => Err(LineError::Unreachable { address, why }),
        }
    }

    /// Takes a stream that is open.
    pub(super) fn over(address: String, stream: Box<dyn BusStream>) -> Self {
        let mut outbox = Outbox::new(OutboxPlan::default());
        outbox.link_came_up(Moment::START);
        Self {
            address,
            stream,
            decoder: BusDecoder::default(),
            unread: BytesMut::new(),
            outbox,
            began: Instant::now(),
        }
    }

    /// What was dialled.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.began.elapsed())
    }

    fn closed(&self, why: io::Error) -> LineError {
        LineError::Closed { address: self.address.clone(), why }
    }

    /// Asks and hears until there is nothing more to ask.
    pub(super) async fn work(&mut self, asker: &mut dyn Asker) -> Result<(), LineError> {
        let mut chunk = vec![0; READ_BYTES];
        loop {
            if self.turn(asker).await? {
                // Who was just answered may have more to ask.
                continue;
            }
            if asker.is_done() && self.outbox.is_idle() {
                return Ok(());
            }
            let due = earliest(self.outbox.next_due(), asker.next_due());
            let due = due.map(|due| self.began + due.since_start());
            let count = tokio::select! {
                read = self.stream.read(&mut chunk) => read.map_err(|why| self.closed(why))?,
                () = sleep_until(due.unwrap_or(self.began)), if due.is_some() => continue,
            };
            if count == 0 {
                return Err(self.closed(ErrorKind::UnexpectedEof.into()));
            }
            self.unread.extend_from_slice(&chunk[..count]);
            self.hear(asker)?;
        }
    }

    fn hear(&mut self, asker: &mut dyn Asker) -> Result<(), LineError> {
        let now = self.now();
        let mut effects = Vec::new();
        while let Some(heard) = self.decoder.decode(&mut self.unread).map_err(|why| self.closed(why))? {
            if let Heard::Telegram(telegram) = heard {
                asker.heard(&telegram, now);
                self.outbox.heard(&telegram, now, &mut effects);
            }
        }
        tell_ends(effects, asker, now);
        Ok(())
    }

    /// Asks what is to be asked and writes what may be written now; whether an exchange ended by that.
    async fn turn(&mut self, asker: &mut dyn Asker) -> Result<bool, LineError> {
        let now = self.now();
        asker.ask(&mut self.outbox, now);
        let mut effects = Vec::new();
        self.outbox.due(now, &mut effects);
        for effect in &effects {
            if let Effect::Write(telegram) = effect {
                let bytes = telegram.to_bytes();
                let written = timeout(WRITE_WITHIN, self.stream.write_all(&bytes)).await;
                written
                    .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
                    .map_err(|why| self.closed(why))?;
            }
        }
        Ok(tell_ends(effects, asker, now))
    }
}

/// Whether there was any.
fn tell_ends(effects: Vec<Effect>, asker: &mut dyn Asker, now: Moment) -> bool {
    let mut any = false;
    for effect in effects {
        if let Effect::Ended { ticket, outcome } = effect {
            asker.ended(ticket, outcome, now);
            any = true;
        }
    }
    any
}
