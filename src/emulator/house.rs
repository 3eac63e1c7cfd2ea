//! The whole house: modules on one bus behind one gateway.
//!
//! Pure: time is an argument, counted from when the house was switched on, and when the house next does
//! something by itself is a result. Owns the modules, the bus, the agenda of what is still to happen, and which
//! client is connected. Refuses to know sockets: the bytes for a client are collected by whoever has its socket.

mod hands;
mod speech;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::conbus::{
    ActionTable, Event, Function, OutputIndex, Percent, Piece, Point, SerialNumber, System, Telegram,
};

use super::Timing;
use super::bus::{Author, Bus, Transmission};
use super::faults::Faults;
use super::gateway::{Arrival, ClientId, Ending, Gateway, Outgoing};
use super::ledger::{Counters, Ledger, Passed};
use super::module::{Module, Pace, Utterance};
use super::setup::{Dialect, HouseSetup};

/// How many actions may lead to one another before the house stops following them. Real modules would go on for
/// ever; no sensible table chains deeper.
const CHAIN_MAX: u8 = 16;

/// Something that will happen.
#[derive(Debug)]
enum Job {
    /// A request reaches the modules.
    Request(System),
    /// An event of the client is heard by the modules.
    Heard(Event),
    /// A module restarts after a table session.
    Restart(usize),
    /// The bridge's own reply reaches the client without using the bus.
    Deliver(Transmission),
}

/// An emulated house.
#[derive(Debug)]
pub struct House {
    modules: Vec<Module>,
    places: BTreeMap<SerialNumber, usize>,
    timing: Timing,
    dialect: Dialect,
    echo_events: bool,
    /// When each module began its latest report.
    reported: Vec<Duration>,
    bus: Bus,
    faults: Faults,
    chance: fastrand::Rng,
    agenda: BTreeMap<(Duration, u64), Job>,
    sequence: u64,
    gateway: Gateway,
    ledger: Ledger,
}

impl House {
    /// Switches a house on, at time zero.
    pub fn new(setup: HouseSetup) -> Self {
        let mut modules: Vec<Module> = Vec::new();
        let mut places = BTreeMap::new();
        for module in setup.modules {
            if let Entry::Vacant(place) = places.entry(module.serial) {
                place.insert(modules.len());
                modules.push(Module::new(module, setup.dialect));
            }
        }
        Self {
            reported: vec![Duration::ZERO; modules.len()],
            modules,
            places,
            bus: Bus::new(setup.timing.gap),
            timing: setup.timing,
            dialect: setup.dialect,
            echo_events: setup.echo_events,
            faults: Faults::new(setup.seed),
            chance: fastrand::Rng::with_seed(setup.seed ^ 0x00C0_FFEE),
            agenda: BTreeMap::new(),
            sequence: 0,
            gateway: Gateway::new(setup.second_client),
            ledger: Ledger::default(),
        }
    }

    // --- the client's side -------------------------------------------------------------------------------

    /// A client connects.
    pub fn arrive(&mut self, now: Duration) -> Arrival {
        self.advance(now);
        self.ledger.opened(now);
        let arrival = self.gateway.arrive(now);
        match arrival {
            Arrival::Welcome(_) => self.ledger.counters.connections += 1,
            Arrival::Refused => {
                self.ledger.counters.connections_refused += 1;
                self.ledger.closed(now);
            }
        }
        arrival
    }

    /// A client's socket is closed, whoever closed it.
    pub fn leave(&mut self, now: Duration, client: ClientId) {
        self.advance(now);
        self.gateway.leave(client);
        self.ledger.closed(now);
    }

    /// Bytes come from a client.
    pub fn take_bytes(&mut self, now: Duration, client: ClientId, mut bytes: &[u8]) {
        self.advance(now);
        let Some(mut splitter) = self.gateway.lend_splitter(client) else { return };
        while let Some(piece) = splitter.next_piece(&mut bytes) {
            match piece {
                Piece::Frame(frame) => match Telegram::parse(frame) {
                    Ok(telegram) => self.heard_telegram(now, telegram),
                    Err(_) => self.ledger.counters.noise_received += 1,
                },
                Piece::Noise(_) => self.ledger.counters.noise_received += 1,
            }
        }
        self.gateway.return_splitter(client, splitter);
        self.advance(now);
    }

    fn heard_telegram(&mut self, now: Duration, telegram: Telegram) {
        self.ledger.heard(now, &telegram);
        match telegram {
            Telegram::System(request) => self.ask(now, request),
            Telegram::Event(event) => {
                if self.echo_events {
                    let echo = self.plain(Author::Stranger, event.into(), 0);
                    self.at(now + self.timing.request, Job::Deliver(echo));
                }
                self.at(now + self.timing.request, Job::Heard(event));
            }
            // A client has no serial number, so nobody listens to its replies.
            Telegram::Reply(_) => {}
        }
    }

    /// How a client's connection is to end, if it is.
    pub fn ending(&self, client: ClientId) -> Option<Ending> {
        self.gateway.ending(client)
    }

    /// The most bytes to write to a client at once.
    pub fn segment_bytes(&self) -> usize {
        self.gateway.segment_bytes()
    }

    /// What there is to write to a client, and how its connection ends if it does.
    pub fn collect(&mut self, client: ClientId) -> Outgoing {
        self.gateway.collect(client)
    }

    // --- time --------------------------------------------------------------------------------------------

    /// When the house next does something by itself.
    pub fn next_due(&self) -> Option<Duration> {
        let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let modules = self.modules.iter().filter_map(Module::next_due).min();
        agenda.into_iter().chain(self.bus.next_due()).chain(modules).min()
    }

    /// Does everything that is due until now, in order.
    pub fn advance(&mut self, now: Duration) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            self.step(due);
        }
    }

    fn step(&mut self, now: Duration) {
        if let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Job::Request(request) => self.heard_request(now, &request),
                Job::Heard(event) => self.heard_event(now, event, 0),
                Job::Restart(place) => {
                    self.modules[place].restart(now);
                    let said = self.modules[place].tick(now);
                    self.speak(now, place, said, 0);
                }
                Job::Deliver(transmission) => self.deliver(now, &transmission),
            }
        } else if self.bus.next_due().is_some_and(|due| due <= now) {
            if let Some(transmission) = self.bus.step(now) {
                self.deliver(now, &transmission);
                if let Some(Telegram::Event(event)) = transmission.telegram {
                    self.heard_event(now, event, transmission.depth);
                }
            }
        } else {
            for place in 0..self.modules.len() {
                let said = self.modules[place].tick(now);
                self.speak(now, place, said, 0);
            }
        }
    }

    fn at(&mut self, when: Duration, job: Job) {
        self.sequence += 1;
        self.agenda.insert((when, self.sequence), job);
    }

    // --- requests ----------------------------------------------------------------------------------------

    /// A master asks: the bridge hears it at once, the modules when it has travelled.
    fn ask(&mut self, now: Duration, request: System) {
        let bridge_only = self.place(request.serial).is_some_and(|place| self.is_bridge(place));
        let travels = if bridge_only { Duration::ZERO } else { self.timing.request };
        self.at(now + travels, Job::Request(request));
    }

    fn heard_request(&mut self, now: Duration, request: &System) {
        if request.serial.is_broadcast() {
            // Only a discovery is answered by everybody; other broadcasts are not known (protocol reference 10.1).
            if request.function == Function::DISCOVERY {
                self.discover(now, request);
            }
            return;
        }
        let Some(place) = self.place(request.serial) else { return };
        if self.silent(place) {
            return;
        }
        let harmless = matches!(request.function, Function::DISCOVERY | Function::READ_DATAPOINT);
        let prefixed =
            is_outputs_read(request) && self.faults.strikes_now("type_code_prefix", request.serial).is_some();
        let module = &mut self.modules[place];
        let had_prefix = module.set_type_code_prefix(prefixed || module.setup().type_code_before_outputs);
        let said = if !harmless && self.faults.strikes_now("refusal", request.serial).is_some() {
            vec![module.nak(Pace::Write)]
        } else {
            module.request(request)
        };
        self.modules[place].set_type_code_prefix(had_prefix);
        let module_restarts = self.modules[place].take_restart();
        if module_restarts {
            self.at(now + self.timing.restart, Job::Restart(place));
        }
        self.speak(now, place, said, 0);
    }

    fn discover(&mut self, now: Duration, request: &System) {
        let mut answers: Vec<(Duration, usize, Vec<Utterance>)> = Vec::new();
        for place in 0..self.modules.len() {
            if !self.modules[place].answers_broadcast() || self.silent(place) {
                continue;
            }
            let said = self.modules[place].request(request);
            if self.is_bridge(place) {
                // It heard the request before the modules did.
                let heard = now.saturating_sub(self.timing.request);
                self.speak(heard, place, said, 0);
            } else {
                let thought = self.up_to(self.timing.discovery_spread);
                answers.push((now + thought, place, said));
            }
        }
        answers.sort_by_key(|(when, ..)| *when);
        let mut answers = answers.into_iter().peekable();
        while let Some((when, place, said)) = answers.next() {
            let collides = answers.peek().is_some()
                && self.faults.strikes_now("collision", self.modules[place].serial()).is_some();
            if let (true, Some((_, _, other))) = (collides, answers.next_if(|_| collides)) {
                self.collide(when, place, &said, &other);
            } else {
                self.speak(when, place, said, 0);
            }
        }
    }

    // --- events ------------------------------------------------------------------------------------------

    /// Every module hears an event, the one that sent it as well (protocol reference 5.2).
    fn heard_event(&mut self, now: Duration, event: Event, depth: u8) {
        for place in 0..self.modules.len() {
            if self.faults.is_silenced(self.modules[place].serial()) {
                continue;
            }
            if depth >= CHAIN_MAX {
                self.ledger.counters.chains_cut += u64::from(self.modules[place].reacts_to(event));
                continue;
            }
            let said = self.modules[place].hear(now, event);
            self.speak(now, place, said, depth + 1);
        }
    }

    // --- truth --------------------------------------------------------------------------------------

    /// The truth about an output: whether it is on, and its level (of a relay 0 or 100).
    pub fn output(&self, point: Point) -> Option<(bool, Percent)> {
        let level = self.module(point.serial)?.level(point.output)?;
        Some((level != Percent::OFF, level))
    }

    /// Every output of the house with its level.
    pub fn outputs(&self) -> Vec<(Point, Percent)> {
        self.modules
            .iter()
            .flat_map(|module| {
                let outputs = OutputIndex::first(module.module_type().outputs());
                outputs.filter_map(|output| {
                    Some((Point { serial: module.serial(), output }, module.level(output)?))
                })
            })
            .collect()
    }

    /// The action table of a module.
    pub fn table(&self, serial: SerialNumber) -> Option<&ActionTable> {
        Some(&self.module(serial)?.setup().table)
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        let mut counters = self.ledger.counters.clone();
        counters.faults.clone_from(self.faults.strikes());
        counters.actions_unknown = self.modules.iter().map(Module::actions_unknown).sum();
        counters
    }

    /// The most sockets that were open at one time, and the shortest time from the end of one connection to the next:
    /// two of the counters, for whoever asks often.
    pub fn sockets(&self) -> (u64, Option<Duration>) {
        (self.ledger.counters.connections_open_max, self.ledger.counters.connection_gap_min)
    }

    /// Every telegram that passed the gateway, oldest first; of very many the latest.
    pub fn transcript(&self) -> impl Iterator<Item = &Passed> {
        self.ledger.transcript()
    }

    pub(super) fn modules(&self) -> &[Module] {
        &self.modules
    }

    fn module(&self, serial: SerialNumber) -> Option<&Module> {
        self.modules.get(self.place(serial)?)
    }

    fn place(&self, serial: SerialNumber) -> Option<usize> {
        self.places.get(&serial).copied()
    }

    fn is_bridge(&self, place: usize) -> bool {
        self.modules[place].module_type().is_bridge()
    }

    fn silent(&mut self, place: usize) -> bool {
        self.faults.strikes_now("silence", self.modules[place].serial()).is_some()
    }
}

/// Whether a request reads D12, whatever characters it writes that with.
fn is_outputs_read(request: &System) -> bool {
    request.reads().is_some_and(|datapoint| datapoint.code().map(|byte| byte & 0x0F) == [1, 2])
}
