//! Telegrams and the installation give facts.
//!
//! Owns what is needed to understand a telegram: which module has which type and link, which queries are out,
//! and what each module last said. One for each gateway. It stores no state for readers.

mod answer;
mod installation;
mod reload;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use self::answer::{Answer, Shown};
use self::installation::{Installation, Known};
use super::Moment;
use super::outbox::Ending;
use super::settle::{Asked, Aspect, Basis, PointValue};
use super::store::Observation;
use crate::conbus::{
    Bitmap, Datapoint, DatapointValue, Edge, Event, EventBus, EventMeaning, EventSource, Function,
    ModuleType, OutputIndex, Point, Reply, SerialNumber, System, Telegram,
};

/// How long a change seen by a poll may wait for the report that announces it: reports come about 50 ms after
/// the change and may queue behind other traffic (protocol reference 5.2).
const REPORT_GRACE: Duration = Duration::from_secs(1);

/// How long the query of another master counts as open.
const FOREIGN_QUERY_LIFE: Duration = Duration::from_millis(300);

/// How many queries of other masters are remembered.
const FOREIGN_QUERIES_MAX: usize = 32;

/// Which query a reply is taken to belong to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Attribution {
    /// The only one that is open; none when it could be another, and time-outs and strays leave doubt.
    #[default]
    Certain,
    /// The newest one, open or not, without any doubt: how it is not to be done. The simulation shows why.
    Newest,
}

/// A module as configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Installed {
    /// Its address.
    pub serial: SerialNumber,
    /// Its type.
    pub module_type: ModuleType,
    /// Its link number, 0 to 99.
    pub link: u8,
}

/// What is new of a module as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModuleNews {
    /// It refused a function: F19 was heard after it was asked.
    Refused(Function),
    /// It did not answer in time.
    Silent,
    /// A poll found what the reports had said.
    CleanPoll,
    /// A poll found a change that no report had announced.
    Unannounced,
    /// It dumped all outputs: it has restarted, or reports were just enabled (protocol reference 5.3).
    Restarted,
}

/// What a telegram tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact {
    /// A report told the state of an output.
    Observed(Observation),
    /// A module answered a read.
    Answered(Answer),
    /// A command for an output is under way or was accepted.
    Commanded {
        /// The output.
        point: Point,
        /// The counter of the connection.
        seq: u64,
        /// When.
        at: Moment,
    },
    /// Who answers for an output is in doubt.
    Doubtful {
        /// The output.
        point: Point,
        /// Which half of its state.
        aspect: Aspect,
        /// The counter of the connection.
        seq: u64,
        /// When.
        at: Moment,
    },
    /// Something about a module as a whole.
    Module(SerialNumber, ModuleNews),
    /// Somebody pressed or released something.
    Button {
        /// Where.
        input: EventSource,
        /// Pressed or released.
        edge: Edge,
    },
    /// What is known of this module may be wrong.
    Invalidate(SerialNumber),
    /// A report that fits no configured module, or several; told once for each source.
    Unplaced {
        /// The source as it stands in the event.
        input: EventSource,
        /// How many modules fit.
        candidates: usize,
    },
}

/// A change that a poll found and no report has announced yet.
#[derive(Debug)]
struct Pending {
    serial: SerialNumber,
    output: OutputIndex,
    on: bool,
    at: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Query {
    serial: SerialNumber,
    datapoint: Datapoint,
    asked: Asked,
    ours: bool,
}

/// Notes a fact that most telegrams bring. Room is made first, so that it is built where it stays.
fn note(facts: &mut Vec<Fact>, fact: impl FnOnce() -> Fact) {
    facts.extend(std::iter::once_with(fact));
}

/// The interpreter of one gateway's telegrams.
#[derive(Debug)]
pub struct Interpreter {
    modules: Installation,
    open: Vec<Query>,
    /// The oldest first.
    pending: VecDeque<Pending>,
    unplaced: BTreeSet<(ModuleType, u8)>,
    attribution: Attribution,
    /// The newest query of each datapoint; kept only for [`Attribution::Newest`].
    newest: BTreeMap<(SerialNumber, Datapoint), Asked>,
}

impl Interpreter {
    /// Knows the installation and nothing that was said.
    pub fn new(modules: impl IntoIterator<Item = Installed>) -> Self {
        let known = |module: Installed| (module.serial, Known::new(module.module_type, module.link));
        Self {
            modules: Installation::new(modules.into_iter().map(known)),
            open: Vec::new(),
            pending: VecDeque::new(),
            unplaced: BTreeSet::new(),
            attribution: Attribution::Certain,
            newest: BTreeMap::new(),
        }
    }

    /// The same, matching replies to queries in this way.
    #[must_use]
    pub fn with_attribution(self, attribution: Attribution) -> Self {
        Self { attribution, ..self }
    }

    /// Whether somebody asked for this reply, as far as can be known. A reply to a command counts as asked for.
    pub fn is_solicited(&self, reply: &Reply) -> bool {
        match reply.datapoint() {
            Some((datapoint, _)) => {
                self.open.iter().any(|query| query.serial == reply.serial && query.datapoint == datapoint)
            }
            None => true,
        }
    }

    /// We wrote a telegram.
    pub fn sent(&mut self, telegram: &Telegram, seq: u64, at: Moment, facts: &mut Vec<Fact>) {
        self.announce(at, facts);
        match telegram {
            Telegram::System(system) => self.system(system, Asked { seq, at }, true, facts),
            // The bridge does not tell us what we say: modules react to our event as to anybody's.
            Telegram::Event(event) if !matches!(event.meaning(), EventMeaning::OutputReport(_)) => {
                facts.push(Fact::Button { input: event.source, edge: event.edge });
            }
            Telegram::Event(_) | Telegram::Reply(_) => {}
        }
    }

    /// A telegram was heard.
    pub fn heard(&mut self, telegram: &Telegram, seq: u64, at: Moment, facts: &mut Vec<Fact>) {
        self.announce(at, facts);
        match telegram {
            Telegram::Event(event) => self.event(event, seq, at, facts),
            // The bridge forwards what other masters ask (protocol reference 5.5).
            Telegram::System(system) => self.system(system, Asked { seq, at }, false, facts),
            Telegram::Reply(reply) => self.reply(reply, seq, at, facts),
        }
    }

    fn system(&mut self, system: &System, asked: Asked, ours: bool, facts: &mut Vec<Fact>) {
        if let Some(datapoint) = system.reads() {
            if !ours {
                self.forget_foreign(asked.at);
                if self.open.len() >= FOREIGN_QUERIES_MAX {
                    return;
                }
            }
            self.open.push(Query { serial: system.serial, datapoint, asked, ours });
            if self.attribution == Attribution::Newest {
                self.newest.insert((system.serial, datapoint), asked);
            }
        } else if let Some(command) = system.commands() {
            let point = Point { serial: system.serial, output: command.output() };
            if let Some(known) = self.modules.get_mut(system.serial) {
                known.commanded = Some(point);
                facts.push(Fact::Commanded { point, seq: asked.seq, at: asked.at });
            }
        }
    }

    fn reply(&mut self, reply: &Reply, seq: u64, at: Moment, facts: &mut Vec<Fact>) {
        let serial = reply.serial;
        let Some((datapoint, text)) = reply.datapoint() else {
            return self.acknowledged(reply, seq, at, facts);
        };
        let asked = self.attribute(serial, datapoint, at);
        let Some(place) = self.modules.place(serial) else { return };
        let count = self.modules.at_mut(place).1.module_type.outputs();
        let answer =
            |shown| Fact::Answered(Answer { serial, datapoint, shown, asked, seq, at, not_before: at });
        match DatapointValue::parse(datapoint, text) {
            DatapointValue::Outputs(outputs) => {
                let outputs = outputs.first(count);
                self.polled(place, outputs, asked, at, facts);
                note(facts, || answer(Shown::Outputs(outputs)));
            }
            DatapointValue::Levels(levels) => facts.push(answer(Shown::Levels(levels.first(count)))),
            value => {
                self.learn(place, &value);
                facts.push(answer(Shown::Nothing));
            }
        }
        if let (None, Some(aspect)) = (asked, Aspect::of(datapoint)) {
            self.doubt(serial, aspect, seq, at, facts);
        }
    }

    /// A reply that carries no value may answer a command.
    fn acknowledged(&mut self, reply: &Reply, seq: u64, at: Moment, facts: &mut Vec<Fact>) {
        let Some(known) = self.modules.get_mut(reply.serial) else { return };
        if reply.function == Function::ACK
            && let Some(point) = known.commanded.take()
        {
            facts.push(Fact::Commanded { point, seq, at });
        }
    }

    /// Finds the only query that this reply can belong to.
    fn attribute(&mut self, serial: SerialNumber, datapoint: Datapoint, at: Moment) -> Option<Asked> {
        self.forget_foreign(at);
        if self.attribution == Attribution::Newest {
            self.open.retain(|query| (query.serial, query.datapoint) != (serial, datapoint));
            return self.newest.get(&(serial, datapoint)).copied();
        }
        let matches = |query: &Query| query.serial == serial && query.datapoint == datapoint;
        let place = self.open.iter().position(matches)?;
        let query = self.open.remove(place);
        let is_only = !self.open[place..].iter().any(matches);
        (is_only && query.ours).then_some(query.asked)
    }

    /// Queries of other masters that nobody answered in time count no longer.
    fn forget_foreign(&mut self, now: Moment) {
        let over = |query: &Query| !query.ours && query.asked.at + FOREIGN_QUERY_LIFE <= now;
        // Mostly there is one query and it is ours.
        if self.open.iter().any(over) {
            self.open.retain(|query| !over(query));
        }
    }

    /// The map from events to modules follows what the modules say of themselves (protocol reference 5.4).
    fn learn(&mut self, place: usize, value: &DatapointValue) {
        let (serial, known) = self.modules.at_mut(place);
        let source = match value {
            DatapointValue::Link(link) => (known.module_type, *link),
            // A type with other outputs than the configured one would change which outputs exist: it is only
            // warned of, by the roster.
            DatapointValue::TypeCode(module_type) if module_type.outputs() == known.module_type.outputs() => {
                (*module_type, known.link)
            }
            _ => return,
        };
        self.modules.moved(serial, source);
    }

    /// A module told which of its outputs are on: was that known?
    fn polled(
        &mut self,
        place: usize,
        heard: Bitmap,
        asked: Option<Asked>,
        at: Moment,
        facts: &mut Vec<Fact>,
    ) {
        let Some(asked) = asked else { return };
        let (serial, known) = self.modules.at_mut(place);
        let changed = known.replied(heard, asked.seq);
        if !changed.is_empty() {
            self.pending.extend(changed.known().map(|(output, on)| Pending { serial, output, on, at }));
            known.awaits_until = at + REPORT_GRACE;
        } else if known.awaits_until <= at || !self.pending.iter().any(|pending| pending.serial == serial) {
            note(facts, || Fact::Module(serial, ModuleNews::CleanPoll));
        }
    }

    /// Changes whose report has not come in time were not announced.
    fn announce(&mut self, now: Moment, facts: &mut Vec<Fact>) {
        while let Some(pending) = self.pending.front()
            && pending.at + REPORT_GRACE <= now
        {
            facts.push(Fact::Module(pending.serial, ModuleNews::Unannounced));
            self.pending.pop_front();
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "a copy waits until it has been written in full")]
    fn event(&mut self, event: &Event, seq: u64, at: Moment, facts: &mut Vec<Fact>) {
        match event.meaning() {
            EventMeaning::OutputReport(output) if event.bus == EventBus::Xp => {
                self.report(event, output, seq, at, facts);
            }
            _ => facts.push(Fact::Button { input: event.source, edge: event.edge }),
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "a copy waits until it has been written in full")]
    fn report(&mut self, event: &Event, output: OutputIndex, seq: u64, at: Moment, facts: &mut Vec<Fact>) {
        let EventSource { module_type, link, .. } = event.source;
        let Some((serial, known)) = self.modules.sender_mut((module_type, link)) else {
            let before = facts.len();
            facts.extend(self.modules.senders((module_type, link)).map(Fact::Invalidate));
            let candidates = facts.len() - before;
            if self.unplaced.insert((module_type, link)) {
                facts.push(Fact::Unplaced { input: event.source, candidates });
            }
            return;
        };
        if output.get() >= module_type.outputs() {
            // An XP24 dumps eight bits though it has four outputs (protocol reference 5.2).
            if output.get() + 1 == OutputIndex::COUNT_MAX {
                facts.push(Fact::Module(serial, ModuleNews::Restarted));
            }
            return;
        }
        let on = event.edge == Edge::Make;
        known.reported(output, on, seq);
        if at < known.awaits_until {
            self.pending.retain(|one| one.serial != serial || one.output != output || one.on != on);
        }
        let point = Point { serial, output };
        let (value, basis) = (PointValue::On(on), Basis::Report);
        note(facts, || Fact::Observed(Observation { point, value, basis, seq, at, not_before: at }));
    }

    /// A telegram of ours that had been written waits no longer.
    pub fn ended(&mut self, serial: SerialNumber, seq: u64, how: Ending, at: Moment, facts: &mut Vec<Fact>) {
        self.announce(at, facts);
        let query = self.open.iter().position(|query| query.ours && query.serial == serial);
        let query = query.map(|place| self.open.remove(place));
        let lost = matches!(how, Ending::TimedOut | Ending::LinkLost);
        if let Some(aspect) = query.filter(|_| lost).and_then(|query| Aspect::of(query.datapoint)) {
            self.doubt(serial, aspect, seq, at, facts);
        }
        let Some(known) = self.modules.get_mut(serial) else { return };
        match how {
            Ending::TimedOut => facts.push(Fact::Module(serial, ModuleNews::Silent)),
            Ending::Refused if query.is_none() && known.commanded.take().is_some() => {
                facts.push(Fact::Module(serial, ModuleNews::Refused(Function::NAK)));
            }
            _ => {}
        }
    }

    fn doubt(&self, serial: SerialNumber, aspect: Aspect, seq: u64, at: Moment, facts: &mut Vec<Fact>) {
        if self.attribution == Attribution::Newest {
            return;
        }
        let outputs = self.modules.get(serial).map_or(0, |known| known.module_type.outputs());
        for output in OutputIndex::first(outputs) {
            facts.push(Fact::Doubtful { point: Point { serial, output }, aspect, seq, at });
        }
    }

    /// The link is gone: what was open stays unanswered, or is answered on the next link, and what was known may
    /// have changed unheard.
    pub fn link_lost(&mut self, at: Moment, facts: &mut Vec<Fact>) {
        for query in std::mem::take(&mut self.open) {
            if let Some(aspect) = Aspect::of(query.datapoint) {
                self.doubt(query.serial, aspect, query.asked.seq, at, facts);
            }
        }
        self.pending.clear();
        for known in self.modules.all_mut() {
            known.outputs = Bitmap::default();
            known.commanded = None;
        }
    }
}
