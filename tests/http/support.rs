//! A small home behind a door, and a client that says exactly what it is told to.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use actix::{Actor, Addr, System};
use conbusd::actors::Outlet;
use conbusd::actors::events::AccessoryChanged;
use conbusd::app::{App, Audience, assemble};
use conbusd::config;
use conbusd::doors::http::{self, Beside, Door, GatewayCard, House, HttpPlan, Hub, Limits, Token};
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup, Timing};
use conbusd::transport::{BusStream, Dial, Dialled};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Nothing here takes longer than this, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const CONFIG: &str = r#"
[[gateway]]
id = "home"
address = "emulator"

[[module]]
serial = "0012345004"
type = "XP24"
link = 4

[[module]]
serial = "0012345005"
type = "XP33LED"
link = 5

[[accessory]]
id = "ceiling"
name = "Ceiling"
room = "Salon"
kind = "light"
module = "0012345004"
output = 1

[[accessory]]
id = "plug"
name = "Plug"
room = "Salon"
kind = "outlet"
module = "0012345004"
output = 0

[[accessory]]
id = "spots"
name = "Spots"
room = "Kitchen"
kind = "dimmer"
module = "0012345005"
output = 2
"#;

/// Runs a test where the daemon runs: one thread, a `System`, real time.
pub(crate) fn in_real_time<F: Future<Output = ()>>(test: F) {
    System::new().block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("it hangs") });
}

pub(crate) async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

struct MemoryDial(Emulator);

impl Dial for MemoryDial {
    fn dial(&self) -> Dialled {
        let stream = self.0.connect();
        Box::pin(async move {
            let stream = stream.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(stream) as Box<dyn BusStream>)
        })
    }

    fn target(&self) -> String {
        "memory".into()
    }
}

/// A running home.
pub(crate) struct Home {
    pub(crate) emulator: Emulator,
    pub(crate) app: App,
    pub(crate) door: Door,
    pub(crate) address: SocketAddr,
    hub: Addr<Hub>,
}

/// What of a home differs from test to test.
pub(crate) struct Plan {
    pub(crate) up: bool,
    pub(crate) token: Option<&'static str>,
    pub(crate) limits: Limits,
}

impl Default for Plan {
    fn default() -> Self {
        Self { up: true, token: None, limits: Limits::default() }
    }
}

impl Plan {
    pub(crate) async fn open(self) -> Home {
        let config = config::parse("test.toml", CONFIG, Path::new("/")).unwrap();
        let modules = config
            .modules
            .iter()
            .map(|module| ModuleSetup::new(module.serial, module.module_type, module.link));
        let emulator = Emulator::new(HouseSetup::new(modules.collect()).with_timing(Timing::zero()));
        emulator.gateway_up(self.up);
        let (hub, feed) = http::hub();
        let hub = hub.start();
        let audience = Audience {
            accessories: vec![hub.clone().recipient()],
            links: vec![hub.clone().recipient()],
            telegrams: vec![hub.clone().recipient()],
            buttons: vec![],
        };
        let app = assemble(&config, vec![Box::new(MemoryDial(emulator.clone()))], &audience, 1);
        let house = House {
            roll: app.roll(),
            reloads: app.reloads(),
            gateways: vec![GatewayCard {
                id: "home".into(),
                address: "emulator".into(),
                connection: app.connections[0].clone().into(),
                listener: app.listeners[0].clone().into(),
            }],
            cache: app.cache.clone().into(),
            poller: app.poller.clone().into(),
            hub: hub.clone().into(),
            keeper: None,
            mux: None,
            mqtt: None,
            measured: app.measured().into_iter().chain([hub.clone().into()]).collect(),
            beside: Beside::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let token = self.token.map(|token| Token::new(token.into()));
        let plan = HttpPlan { listen: address, token, name: "Test".into(), limits: self.limits };
        Home { emulator, app, door: http::serve(plan, listener, house, feed), address, hub }
    }

    /// Opens the door and waits until every accessory is known.
    pub(crate) async fn warm(self) -> Home {
        let home = self.open().await;
        loop {
            let list = home.get("/api/accessories").await.json();
            if list.as_array().unwrap().iter().all(|object| object["freshness"] == "fresh") {
                return home;
            }
            pass(10).await;
        }
    }
}

impl Home {
    pub(crate) async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), left: Vec::new() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "").await
    }

    pub(crate) async fn put(&self, id: &str, body: &str) -> Answer {
        self.ask("PUT", &format!("/api/accessories/{id}"), "", body).await
    }

    /// One request on a connection of its own; `headers` are whole lines.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut client = self.connect().await;
        client.say(&request(method, path, headers, body)).await;
        client.answer(method != "HEAD").await
    }

    /// Where the facts for the door go.
    pub(crate) fn outlet(&self) -> Outlet<AccessoryChanged> {
        Outlet::new(self.hub.clone().recipient())
    }
}

/// The text of a request to this machine.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n{body}")
}

/// A client that says exactly what it is told to.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    left: Vec<u8>,
}

/// What a client was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(told, _)| told.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"));
        serde_json::from_str(&self.body).unwrap()
    }

    /// The code and the message of an error, which have to be there.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let json = self.json();
        let text = |field: &str| json["error"][field].as_str().unwrap().to_owned();
        assert!(!text("message").is_empty());
        (self.status, text("code"), text("message"))
    }

    pub(crate) fn is_error(&self, status: u16, code: &str) {
        let (told, word, message) = self.error();
        assert_eq!((told, word.as_str()), (status, code), "{message}");
    }
}

impl Client {
    pub(crate) fn of(stream: TcpStream) -> Self {
        Self { stream, left: Vec::new() }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn answer(&mut self, has_body: bool) -> Answer {
        let head = self.until("\r\n\r\n").await.expect("closed without an answer");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        if has_body {
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            while self.left.len() < length {
                assert!(self.read().await, "closed within the body");
            }
            answer.body = String::from_utf8(self.left.drain(..length).collect()).unwrap();
        }
        answer
    }

    /// The next server-sent event; a comment has no name.
    pub(crate) async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            // The chunks of the transfer are lines of their own, which no event has.
            let piece = self.until("\n\n").await?;
            let lines =
                piece.lines().skip_while(|line| !line.starts_with("event: ") && !line.starts_with(':'));
            let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
            if let [name, json] = lines[..] {
                let name = name.strip_prefix("event: ").unwrap().to_owned();
                return Some((name, serde_json::from_str(json.strip_prefix("data: ").unwrap()).unwrap()));
            }
            if lines.first() == Some(&": keep-alive") {
                return Some((String::new(), Value::Null));
            }
        }
    }

    /// The next event of this name.
    pub(crate) async fn event_of(&mut self, name: &str) -> Value {
        loop {
            let (told, value) = self.event().await.expect("the stream ended");
            if told == name {
                return value;
            }
        }
    }

    /// Whether the other side has closed, now or soon; what it still says is read.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let closed = async { while self.read().await {} };
        tokio::time::timeout(Duration::from_secs(2), closed).await.is_ok()
    }

    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.left.windows(end.len()).position(|window| window == end.as_bytes()) {
                let piece: Vec<u8> = self.left.drain(..at + end.len()).collect();
                return Some(String::from_utf8(piece).unwrap());
            }
            if !self.read().await {
                return None;
            }
        }
    }

    async fn read(&mut self) -> bool {
        self.stream.read_buf(&mut self.left).await.is_ok_and(|count| count > 0)
    }
}
