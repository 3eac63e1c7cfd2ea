//! What the HomeKit door costs beside other bridges and beside a raw loop without encryption.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::json;

use crate::bridges::{Bridge, Bridges, Control};
use crate::calm::Patience;
use crate::doors::{Rounds, Served, by_turns, serve};
use crate::fan::{AtRest, LISTENERS, Loop, micros_since, timed_gateway};
use crate::figures::{Bar, Section, number, pair, quantile};
use crate::hap::Session;
use crate::programs::{Other, clock, resident_kib};
use crate::tap::Tap;

/// Characteristics of a request, sessions that ask at the same time, and requests of each in a round.
const READS: [(usize, usize, usize); 4] = [(1, 1, 400), (1, 8, 200), (24, 1, 200), (296, 1, 80)];

/// The peers are slow.
const ROUNDS: usize = 5;

/// Turns of a switch whose event is waited for; of a bridge that lets each wait for half a second fewer.
const TURNS: usize = 200;
const TURNS_OF_SLOW: usize = 30;

/// Longer than the quarter of a second in which a session of ours is told but once; the peers wait before they tell.
const OUR_PAUSE: Duration = Duration::from_millis(270);
const THEIR_PAUSE: Duration = Duration::from_millis(50);

const EVENT_WITHIN: Duration = Duration::from_secs(5);

/// The peer whose events wait for half a second.
const SLOW: &str = "conson-xp 2.1.15";

pub(crate) fn section() -> Section {
    let mut section = Section::new("4. Doors: HomeKit");
    let ((ours, our_ports), (theirs, their_ports)) = (timed_gateway(), timed_gateway());
    let wanted = [("conbusd", our_ports), ("HAP-NodeJS", (0, 0)), (SLOW, their_ports)];
    let bridges = match Bridges::start("doors", &wanted) {
        Ok(bridges) => bridges,
        Err(why) => {
            section.say(format!("HomeKit was not measured: {why}."));
            return section;
        }
    };
    for missing in &bridges.missing {
        section.say(format!("Left out: {missing}"));
    }
    reads(&mut section, &bridges.there);
    memory(&mut section, &bridges.there);
    let taps = [("conbusd", &ours), (SLOW, &theirs)];
    fan_out(&mut section, &bridges.there, &taps);
    section
}

/// What is asked, by whom, and who answers.
struct Read<'a> {
    characteristics: usize,
    sessions: usize,
    requests: usize,
    bridges: &'a [Bridge],
}

/// One that is asked, and why it is not asked any more.
struct Asked<'a> {
    name: &'a str,
    program: u32,
    question: String,
    sessions: Vec<Session>,
    failed: Option<String>,
}

/// A bridge, and what it did or why it did not.
type Answered<'a> = (&'a str, Result<Rounds, String>);

impl<'a> Read<'a> {
    /// The bridges, then the raw loop that answers with the first bridge's body.
    fn measure(&self) -> Vec<Answered<'a>> {
        let mut asked: Vec<Asked<'a>> = self.bridges.iter().map(|bridge| self.ask(bridge)).collect();
        let (question, body) = asked
            .iter_mut()
            .find_map(|one| Some((one.question.clone(), one.sessions.first_mut()?.get(&one.question).ok()?)))
            .unwrap_or_default();
        let mut raw = Other::start(&["raw", &String::from_utf8_lossy(&body)]);
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, raw.line().parse::<u16>().unwrap()));
        let sessions = (0..self.sessions).map(|_| Session::plain(at).unwrap()).collect();
        asked.push(Asked {
            name: "floor: raw loop, plain",
            program: raw.id(),
            question,
            sessions,
            failed: None,
        });
        let (rounds, _) = by_turns(asked.len(), Patience::none(ROUNDS), |at| asked[at].round(self.requests));
        asked
            .into_iter()
            .zip(rounds)
            .map(|(one, rounds)| (one.name, one.failed.map_or(Ok(rounds), Err)))
            .collect()
    }

    fn ask(&self, bridge: &'a Bridge) -> Asked<'a> {
        let sessions: Result<Vec<Session>, String> = (0..self.sessions).map(|_| bridge.session()).collect();
        let (sessions, failed) = sessions.map_or_else(|why| (Vec::new(), Some(why)), |all| (all, None));
        let question = bridge.question(self.characteristics);
        Asked { name: &bridge.name, program: bridge.id, question, sessions, failed }
    }
}

impl Asked<'_> {
    /// All sessions ask; nobody asks again what has failed.
    fn round(&mut self, requests: usize) -> Served {
        let (told, heard) = std::sync::mpsc::channel();
        let question = &self.question;
        let is_lost = self.failed.is_some();
        let asks = self.sessions.iter_mut().map(|session| {
            let (told, mut is_lost) = (told.clone(), is_lost);
            move || {
                if !is_lost && let Err(why) = session.get(question) {
                    is_lost = true;
                    let _ = told.send(why);
                }
            }
        });
        let served = serve(self.program, requests, asks.collect());
        self.failed = self.failed.take().or_else(|| heard.try_recv().ok());
        served
    }
}

fn reads(section: &mut Section, bridges: &[Bridge]) {
    section.say(
        "Reads of cached values of 148 dimmable lamps over kept sessions, by a client of the report's own that is \
         faster than each bridge; `conbusd` and `conson-xp` on an emulated gateway without delays, HAP-NodeJS \
         1.2.0 with lamps in memory; `conson-xp` logs warnings only. The floor is the raw loop of `httparse` with \
         the same body, asked by the same client without encryption. Medians of the rounds by turns, ratios of CPU \
         in the same round, times of all requests of all rounds.",
    );
    let (mut rows, mut said) = (Vec::new(), Vec::new());
    for (characteristics, sessions, requests) in READS {
        let answered = Read { characteristics, sessions, requests, bridges }.measure();
        let cpu = |name: Option<&str>| {
            let one = answered
                .iter()
                .rfind(|(other, rounds)| rounds.is_ok() && name.is_none_or(|name| name == *other));
            one.and_then(|(_, rounds)| rounds.as_ref().ok()).map(Rounds::cpu).unwrap_or_default()
        };
        let (raw, ours) = (cpu(None), cpu(Some("conbusd")));
        for (name, rounds) in &answered {
            let rounds = match rounds {
                Ok(rounds) => rounds,
                Err(why) => {
                    said.push(format!("{name} did not answer {characteristics} characteristics: {why}."));
                    continue;
                }
            };
            let to_raw = pair(&rounds.cpu(), &raw);
            let verdict = if *name == "conbusd" && characteristics == 1 {
                let what =
                    format!("P8: CPU of an encrypted HAP read to the plain raw loop, sessions: {sessions}");
                section.judge(&what, Bar::AtMost(2.5), to_raw.ratio)
            } else {
                String::new()
            };
            let to_ours =
                if ours.is_empty() { String::new() } else { number(pair(&rounds.cpu(), &ours).ratio) };
            rows.push(vec![
                format!("{characteristics}, sessions: {sessions}"),
                (*name).to_owned(),
                number(rounds.per_second()),
                number(to_raw.ours),
                number(to_raw.ratio),
                to_ours,
                number(rounds.time(0.5)),
                number(rounds.time(0.99)),
                number(rounds.requests() as f64),
                verdict,
            ]);
        }
    }
    section.table(
        &[
            "characteristics",
            "bridge",
            "requests/s",
            "CPU µs each",
            "to the floor",
            "to conbusd",
            "p50 µs",
            "p99 µs",
            "requests",
            "bar",
        ],
        &rows,
    );
    for word in said {
        section.say(word);
    }
}

fn memory(section: &mut Section, bridges: &[Bridge]) {
    let rows: Vec<Vec<String>> = bridges
        .iter()
        .map(|bridge| vec![bridge.name.clone(), number(resident_kib(bridge.id) as f64 / 1024.0)])
        .collect();
    section.table(&["bridge with 148 lamps", "RSS MiB"], &rows);
}

/// What listeners saw of one bridge.
struct Heard {
    times: Vec<f64>,
    cpu_micros: f64,
    bytes: usize,
}

/// From a switch on the wall to the event in the last of many sessions.
fn listen(bridge: &Bridge, tap: Option<&Tap>) -> Result<Heard, String> {
    let lamp = *bridge.lamps.first().ok_or("it has no lamps")?;
    let mut sessions = Vec::new();
    for _ in 0..LISTENERS {
        let mut session = bridge.session()?;
        session.put(&json!([{"aid": lamp.aid, "iid": lamp.on, "ev": true}]))?;
        sessions.push(session);
    }
    let mut hand = Control::of(bridge)?;
    let turns = if bridge.name == SLOW { TURNS_OF_SLOW } else { TURNS };
    let pause = if bridge.name == "conbusd" { OUR_PAUSE } else { THEIR_PAUSE };
    let rest = AtRest::look(bridge.id);
    let (mut times, mut bytes) = (Vec::new(), 0);
    for turn in 0..turns {
        let on = turn % 2 == 0;
        if let Some(tap) = tap {
            tap.clear();
        }
        let ordered = clock();
        if tap.is_some() {
            hand.order(&json!({"do": "turn", "serial": "0012345001", "output": 0, "on": on}))?;
        } else {
            hand.order(&json!({"on": on}))?;
        }
        let begun = tap.map_or(Some(ordered), Tap::report).ok_or("the house did not report")?;
        for session in &mut sessions {
            let event = session
                .event(EVENT_WITHIN)
                .ok_or_else(|| format!("no event came within {EVENT_WITHIN:?}"))?;
            bytes = event.len();
        }
        times.push(micros_since(begun));
        std::thread::sleep(pause);
    }
    Ok(Heard { times, cpu_micros: rest.each(turns), bytes })
}

fn fan_out(section: &mut Section, bridges: &[Bridge], taps: &[(&str, &Tap)]) {
    section.say(format!(
        "From a change to the event in the last of {LISTENERS} sessions of one controller that watch a lamp; the clock \
         starts when the report is written into the bridge's gateway socket, for HAP-NodeJS when the order is written \
         into its control socket. A session of `conbusd` is told the first change at once, then at most one message in \
         250 ms; its peers gather changes before they tell. CPU is what one event to all sessions needs, with what the \
         bridge needs at rest taken off. The floor is a loop that writes as many bytes to as many clients, without \
         encryption."
    ));
    let mut rows = Vec::new();
    let mut row = |name: &str, heard: &Heard, floor: Option<&Heard>| {
        let of = |part| number(quantile(heard.times.iter().copied(), part));
        let to = |ratio: Option<f64>| ratio.map_or(String::new(), number);
        let middle = |heard: &Heard| quantile(heard.times.iter().copied(), 0.5);
        rows.push(vec![
            name.to_owned(),
            number(heard.times.len() as f64),
            of(0.5),
            of(0.99),
            to(floor.map(|floor| middle(heard) / middle(floor))),
            number(heard.cpu_micros),
            to(floor.map(|floor| heard.cpu_micros / floor.cpu_micros)),
        ]);
    };
    let mut said = Vec::new();
    let mut measured = Vec::new();
    for bridge in bridges {
        let tap = taps.iter().find(|(name, _)| *name == bridge.name).map(|(_, tap)| *tap);
        match listen(bridge, tap) {
            Ok(heard) => measured.push((bridge.name.as_str(), heard)),
            Err(why) => said.push(format!("{}: {why}.", bridge.name)),
        }
    }
    let floor = measured.first().map(|(_, heard)| control(heard.bytes));
    for (name, heard) in &measured {
        row(name, heard, floor.as_ref());
    }
    if let Some(floor) = &floor {
        row("floor: loop, plain", floor, Some(floor));
    }
    let head = ["bridge", "turns", "p50 µs", "p99 µs", "to the floor", "CPU µs an event", "CPU to the floor"];
    section.table(&head, &rows);
    for word in said {
        section.say(word);
    }
}

/// The loop with a message of this body: the head and the tag of an event are some 100 bytes.
fn control(body: usize) -> Heard {
    let mut all = Loop::start();
    let rest = AtRest::look(all.id());
    let times = (0..TURNS)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            all.turn(body + 100)
        })
        .collect();
    Heard { times, cpu_micros: rest.each(TURNS), bytes: body }
}
