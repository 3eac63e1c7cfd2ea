//! One module: what it is, the state of its outputs, and what it says to each request.
//!
//! Owns one module's state. Refuses to know time beyond the `now` it is given, the bus and its delays, other
//! modules, faults: it answers what should be said and leaves when to the house.

use std::time::Duration;

use crate::conbus::{
    ActionTable, Edge, Event, EventBus, EventSource, Function, ModuleType, OutputIndex, Percent, Reply,
    SerialNumber, System, Telegram,
};

use super::setup::{Dialect, DirectSwitching, ModuleSetup};

mod actions;
mod tables;
mod values;

use actions::Plan;
use tables::Session;

pub(super) use tables::factory_own_table;

/// Something a module has to say, and what it waits for before it does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Utterance {
    pub(super) telegram: Telegram,
    pub(super) pace: Pace,
}

/// What a module waits for before it speaks; the house has the durations (protocol reference 7.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// A reply to a read or a harmless request.
    Answer,
    /// The reply to an output command.
    Command,
    /// The reply to a configuration write.
    Write,
    /// The reply to a chunk of a table that has to be kept.
    Flash,
    /// Right after what the same module said before.
    Next,
    /// The report of a change, after the acknowledgement when there is one.
    Report,
    /// One of the events of a full dump after the first.
    Dump,
    /// A repetition of a module that has lost its mind: it waits for nobody.
    Storm,
}

/// The state of one output.
#[derive(Clone, Copy, Debug)]
struct Output {
    level: Percent,
    /// The level it goes back to when switched on.
    resumed: Percent,
}

/// A module that repeats its last reply (protocol reference 7.5).
#[derive(Clone, Copy, Debug)]
struct Storm {
    next: Duration,
    every: Duration,
    /// How many more reads of D10 end it.
    reads_left: u32,
}

/// One emulated module.
#[derive(Debug)]
pub(super) struct Module {
    setup: ModuleSetup,
    dialect: Dialect,
    system_type: u8,
    outputs: Vec<Output>,
    inputs_held: Vec<bool>,
    blinking: bool,
    error_code: u8,
    last_reply: Option<Reply>,
    storm: Option<Storm>,
    /// Deaf and dumb until then.
    restarting: Option<Duration>,
    session: Option<Session>,
    restart_wanted: bool,
    plans: Vec<Plan>,
    /// Bit n: the table holds output n as it is.
    blocked: u8,
    actions_unknown: u64,
}

impl Module {
    pub(super) fn new(setup: ModuleSetup, dialect: Dialect) -> Self {
        let outputs = OutputIndex::first(setup.module_type.outputs())
            .map(|output| {
                let level = match setup.levels.get(usize::from(output.get())) {
                    None | Some(&Percent::OFF) => Percent::OFF,
                    Some(&level) if setup.module_type.is_dimmable() => level,
                    Some(_) => Percent::FULL,
                };
                let resumed = if level == Percent::OFF { Percent::FULL } else { level };
                Output { level, resumed }
            })
            .collect();
        Self {
            dialect,
            system_type: 1,
            outputs,
            inputs_held: vec![false; usize::from(setup.module_type.inputs())],
            blinking: false,
            error_code: 0,
            last_reply: None,
            storm: None,
            restarting: None,
            session: None,
            restart_wanted: false,
            plans: Vec::new(),
            blocked: 0,
            actions_unknown: 0,
            setup,
        }
    }

    pub(super) fn serial(&self) -> SerialNumber {
        self.setup.serial
    }

    pub(super) fn module_type(&self) -> ModuleType {
        self.setup.module_type
    }

    /// What it is set to now; writes of the configuration change it.
    pub(super) fn setup(&self) -> &ModuleSetup {
        &self.setup
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn system_type(&self) -> u8 {
        self.system_type
    }

    pub(super) fn blinking(&self) -> bool {
        self.blinking
    }

    pub(super) fn storming(&self) -> bool {
        self.storm.is_some()
    }

    /// D10; during a storm FE (protocol reference 7.5).
    pub(super) fn error_code(&self) -> u8 {
        if self.storming() { 0xFE } else { self.error_code }
    }

    pub(super) fn set_error_code(&mut self, code: u8) {
        self.error_code = code;
    }

    pub(super) fn set_table(&mut self, table: ActionTable) {
        self.setup.answers.remove(&tables::TABLE_CRC);
        self.setup.table = table;
    }

    /// Sets what every answer takes longer than usual.
    pub(super) fn set_latency(&mut self, latency: Duration) {
        self.setup.latency = latency;
    }

    /// Sets whether D12 begins with the type code; what it was.
    pub(super) fn set_type_code_prefix(&mut self, on: bool) -> bool {
        std::mem::replace(&mut self.setup.type_code_before_outputs, on)
    }

    pub(super) fn set_auto_report(&mut self, on: bool) {
        self.setup.auto_report = on;
    }

    /// Whether the module answers a discovery of everybody; no panel was ever seen to (protocol reference 3.2).
    pub(super) fn answers_broadcast(&self) -> bool {
        use crate::conbus::Category::{Bridge, Dimmer, Relay};
        matches!(self.module_type().category(), Relay | Dimmer | Bridge)
            || self.module_type() == ModuleType::XP20
    }

    /// Each output: whether it is on.
    pub(super) fn outputs_on(&self) -> impl Iterator<Item = (OutputIndex, bool)> {
        self.each_output().map(|(index, output)| (index, output.level != Percent::OFF))
    }

    /// Each output: the level it tells in D15; a relay tells 0 whatever it does (protocol reference 4.2).
    pub(super) fn levels(&self) -> impl Iterator<Item = (OutputIndex, Percent)> {
        let dimmable = self.module_type().is_dimmable();
        self.each_output()
            .map(move |(index, output)| (index, if dimmable { output.level } else { Percent::OFF }))
    }

    /// The true level of one output; of a relay 0 or 100.
    pub(super) fn level(&self, output: OutputIndex) -> Option<Percent> {
        self.outputs.get(usize::from(output.get())).map(|output| output.level)
    }

    pub(super) fn inputs_held(&self) -> impl Iterator<Item = (OutputIndex, bool)> {
        OutputIndex::first(OutputIndex::COUNT_MAX).zip(self.inputs_held.iter().copied())
    }

    fn each_output(&self) -> impl Iterator<Item = (OutputIndex, Output)> {
        OutputIndex::first(OutputIndex::COUNT_MAX).zip(self.outputs.iter().copied())
    }

    /// Hears a request that is addressed to it, or to everybody.
    pub(super) fn request(&mut self, request: &System) -> Vec<Utterance> {
        if self.restarting.is_some() {
            return Vec::new();
        }
        if let Some(storm) = &mut self.storm {
            // Only reading the error code gets through to a module in its loop (protocol reference 7.5).
            if request.reads() != Some(crate::conbus::Datapoint::ERROR_CODE) {
                return Vec::new();
            }
            storm.reads_left = storm.reads_left.saturating_sub(1);
            let last = storm.reads_left == 0;
            let said = self.read(request.data());
            if last {
                self.storm = None;
            }
            return said;
        }
        match request.function {
            Function::DISCOVERY => self.reply(Function::DISCOVERY, Vec::new()),
            Function::READ_DATAPOINT => self.read(request.data()),
            Function::WRITE_CONFIG => self.write(request.data()),
            Function::BLINK_ON | Function::BLINK_OFF => {
                self.blinking = request.function == Function::BLINK_ON;
                vec![self.ack(Pace::Answer)]
            }
            Function::SET_OUTPUT => self.switch(request),
            // Sent by the vendor's tool to every module and never answered (protocol reference 3).
            Function::AFTER_DISCOVERY => Vec::new(),
            Function::TABLE_UPLOAD
            | Function::TABLE_DOWNLOAD
            | Function::MODULE_TABLE_UPLOAD
            | Function::MODULE_TABLE_DOWNLOAD
            | Function::TABLE_END
            | Function::TABLE_CHUNK
            | Function::ACK => self.transfer(request),
            _ => vec![self.nak(Pace::Answer)],
        }
    }

    /// F02; a request without a whole code is malformed and gets no answer.
    fn read(&mut self, asked: &[u8]) -> Vec<Utterance> {
        let Some((code, rest)) = asked.split_first_chunk::<2>() else { return Vec::new() };
        let said = [&code[..], &values::value(self, *code, rest)].concat();
        let said = self.reply(Function::READ_DATAPOINT, said);
        if !self.storming()
            && let Some(Utterance { telegram: Telegram::Reply(reply), .. }) = said.first()
        {
            self.last_reply = Some(reply.clone());
        }
        said
    }

    fn reply(&self, function: Function, said: Vec<u8>) -> Vec<Utterance> {
        vec![self.letters(function, said, Pace::Answer)]
    }

    /// A reply with these characters.
    fn letters(&self, function: Function, said: Vec<u8>, pace: Pace) -> Utterance {
        // What a module echoes or tells never holds a bracket: a request with one would not have been a frame.
        let reply = Reply::new(self.serial(), function, said);
        Utterance { telegram: reply.unwrap_or_else(|| Reply::nak(self.serial())).into(), pace }
    }

    fn ack(&self, pace: Pace) -> Utterance {
        Utterance { telegram: Reply::ack(self.serial()).into(), pace }
    }

    /// What a module says that refuses.
    pub(super) fn nak(&self, pace: Pace) -> Utterance {
        Utterance { telegram: Reply::nak(self.serial()).into(), pace }
    }

    /// F27 (protocol reference 6.1).
    fn switch(&mut self, request: &System) -> Vec<Utterance> {
        let accepted = self.setup.direct_switching == DirectSwitching::Accepted;
        match request.commands() {
            Some(crate::conbus::Command::SetOutput(output, on)) if accepted && self.has(output) => {
                let report = self.turn(output, on);
                [self.ack(Pace::Command)].into_iter().chain(report).collect()
            }
            _ => vec![self.nak(Pace::Command)],
        }
    }

    /// F04 (protocol reference 3.4).
    fn write(&mut self, asked: &[u8]) -> Vec<Utterance> {
        let Some((code, value)) = asked.split_first_chunk::<2>() else {
            return vec![self.nak(Pace::Write)];
        };
        let changes = match code {
            b"04" => decimal(value, 2).map(|link| self.setup.link = link as u8).map(|()| Vec::new()),
            b"05" => decimal(value, 4).map(|number| self.setup.module_number = number).map(|()| Vec::new()),
            b"06" => decimal(value, 2)
                .filter(|&system| system <= 2)
                .map(|system| self.system_type = system as u8)
                .map(|()| Vec::new()),
            b"15" => self.write_level(value),
            b"21" => self.write_auto_report(value),
            _ => None,
        };
        match changes {
            Some(reports) => [self.ack(Pace::Write)].into_iter().chain(reports).collect(),
            None => vec![self.nak(Pace::Write)],
        }
    }

    /// F04 D15: `oo:lll`, on dimmers only (protocol reference 6.2).
    fn write_level(&mut self, value: &[u8]) -> Option<Vec<Utterance>> {
        let (output, level) = value.split_at_checked(2)?;
        let output = OutputIndex::new(decimal(output, 2)? as u8)?;
        let level = Percent::new(u8::try_from(decimal(level.strip_prefix(b":")?, 3)?).ok()?)?;
        (self.module_type().is_dimmable() && self.has(output)).then(|| self.set_level(output, level))
    }

    /// F04 D21: switching it on from off makes the module report everything (protocol reference 5.3).
    fn write_auto_report(&mut self, value: &[u8]) -> Option<Vec<Utterance>> {
        let on = match value {
            b"PP" => true,
            b"AA" => false,
            _ => return None,
        };
        let switched_on = on && !self.setup.auto_report;
        self.setup.auto_report = on;
        Some(if switched_on { self.dump() } else { Vec::new() })
    }

    /// Whether it has this output.
    pub(super) fn has(&self, output: OutputIndex) -> bool {
        output.get() < self.module_type().outputs()
    }

    /// Switches an output, by whatever cause: on is full light for a relay and the last level for a dimmer.
    pub(super) fn turn(&mut self, output: OutputIndex, on: bool) -> Vec<Utterance> {
        let Some(state) = self.outputs.get(usize::from(output.get())) else { return Vec::new() };
        let level = match (on, state.level) {
            (false, _) => Percent::OFF,
            (true, Percent::OFF) if self.starts_at_full(output) => Percent::FULL,
            (true, Percent::OFF) => state.resumed,
            (true, level) => level,
        };
        self.set_level(output, level)
    }

    /// Brings an output to a level; only the edge between dark and light is reported (protocol reference 5.2).
    pub(super) fn set_level(&mut self, output: OutputIndex, level: Percent) -> Vec<Utterance> {
        let (least, most) = self.limits(output);
        let dimmable = self.module_type().is_dimmable();
        let Some(state) = self.outputs.get_mut(usize::from(output.get())) else { return Vec::new() };
        let level = match level {
            Percent::OFF => level,
            _ if dimmable => level.clamp(least, most),
            _ => Percent::FULL,
        };
        let was_on = state.level != Percent::OFF;
        let is_on = level != Percent::OFF;
        state.level = level;
        if is_on {
            state.resumed = level;
        }
        if was_on == is_on || !self.setup.auto_report {
            return Vec::new();
        }
        vec![Utterance { telegram: self.report(output.get(), is_on).into(), pace: Pace::Report }]
    }

    /// All eight reports, as after a restart (protocol reference 5.3); an XP24 reports four outputs it does not
    /// have, as off.
    pub(super) fn dump(&self) -> Vec<Utterance> {
        if !self.setup.auto_report || !self.module_type().is_actor() {
            return Vec::new();
        }
        OutputIndex::first(OutputIndex::COUNT_MAX)
            .map(|output| {
                let on = self.level(output).is_some_and(|level| level != Percent::OFF);
                let pace = if output.get() == 0 { Pace::Report } else { Pace::Dump };
                Utterance { telegram: self.report(output.get(), on).into(), pace }
            })
            .collect()
    }

    fn report(&self, output: u8, on: bool) -> Event {
        let first = match self.dialect {
            Dialect::Hardware => 80,
            Dialect::Peer => 0,
        };
        self.event(first + output, Edge::of_output(on))
    }

    /// An event that this module sends.
    pub(super) fn event(&self, input: u8, edge: Edge) -> Event {
        let source = EventSource { module_type: self.module_type(), link: self.setup.link, input };
        Event { bus: EventBus::Xp, source, edge }
    }

    /// Makes the module repeat its last reply until D10 has been read this many times.
    pub(super) fn start_storm(&mut self, now: Duration, per_second: u32, reads_to_end: u32) {
        if self.last_reply.is_none() {
            self.read(&crate::conbus::Datapoint::OUTPUTS.code());
        }
        let every = Duration::from_secs(1) / per_second.max(1);
        self.storm = Some(Storm { next: now + every, every, reads_left: reads_to_end.max(1) });
    }

    /// How many actions its table asked for whose effect is not known.
    pub(super) fn actions_unknown(&self) -> u64 {
        self.actions_unknown
    }

    /// Restarts and is back at this time, when it reports all its outputs (protocol reference 3.6).
    pub(super) fn restart(&mut self, back: Duration) {
        self.restarting = Some(back);
        self.storm = None;
        self.session = None;
        self.forget_plans();
    }

    /// When it next does something by itself.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let storm = self.storm.map(|storm| storm.next);
        storm.into_iter().chain(self.restarting).chain(self.next_plan()).min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Duration) -> Vec<Utterance> {
        if self.restarting.is_some_and(|back| back <= now) {
            self.restarting = None;
            return self.dump();
        }
        if let Some(storm) = self.storm.as_mut().filter(|storm| storm.next <= now) {
            storm.next += storm.every;
            let repeated = self.last_reply.clone();
            let again = repeated.map(|reply| Utterance { telegram: reply.into(), pace: Pace::Storm });
            return again.into_iter().collect();
        }
        self.carry_out(now)
    }
}

/// Reads exactly so many decimal digits.
fn decimal(digits: &[u8], count: usize) -> Option<u16> {
    if digits.len() != count || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
}
