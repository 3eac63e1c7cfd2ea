//! `conbusd monitor`: the telegrams of a bus, live and in words.
//!
//! Reads only: from the event stream of the running daemon, or straight from a gateway that nobody else uses.

mod anonymise;
mod record;
mod sse;

use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::app::run::{RunError, read_token};
use crate::conbus::{Splitter, describe};
use crate::config::Config;
pub use record::{RecordError, Recorder};
use sse::EventReader;

/// How long a connection and the head of an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much is read from a gateway at once.
const READ_BYTES: usize = 4_096;

/// As wide as the telegrams that come all day; longer ones push what follows to the right.
const TELEGRAM_WIDTH: usize = 30;

/// Where telegrams come from.
pub enum Source {
    /// A gateway, dialled directly.
    Gateway {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// The HTTP door of the running daemon.
    Daemon {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// The bearer token, when the door wants one.
        token: Option<String>,
    },
}

impl Source {
    /// The daemon that runs with this config.
    pub fn of_daemon(config: &Config) -> Result<Self, MonitorError> {
        let http = config.http.as_ref().ok_or(MonitorError::NoDoor)?;
        let token = http.token_file.as_deref().map(read_token).transpose()?;
        // What listens everywhere is reached here.
        let host = match http.listen.ip() {
            ip if !ip.is_unspecified() => ip.to_string(),
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.to_string(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.to_string(),
        };
        Ok(Self::Daemon { host, port: http.listen.port(), token })
    }
}

/// Why there is nothing more to show.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The daemon has no HTTP door.
    #[error(
        "the config has no `[http]`, so the daemon cannot be asked; add it, or name a gateway with `--gateway`"
    )]
    NoDoor,
    /// The token of the door cannot be read.
    #[error("{0}")]
    Unreadable(#[from] RunError),
    /// The gateway could not be dialled.
    #[error(
        "gateway `{address}` cannot be reached: {why}; check the address, and that no other program holds its one connection"
    )]
    GatewayUnreachable {
        /// Host and port.
        address: String,
        /// What the system says.
        why: io::Error,
    },
    /// The gateway hung up.
    #[error("gateway `{address}` closed the connection: {why}; it serves one client, so stop the other one")]
    GatewayClosed {
        /// Host and port.
        address: String,
        /// What the system says.
        why: io::Error,
    },
    /// Nobody listens where the daemon should.
    #[error(
        "no daemon answers at `{address}`: {why}; start `conbusd`, or compare with `listen` of its [http]"
    )]
    DaemonUnreachable {
        /// Host and port.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// The daemon wants a token, or another one.
    #[error(
        "the daemon at `{address}` wants its token: the one in the file that `token_file` of its [http] names"
    )]
    Token {
        /// Host and port.
        address: String,
    },
    /// Somebody else listens there.
    #[error("`{address}` answers `{status}` and no event stream; compare with `listen` of [http]")]
    NoEventStream {
        /// Host and port.
        address: String,
        /// The answer to the request.
        status: StatusCode,
    },
    /// The daemon stopped or cut the stream off.
    #[error("the daemon at `{address}` ended the stream; start the monitor again when it is back")]
    DaemonClosed {
        /// Host and port.
        address: String,
    },
    /// The output cannot be written.
    #[error("cannot write: {0}")]
    Output(io::Error),
    /// The recording cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Shows telegrams until the source ends or nobody reads `out` any more; the latter is no error.
pub async fn run(source: Source, json: bool, out: &mut dyn Write) -> Result<(), MonitorError> {
    run_recording(source, json, None, out).await
}

/// The same, and writes them down.
pub async fn run_recording(
    source: Source,
    json: bool,
    recorder: Option<Recorder>,
    out: &mut dyn Write,
) -> Result<(), MonitorError> {
    let mut printer = Printer { json, recorder, out };
    let shown = match source {
        Source::Gateway { host, port } => watch_gateway(&host, port, &mut printer).await,
        Source::Daemon { host, port, token } => {
            watch_daemon(&host, port, token.as_deref(), &mut printer).await
        }
    };
    match shown {
        Err(MonitorError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

async fn watch_gateway(host: &str, port: u16, printer: &mut Printer<'_>) -> Result<(), MonitorError> {
    let address = authority(host, port);
    let mut stream = dial(host, port)
        .await
        .map_err(|why| MonitorError::GatewayUnreachable { address: address.clone(), why })?;
    // A warning that cannot be written harms nobody.
    let _ = writeln!(
        io::stderr(),
        "warning: a gateway serves one client; while this runs, `{address}` is closed to the daemon and the vendor's tool"
    );
    let closed = |why| MonitorError::GatewayClosed { address: address.clone(), why };
    let mut splitter = Splitter::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = stream.read(&mut buffer).await.map_err(closed)?;
        if count == 0 {
            return Err(closed(ErrorKind::UnexpectedEof.into()));
        }
        let mut unread = &buffer[..count];
        while let Some(piece) = splitter.next_piece(&mut unread) {
            let object = serde_json::to_string(&describe(piece))
                .map_err(|error| MonitorError::Output(error.into()))?;
            printer.print(&object)?;
        }
        printer.flush()?;
    }
}

async fn watch_daemon(
    host: &str,
    port: u16,
    token: Option<&str>,
    printer: &mut Printer<'_>,
) -> Result<(), MonitorError> {
    let address = authority(host, port);
    let unreachable = |why: String| MonitorError::DaemonUnreachable { address: address.clone(), why };
    let stream = dial(host, port).await.map_err(|error| unreachable(error.to_string()))?;
    let answer = timeout(PATIENCE, ask_for_events(stream, &address, token));
    let response = answer
        .await
        .map_err(|_| unreachable(format!("no answer within {} s", PATIENCE.as_secs())))?
        .map_err(unreachable)?;
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED {
        return Err(MonitorError::Token { address });
    }
    if status != StatusCode::OK || !is_event_stream(&response) {
        return Err(MonitorError::NoEventStream { address, status });
    }
    let mut body = response.into_body();
    let mut reader = EventReader::default();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(frame) = frame else { break };
        let Some(mut unread) = frame.data_ref().map(|bytes| &bytes[..]) else { continue };
        while let Some(event) = reader.next_event(&mut unread) {
            match event.name.as_str() {
                "telegram" => printer.print(&event.data)?,
                "lost" => printer.print_hole(&event.data)?,
                _ => {}
            }
        }
        printer.flush()?;
    }
    Err(MonitorError::DaemonClosed { address })
}

async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    timeout(PATIENCE, TcpStream::connect((host, port)))
        .await
        .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// Asks for the stream; the error is in words.
async fn ask_for_events(
    stream: TcpStream,
    address: &str,
    token: Option<&str>,
) -> Result<Response<Incoming>, String> {
    let mut request = Request::get("/api/events?telegrams=1")
        .header(HOST, address)
        .header(ACCEPT, "text/event-stream")
        .body(String::new())
        .map_err(|error| error.to_string())?;
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| "the token holds characters that a header cannot carry".to_owned())?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let words = |error: hyper::Error| error.to_string();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(words)
}

fn is_event_stream(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// Host and port as a URL writes them.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Writes one line for each telegram.
struct Printer<'a> {
    json: bool,
    recorder: Option<Recorder>,
    out: &'a mut dyn Write,
}

impl Printer<'_> {
    /// Prints a JSON object; a text that is none is passed over.
    fn print(&mut self, text: &str) -> Result<(), MonitorError> {
        let Ok(object @ Value::Object(_)) = serde_json::from_str(text) else { return Ok(()) };
        if let Some(recorder) = &mut self.recorder {
            recorder.note(&object)?;
        }
        let line = if self.json {
            // A line feed stands between the values of JSON only, never inside one.
            text.replace('\n', " ")
        } else {
            human_line(&time_of_day(), &object)
        };
        writeln!(self.out, "{line}").map_err(MonitorError::Output)
    }

    /// The daemon tells how many telegrams it did not give, because they were not taken in time: a hole must show.
    fn print_hole(&mut self, text: &str) -> Result<(), MonitorError> {
        let object: Value = serde_json::from_str(text).unwrap_or_default();
        let telegrams = object["telegrams"].as_u64().unwrap_or(0);
        if let Some(recorder) = &mut self.recorder {
            recorder.note_hole(telegrams)?;
        }
        let line = if self.json {
            json!({ "kind": "lost", "telegrams": telegrams }).to_string()
        } else {
            format!(
                "{}  ! {telegrams} telegrams are missing here: they were not taken in time",
                time_of_day()
            )
        };
        writeln!(self.out, "{line}").map_err(MonitorError::Output)
    }

    fn flush(&mut self) -> Result<(), MonitorError> {
        self.out.flush().map_err(MonitorError::Output)
    }
}

/// The time as the daemon's log prints it, without the date: the two can be laid side by side.
#[expect(clippy::disallowed_methods, reason = "printed for people; nothing is decided by it")]
fn time_of_day() -> String {
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    now.split_once('T').map_or_else(String::new, |(_, time)| time.to_owned())
}

/// One telegram as a line for people: when, which way if it is told, what was heard, what it means.
fn human_line(time: &str, object: &Value) -> String {
    let field = |name: &str| object[name].as_str();
    let direction = field("direction").map(|direction| format!("{direction:<4} ")).unwrap_or_default();
    let telegram = printable(field("telegram").unwrap_or_default());
    let meaning = match (field("why"), field("meaning")) {
        (Some(why), _) => format!("not valid: {}", printable(why)),
        (None, meaning) => printable(meaning.unwrap_or_default()),
    };
    format!("{time}  {direction}{telegram:<TELEGRAM_WIDTH$}  {meaning}").trim_end().to_owned()
}

/// What a bus says may hold anything; a terminal must not obey it.
fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, character| {
        if character.is_control() {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
        safe
    })
}

#[cfg(test)]
mod tests;
