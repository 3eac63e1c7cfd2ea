//! What is behind the door, found by serial number, place and output without a look at everything else.

use std::collections::BTreeMap;

use super::ModuleFace;
use crate::actors::events::AccessoryId;
use crate::conbus::{Point, SerialNumber};
use crate::doors::AccessoryFace;

/// The gateways, modules and accessories, each in the order of the config.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct House {
    gateways: Vec<String>,
    modules: Vec<ModuleFace>,
    lamps: Vec<AccessoryFace>,
    /// Of each module its place in the list, and the places of the accessories on its outputs.
    on: BTreeMap<SerialNumber, (usize, Vec<usize>)>,
    lamp_at: BTreeMap<AccessoryId, usize>,
}

impl House {
    /// These gateways, by their ids, with nothing behind them.
    pub(super) fn new(gateways: Vec<String>) -> Self {
        Self { gateways, ..Self::default() }
    }

    /// The same gateways, with these modules and accessories behind them.
    #[must_use]
    pub(super) fn furnished(self, modules: Vec<ModuleFace>, lamps: Vec<AccessoryFace>) -> Self {
        let mut on: BTreeMap<SerialNumber, (usize, Vec<usize>)> = BTreeMap::new();
        for (at, module) in modules.iter().enumerate() {
            on.entry(module.serial).or_insert((at, Vec::new()));
        }
        for (at, lamp) in lamps.iter().enumerate() {
            if let Some((_, places)) = lamp.point.and_then(|point| on.get_mut(&point.serial)) {
                places.push(at);
            }
        }
        let lamp_at = lamps.iter().enumerate().map(|(at, lamp)| (lamp.place, at)).collect();
        Self { gateways: self.gateways, modules, lamps, on, lamp_at }
    }

    /// The ids of the gateways.
    pub(super) fn gateways(&self) -> &[String] {
        &self.gateways
    }

    /// The modules.
    pub(super) fn modules(&self) -> &[ModuleFace] {
        &self.modules
    }

    /// The accessories.
    pub(super) fn lamps(&self) -> &[AccessoryFace] {
        &self.lamps
    }

    /// The module of this address.
    pub(super) fn module(&self, serial: SerialNumber) -> Option<&ModuleFace> {
        self.modules.get(self.on.get(&serial)?.0)
    }

    /// The accessories on the outputs of a module.
    pub(super) fn lamps_on(&self, serial: SerialNumber) -> impl Iterator<Item = &AccessoryFace> {
        let places = self.on.get(&serial).map_or(&[][..], |(_, places)| places);
        places.iter().filter_map(|at| self.lamps.get(*at))
    }

    /// The accessory of this place.
    pub(super) fn lamp(&self, place: AccessoryId) -> Option<&AccessoryFace> {
        self.lamps.get(*self.lamp_at.get(&place)?)
    }

    /// The id of the gateway that a module is behind.
    pub(super) fn gateway_of(&self, serial: SerialNumber) -> Option<&str> {
        self.gateways.get(self.module(serial)?.gateway).map(String::as_str)
    }

    /// The group or scene with this id.
    pub(super) fn ensemble(&self, id: &str) -> Option<&AccessoryFace> {
        self.lamps.iter().find(|lamp| lamp.point.is_none() && lamp.id == id)
    }

    /// The accessory on this output, if it is behind this gateway.
    pub(super) fn lamp_at(&self, gateway: &str, point: Point) -> Option<&AccessoryFace> {
        let lamp = self.lamps_on(point.serial).find(|lamp| lamp.point == Some(point))?;
        (self.gateway_of(point.serial) == Some(gateway)).then_some(lamp)
    }
}
