//! The bars that concern the running daemon as a whole: a storm, a miss, a flood of telegrams, rest.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::figures::{Bar, Section, median, number, quantile};
use crate::houses::Size;
use crate::programs::{Client, Daemon, Other, clock, cpu_nanoseconds, resident_kib, wake_ups};
use crate::wire::{Tap, report};

const READS: usize = 2_000;

/// Telegrams of a flood.
const FLOOD: usize = 200_000;

/// How long rest is watched.
const REST: Duration = Duration::from_secs(10);

fn known(client: &mut Client, outputs: u64) {
    while client.json("/api/status")["cache"]["entries"].as_u64() < Some(outputs) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn micros(work: impl FnOnce()) -> f64 {
    let begun = clock();
    work();
    begun.elapsed().as_secs_f64() * 1e6
}

/// Cached reads over one connection.
fn reads(client: &mut Client) -> Vec<f64> {
    (0..READS).map(|_| micros(|| drop(client.get("/api/accessories/m3o0")))).collect()
}

/// P4 and P9: readers and commands while a module goes mad.
fn storm(rows: &mut Vec<Vec<String>>, section: &mut Section) {
    let size = Size { modules: 6, gateways: 1 };
    let (mut house, ports) = size.start("zero");
    let daemon = Daemon::start(&size.config(&ports));
    let mut client = daemon.listening();
    known(&mut client, 24);
    std::thread::sleep(Duration::from_secs(3));
    let idle = reads(&mut client);
    house.ask("storm 1000");
    std::thread::sleep(Duration::from_millis(200));
    let stormy = reads(&mut client);
    let commands: Vec<f64> = (0..10)
        .map(|turn| {
            let body = format!("{{\"on\":{}}}", turn % 2 == 0);
            micros(|| drop(client.put("/api/accessories/m4o1", &body))) / 1000.0
        })
        .collect();
    house.ask("clear");
    let tail = |times: &[f64]| quantile(times.iter().copied(), 0.99);
    let ratio = tail(&stormy) / tail(&idle);
    let verdict = section.judge("P4: p99 of a cached read in a storm", Bar::AtMost(3.0), ratio);
    rows.push(vec![
        "P4: p99 of a cached GET in a storm of 1,000/s, to the same at rest".into(),
        format!("{} ({} and {} µs)", number(ratio), number(tail(&stormy)), number(tail(&idle))),
        verdict,
    ]);
    let command = median(commands.iter().copied());
    rows.push(vec!["P4: a PUT until confirmed in the storm, ms".into(), number(command), String::new()]);
    let worst = tail(&stormy) / 1000.0;
    let verdict = section.judge("P9: p99 of a front's answer, ms", Bar::AtMost(100.0), worst);
    rows.push(vec!["P9: p99 of a cached GET whatever the bus does, ms".into(), number(worst), verdict]);
}

/// P6: a read that has to ask the bus, beside an echo over loopback.
fn miss(rows: &mut Vec<Vec<String>>, section: &mut Section) {
    let size = Size { modules: 6, gateways: 1 };
    let (_house, ports) = size.start("zero");
    let daemon = Daemon::start(&size.config(&ports));
    let mut client = daemon.listening();
    known(&mut client, 24);
    std::thread::sleep(Duration::from_secs(3));
    let mut other = Other::start(&["echo"]);
    let mut bounce = TcpStream::connect((Ipv4Addr::LOCALHOST, other.line().parse::<u16>().unwrap())).unwrap();
    bounce.set_nodelay(true).unwrap();
    let mut ratios = Vec::new();
    for _ in 0..60 {
        // Longer than the pause that the bus wants after a reply, which is not what is measured.
        std::thread::sleep(Duration::from_millis(60));
        let asked = micros(|| drop(client.get("/api/accessories/m3o0?max_age_ms=0")));
        let cached = micros(|| drop(client.get("/api/accessories/m3o0")));
        let echo = micros(|| {
            bounce.write_all(&[b'x'; 20]).unwrap();
            bounce.read_exact(&mut [0; 20]).unwrap();
        });
        ratios.push((asked - cached).max(0.0) / echo);
    }
    let ratio = median(ratios);
    let verdict = section.judge("P6: a miss to an echo", Bar::AtMost(5.0), ratio);
    rows.push(vec![
        "P6: what a read of the bus adds to a GET, to an echo over loopback".into(),
        number(ratio),
        verdict,
    ]);
}

/// P3: telegrams as fast as they can be taken, beside a reader that only counts bytes.
fn flood(rows: &mut Vec<Vec<String>>, section: &mut Section) {
    let size = Size { modules: 6, gateways: 1 };
    let (_house, ports) = size.start("zero");
    let tap = Tap::before(ports[0]);
    let daemon = Daemon::start(&size.config(&[tap.port]));
    let mut client = daemon.listening();
    known(&mut client, 24);
    std::thread::sleep(Duration::from_secs(3));
    let mut wire = tap.daemon.recv().unwrap();
    let bytes: Vec<u8> = (0..FLOOD).flat_map(report).collect();
    let heard = |client: &mut Client| {
        client.json("/api/status")["gateways"][0]["telegrams_received_total"].as_u64().unwrap()
    };
    let before = heard(&mut client);
    let cpu = cpu_nanoseconds(daemon.id());
    let begun = clock();
    wire.write_all(&bytes).unwrap();
    while heard(&mut client) < before + FLOOD as u64 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = begun.elapsed().as_secs_f64();
    let cpu = (cpu_nanoseconds(daemon.id()) - cpu) as f64 / FLOOD as f64;
    let mut other = Other::start(&["count", &bytes.len().to_string()]);
    let mut counted =
        TcpStream::connect((Ipv4Addr::LOCALHOST, other.line().parse::<u16>().unwrap())).unwrap();
    let begun = clock();
    counted.write_all(&bytes).unwrap();
    other.line();
    let floor = begun.elapsed().as_secs_f64();
    let rate = FLOOD as f64 / took;
    let verdict = section.judge("P3: telegrams a second over loopback", Bar::AtLeast(100_000.0), rate);
    rows.push(vec!["P3: reports a second, from the socket into the cache".into(), number(rate), verdict]);
    rows.push(vec!["P3: CPU of one, µs".into(), number(cpu / 1000.0), String::new()]);
    let ratio = floor / took;
    let verdict = section.judge("P3: speed to a reader that counts bytes", Bar::AtLeast(0.5), ratio);
    rows.push(vec!["P3: speed to a reader that only counts bytes".into(), number(ratio), verdict]);
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

/// P5 and P11: memory and rest, with forty modules that are looked at.
fn rest(rows: &mut Vec<Vec<String>>, section: &mut Section) {
    let size = Size { modules: 40, gateways: 1 };
    let (_house, ports) = size.start("hardware");
    let daemon = Daemon::start(&size.config(&ports));
    let mut client = daemon.listening();
    known(&mut client, 160);
    std::thread::sleep(Duration::from_secs(12));
    client.get("/api/accessories");
    let (cpu, woken) = (cpu_nanoseconds(daemon.id()), wake_ups(daemon.id()));
    std::thread::sleep(REST);
    let cores = (cpu_nanoseconds(daemon.id()) - cpu) as f64 / REST.as_nanos() as f64 * 100.0;
    let wakes = (wake_ups(daemon.id()) - woken) as f64 / REST.as_secs_f64();
    let resident = resident_kib(daemon.id()) as f64 / 1024.0;
    for (what, bar, value) in [
        ("P11: CPU with 40 modules looked at, % of a core", Bar::AtMost(0.5), cores),
        ("P11: wake-ups a second of the same", Bar::AtMost(50.0), wakes),
        ("P5: RSS of the same, MiB", Bar::AtMost(12.0), resident),
    ] {
        let verdict = section.judge(what, bar, value);
        rows.push(vec![what.to_owned(), number(value), verdict]);
    }
}

pub(crate) fn section() -> Section {
    let mut section = Section::new("Bars of the whole daemon");
    section.say(
        "P1, P2 and P7 are in sections 1 and 4; P10 (pacing) and P12 (a day in seconds) are promises of the \
         simulation, `cargo test --release --test simulation`.",
    );
    let mut rows = Vec::new();
    storm(&mut rows, &mut section);
    miss(&mut rows, &mut section);
    flood(&mut rows, &mut section);
    rest(&mut rows, &mut section);
    section.table(&["bar", "measured", "verdict"], &rows);
    section
}
