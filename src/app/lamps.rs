//! From the configured accessories to what their actors and the doors are told of them.

use crate::actors::events::AccessoryId;
use crate::config::{Accessory, Config};
use crate::doors::AccessoryFace;
use crate::policy::GatewayId;
use crate::policy::switch::SwitchPlan;

/// A configured accessory, before it has an actor.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Lamp {
    /// What doors show.
    pub(super) face: AccessoryFace,
    /// How it is switched.
    pub(super) switch: SwitchPlan,
    /// Behind which gateway it is.
    pub(super) gateway: GatewayId,
}

/// The accessories of a config in its order; `place` names each.
pub(super) fn lamps(config: &Config, mut place: impl FnMut(&Accessory) -> AccessoryId) -> Vec<Lamp> {
    let lamp = |accessory: &Accessory| {
        // A checked config has the module of every accessory.
        let module = config.modules.iter().find(|module| module.serial == accessory.point.serial)?;
        Some(Lamp {
            face: AccessoryFace {
                place: place(accessory),
                id: accessory.id.clone(),
                name: accessory.name.clone(),
                room: accessory.room.clone(),
                kind: accessory.kind,
                point: accessory.point,
                module_type: module.module_type,
            },
            switch: SwitchPlan {
                point: accessory.point,
                kind: accessory.kind,
                module_dims: module.module_type.is_dimmable(),
                on_event: accessory.on_event,
                off_event: accessory.off_event,
            },
            gateway: GatewayId(module.gateway as u16),
        })
    };
    config.accessories.iter().filter_map(lamp).collect()
}

/// What doors may know of the accessories before there are any.
pub(super) fn faces(config: &Config) -> Vec<AccessoryFace> {
    first_lamps(config).into_iter().map(|lamp| lamp.face).collect()
}

/// The accessories of a daemon that starts.
pub(super) fn first_lamps(config: &Config) -> Vec<Lamp> {
    let mut places = (0..).map(AccessoryId);
    lamps(config, |_| places.next().unwrap_or(AccessoryId(u32::MAX)))
}
