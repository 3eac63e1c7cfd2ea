//! The modules of the store, in the order of their numbers.

use super::{Module, ModulePlan};
use crate::conbus::SerialNumber;

/// One behind the other and nothing between them: a table of hashes would be half as large again as what is known of
/// them, and a house has so few that a search takes no longer.
#[derive(Debug)]
pub(super) struct Modules(Vec<Module>);

impl Modules {
    pub(super) fn new(plans: impl IntoIterator<Item = ModulePlan>) -> Self {
        let mut modules = Self(Vec::new());
        modules.install(plans);
        modules
    }

    /// Adds those that are not there yet.
    pub(super) fn install(&mut self, plans: impl IntoIterator<Item = ModulePlan>) {
        self.0.extend(plans.into_iter().map(Module::new));
        // Stable: of two with one number the one that was there first stays.
        self.0.sort_by_key(|module| module.plan.serial);
        self.0.dedup_by_key(|module| module.plan.serial);
        self.0.shrink_to_fit();
    }

    fn place(&self, serial: SerialNumber) -> Option<usize> {
        self.0.binary_search_by_key(&serial, |module| module.plan.serial).ok()
    }

    pub(super) fn get(&self, serial: SerialNumber) -> Option<&Module> {
        Some(&self.0[self.place(serial)?])
    }

    pub(super) fn get_mut(&mut self, serial: SerialNumber) -> Option<&mut Module> {
        let place = self.place(serial)?;
        Some(&mut self.0[place])
    }

    pub(super) fn remove(&mut self, serial: SerialNumber) -> Option<Module> {
        self.place(serial).map(|place| self.0.remove(place))
    }

    /// All, in the order of their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = &Module> {
        self.0.iter()
    }
}
