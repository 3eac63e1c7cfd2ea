//! The line between the daemon and the gateway: it listens, cuts what it carries into pieces, and can say things
//! that the house did not say: replies heard twice, replies to masters whose questions nobody heard, garbage.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use conbusd::conbus::{
    Datapoint, DatapointValue, EventMeaning, ModuleType, Piece, Point, Reply, SerialNumber, Splitter,
    Telegram,
};
use conbusd::emulator::Emulator;
use conbusd::emulator::control::Order;
use conbusd::policy::settle::Settle;
use conbusd::transport::{BusStream, Dial, Dialled};
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::{mpsc, oneshot};

use crate::court::{Court, Promise};
use crate::pace::Pace;

/// From the last byte of a request until the modules have heard it, by the timing of the emulated bus.
pub(crate) const TRAVEL: Duration = Duration::from_millis(15);

/// How long a command keeps a module busy: the way, the acknowledgement, the report.
const COMMAND: Duration = Duration::from_millis(150);

/// How long a module that repeats itself may be believed: six repeats, of which some may be lost.
const STORM_NOTICED: Duration = Duration::from_secs(3);

/// How many telegrams the guest may be behind.
const PASSED_KEPT: usize = 4096;

/// Where a telegram is broken into: behind its first letters.
const BROKEN_AT: usize = 9;

/// How late a reply may be, by the assumption L of the update rule.
pub(crate) const REPLY_LIFE: Duration = Duration::from_secs(3);

/// What the line is and does, shared by whoever has to do with it.
pub(crate) struct Line {
    pub(crate) emulator: Emulator,
    pub(crate) court: Rc<RefCell<Court>>,
    pub(crate) pace: RefCell<Pace>,
    modules: Vec<(SerialNumber, ModuleType, u8)>,
    extra: RefCell<VecDeque<Vec<u8>>>,
    reader: RefCell<Option<Waker>>,
    /// Bytes a read gives at most; 0: all there are.
    pub(crate) chunk: Cell<usize>,
    /// Nothing comes through any more.
    pub(crate) dead: Cell<bool>,
    open: Cell<u32>,
    /// How long after it the next reply is heard once more.
    pub(crate) echo: Cell<Option<Duration>>,
    /// How long the machine stood still, all in all.
    pub(crate) asleep: Cell<Duration>,
    /// Which connection it is, by number.
    connection: Cell<u64>,
    /// When each module was last told to do something.
    commands: RefCell<BTreeMap<SerialNumber, Duration>>,
    /// What has begun to repeat itself since the last time that all was well.
    pub(crate) stormed: RefCell<Vec<SerialNumber>>,
    /// Modules that were asked something and have not answered, each with the time of the last question.
    asked: RefCell<BTreeMap<SerialNumber, Duration>>,
    /// How often the state of each module was read, and when its outputs were read last.
    reads: RefCell<BTreeMap<SerialNumber, u64>>,
    read_at: RefCell<BTreeMap<SerialNumber, Duration>>,
    outdoors: mpsc::UnboundedSender<LocalBoxFuture<'static, ()>>,
    /// Bytes that break into the next telegram of the house.
    pub(crate) inside: RefCell<Option<Vec<u8>>>,
    /// What went by, for the guest at the shared port to hear in this order.
    passed: RefCell<VecDeque<Telegram>>,
    /// Modules that have told the daemon that they do not report, since it connected.
    silent_reports: RefCell<BTreeSet<SerialNumber>>,
}

impl Line {
    pub(crate) fn new(
        emulator: Emulator,
        court: Rc<RefCell<Court>>,
        pace: Pace,
        modules: Vec<(SerialNumber, ModuleType, u8)>,
    ) -> Rc<Self> {
        let (outdoors, mut jobs) = mpsc::unbounded_channel::<LocalBoxFuture<'static, ()>>();
        tokio::task::spawn_local(async move {
            while let Some(job) = jobs.recv().await {
                tokio::task::spawn_local(job);
            }
        });
        Rc::new(Self {
            outdoors,
            inside: RefCell::default(),
            passed: RefCell::default(),
            silent_reports: RefCell::default(),
            emulator,
            court,
            pace: RefCell::new(pace),
            modules,
            extra: RefCell::default(),
            reader: RefCell::default(),
            chunk: Cell::new(0),
            dead: Cell::new(false),
            open: Cell::new(0),
            echo: Cell::new(None),
            asleep: Cell::default(),
            connection: Cell::new(0),
            commands: RefCell::default(),
            stormed: RefCell::default(),
            asked: RefCell::default(),
            reads: RefCell::default(),
            read_at: RefCell::default(),
        })
    }

    /// Which connection it is, by number.
    pub(crate) fn connection(&self) -> u64 {
        self.connection.get()
    }

    /// A module that repeats an old reply is believed until the repetition is noticed, on each connection anew.
    pub(crate) fn excuse_storms(&self) {
        let until = self.now() + STORM_NOTICED;
        let stormed = self.stormed.borrow();
        self.court.borrow_mut().truth.excuse(until, |point| stormed.contains(&point.serial));
    }

    /// Forgets the storms that are over.
    pub(crate) fn forget_storms(&self) {
        let state = self.emulator.obey(Order::State).unwrap();
        let storming = |serial: &SerialNumber| {
            let modules = state["modules"].as_array().unwrap().iter();
            modules.filter(|one| one["serial"] == serial.to_string()).any(|one| one["storming"] == true)
        };
        self.stormed.borrow_mut().retain(storming);
    }

    /// How often the state of a module was read.
    pub(crate) fn reads_of(&self, serial: SerialNumber) -> u64 {
        self.reads.borrow().get(&serial).copied().unwrap_or(0)
    }

    /// The time `now` for somebody who began when the machine had stood still for `asleep`, and for whom that does
    /// not count.
    pub(crate) fn awake(&self, now: Duration, asleep: Duration) -> Duration {
        now.saturating_sub(self.asleep.get().saturating_sub(asleep))
    }

    /// When the outputs of a module were read last.
    pub(crate) fn read_at(&self, serial: SerialNumber) -> Option<Duration> {
        self.read_at.borrow().get(&serial).copied()
    }

    /// Notes a command on its way to a module.
    pub(crate) fn commanded(&self, serial: SerialNumber) {
        self.commands.borrow_mut().insert(serial, self.now());
    }

    /// Whether a command is on its way to this module, or has just been obeyed.
    pub(crate) fn is_commanded(&self, serial: SerialNumber) -> bool {
        self.commands.borrow().get(&serial).is_some_and(|at| *at + COMMAND > self.now())
    }

    /// Lets something happen outside of the daemon, which does not end with it.
    fn outdoors(&self, what: impl Future<Output = ()> + 'static) {
        let _ = self.outdoors.send(Box::pin(what));
    }

    /// The type code and the link number of a module.
    pub(crate) fn sender_of(&self, serial: SerialNumber) -> (u8, u8) {
        let module = self.modules.iter().find(|(other, ..)| *other == serial);
        module.map_or((0, 0), |(_, kind, link)| (kind.code(), *link))
    }

    pub(crate) fn now(&self) -> Duration {
        self.emulator.uptime()
    }

    /// Notes the true state of every output now.
    pub(crate) fn sample(&self) {
        let outputs = self.emulator.with(|house, _| house.outputs());
        self.court.borrow_mut().truth.sample(self.now(), &outputs);
    }

    /// Notes the true state when a request that is written now has reached the modules.
    pub(crate) fn sample_when_heard(self: &Rc<Self>) {
        let line = self.clone();
        self.outdoors(async move {
            tokio::time::sleep(TRAVEL).await;
            line.sample();
        });
    }

    /// Says this to the daemon between two telegrams of the house.
    pub(crate) fn say(&self, bytes: Vec<u8>) {
        if self.open.get() == 0 || self.dead.get() {
            return;
        }
        self.extra.borrow_mut().push_back(bytes);
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
    }

    /// Says this to the daemon after a while, if it still has the same connection then.
    pub(crate) fn say_later(self: &Rc<Self>, bytes: Vec<u8>, after: Duration) {
        let (line, connection) = (self.clone(), self.connection());
        self.outdoors(async move {
            tokio::time::sleep(after).await;
            if line.connection() == connection {
                line.say(bytes);
            }
        });
    }

    fn passes(&self, telegram: &Telegram) {
        if matches!(telegram, Telegram::System(_)) {
            return;
        }
        let mut passed = self.passed.borrow_mut();
        if passed.len() >= PASSED_KEPT {
            passed.pop_front();
        }
        passed.push_back(telegram.clone());
    }

    /// The guest at the shared port hears this: what a module says must have gone by, behind what he heard before. What
    /// a master says may be heard an instant before it is on the wire, or though the link has just ended.
    pub(crate) fn overheard(&self, telegram: &Telegram) {
        let now = self.now();
        let mut court = self.court.borrow_mut();
        court.trace((now, telegram));
        court.act("overheard");
        if matches!(telegram, Telegram::System(_)) {
            return;
        }
        let mut passed = self.passed.borrow_mut();
        match passed.iter().position(|one| one == telegram) {
            Some(place) => drop(passed.drain(..=place)),
            None => court.broken(Promise::Provenance, now, || format!("a guest heard {telegram}")),
        }
    }

    /// Whether this module has told that it does not report by itself.
    pub(crate) fn does_not_report(&self, serial: SerialNumber) -> bool {
        self.silent_reports.borrow().contains(&serial)
    }

    fn wrote(self: &Rc<Self>, telegram: &Telegram) {
        let now = self.now();
        debug(now, "TX", telegram);
        let mut court = self.court.borrow_mut();
        court.figures.sent += 1;
        court.trace((now, telegram));
        self.pace.borrow_mut().wrote(telegram, now, &mut court);
        if let Telegram::System(system) = telegram {
            self.asked.borrow_mut().insert(system.serial, now);
            if system.reads() == Some(Datapoint::OUTPUTS) {
                self.read_at.borrow_mut().insert(system.serial, now);
            }
        }
        if let Telegram::System(system) = telegram
            && matches!(system.reads(), Some(Datapoint::OUTPUTS | Datapoint::LEVELS))
        {
            *self.reads.borrow_mut().entry(system.serial).or_default() += 1;
        }
        if let Telegram::System(system) = telegram
            && system.commands().is_some()
        {
            court.figures.commands += 1;
            self.commanded(system.serial);
            self.sample_when_heard();
        }
    }

    fn heard(self: &Rc<Self>, telegram: &Telegram, by_itself: bool) {
        let now = self.now();
        debug(now, "RX", telegram);
        self.passes(telegram);
        let mut court = self.court.borrow_mut();
        court.figures.heard += 1;
        court.trace((now, telegram));
        self.pace.borrow_mut().heard(telegram, now);
        match telegram {
            Telegram::Reply(reply) => {
                if let Some(after) = self.echo.take().filter(|_| by_itself) {
                    self.say_later(telegram.to_bytes(), after);
                }
                // Six repeats are believed until they are known for what they are, whenever they come through; what
                // comes behind the time-out of a query is no answer to the daemon, and may be one of them.
                let asked = self.asked.borrow_mut().remove(&reply.serial);
                let answers = asked.is_some_and(|at| now < at + Settle::default().time_out);
                if !answers && self.stormed.borrow().contains(&reply.serial) {
                    court.truth.excuse(now + STORM_NOTICED, |point| point.serial == reply.serial);
                }
                match reply.value() {
                    Some((_, DatapointValue::AutoReport(true))) => {
                        self.silent_reports.borrow_mut().remove(&reply.serial);
                    }
                    Some((_, DatapointValue::AutoReport(false))) => {
                        self.silent_reports.borrow_mut().insert(reply.serial);
                    }
                    _ => {}
                }
                said(reply, now, &mut court);
            }
            Telegram::Event(event) => {
                let source = event.source;
                let from = self
                    .modules
                    .iter()
                    .find(|(_, kind, link)| (*kind, *link) == (source.module_type, source.link));
                if let (EventMeaning::OutputReport(output), Some((serial, ..))) = (event.meaning(), from) {
                    let on = event.edge == conbusd::conbus::Edge::Make;
                    let point = Point { serial: *serial, output };
                    court.truth.said_on(now, point, on);
                    court.came_late(point, on, now);
                }
            }
            Telegram::System(_) => {}
        }
    }
}

fn said(reply: &Reply, now: Duration, court: &mut Court) {
    match reply.value() {
        Some((Datapoint::OUTPUTS, DatapointValue::Outputs(outputs))) => {
            for (output, on) in outputs.known() {
                court.truth.said_on(now, Point { serial: reply.serial, output }, on);
            }
        }
        Some((Datapoint::LEVELS, DatapointValue::Levels(levels))) => {
            for (output, level) in levels.known() {
                court.truth.said_level(now, Point { serial: reply.serial, output }, level.get());
            }
        }
        _ => {}
    }
}

/// Dials the emulated house over the line.
pub(crate) struct LineDial(pub(crate) Rc<Line>);

impl Dial for LineDial {
    fn dial(&self) -> Dialled {
        let line = self.0.clone();
        let (found, stream) = oneshot::channel();
        let gateway = line.clone();
        line.outdoors(async move {
            let _ = found.send(gateway.emulator.connect());
        });
        Box::pin(async move {
            let end = stream.await.ok().flatten().map(|stream| LineEnd::new(line, stream));
            let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(end) as Box<dyn BusStream>)
        })
    }

    fn target(&self) -> String {
        "line".into()
    }
}

/// The daemon's end of one connection.
struct LineEnd {
    line: Rc<Line>,
    stream: DuplexStream,
    to_gateway: Splitter,
    to_daemon: Splitter,
    /// Whether the daemon has got the beginning of a telegram and not its end.
    mid_frame: bool,
}

impl LineEnd {
    fn new(line: Rc<Line>, stream: DuplexStream) -> Self {
        line.open.set(line.open.get() + 1);
        line.connection.set(line.connection.get() + 1);
        line.extra.borrow_mut().clear();
        line.inside.borrow_mut().take();
        line.silent_reports.borrow_mut().clear();
        line.echo.set(None);
        line.dead.set(false);
        line.pace.borrow_mut().connected();
        line.excuse_storms();
        Self { line, stream, to_gateway: Splitter::new(), to_daemon: Splitter::new(), mid_frame: false }
    }

    fn delivered(&mut self, mut bytes: &[u8], by_itself: bool) {
        if let Some(last) = bytes.iter().rev().find(|byte| matches!(byte, b'<' | b'>')) {
            self.mid_frame = *last == b'<';
        }
        let line = self.line.clone();
        while let Some(piece) = self.to_daemon.next_piece(&mut bytes) {
            if let Piece::Frame(frame) = piece
                && let Ok(telegram) = Telegram::parse(frame)
            {
                line.heard(&telegram, by_itself);
            }
        }
    }
}

impl Drop for LineEnd {
    fn drop(&mut self) {
        self.line.open.set(self.line.open.get() - 1);
    }
}

impl AsyncRead for LineEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let extra = if self.mid_frame {
            self.line.inside.borrow_mut().take()
        } else {
            self.line.extra.borrow_mut().pop_front()
        };
        if let Some(extra) = extra.filter(|extra| extra.len() <= buffer.remaining()) {
            buffer.put_slice(&extra);
            self.delivered(&extra, false);
            return Poll::Ready(Ok(()));
        }
        *self.line.reader.borrow_mut() = Some(context.waker().clone());
        // A telegram that is to be broken into is read in two pieces.
        let breaks = self.line.inside.borrow().is_some();
        let chunk = if breaks { BROKEN_AT } else { self.line.chunk.get() };
        let room = if chunk == 0 { buffer.remaining() } else { chunk.min(buffer.remaining()) };
        let mut piece = buffer.take(room);
        let polled = Pin::new(&mut self.stream).poll_read(context, &mut piece);
        let count = piece.filled().len();
        let bytes = piece.filled().to_vec();
        // SAFETY-free way to say how much of the buffer the piece has filled: copy it back.
        if count > 0 {
            buffer.put_slice(&bytes);
            self.delivered(&bytes, true);
        }
        polled
    }
}

impl AsyncWrite for LineEnd {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &polled {
            let mut written = &bytes[..*count];
            let line = self.line.clone();
            while let Some(piece) = self.to_gateway.next_piece(&mut written) {
                match piece {
                    Piece::Frame(frame) => {
                        if let Ok(telegram) = Telegram::parse(frame) {
                            line.wrote(&telegram);
                        }
                    }
                    Piece::Noise(_) => {}
                }
            }
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Prints what passes between the seconds `SIMULATION_FROM` and `SIMULATION_TO`.
fn debug(now: Duration, way: &str, telegram: &Telegram) {
    let second = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let (Some(from), Some(to)) = (second("SIMULATION_FROM"), second("SIMULATION_TO"))
        && (from..to).contains(&now.as_secs())
    {
        println!("{now:?} {way} {telegram}");
    }
}
