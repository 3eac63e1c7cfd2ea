//! `[[group]]` and `[[scene]]`: several accessories as one, of accessories that exist.

use std::collections::HashMap;

use toml::Spanned;

use super::house::{Once, elements, gateway_of};
use crate::conbus::Percent;
use crate::config::checked::{Deed, Group, Scene, Step};
use crate::config::entry::List;
use crate::config::raw::{self, Document};
use crate::config::report::{Fault, Report};
use crate::config::words::{Id, Ids, Name, Room, Steps};
use crate::policy::AccessoryKind;

/// Of an event that could go to several gateways.
const WHOSE: &str = "this scene does not say on which its event is";

/// The accessories as groups and scenes see them.
struct Known<'a> {
    /// By id; the kind is absent where it is wrong.
    kinds: HashMap<&'a str, Option<AccessoryKind>>,
    /// Groups and scenes.
    ensembles: Vec<&'a str>,
    /// Whether all are known, so that another id is certainly wrong.
    complete: bool,
}

impl<'a> Known<'a> {
    fn of(document: &'a Document) -> Self {
        let accessories = || elements(&document.accessories).iter().map(Spanned::get_ref);
        let id = |id: &'a Id| id.0.as_str();
        let groups = elements(&document.groups).iter().filter_map(|group| group.get_ref().id.get().map(id));
        let scenes = elements(&document.scenes).iter().filter_map(|scene| scene.get_ref().id.get().map(id));
        Self {
            kinds: accessories()
                .filter_map(|raw| Some((id(raw.id.get()?), raw.kind.get().copied())))
                .collect(),
            ensembles: groups.chain(scenes).collect(),
            complete: !document.accessories.is_wrong() && accessories().all(|raw| raw.id.get().is_some()),
        }
    }

    /// The kind of this accessory; reports one that is not there.
    fn kind_of(&self, id: &Spanned<Id>, report: &mut Report) -> Option<AccessoryKind> {
        let Id(text) = id.get_ref();
        if let Some(kind) = self.kinds.get(text.as_str()) {
            return *kind;
        }
        if self.ensembles.contains(&text.as_str()) {
            let fault = Fault::new(format!("`{text}` is no accessory but a group or a scene"));
            report.add(&id.span(), fault.hint("name the accessories themselves"));
        } else if self.complete {
            let fault = Fault::new(format!("unknown accessory `{text}`"));
            let fault = fault.meant(text, self.kinds.keys().copied());
            let hint = "every accessory has its own [[accessory]]";
            report.add(&id.span(), if fault.has_hint() { fault } else { fault.hint(hint) });
        }
        None
    }
}

pub(super) fn check(document: &Document, report: &mut Report) -> (Vec<Group>, Vec<Scene>) {
    let known = Known::of(document);
    let mut ids = Once::new();
    for id in elements(&document.accessories).iter().filter_map(|raw| raw.get_ref().id.given()) {
        // Two accessories of one id are reported where accessories are checked.
        let _ = ids.earlier(id.get_ref().0.clone(), &id.span(), report);
    }
    let mut groups = Vec::new();
    for raw in elements(&document.groups).iter().map(Spanned::get_ref) {
        if let Some(id) = raw.id.given() {
            let Id(text) = id.get_ref();
            ids.check(text.clone(), format_args!("the id `{text}`"), &id.span(), report);
        }
        groups.extend(group(raw, &known, report));
    }
    let mut scenes = Vec::new();
    for element in elements(&document.scenes) {
        if let Some(id) = element.get_ref().id.given() {
            let Id(text) = id.get_ref();
            ids.check(text.clone(), format_args!("the id `{text}`"), &id.span(), report);
        }
        scenes.extend(scene(element, document, &known, report));
    }
    (groups, scenes)
}

fn group(raw: &raw::Group, known: &Known<'_>, report: &mut Report) -> Option<Group> {
    let listed = raw.members.given()?;
    let Ids(members) = listed.get_ref();
    if members.is_empty() {
        report.add(&listed.span(), Fault::new("a group without members").hint("name at least one accessory"));
    }
    let mut once = Once::new();
    for member in members {
        let Id(text) = member.get_ref();
        known.kind_of(member, report);
        once.check(text, format_args!("the member `{text}`"), &member.span(), report);
    }
    let (Id(id), Name(name)) = (raw.id.get()?, raw.name.get()?);
    let members = members.iter().map(|member| member.get_ref().0.clone()).collect();
    Some(Group { id: id.clone(), name: name.clone(), room: room(raw.room.get()), members })
}

fn room(room: Option<&Room>) -> String {
    room.map_or_else(String::new, |Room(room)| room.clone())
}

fn scene(
    element: &Spanned<raw::Scene>,
    document: &Document,
    known: &Known<'_>,
    report: &mut Report,
) -> Option<Scene> {
    let raw = element.get_ref();
    let deed = match (raw.targets.given(), raw.event.given()) {
        (Some(_), Some(event)) => {
            let fault = Fault::new("a scene has `targets` or an `event`, not both");
            report.add(&event.span(), fault.hint("make two scenes of it"));
            None
        }
        (Some(targets), None) => {
            if let Some(gateway) = raw.gateway.given() {
                let fault = Fault::new("`gateway` says where an `event` goes, and there is none");
                report.add(&gateway.span(), fault.hint("remove it"));
            }
            let Steps(list) = targets.get_ref();
            if list.is_empty() {
                report.add(
                    &targets.span(),
                    Fault::new("a scene without targets").hint("name at least one accessory"),
                );
            }
            steps(list, known, report).map(Deed::Targets)
        }
        (None, Some(event)) => {
            let gateways = elements(&document.gateways);
            if gateways.is_empty() && document.gateways.is_absent() {
                let fault = Fault::new("an event without a gateway");
                report.add(&event.span(), fault.hint("add a [[gateway]] with `id` and `address`"));
                return None;
            }
            let gateway = gateway_of(&raw.gateway, WHOSE, &element.span(), document, report)?;
            Some(Deed::Event { input: *event.get_ref(), gateway })
        }
        (None, None) => {
            if raw.targets.is_absent() && raw.event.is_absent() {
                let fault = Fault::new("[[scene]] lacks `targets` or `event`");
                report.add(&element.span(), fault.hint("say what it does"));
            }
            None
        }
    };
    let (Id(id), Name(name)) = (raw.id.get()?, raw.name.get()?);
    Some(Scene { id: id.clone(), name: name.clone(), room: room(raw.room.get()), deed: deed? })
}

fn steps(list: &List<raw::Step>, known: &Known<'_>, report: &mut Report) -> Option<Vec<Step>> {
    let mut once = Once::new();
    let mut steps = Vec::new();
    for element in list {
        let raw = element.get_ref();
        let accessory = raw.accessory.given()?;
        let Id(id) = accessory.get_ref();
        once.check(id, format_args!("the accessory `{id}`"), &accessory.span(), report);
        let kind = known.kind_of(accessory, report);
        if raw.on.is_absent() && raw.brightness.is_absent() {
            let fault = Fault::new(format!("the scene does not say what it wants of `{id}`"));
            report.add(&element.span(), fault.hint("add `on` or `brightness`"));
        }
        if let (Some(place), Some(kind)) = (raw.brightness.given(), kind)
            && kind != AccessoryKind::Dimmer
        {
            let fault = Fault::new(format!("`{id}` is of kind {kind}, it has no brightness"));
            report.add(&place.span(), fault.hint("write `on = true` or `on = false`"));
        }
        let level = raw.brightness.get().and_then(|level| u8::try_from(*level).ok()).and_then(Percent::new);
        steps.push(Step { accessory: id.clone(), on: raw.on.get().copied(), brightness: level });
    }
    Some(steps)
}
