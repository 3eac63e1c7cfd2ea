//! Which configured module stands where: looked up by every report, every press and every pressed button.

use std::collections::BTreeMap;

use super::GatewayId;
use crate::conbus::{EventSource, ModuleType, SerialNumber};

/// A module with its gateway, its type and its link number, 0 to 99.
pub(super) type Stand = (SerialNumber, GatewayId, ModuleType, u8);

/// The modules by what their events carry, and by their address. A look costs the logarithm of their number.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// None where two of one type and link cannot be told apart.
    by_link: BTreeMap<(GatewayId, ModuleType, u8), Option<SerialNumber>>,
    gateways: BTreeMap<SerialNumber, GatewayId>,
    /// In the order in which they were given.
    behind: BTreeMap<GatewayId, Vec<SerialNumber>>,
}

impl Places {
    pub(super) fn of(modules: impl IntoIterator<Item = Stand>) -> Self {
        let mut places = Self::default();
        for (serial, gateway, module_type, link) in modules {
            places.gateways.entry(serial).or_insert(gateway);
            places.behind.entry(gateway).or_default().push(serial);
            places
                .by_link
                .entry((gateway, module_type, link))
                .and_modify(|one| *one = None)
                .or_insert(Some(serial));
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

    /// The modules behind a gateway, in the order in which they were given.
    pub(super) fn behind(&self, gateway: GatewayId) -> &[SerialNumber] {
        self.behind.get(&gateway).map_or(&[], Vec::as_slice)
    }
}
