//! Which accessories there are: outputs that people use, with their names, rooms, kinds and events.
//!
//! An accessory whose events the module's own table proves to be plain ON and OFF of its output loses them: the
//! direct command does the same and is acknowledged. One whose events drive other outputs is no lamp but a scene for
//! each event; a second one on an output is a group of the first, so that its name and room live on.

use std::collections::{HashMap, HashSet};

use super::modules::{House, Known, number, serial, shown};
use super::remark::{Place, Remarks};
use super::source::{AccessoryRow, RoomRow, Said};
use crate::conbus::{Action, EventSource, OutputIndex, Point, SerialNumber, TableEntry};
use crate::policy::AccessoryKind;
use crate::tools::draft::{DraftAccessory, DraftGroup, DraftScene};

/// As many characters as the config allows for names and ids.
const CHARS_MAX: usize = 64;

/// What people see.
#[derive(Default)]
pub(super) struct Lamps {
    pub(super) accessories: Vec<DraftAccessory>,
    pub(super) groups: Vec<DraftGroup>,
    pub(super) scenes: Vec<DraftScene>,
    /// What is said of accessories that are not there.
    pub(super) left_out: Vec<String>,
}

/// An accessory before it is known whether its output is free.
struct Candidate {
    draft: DraftAccessory,
    place: Place,
    proved: bool,
}

/// What one event does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    /// The module's own table has it as the plain action of this output, and no known table has more.
    Plain,
    /// It toggles: nobody knows what it brings.
    Toggle,
    /// Something else with this output alone.
    Own,
    /// Other outputs as well.
    Wide(usize),
    /// No known table tells.
    Unknown,
}

impl Lamps {
    /// The accessories of these rows.
    pub(super) fn of(rows: &[AccessoryRow], rooms: &[RoomRow], house: &House, remarks: &mut Remarks) -> Self {
        let mut lamps = Self::default();
        let rooms = rooms_by_member(rows, rooms, remarks);
        let mut candidates = Vec::new();
        let mut ids = Ids::default();
        for row in rows {
            let stated = name_of(row);
            match Thing::of(row, &rooms, house, remarks) {
                Ok(Thing::Lamp(mut candidate)) => {
                    candidate.draft.id = ids.of(row, &candidate.draft.name, remarks);
                    candidates.push(candidate);
                }
                Ok(Thing::Scene(draft)) => lamps.call(row, draft, &mut ids, remarks),
                Err(why) => {
                    let text = format!("accessory `{}`: {why}", shown(&stated));
                    lamps.left_out.push(text.clone());
                    remarks.left_out(row.place, text);
                }
            }
        }
        lamps.settle(&candidates, remarks);
        lamps
    }

    /// One accessory an output: the proved one, or the first. The others are groups of it.
    fn settle(&mut self, candidates: &[Candidate], remarks: &mut Remarks) {
        let mut winners: HashMap<Point, usize> = HashMap::new();
        for (at, candidate) in candidates.iter().enumerate() {
            let best = winners.entry(candidate.draft.point).or_insert(at);
            if candidate.proved && !candidates[*best].proved {
                *best = at;
            }
        }
        for (at, Candidate { draft, place, .. }) in candidates.iter().enumerate() {
            let winner = winners[&draft.point];
            if winner == at {
                self.accessories.push(draft.clone());
                continue;
            }
            let Point { serial, output } = draft.point;
            let why = format!(
                "output {} of {serial} is already `{}`, and an output has one accessory",
                output.get(),
                candidates[winner].draft.name
            );
            remarks.changed(*place, format!("accessory `{}`: {why}: it is a group of that one", draft.name));
            self.groups.push(DraftGroup {
                id: draft.id.clone(),
                name: draft.name.clone(),
                room: draft.room.clone(),
                members: vec![candidates[winner].draft.id.clone()],
                remarks: vec![format!("{why}.")],
            });
        }
    }

    /// A scene for each of its events; the one for "on" is called as it was.
    fn call(&mut self, row: &AccessoryRow, pseudo: Pseudo, ids: &mut Ids, remarks: &mut Remarks) {
        let Pseudo { name, room, why, events } = pseudo;
        let name = if name.is_empty() { events[0].1.to_string() } else { name };
        let id = ids.of(row, &name, remarks);
        let mut told = Vec::new();
        for (at, (word, event)) in events.iter().enumerate() {
            let (id, name) = match at {
                0 => (id.clone(), name.clone()),
                _ => (ids.free(format!("{}_{word}", cut(&id))), format!("{} ({word})", cut(&name))),
            };
            told.push(format!("`{id}`, which sends {event}"));
            self.scenes.push(DraftScene {
                id,
                name,
                room: room.clone(),
                event: *event,
                remarks: vec![format!("`{word}_action` of an accessory that was no lamp: {why}.")],
            });
        }
        let what = if told.len() == 1 { "a scene" } else { "scenes" };
        let text = format!("accessory `{name}`: {why}: {what}, {}; state unknown", told.join(" and "));
        remarks.changed(row.place, text);
    }
}

/// What an accessory of `conson-xp` turns out to be.
enum Thing {
    Lamp(Candidate),
    Scene(Pseudo),
}

/// An accessory that is no lamp: its events drive other outputs, or its module has none.
struct Pseudo {
    name: String,
    room: String,
    why: String,
    /// One at least, each once, with the word for what it was there.
    events: Vec<(&'static str, EventSource)>,
}

impl Thing {
    fn of(
        row: &AccessoryRow,
        rooms: &HashMap<String, String>,
        house: &House,
        remarks: &mut Remarks,
    ) -> Result<Self, String> {
        let said = row.serial.as_ref().ok_or("it names no module")?;
        let serial = serial(said, remarks).ok_or("its serial number is none")?;
        let module = house.module(serial).ok_or_else(|| {
            format!("its module {serial} is in none of the files: import conson.yml or export.yml with it")
        })?;
        let on = event(row.on.as_ref(), "on_action", remarks);
        let off = event(row.off.as_ref(), "off_action", remarks);
        let name = line(&row.description.as_ref().map_or_else(|| name_of(row), |said| said.text.clone()));
        let room = rooms.get(&name_of(row)).cloned().unwrap_or_default();
        let of_type = module.draft.module_type;
        let pseudo = |why: String| {
            let off = off.filter(|off| on != Some(*off));
            let events: Vec<_> = [("on", on), ("off", off)]
                .into_iter()
                .filter_map(|(word, event)| Some((word, event?)))
                .collect();
            if events.is_empty() {
                return Err(format!("{why}, and it has no events"));
            }
            Ok(Self::Scene(Pseudo { name: name.clone(), room: room.clone(), why, events }))
        };
        if !of_type.is_actor() {
            return pseudo(format!("the {of_type} {serial} has no outputs, so it is no lamp"));
        }
        let point = Point { serial, output: output(row, module, remarks)? };
        let meanings = [meaning(on, Action::ON, point, house), meaning(off, Action::OFF, point, house)];
        let wide = meanings.iter().find_map(|meaning| match meaning {
            Meaning::Wide(count) => Some(*count),
            _ => None,
        });
        if let Some(count) = wide {
            return pseudo(format!("its events drive {count} outputs"));
        }
        let kind = kind(row, module, remarks);
        let mut draft =
            DraftAccessory { id: String::new(), name, room, kind, point, on, off, remarks: Vec::new() };
        if draft.name.is_empty() {
            draft.name = format!("{of_type} {} output {}", module.draft.link, point.output.get());
            remarks.guessed(row.place, format!("an accessory without a name is `{}`", draft.name));
        }
        let proved = meanings == [Meaning::Plain, Meaning::Plain];
        judge_events(&mut draft, &meanings, row, remarks);
        Ok(Self::Lamp(Candidate { draft, place: row.place, proved }))
    }
}

/// Keeps the events that may be a fallback, drops those that are not needed or not safe.
fn judge_events(
    draft: &mut DraftAccessory,
    meanings: &[Meaning; 2],
    row: &AccessoryRow,
    remarks: &mut Remarks,
) {
    let place = row.on.as_ref().map_or(row.place, |said| said.place);
    let (Some(on), Some(off)) = (draft.on, draft.off) else {
        if draft.on.take().or(draft.off.take()).is_some() {
            remarks.left_out(place, "one event alone: the direct command is used");
        }
        return;
    };
    if *meanings == [Meaning::Plain, Meaning::Plain] {
        let output = draft.point.output.get();
        let text = format!(
            "{on} and {off} are plain ON and OFF of output {output} in the module's table: the direct command replaces them"
        );
        remarks.changed(place, text);
    } else if on == off || meanings.contains(&Meaning::Toggle) {
        remarks.left_out(place, format!("{on} and {off}: one toggles; the direct command is used"));
    } else {
        if meanings.contains(&Meaning::Unknown) {
            draft.remarks.push("its events are in no table that was imported".into());
            remarks.guessed(
                place,
                format!(
                    "{on} and {off} are in no known table: kept, for a module that refuses direct commands"
                ),
            );
        }
        return;
    }
    (draft.on, draft.off) = (None, None);
}

fn meaning(event: Option<EventSource>, plain: Action, point: Point, house: &House) -> Meaning {
    let Some(event) = event else { return Meaning::Unknown };
    let effects = house.effects(event);
    let targets: HashSet<(SerialNumber, OutputIndex)> =
        effects.iter().map(|(serial, entry)| (*serial, entry.output)).collect();
    let own = (point.serial, point.output);
    if targets.iter().any(|target| *target != own) {
        return Meaning::Wide(targets.len());
    }
    let complete = house.module(point.serial).is_some_and(|module| module.table_complete);
    match effects.as_slice() {
        [] => Meaning::Unknown,
        [(_, TableEntry { action, parameter, inverted: false, .. })]
            if complete && *action == plain && parameter.get() == 0 =>
        {
            Meaning::Plain
        }
        all if all.iter().any(|(_, entry)| entry.action == Action::TOGGLE) => Meaning::Toggle,
        _ => Meaning::Own,
    }
}

fn event(said: Option<&Said>, key: &str, remarks: &mut Remarks) -> Option<EventSource> {
    let said = said.filter(|said| !said.text.is_empty())?;
    let stem = EventSource::parse_stem(&said.text.to_ascii_uppercase());
    if stem.is_none() {
        let text = format!("{key} `{}` is not the stem of an event, as `E02L04I01` is", shown(&said.text));
        remarks.left_out(said.place, text);
    }
    stem
}

fn output(row: &AccessoryRow, module: &Known, remarks: &mut Remarks) -> Result<OutputIndex, String> {
    let (said, first) = row.output.as_ref().ok_or("it names no output")?;
    let of_type = module.draft.module_type;
    let none = || format!("the {of_type} {} has no output `{}`", module.draft.serial, shown(&said.text));
    let number =
        number::<u8>(said, remarks).and_then(|number| number.checked_sub(*first)).ok_or_else(none)?;
    if *first == 1 {
        remarks.changed(said.place, format!("`output` counts from 1: it is output {number}"));
    }
    OutputIndex::new(number).filter(|_| number < of_type.outputs()).ok_or_else(none)
}

fn kind(row: &AccessoryRow, module: &Known, remarks: &mut Remarks) -> AccessoryKind {
    let Some(said) = &row.kind else {
        remarks.guessed(row.place, "no `service` is told: a light");
        return AccessoryKind::Light;
    };
    let of_type = module.draft.module_type;
    match said.text.to_ascii_lowercase().as_str() {
        "outlet" => AccessoryKind::Outlet,
        "dimminglight" if of_type.is_dimmable() => AccessoryKind::Dimmer,
        "dimminglight" => {
            remarks.changed(said.place, format!("an {of_type} switches: a light, not a dimmer"));
            AccessoryKind::Light
        }
        "light" | "lightbulb" => AccessoryKind::Light,
        _ => {
            remarks.guessed(said.place, format!("`{}` is taken for a light", shown(&said.text)));
            AccessoryKind::Light
        }
    }
}

fn name_of(row: &AccessoryRow) -> String {
    row.name.as_ref().map_or_else(String::new, |said| said.text.clone())
}

/// A name as the config allows it: one line, not too long.
pub(in crate::tools) fn line(text: &str) -> String {
    let flat: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    flat.trim().chars().take(CHARS_MAX).collect::<String>().trim_end().to_owned()
}

/// So much of a name or an id that a few letters fit behind it.
fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(CHARS_MAX - 8).map_or(text.len(), |(at, _)| at);
    text[..end].trim_end()
}

/// The room of each accessory by the accessory's name.
fn rooms_by_member(
    rows: &[AccessoryRow],
    rooms: &[RoomRow],
    remarks: &mut Remarks,
) -> HashMap<String, String> {
    let names: HashSet<String> = rows.iter().map(name_of).collect();
    let mut found: HashMap<String, String> = HashMap::new();
    for room in rooms {
        let name = line(&room.name.text);
        if name != room.name.text {
            remarks.changed(room.name.place, format!("the room is called `{name}`"));
        }
        for member in &room.members {
            let shown = shown(&member.text);
            if !names.contains(&member.text) {
                remarks.left_out(member.place, format!("room `{name}`: there is no accessory `{shown}`"));
            } else if let Some(first) = found.get(&member.text) {
                remarks.left_out(member.place, format!("`{shown}` is already in room `{first}`"));
            } else {
                found.insert(member.text.clone(), name.clone());
            }
        }
    }
    found
}

/// Ids that were given, each once.
#[derive(Default)]
struct Ids {
    taken: HashSet<String>,
    next: HashMap<String, usize>,
}

impl Ids {
    fn of(&mut self, row: &AccessoryRow, name: &str, remarks: &mut Remarks) -> String {
        let stated = name_of(row);
        let wanted = if stated.is_empty() { slug(name) } else { slug(&stated) };
        let wanted = if wanted.is_empty() { "accessory".to_owned() } else { wanted };
        let id = self.free(wanted);
        if id != stated {
            let place = row.name.as_ref().map_or(row.place, |said| said.place);
            remarks.changed(place, format!("accessory `{}` has the id `{id}`", shown(&stated)));
        }
        id
    }

    fn free(&mut self, wanted: String) -> String {
        if self.taken.insert(wanted.clone()) {
            return wanted;
        }
        loop {
            let next = self.next.entry(wanted.clone()).or_insert(1);
            *next += 1;
            let stem: String = wanted.chars().take(CHARS_MAX - 8).collect();
            let id = format!("{stem}_{next}");
            if self.taken.insert(id.clone()) {
                return id;
            }
        }
    }
}

/// Letters, digits, `_` and `-`; accents of western Europe are taken off, other letters become `_`.
pub(in crate::tools) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.trim().chars() {
        let plain = match letter {
            'à'..='å' | 'À'..='Å' => "a",
            'ç' | 'Ç' => "c",
            'è'..='ë' | 'È'..='Ë' => "e",
            'ì'..='ï' | 'Ì'..='Ï' => "i",
            'ñ' | 'Ñ' => "n",
            'ò'..='ö' | 'ø' | 'Ò'..='Ö' | 'Ø' => "o",
            'ù'..='ü' | 'Ù'..='Ü' => "u",
            'ý' | 'ÿ' => "y",
            'ß' => "ss",
            'æ' | 'Æ' => "ae",
            'œ' | 'Œ' => "oe",
            letter if letter.is_ascii_alphanumeric() || letter == '-' => {
                slug.push(letter);
                continue;
            }
            _ if slug.ends_with('_') || slug.is_empty() => continue,
            _ => "_",
        };
        slug.push_str(plain);
    }
    slug.truncate(CHARS_MAX);
    slug.trim_end_matches('_').to_owned()
}
