//! From the configured accessories, groups and scenes to what their actors and the doors are told of them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::actors::events::AccessoryId;
use crate::conbus::{EventSource, SerialNumber};
use crate::config::{Accessory, Config, Deed, Group, Module, Scene};
use crate::doors::AccessoryFace;
use crate::policy::switch::{SwitchPlan, Target};
use crate::policy::{AccessoryKind, GatewayId};

/// A configured accessory, group or scene, before it has an actor.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Lamp {
    /// What doors show; theirs too.
    pub(super) face: Arc<AccessoryFace>,
    /// What is behind it.
    pub(super) body: Body,
}

impl Lamp {
    /// The events that are sent for it, each with its place and its gateway.
    pub(super) fn events(&self) -> Vec<(u32, GatewayId, EventSource)> {
        let (gateway, events) = match &self.body {
            Body::Output { switch, gateway } => (*gateway, [switch.on_event, switch.off_event]),
            Body::Event { input, gateway, .. } => (*gateway, [Some(*input), None]),
            Body::Group(_) | Body::Scene(_) => return Vec::new(),
        };
        events.into_iter().flatten().map(|event| (self.face.place.0, gateway, event)).collect()
    }
}

/// What is behind an accessory.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Body {
    /// An output.
    Output {
        /// How it is switched.
        switch: SwitchPlan,
        /// Behind which gateway it is.
        gateway: GatewayId,
    },
    /// These members, and whether they have a brightness.
    Group(Vec<(AccessoryId, bool)>),
    /// A wish for each of these.
    Scene(Vec<(AccessoryId, Target)>),
    /// An event that these modules may switch at.
    Event {
        /// What is pressed.
        input: EventSource,
        /// Behind which gateway.
        gateway: GatewayId,
        /// Who may switch.
        drives: Vec<SerialNumber>,
    },
}

/// The accessories of a config in its order, then its groups, then its scenes; `place` names each.
pub(super) fn lamps(config: &Config, mut place: impl FnMut(&str, &Body) -> AccessoryId) -> Vec<Lamp> {
    let mut all: Vec<Lamp> = Vec::new();
    let modules: HashMap<SerialNumber, &Module> =
        config.modules.iter().map(|module| (module.serial, module)).collect();
    // A checked config has the module of every accessory and the members of every group.
    for accessory in &config.accessories {
        let Some(module) = modules.get(&accessory.point.serial) else { continue };
        let body = output(accessory, module);
        let place = place(&accessory.id, &body);
        all.push(Lamp { face: Arc::new(face(accessory, module, place)), body });
    }
    let mut places: HashMap<&str, (AccessoryId, bool)> = HashMap::new();
    for (accessory, lamp) in config.accessories.iter().zip(&all) {
        places.insert(&accessory.id, (lamp.face.place, lamp.face.dims));
    }
    let mut ensembles = Vec::new();
    for Group { id, name, room, members } in &config.groups {
        let members: Vec<_> =
            members.iter().filter_map(|member| places.get(member.as_str()).copied()).collect();
        let dims = members.iter().any(|(_, dims)| *dims);
        let body = Body::Group(members);
        let place = place(id, &body);
        ensembles.push(ensemble((id, name, room), AccessoryKind::Group, dims, place, body));
    }
    for Scene { id, name, room, deed } in &config.scenes {
        let body = scene(config, deed, &places);
        let place = place(id, &body);
        ensembles.push(ensemble((id, name, room), AccessoryKind::Scene, false, place, body));
    }
    all.extend(ensembles);
    all.shrink_to_fit();
    all
}

fn output(accessory: &Accessory, module: &Module) -> Body {
    let switch = SwitchPlan {
        point: accessory.point,
        kind: accessory.kind,
        module_dims: module.module_type.is_dimmable(),
        on_event: accessory.on_event,
        off_event: accessory.off_event,
    };
    Body::Output { switch, gateway: GatewayId(module.gateway as u16) }
}

fn face(accessory: &Accessory, module: &Module, place: AccessoryId) -> AccessoryFace {
    AccessoryFace {
        place,
        id: accessory.id.clone(),
        name: accessory.name.clone(),
        room: accessory.room.clone(),
        kind: accessory.kind,
        dims: accessory.kind == AccessoryKind::Dimmer,
        point: Some(accessory.point),
        members: Vec::new(),
        module_type: Some(module.module_type),
    }
}

fn ensemble(
    (id, name, room): (&str, &str, &str),
    kind: AccessoryKind,
    dims: bool,
    place: AccessoryId,
    body: Body,
) -> Lamp {
    let (id, name, room) = (id.to_owned(), name.to_owned(), room.to_owned());
    let members = match &body {
        Body::Group(members) => members.iter().map(|(place, _)| *place).collect(),
        _ => Vec::new(),
    };
    let face = AccessoryFace { place, id, name, room, kind, dims, point: None, members, module_type: None };
    Lamp { face: Arc::new(face), body }
}

fn scene(config: &Config, deed: &Deed, places: &HashMap<&str, (AccessoryId, bool)>) -> Body {
    match deed {
        Deed::Targets(steps) => {
            let wish = |step: &crate::config::Step| {
                let (place, _) = places.get(step.accessory.as_str())?;
                Some((*place, Target { on: step.on, level: step.brightness }))
            };
            Body::Scene(steps.iter().filter_map(wish).collect())
        }
        Deed::Event { input, gateway } => {
            let drives = config.modules.iter().filter(|module| {
                module.gateway == *gateway && module.module_type.is_actor() && may_switch(module, *input)
            });
            let drives = drives.map(|module| module.serial).collect();
            Body::Event { input: *input, gateway: GatewayId(*gateway as u16), drives }
        }
    }
}

/// Whether the module's table says so; one whose table is not known may do anything.
fn may_switch(module: &Module, input: EventSource) -> bool {
    module.action_table.as_ref().is_none_or(|table| table.iter().any(|entry| entry.listens_to(input)))
}

/// What doors may know of the accessories before there are any.
pub(super) fn faces(config: &Config) -> Vec<AccessoryFace> {
    first_lamps(config).into_iter().map(|lamp| Arc::unwrap_or_clone(lamp.face)).collect()
}

/// The accessories of a daemon that starts.
pub(super) fn first_lamps(config: &Config) -> Vec<Lamp> {
    let mut places = (0..).map(AccessoryId);
    lamps(config, |_, _| places.next().unwrap_or(AccessoryId(u32::MAX)))
}
