//! From the configuration to the settings of the policies.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::time::Duration;

use super::Rules;
use super::lamps::Lamp;
use crate::actors::events::Name;
use crate::conbus::{ModuleType, SerialNumber};
use crate::config::{Cache, Config, Module, Poller};
use crate::policy::history::Furniture;
use crate::policy::interpret::Installed;
use crate::policy::outbox::OutboxPlan;
use crate::policy::store::{self, StorePlan};
use crate::policy::{GatewayId, ModulePlan, RosterPlan, SchedulePlan};

/// Between two background reads of an XP33LR: asked faster it may repeat itself without end (protocol reference
/// 7.5).
const SPACING_XP33LR: Duration = Duration::from_secs(2);

/// What a D12 takes of the bus, with the pause behind it (protocol reference 7.2 and 7.3).
const COST_RELAY: Duration = Duration::from_millis(80);

/// The same with the D15 of a dimmer.
const COST_DIMMER: Duration = Duration::from_millis(170);

/// How often modules are asked for their temperature and their fault code where somebody is shown them: minutes are
/// the scale of both (protocol reference 4.3).
const DIAGNOSE_EVERY: Duration = Duration::from_secs(10 * 60);

/// The configuration as the actors need it.
pub(super) struct Plans {
    pub(super) gateways: Vec<Name>,
    modules: Vec<Module>,
    cache: Cache,
    poller: Poller,
    pub(super) rules: Rules,
    pub(super) diagnose_every: Option<Duration>,
}

impl Plans {
    pub(super) fn of(config: &Config, rules: &Rules) -> Self {
        Self {
            rules: rules.clone(),
            diagnose_every: config.mqtt.is_some().then_some(DIAGNOSE_EVERY),
            gateways: config.gateways.iter().map(|gateway| Name::from(gateway.id.as_str())).collect(),
            modules: config.modules.clone(),
            cache: config.cache.clone(),
            poller: config.poller.clone(),
        }
    }

    fn behind(&self, gateway: usize) -> impl Iterator<Item = &Module> {
        self.modules.iter().filter(move |module| module.gateway == gateway)
    }

    pub(super) fn bridge(&self, gateway: usize) -> Option<SerialNumber> {
        self.behind(gateway).find(|module| module.module_type.is_bridge()).map(|module| module.serial)
    }

    pub(super) fn outbox(&self, gateway: usize) -> OutboxPlan {
        let bridges: BTreeSet<SerialNumber> = self
            .behind(gateway)
            .filter(|module| module.module_type.is_bridge())
            .map(|module| module.serial)
            .collect();
        let spacing_of = self
            .behind(gateway)
            .filter(|module| module.module_type == ModuleType::XP33LR)
            .map(|module| (module.serial, SPACING_XP33LR))
            .collect();
        OutboxPlan { bridges, spacing_of, ..self.rules.outbox.clone() }
    }

    pub(super) fn installed(&self, gateway: usize) -> Vec<Installed> {
        self.behind(gateway)
            .map(|module| Installed {
                serial: module.serial,
                module_type: module.module_type,
                link: module.link,
            })
            .collect()
    }

    pub(super) fn furniture(&self, lamps: &[Lamp]) -> Furniture {
        let behind =
            |gateway| self.installed(gateway).into_iter().map(move |m| (GatewayId(gateway as u16), m));
        Furniture {
            modules: (0..self.gateways.len()).flat_map(behind).collect(),
            accessories: lamps
                .iter()
                .filter_map(|lamp| Some((lamp.face.place.0, lamp.face.point?)))
                .collect(),
            events: lamps.iter().flat_map(Lamp::events).collect(),
        }
    }

    pub(super) fn store(&self) -> StorePlan {
        StorePlan {
            enabled: self.cache.enabled,
            ttl: self.cache.ttl,
            max_entries: NonZeroUsize::new(self.cache.max_entries).unwrap_or(NonZeroUsize::MIN),
            max_waiters: StorePlan::WAITERS_MAX,
            patience: StorePlan::PATIENCE,
            settle: self.rules.settle,
        }
    }

    pub(super) fn store_modules(&self) -> Vec<store::ModulePlan> {
        self.modules
            .iter()
            .filter(|module| module.module_type.is_actor())
            .map(|module| store::ModulePlan {
                serial: module.serial,
                gateway: GatewayId(module.gateway as u16),
                outputs: module.module_type.outputs(),
                dimmable: module.module_type.is_dimmable(),
            })
            .collect()
    }

    pub(super) fn schedule(&self) -> SchedulePlan {
        SchedulePlan {
            enabled: self.poller.enabled,
            interval: self.poller.interval,
            reporting_interval: self.poller.reporting_interval,
            idle_after: self.poller.idle_after,
            bus_share: self.poller.bus_share,
        }
    }

    /// The modules in the order in which a connect reads them: the last used before a restart first.
    pub(super) fn schedule_modules(&self, used: &[SerialNumber]) -> Vec<ModulePlan> {
        let rank: HashMap<_, _> = used.iter().enumerate().map(|(rank, serial)| (*serial, rank)).collect();
        let mut modules: Vec<&Module> = self.modules.iter().collect();
        modules.sort_by_key(|module| rank.get(&module.serial).copied().unwrap_or(usize::MAX));
        modules
            .into_iter()
            .map(|module| ModulePlan {
                serial: module.serial,
                gateway: GatewayId(module.gateway as u16),
                spacing: if module.module_type == ModuleType::XP33LR {
                    SPACING_XP33LR
                } else {
                    OutboxPlan::default().spacing
                },
                exchange_cost: if module.module_type.is_dimmable() { COST_DIMMER } else { COST_RELAY },
                actor: module.module_type.is_actor(),
            })
            .collect()
    }

    pub(super) fn roster(&self) -> Vec<RosterPlan> {
        self.modules
            .iter()
            .map(|module| RosterPlan {
                serial: module.serial,
                gateway: GatewayId(module.gateway as u16),
                module_type: module.module_type,
                link: module.link,
                outputs: module.module_type.outputs(),
                actor: module.module_type.is_actor(),
            })
            .collect()
    }
}
