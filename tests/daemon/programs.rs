//! Programs that end with the test.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

#[path = "client.rs"]
mod client;

pub(crate) use client::ask;

pub(crate) const CONBUSD: &str = env!("CARGO_BIN_EXE_conbusd");

/// How long a program may take to say that it listens; debug builds on a busy machine are slow.
const START_WITHIN: Duration = Duration::from_secs(20);

/// A running program and the lines of its log.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    pub(crate) log: Vec<String>,
}

impl Program {
    pub(crate) fn start(arguments: &[&str], folder: &Path) -> Self {
        Self::start_with(arguments, folder, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn start_with(arguments: &[&str], folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(CONBUSD)
            .args(arguments)
            .current_dir(folder)
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (told, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        Self { child, lines, log: vec![] }
    }

    /// The rest of the first log line that holds `text`, from there on.
    pub(crate) fn says(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(START_WITHIN);
            let line = line.unwrap_or_else(|_| panic!("no `{text}` in {:#?}", self.log));
            self.log.push(line.clone());
            if let Some((_, rest)) = line.split_once(text) {
                return rest.to_owned();
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for its end, no longer than this, and collects the rest of its log.
    pub(crate) fn end_within(&mut self, within: Duration) -> ExitStatus {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < within, "it lives on after {within:?}: {:#?}", self.log);
            pause(Duration::from_millis(5));
        }
        self.end()
    }

    /// Waits for its end and collects the rest of its log.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
            self.log.push(line);
        }
        status
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the loopback address that was free a moment ago; below those that outgoing connections take.
pub(crate) fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| fastrand::u16(12_000..32_000)).find(is_free).unwrap()
}

/// An emulated gateway and a daemon, each a process of its own.
pub(crate) struct Pair {
    pub(crate) folder: TempDir,
    pub(crate) gateway: Option<Program>,
    pub(crate) daemon: Program,
    pub(crate) http: SocketAddr,
    orders: BufReader<TcpStream>,
}

/// Two XP24 (modules 1 and 2) with an accessory on each output, and a bridge.
pub(crate) fn config(address: &str, http: u16) -> String {
    let mut text = format!(
        "[[gateway]]\nid = \"home\"\naddress = \"{address}\"\n[http]\nlisten = \"127.0.0.1:{http}\"\n\
         [[module]]\nserial = \"0012345099\"\ntype = \"XP230\"\nlink = 99\n"
    );
    for module in 1..=2 {
        text += &format!("[[module]]\nserial = \"001234500{module}\"\ntype = \"XP24\"\nlink = {module}\n");
        for output in 0..4 {
            text += &format!(
                "[[accessory]]\nid = \"m{module}o{output}\"\nname = \"Lamp\"\nkind = \"light\"\n\
                 module = \"001234500{module}\"\noutput = {output}\n"
            );
        }
    }
    text
}

pub(crate) fn write_config(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("config.toml");
    fs::write(&path, text).unwrap();
    path
}

impl Pair {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bus, orders, http) = (free_port(), free_port(), free_port());
        write_config(folder.path(), &config(&format!("127.0.0.1:{bus}"), http));
        let (listen, control) = (format!("127.0.0.1:{bus}"), format!("127.0.0.1:{orders}"));
        let arguments = ["emulator", "--instant", "--listen", &listen, "--control", &control];
        let mut gateway = Program::start(&arguments, folder.path());
        gateway.says("taking orders address=");
        let mut daemon = Program::start(&["run"], folder.path());
        daemon.says("connected gateway=home");
        let orders = BufReader::new(TcpStream::connect(control).unwrap());
        let http = SocketAddr::from(([127, 0, 0, 1], http));
        Self { folder, gateway: Some(gateway), daemon, http, orders }
    }

    /// Gives the house an order and waits for its answer.
    pub(crate) fn order(&mut self, order: &str) -> Value {
        // One write: a line in two segments would wait for the acknowledgement of the first.
        self.orders.get_mut().write_all(format!("{order}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.orders.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["ok"], true, "{order}: {answer}");
        answer
    }

    pub(crate) fn turn(&mut self, module: u8, output: u8, on: bool) {
        self.order(&format!(r#"{{"do":"turn","serial":"001234500{module}","output":{output},"on":{on}}}"#));
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        get(self.http, path)
    }
}

/// Status and body of a GET.
pub(crate) fn get(http: SocketAddr, path: &str) -> (u16, Value) {
    ask(&http.to_string(), "GET", path, None, Duration::from_secs(10)).unwrap()
}

/// Tries until it holds, for ten seconds at most.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        pause(Duration::from_millis(50));
    }
    panic!("not within ten seconds: {what}");
}

#[expect(clippy::disallowed_methods, reason = "a test beside the daemon's process, not inside its arbiter")]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}
