//! One change that many hear: event streams of the HTTP door, beside a loop that writes the same bytes to as many.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use crate::figures::{Section, number, pair, quantile};
use crate::houses::Size;
use crate::programs::{Daemon, Events, Other, clock, cpu_nanoseconds, free_port};
use crate::tap::Tap;

/// Who hears the same change.
pub(crate) const LISTENERS: usize = 16;

const TURNS: usize = 400;

/// XP24s of the house.
pub(crate) const MODULES: usize = 16;

/// Between two changes.
const PAUSE: Duration = Duration::from_millis(5);

/// How long is looked at what a program needs without events.
const REST: Duration = Duration::from_secs(3);

/// The other program: what the first client says is told to all others.
pub(crate) async fn tell_all() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let (mut source, _) = listener.accept().await.unwrap();
    let (mut heard, mut buffer) = (Vec::new(), vec![0; 4096]);
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                stream.set_nodelay(true).unwrap();
                heard.push(stream);
            }
            count = source.read(&mut buffer) => {
                let Ok(count @ 1..) = count else { return };
                for stream in &mut heard {
                    stream.write_all(&buffer[..count]).await.unwrap();
                }
            }
        }
    }
}

/// The loop that tells all, with its listeners.
pub(crate) struct Loop {
    other: Other,
    source: TcpStream,
    listeners: Vec<TcpStream>,
}

impl Loop {
    pub(crate) fn start() -> Self {
        let mut other = Other::start(&["fan"]);
        let port = other.line().parse().unwrap();
        let connect = |_| {
            let stream = TcpStream::connect::<(Ipv4Addr, u16)>((Ipv4Addr::LOCALHOST, port)).unwrap();
            stream.set_nodelay(true).unwrap();
            stream
        };
        let (source, listeners) = (connect(0), (0..LISTENERS).map(connect).collect());
        // Until all of them have been accepted.
        std::thread::sleep(Duration::from_millis(200));
        Self { other, source, listeners }
    }

    pub(crate) fn id(&self) -> u32 {
        self.other.id()
    }

    /// Tells so many bytes; how long until the last has read them, in microseconds.
    pub(crate) fn turn(&mut self, bytes: usize) -> f64 {
        let told = vec![b'x'; bytes];
        let begun = clock();
        self.source.write_all(&told).unwrap();
        let mut buffer = vec![0; bytes];
        for listener in &mut self.listeners {
            listener.read_exact(&mut buffer).unwrap();
        }
        micros_since(begun)
    }
}

pub(crate) fn micros_since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6
}

/// What a program needs by itself, to be taken off what it needs with events.
pub(crate) struct AtRest {
    program: u32,
    /// Part of a processor.
    share: f64,
    used: u64,
    begun: Instant,
}

impl AtRest {
    /// Looks for a while; then the events may begin.
    pub(crate) fn look(program: u32) -> Self {
        let (used, begun) = (cpu_nanoseconds(program), clock());
        std::thread::sleep(REST);
        let share = cpu_nanoseconds(program).saturating_sub(used) as f64 / begun.elapsed().as_nanos() as f64;
        Self { program, share, used: cpu_nanoseconds(program), begun: clock() }
    }

    /// CPU of one of so many events that came since, in microseconds.
    pub(crate) fn each(&self, events: usize) -> f64 {
        let used = cpu_nanoseconds(self.program).saturating_sub(self.used) as f64;
        let idle = self.share * self.begun.elapsed().as_nanos() as f64;
        (used - idle).max(0.0) / 1000.0 / events as f64
    }
}

/// A running daemon with a house whose reports can be timed.
pub(crate) struct Rig {
    pub(crate) daemon: Daemon,
    pub(crate) tap: Tap,
    house: Other,
    turned: usize,
}

impl Rig {
    /// Starts it with these lines in its config besides, and waits until everything is known.
    pub(crate) fn start(more: &str) -> Self {
        let size = Size { modules: MODULES, gateways: 1 };
        let (house, ports) = size.start("zero");
        let tap = Tap::before(ports[0]);
        let daemon = Daemon::start(&format!("{}{more}", size.config(&[tap.port])));
        let mut client = daemon.listening();
        while client.json("/api/status")["cache"]["entries"].as_u64() < Some(size.outputs() as u64) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_secs(3));
        Self { daemon, tap, house, turned: 0 }
    }

    /// The number of the module whose output is turned next.
    pub(crate) fn next_module(&self) -> usize {
        self.turned % MODULES
    }

    /// So many outputs are turned at once; when the first report passed.
    pub(crate) fn turn(&mut self, outputs: usize) -> Instant {
        self.tap.clear();
        self.turned += outputs;
        self.house.ask(&format!("reports {outputs}"));
        self.tap.report().expect("a turned output reports")
    }
}

pub(crate) fn section() -> Section {
    let mut rig = Rig::start("");
    let mut floor = Loop::start();
    let mut listeners: Vec<Events> = (0..LISTENERS).map(|_| Events::open(rig.daemon.http)).collect();
    let (ours_rest, floor_rest) = (AtRest::look(rig.daemon.id()), AtRest::look(floor.id()));
    let (mut ours, mut control, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TURNS {
        let of = format!("\"id\":\"m{}o", rig.next_module());
        let begun = rig.turn(1);
        for events in &mut listeners {
            bytes = events.next("accessory", &of).len();
        }
        ours.push(micros_since(begun));
        std::thread::sleep(PAUSE);
        control.push(floor.turn(bytes));
        std::thread::sleep(PAUSE);
    }
    let (ours_cpu, floor_cpu) = (ours_rest.each(TURNS), floor_rest.each(TURNS));
    let mut section = Section::new("4. Doors: event streams");
    section.say(format!(
        "From a report on the gateway's wire to the `accessory` event in the last of {LISTENERS} streams of \
         `/api/events`, {TURNS} turns; CPU is what the program needs for one event to all of them, with what it needs \
         at rest taken off. The floor is a loop on one thread that writes {bytes} bytes to as many clients, by turns in \
         the same run."
    ));
    let ratio = pair(&ours, &control).ratio;
    let row = |what: &str, times: &[f64], cpu: f64, ratio: f64| {
        let of = |part| number(quantile(times.iter().copied(), part));
        vec![what.to_owned(), of(0.5), of(0.99), number(ratio), number(cpu), number(cpu / floor_cpu)]
    };
    section.table(
        &["path", "p50 µs", "p99 µs", "to the floor", "CPU µs an event", "CPU to the floor"],
        &[
            row("report to the last event", &ours, ours_cpu, ratio),
            row("floor: loop", &control, floor_cpu, 1.0),
        ],
    );
    section
}

/// A gateway that can be timed for a bridge that is started by somebody else.
pub(crate) fn timed_gateway() -> (Tap, (u16, u16)) {
    let gateway = free_port();
    let tap = Tap::before(gateway);
    let ports = (tap.port, gateway);
    (tap, ports)
}
