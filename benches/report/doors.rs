//! What the HTTP door costs beside a bare axum handler and a raw loop, and the HomeKit door beside its peers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::figures::{Bar, Section, median, number, quantile};
use crate::house::text_of_24;
use crate::programs::{Client, Daemon, Other, clock, cpu_nanoseconds};

/// Requests of one measurement, of each client.
const REQUESTS: usize = 1_000;

const CLIENTS: usize = 16;

const ROUNDS: usize = 5;

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

/// The other program: reads heads with `httparse` and writes the same bytes back.
pub(crate) fn raw() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::task::spawn_local(raw_client(stream));
        }
    });
}

async fn raw_client(mut stream: tokio::net::TcpStream) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let list = format!("[{}]", [OBJECT; 24].join(","));
    let answer = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let (one, all) = (answer(OBJECT), answer(&list));
    let mut buffer = vec![0; 8192];
    let mut filled = 0;
    while let Ok(count @ 1..) = stream.read(&mut buffer[filled..]).await {
        filled += count;
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(_)) = request.parse(&buffer[..filled]) {
            let said = if request.path == Some("/api/accessories") { &all } else { &one };
            if stream.write_all(said.as_bytes()).await.is_err() {
                return;
            }
            filled = 0;
        }
    }
}

/// What clients saw, and what it cost.
struct Served {
    cpu_micros: f64,
    per_second: f64,
    p50: f64,
    p99: f64,
}

/// So many clients ask one after the other as fast as they are answered.
fn serve(program: u32, at: SocketAddr, path: &'static str, clients: usize) -> Served {
    let before = cpu_nanoseconds(program);
    let begun = clock();
    let asking: Vec<_> = (0..clients)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(at);
                (0..REQUESTS)
                    .map(|_| {
                        let asked = clock();
                        client.get(path);
                        asked.elapsed().as_secs_f64() * 1e6
                    })
                    .collect::<Vec<f64>>()
            })
        })
        .collect();
    let times: Vec<f64> = asking.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let took = begun.elapsed().as_secs_f64();
    Served {
        cpu_micros: (cpu_nanoseconds(program) - before) as f64 / 1000.0 / times.len() as f64,
        per_second: times.len() as f64 / took,
        p50: quantile(times.iter().copied(), 0.5),
        p99: quantile(times.iter().copied(), 0.99),
    }
}

/// A server: what it is called, its program and where it listens.
type Server<'a> = (&'a str, u32, SocketAddr);

/// Every server in every round, by turns; the middle of each figure.
fn rounds(servers: &[Server<'_>], path: &'static str, clients: usize) -> Vec<Vec<Served>> {
    let mut served: Vec<Vec<Served>> = servers.iter().map(|_| Vec::new()).collect();
    for round in 0..=ROUNDS {
        for turn in 0..servers.len() {
            let at = (round + turn) % servers.len();
            let (_, program, address) = servers[at];
            let one = serve(program, address, path, clients);
            if round > 0 {
                served[at].push(one);
            }
        }
    }
    served
}

pub(crate) fn section() -> Section {
    let mut section = Section::new("4. Doors");
    let mut gateway = Other::start(&["house24"]);
    let daemon = Daemon::start(&text_of_24(&format!("127.0.0.1:{}", gateway.line())));
    let mut client = daemon.listening();
    while client.json("/api/status")["cache"]["entries"].as_u64() < Some(24) {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(5));
    let (mut axum, mut raw) = (Other::start(&["axum"]), Other::start(&["raw"]));
    let local = |port: String| SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse::<u16>().unwrap()));
    let servers = [
        ("conbusd", daemon.id(), daemon.http),
        ("axum alone", axum.id(), local(axum.line())),
        ("raw loop with `httparse`", raw.id(), local(raw.line())),
    ];
    section.say(format!(
        "HTTP/1.1 over kept connections, {REQUESTS} requests of each client, {ROUNDS} rounds by turns, medians. The \
         servers answer with bodies of the same form; only the daemon's come from its actors. Every server has one \
         thread; clients share the machine with them, so requests a second are the clients' too, and CPU is the anchor."
    ));
    let mut rows = Vec::new();
    for (what, path, clients) in [
        ("one accessory", "/api/accessories/m1o0", 1),
        ("one accessory", "/api/accessories/m1o0", CLIENTS),
        ("list of 24", "/api/accessories", CLIENTS),
    ] {
        let served = rounds(&servers, path, clients);
        let cpu = |at: usize| median(served[at].iter().map(|one: &Served| one.cpu_micros));
        for (at, (name, ..)) in servers.iter().enumerate() {
            let figure = |of: fn(&Served) -> f64| number(median(served[at].iter().map(of)));
            let ratio = cpu(at) / cpu(servers.len() - 1);
            let verdict = if at == 0 && path.ends_with("m1o0") && clients > 1 {
                section.judge("P7: CPU of an HTTP read to the raw loop", Bar::AtMost(1.6), ratio)
            } else {
                String::new()
            };
            rows.push(vec![
                format!("{what}, {clients} clients"),
                (*name).to_owned(),
                figure(|one| one.per_second),
                figure(|one| one.cpu_micros),
                number(ratio),
                figure(|one| one.p50),
                figure(|one| one.p99),
                verdict,
            ]);
        }
    }
    section.table(
        &["request", "server", "requests/s", "CPU µs each", "to the raw loop", "p50 µs", "p99 µs", "bar"],
        &rows,
    );
    homekit(&mut section);
    section
}

/// HomeKit beside its peers, by the script that the peers' own client needs.
fn homekit(section: &mut Section) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/homekit.py");
    let Ok(python) = std::env::var("CONBUSD_HOMEKIT_PYTHON") else {
        section.say("HomeKit was not measured: `benches/run` installs the controller and the peers.");
        return;
    };
    let ran = Command::new(python).arg(script).arg(env!("CARGO_BIN_EXE_conbusd")).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    section.say(said.trim_end());
}
