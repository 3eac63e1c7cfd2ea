//! The shared port against another program's command line: two of `conson-xp`, installed by `tests/run`, at once.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test is the only reader; a skip is said"
)]
#![allow(missing_docs, reason = "tests are named, not documented")]

#[path = "daemon/programs.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod programs;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::programs::{Program, ask, free_port, pause, write_config};

/// How long an answer over HTTP may take.
const WITHIN: Duration = Duration::from_secs(10);

/// The other program in a folder whose `cli.yml` leads to our gateway.
struct Other<'a> {
    program: String,
    folder: &'a Path,
    /// How often something had to be asked once more.
    again: AtomicU32,
}

impl Other<'_> {
    fn say(&self, words: &[&str]) -> String {
        // It ends a command that is not answered only when the whole bus is silent, and takes a second to start, on a busy
        // machine twenty.
        let told = Command::new("timeout")
            .args(["60", &self.program, "conbus"])
            .args(words)
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&told.stdout).into_owned()
    }

    /// What it printed as JSON, if it came to an end; what a progress bar printed before it is left out.
    fn ask(&self, words: &[&str]) -> Option<Value> {
        let told = self.say(words);
        serde_json::from_str(&told[told.find('{')?..]).ok()
    }

    /// Asks until the answer is right, three times at most: it ends without one when a foreign telegram upsets it, or
    /// when its own was lost in a storm. What is asked here may be said twice.
    fn eventually(&self, words: &[&str], is_right: impl Fn(&Value) -> bool) {
        let answers: Vec<_> = (0..3)
            .map_while(|_| match self.ask(words) {
                Some(answer) if is_right(&answer) => None,
                other => Some(other),
            })
            .collect();
        for answer in &answers {
            println!("asked once more: {words:?}, it took {answer:?} for the answer");
        }
        self.again.fetch_add(answers.len() as u32, Ordering::Relaxed);
        assert!(answers.len() < 3, "{words:?}: {answers:?}");
    }

    /// Whether this telegram is among those that it took for answers: on a shared bus others are heard, too.
    fn hears(&self, words: &[&str], telegram: &str) {
        let is_it = |one: &Value| one == telegram;
        self.eventually(words, |answer| {
            answer["received_telegrams"].as_array().is_some_and(|all| all.iter().any(is_it))
        });
    }
}

/// Where the program is, if it is there.
fn program() -> Option<String> {
    let program = std::env::var("CONBUSD_FOREIGN_XP").ok();
    if program.is_none() {
        println!("skipped: CONBUSD_FOREIGN_XP does not name the program; tests/run installs it");
    }
    program
}

/// Leads the program to a port.
fn lead(folder: &Path, port: u16) {
    let bus = format!("conbus:\n  ip: 127.0.0.1\n  port: {port}\n  timeout: 1\n  queue_delay_max: 6\n");
    std::fs::write(folder.join("cli.yml"), bus).unwrap();
    std::fs::write(folder.join("logger.yml"), "log:\n  path: log\n").unwrap();
}

/// The shipped house behind a gateway of its own, with the shared port; no door but HTTP and that.
fn shared_house(gateway: u16, http: u16, mux: u16) -> String {
    let shipped = include_str!("../config.toml");
    let house = shipped.split("# The HTTP door").next().unwrap();
    let house = house.replace("address = \"emulator\"", &format!("address = \"127.0.0.1:{gateway}\""));
    format!("{house}\n[http]\nlisten = \"127.0.0.1:{http}\"\n[mux]\nlisten = \"127.0.0.1:{mux}\"\n")
}

fn order(orders: &mut BufReader<TcpStream>, order: &str) -> Value {
    orders.get_mut().write_all(format!("{order}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    orders.read_line(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["ok"], true, "{order}: {answer}");
    answer
}

/// What one program asks, and what the right answers are.
struct Task {
    relay: &'static str,
    dimmer: &'static str,
    acked: &'static str,
    on: &'static str,
    off: &'static str,
    dimmed: &'static str,
    code: &'static str,
}

const TASKS: [Task; 2] = [
    Task {
        relay: "0012345003",
        dimmer: "0012345006",
        acked: "<R0012345003F18DFL>",
        on: "<R0012345003F02D12xxxx0001FC>",
        off: "<R0012345003F02D12xxxx0000FD>",
        dimmed: "<R0012345006F18DFO>",
        code: "<R0012345003F02D0707FA>",
    },
    Task {
        relay: "0012345004",
        dimmer: "0012345007",
        acked: "<R0012345004F18DFM>",
        on: "<R0012345004F02D12xxxx0001FF>",
        off: "<R0012345004F02D12xxxx0000FE>",
        dimmed: "<R0012345007F18DFP>",
        code: "<R0012345004F02D0707FH>",
    },
];

fn find_the_house(other: &Other<'_>) {
    let knows_all = |found: &String| (1..=9).all(|n| found.contains(&format!("001234500{n}")));
    let found: Vec<String> =
        (0..3).map(|_| other.say(&["discover"])).take_while(|found| !knows_all(found)).collect();
    other.again.fetch_add(found.len() as u32, Ordering::Relaxed);
    assert!(found.len() < 3, "{found:?}");
}

/// Both look who is there at the same time. This program ends a discovery at the first silence and takes every reply for its
/// own, so what each finds is told and not judged; that both come to an end, and that the port bears it, is.
fn find_the_house_at_once(others: &[Other<'_>]) {
    thread::scope(|scope| {
        let asked: Vec<_> = others.iter().map(|other| scope.spawn(|| other.say(&["discover"]))).collect();
        for answer in asked {
            let found = answer.join().unwrap();
            let known = (1..=9).filter(|n| found.contains(&format!("001234500{n}"))).count();
            println!("a discovery beside another one found {known} of 9 modules");
        }
    });
}

/// One of the programs switches a relay and a dimmer of its own.
fn work(other: &Other<'_>, task: &Task) {
    for _ in 0..2 {
        other.hears(&["output", "on", task.relay, "0"], task.acked);
        other.hears(&["output", "status", task.relay], task.on);
        other.hears(&["output", "off", task.relay, "0"], task.acked);
        other.hears(&["output", "status", task.relay], task.off);
    }
    other.hears(&["lightlevel", "set", task.dimmer, "1", "40"], task.dimmed);
    other.eventually(&["lightlevel", "get", task.dimmer, "1"], |answer| answer["lightlevel_level"] == 40);
    other.hears(&["datapoint", "query", "module_type_code", task.relay], task.code);
    other.hears(&["output", "on", task.relay, "3"], task.acked);
}

/// Reads over HTTP, the list from memory all the time and now and then a lamp from the bus, until it is over; how often.
///
/// Not more often: the other program ends a command only when it has heard nothing at all for its time-out.
fn read_all_along(http: &str, over: &AtomicBool) -> u32 {
    let mut reads = 0;
    while !over.load(Ordering::Relaxed) {
        let (status, list) = ask(http, "GET", "/api/accessories", None, WITHIN).unwrap();
        assert_eq!((status, list.as_array().unwrap().len()), (200, 26));
        if reads % 20 == 0 {
            let lamp = "/api/accessories/utility_light?max_age_ms=0";
            let (status, lamp) = ask(http, "GET", lamp, None, WITHIN).unwrap();
            assert_eq!(status, 200, "{lamp}");
        }
        reads += 1;
        pause(Duration::from_millis(100));
    }
    reads
}

/// Lets a dimmer repeat itself, again and again, until it is over.
fn storm_all_along(orders: &mut BufReader<TcpStream>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        order(orders, r#"{"do":"storm","serial":"0012345009","per_second":200}"#);
        pause(Duration::from_secs(6));
    }
}

/// The daemon shows what the programs did, over one connection.
fn judge(http: &str, counters: &Value) {
    for (id, field, wanted) in [
        ("staircase_light", "on", json!(true)),
        ("entrance_ceiling", "on", json!(false)),
        ("salon_tree", "on", json!(true)),
        ("salon_wall", "brightness", json!(40)),
        ("kitchen_worktop", "brightness", json!(40)),
    ] {
        let (status, lamp) = ask(http, "GET", &format!("/api/accessories/{id}"), None, WITHIN).unwrap();
        assert_eq!((status, &lamp[field], &lamp["freshness"]), (200, &wanted, &json!("fresh")), "{lamp}");
    }
    assert_eq!(counters["counters"]["connections_open_max"], 1, "{counters}");
    assert_eq!(counters["counters"]["connections"], 1, "{counters}");
    let (_, status) = ask(http, "GET", "/api/status", None, WITHIN).unwrap();
    assert_eq!(status["gateways"][0]["connects_total"], 1, "{status}");
    assert!(status["gateways"][0]["storms_total"].as_u64() >= Some(1), "{status}");
    let shared = &status["mux"];
    println!("shared port: {shared}");
    assert!(shared["clients_total"].as_u64() >= Some(20), "each command is a client: {shared}");
    assert_eq!((&shared["refused_total"], &shared["slow_total"]), (&json!(0), &json!(0)), "{shared}");
}

#[test]
fn two_command_lines_and_http_readers_share_one_connection_while_a_module_storms() {
    let Some(program) = program() else { return };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (bus, control, http, mux) = (free_port(), free_port(), free_port(), free_port());
    for folder in &folders {
        lead(folder.path(), mux);
    }
    let here = folders[0].path();
    write_config(here, &shared_house(bus, http, mux));
    let (listen, control) = (format!("127.0.0.1:{bus}"), format!("127.0.0.1:{control}"));
    let mut gateway = Program::start(&["emulator", "--listen", &listen, "--control", &control], here);
    gateway.says("taking orders address=");
    let mut daemon = Program::start(&["run"], here);
    daemon.says("connected gateway=home");
    let mut orders = BufReader::new(TcpStream::connect(control).unwrap());
    let http = format!("127.0.0.1:{http}");
    let over = AtomicBool::new(false);
    let others = &folders.each_ref().map(|folder| Other {
        program: program.clone(),
        folder: folder.path(),
        again: AtomicU32::new(0),
    });
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all_along(&http, &over));
        let storm = scope.spawn(|| storm_all_along(&mut orders, &over));
        // One behind the other: an answer to a discovery, which has no data, ends a command of this program that hears it.
        let found = scope.spawn(move || others.iter().for_each(find_the_house)).join();
        find_the_house_at_once(others);
        let workers: Vec<_> =
            others.iter().zip(&TASKS).map(|(other, task)| scope.spawn(move || work(other, task))).collect();
        let ended: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).chain([found]).collect();
        // Whatever became of them, the others end.
        over.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
        storm.join().unwrap();
        for end in ended {
            end.unwrap();
        }
    });
    let again: Vec<u32> = others.iter().map(|other| other.again.load(Ordering::Relaxed)).collect();
    println!("asked once more, of 14 questions each: {again:?}");
    assert!(again.iter().all(|again| *again <= 7), "{again:?}");
    judge(&http, &order(&mut orders, r#"{"do":"counters"}"#));
}
