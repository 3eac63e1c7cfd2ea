//! What readers and writers notice of a bus in trouble: a storm, a silent gateway, one that is not there.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::Duration;

use conbusd::actors::ask;
use conbusd::actors::events::SetTarget;
use conbusd::policy::BusError;
use conbusd::policy::switch::{Target, Until};
use serde_json::Value;

use crate::figures::{Bar, Section, median, number, quantile};
use crate::house::{House, WITHIN};
use crate::limits::{SMALL, known, micros};
use crate::programs::{Client, Daemon, Other, clock, free_port};

/// Cached reads of one measurement.
const READS: usize = 2_000;

/// Storms, each of another house.
const STORMS: usize = 3;

/// Repeats a second.
const STORM: u64 = 1_000;

/// Commands during a storm.
const COMMANDS: usize = 10;

/// Two pauses after a reply (protocol reference 7.3), in milliseconds.
const TWO_GAPS: f64 = 40.0;

/// How far the two clocks may be apart, in microseconds; commands are a hundred times as far.
const CLOCKS: f64 = 1_000.0;

/// What may wait at once for one gateway (`policy::outbox`).
const QUEUE: f64 = 200.0;

/// Times of cached reads over one connection, in microseconds.
fn reads(client: &mut Client) -> Vec<f64> {
    (0..READS).map(|_| micros(|| drop(client.get("/api/accessories/m3o0")))).collect()
}

fn tail(times: &[f64]) -> f64 {
    quantile(times.iter().copied(), 0.99)
}

fn worst(times: &[f64]) -> f64 {
    quantile(times.iter().copied(), 1.0)
}

/// What was seen of one storm.
struct Stormed {
    idle: Vec<f64>,
    stormy: Vec<f64>,
    /// From asking for a command until the gateway had it, in milliseconds.
    written: Vec<f64>,
    /// From asking until it was confirmed, in milliseconds.
    confirmed: Vec<f64>,
    /// The most that waited to be written, as the status told.
    queue: f64,
    lost: f64,
}

/// How far the clock of the house is behind this one, in microseconds after `begun`.
fn clock_of(house: &mut Other, begun: std::time::Instant) -> f64 {
    let once = |_| {
        let asked = begun.elapsed().as_secs_f64() * 1e6;
        let told: f64 = house.ask("clock").parse().unwrap();
        let answered = begun.elapsed().as_secs_f64() * 1e6;
        (answered - asked, f64::midpoint(asked, answered) - told)
    };
    // The quickest answer is the most exact.
    (0..20).map(once).min_by(|one, other| one.0.total_cmp(&other.0)).expect("twenty answers").1
}

fn figure(status: &Value, name: &str) -> f64 {
    status["gateways"][0][name].as_f64().unwrap_or_else(|| panic!("the status tells no `{name}`"))
}

/// One storm: what was read and written while it went on.
fn storm() -> Stormed {
    let (mut house, ports) = SMALL.start("zero");
    let daemon = Daemon::start(&SMALL.config(&ports));
    let mut client = daemon.listening();
    known(&mut client, 24);
    let idle = reads(&mut client);
    let begun = clock();
    let offset = clock_of(&mut house, begun);
    let said = |house: &mut Other| house.ask("said").parse::<u64>().unwrap();
    let (said_before, storm_begun) = (said(&mut house), clock());
    house.ask(&format!("storm {STORM}"));
    std::thread::sleep(Duration::from_millis(200));
    let mut stormy = Vec::new();
    let (mut asked, mut confirmed, mut queue) = (Vec::new(), Vec::new(), 0.0_f64);
    for turn in 0..COMMANDS {
        stormy.extend(reads(&mut client));
        let body = format!("{{\"on\":{}}}", turn % 2 == 0);
        asked.push(begun.elapsed().as_secs_f64() * 1e6);
        confirmed.push(micros(|| drop(client.put("/api/accessories/m4o1", &body))) / 1000.0);
        queue = queue.max(figure(&client.json("/api/status"), "queue"));
        // Elsewhere in the pace of the probes each time.
        std::thread::sleep(Duration::from_millis(137));
    }
    let status = client.json("/api/status");
    let (repeats, went_on) = (said(&mut house) - said_before, storm_begun.elapsed());
    assert!(
        repeats as f64 > 0.8 * STORM as f64 * went_on.as_secs_f64(),
        "the storm did not last: {repeats} telegrams in {went_on:?}"
    );
    assert_eq!(figure(&status, "storms_total") as u64, 1, "the storm was noticed, and is one");
    let came = house.ask("commands");
    let came: Vec<f64> = came.split(' ').map(|at| at.parse::<f64>().unwrap() + offset).collect();
    assert!(came.len() >= COMMANDS, "a command did not come: {came:?}");
    let written = asked.iter().map(|asked| {
        let came = came.iter().find(|came| **came + CLOCKS >= *asked).expect("it was confirmed, so it came");
        (came - asked) / 1000.0
    });
    let lost = figure(&status, "news_lost_total") + figure(&status, "facts_lost_total");
    Stormed { written: written.collect(), idle, stormy, confirmed, queue, lost }
}

/// P4, and P9 in a storm: readers and writers while a module goes mad.
pub(crate) fn storms(section: &mut Section) -> Vec<Vec<String>> {
    let seen: Vec<Stormed> = (0..STORMS).map(|_| storm()).collect();
    let ratio = median(seen.iter().map(|one| tail(&one.stormy) / tail(&one.idle)));
    let all = |of: fn(&Stormed) -> &Vec<f64>| seen.iter().flat_map(of).copied().collect::<Vec<f64>>();
    let (written, confirmed) = (all(|one| &one.written), all(|one| &one.confirmed));
    let (idle, stormy) = (all(|one| &one.idle), all(|one| &one.stormy));
    let queue = quantile(seen.iter().map(|one| one.queue), 1.0);
    let lost: f64 = seen.iter().map(|one| one.lost).sum();
    let mut row = |what: &str, bar, value| section.judged_row(what, bar, value);
    let mut rows = vec![
        row(
            &format!(
                "P4: p99 of a cached GET in a storm of {STORM}/s that outlasts it ({} µs), to the same at rest ({} µs)",
                number(tail(&stormy)),
                number(tail(&idle))
            ),
            Bar::AtMost(3.0),
            ratio,
        ),
        row(
            &format!(
                "P4: the slowest of {} commands in the storm, from the PUT until the gateway had it, ms (median {})",
                written.len(),
                number(median(written.iter().copied()))
            ),
            Bar::AtMost(TWO_GAPS),
            worst(&written),
        ),
        vec!["P4: the same until confirmed, ms, median".into(), number(median(confirmed)), String::new()],
        row("P4: the longest queue that the status told in the storm", Bar::AtMost(QUEUE), queue),
        row("P4: news of the storm lost between actors", Bar::AtMost(0.0), lost),
    ];
    rows.extend(front(section, "a cached GET in the storm", &stormy));
    rows
}

/// P9 of some times in microseconds.
fn front(section: &mut Section, what: &str, times: &[f64]) -> [Vec<String>; 2] {
    [
        section.judged_row(&format!("P9: p99 of {what}, ms"), Bar::AtMost(100.0), tail(times) / 1000.0),
        section.judged_row(
            &format!("P9: the slowest, {what}, ms"),
            Bar::AtMost(1000.0),
            worst(times) / 1000.0,
        ),
    ]
}

/// Reads of a daemon whose gateway takes every byte and says nothing, or is not there.
///
/// Nothing is known there, so the list is what a front shows; one accessory is answered with 504 or 503 after the
/// reader's own patience, as it asks for what nobody knows.
fn without_a_bus(port: u16) -> Vec<f64> {
    let daemon = Daemon::start(&SMALL.config(&[port]));
    let mut client = daemon.listening();
    std::thread::sleep(Duration::from_secs(1));
    (0..READS / 4).map(|_| micros(|| drop(client.get("/api/accessories")))).collect()
}

/// Reads of a daemon that knew its house before its bus fell silent or went away.
fn after_the_bus(ends: fn(Other) -> Option<Other>) -> Vec<f64> {
    let (house, ports) = SMALL.start("zero");
    let daemon = Daemon::start(&SMALL.config(&ports));
    let mut client = daemon.listening();
    known(&mut client, 24);
    let _stopped = ends(house);
    std::thread::sleep(Duration::from_secs(2));
    reads(&mut client)
}

/// What a HomeKit write waits for: that the command is accepted, in this program, while the bus storms.
async fn acceptance() -> Vec<f64> {
    let house = House::warm().await;
    house.storm(STORM as u32);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut times = Vec::new();
    for turn in 0..40 {
        let lamp = 4 + turn % 20;
        let target = Target { on: Some(turn % 40 < 20), level: None };
        let begun = clock();
        let answer = ask(
            &house.app.accessories[lamp],
            SetTarget { target, until: Until::Accepted, client: 1 },
            WITHIN,
        );
        // What the first module, which storms, cannot take is told; here all are others.
        let answer: Result<_, BusError> = answer.await;
        assert!(answer.is_ok(), "{answer:?}");
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_millis(53)).await;
    }
    times
}

/// P9 where the bus is silent or not there.
pub(crate) fn fronts(section: &mut Section) -> Vec<Vec<String>> {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    // Stopped, it neither answers nor closes; ended, nobody listens any more.
    let stop = |house: Other| {
        let id = house.id().to_string();
        assert!(Command::new("kill").args(["-STOP", &id]).status().unwrap().success());
        Some(house)
    };
    let end = |house: Other| {
        drop(house);
        None
    };
    let seen = [
        ("a cached GET after the gateway fell silent", after_the_bus(stop)),
        ("a cached GET after the gateway went away", after_the_bus(end)),
        ("the list with a gateway that never said anything", without_a_bus(silent_port)),
        ("the list with a gateway that was never there", without_a_bus(free_port())),
    ];
    seen.iter().flat_map(|(what, times)| front(section, what, times)).collect()
}

/// P9 of commands.
pub(crate) fn accepted(section: &mut Section) -> Vec<Vec<String>> {
    let accepted = actix::System::new().block_on(async { actix_rt::spawn(acceptance()).await.unwrap() });
    vec![section.judged_row(
        "P9: the slowest of 40 commands until accepted, as a HomeKit write waits for it, in the storm, ms",
        Bar::AtMost(1000.0),
        worst(&accepted),
    )]
}
