//! From the wire to a reader.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use crate::programs::{Pair, eventually, pause};

const TURNS: usize = 60;

#[expect(clippy::disallowed_methods, reason = "two processes are compared, on real time")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The next event of this kind, as its data.
fn next_event(stream: &mut impl BufRead, kind: &str) -> String {
    let mut is_wanted = false;
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended");
        if let Some(event) = line.trim_end().strip_prefix("event: ") {
            is_wanted = event == kind;
        } else if let Some(data) = line.trim_end().strip_prefix("data: ").filter(|_| is_wanted) {
            return data.to_owned();
        }
    }
}

#[test]
fn a_report_on_the_wire_is_an_event_within_5_ms_in_the_median() {
    let mut pair = Pair::start();
    eventually("all fresh", || {
        let (_, list) = pair.get("/api/accessories");
        list.as_array().unwrap().iter().all(|lamp| lamp["freshness"] == "fresh")
    });
    let mut request = TcpStream::connect(pair.http).unwrap();
    request.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(request, "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", pair.http).unwrap();
    let mut events = BufReader::new(request);
    next_event(&mut events, "accessories");
    let mut micros = vec![];
    for turn in 0..TURNS {
        let on = turn % 2 == 0;
        let begun = wall_clock();
        pair.turn(1, 0, on);
        let event = next_event(&mut events, "accessory");
        micros.push(begun.elapsed().unwrap().as_micros());
        assert!(event.contains(&format!("\"on\":{on}")), "{event}");
        pause(Duration::from_millis(5));
    }
    micros.sort_unstable();
    let (median, slowest) = (micros[TURNS / 2], micros[TURNS - 1]);
    println!(
        "order to the house, report on the wire, event at a client: median {median} us, slowest {slowest} us"
    );
    assert!(median < 5_000, "median {median} us");
}
