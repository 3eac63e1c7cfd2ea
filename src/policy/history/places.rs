//! Which module stands where, looked up by every report and every press.

use std::collections::BTreeMap;

use super::{Furniture, GatewayId};
use crate::conbus::{EventSource, ModuleType, SerialNumber};

/// The modules by what their events carry, and by their address.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// None where two of one type and link cannot be told apart.
    by_link: BTreeMap<(GatewayId, ModuleType, u8), Option<SerialNumber>>,
    gateways: BTreeMap<SerialNumber, GatewayId>,
}

impl Places {
    pub(super) fn of(house: &Furniture) -> Self {
        let mut places = Self::default();
        for (gateway, module) in &house.modules {
            places.gateways.entry(module.serial).or_insert(*gateway);
            places
                .by_link
                .entry((*gateway, module.module_type, module.link))
                .and_modify(|one| *one = None)
                .or_insert(Some(module.serial));
        }
        places
    }

    /// The one module that an event of this source comes from.
    pub(super) fn sender(&self, gateway: GatewayId, source: EventSource) -> Option<SerialNumber> {
        self.by_link.get(&(gateway, source.module_type, source.link)).copied().flatten()
    }

    /// Behind which gateway a module is.
    pub(super) fn gateway_of(&self, serial: SerialNumber) -> Option<GatewayId> {
        self.gateways.get(&serial).copied()
    }
}
