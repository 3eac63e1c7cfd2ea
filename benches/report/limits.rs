//! The bars that concern the running daemon as a whole: a miss, a flood of telegrams, rest, a day's worth of news.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use conbusd::conbus::Telegram;
use serde_json::Value;

use crate::figures::{Bar, Section, median, number, pair};
use crate::houses::Size;
use crate::programs::{Client, Daemon, Other, clock, cpu_nanoseconds, resident_kib, wake_ups};
use crate::trouble;
use crate::wire::{Tap, report};

/// Telegrams of a flood, and how often there is one. Together they are two busy days: the simulated one has 500,000.
const FLOOD: usize = 200_000;
const FLOODS: usize = 5;

/// How long rest is watched, and how often.
const REST: Duration = Duration::from_secs(10);
const RESTS: usize = 3;

/// Six modules, one gateway.
pub(crate) const SMALL: Size = Size { modules: 6, gateways: 1 };

/// Waits until so many outputs are known, and for what a start does after that.
pub(crate) fn known(client: &mut Client, outputs: u64) {
    let give_up = clock() + Duration::from_secs(120);
    while client.json("/api/status")["cache"]["entries"].as_u64() < Some(outputs) {
        assert!(clock() < give_up, "the house does not become known");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(3));
}

pub(crate) fn micros(work: impl FnOnce()) -> f64 {
    let begun = clock();
    work();
    begun.elapsed().as_secs_f64() * 1e6
}

/// P6: a read that has to ask the bus, beside an echo over loopback.
fn miss(section: &mut Section) -> Vec<Vec<String>> {
    let (_house, ports) = SMALL.start("zero");
    let daemon = Daemon::start(&SMALL.config(&ports));
    let mut client = daemon.listening();
    known(&mut client, 24);
    let mut other = Other::start(&["echo"]);
    let mut bounce = TcpStream::connect((Ipv4Addr::LOCALHOST, other.line().parse::<u16>().unwrap())).unwrap();
    bounce.set_nodelay(true).unwrap();
    // Longer than the pause that the bus wants after a reply, which is not what is measured. Each of the three comes
    // after such a rest: what is asked right behind another finds everything awake.
    let rested = |work: &mut dyn FnMut()| {
        std::thread::sleep(Duration::from_millis(60));
        micros(work)
    };
    let mut ratios = Vec::new();
    for _ in 0..60 {
        let asked = rested(&mut || drop(client.get("/api/accessories/m3o0?max_age_ms=0")));
        let cached = rested(&mut || drop(client.get("/api/accessories/m3o0")));
        let echo = rested(&mut || {
            bounce.write_all(&[b'x'; 20]).unwrap();
            bounce.read_exact(&mut [0; 20]).unwrap();
        });
        ratios.push((asked - cached).max(0.0) / echo);
    }
    let what = "P6: what a read of the bus adds to a GET, to an echo over loopback";
    vec![section.judged_row(what, Bar::AtMost(5.0), median(ratios))]
}

/// One flood: what it took, and what a reader that only counts bytes took for the same.
struct Flooded {
    took: f64,
    floor: f64,
    cpu_nanoseconds: f64,
    resident_kib: f64,
}

/// What was heard on the first gateway, and what of it was lost on its way to the cache.
fn heard(client: &mut Client) -> (u64, u64) {
    let gateway = &client.json("/api/status")["gateways"][0];
    let figure = |name: &str| gateway[name].as_u64().unwrap();
    (figure("telegrams_received_total"), figure("news_lost_total") + figure("facts_lost_total"))
}

/// Writes each telegram by itself, as a gateway does.
fn pour(telegrams: &[Vec<u8>], into: &mut TcpStream) {
    for telegram in telegrams {
        into.write_all(telegram).unwrap();
    }
}

/// Sends a flood and waits until all of it was heard.
fn flood(daemon: &Daemon, client: &mut Client, wire: &mut TcpStream) -> Flooded {
    let telegrams: Vec<Vec<u8>> = (0..FLOOD).map(report).collect();
    let bytes: usize = telegrams.iter().map(Vec::len).sum();
    let mut other = Other::start(&["count", &bytes.to_string()]);
    let mut counted =
        TcpStream::connect((Ipv4Addr::LOCALHOST, other.line().parse::<u16>().unwrap())).unwrap();
    counted.set_nodelay(true).unwrap();
    let begun = clock();
    pour(&telegrams, &mut counted);
    other.line();
    let floor = begun.elapsed().as_secs_f64();
    let (before, _) = heard(client);
    let cpu = cpu_nanoseconds(daemon.id());
    let begun = clock();
    pour(&telegrams, wire);
    while heard(client).0 < before + FLOOD as u64 {
        assert!(begun.elapsed() < Duration::from_secs(90), "the flood was not heard");
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = begun.elapsed().as_secs_f64();
    let cpu = (cpu_nanoseconds(daemon.id()) - cpu) as f64;
    Flooded {
        took,
        floor,
        cpu_nanoseconds: cpu / FLOOD as f64,
        resident_kib: resident_kib(daemon.id()) as f64,
    }
}

/// Turns an output by a report of another module right behind the flood, and waits until a door shows it.
fn sentinel(client: &mut Client, wire: &mut TcpStream) {
    let shown = |client: &mut Client| client.json("/api/accessories/m5o2")["on"] == true;
    let wanted = !shown(client);
    let edge = if wanted { 'M' } else { 'B' };
    let telegram = Telegram::parse_payload(format!("E07L05I82{edge}").as_bytes()).unwrap();
    wire.write_all(&telegram.to_bytes()).unwrap();
    let give_up = clock() + Duration::from_secs(5);
    while shown(client) != wanted {
        assert!(clock() < give_up, "what came after the flood was never shown");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// P3 and the drift of P5: telegrams as fast as they can be taken, beside a reader that only counts bytes.
fn floods(section: &mut Section) -> Vec<Vec<String>> {
    let (_house, ports) = SMALL.start("zero");
    let tap = Tap::before(ports[0]);
    let daemon = Daemon::start(&SMALL.config(&[tap.port]));
    let mut client = daemon.listening();
    known(&mut client, 24);
    let mut wire = tap.daemon.recv().unwrap();
    // A reader of events, as every house has one; it has to take them, or it would be cut off.
    let mut events = TcpStream::connect(daemon.http).unwrap();
    write!(events, "GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    std::thread::spawn(move || std::io::BufReader::new(events).lines().map_while(Result::ok).count());
    // The first warms up.
    let mut seen = Vec::new();
    for _ in 0..=FLOODS {
        seen.push(flood(&daemon, &mut client, &mut wire));
        sentinel(&mut client, &mut wire);
    }
    let (_, lost) = heard(&mut client);
    let first = seen.remove(0);
    let figures = |of: fn(&Flooded) -> f64| seen.iter().map(of).collect::<Vec<f64>>();
    // Speeds: the time of the floor to ours.
    let ratio = pair(&figures(|one| one.floor), &figures(|one| one.took)).ratio;
    let rate = FLOOD as f64 / median(figures(|one| one.took));
    let drift = (seen.last().map_or(0.0, |one| one.resident_kib) - first.resident_kib) / 1024.0;
    vec![
        section.judged_row("P3: reports a second, from the socket into the cache", Bar::AtLeast(100_000.0), rate),
        section.judged_row("P3: speed to a reader that only counts bytes, same round", Bar::AtLeast(0.5), ratio),
        section.judged_row(
            "P3: reports lost on their way to the cache; the one behind each flood was shown by the HTTP door",
            Bar::AtMost(0.0),
            lost as f64,
        ),
        vec![
            "P3: CPU of one report, µs".into(),
            number(median(figures(|one| one.cpu_nanoseconds)) / 1000.0),
            String::new(),
        ],
        section.judged_row(
            "P5: RSS after 1,000,000 more telegrams (two busy days), MiB more than after the first 200,000",
            Bar::AtMost(1.0),
            drift,
        ),
    ]
}

/// The other program: counts what comes, and says so when it was this much.
pub(crate) fn count(bytes: usize) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let (mut stream, _) = listener.accept().unwrap();
    let (mut buffer, mut seen) = ([0; 8192], 0);
    while seen < bytes {
        seen += stream.read(&mut buffer).unwrap();
    }
    println!("{seen}");
}

/// Waits until every module has told who it is and how warm; a new house is asked that at its leisure.
fn identified(client: &mut Client) {
    let give_up = clock() + Duration::from_secs(120);
    let has_told =
        |module: &Value| !module["software_version"].is_null() && !module["temperature_tenths"].is_null();
    while !client.json("/api/modules").as_array().is_some_and(|modules| modules.iter().all(has_told)) {
        assert!(clock() < give_up, "the modules do not tell who they are");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// A rest with somebody who has just looked at all lamps: the share of a core, and wake-ups a second.
fn looked_at(daemon: &Daemon, client: &mut Client) -> (f64, f64) {
    client.get("/api/accessories");
    let (cpu, woken) = (cpu_nanoseconds(daemon.id()), wake_ups(daemon.id()));
    std::thread::sleep(REST);
    let cpu = (cpu_nanoseconds(daemon.id()) - cpu) as f64 / REST.as_nanos() as f64 * 100.0;
    (cpu, (wake_ups(daemon.id()) - woken) as f64 / REST.as_secs_f64())
}

/// P5 and P11: memory and rest, with forty modules that are looked at.
fn rest(section: &mut Section) -> Vec<Vec<String>> {
    let size = Size { modules: 40, gateways: 1 };
    let (_house, ports) = size.start("hardware");
    let daemon = Daemon::start(&size.config(&ports));
    let mut client = daemon.listening();
    known(&mut client, 160);
    let (first, _) = looked_at(&daemon, &mut client);
    identified(&mut client);
    let rests: Vec<_> = (0..RESTS).map(|_| looked_at(&daemon, &mut client)).collect();
    let resident = resident_kib(daemon.id()) as f64 / 1024.0;
    vec![
        section.judged_row(
            "P11: CPU with 40 modules looked at, % of a core",
            Bar::AtMost(0.5),
            median(rests.iter().map(|(cpu, _)| *cpu)),
        ),
        section.judged_row(
            "P11: wake-ups a second of the same",
            Bar::AtMost(50.0),
            median(rests.iter().map(|(_, woken)| *woken)),
        ),
        vec![
            "CPU in the first minute, while they tell who they are, % of a core".into(),
            number(first),
            String::new(),
        ],
        section.judged_row("P5: RSS of the same, MiB", Bar::AtMost(12.0), resident),
    ]
}

/// What is measured by itself, and what it is called when that fails.
type Group = (&'static str, fn(&mut Section) -> Vec<Vec<String>>);

const GROUPS: [Group; 6] = [
    ("P4: the storm", trouble::storms),
    ("P9: readers without a bus", trouble::fronts),
    ("P9: acceptance of commands", trouble::accepted),
    ("P6: a miss", miss),
    ("P3: the flood", floods),
    ("P11: rest", rest),
];

pub(crate) fn section() -> Section {
    let mut section = Section::new("Bars of the whole daemon");
    section.say(format!(
        "Medians: of {FLOODS} floods of {FLOOD} reports, each beside the reader of bytes in the same round; of {RESTS} \
         rests of {} s; of 60 misses. P1 and P2 are in section 1, P7 and P8 in section 4, P10 and P12 in section 9; P5's \
         bytes of cache and accessories are in section 8. A flood is written a telegram at a time, without a pause \
         between them and without waiting for others (`TCP_NODELAY`), to the daemon and to the reader alike; the reader is \
         another program that reads into 8 KiB, adds up how many bytes came, and says so when it has all.",
        REST.as_secs()
    ));
    let mut rows = Vec::new();
    for (what, measure) in GROUPS {
        rows.extend(section.attempt(what, measure).unwrap_or_default());
    }
    section.table(&["bar", "measured", "verdict"], &rows);
    section
}
