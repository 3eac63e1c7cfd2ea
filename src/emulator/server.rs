//! The shell of the house: sockets and the clock.
//!
//! Owns the connections and nothing else; the house decides. A connection is one local task over anything that
//! reads and writes, so a test without sockets runs the same code as a client over TCP. Everything runs on one
//! thread and by tokio's clock, so paused time works.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{spawn_local, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::conbus::{Edge, Event, EventBus, EventSource, Percent, Point, SerialNumber, Telegram};

use super::gateway::{Arrival, ClientId, Ending};
use super::house::House;
use super::ledger::{Counters, Direction, Passed};
use super::{Fault, HouseSetup};

/// How many bytes are read at once.
const READ_BYTES: usize = 2048;
/// How many bytes an in-memory connection holds in each direction.
const IN_MEMORY_BYTES: usize = 64 * 1024;
/// How long the last bytes of a connection that ends may take.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How long to wait before listening is tried again.
const LISTEN_AGAIN: Duration = Duration::from_millis(50);

/// A running house. Clones are the same house.
#[derive(Clone)]
pub struct Emulator {
    shared: Rc<Shared>,
}

struct Shared {
    house: RefCell<House>,
    switched_on: Instant,
    /// Rung after every change from outside, so that each connection looks again at what it has to do.
    changed: Notify,
}

/// A stream whose end can be a reset.
trait Line: AsyncRead + AsyncWrite + Unpin {
    /// Makes the end of this stream a reset instead of an orderly one, where there is a difference.
    fn end_with_reset(&self);
}

impl Line for TcpStream {
    fn end_with_reset(&self) {
        if let Err(error) = self.set_zero_linger() {
            log::debug!(target: "emulator", "the reset becomes an orderly end error={error}");
        }
    }
}

impl Line for DuplexStream {
    fn end_with_reset(&self) {}
}

/// What woke a connection.
enum Woken {
    Read(std::io::Result<usize>),
    Written(std::io::Result<usize>),
    Due,
}

impl Emulator {
    /// Switches a house on; its time zero is now, by tokio's clock.
    pub fn new(setup: HouseSetup) -> Self {
        let house = RefCell::new(House::new(setup));
        Self { shared: Rc::new(Shared { house, switched_on: Instant::now(), changed: Notify::new() }) }
    }

    /// Since the house was switched on.
    pub fn uptime(&self) -> Duration {
        self.shared.switched_on.elapsed()
    }

    /// Acts on the house at this moment and wakes the connections.
    pub fn with<T>(&self, act: impl FnOnce(&mut House, Duration) -> T) -> T {
        let now = self.uptime();
        let mut house = self.shared.house.borrow_mut();
        house.advance(now);
        let result = act(&mut house, now);
        house.advance(now);
        drop(house);
        self.shared.changed.notify_waiters();
        result
    }

    /// Looks at the house at this moment.
    fn look<T>(&self, view: impl FnOnce(&House) -> T) -> T {
        let now = self.uptime();
        let mut house = self.shared.house.borrow_mut();
        house.advance(now);
        view(&house)
    }

    // --- connections -------------------------------------------------------------------------------------

    /// Serves clients for ever; while the gateway is down nobody listens on the port.
    pub async fn serve(&self, listener: TcpListener) {
        let address = listener.local_addr();
        let mut listener = Some(listener);
        loop {
            if !self.look(House::is_gateway_up) {
                listener = None;
                self.shared.changed.notified().await;
                continue;
            }
            let Some(listening) = &listener else {
                match &address {
                    Ok(address) => listener = TcpListener::bind(address).await.ok(),
                    Err(error) => {
                        log::error!(target: "emulator", "cannot listen again error={error}");
                        return;
                    }
                }
                if listener.is_none() {
                    sleep(LISTEN_AGAIN).await;
                }
                continue;
            };
            tokio::select! {
                accepted = listening.accept() => match accepted {
                    Ok((stream, _)) => self.accept(stream).await,
                    Err(error) => {
                        log::warn!(target: "emulator", "a client could not be accepted error={error}");
                        sleep(LISTEN_AGAIN).await;
                    }
                },
                () = self.shared.changed.notified() => {}
            }
        }
    }

    async fn accept(&self, stream: TcpStream) {
        // The end of the former connection may lie unread beside this one: its task goes first, or a client
        // that closed before it dialled would look like two.
        for _ in 0..4 {
            yield_now().await;
        }
        if let Err(error) = stream.set_nodelay(true) {
            log::debug!(target: "emulator", "telegrams may wait for each other error={error}");
        }
        self.admit(stream);
    }

    /// Connects a client without a socket; `None` when the gateway refuses it.
    ///
    /// Has to be called inside a local task set: the connection runs as a task of it.
    pub fn connect(&self) -> Option<DuplexStream> {
        let (client, gateway) = tokio::io::duplex(IN_MEMORY_BYTES);
        self.admit(gateway).then_some(client)
    }

    /// Whether this stream is served from now on.
    fn admit(&self, stream: impl Line + 'static) -> bool {
        match self.with(House::arrive) {
            Arrival::Welcome(client) => {
                spawn_local(self.clone().attend(stream, client));
                true
            }
            Arrival::Refused => false,
        }
    }

    async fn attend(self, mut stream: impl Line, client: ClientId) {
        let ending = self.converse(&mut stream, client).await;
        if matches!(ending, Some(Ending::Rst | Ending::RstMidFrame)) {
            stream.end_with_reset();
        }
        drop(stream);
        self.with(|house, now| house.leave(now, client));
    }

    /// Carries bytes both ways until one side ends it; how, when it is the house.
    async fn converse(&self, stream: &mut impl Line, client: ClientId) -> Option<Ending> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut read = [0; READ_BYTES];
        let mut pending: Vec<u8> = Vec::new();
        loop {
            let (ending, due, segment) = {
                let mut house = self.shared.house.borrow_mut();
                house.advance(self.uptime());
                let ending = house.ending(client);
                // While the client does not read, its telegrams wait in the house, which has a limit.
                if pending.is_empty() || ending.is_some() {
                    pending.extend(house.collect(client).bytes);
                }
                (ending, house.next_due(), house.segment_bytes())
            };
            if ending.is_some() {
                // Whoever does not read the rest in time does not get it.
                timeout(LAST_WORDS, writer.write_all(&pending)).await.ok();
                return ending;
            }
            let due = due.map(|due| self.shared.switched_on + due);
            let woken = tokio::select! {
                biased;
                count = writer.write(&pending[..pending.len().min(segment)]), if !pending.is_empty() => Woken::Written(count),
                count = reader.read(&mut read) => Woken::Read(count),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Woken::Due,
                () = self.shared.changed.notified() => Woken::Due,
            };
            match woken {
                Woken::Read(Ok(0) | Err(_)) | Woken::Written(Err(_)) => return None,
                Woken::Read(Ok(count)) => {
                    self.with(|house, now| house.take_bytes(now, client, &read[..count]));
                }
                Woken::Written(Ok(count)) => {
                    pending.drain(..count);
                    if segment != usize::MAX {
                        // Long enough for the other side to see the pieces one by one.
                        sleep(Duration::from_millis(1)).await;
                    }
                }
                Woken::Due => {}
            }
        }
    }

    // --- hands in the house ------------------------------------------------------------------------------

    /// Somebody switches an output at the wall; it is reported when the module reports by itself.
    pub fn turn(&self, point: Point, on: bool) {
        self.with(|house, now| house.turn(now, point, on));
    }

    /// Somebody dims an output at the wall.
    pub fn set_level(&self, point: Point, level: Percent) {
        self.with(|house, now| house.set_level(now, point, level));
    }

    /// A panel's event is heard on the bus.
    pub fn inject(&self, event: Event) {
        self.with(|house, now| house.overhear(now, event.into()));
    }

    /// Somebody presses a button and lets go of it after `held`.
    pub fn press(&self, source: EventSource, held: Duration) {
        let event = move |edge| Event { bus: EventBus::Xp, source, edge };
        self.inject(event(Edge::Make));
        let house = self.clone();
        spawn_local(async move {
            sleep(held).await;
            house.inject(event(Edge::Break));
        });
    }

    /// Another master, or anybody who is not a module of this house, puts a telegram on the bus.
    pub fn overhear(&self, telegram: impl Into<Telegram>) {
        self.with(|house, now| house.overhear(now, telegram.into()));
    }

    // --- faults ------------------------------------------------------------------------------------------

    /// Switches a fault on or off.
    pub fn fault(&self, fault: Fault) {
        self.with(|house, _| house.fault(fault));
    }

    /// Sends the client bytes that no module has said.
    pub fn noise(&self, bytes: &[u8]) {
        self.with(|house, now| house.noise(now, bytes));
    }

    /// Switches every fault off.
    pub fn clear_faults(&self) {
        self.with(|house, _| house.clear_faults());
    }

    /// A module repeats its last reply so often until D10 of it is read.
    pub fn storm(&self, serial: SerialNumber, per_second: u32) {
        self.with(|house, now| house.storm(now, serial, per_second, 1));
    }

    /// A module restarts.
    pub fn restart(&self, serial: SerialNumber) {
        self.with(|house, now| house.restart(now, serial));
    }

    /// Ends the client's connection in this way.
    pub fn drop_client(&self, how: Ending) {
        self.with(|house, now| house.drop_client(now, how));
    }

    /// Closes every new connection at once for a while.
    pub fn refuse_for(&self, how_long: Duration) {
        self.with(|house, now| house.refuse_until(now + how_long));
    }

    /// Switches the gateway on or off; off ends the connection, and nobody listens until it is on again.
    pub fn gateway_up(&self, up: bool) {
        self.with(|house, now| house.gateway_up(now, up));
    }

    // --- truth -------------------------------------------------------------------------------------------

    /// The truth about an output: whether it is on, and its level (of a relay 0 or 100).
    pub fn output(&self, point: Point) -> Option<(bool, Percent)> {
        self.look(|house| house.output(point))
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.look(House::counters)
    }

    /// See [`House::sockets`].
    pub fn sockets(&self) -> (u64, Option<Duration>) {
        self.look(House::sockets)
    }

    /// Every telegram that a client sent, with the time since the house was switched on.
    pub fn received(&self) -> Vec<(Duration, Telegram)> {
        self.look(|house| {
            let from_client = house.transcript().filter(|one| one.direction == Direction::FromClient);
            from_client.map(|one| (one.at, one.telegram.clone())).collect()
        })
    }

    /// Every telegram that passed the gateway in either direction.
    pub fn transcript(&self) -> Vec<Passed> {
        self.look(|house| house.transcript().cloned().collect())
    }
}
