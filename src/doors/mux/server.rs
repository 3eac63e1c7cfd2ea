//! The sockets of the shared port: accepts clients, reads their telegrams, gives them what is heard, ends them.
//!
//! Everything runs on the thread that calls [`Desk::serve`]. What a client sends is read no faster than
//! a bus could carry it, what it does not take ends it, and neither holds anybody else up.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use actix::Addr;
use log::{debug, info, trace, warn};
use serde_json::Value;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::hub::Hub;
use super::port::{ClientId, Denied, Effect, Fate, Port, Rules, Ticket};
use super::{Access, MuxPlan};
use crate::actors::connection::Connection;
use crate::actors::events::{Exchange, PassedOn};
use crate::actors::history::HistoryAddr;
use crate::actors::{Outlet, ask, now, tell};
use crate::conbus::{NoiseCause, Piece, Splitter, Telegram};
use crate::policy::figures::Sheet;
use crate::policy::history::Passed;
use crate::policy::{BusError, GatewayId, Moment, Urgency};

/// Frames that may wait for a client to take them: half a minute of a busy bus, 32 KiB at most.
const FRAMES_WAITING: usize = 256;

/// Bytes taken from a client at once.
const READ_BYTES: usize = 512;

/// Pause between two such reads: 100 kB a second are forty times what a bus carries.
const READ_PAUSE: Duration = Duration::from_millis(5);

/// How long a client may leave the socket full.
const WRITE_STALL: Duration = Duration::from_secs(10);

/// How long one that has said its last may still listen: the answers to that.
const LINGER: Duration = Duration::from_secs(1);

/// What the kernel keeps for a client that reads slowly: beyond it the frames wait here, where they are counted.
const SEND_BUFFER_BYTES: usize = 16 * 1024;

/// After an accept that failed, usually for want of open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Those who were not let in are told of once in this time.
const DENIED_TOLD_EVERY: Duration = Duration::from_secs(60);

/// How much longer than its deadline an exchange may take: it was written at the last moment and is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Probes of a client that may be gone without a word: many only listen, so silence means nothing.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// Where clients, the bus and the clock meet: every decision is the port's.
pub struct Desk {
    pub(super) gateway: GatewayId,
    gateway_name: String,
    listen: Cell<SocketAddr>,
    port: RefCell<Port>,
    rules: Rules,
    ways: RefCell<BTreeMap<ClientId, Way>>,
    /// Absent before the door serves.
    connection: RefCell<Option<Addr<Connection>>>,
    /// Whom to tell what is passed on; absent before the door serves.
    history: RefCell<Option<Outlet<PassedOn>>>,
    /// The next deadline may be another one.
    changed: Notify,
    closing: Cell<bool>,
    denied: Cell<(u64, Option<Moment>)>,
}

/// How a client is reached. Dropping it ends the client's connection.
struct Way {
    frames: mpsc::Sender<Rc<[u8]>>,
    _stay: oneshot::Sender<()>,
}

/// A door that is open. Dropping it closes it at once.
pub struct Door {
    desk: Rc<Desk>,
    tasks: Vec<JoinHandle<()>>,
}

impl Desk {
    /// A desk without clients.
    pub fn new(plan: MuxPlan) -> Rc<Self> {
        Rc::new(Self {
            gateway: plan.gateway,
            gateway_name: plan.gateway_name,
            listen: Cell::new(plan.listen),
            port: RefCell::new(Port::new(plan.rules.clone())),
            rules: plan.rules,
            ways: RefCell::default(),
            connection: RefCell::default(),
            history: RefCell::default(),
            changed: Notify::new(),
            closing: Cell::new(false),
            denied: Cell::default(),
        })
    }

    /// The actor that hears facts for this door; to be started before those that tell them.
    pub fn hub(self: &Rc<Self>) -> Hub {
        Hub { desk: self.clone() }
    }

    /// Opens the door on this thread; clients are let in where a socket listens already.
    pub fn serve(
        self: Rc<Self>,
        connection: Addr<Connection>,
        history: &HistoryAddr,
        listener: Option<TcpListener>,
    ) -> Door {
        *self.connection.borrow_mut() = Some(connection);
        *self.history.borrow_mut() = Some(Outlet::new(history.clone().recipient()));
        let mut tasks = vec![tokio::task::spawn_local(keep_time(self.clone()))];
        if let Some(listener) = listener {
            if let Ok(address) = listener.local_addr() {
                self.listen.set(address);
            }
            info!(target: "mux", "listening address={} gateway={}", self.listen.get(), self.gateway_name);
            tasks.push(tokio::task::spawn_local(accept(self.clone(), listener)));
        }
        Door { desk: self, tasks }
    }

    /// Lets one client in, or hangs up. The task ends with the client.
    pub fn welcome<S>(self: &Rc<Self>, stream: S, peer: SocketAddr) -> Option<JoinHandle<()>>
    where
        S: AsyncRead + AsyncWrite + 'static,
    {
        if self.closing.get() {
            return None;
        }
        let entered = self.port.borrow_mut().enter(peer, now());
        let id = match entered {
            Ok(id) => id,
            Err(why) => {
                self.tell_denied(peer, why);
                return None;
            }
        };
        let (frames, queue) = mpsc::channel(FRAMES_WAITING);
        let (stay, ended) = oneshot::channel();
        self.ways.borrow_mut().insert(id, Way { frames, _stay: stay });
        info!(target: "mux", "client came address={peer}");
        let (reader, writer) = tokio::io::split(stream);
        let desk = self.clone();
        Some(tokio::task::spawn_local(async move {
            let why = tokio::select! {
                biased;
                _ = ended => "cut off",
                why = desk.read(id, reader) => why,
                why = write(writer, queue) => why,
            };
            desk.part(id, peer, why);
        }))
    }

    /// One turn of the port: something happens to it, and what it wants done is done.
    pub(super) fn turn<T>(
        self: &Rc<Self>,
        happens: impl FnOnce(&mut Port, Moment, &mut Vec<Effect>) -> T,
    ) -> T {
        let mut effects = Vec::new();
        let answer = happens(&mut self.port.borrow_mut(), now(), &mut effects);
        self.perform(effects);
        answer
    }

    fn perform(self: &Rc<Self>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Tell { client, frame } => self.tell(client, frame),
                Effect::Ask { ticket, telegram, deadline } => {
                    let desk = self.clone();
                    self.audit(ticket, &telegram);
                    let asked = self.exchange(telegram, deadline);
                    tokio::task::spawn_local(async move {
                        let outcome = asked.await;
                        desk.turn(|port, now, effects| port.ended(ticket, outcome, now, effects));
                    });
                }
            }
        }
        self.changed.notify_one();
    }

    /// What may change something is told to the history ahead of its writing, with the client's address.
    fn audit(&self, ticket: Ticket, telegram: &Telegram) {
        let Some(doer) = self.port.borrow().doer(ticket) else { return };
        let passed =
            Passed { gateway: self.gateway, telegram: telegram.clone(), name: format!("shared port {doer}") };
        if let Some(history) = self.history.borrow_mut().as_mut() {
            // What finds no room is told as another program's.
            let _ = tell(history, PassedOn { passed });
        }
    }

    /// The port and its clients as an object.
    pub fn picture(&self) -> Value {
        let mut picture = self.port.borrow().picture(now());
        let rules = &self.rules;
        picture["listen"] = self.listen.get().to_string().into();
        picture["gateway"] = self.gateway_name.as_str().into();
        picture["access"] = word(rules.access).into();
        picture["firmware"] = rules.firmware.into();
        picture["max_clients"] = rules.max_clients.into();
        picture
    }

    pub(super) fn measure(&self) -> Sheet {
        let mut sheet = Sheet::default();
        self.port.borrow().note(&self.gateway_name, &mut sheet);
        sheet
    }

    fn exchange(
        &self,
        telegram: Telegram,
        deadline: Moment,
    ) -> impl Future<Output = Result<(), BusError>> + use<> {
        let exchange = Exchange { telegram, urgency: Urgency::MuxClient, deadline, taken: None };
        let within = deadline.since(now()) + ANSWER_WITHIN;
        let asked = self.connection.borrow().as_ref().map(|connection| ask(connection, exchange, within));
        async move {
            match asked {
                Some(asked) => asked.await.map(|_| ()),
                None => Err(BusError::LinkDown),
            }
        }
    }

    /// A client that does not take what it is given is cut off: the bus waits for nobody.
    fn tell(&self, client: ClientId, frame: Rc<[u8]>) {
        let mut ways = self.ways.borrow_mut();
        let is_full = ways.get(&client).is_some_and(|way| way.frames.try_send(frame).is_err());
        if is_full && ways.remove(&client).is_some() {
            warn!(target: "mux", "a client takes nothing any more, cut off waiting={FRAMES_WAITING}");
            self.port.borrow_mut().too_slow();
        }
    }

    /// Reads what a client says until it says no more; answers why it ended.
    async fn read<R: AsyncRead>(self: &Rc<Self>, id: ClientId, mut reader: ReadHalf<R>) -> &'static str {
        let mut splitter = Splitter::new();
        let mut buffer = [0; READ_BYTES];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) => {
                    let mut input = &buffer[..count];
                    while let Some(piece) = splitter.next_piece(&mut input) {
                        if !self.take(id, piece) {
                            return "it speaks something else";
                        }
                    }
                }
                Err(_) => return "the connection broke",
            }
            tokio::time::sleep(READ_PAUSE).await;
        }
        tokio::time::sleep(LINGER).await;
        "it went"
    }

    /// Takes one piece of what a client said; false when it is to be cut off.
    fn take(self: &Rc<Self>, id: ClientId, piece: Piece<'_>) -> bool {
        let noise = |bytes, why: NoiseCause| {
            debug!(target: "mux", "noise of a client why={why:?} bytes={bytes}");
            self.port.borrow_mut().noise(id, bytes)
        };
        let frame = match piece {
            Piece::Frame(frame) => frame,
            Piece::Noise(piece) => return noise(piece.total, piece.why),
        };
        let Ok(telegram) = Telegram::parse(frame) else {
            return noise(frame.payload().len(), NoiseCause::Grammar);
        };
        if self.closing.get() {
            return true;
        }
        let fate = self.turn(|port, now, effects| port.said(id, &telegram, now, effects));
        match fate {
            Fate::Taken => trace!(target: "mux", "client={id:?} {telegram}"),
            Fate::Refused(why) => debug!(target: "mux", "refused client={id:?} {telegram} why={why:?}"),
            Fate::Dropped => debug!(target: "mux", "dropped client={id:?} {telegram}"),
        }
        true
    }

    fn part(self: &Rc<Self>, id: ClientId, peer: SocketAddr, why: &str) {
        self.ways.borrow_mut().remove(&id);
        if let Some(said) = self.turn(|port, _, _| port.leave(id)) {
            info!(target: "mux", "client gone address={peer} why=\"{why}\" sent={} heard={} refused={} dropped={}",
                said.sent, said.heard, said.refused, said.dropped);
        }
    }

    /// A stranger that tries without end is a line a minute.
    fn tell_denied(&self, peer: SocketAddr, why: Denied) {
        let (untold, told) = self.denied.get();
        let at = now();
        if told.is_some_and(|told| at.since(told) < DENIED_TOLD_EVERY) {
            self.denied.set((untold + 1, told));
            return;
        }
        self.denied.set((0, Some(at)));
        let why = match why {
            Denied::Stranger => "not in `mux.allow`",
            Denied::Full => "`mux.max_clients` are there",
        };
        warn!(target: "mux", "not let in address={peer} why=\"{why}\" others_before={untold}");
    }
}

impl Door {
    /// From now on nothing of what clients say is taken; they still hear.
    pub fn refuse(&self) {
        self.desk.closing.set(true);
    }

    /// Who decides.
    pub fn desk(&self) -> &Rc<Desk> {
        &self.desk
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.desk.closing.set(true);
        for task in &self.tasks {
            task.abort();
        }
        // Their tasks hear that they may not stay.
        self.desk.ways.borrow_mut().clear();
    }
}

fn word(access: Access) -> &'static str {
    match access {
        Access::Full => "full",
        Access::NoWrite => "no-write",
        Access::Listen => "listen",
    }
}

/// Lets the port do what is due, and sleeps until the next deadline or until that has changed.
async fn keep_time(desk: Rc<Desk>) {
    loop {
        let due = desk.port.borrow().next_due();
        match due {
            Some(due) if due <= now() => {
                desk.turn(Port::due);
            }
            Some(due) => {
                tokio::select! {
                    biased;
                    () = desk.changed.notified() => {}
                    () = tokio::time::sleep(due.since(now())) => {}
                }
            }
            None => desk.changed.notified().await,
        }
    }
}

/// Gives a client what waits for it; answers why that ended.
async fn write<W: AsyncWrite>(
    mut writer: WriteHalf<W>,
    mut frames: mpsc::Receiver<Rc<[u8]>>,
) -> &'static str {
    let mut bytes = Vec::new();
    while let Some(frame) = frames.recv().await {
        bytes.clear();
        bytes.extend_from_slice(&frame);
        while bytes.len() < READ_BYTES
            && let Ok(frame) = frames.try_recv()
        {
            bytes.extend_from_slice(&frame);
        }
        match tokio::time::timeout(WRITE_STALL, writer.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return "the connection broke",
            Err(_) => return "it takes nothing",
        }
    }
    "cut off"
}

async fn accept(desk: Rc<Desk>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match prepare(&stream) {
                Ok(()) => {
                    desk.welcome(stream, peer);
                }
                Err(error) => debug!(target: "mux", "closed address={peer} error={error}"),
            },
            Err(error) => {
                warn!(target: "mux", "cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_send_buffer_size(SEND_BUFFER_BYTES)?;
    SockRef::from(stream).set_tcp_keepalive(&KEEP_ALIVE)
}
