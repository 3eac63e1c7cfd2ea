//! From a report on the wire to a message at a subscriber, beside a bare publish of the same library through the same
//! broker.

use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rumqttc::{AsyncClient, MqttOptions, PublishOptions};
use tempfile::TempDir;

use crate::fan::{AtRest, MODULES, Rig, micros_since};
use crate::figures::{Section, number, pair, quantile};
use crate::programs::{Other, clock, cpu_nanoseconds, free_port};

const TURNS: usize = 400;

/// How often so many outputs are turned at once, one of each module.
const BURSTS: usize = 200;

const PAUSE: Duration = Duration::from_millis(5);
const WITHIN: Duration = Duration::from_secs(10);

/// Nothing more comes when nothing came for so long.
const QUIET: Duration = Duration::from_millis(700);

/// As long as a report; stands for one at the bare publisher.
const WORD: &[u8; 16] = b"<E07L00I80MAAAB>";

/// What the door says of a relay, for the bare publisher.
const STATE: &str = r#"{"state":"ON"}"#;

/// A broker that lets everybody in and keeps nothing on disk.
struct Broker {
    running: Child,
    port: u16,
    _folder: TempDir,
}

impl Broker {
    fn start() -> Result<Self, String> {
        let (port, folder) = (free_port(), TempDir::new().map_err(|error| error.to_string())?);
        let path = folder.path().join("broker.conf");
        fs::write(&path, format!("listener {port} 127.0.0.1\nallow_anonymous true\n"))
            .map_err(|error| error.to_string())?;
        let mut command = match std::env::var_os("CONBUSD_MOSQUITTO").map(PathBuf::from) {
            Some(root) => {
                let folders = fs::read_dir(root.join("usr/lib")).into_iter().flatten().flatten();
                let libraries: Vec<String> =
                    folders.map(|folder| folder.path().display().to_string()).collect();
                let mut command = Command::new(root.join("usr/sbin/mosquitto"));
                command.env("LD_LIBRARY_PATH", libraries.join(":"));
                command
            }
            None => Command::new("mosquitto"),
        };
        let running = command
            .arg("-c")
            .arg(path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("mosquitto cannot be started ({error})"))?;
        let broker = Self { running, port, _folder: folder };
        let give_up = clock() + WITHIN;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if clock() > give_up {
                return Err("mosquitto does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(broker)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

/// Hears messages of the broker, in the few words of MQTT 3.1.1 that this takes.
struct Subscriber(BufReader<TcpStream>);

impl Subscriber {
    fn of(broker: &Broker, filter: &str) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, broker.port))?;
        stream.set_nodelay(true)?;
        let name = format!("subscriber-{}", filter.len());
        let mut connect = b"\x00\x04MQTT\x04\x02\x00\x00".to_vec();
        connect.extend(text(&name));
        let mut subscribe = b"\x00\x01".to_vec();
        subscribe.extend(text(filter));
        subscribe.push(0);
        for (kind, body) in [(0x10, connect), (0x82, subscribe)] {
            stream.write_all(&[&[kind, body.len() as u8], &body[..]].concat())?;
        }
        let mut subscriber = Self(BufReader::new(stream));
        // What is retained comes first, and is no news.
        while subscriber.next(QUIET).is_some() {}
        Ok(subscriber)
    }

    /// The topic of the next message, and how long the message is; none when it does not come in time.
    fn next(&mut self, within: Duration) -> Option<(String, usize)> {
        self.0.get_ref().set_read_timeout(Some(within)).ok()?;
        loop {
            let (kind, body) = self.packet()?;
            if kind >> 4 == 3 {
                let length = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
                let topic = String::from_utf8_lossy(body.get(2..2 + length)?).into_owned();
                return Some((topic, body.len() - 2 - length));
            }
        }
    }

    fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut byte = [0];
        self.0.read_exact(&mut byte).ok()?;
        let (kind, mut length) = (byte[0], 0);
        for at in 0..4 {
            self.0.read_exact(&mut byte).ok()?;
            length |= usize::from(byte[0] & 127) << (7 * at);
            if byte[0] < 128 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        Some((kind, body))
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// The other program: publishes one message for each word that it reads, as the door publishes a state.
pub(crate) async fn publisher(broker: &str) {
    use tokio::io::AsyncReadExt as _;
    let options = MqttOptions::new("floor", ("127.0.0.1".to_owned(), broker.parse::<u16>().unwrap()));
    let (client, mut events) = AsyncClient::builder(options).capacity(1000).try_build().unwrap();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    tokio::task::spawn_local(async move { while events.poll().await.is_ok() {} });
    let (mut source, _) = listener.accept().await.unwrap();
    let mut buffer = vec![0; 4096];
    while let Ok(count @ 1..) = source.read(&mut buffer).await {
        for word in 0..count / WORD.len() {
            let topic = format!("floor/home/0001000000/output/{word}");
            client.try_publish(topic, STATE, PublishOptions::at_least_once().retain(true)).unwrap();
        }
    }
}

/// What a publisher did.
#[derive(Default)]
struct Told {
    /// From the report to its message, in microseconds.
    times: Vec<f64>,
    /// CPU of one message, one at a time and many at once.
    cpu_micros: f64,
    cpu_micros_at_once: f64,
    per_second: Vec<f64>,
}

/// Something that publishes, and who hears it.
struct Side<'a> {
    program: u32,
    subscriber: Subscriber,
    /// Makes so many outputs report; when the first did.
    report: Box<dyn FnMut(usize) -> std::time::Instant + 'a>,
    told: Told,
}

impl Side<'_> {
    fn one(&mut self) -> Option<()> {
        let begun = (self.report)(1);
        self.subscriber.next(WITHIN)?;
        self.told.times.push(micros_since(begun));
        Some(())
    }

    fn many(&mut self) -> Option<()> {
        let begun = (self.report)(MODULES);
        for _ in 0..MODULES {
            self.subscriber.next(WITHIN)?;
        }
        self.told.per_second.push(MODULES as f64 / begun.elapsed().as_secs_f64());
        Some(())
    }
}

/// Both sides by turns: one message at a time, then as many at once as there are modules.
fn measure(sides: &mut [Side<'_>]) -> Option<()> {
    let rests: Vec<AtRest> = sides.iter().map(|side| AtRest::look(side.program)).collect();
    for _ in 0..TURNS {
        for side in sides.iter_mut() {
            side.one()?;
            std::thread::sleep(PAUSE);
        }
    }
    for (side, rest) in sides.iter_mut().zip(&rests) {
        side.told.cpu_micros = rest.each(TURNS);
    }
    for side in sides.iter_mut() {
        let before = cpu_nanoseconds(side.program);
        for _ in 0..BURSTS {
            side.many()?;
        }
        let used = cpu_nanoseconds(side.program).saturating_sub(before) as f64;
        side.told.cpu_micros_at_once = used / 1000.0 / (BURSTS * MODULES) as f64;
    }
    Some(())
}

pub(crate) fn section() -> Section {
    let mut section = Section::new("4. Doors: MQTT");
    if let Err(why) = publish(&mut section) {
        section.say(format!("Not measured: {why}."));
    }
    section
}

fn publish(section: &mut Section) -> Result<(), String> {
    let broker = Broker::start()?;
    let words = format!(
        "\n[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\nbase = \"conbus\"\ninstance = \"report\"\n",
        broker.port
    );
    let mut rig = Rig::start(&words);
    let mut other = Other::start(&["publisher", &broker.port.to_string()]);
    let mut source = TcpStream::connect((Ipv4Addr::LOCALHOST, other.line().parse::<u16>().unwrap()))
        .map_err(|error| error.to_string())?;
    source.set_nodelay(true).map_err(|error| error.to_string())?;
    let hears = |filter| Subscriber::of(&broker, filter).map_err(|error| error.to_string());
    let (ours, floor) = (hears("conbus/+/+/output/+")?, hears("floor/+/+/output/+")?);
    let ours_id = rig.daemon.id();
    let ours_report = Box::new(|outputs| rig.turn(outputs));
    let floor_report = Box::new(|outputs| {
        let begun = clock();
        source.write_all(&WORD.repeat(outputs)).unwrap();
        begun
    });
    let side = |program, subscriber, report| Side { program, subscriber, report, told: Told::default() };
    let mut sides = [side(ours_id, ours, ours_report as Box<_>), side(other.id(), floor, floor_report)];
    measure(&mut sides).ok_or(format!("a message did not come within {WITHIN:?}"))?;
    let [ours, floor] = sides.map(|side| side.told);
    written(section, &ours, &floor);
    Ok(())
}

fn written(section: &mut Section, ours: &Told, floor: &Told) {
    section.say(format!(
        "From a report on the gateway's wire to the state of the output at a subscriber of mosquitto, over loopback, \
         {TURNS} turns; then {BURSTS} times a report of each of {MODULES} modules at once: messages a second until the \
         last of them is there. The states are published at least once and retained. The floor is a bare `rumqttc` on \
         one thread, the library of the door, that publishes as much for each 16 bytes in its socket, by turns in the \
         same run. CPU is the publisher's, of one message."
    ));
    let ratio = pair(&ours.times, &floor.times).ratio;
    let rate = pair(&ours.per_second, &floor.per_second).ratio;
    let row = |what: &str, told: &Told, ratios: [f64; 2]| {
        let of = |part| number(quantile(told.times.iter().copied(), part));
        vec![
            what.to_owned(),
            of(0.5),
            of(0.99),
            number(ratios[0]),
            number(told.cpu_micros),
            number(told.cpu_micros / floor.cpu_micros),
            number(quantile(told.per_second.iter().copied(), 0.5)),
            number(ratios[1]),
            number(told.cpu_micros_at_once),
            number(told.cpu_micros_at_once / floor.cpu_micros_at_once),
        ]
    };
    section.table(
        &[
            "publisher",
            "p50 µs",
            "p99 µs",
            "to the floor",
            "CPU µs, one at a time",
            "to the floor",
            "messages/s, 16 at once",
            "to the floor",
            "CPU µs, 16 at once",
            "to the floor",
        ],
        &[row("conbusd", ours, [ratio, rate]), row("floor: bare `rumqttc`", floor, [1.0, 1.0])],
    );
}
