//! A house that could have held a conversation: which modules, in which state at its beginning.
//!
//! Only what stood still is taken from the answers: who is there, versions, links, tables, the outputs before
//! the first command. What happened afterwards is left to the house to do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::conbus::{
    ActionTable, Command, Datapoint, DatapointValue, Event, EventMeaning, EventSource, Function, ModuleType,
    OutputIndex, Percent, Reply, SerialNumber, System, TableChunk, Telegram,
};

use super::super::{HouseSetup, ModuleSetup};
use super::{Capture, Direction};

/// A report this long after a command to its output is the command's.
const REPORT_MAX: Duration = Duration::from_millis(400);
/// A report this long after a table session or a switch of auto report belongs to a full dump.
const DUMP_MAX: Duration = Duration::from_secs(4);
/// Who answers a discovery sooner than this is the bridge (protocol reference 7.2).
const BRIDGE_MAX: Duration = Duration::from_millis(40);

/// What is gathered about one module.
#[derive(Default)]
struct Traces {
    module_type: Option<ModuleType>,
    named: Option<ModuleType>,
    link: Option<u8>,
    module_number: Option<u16>,
    auto_report: Option<bool>,
    type_code_before_outputs: bool,
    /// Each output before the first command.
    levels: BTreeMap<OutputIndex, Percent>,
    outputs: Option<u8>,
    commanded: BTreeMap<OutputIndex, (Duration, bool)>,
    asked: Option<(Duration, Vec<u8>)>,
    /// Whether anything came from it.
    spoke: bool,
    bridge: bool,
    /// Datapoints whose first answer was written before it was read.
    written: BTreeSet<[u8; 2]>,
    answers: BTreeMap<u8, Vec<u8>>,
    session: Option<Function>,
    chunks: Vec<TableChunk>,
    table: Option<ActionTable>,
    own_table: Option<[u8; TableChunk::BYTES]>,
    /// When it last had a reason to report everything.
    may_dump: Option<Duration>,
    /// When auto report was switched on by the first write to it.
    switched_on: Option<Duration>,
    /// When its table sessions ended, before any write of auto report.
    sessions_ended: Vec<Duration>,
    reported: Vec<Duration>,
}

/// The house of a capture: the modules of `base` and those of the capture, with what the capture tells of them.
pub fn house_of(capture: &Capture, mut base: HouseSetup) -> HouseSetup {
    let mut found: BTreeMap<SerialNumber, Traces> = BTreeMap::new();
    let mut last_asked = None;
    let mut discovery = None;
    for row in capture.rows() {
        match (row.direction, row.telegram()) {
            (Direction::FromClient, Some(Telegram::System(request))) => {
                if request.serial.is_broadcast() {
                    discovery = Some(row.at);
                    continue;
                }
                last_asked = Some(request.serial);
                found.entry(request.serial).or_default().asked(row.at, &request);
            }
            (Direction::ToClient, Some(Telegram::Reply(reply))) => {
                let traces = found.entry(reply.serial).or_default();
                let since = discovery.map(|discovery| row.at.saturating_sub(discovery));
                traces.bridge |=
                    reply.function == Function::DISCOVERY && since.is_some_and(|since| since < BRIDGE_MAX);
                traces.answered(row.at, &reply);
            }
            (Direction::ToClient, Some(Telegram::Event(event))) => {
                reported(&mut found, last_asked, row.at, event);
            }
            _ => {}
        }
    }
    for (serial, traces) in found {
        // Somebody who was only asked and never spoke is not there.
        let here = base.modules.iter().position(|module| module.serial == serial);
        if let Some(place) = here {
            base.modules[place] = traces.into_setup(base.modules[place].clone(), capture.end());
        } else if traces.spoke {
            let module_type = traces.guessed_type();
            let setup = ModuleSetup::new(serial, module_type, traces.link.unwrap_or(0));
            base.modules.push(traces.into_setup(setup, capture.end()));
        }
    }
    base
}

/// A report tells type and link of the module that was just commanded, and its output before.
fn reported(
    found: &mut BTreeMap<SerialNumber, Traces>,
    last_asked: Option<SerialNumber>,
    at: Duration,
    event: Event,
) {
    let EventMeaning::OutputReport(output) = event.meaning() else { return };
    let EventSource { module_type, link, .. } = event.source;
    let claimed = |traces: &Traces| traces.module_type == Some(module_type) && traces.link == Some(link);
    if !found.values().any(claimed)
        && let Some(serial) = reporter(found, last_asked, at, (link, output))
        && let Some(traces) = found.get_mut(&serial)
    {
        traces.module_type = Some(module_type);
        traces.link = Some(link);
    }
    if let Some(traces) = found.values_mut().find(|traces| claimed(traces)) {
        let on = event.edge == crate::conbus::Edge::Make;
        let was_on = if traces.dumps(at) && !traces.was_commanded(at, output) { on } else { !on };
        traces.note_level(output, if was_on { Percent::FULL } else { Percent::OFF });
        traces.reported.push(at);
    }
}

/// The module that had a reason to report: the one asked last, or the only one.
fn reporter(
    found: &BTreeMap<SerialNumber, Traces>,
    last_asked: Option<SerialNumber>,
    at: Duration,
    (link, output): (u8, OutputIndex),
) -> Option<SerialNumber> {
    let fits =
        |traces: &Traces| traces.link.is_none_or(|known| known == link) && traces.has_reason(at, output);
    let candidates: Vec<SerialNumber> =
        found.iter().filter(|(_, traces)| fits(traces)).map(|(serial, _)| *serial).collect();
    match (last_asked, &candidates[..]) {
        (Some(asked), _) if candidates.contains(&asked) => Some(asked),
        (_, [only]) => Some(*only),
        _ => None,
    }
}

impl Traces {
    fn guessed_type(&self) -> ModuleType {
        let by_outputs = match self.outputs {
            Some(3) => ModuleType::XP33LED,
            Some(0) if self.bridge => ModuleType::XP130,
            Some(0) => ModuleType::XP20,
            _ if self.bridge => ModuleType::XP130,
            _ => ModuleType::XP24,
        };
        self.module_type.or(self.named).unwrap_or(by_outputs)
    }

    fn into_setup(mut self, setup: ModuleSetup, end: Duration) -> ModuleSetup {
        let count = self.guessed_type().outputs();
        let levels = OutputIndex::first(count).map(|output| {
            // A command that brought no report found the output as it wanted it.
            let commanded = self.commanded.get(&output).map(|(_, on)| *on);
            let unreported = if commanded == Some(true) { Percent::FULL } else { Percent::OFF };
            self.levels.get(&output).copied().unwrap_or(unreported)
        });
        let levels = levels.collect();
        if self.table.is_some() {
            self.answers.remove(&14);
        }
        ModuleSetup {
            link: self.link.unwrap_or(setup.link),
            module_number: self.module_number.unwrap_or(setup.module_number),
            auto_report: self.reports_at_first(end).unwrap_or(setup.auto_report),
            type_code_before_outputs: setup.type_code_before_outputs || self.type_code_before_outputs,
            levels,
            table: self.table.unwrap_or(setup.table),
            own_table: self.own_table.unwrap_or(setup.own_table),
            answers: self.answers,
            ..setup
        }
    }

    fn note_level(&mut self, output: OutputIndex, level: Percent) {
        self.levels.entry(output).or_insert(level);
    }

    fn was_commanded(&self, at: Duration, output: OutputIndex) -> bool {
        self.commanded.get(&output).is_some_and(|(when, _)| at.saturating_sub(*when) < REPORT_MAX)
    }

    fn dumps(&self, at: Duration) -> bool {
        self.may_dump.is_some_and(|since| at.saturating_sub(since) < DUMP_MAX)
    }

    fn has_reason(&self, at: Duration, output: OutputIndex) -> bool {
        self.was_commanded(at, output) || self.dumps(at)
    }

    fn asked(&mut self, at: Duration, request: &System) {
        self.asked = Some((at, request.data().to_vec()));
        match request.commands() {
            Some(Command::SetOutput(output, on)) => {
                self.commanded.insert(output, (at, on));
            }
            Some(Command::SetLevel(output, level)) => {
                self.commanded.insert(output, (at, level != Percent::OFF));
            }
            None => {}
        }
        match request.function {
            Function::WRITE_CONFIG => {
                if let Some(code) = request.data().first_chunk::<2>() {
                    if code == b"21" {
                        self.may_dump = Some(at);
                        let first = !self.written.contains(code) && request.data() == b"21PP";
                        self.switched_on = first.then_some(at).or(self.switched_on);
                    }
                    self.written.insert(*code);
                }
            }
            Function::TABLE_DOWNLOAD
            | Function::MODULE_TABLE_DOWNLOAD
            | Function::TABLE_UPLOAD
            | Function::MODULE_TABLE_UPLOAD => {
                self.session = Some(request.function);
                self.chunks.clear();
                if request.function == Function::TABLE_UPLOAD {
                    self.written.insert(Datapoint::TABLE_CRC.code());
                }
            }
            Function::TABLE_END => self.session_ended(at),
            _ => {}
        }
    }

    fn answered(&mut self, at: Duration, reply: &Reply) {
        self.spoke = true;
        match reply.function {
            Function::TABLE_CHUNK => self.took_chunk(reply.data()),
            Function::TABLE_END => self.session_ended(at),
            Function::READ_DATAPOINT => {
                let quick = self.asked.as_ref().is_some_and(|(asked, what)| {
                    reply.data().starts_with(what) && at.saturating_sub(*asked) < BRIDGE_MAX
                });
                self.bridge |= quick;
                self.told(reply);
            }
            _ => {}
        }
    }

    fn session_ended(&mut self, at: Duration) {
        self.may_dump = Some(at);
        if !self.written.contains(&Datapoint::AUTO_REPORT.code()) {
            self.sessions_ended.push(at);
        }
    }

    /// Whether it reported by itself at the beginning, as its reports and its silences tell.
    fn reports_at_first(&self, end: Duration) -> Option<bool> {
        let reported_within = |since: Duration, time: Duration| {
            self.reported.iter().any(|at| *at >= since && at.saturating_sub(since) < time)
        };
        if let Some(known) = self.auto_report {
            return Some(known);
        }
        // Only a switch from off makes a dump, and only a module that reports makes one when it restarts.
        if self.switched_on.is_some_and(|at| reported_within(at, REPORT_MAX)) {
            return Some(false);
        }
        let silent = |at: &Duration| *at + DUMP_MAX <= end && !reported_within(*at, DUMP_MAX);
        self.sessions_ended.iter().any(silent).then_some(false)
    }

    fn took_chunk(&mut self, letters: &[u8]) {
        let Ok(chunk) = TableChunk::parse(letters) else { return };
        match self.session {
            Some(Function::TABLE_DOWNLOAD) if !self.written.contains(&Datapoint::TABLE_CRC.code()) => {
                self.chunks.push(chunk);
                if let Ok(table) = ActionTable::from_chunks(self.chunks.iter().copied()) {
                    self.table.get_or_insert(table);
                }
            }
            Some(Function::MODULE_TABLE_DOWNLOAD) => {
                self.own_table.get_or_insert(chunk.bytes);
            }
            _ => {}
        }
    }

    fn told(&mut self, reply: &Reply) {
        let Some((datapoint, value)) = reply.value() else { return };
        let Some((_, raw)) = reply.datapoint() else { return };
        if self.written.contains(&datapoint.code()) {
            return;
        }
        match value {
            DatapointValue::TypeCode(module_type) => self.module_type = Some(module_type),
            DatapointValue::Link(link) => {
                self.link.get_or_insert(link);
            }
            DatapointValue::ModuleNumber(number) => {
                self.module_number.get_or_insert(number);
            }
            DatapointValue::AutoReport(on) => {
                self.auto_report.get_or_insert(on);
            }
            DatapointValue::Outputs(bitmap) => {
                self.type_code_before_outputs |=
                    raw.first().is_some_and(u8::is_ascii_digit) && raw.contains(&b'x');
                self.outputs = Some(bitmap.known().count() as u8);
                for (output, on) in bitmap.known() {
                    if !self.commanded.contains_key(&output) {
                        self.note_level(output, if on { Percent::FULL } else { Percent::OFF });
                    }
                }
            }
            DatapointValue::Levels(levels) => {
                // An output that D12 showed dark was dark, whatever hands have done to it since; one that it
                // showed lit gets its level here, the first time.
                for (output, level) in levels.known().filter(|(_, level)| *level != Percent::OFF) {
                    let open = self.levels.get(&output).is_none_or(|known| *known == Percent::FULL);
                    if open && !self.commanded.contains_key(&output) {
                        self.levels.insert(output, level);
                    }
                }
            }
            DatapointValue::Unsupported if datapoint == Datapoint::OUTPUTS => self.outputs = Some(0),
            _ => self.keep(datapoint, raw),
        }
    }

    /// Keeps an answer that never changes by what the house does.
    fn keep(&mut self, datapoint: Datapoint, raw: &[u8]) {
        if datapoint == Datapoint::TYPE_NAME {
            self.named = std::str::from_utf8(raw).ok().and_then(|name| name.parse().ok());
        }
        let [tens, ones] = datapoint.code().map(|byte| byte & 0x0F);
        let moves = [Datapoint::STATE, Datapoint::PAGED, Datapoint::ERROR_CODE].contains(&datapoint);
        if !moves {
            self.answers.entry(tens * 10 + ones).or_insert_with(|| raw.to_vec());
        }
    }
}
