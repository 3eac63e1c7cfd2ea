//! What is known of each configured module: type, link, version, reports, faults, refusals (design 5, the poller).
//!
//! Owns the queue of identity reads of each connection and the comparison with the config. It knows neither the
//! bus nor its pace: whoever asks decides when.

mod condition;
mod reads;
mod reload;
mod silence;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use self::reads::Reads;
use super::places::Places;
use super::{GatewayId, Moment};
use crate::conbus::{Datapoint, DatapointValue, EventSource, ModuleType, SerialNumber};

/// What is read of every module once per connection, in this order: whether it reports decides how it is
/// polled, so that comes first.
const IDENTITY: [Datapoint; 5] = [
    Datapoint::AUTO_REPORT,
    Datapoint::ERROR_CODE,
    Datapoint::TYPE_CODE,
    Datapoint::LINK,
    Datapoint::SOFTWARE_VERSION,
];

/// One configured module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RosterPlan {
    /// Which module.
    pub serial: SerialNumber,
    /// Behind which gateway.
    pub gateway: GatewayId,
    /// Its type by the config.
    pub module_type: ModuleType,
    /// Its link number by the config, 0 to 99.
    pub link: u8,
    /// How many outputs it has, 0 to 8.
    pub outputs: u8,
    /// Whether it has outputs to report; of others D21 is not read, because they answer `AA` by nature
    /// (protocol reference 4).
    pub actor: bool,
}

/// What an observation means to the rest of the house.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RosterEffect {
    /// The module is of another type than configured. Once per connection and reported type.
    TypeDiffers {
        /// Which module.
        serial: SerialNumber,
        /// By the config.
        configured: ModuleType,
        /// By the module (D07).
        reported: ModuleType,
    },
    /// The module has another link number than configured, so its events are not recognised. Once per
    /// connection and reported number.
    LinkDiffers {
        /// Which module.
        serial: SerialNumber,
        /// By the config.
        configured: u8,
        /// By the module (D04).
        reported: u8,
    },
    /// The module has outputs and does not report them by itself: it must be polled until its D21 is written
    /// `PP` (protocol reference 5.3). Once per connection.
    AutoReportOff {
        /// Which module.
        serial: SerialNumber,
    },
    /// What D21 says, when this connection did not know it yet or knew it otherwise.
    Reporting {
        /// Which module.
        serial: SerialNumber,
        /// Whether it reports its outputs by itself.
        by_itself: bool,
    },
    /// The module tells a fault it did not tell before.
    Faulty {
        /// Which module.
        serial: SerialNumber,
        /// Its code, 1 to 255; the meanings are not proven (protocol reference 7.5).
        code: u8,
    },
    /// A faulty module is well again.
    Healthy {
        /// Which module.
        serial: SerialNumber,
    },
}

/// What is known of one module, for people and programs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ModuleSnapshot {
    /// Which module.
    pub serial: SerialNumber,
    /// Behind which gateway.
    pub gateway: GatewayId,
    /// The name of its type by the config.
    #[serde(rename = "type")]
    pub module_type: String,
    /// Its link number by the config, 0 to 99.
    pub link: u8,
    /// How many outputs it has.
    pub outputs: u8,
    /// The name of the type it tells itself (D07).
    pub reported_type: Option<String>,
    /// The link number it tells itself (D04).
    pub reported_link: Option<u8>,
    /// The version of its software (D02), as `XP24_V0.34.03`.
    pub software_version: Option<String>,
    /// Its temperature in tenths of a degree Celsius (D18), if it has a sensor and was asked.
    pub temperature_tenths: Option<i16>,
    /// Whether it left the last question unanswered and was not heard since, on this connection.
    pub silent: bool,
    /// Whether it reports its outputs by itself (D21).
    pub auto_report: Option<bool>,
    /// Its fault code (D10), 0 when healthy.
    pub error_code: Option<u8>,
    /// The datapoints it said it does not have, two characters each.
    pub refused: Vec<String>,
    /// Whether it repeats itself and is muted.
    pub storming: bool,
    /// When anything was heard of it last; whoever shows it turns it into an age.
    #[serde(skip)]
    pub last_heard: Option<Moment>,
}

#[derive(Debug)]
struct Module {
    plan: RosterPlan,
    reported_type: Option<ModuleType>,
    reported_link: Option<u8>,
    software_version: Option<String>,
    auto_report: Option<bool>,
    error_code: Option<u8>,
    temperature: Option<i16>,
    storming: bool,
    last_heard: Option<Moment>,
    storms: u64,
    timeouts: u64,
    connection: Connection,
}

/// What is forgotten with the connection.
#[derive(Debug, Default)]
struct Connection {
    refused: BTreeSet<Datapoint>,
    warned_type: Option<ModuleType>,
    warned_link: Option<u8>,
    warned_auto_report: bool,
    told_reporting: Option<bool>,
    /// Nothing was heard since a read went unanswered: asking on would cost time-outs.
    mute: bool,
    /// It said that it has no thermometer.
    no_sensor: bool,
    /// Whether it was heard after whatever it left unanswered last; `None`: neither has happened.
    answers: Option<bool>,
}

/// Knows every configured module.
#[derive(Debug)]
pub struct Roster {
    modules: BTreeMap<SerialNumber, Module>,
    /// The modules in the order of the config.
    order: Vec<SerialNumber>,
    places: Places,
    reads: BTreeMap<GatewayId, Reads>,
}

impl Roster {
    /// A roster of these modules, of which nothing is known yet.
    pub fn new(modules: Vec<RosterPlan>) -> Self {
        Self {
            order: modules.iter().map(|plan| plan.serial).collect(),
            places: Self::places_of(&modules),
            reads: modules.iter().map(|plan| (plan.gateway, Reads::default())).collect(),
            modules: modules.into_iter().map(|plan| (plan.serial, Module::new(plan))).collect(),
        }
    }

    /// Notes a new connection: every module of the gateway is to be identified once, and warnings count anew.
    ///
    /// One datapoint of all modules comes before the next datapoint, so that two reads of one module lie far
    /// apart.
    pub fn link_up(&mut self, gateway: GatewayId) {
        let Some(queue) = self.reads.get_mut(&gateway) else { return };
        queue.clear();
        let behind = self.places.behind(gateway);
        for serial in behind {
            if let Some(module) = self.modules.get_mut(serial) {
                module.connection = Connection::default();
                module.storming = false;
            }
        }
        for datapoint in IDENTITY {
            for module in behind.iter().filter_map(|serial| self.modules.get(serial)) {
                if module.wants(datapoint) {
                    queue.push((module.plan.serial, datapoint));
                }
            }
        }
    }

    /// Notes that the connection is gone: nothing is to be read.
    pub fn link_down(&mut self, gateway: GatewayId) {
        if let Some(queue) = self.reads.get_mut(&gateway) {
            queue.clear();
        }
        for serial in self.places.behind(gateway) {
            if let Some(module) = self.modules.get_mut(serial) {
                module.connection.answers = None;
            }
        }
    }

    /// Takes the next identity read of this gateway. It is followed by [`Roster::observed`],
    /// [`Roster::unanswered`], [`Roster::refused`] or [`Roster::postponed`].
    ///
    /// A module that left a read unanswered, or storms, is passed over until it is heard, or is quiet, again.
    pub fn next_read(&mut self, gateway: GatewayId) -> Option<(SerialNumber, Datapoint)> {
        let modules = &self.modules;
        let queue = self.reads.get_mut(&gateway)?;
        queue.take(|serial| modules.get(&serial).is_some_and(Module::can_be_asked))
    }

    /// How many reads of this gateway [`Roster::next_read`] would give now.
    pub fn pending(&self, gateway: GatewayId) -> usize {
        self.reads.get(&gateway).map_or(0, |queue| {
            let asked = |serial: &_| self.modules.get(serial).is_some_and(Module::can_be_asked);
            queue.modules().filter(asked).count()
        })
    }

    /// Puts a read back that was not sent because there was no room.
    pub fn postponed(&mut self, serial: SerialNumber, datapoint: Datapoint) {
        self.enqueue(serial, datapoint);
    }

    /// Identifies one module again: it was restarted or exchanged, as its full dump shows (protocol reference
    /// 5.3).
    pub fn identify(&mut self, serial: SerialNumber) {
        for datapoint in IDENTITY {
            if self.modules.get(&serial).is_some_and(|module| module.wants(datapoint)) {
                self.enqueue(serial, datapoint);
            }
        }
    }

    /// Notes a value of a module, whoever asked for it, and tells what is new about it. A module that is not
    /// configured is nobody's business (fault row 10).
    pub fn observed(
        &mut self,
        serial: SerialNumber,
        datapoint: Datapoint,
        value: &DatapointValue,
        now: Moment,
    ) -> Vec<RosterEffect> {
        let mut effects = Vec::new();
        self.heard(serial, now);
        let Some(module) = self.modules.get_mut(&serial) else { return effects };
        if let Some(queue) = self.reads.get_mut(&module.plan.gateway) {
            queue.remove((serial, datapoint));
        }
        match value {
            DatapointValue::Unsupported => {
                module.connection.refused.insert(datapoint);
            }
            DatapointValue::TypeCode(reported) => effects.extend(module.told_type(*reported)),
            DatapointValue::Link(reported) => effects.extend(module.told_link(*reported)),
            DatapointValue::AutoReport(by_itself) => module.told_auto_report(*by_itself, &mut effects),
            DatapointValue::ErrorCode(code) => effects.extend(module.told_error(*code)),
            DatapointValue::Temperature(tenths) => {
                module.temperature = *tenths;
                module.connection.no_sensor = tenths.is_none();
            }
            DatapointValue::Text(version) if datapoint == Datapoint::SOFTWARE_VERSION => {
                module.software_version = Some(version.clone());
            }
            _ => {}
        }
        effects
    }

    /// Notes that a read was not answered: it is not repeated on this connection, and the other reads of the
    /// module wait until it is heard.
    pub fn unanswered(&mut self, serial: SerialNumber, datapoint: Datapoint) {
        self.forget_read(serial, datapoint);
        if let Some(module) = self.modules.get_mut(&serial) {
            module.connection.mute = true;
        }
    }

    /// Notes that the module does not have this datapoint (`??` or a NAK): it is not asked again on this
    /// connection.
    pub fn refused(&mut self, serial: SerialNumber, datapoint: Datapoint) {
        self.forget_read(serial, datapoint);
        if let Some(module) = self.modules.get_mut(&serial) {
            module.connection.refused.insert(datapoint);
        }
    }

    /// Whether the module said on this connection that it does not have this datapoint.
    pub fn refuses(&self, serial: SerialNumber, datapoint: Datapoint) -> bool {
        self.modules.get(&serial).is_some_and(|module| module.connection.refused.contains(&datapoint))
    }

    /// An input of this sender was heard: so is the module that has its type and link number, if there is one.
    pub fn pressed(&mut self, gateway: GatewayId, input: EventSource, now: Moment) {
        if let Some(sender) = self.places.sender(gateway, input) {
            self.heard(sender, now);
        }
    }

    /// Notes that anything was heard of the module.
    pub fn heard(&mut self, serial: SerialNumber, now: Moment) {
        if let Some(module) = self.modules.get_mut(&serial) {
            module.hear(now);
        }
    }

    /// Notes that something sent to the module was not answered in time.
    pub fn silent(&mut self, serial: SerialNumber) {
        if let Some(module) = self.modules.get_mut(&serial) {
            module.timeouts += 1;
            module.connection.answers = Some(false);
        }
    }

    /// Notes that the module began or ceased to repeat itself.
    pub fn storming(&mut self, serial: SerialNumber, storming: bool) {
        if let Some(module) = self.modules.get_mut(&serial) {
            module.storms += u64::from(storming && !module.storming);
            module.storming = storming;
        }
    }

    /// The modules of a gateway that drive loads.
    pub fn actors(&self, gateway: GatewayId) -> Vec<SerialNumber> {
        let behind = self.places.behind(gateway).iter().filter_map(|serial| self.modules.get(serial));
        behind.filter(|module| module.plan.actor).map(|module| module.plan.serial).collect()
    }

    /// The modules that a pressed button may have switched without their telling: which buttons drive which
    /// module stands in the modules' tables, so every actor counts that is not known to report by itself.
    pub fn may_be_driven(&self, gateway: GatewayId) -> Vec<SerialNumber> {
        let mut driven = self.actors(gateway);
        driven
            .retain(|serial| self.modules.get(serial).is_some_and(|module| module.auto_report != Some(true)));
        driven
    }

    /// How many outputs all modules have.
    pub fn outputs(&self) -> usize {
        self.modules.values().map(|module| usize::from(module.plan.outputs)).sum()
    }

    /// Every module, in the order of the config.
    pub fn snapshot(&self) -> Vec<ModuleSnapshot> {
        self.order.iter().filter_map(|serial| self.modules.get(serial)).map(Module::snapshot).collect()
    }

    fn enqueue(&mut self, serial: SerialNumber, datapoint: Datapoint) {
        let Some(module) = self.modules.get(&serial) else { return };
        if let Some(queue) = self.reads.get_mut(&module.plan.gateway) {
            queue.push((serial, datapoint));
        }
    }

    fn forget_read(&mut self, serial: SerialNumber, datapoint: Datapoint) {
        for queue in self.reads.values_mut() {
            queue.remove((serial, datapoint));
        }
    }

    fn places_of(modules: &[RosterPlan]) -> Places {
        Places::of(modules.iter().map(|plan| (plan.serial, plan.gateway, plan.module_type, plan.link)))
    }
}

impl Module {
    fn new(plan: RosterPlan) -> Self {
        Self {
            plan,
            reported_type: None,
            reported_link: None,
            software_version: None,
            auto_report: None,
            error_code: None,
            temperature: None,
            storming: false,
            last_heard: None,
            storms: 0,
            timeouts: 0,
            connection: Connection::default(),
        }
    }

    /// Whether this datapoint says anything about the module that is not known yet.
    fn wants(&self, datapoint: Datapoint) -> bool {
        (self.plan.actor || datapoint != Datapoint::AUTO_REPORT)
            && !self.connection.refused.contains(&datapoint)
    }

    fn can_be_asked(&self) -> bool {
        !self.storming && !self.connection.mute
    }

    fn told_type(&mut self, reported: ModuleType) -> Option<RosterEffect> {
        self.reported_type = Some(reported);
        let RosterPlan { serial, module_type: configured, .. } = self.plan;
        if reported == configured {
            self.connection.warned_type = None;
            return None;
        }
        let known = self.connection.warned_type.replace(reported) == Some(reported);
        (!known).then_some(RosterEffect::TypeDiffers { serial, configured, reported })
    }

    fn told_link(&mut self, reported: u8) -> Option<RosterEffect> {
        self.reported_link = Some(reported);
        let RosterPlan { serial, link: configured, .. } = self.plan;
        if reported == configured {
            self.connection.warned_link = None;
            return None;
        }
        let known = self.connection.warned_link.replace(reported) == Some(reported);
        (!known).then_some(RosterEffect::LinkDiffers { serial, configured, reported })
    }

    fn told_auto_report(&mut self, by_itself: bool, effects: &mut Vec<RosterEffect>) {
        let RosterPlan { serial, actor, .. } = self.plan;
        self.auto_report = Some(by_itself);
        if !actor {
            return;
        }
        if self.connection.told_reporting.replace(by_itself) != Some(by_itself) {
            effects.push(RosterEffect::Reporting { serial, by_itself });
        }
        if !by_itself && !self.connection.warned_auto_report {
            self.connection.warned_auto_report = true;
            effects.push(RosterEffect::AutoReportOff { serial });
        }
    }

    fn told_error(&mut self, code: u8) -> Option<RosterEffect> {
        let serial = self.plan.serial;
        match (self.error_code.replace(code), code) {
            (Some(before), now) if before == now => None,
            (None, 0) => None,
            (Some(_), 0) => Some(RosterEffect::Healthy { serial }),
            (_, code) => Some(RosterEffect::Faulty { serial, code }),
        }
    }

    fn snapshot(&self) -> ModuleSnapshot {
        ModuleSnapshot {
            serial: self.plan.serial,
            gateway: self.plan.gateway,
            module_type: self.plan.module_type.to_string(),
            link: self.plan.link,
            outputs: self.plan.outputs,
            reported_type: self.reported_type.map(|reported| reported.to_string()),
            reported_link: self.reported_link,
            software_version: self.software_version.clone(),
            temperature_tenths: self.temperature,
            silent: self.connection.answers == Some(false),
            auto_report: self.auto_report,
            error_code: self.error_code,
            refused: self.connection.refused.iter().map(ToString::to_string).collect(),
            storming: self.storming,
            last_heard: self.last_heard,
        }
    }
}

#[cfg(test)]
mod tests;
