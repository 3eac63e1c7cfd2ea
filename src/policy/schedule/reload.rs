//! Another config while the schedule runs: what is known of modules that stay is kept, the pace too.

use std::collections::{BTreeMap, BTreeSet};

use super::{Module, ModulePlan, Schedule, SchedulePlan};
use crate::conbus::SerialNumber;
use crate::policy::{GatewayId, Moment};

impl Schedule {
    /// From now on by this plan, for these modules. New ones are read at the next turn, and whatever was asked a
    /// moment ago is not asked again sooner than its spacing allows.
    pub fn reconfigure(&mut self, plan: SchedulePlan, modules: Vec<ModulePlan>, now: Moment) {
        if plan.enabled != self.plan.enabled {
            self.running = plan.enabled;
        }
        self.plan = plan.within_bounds();
        let wanted: BTreeMap<SerialNumber, (usize, ModulePlan)> =
            modules.into_iter().enumerate().map(|(place, module)| (module.serial, (place, module))).collect();
        let elsewhere = |module: &Module| {
            wanted.get(&module.plan.serial).is_none_or(|(_, plan)| plan.gateway != module.plan.gateway)
        };
        let gone: BTreeSet<SerialNumber> = self
            .modules
            .values()
            .filter(|module| elsewhere(module))
            .map(|module| module.plan.serial)
            .collect();
        self.modules.retain(|serial, _| !gone.contains(serial));
        for lane in self.lanes.values_mut() {
            for serial in &gone {
                lane.forget(*serial);
            }
        }
        for (serial, (place, plan)) in wanted {
            let is_up = self.lanes.entry(plan.gateway).or_default().up;
            let fresh = Module::new(plan, place);
            if let Some(known) = self.modules.get_mut(&serial) {
                (known.plan, known.place) = (fresh.plan, place);
                self.arrange(serial);
                continue;
            }
            self.modules.insert(serial, fresh);
            if is_up {
                self.arrange_early(serial, now);
            }
        }
        let gateways: Vec<GatewayId> = self.lanes.keys().copied().collect();
        for gateway in gateways {
            self.settle(gateway);
        }
    }
}
