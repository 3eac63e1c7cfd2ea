//! What a house consists of before it is switched on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::conbus::{
    Action, ActionTable, EventSource, ModuleTable, ModuleType, OutputIndex, Parameter, Percent, SerialNumber,
    TableEntry,
};

use super::Timing;
use super::module::factory_own_table;

/// Whether a module accepts F27; some refuse it (protocol reference 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirectSwitching {
    /// It acknowledges and switches.
    Accepted,
    /// It answers with a NAK.
    Refused,
}

/// What the gateway does when a second client connects (protocol reference 7.1: nobody has recorded it).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SecondClient {
    /// The second is accepted and closed at once; the first stays.
    #[default]
    Refuse,
    /// The second is served and the first is closed.
    TakeOver,
}

/// Whose habits the house has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// Real modules.
    #[default]
    Hardware,
    /// The emulator of `conson-xp` (protocol reference 10): a line feed after each telegram, reports on inputs
    /// 00 to 03, output 0 leftmost in D12.
    Peer,
}

/// One module before it is switched on.
#[derive(Clone, Debug)]
pub struct ModuleSetup {
    /// Its address.
    pub serial: SerialNumber,
    /// Its type: how many outputs, which datapoints.
    pub module_type: ModuleType,
    /// Its link number, 0 to 99, which its events carry.
    pub link: u8,
    /// D05.
    pub module_number: u16,
    /// D21: whether it reports its outputs by itself.
    pub auto_report: bool,
    /// The level of each output; missing ones are off. A relay is on at any level but 0.
    pub levels: Vec<Percent>,
    /// Whether it accepts F27.
    pub direct_switching: DirectSwitching,
    /// D01; by type when absent.
    pub hardware_version: Option<String>,
    /// D02; by type when absent.
    pub software_version: Option<String>,
    /// D18 in tenths of a degree; by type when absent. A module without a sensor answers -20,0.
    pub temperature_tenths: Option<i16>,
    /// Whether its D12 puts the type code before the bitmap, as an XP33LED did (protocol reference 4.1).
    pub type_code_before_outputs: bool,
    /// The table by which it reacts to events; the factory's until it is told otherwise.
    pub table: ActionTable,
    /// The 32 bytes it keeps about its own inputs and outputs (protocol reference 3.6).
    pub own_table: [u8; ModuleTable::BYTES],
    /// Answers to reads that are given instead of the usual ones, by the number of the datapoint.
    pub answers: BTreeMap<u8, Vec<u8>>,
    /// What every answer of this module takes longer than usual.
    pub latency: Duration,
}

impl ModuleSetup {
    /// A module as it is usually found: all off, actors report by themselves, relays accept F27.
    pub fn new(serial: SerialNumber, module_type: ModuleType, link: u8) -> Self {
        let direct_switching =
            if module_type.is_dimmable() { DirectSwitching::Refused } else { DirectSwitching::Accepted };
        // An XP33LR was measured some 16 ms slower than its neighbours (protocol reference 7.2).
        let latency =
            if module_type == ModuleType::XP33LR { Duration::from_millis(16) } else { Duration::ZERO };
        Self {
            serial,
            module_type,
            link,
            module_number: u16::from(link),
            auto_report: module_type.is_actor(),
            levels: Vec::new(),
            direct_switching,
            hardware_version: None,
            software_version: None,
            temperature_tenths: None,
            type_code_before_outputs: false,
            table: ActionTable::factory(module_type),
            own_table: factory_own_table(module_type),
            answers: BTreeMap::new(),
            latency,
        }
    }

    /// The same module with these levels, output 0 first.
    #[must_use]
    pub fn with_levels(mut self, levels: impl IntoIterator<Item = Percent>) -> Self {
        self.levels = levels.into_iter().collect();
        self
    }

    /// The same module with this action table.
    #[must_use]
    pub fn with_table(mut self, table: ActionTable) -> Self {
        self.table = table;
        self
    }

    /// The same module programmed as the installation is that the reference describes (protocol reference 5.4):
    /// the virtual `CP20` on its own link switches each output on, off and over, on a dimmer also by steps and
    /// ramps; the site-wide entries of the factory come first.
    #[must_use]
    pub fn with_site_table(mut self) -> Self {
        let actions: &[(Action, u8)] = if self.module_type.is_dimmable() {
            &[
                (Action::ON, 0),
                (Action::OFF, 0),
                (Action::TOGGLE, 0),
                (Action::LEVELINC, 10),
                (Action::LEVELDEC, 10),
                (Action::LEVELUP, 0),
                (Action::LEVELDOWN, 0),
            ]
        } else {
            &[(Action::ON, 0), (Action::OFF, 0), (Action::TOGGLE, 0)]
        };
        let factory = ActionTable::factory(self.module_type);
        let mut entries: Vec<TableEntry> = factory.entries().filter_map(|(_, entry)| entry.ok()).collect();
        let mut input = 0;
        for (action, parameter) in actions {
            for output in OutputIndex::first(self.module_type.outputs()) {
                let source = EventSource { module_type: ModuleType::CP20, link: self.link, input };
                let parameter = Parameter::new(*parameter).unwrap_or_default();
                entries.push(TableEntry { source, output, action: *action, parameter, inverted: false });
                input += 1;
            }
        }
        // Never more than 27 entries, so they fit.
        if let Ok(table) = ActionTable::from_entries(&entries) {
            self.table = table;
        }
        self
    }

    /// The same module with every output on.
    #[must_use]
    pub fn all_on(self) -> Self {
        let count = usize::from(self.module_type.outputs());
        self.with_levels(vec![Percent::FULL; count])
    }
}

/// A whole house before it is switched on.
#[derive(Clone, Debug, Default)]
pub struct HouseSetup {
    /// The modules; the first of two with the same serial number counts.
    pub modules: Vec<ModuleSetup>,
    /// How long things take.
    pub timing: Timing,
    /// What happens to a second client.
    pub second_client: SecondClient,
    /// Where all chance comes from: the same seed and the same inputs give the same house to the byte.
    pub seed: u64,
    /// Whose habits the house has.
    pub dialect: Dialect,
    /// Whether the gateway sends a client's own events back to it; nobody has recorded it (protocol
    /// reference 5.5).
    pub echo_events: bool,
}

impl HouseSetup {
    /// A house with these modules and the timing of real hardware.
    pub fn new(modules: Vec<ModuleSetup>) -> Self {
        Self { modules, ..Self::default() }
    }

    /// The same house with another timing.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }
}
