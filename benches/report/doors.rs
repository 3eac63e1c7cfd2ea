//! What the HTTP door costs beside a bare axum handler and a raw loop.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::calm::{Patience, Probe, Sifted};
use crate::figures::{Bar, Section, median, number, pair, quantile};
use crate::house::text_of_24;
use crate::programs::{Client, Daemon, Other, clock, cpu_nanoseconds};

/// Requests of one measurement, of each client.
const REQUESTS: usize = 1_000;

const CLIENTS: usize = 16;

/// A request takes microseconds, and what else the machine does comes and goes.
const ROUNDS: Patience = Patience { wanted: 15, limit: 45 };

/// What one accessory looks like, for those that only answer.
const OBJECT: &str = concat!(
    r#"{"id":"m1o0","name":"Lamp 1 0","room":"","kind":"light","module":"0012345001","output":0,"#,
    r#""on":false,"brightness":null,"freshness":"fresh","age_ms":1234,"origin":"read"}"#
);

fn json<B: serde::Serialize>(body: &B) -> impl IntoResponse + use<B> {
    ([(CONTENT_TYPE, "application/json")], serde_json::to_string(body).unwrap())
}

/// The other program: axum on one thread, with the same body.
pub(crate) async fn bare_axum() {
    let value: serde_json::Value = serde_json::from_str(OBJECT).unwrap();
    let list: Vec<_> = std::iter::repeat_n(value.clone(), 24).collect();
    let routes = axum::Router::new()
        .route("/api/accessories/m1o0", get(move || std::future::ready(json(&value))))
        .route("/api/accessories", get(move || std::future::ready(json(&list))));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let serving = hyper_util::service::TowerToHyperService::new(routes);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(hyper_util::rt::TokioIo::new(stream), serving.clone());
        tokio::task::spawn_local(connection);
    }
}

/// The other program: reads heads with `httparse` and writes the same bytes back; of any other path this body.
pub(crate) fn raw(other: &str) {
    let list = format!("[{}]", [OBJECT; 24].join(","));
    let answers: &'static Answers = Box::leak(Box::new([OBJECT, &list, other].map(|body| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
    })));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::task::spawn_local(raw_client(stream, answers));
        }
    });
}

/// One object, the list of 24, and what else is asked for.
type Answers = [String; 3];

async fn raw_client(mut stream: tokio::net::TcpStream, [one, all, other]: &Answers) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 8192];
    let mut filled = 0;
    while let Ok(count @ 1..) = stream.read(&mut buffer[filled..]).await {
        filled += count;
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(_)) = request.parse(&buffer[..filled]) {
            let said = match request.path {
                Some("/api/accessories") => all,
                Some("/api/accessories/m1o0") => one,
                _ => other,
            };
            if stream.write_all(said.as_bytes()).await.is_err() {
                return;
            }
            filled = 0;
        }
    }
}

/// What clients saw, and what it cost.
pub(crate) struct Served {
    pub(crate) cpu_micros: f64,
    pub(crate) per_second: f64,
    /// How long each request took, in microseconds.
    pub(crate) times: Vec<f64>,
}

/// Each client asks one request after the other as fast as it is answered.
pub(crate) fn serve<A: FnMut() + Send>(program: u32, requests: usize, clients: Vec<A>) -> Served {
    let before = cpu_nanoseconds(program);
    let begun = clock();
    let times: Vec<f64> = std::thread::scope(|scope| {
        let asking: Vec<_> = clients
            .into_iter()
            .map(|mut ask| {
                scope.spawn(move || {
                    let one = |_| {
                        let asked = clock();
                        ask();
                        asked.elapsed().as_secs_f64() * 1e6
                    };
                    (0..requests).map(one).collect::<Vec<f64>>()
                })
            })
            .collect();
        asking.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let took = begun.elapsed().as_secs_f64();
    Served {
        cpu_micros: cpu_nanoseconds(program).saturating_sub(before) as f64
            / 1000.0
            / times.len().max(1) as f64,
        per_second: times.len() as f64 / took,
        times,
    }
}

/// The rounds of one server.
pub(crate) struct Rounds(pub(crate) Vec<Served>);

impl Rounds {
    /// CPU of a request in each round, in microseconds.
    pub(crate) fn cpu(&self) -> Vec<f64> {
        self.0.iter().map(|one| one.cpu_micros).collect()
    }

    pub(crate) fn per_second(&self) -> f64 {
        median(self.0.iter().map(|one| one.per_second))
    }

    /// Of all requests of all rounds.
    pub(crate) fn time(&self, part: f64) -> f64 {
        quantile(self.0.iter().flat_map(|one| one.times.iter().copied()), part)
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.iter().map(|one| one.times.len()).sum()
    }
}

/// Every server in every round, by turns; `one` measures the server of this number.
pub(crate) fn by_turns(
    servers: usize,
    rounds: Patience,
    mut one: impl FnMut(usize) -> Served,
) -> (Vec<Rounds>, Sifted) {
    let probe = Probe::new();
    let (measured, sifted) = rounds.measure(|round| {
        let mut control = probe.take();
        let mut all: Vec<(usize, Served)> = Vec::new();
        for turn in 0..servers {
            let at = (round + turn) % servers;
            all.push((at, one(at)));
            control = control.max(probe.take());
        }
        (control, all)
    });
    let mut served: Vec<Rounds> = (0..servers).map(|_| Rounds(Vec::new())).collect();
    for (at, one) in measured.into_iter().flatten() {
        served[at].0.push(one);
    }
    (served, sifted)
}

pub(crate) fn section() -> Section {
    let mut section = Section::new("4. Doors: HTTP");
    let mut gateway = Other::start(&["house24"]);
    let daemon = Daemon::start(&text_of_24(&format!("127.0.0.1:{}", gateway.line())));
    let mut client = daemon.listening();
    while client.json("/api/status")["cache"]["entries"].as_u64() < Some(24) {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(5));
    let (mut axum, mut raw) = (Other::start(&["axum"]), Other::start(&["raw", ""]));
    let local = |port: String| SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse::<u16>().unwrap()));
    let servers = [
        ("conbusd", daemon.id(), daemon.http),
        ("axum alone", axum.id(), local(axum.line())),
        ("raw loop with `httparse`", raw.id(), local(raw.line())),
    ];
    section.say(format!(
        "HTTP/1.1 over kept connections, {REQUESTS} requests of each client, at least {} rounds by turns: medians of the \
         rounds, ratios of CPU in the same round, times of all requests of all rounds. The servers answer with \
         bodies of the same form; only the daemon's come from its actors. Every server has one thread; clients \
         share the machine with them, so requests a second are the clients' too, and CPU is the anchor.",
        ROUNDS.wanted
    ));
    let mut rows = Vec::new();
    let mut sifted = Sifted::default();
    for (what, path, clients) in [
        ("one accessory", "/api/accessories/m1o0", 1),
        ("one accessory", "/api/accessories/m1o0", CLIENTS),
        ("list of 24", "/api/accessories", CLIENTS),
    ] {
        let (served, of_row) = by_turns(servers.len(), ROUNDS, |at| {
            let (_, program, address) = servers[at];
            let asks = (0..clients).map(|_| {
                let mut client = Client::connect(address);
                move || drop(client.get(path))
            });
            serve(program, REQUESTS, asks.collect())
        });
        let raw = served[servers.len() - 1].cpu();
        sifted = sifted.and(of_row);
        for (at, (name, ..)) in servers.iter().enumerate() {
            let rounds = &served[at];
            let cpu = pair(&rounds.cpu(), &raw);
            let verdict = if at == 0 && path.ends_with("m1o0") && clients > 1 {
                section.judge("P7: CPU of an HTTP read to the raw loop", Bar::AtMost(1.6), cpu.ratio)
            } else {
                String::new()
            };
            rows.push(vec![
                format!("{what}, {clients} clients"),
                (*name).to_owned(),
                number(rounds.per_second()),
                number(cpu.ours),
                number(cpu.ratio),
                number(rounds.time(0.5)),
                number(rounds.time(0.99)),
                verdict,
            ]);
        }
    }
    section.table(
        &["request", "server", "requests/s", "CPU µs each", "to the raw loop", "p50 µs", "p99 µs", "bar"],
        &rows,
    );
    section.say(sifted.told());
    section
}
