//! From the start of the program to a house that is known, on a bus with the timing of hardware.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use conbusd::conbus::{Datapoint, SerialNumber, System, Telegram};

use crate::figures::{Bar, Section, median, number};
use crate::house::text_of_24;
use crate::programs::{Client, Daemon, Other, clock};

const ROUNDS: usize = 5;

/// What the bus wants between a reply and the next telegram (protocol reference 7.3).
const GAP: Duration = Duration::from_millis(20);

/// When what was so far, in milliseconds after the start.
struct Started {
    listening: f64,
    first: f64,
    all: f64,
}

fn fresh(client: &mut Client) -> usize {
    let list = client.json("/api/accessories");
    let lamps = list.as_array().unwrap();
    lamps.iter().filter(|lamp| lamp["freshness"] == "fresh").count()
}

fn start(port: u16) -> Started {
    let daemon = Daemon::start(&text_of_24(&format!("127.0.0.1:{port}")));
    let mut client = daemon.listening();
    let since = || daemon.begun.elapsed().as_secs_f64() * 1000.0;
    let listening = since();
    let mut first = None;
    loop {
        let known = fresh(&mut client);
        if known > 0 {
            first.get_or_insert_with(since);
        }
        if known == 24 {
            return Started { listening, first: first.unwrap_or_default(), all: since() };
        }
        assert!(since() < 60_000.0, "{known} of 24 outputs are known");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The same reads by a program that does nothing else: outputs of seven modules, then levels of four.
fn floor(port: u16, gap: Duration) -> f64 {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let begun = clock();
    let outputs = (1..=7).map(|module| (module, Datapoint::OUTPUTS));
    for (module, datapoint) in outputs.chain((4..=7).map(|module| (module, Datapoint::LEVELS))) {
        let serial: SerialNumber = format!("00123450{module:02}").parse().unwrap();
        stream.write_all(&Telegram::from(System::read(serial, datapoint)).to_bytes()).unwrap();
        let mut heard = Vec::new();
        while heard.last() != Some(&b'>') {
            let mut buffer = [0; 128];
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the gateway closed");
            heard.extend_from_slice(&buffer[..count]);
        }
        std::thread::sleep(gap);
    }
    begun.elapsed().saturating_sub(gap).as_secs_f64() * 1000.0
}

pub(crate) fn section() -> Section {
    let mut gateway = Other::start(&["house24"]);
    let port = gateway.line().parse().unwrap();
    let (mut started, mut paced, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        started.push(start(port));
        // The gateway serves one client: it has to see the last one go.
        std::thread::sleep(Duration::from_millis(300));
        paced.push(floor(port, GAP));
        std::thread::sleep(Duration::from_millis(300));
        bare.push(floor(port, Duration::ZERO));
        std::thread::sleep(Duration::from_millis(300));
    }
    let middle = |of: fn(&Started) -> f64| median(started.iter().map(of));
    let (need, least) = (median(paced.iter().copied()), median(bare.iter().copied()));
    let ratio = median(started.iter().zip(&paced).map(|(one, need)| one.all / need));
    let mut section = Section::new("7. Start");
    section.say(format!(
        "24 outputs behind an emulated gateway with the timing of hardware, in another program; medians of {ROUNDS} \
         starts. What the bus needs: the same eleven reads (D12 of seven modules, D15 of four) by a program that does \
         nothing else and leaves the bus its 20 ms after each reply."
    ));
    let verdict = section.judge("start to all fresh", Bar::AtMost(1.3), ratio);
    section.table(
        &["until", "ms", "to what the bus needs", "bar"],
        &[
            vec!["HTTP answers".into(), number(middle(|one| one.listening)), String::new(), String::new()],
            vec!["first output fresh".into(), number(middle(|one| one.first)), String::new(), String::new()],
            vec!["all 24 fresh".into(), number(middle(|one| one.all)), number(ratio), verdict],
            vec!["what the bus needs".into(), number(need), "1".into(), String::new()],
            vec!["the reads without a pause".into(), number(least), number(least / need), String::new()],
        ],
    );
    section
}
