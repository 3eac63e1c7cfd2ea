//! Another config while the roster is in use.

use std::collections::BTreeMap;

use super::{Module, Roster, RosterPlan};
use crate::conbus::SerialNumber;

impl Roster {
    /// From now on for these modules. Those that are new, or configured otherwise, are to be identified; what is known
    /// of the others stays.
    pub fn reconfigure(&mut self, modules: Vec<RosterPlan>) {
        self.places = Self::places_of(&modules);
        self.order = modules.iter().map(|plan| plan.serial).collect();
        let mut before: BTreeMap<SerialNumber, Module> = std::mem::take(&mut self.modules);
        let mut anew = Vec::new();
        for plan in modules {
            self.reads.entry(plan.gateway).or_default();
            let known = before.remove(&plan.serial).filter(|module| module.plan == plan);
            if known.is_none() {
                anew.push(plan.serial);
            }
            self.modules.insert(plan.serial, known.unwrap_or_else(|| Module::new(plan)));
        }
        let modules = &self.modules;
        for (gateway, queue) in &mut self.reads {
            queue.retain(|serial| modules.get(&serial).is_some_and(|one| one.plan.gateway == *gateway));
        }
        for serial in anew {
            self.identify(serial);
        }
    }
}
