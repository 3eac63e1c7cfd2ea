//! Clients of both doors that are slow, greedy or many, with the times that the daemon really has.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::programs::{Pair, Program, config, eventually, free_port, get, pause, write_config};

/// How much later than promised something may be seen on a busy machine: debug builds, two cores, twenty programs.
const SLACK: Duration = Duration::from_secs(4);

/// How long somebody else may wait for his answer meanwhile.
const OTHERS_WITHIN: Duration = Duration::from_secs(3);

const ALIVE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A connection that has been answered once.
fn alive(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(ALIVE).unwrap();
    assert_eq!(status(&mut stream), Some(200));
    stream
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Whether the other side has closed by now; what it still said is thrown away.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// The status of the next answer.
fn status(stream: &mut TcpStream) -> Option<u16> {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(SLACK)).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// Waits until all of them are closed; `meanwhile` is done over and over, and may take a little each time.
fn all_closed(streams: &[TcpStream], within: Duration, mut meanwhile: impl FnMut()) {
    let begun = Instant::now();
    loop {
        let open = streams.iter().filter(|stream| !is_closed(stream)).count();
        if open == 0 {
            return;
        }
        assert!(begun.elapsed() < within + SLACK, "{open} are still open after {:?}", begun.elapsed());
        let asked = Instant::now();
        meanwhile();
        assert!(asked.elapsed() < OTHERS_WITHIN, "somebody else waited {:?}", asked.elapsed());
        pause(Duration::from_millis(100));
    }
}

#[test]
fn slow_heads_and_slow_bodies_are_cut_after_five_seconds_and_nobody_else_waits() {
    let pair = Pair::start();
    let put = b"PUT /api/accessories/m1o0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n{";
    let mut heads: Vec<TcpStream> = (0..20).map(|_| connect(pair.http)).collect();
    let mut bodies: Vec<TcpStream> = (0..20).map(|_| connect(pair.http)).collect();
    for (head, body) in heads.iter_mut().zip(&mut bodies) {
        head.write_all(b"GET /livez HTTP/1.1\r\nX-Slow: ").unwrap();
        body.write_all(put).unwrap();
    }
    let mut dripping: Vec<TcpStream> = heads.iter().map(|head| head.try_clone().unwrap()).collect();
    let slow: Vec<TcpStream> = heads.into_iter().chain(bodies).collect();
    all_closed(&slow, Duration::from_secs(5), || {
        for head in &mut dripping {
            // One that is closed already takes no more.
            let _ = head.write(b"x");
        }
        assert_eq!(pair.get("/api/accessories").0, 200);
    });
    let door = pair.get("/api/status").1["http"]["door"].clone();
    assert!(door["connections_cut_total"].as_u64() >= Some(20), "{door}");
    assert_eq!(pair.get("/api/accessories/m1o0").1["on"], false, "half a wish is none");
}

#[test]
fn requests_that_are_too_large_are_refused_and_cost_their_connection_only() {
    let pair = Pair::start();
    let host = "Host: localhost\r\n";
    for (request, refusal) in [
        (format!("GET /livez HTTP/1.1\r\n{host}X: {}\r\n\r\n", "x".repeat(9000)), 431),
        (format!("GET /{} HTTP/1.1\r\n{host}\r\n", "x".repeat(9000)), 431),
        (
            format!(
                "PUT /api/accessories/m1o0 HTTP/1.1\r\n{host}Content-Length: 70000\r\n\r\n{}",
                " ".repeat(70_000)
            ),
            413,
        ),
        (format!("PUT /api/accessories/m1o0 HTTP/1.1\r\n{host}Content-Length: 99999999999\r\n\r\n"), 413),
    ] {
        let mut stream = connect(pair.http);
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(status(&mut stream), Some(refusal), "{}", &request[..60]);
    }
    assert_eq!(pair.get("/api/accessories/m1o0").1["on"], false);
}

#[test]
fn one_address_has_128_connections_and_the_next_is_closed_at_once() {
    let pair = Pair::start();
    // Between two requests there is a minute; before the first there are five seconds, which a busy machine may need.
    let mut held: Vec<TcpStream> = (0..128).map(|_| alive(pair.http)).collect();
    eventually("the house of this address is full", || {
        let next = connect(pair.http);
        pause(Duration::from_millis(20));
        is_closed(&next)
    });
    assert!(held.iter().all(|stream| !is_closed(stream)), "those who were there stay");
    held[0].set_nonblocking(false).unwrap();
    held[0].write_all(ALIVE).unwrap();
    assert_eq!(status(&mut held[0]), Some(200));
    drop(held);
    eventually("there is room again", || {
        let mut next = connect(pair.http);
        // It may be closed before it is written to.
        next.write_all(ALIVE).is_ok() && status(&mut next) == Some(200)
    });
}

#[test]
fn a_daemon_without_files_left_lives_says_so_seldom_and_is_well_when_there_are_some_again() {
    let mut pair = Pair::start();
    let id = pair.daemon.id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &id, "--nofile=40:40"]).status();
    assert!(limited.unwrap().success());
    // The system takes them in; the daemon has no number left for most of them. Those that are answered may stay a minute.
    let crowd: Vec<TcpStream> = (0..80)
        .map(|_| {
            let mut stream = connect(pair.http);
            stream.write_all(ALIVE).unwrap();
            stream
        })
        .collect();
    let files = || std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    // Those that the test itself was started with may lie above the limit.
    eventually("every number is taken", || files() >= 40);
    let all = files();
    // Its own number is taken by the crowd as soon as the link is lost, and again.
    for connections in 2..=3 {
        pair.order(r#"{"do":"disconnect","how":"rst"}"#);
        eventually("the link is back", || {
            let counters = pair.order(r#"{"do":"counters"}"#)["counters"].clone();
            counters["connections"] == connections && counters["connections_open"] == 1
        });
        assert!(files() >= all - 1, "the crowd is still there");
    }
    assert!(crowd.iter().any(|stream| !is_closed(stream)));
    drop(crowd);
    eventually("the link is up", || {
        let status = pair.get("/api/status").1;
        status["gateways"][0]["link"] == "up" && status["gateways"][0]["connects_total"] == 3
    });
    assert_eq!(pair.get("/api/accessories/m1o0?max_age_ms=0").0, 200);
    pair.daemon.signal("TERM");
    assert!(pair.daemon.end().success());
    let told = pair.daemon.log.iter().filter(|line| line.contains("no connection can be accepted")).count();
    assert!((1..=3).contains(&told), "{:#?}", pair.daemon.log);
}

/// A daemon with a HomeKit door that nobody is paired with.
struct Bridge {
    _daemon: Program,
    _folder: TempDir,
    homekit: SocketAddr,
    http: SocketAddr,
}

impl Bridge {
    fn open() -> Self {
        let (folder, http, homekit) = (tempfile::tempdir().unwrap(), free_port(), free_port());
        let text = config("emulator", http) + &format!("[homekit]\nlisten = \"127.0.0.1:{homekit}\"\n");
        write_config(folder.path(), &text);
        let mut daemon = Program::start(&["run"], folder.path());
        daemon.says("started gateways=1");
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let bridge = Self { _daemon: daemon, _folder: folder, homekit: local(homekit), http: local(http) };
        eventually("the bridge answers", || {
            TcpStream::connect(bridge.homekit).is_ok() && get(bridge.http, "/livez").0 == 200
        });
        bridge
    }

    /// A stranger is answered.
    fn answers(&self) {
        let mut stranger = connect(self.homekit);
        stranger.write_all(b"GET /accessories HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
        assert_eq!(status(&mut stranger), Some(470));
    }
}

#[test]
fn half_a_request_at_the_bridge_is_given_up_after_ten_seconds_and_nobody_else_waits() {
    let bridge = Bridge::open();
    let beginnings: [&[u8]; 4] = [
        b"GET /acc",
        b"POST /pair-setup HTTP/1.1\r\nHost: b\r\nContent-Length: 6\r\n\r\n\x06\x01\x01",
        b"POST /pair-verify HTTP/1.1\r\nHost: b\r\nContent-Length: 37\r\n\r\n\x06\x01\x01\x03\x20",
        b"PUT /characteristics HTTP/1.1\r\nContent-Length: 60\r\n\r\n{\"characteristics\":[",
    ];
    let slow: Vec<TcpStream> = beginnings
        .iter()
        .map(|beginning| {
            let mut stream = connect(bridge.homekit);
            stream.write_all(beginning).unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    all_closed(&slow, Duration::from_secs(10), || bridge.answers());
    assert!(begun.elapsed() > Duration::from_secs(5), "cut too soon: {:?}", begun.elapsed());
}

#[test]
fn requests_that_are_too_large_for_the_bridge_are_refused_and_cost_their_connection_only() {
    let bridge = Bridge::open();
    let tlv_too_long = b"POST /pair-setup HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\n\x05\xff\x00";
    for (request, refusal, ends) in [
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(17_000)).into_bytes(), 431, true),
        (b"POST /pair-setup HTTP/1.1\r\nContent-Length: 65537\r\n\r\n".to_vec(), 413, true),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400, true),
        (tlv_too_long.to_vec(), 400, false),
    ] {
        let mut stream = connect(bridge.homekit);
        stream.write_all(&request).unwrap();
        assert_eq!(status(&mut stream), Some(refusal));
        if ends {
            eventually("closed", || is_closed(&stream));
        }
    }
    bridge.answers();
}

#[test]
fn a_client_of_the_bridge_that_reads_nothing_is_cut_off() {
    let bridge = Bridge::open();
    // A small window: what is not read is the bridge's burden.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&bridge.homekit.into()).unwrap();
    let mut greedy: TcpStream = socket.into();
    greedy.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let requests = b"GET /accessories HTTP/1.1\r\nHost: b\r\n\r\n".repeat(64);
    let (begun, mut asked) = (Instant::now(), 0);
    loop {
        match greedy.write(&requests) {
            Ok(count) => asked += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "it is still served after {asked} bytes");
    }
    bridge.answers();
}

#[test]
fn a_crowd_at_the_bridge_does_not_keep_the_next_one_out() {
    let bridge = Bridge::open();
    let crowd: Vec<TcpStream> = (0..60).map(|_| connect(bridge.homekit)).collect();
    eventually("no more than 24 have a seat", || {
        crowd.iter().filter(|stream| !is_closed(stream)).count() <= 24
    });
    bridge.answers();
    let list = get(bridge.http, "/api/accessories").1;
    assert_eq!(list.as_array().map(Vec::len), Some(8), "{}", json!(list));
}
