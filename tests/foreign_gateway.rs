//! The daemon against a gateway that other people wrote: the emulator of the Python package `conson-xp`.
//!
//! That emulator is not like hardware: it reports outputs on inputs 00-03 instead of 80-83, prints the output bits in
//! reverse, reports fixed links, ends its replies with a line feed and leaves F04 unanswered. The daemon has no mode for it,
//! so only what a reversal cannot change is claimed here: relays commanded all on or all off, and the life of the link.
//!
//! It runs where `CONBUSD_FOREIGN_XP` names the program (`tests/run` sees to it), and owns port 10001 while it does.
#![allow(clippy::unwrap_used, reason = "a step that fails here fails the test")]
#![allow(clippy::print_stdout, reason = "the word for a test that cannot run here")]
#![allow(clippy::disallowed_methods, reason = "real programs and sockets know no virtual time")]

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "daemon/client.rs"]
mod client;

/// The emulator binds this port whatever it is told.
const GATEWAY: ([u8; 4], u16) = ([127, 0, 0, 1], 10001);

/// A read of the first relays' outputs, and what comes before their bits in the reply.
const ASK_FIRST: &[u8] = b"<S0012345001F02D12FA>";
const REPLY_FIRST: &str = "<R0012345001F02D12xxxx";

const FIRST: [&str; 4] = ["first_0", "first_1", "first_2", "first_3"];
const ACCESSORIES: usize = 11;

const START_WITHIN: Duration = Duration::from_secs(30);
/// The contract's five seconds for a PUT, and what a busy machine adds.
const ANSWER_WITHIN: Duration = Duration::from_secs(7);
/// The longest pause between two dials is 5 s; the emulator needs some seconds to start.
const RECONNECT_WITHIN: Duration = Duration::from_secs(40);
/// Time for a wish that failed to be dropped and the truth to be read again.
const SETTLE_WITHIN: Duration = Duration::from_secs(20);

/// A program that ends with the test, however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The foreign gateway, with every output off.
fn start_gateway(program: &str, folder: &Path) -> Running {
    fs::write(folder.join("server.yml"), include_str!("foreign/server.yml")).unwrap();
    let child = Command::new(program)
        .args(["server", "start"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(File::create(folder.join("gateway.out")).unwrap())
        .stderr(File::create(folder.join("gateway.err")).unwrap())
        .spawn()
        .unwrap();
    Running(child)
}

/// The daemon and the questions the test asks it.
struct Daemon {
    running: Running,
    address: String,
    folder: TempDir,
}

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let config = folder.path().join("config.toml");
        fs::write(&config, include_str!("foreign/config.toml").replace("HTTP_LISTEN", &listen.to_string()))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_conbusd"))
            .args(["run", "--config"])
            .arg(&config)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { running: Running(child), address: listen.to_string(), folder }
    }

    /// The status and the JSON of an answer; none while nobody listens.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        client::ask(&self.address, method, path, body, ANSWER_WITHIN)
    }

    fn put(&self, id: &str, wish: &Value) -> (u16, Value) {
        let begun = Instant::now();
        let answer = self.ask("PUT", &format!("/api/accessories/{id}"), Some(wish));
        answer.unwrap_or_else(|| panic!("PUT {wish} to `{id}` had no answer after {:?}", begun.elapsed()))
    }

    fn accessories(&self) -> Vec<Value> {
        let answer = self.ask("GET", "/api/accessories", None);
        answer.and_then(|(_, list)| list.as_array().cloned()).unwrap_or_default()
    }

    fn gateway(&self) -> Value {
        let answer = self.ask("GET", "/api/status", None);
        answer.map_or(Value::Null, |(_, status)| status["gateways"][0].clone())
    }

    /// Waits until the whole list satisfies the claim.
    fn wait_for(&self, claim: &str, within: Duration, is_true: impl Fn(&[Value]) -> bool) {
        let until = Instant::now() + within;
        loop {
            let list = self.accessories();
            if list.len() == ACCESSORIES && is_true(&list) {
                return;
            }
            assert!(Instant::now() < until, "not after {within:?}: {claim}\n{}\n{list:#?}", self.gateway());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Commands the four outputs of the first relays at once and waits until all four, and only they, are seen so.
    fn command_first(&self, on: bool) {
        thread::scope(|scope| {
            let puts: Vec<_> =
                FIRST.iter().map(|id| (id, scope.spawn(|| self.put(id, &json!({ "on": on }))))).collect();
            for (id, put) in puts {
                let (status, answer) = put.join().unwrap();
                // A read between the four commands shows the mirror of a half-commanded module: not confirmed, not refused.
                assert!(matches!(status, 200 | 504), "PUT `{id}` on={on}: {status} {answer}");
            }
        });
        let claim = format!("the first relays, and only they, are on={on}");
        self.wait_for(&claim, SETTLE_WITHIN, |list| {
            all_fresh(list) && list.iter().all(|a| a["on"] == (on && is_first(a)))
        });
        assert_eq!(outputs_of_first(), if on { "1111" } else { "0000" }, "what the gateway itself says");
    }

    /// Asks the daemon to stop as systemd would, and expects it to do so in order.
    fn stop(mut self) {
        let kill = Command::new("sh")
            .args(["-c", "kill -TERM \"$1\"", "kill", &self.running.0.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let until = Instant::now() + ANSWER_WITHIN;
        while Instant::now() < until {
            if let Some(status) = self.running.0.try_wait().unwrap() {
                assert_eq!(status.code(), Some(0), "exit code after SIGTERM");
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the daemon did not stop within {ANSWER_WITHIN:?} of SIGTERM");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            println!("the daemon's last log lines:\n{}", lines[lines.len().saturating_sub(200)..].join("\n"));
        }
    }
}

fn is_first(accessory: &Value) -> bool {
    accessory["module"] == "0012345001"
}

fn all_fresh(list: &[Value]) -> bool {
    list.iter().all(|accessory| accessory["freshness"] == "fresh")
}

/// The four bits as the gateway prints them, asked on a connection of our own: it admits several.
fn outputs_of_first() -> String {
    let mut socket = TcpStream::connect(SocketAddr::from(GATEWAY)).unwrap();
    socket.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    socket.write_all(ASK_FIRST).unwrap();
    let (mut heard, mut buffer) = (String::new(), [0; 1024]);
    loop {
        let length = socket.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "the gateway closed: {heard:?}");
        heard.extend(buffer[..length].iter().map(|&byte| char::from(byte)));
        if let Some(bits) = heard.split(REPLY_FIRST).nth(1).and_then(|bits| bits.get(..4)) {
            return bits.to_owned();
        }
    }
}

fn wait_for_port() {
    let until = Instant::now() + START_WITHIN;
    while TcpStream::connect(SocketAddr::from(GATEWAY)).is_err() {
        assert!(Instant::now() < until, "the foreign gateway does not listen after {START_WITHIN:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_foreign_gateway_is_read_commanded_lost_and_found_again() {
    let Ok(program) = env::var("CONBUSD_FOREIGN_XP") else {
        println!("skipped: CONBUSD_FOREIGN_XP does not name the foreign gateway (tests/run installs it)");
        return;
    };
    assert!(
        TcpStream::connect(SocketAddr::from(GATEWAY)).is_err(),
        "port {} is in use: this test needs it, because the foreign gateway binds no other",
        GATEWAY.1
    );
    let folder = tempfile::tempdir().unwrap();
    let gateway = start_gateway(&program, folder.path());
    wait_for_port();
    let daemon = Daemon::start();

    daemon.wait_for("every accessory is known and off", START_WITHIN, |list| {
        all_fresh(list) && list.iter().all(|a| a["on"] == false)
    });
    for on in [true, false, true] {
        daemon.command_first(on);
    }
    let (status, answer) = daemon.ask("GET", "/api/accessories/first_2?max_age_ms=0", None).unwrap();
    assert_eq!((status, &answer["on"]), (200, &json!(true)), "a read of the bus: {answer}");

    a_command_without_an_answer_hurts_nobody(&daemon);
    a_lost_gateway_makes_states_stale(&daemon, gateway);

    // Started again, the gateway has forgotten everything: what was on is off, and nothing reports it.
    let _gateway = start_gateway(&program, folder.path());
    daemon.wait_for("the link is back and every state is true again", RECONNECT_WITHIN, |list| {
        let lies = list.iter().filter(|a| a["freshness"] == "fresh" && a["on"] != false).collect::<Vec<_>>();
        assert!(lies.is_empty(), "called fresh, but off since the restart: {lies:#?}");
        all_fresh(list)
    });
    assert_eq!(daemon.gateway()["link"], "up");
    daemon.command_first(true);
    daemon.stop();
}

/// F04 is never answered here, so a brightness cannot be set: an error in time, the truth afterwards, and the same connection.
fn a_command_without_an_answer_hurts_nobody(daemon: &Daemon) {
    let (status, answer) = daemon.put("dimmer_0", &json!({ "brightness": 40 }));
    assert_eq!(status, 504, "{answer}");
    assert!(answer["error"]["code"].is_string(), "{answer}");
    daemon.wait_for("the dimmer is off, the others as they were", SETTLE_WITHIN, |list| {
        all_fresh(list) && list.iter().all(|a| a["on"] == is_first(a))
    });
    let gateway = daemon.gateway();
    assert_eq!((&gateway["link"], &gateway["connects_total"]), (&json!("up"), &json!(1)), "{gateway}");
}

/// The gateway dies: the last states stay to be seen, called stale; commands are refused at once; the daemon lives.
fn a_lost_gateway_makes_states_stale(daemon: &Daemon, gateway: Running) {
    drop(gateway);
    daemon.wait_for("every state is kept and called stale", SETTLE_WITHIN, |list| {
        list.iter().all(|a| a["freshness"] == "stale" && a["on"] == is_first(a))
    });
    assert_ne!(daemon.gateway()["link"], "up");
    let begun = Instant::now();
    let (status, answer) = daemon.put("first_0", &json!({ "on": false }));
    assert_eq!(status, 503, "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(1), "503 took {:?}", begun.elapsed());
    assert_eq!(daemon.ask("GET", "/livez", None).map(|(status, _)| status), Some(200));
}
