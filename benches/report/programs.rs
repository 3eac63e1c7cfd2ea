//! Programs that are measured from outside: what they cost the machine, and how they are asked.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const CONBUSD: &str = env!("CARGO_BIN_EXE_conbusd");

/// How long a program may take for anything it is asked.
const PATIENCE: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// A free port of this machine.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Time on a processor of all threads of a program, in nanoseconds; of one that has ended none.
pub(crate) fn cpu_nanoseconds(program: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{program}/task")).into_iter().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Resident memory of a program in KiB; of one that has ended none.
pub(crate) fn resident_kib(program: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{program}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// How often its threads were given a processor after having waited for something.
pub(crate) fn wake_ups(program: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{program}/task")).unwrap();
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok())
        .filter_map(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<u64>().ok()
        })
        .sum()
}

/// The daemon, with a folder of its own.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) begun: Instant,
    folder: TempDir,
}

impl Daemon {
    /// Starts it with this config; `[http]` is added.
    pub(crate) fn start(config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        fs::write(folder.path().join("config.toml"), format!("{config}\n[http]\nlisten = \"{http}\"\n"))
            .unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let begun = clock();
        let child = Command::new(CONBUSD)
            .current_dir(folder.path())
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, http, begun, folder }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the HTTP door answers.
    pub(crate) fn listening(&self) -> Client {
        let give_up = clock() + PATIENCE;
        loop {
            if let Ok(stream) = TcpStream::connect(self.http) {
                return Client::over(stream, self.http);
            }
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(clock() < give_up, "the daemon does not listen:\n{}", log());
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that stays open.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
}

impl Client {
    pub(crate) fn connect(host: SocketAddr) -> Self {
        Self::over(TcpStream::connect(host).unwrap(), host)
    }

    fn over(stream: TcpStream, host: SocketAddr) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream: BufReader::with_capacity(1 << 16, stream), host }
    }

    /// The body of the answer to a GET; it must succeed.
    pub(crate) fn get(&mut self, path: &str) -> Vec<u8> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host))
    }

    pub(crate) fn json(&mut self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path)).unwrap()
    }

    pub(crate) fn put(&mut self, path: &str, body: &str) -> Vec<u8> {
        let host = self.host;
        let length = body.len();
        self.ask(&format!(
            "PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    fn ask(&mut self, request: &str) -> Vec<u8> {
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut status = String::new();
        self.stream.read_line(&mut status).unwrap();
        assert!(
            status.starts_with("HTTP/1.1 2"),
            "{} -> {status}",
            request.lines().next().unwrap_or_default()
        );
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        body
    }
}

/// This program once more, doing one thing for the measurement: a house of gateways, or a bare server.
pub(crate) struct Other {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
}

impl Other {
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("other")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (says, hears) = (BufReader::new(child.stdout.take().unwrap()), child.stdin.take().unwrap());
        Self { child, says, hears }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.says.read_line(&mut line).unwrap() > 0, "the other program has ended");
        line.trim_end().to_owned()
    }

    /// Tells it something and waits for its answer.
    pub(crate) fn ask(&mut self, order: &str) -> String {
        writeln!(self.hears, "{order}").unwrap();
        self.line()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An event stream of the daemon.
pub(crate) struct Events(BufReader<TcpStream>);

impl Events {
    /// Opens one and reads the list that it begins with.
    pub(crate) fn open(http: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET /api/events HTTP/1.1\r\nHost: {http}\r\n\r\n").unwrap();
        let mut events = Self(BufReader::new(stream));
        events.next("accessories", "");
        events
    }

    /// The next event of this kind that speaks of this.
    pub(crate) fn next(&mut self, kind: &str, of: &str) -> String {
        let mut is_wanted = false;
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(event) = line.trim_end().strip_prefix("event: ") {
                is_wanted = event == kind;
            } else if is_wanted && line.starts_with("data: ") && line.contains(of) {
                return line;
            }
        }
    }
}
