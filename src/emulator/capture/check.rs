//! The TX side of a capture sent to an emulated house, to see whether it answers as the real one did.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::conbus::{
    Edge, Event, EventMeaning, Function, ModuleType, Piece, Point, SerialNumber, Splitter, Telegram,
};

use super::super::{Arrival, ClientId, House, HouseSetup};
use super::compare::{Agreement, Heard, compare};
use super::latency::latencies;
use super::{Capture, Direction, Row, house_of, telegram_of};

/// A report this long after a command or a table session may be the house's own doing.
const CAUSE_MAX: Duration = Duration::from_millis(4_500);
/// How long before its report somebody has touched a switch on the wall.
const HAND_BEFORE: Duration = Duration::from_millis(47);
/// How long the house goes on after the last telegram.
const AFTERMATH: Duration = Duration::from_secs(3);

/// How much longer than the real client this one waits for an answer.
const PATIENCE: Duration = Duration::from_millis(60);

/// What was sent to the house and what it said, each with its time.
pub(super) struct Played {
    pub(super) sent: Vec<Heard>,
    pub(super) heard: Vec<Heard>,
}

/// What a client heard before it spoke.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    /// So many replies,
    count: usize,
    /// of this module, since it spoke last.
    serial: SerialNumber,
    /// How long after the last of them it spoke.
    thought: Duration,
}

/// What is done to the house.
#[derive(Clone, Debug)]
enum Stimulus {
    /// The client sends.
    Sent(Vec<u8>, Option<Awaited>),
    /// Somebody who is not of the house speaks.
    Stranger(Telegram),
    /// Somebody switches at the wall.
    Hand(Point, bool),
}

/// Sends the TX side of a capture to the house of [`house_of`] with `base`, and compares what comes back.
///
/// What panels and other masters said is said again at the same time. A report without anything that could have
/// caused it is taken for a hand on a switch, and named in the result.
pub fn check(capture: &Capture, base: HouseSetup) -> Agreement {
    let setup = house_of(capture, base);
    let mut stimuli = stimuli_of(capture, &setup);
    let first = compare(capture, &run(&setup, &stimuli, capture).heard);
    let hands = hands_of(capture, &setup, &first);
    stimuli.extend(hands.iter().map(|(at, point, on)| (*at, Stimulus::Hand(*point, *on))));
    stimuli.sort_by_key(|(at, _)| *at);
    let played = run(&setup, &stimuli, capture);
    Agreement {
        hands: hands.into_iter().map(|(at, point, _)| (at, point)).collect(),
        latencies: latencies(capture, &played, &setup),
        ..compare(capture, &played.heard)
    }
}

/// The part of a capture that is not an answer of the house.
fn stimuli_of(capture: &Capture, setup: &HouseSetup) -> Vec<(Duration, Stimulus)> {
    let links = links_of(capture, setup);
    let ours = |event: &Event| {
        event.source.module_type.is_actor() && links.contains(&(event.source.module_type, event.source.link))
    };
    let rows = capture.rows().iter().enumerate().filter_map(|(index, row)| {
        let stimulus = match (row.direction, row.telegram()) {
            (Direction::FromClient, _) => {
                Stimulus::Sent(row.bytes.clone(), awaited_before(&capture.rows()[..index], row.at))
            }
            (Direction::ToClient, Some(Telegram::Event(event))) if !ours(&event) => {
                Stimulus::Stranger(event.into())
            }
            (Direction::ToClient, Some(Telegram::System(request))) => Stimulus::Stranger(request.into()),
            _ => return None,
        };
        // What a stranger says was on the bus before it was heard.
        let travels = match stimulus {
            Stimulus::Stranger(_) => setup.timing.on_the_bus(row.bytes.len()),
            _ => Duration::ZERO,
        };
        Some((row.at.saturating_sub(travels), stimulus))
    });
    rows.collect()
}

/// Under which type and link the modules of the house report, now or after a link number was written.
fn links_of(capture: &Capture, setup: &HouseSetup) -> BTreeSet<(ModuleType, u8)> {
    let mut links: BTreeSet<_> =
        setup.modules.iter().map(|module| (module.module_type, module.link)).collect();
    for row in capture.rows() {
        let Some(Telegram::System(request)) = row.telegram() else { continue };
        let Some(digits) = request.data().strip_prefix(b"04") else { continue };
        let link = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let module = setup.modules.iter().find(|module| module.serial == request.serial);
        if let (Function::WRITE_CONFIG, Some(link), Some(module)) = (request.function, link, module) {
            links.insert((module.module_type, link));
        }
    }
    links
}

/// The reports that the house did not make and that nothing in the capture explains.
fn hands_of(capture: &Capture, setup: &HouseSetup, first: &Agreement) -> Vec<(Duration, Point, bool)> {
    let missing = first.disagreements.iter().filter_map(|one| match (&one.captured, &one.emulated) {
        (Some(Telegram::Event(event)), None) => Some((one.at, *event)),
        _ => None,
    });
    missing
        .filter_map(|(at, event)| {
            let EventMeaning::OutputReport(output) = event.meaning() else { return None };
            let module = setup.modules.iter().find(|module| {
                (module.module_type, module.link) == (event.source.module_type, event.source.link)
            })?;
            let caused = capture.rows().iter().any(|row| {
                let before = row.at <= at && at.saturating_sub(row.at) < CAUSE_MAX;
                let asked = match row.telegram() {
                    Some(Telegram::System(request)) => {
                        request.serial == module.serial && request.reads().is_none()
                    }
                    // A button may have driven it by its table.
                    Some(Telegram::Event(other)) => !other.source.module_type.is_actor(),
                    _ => false,
                };
                before && asked
            });
            let point = Point { serial: module.serial, output };
            (!caused).then_some((at.saturating_sub(HAND_BEFORE), point, event.edge == Edge::Make))
        })
        .collect()
}

/// What the client had heard since it spoke before.
fn awaited_before(rows: &[Row], now: Duration) -> Option<Awaited> {
    let last = rows.iter().rposition(|row| row.direction == Direction::FromClient)?;
    let Some(Telegram::System(request)) = rows[last].telegram() else { return None };
    let serial = request.serial;
    let replies = rows[last..].iter().filter(|row| is_reply_of(row.telegram().as_ref(), serial));
    let times: Vec<Duration> = replies.map(|row| row.at).collect();
    Some(Awaited { count: times.len(), serial, thought: now.saturating_sub(*times.last()?) })
}

fn is_reply_of(telegram: Option<&Telegram>, serial: SerialNumber) -> bool {
    matches!(telegram, Some(Telegram::Reply(reply)) if reply.serial == serial)
}

/// A house, its client and what that hears.
struct Stage {
    house: House,
    client: ClientId,
    splitter: Splitter,
    now: Duration,
    played: Played,
}

/// Runs the house through it all.
fn run(setup: &HouseSetup, stimuli: &[(Duration, Stimulus)], capture: &Capture) -> Played {
    let mut house = House::new(setup.clone());
    let played = Played { sent: Vec::new(), heard: Vec::new() };
    let Arrival::Welcome(client) = house.arrive(Duration::ZERO) else { return played };
    let mut stage = Stage { house, client, splitter: Splitter::new(), now: Duration::ZERO, played };
    let mut since = 0;
    for (at, stimulus) in stimuli {
        stage.listen(*at);
        match stimulus {
            Stimulus::Sent(bytes, awaited) => {
                if let Some(awaited) = awaited {
                    stage.wait_as_the_client_did(*awaited, since);
                }
                since = stage.played.heard.len();
                stage.send(bytes);
            }
            Stimulus::Stranger(telegram) => stage.house.overhear(stage.now, telegram.clone()),
            Stimulus::Hand(point, on) => stage.house.turn(stage.now, *point, *on),
        }
    }
    stage.listen(capture.end() + AFTERMATH);
    stage.played
}

impl Stage {
    fn send(&mut self, bytes: &[u8]) {
        if let Some(telegram) = telegram_of(bytes) {
            self.played.sent.push(Heard { at: self.now, telegram });
        }
        self.house.take_bytes(self.now, self.client, bytes);
    }

    /// Waits for the answers that the real client had before it spoke, where the house is a little slower.
    fn wait_as_the_client_did(&mut self, awaited: Awaited, since: usize) {
        let patience = self.now + PATIENCE;
        loop {
            let replies = self.played.heard[since..]
                .iter()
                .filter(|heard| is_reply_of(Some(&heard.telegram), awaited.serial));
            let times: Vec<Duration> = replies.map(|heard| heard.at).collect();
            if times.len() >= awaited.count {
                let answered = times.last().copied().unwrap_or_default();
                return self.listen(answered + awaited.thought);
            }
            match self.house.next_due().filter(|due| *due <= patience) {
                Some(due) => self.listen(due),
                None => return,
            }
        }
    }

    /// Lets the house go on until a time and notes each telegram when it came.
    fn listen(&mut self, until: Duration) {
        loop {
            let due = self.house.next_due().filter(|due| *due <= until);
            self.now = self.now.max(due.unwrap_or(until));
            self.house.advance(self.now);
            let bytes = self.house.collect(self.client).bytes;
            let mut input = bytes.as_slice();
            while let Some(piece) = self.splitter.next_piece(&mut input) {
                if let Piece::Frame(frame) = piece
                    && let Ok(telegram) = Telegram::parse(frame)
                {
                    self.played.heard.push(Heard { at: self.now, telegram });
                }
            }
            if due.is_none() {
                return;
            }
        }
    }
}
