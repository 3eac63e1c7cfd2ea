//! From a report in the socket to a reader of events, beside an echo of the same bytes.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use conbusd::conbus::Telegram;

use crate::figures::{Section, number, pair, quantile};
use crate::limits::{SMALL, known};
use crate::programs::{Daemon, Events, Other, clock};

/// Turns of a round, and rounds.
const TURNS: usize = 100;
const ROUNDS: usize = 5;

/// Before each of them: a processor that has just worked is quicker than one that was asleep, and on a bus it was.
const REST: Duration = Duration::from_millis(3);

/// Event streams that hear the same change.
const LISTENERS: usize = 16;

/// A gateway that is an emulated one, and lets the bench say something on its wire.
pub(crate) struct Tap {
    pub(crate) port: u16,
    /// The way to the daemon, once it has dialled.
    pub(crate) daemon: std::sync::mpsc::Receiver<TcpStream>,
}

impl Tap {
    pub(crate) fn before(gateway: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (told, daemon) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let house = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway)).unwrap();
            for stream in [&client, &house] {
                stream.set_nodelay(true).unwrap();
            }
            told.send(client.try_clone().unwrap()).unwrap();
            pass_on(client.try_clone().unwrap(), house.try_clone().unwrap());
            pass_on(house, client);
        });
        Self { port, daemon }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    });
}

/// The other program: sends back what it is sent.
pub(crate) fn echo() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 64];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// The report of an output of the first module, turn by turn on and off.
pub(crate) fn report(turn: usize) -> Vec<u8> {
    let edge = if turn.is_multiple_of(2) { 'M' } else { 'B' };
    Telegram::parse_payload(format!("E07L00I80{edge}").as_bytes()).unwrap().to_bytes()
}

/// Times in microseconds, turn by turn: of ours, and of the echo right behind it.
#[derive(Default)]
struct Times {
    ours: Vec<f64>,
    floor: Vec<f64>,
}

/// A report, until all of these readers have its event; then an echo of the same bytes.
fn turn(
    number: usize,
    wire: &mut TcpStream,
    bounce: &mut TcpStream,
    readers: &mut [Events],
    times: &mut Times,
) {
    let bytes = report(number);
    std::thread::sleep(REST);
    let begun = clock();
    wire.write_all(&bytes).unwrap();
    for events in readers {
        events.next("accessory", "");
    }
    times.ours.push(begun.elapsed().as_secs_f64() * 1e6);
    std::thread::sleep(REST);
    let begun = clock();
    bounce.write_all(&bytes).unwrap();
    bounce.read_exact(&mut vec![0; bytes.len()]).unwrap();
    times.floor.push(begun.elapsed().as_secs_f64() * 1e6);
}

pub(crate) fn section() -> Section {
    let (_house, ports) = SMALL.start("zero");
    let tap = Tap::before(ports[0]);
    let daemon = Daemon::start(&SMALL.config(&[tap.port]));
    known(&mut daemon.listening(), 24);
    let mut wire = tap.daemon.recv().unwrap();
    let mut other = Other::start(&["echo"]);
    let mut bounce = TcpStream::connect((Ipv4Addr::LOCALHOST, other.line().parse::<u16>().unwrap())).unwrap();
    bounce.set_nodelay(true).unwrap();
    let (mut one, mut many) = (Times::default(), Times::default());
    let mut number = 0;
    for _ in 0..ROUNDS {
        for (listeners, times) in [(1, &mut one), (LISTENERS, &mut many)] {
            let mut readers: Vec<Events> = (0..listeners).map(|_| Events::open(daemon.http)).collect();
            for _ in 0..TURNS {
                turn(number, &mut wire, &mut bounce, &mut readers, times);
                number += 1;
            }
        }
    }
    written(&one, &many)
}

fn written(one: &Times, many: &Times) -> Section {
    let mut section = Section::new("2. From the wire to a reader");
    section.say(format!(
        "A report of {} bytes is written into the gateway's socket of a running daemon; the clock stops when its \
         `accessory` event has been read from `/api/events`: two hops over loopback between two programs, and what \
         lies between them. The floor is an echo of the same bytes by another program: the same two hops. {ROUNDS} \
         rounds of {TURNS} turns each, with new event streams; every turn is followed by its echo, {} ms before each \
         of the two are at rest, and the ratio is the median of these pairs.",
        report(0).len(),
        REST.as_millis()
    ));
    let row = |what: &str, times: &[f64], ratio: f64| {
        let part = |part: f64| number(quantile(times.iter().copied(), part));
        vec![what.to_owned(), part(0.5), part(0.99), number(ratio)]
    };
    let ratio = |times: &Times| pair(&times.ours, &times.floor).ratio;
    section.table(
        &["path", "p50 µs", "p99 µs", "to the floor"],
        &[
            row("report to event", &one.ours, ratio(one)),
            row(&format!("report to the last of {LISTENERS} event streams"), &many.ours, ratio(many)),
            row("floor: echo", &one.floor, 1.0),
        ],
    );
    section
}
