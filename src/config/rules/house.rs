//! `[[gateway]]`, `[[module]]` and `[[accessory]]`: a house whose parts exist, once each.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt::Display;
use std::hash::Hash;
use std::ops::Range;

use toml::Spanned;

use crate::conbus::{ActionTable, ModuleType, OutputIndex, Point, SerialNumber, TableEntry};
use crate::config::address::GatewayAddress;
use crate::config::checked::{Accessory, Gateway, Module};
use crate::config::entry::{Entry, List, listed};
use crate::config::raw::{self, Document};
use crate::config::report::{Fault, Report};
use crate::config::words::{Id, Lines, Name, Room};
use crate::policy::AccessoryKind;

/// What stands in the house.
pub(super) struct House {
    pub(super) gateways: Vec<Gateway>,
    pub(super) modules: Vec<Module>,
    pub(super) accessories: Vec<Accessory>,
}

pub(super) fn check(document: &Document, report: &mut Report) -> House {
    House {
        gateways: gateways(elements(&document.gateways), report),
        modules: modules(document, report),
        accessories: accessories(document, report),
    }
}

pub(super) fn elements<T>(entry: &Entry<List<T>>) -> &[Spanned<T>] {
    entry.get().map_or(&[], Vec::as_slice)
}

/// What must be there once: the first place of each.
pub(super) struct Once<K> {
    places: HashMap<K, Range<usize>>,
}

impl<K: Eq + Hash> Once<K> {
    pub(super) fn new() -> Self {
        Self { places: HashMap::new() }
    }

    /// Notes this one; the line of an earlier one when there is any.
    pub(super) fn earlier(&mut self, key: K, place: &Range<usize>, report: &Report) -> Option<usize> {
        match self.places.entry(key) {
            Slot::Occupied(first) => Some(report.line_of(first.get())),
            Slot::Vacant(slot) => {
                slot.insert(place.clone());
                None
            }
        }
    }

    /// Notes this one and reports that it is not the first.
    pub(super) fn check(&mut self, key: K, what: impl Display, place: &Range<usize>, report: &mut Report) {
        if let Some(line) = self.earlier(key, place, report) {
            report.add(place, Fault::new(format!("{what} is taken: first on line {line}")));
        }
    }
}

fn gateways(raw: &[Spanned<raw::Gateway>], report: &mut Report) -> Vec<Gateway> {
    let (mut ids, mut addresses) = (Once::new(), Once::new());
    let mut gateways = Vec::new();
    for raw in raw.iter().map(Spanned::get_ref) {
        if let Some(id) = raw.id.given() {
            let Id(text) = id.get_ref();
            ids.check(text, format_args!("the gateway id `{text}`"), &id.span(), report);
        }
        if let Some(address) = raw.address.given() {
            // Each emulated gateway is a house of its own; a real one takes a single client.
            if let GatewayAddress::Remote { host, .. } = address.get_ref() {
                let key = address.get_ref().to_string().replace(host, &host.to_lowercase());
                let what = format!("the gateway address `{}`", address.get_ref());
                addresses.check(key, what, &address.span(), report);
            }
        }
        if let (Some(Id(id)), Some(address)) = (raw.id.get(), raw.address.get()) {
            gateways.push(Gateway { id: id.clone(), address: address.clone() });
        }
    }
    gateways
}

fn modules(document: &Document, report: &mut Report) -> Vec<Module> {
    let gateways = elements(&document.gateways);
    let (mut serials, mut links) = (Once::new(), Once::new());
    let mut modules = Vec::new();
    if let (true, Some(module)) = (document.gateways.is_absent(), elements(&document.modules).first()) {
        let fault = Fault::new("modules without a gateway");
        report.add(&module.span(), fault.hint("add a [[gateway]] with `id` and `address`"));
    }
    for element in elements(&document.modules) {
        let raw = element.get_ref();
        if let Some(serial) = raw.serial.given() {
            let what = format!("the serial number `{}`", serial.get_ref());
            serials.check(*serial.get_ref(), what, &serial.span(), report);
        }
        let whose = "this module does not say on which it is";
        let place = element.span();
        let gateway = if gateways.is_empty() {
            None
        } else {
            gateway_of(&raw.gateway, whose, &place, document, report)
        };
        let (Some(gateway), Some(module_type), Some(link)) = (gateway, raw.of_type.get(), raw.link.given())
        else {
            continue;
        };
        if let Some(line) = links.earlier((gateway, *module_type, *link.get_ref()), &link.span(), report) {
            let fault =
                Fault::new(format!("a second {module_type} with link {} on one gateway", link.get_ref()));
            let hint =
                format!("the first is on line {line}; events name type and link, so the pair must be unique");
            report.add(&link.span(), fault.hint(hint));
        }
        if let (Some(serial), Ok(link)) = (raw.serial.get(), u8::try_from(*link.get_ref())) {
            let action_table = action_table(raw, *module_type, report);
            modules.push(Module { serial: *serial, module_type: *module_type, link, gateway, action_table });
        }
    }
    modules
}

/// The entries of a module's action table; reports those of outputs that it does not have.
fn action_table(raw: &raw::Module, module_type: ModuleType, report: &mut Report) -> Option<Vec<TableEntry>> {
    let Lines(lines) = raw.action_table.get()?;
    for line in lines {
        let output = line.get_ref().output.get() + 1;
        if output > module_type.outputs() {
            let fault =
                Fault::new(format!("output {output} of a module with {} outputs", module_type.outputs()));
            report.add(&line.span(), fault.hint(format!("{module_type} has no output {output}")));
        }
    }
    if let Some(line) = lines.get(ActionTable::SLOTS) {
        let fault = Fault::new(format!("an action table has {} entries at most", ActionTable::SLOTS));
        report.add(&line.span(), fault.hint("leave this one and what follows out"));
    }
    Some(lines.iter().map(|line| *line.get_ref()).collect())
}

/// The index of the gateway that is meant; reports a missing or unknown one. `whose` says who does not name it, in
/// case that is needed.
pub(super) fn gateway_of(
    entry: &Entry<Id>,
    whose: &str,
    place: &Range<usize>,
    document: &Document,
    report: &mut Report,
) -> Option<usize> {
    let gateways = elements(&document.gateways);
    let ids = || gateways.iter().filter_map(|gateway| gateway.get_ref().id.get()).map(|Id(id)| id.as_str());
    let Some(named) = entry.given() else {
        if entry.is_absent() && gateways.len() > 1 {
            let fault = Fault::new(format!("there are several gateways, and {whose}"));
            report.add(place, fault.hint(format!("add `gateway`, one of {}", listed(ids()))));
        }
        return (entry.is_absent() && gateways.len() == 1).then_some(0);
    };
    let is_named = |gateway: &Spanned<raw::Gateway>| gateway.get_ref().id.get() == Some(named.get_ref());
    let found = gateways.iter().position(is_named);
    // One of the gateways whose id is wrong may be the one.
    if found.is_none() && ids().count() == gateways.len() {
        let Id(id) = named.get_ref();
        let fault = Fault::new(format!("unknown gateway `{id}`")).meant(id, ids());
        let hint = format!("known: {}", listed(ids()));
        report.add(&named.span(), if fault.has_hint() { fault } else { fault.hint(hint) });
    }
    found
}

/// The modules as accessories see them.
struct Modules {
    /// The type is absent where it is wrong.
    types: HashMap<SerialNumber, Option<ModuleType>>,
    /// Whether all are known, so that another serial number is certainly wrong.
    complete: bool,
    /// As they are written, for suggestions.
    serials: Vec<String>,
}

impl Modules {
    fn of(entry: &Entry<List<raw::Module>>) -> Self {
        let modules = || elements(entry).iter().map(Spanned::get_ref);
        let known = modules().filter_map(|raw| Some((*raw.serial.get()?, raw.of_type.get().copied())));
        Self {
            types: known.collect(),
            complete: !entry.is_wrong() && modules().all(|raw| raw.serial.get().is_some()),
            serials: modules().filter_map(|raw| raw.serial.get()).map(ToString::to_string).collect(),
        }
    }

    /// The type of this module; reports a module that is not there.
    fn type_of(&self, serial: &Spanned<SerialNumber>, report: &mut Report) -> Option<ModuleType> {
        if let Some(module_type) = self.types.get(serial.get_ref()) {
            return *module_type;
        }
        if self.complete {
            let typed = serial.get_ref().to_string();
            let fault = Fault::new(format!("unknown module `{typed}`"));
            let fault = fault.meant(&typed, self.serials.iter().map(String::as_str));
            let hint = "every module has its own [[module]]";
            report.add(&serial.span(), if fault.has_hint() { fault } else { fault.hint(hint) });
        }
        None
    }
}

fn accessories(document: &Document, report: &mut Report) -> Vec<Accessory> {
    let modules = Modules::of(&document.modules);
    let (mut ids, mut points) = (Once::new(), Once::new());
    let mut accessories = Vec::new();
    for raw in elements(&document.accessories).iter().map(Spanned::get_ref) {
        if let Some(id) = raw.id.given() {
            let Id(text) = id.get_ref();
            ids.check(text, format_args!("the accessory id `{text}`"), &id.span(), report);
        }
        check_events(raw, report);
        let module_type = raw.module.given().and_then(|serial| modules.type_of(serial, report));
        let able = module_type.is_none_or(|module_type| check_ability(raw, module_type, report));
        if let Some(point) = point_of(raw).filter(|_| able) {
            let what = format!("output {} of `{}`", point.output, point.serial);
            points.check(point, what, &raw.output.place(), report);
            accessories.extend(accessory(raw, point));
        }
    }
    accessories
}

fn accessory(raw: &raw::Accessory, point: Point) -> Option<Accessory> {
    let Id(id) = raw.id.get()?;
    let Name(name) = raw.name.get()?;
    Some(Accessory {
        id: id.clone(),
        name: name.clone(),
        room: raw.room.get().map_or_else(String::new, |Room(room)| room.clone()),
        kind: *raw.kind.get()?,
        point,
        on_event: raw.on.get().copied(),
        off_event: raw.off.get().copied(),
    })
}

/// The output an accessory names, whether its module has it or not.
fn point_of(raw: &raw::Accessory) -> Option<Point> {
    let output = u8::try_from(*raw.output.get()?).ok().and_then(OutputIndex::new)?;
    Some(Point { serial: *raw.module.get()?, output })
}

/// Whether the module has the output; reports what an accessory wants of its module that it cannot do.
fn check_ability(raw: &raw::Accessory, module_type: ModuleType, report: &mut Report) -> bool {
    if !module_type.is_actor() {
        if let Some(serial) = raw.module.given() {
            let fault = Fault::new(format!("the {module_type} `{}` has no outputs", serial.get_ref()));
            report.add(&serial.span(), fault.hint("choose a relay or a dimmer module"));
        }
        return false;
    }
    if let (Some(AccessoryKind::Dimmer), false) = (raw.kind.get(), module_type.is_dimmable()) {
        let fault = Fault::new(format!("an {module_type} switches, it cannot be a dimmer"));
        report.add(&raw.kind.place(), fault.hint("write `light` or `outlet`"));
    }
    let count = module_type.outputs();
    let Some(output) = raw.output.given() else { return false };
    if (0..i64::from(count)).contains(output.get_ref()) {
        return true;
    }
    let fault = Fault::new(format!("an {module_type} has no output {}", output.get_ref()));
    report.add(
        &output.span(),
        fault.hint(match count {
            1 => "its one output is `0`".into(),
            count => format!("its outputs are `0` to `{}`", count - 1),
        }),
    );
    false
}

fn check_events(raw: &raw::Accessory, report: &mut Report) {
    if raw.on.get().is_some() && raw.on.get() == raw.off.get() {
        let fault = Fault::new("`on` and `off` are the same event");
        report.add(
            &raw.off.place(),
            fault.hint("one that toggles cannot be used: nobody knows what it brings"),
        );
    }
}
