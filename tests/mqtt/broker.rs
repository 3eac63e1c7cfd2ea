//! A mosquitto of the test's own, its clients, and the house behind the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::programs::{Program, ask, eventually, free_port, pause, write_config};

/// How long a message may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(30);

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One of mosquitto's programs: of the folder that `tests/run` unpacked, else of the system.
fn program(name: &str) -> Command {
    let Some(root) = std::env::var_os("CONBUSD_MOSQUITTO").map(PathBuf::from) else {
        return Command::new(name);
    };
    let folder = if name == "mosquitto" { "usr/sbin" } else { "usr/bin" };
    let mut command = Command::new(root.join(folder).join(name));
    let libraries =
        fs::read_dir(root.join("usr/lib")).into_iter().flatten().flatten().map(|entry| entry.path());
    let libraries: Vec<String> = libraries.map(|path| path.display().to_string()).collect();
    command.env("LD_LIBRARY_PATH", libraries.join(":"));
    command
}

/// Whether there is a broker to test against; says so when not. In CI its absence is a failure.
fn is_there() -> bool {
    let found = program("mosquitto").arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "mosquitto is not installed, and CI skips nothing");
        println!("skipped: mosquitto is not installed; tests/run brings it");
    }
    found
}

/// A broker.
pub(crate) struct Broker {
    pub(crate) port: u16,
    folder: TempDir,
    /// How its clients come in.
    pub(crate) clients: Vec<String>,
    running: Option<Running>,
}

impl Broker {
    /// One that lets everybody in and keeps nothing on disk; none where mosquitto is missing.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(|_| "allow_anonymous true\n".into())
    }

    /// One with these lines in its configuration; they are given the folder of its files.
    pub(crate) fn start_with(lines: impl Fn(&Path) -> String) -> Option<Self> {
        if !is_there() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let text =
            format!("per_listener_settings false\nlistener {port} 127.0.0.1\n{}", lines(folder.path()));
        fs::write(folder.path().join("broker.conf"), text).unwrap();
        let mut broker = Self { port, folder, clients: vec![], running: None };
        broker.go_on();
        Some(broker)
    }

    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it again, knowing nothing.
    pub(crate) fn go_on(&mut self) {
        let mut command = program("mosquitto");
        command
            .arg("-c")
            .arg(self.folder.path().join("broker.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.running = Some(Running(command.spawn().unwrap()));
        eventually("the broker listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.running.as_ref().unwrap().0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    fn client(&self, name: &str) -> Command {
        let mut command = program(name);
        command
            .args(["-h", "127.0.0.1", "-V", "5", "-q", "1", "-p", &self.port.to_string()])
            .args(&self.clients);
        command
    }

    pub(crate) fn publish(&self, topic: &str, payload: &str) {
        self.publish_lines(topic, payload, false);
    }

    pub(crate) fn retain(&self, topic: &str, payload: &str) {
        assert!(
            self.client("mosquitto_pub").args(["-r", "-t", topic, "-m", payload]).status().unwrap().success()
        );
    }

    /// A message for each line.
    pub(crate) fn publish_lines(&self, topic: &str, lines: &str, is_many: bool) {
        let mut command = self.client("mosquitto_pub");
        let how = if is_many {
            "-l"
        } else if lines.is_empty() {
            "-n"
        } else {
            "-s"
        };
        command.args(["-t", topic, how]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Hears everything from now on, after what is retained.
    pub(crate) fn ear(&self) -> Ear {
        let mut command = self.client("mosquitto_sub");
        command.args(["-F", "%r\t%t\t%p", "-t", "#"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let (told, heard) = channel();
        thread::spawn(move || lines.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        // Until it hears itself it may not be listening.
        let mut ear = Ear { _child: Running(child), heard, known: BTreeMap::new(), all: vec![] };
        let mark = format!("test/{}", fastrand::u64(..));
        eventually("the ear listens", || {
            self.publish(&mark, "here");
            ear.listen(Duration::from_millis(300));
            ear.known.contains_key(&mark)
        });
        ear
    }
}

/// A client that hears everything.
pub(crate) struct Ear {
    _child: Running,
    heard: Receiver<String>,
    /// The last payload of each topic; none when it was cleared.
    pub(crate) known: BTreeMap<String, String>,
    /// Everything since the ear was last emptied: topic, payload.
    pub(crate) all: Vec<(String, String)>,
}

impl Ear {
    fn note(&mut self, line: &str) {
        let mut parts = line.splitn(3, '\t').skip(1).map(str::to_owned);
        let (Some(topic), Some(payload)) = (parts.next(), parts.next()) else { return };
        if payload.is_empty() {
            self.known.remove(&topic);
        } else {
            self.known.insert(topic.clone(), payload.clone());
        }
        self.all.push((topic, payload));
    }

    /// Hears what comes until nothing does for this long.
    pub(crate) fn listen(&mut self, quiet: Duration) {
        while let Ok(line) = self.heard.recv_timeout(quiet) {
            self.note(&line);
        }
    }

    /// Hears until this holds.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let mut rest = WITHIN;
        let turn = Duration::from_millis(100);
        while !holds(self) {
            match self.heard.recv_timeout(turn) {
                Ok(line) => self.note(&line),
                Err(RecvTimeoutError::Timeout) if rest > turn => rest -= turn,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("not heard: {what}; heard of {:#?}", self.known)
                }
            }
        }
    }

    /// Hears until this stands at the topic.
    pub(crate) fn hears(&mut self, topic: &str, payload: &str) {
        self.until(&format!("{topic} {payload}"), |ear| {
            ear.known.get(topic).is_some_and(|known| known == payload)
        });
    }

    pub(crate) fn json(&self, topic: &str) -> Value {
        serde_json::from_str(self.known.get(topic).unwrap_or_else(|| panic!("nothing at {topic}"))).unwrap()
    }

    /// What was said at this topic since the ear was last emptied.
    pub(crate) fn said(&self, topic: &str) -> Vec<&str> {
        self.all.iter().filter(|(at, _)| at == topic).map(|(_, payload)| payload.as_str()).collect()
    }
}

/// An emulated gateway that takes orders, and a daemon with an MQTT door.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) daemon: Program,
    pub(crate) http: SocketAddr,
    _gateway: Program,
    orders: BufReader<TcpStream>,
    gateway: String,
    series: String,
    bus: u16,
}

/// How the serials of the test begin.
pub(crate) const SERIES: &str = "00123450";

/// The modules of the test: a link of switches (1), relays (2) and dimmers (3), and a bridge.
pub(crate) const MODULES: &str = "\
[[module]]\nserial = \"0012345099\"\ntype = \"XP230\"\nlink = 99\n\
[[module]]\nserial = \"0012345001\"\ntype = \"XP20\"\nlink = 1\n\
[[module]]\nserial = \"0012345002\"\ntype = \"XP24\"\nlink = 2\naction_table = [\"XP20 1 0 > 1 TOGGLE\"]\n\
[[module]]\nserial = \"0012345003\"\ntype = \"XP33LED\"\nlink = 3\n";

/// A lamp, a socket and a dimmer; a group and a scene of two of them.
pub(crate) const ACCESSORIES: &str = "\
[[accessory]]\nid = \"hall\"\nname = \"Hall\"\nroom = \"Hall\"\nkind = \"light\"\nmodule = \"0012345002\"\noutput = 0\n\
[[accessory]]\nid = \"pump-1\"\nname = \"Pump\"\nroom = \"Garden\"\nkind = \"outlet\"\nmodule = \"0012345002\"\noutput = 1\n\
[[accessory]]\nid = \"table\"\nname = \"Table\"\nroom = \"Salon\"\nkind = \"dimmer\"\nmodule = \"0012345003\"\noutput = 0\n\
[[group]]\nid = \"salon\"\nname = \"Salon\"\nmembers = [\"hall\", \"table\"]\n\
[[scene]]\nid = \"film-1\"\nname = \"Film evening\"\n\
targets = [{ accessory = \"hall\", on = false }, { accessory = \"table\", brightness = 20 }]\n";

impl House {
    /// With a plain connection to this broker.
    pub(crate) fn start(broker: &Broker) -> Self {
        let section = format!(
            "[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\ninstance = \"test\"\nwill_delay = \"2s\"\n",
            broker.port
        );
        Self::start_with("home", &section, ACCESSORIES)
    }

    pub(crate) fn start_with(gateway: &str, section: &str, accessories: &str) -> Self {
        Self::start_series(gateway, section, accessories, SERIES)
    }

    /// With other serials: those of the test begin with this instead of [`SERIES`].
    pub(crate) fn start_series(gateway: &str, section: &str, accessories: &str, series: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bus, control, http) = (free_port(), free_port(), free_port());
        let (listen, orders) = (format!("127.0.0.1:{bus}"), format!("127.0.0.1:{control}"));
        write(folder.path(), (gateway, series, bus, http), section, accessories);
        let arguments = ["emulator", "--instant", "--listen", &listen, "--control", &orders];
        let mut emulator = Program::start(&arguments, folder.path());
        emulator.says("taking orders address=");
        let mut daemon = Program::start(&["run"], folder.path());
        daemon.says("connected gateway=");
        let orders = BufReader::new(TcpStream::connect(orders).unwrap());
        let http = SocketAddr::from(([127, 0, 0, 1], http));
        let (gateway, series) = (gateway.to_owned(), series.to_owned());
        Self { folder, daemon, http, _gateway: emulator, orders, gateway, series, bus }
    }

    /// Ends the daemon and starts it with another configuration.
    pub(crate) fn restart(&mut self, section: &str, accessories: &str) {
        self.daemon.signal("TERM");
        assert!(self.daemon.end().success());
        let place = (&*self.gateway, &*self.series, self.bus, self.http.port());
        write(self.folder.path(), place, section, accessories);
        self.daemon = Program::start(&["run"], self.folder.path());
    }

    /// Gives the house an order and waits for its answer.
    pub(crate) fn order(&mut self, order: &str) -> Value {
        self.orders.get_mut().write_all(format!("{order}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.orders.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["ok"], true, "{order}: {answer}");
        answer
    }

    /// Changes the text of the configuration and has it read again.
    pub(crate) fn reload(&self, change: impl Fn(String) -> String) {
        let file = self.folder.path().join("config.toml");
        // In one piece: the reading of the one before may not be done yet, and half a file may be a valid one.
        let whole = file.with_extension("next");
        fs::write(&whole, change(fs::read_to_string(&file).unwrap())).unwrap();
        fs::rename(&whole, &file).unwrap();
        self.daemon.signal("HUP");
    }

    /// The topics that the daemon says it wrote.
    pub(crate) fn ledger(&self) -> BTreeSet<String> {
        let text = fs::read(self.folder.path().join("state/mqtt.json")).unwrap();
        let ledger: Value = serde_json::from_slice(&text).unwrap();
        ledger["topics"].as_object().unwrap().keys().cloned().collect()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        ask(&self.http.to_string(), "GET", path, None, Duration::from_secs(10)).unwrap().1
    }

    /// The MQTT part of the status.
    pub(crate) fn mqtt(&self) -> Value {
        self.get("/api/status")["mqtt"].clone()
    }

    /// Waits until everything stands at the broker.
    pub(crate) fn settle(&self) {
        eventually("the door has said everything", || {
            let status = ask(&self.http.to_string(), "GET", "/api/status", None, Duration::from_secs(10));
            let mqtt = status.map(|(_, status)| status["mqtt"].clone()).unwrap_or_default();
            mqtt["connected"] == true && mqtt["queued"] == 0
        });
        pause(Duration::from_millis(100));
    }
}

fn write(
    folder: &Path,
    (gateway, series, bus, http): (&str, &str, u16, u16),
    section: &str,
    accessories: &str,
) {
    let text = format!(
        "[service]\nname = \"Test house\"\n[http]\nlisten = \"127.0.0.1:{http}\"\n{section}\
         [[gateway]]\nid = \"{gateway}\"\naddress = \"127.0.0.1:{bus}\"\n{MODULES}{accessories}"
    );
    write_config(folder, &text.replace(SERIES, series));
}
