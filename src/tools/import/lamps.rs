//! Which accessories there are: outputs that people use, with their names, rooms, kinds and events.
//!
//! An accessory whose events the module's own table proves to be plain ON and OFF of its output loses them: the
//! direct command does the same and is acknowledged. One whose events drive other outputs is no lamp but a scene.

use std::collections::{HashMap, HashSet};

use super::modules::{House, Known, decimal, serial, shown};
use super::remark::{Place, Remarks};
use super::source::{AccessoryRow, RoomRow, Said};
use crate::conbus::{Action, EventSource, OutputIndex, Point, SerialNumber, TableEntry};
use crate::policy::AccessoryKind;
use crate::tools::draft::DraftAccessory;

/// As many characters as the config allows for names and ids.
const CHARS_MAX: usize = 64;

/// What the events of an accessory drive besides its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scene {
    pub(super) name: String,
    pub(super) place: Place,
    /// Its events, with the words for what they were there.
    pub(super) events: Vec<(&'static str, EventSource)>,
    pub(super) why: String,
}

/// What people see.
#[derive(Default)]
pub(super) struct Lamps {
    pub(super) accessories: Vec<DraftAccessory>,
    pub(super) scenes: Vec<Scene>,
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
            match lamps.candidate(row, &rooms, house, remarks) {
                Ok(Some(mut candidate)) => {
                    candidate.draft.id = ids.of(row, &candidate.draft.name, remarks);
                    candidates.push(candidate);
                }
                Ok(None) => {}
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

    /// One accessory an output: the proved one, or the first.
    fn settle(&mut self, candidates: &[Candidate], remarks: &mut Remarks) {
        let mut winners: HashMap<Point, usize> = HashMap::new();
        for (at, candidate) in candidates.iter().enumerate() {
            let best = winners.entry(candidate.draft.point).or_insert(at);
            if candidate.proved && !candidates[*best].proved {
                *best = at;
            }
        }
        for (at, candidate) in candidates.iter().enumerate() {
            let Candidate { draft, place, .. } = candidate;
            let winner = winners[&draft.point];
            if winner == at {
                self.accessories.push(draft.clone());
                continue;
            }
            let Point { serial, output } = draft.point;
            let text = format!(
                "accessory `{}`: output {} of {serial} is already `{}`, and an output has one",
                draft.name,
                output.get(),
                candidates[winner].draft.name
            );
            self.left_out.push(text.clone());
            remarks.left_out(*place, text);
        }
    }

    fn candidate(
        &mut self,
        row: &AccessoryRow,
        rooms: &HashMap<String, String>,
        house: &House,
        remarks: &mut Remarks,
    ) -> Result<Option<Candidate>, String> {
        let said = row.serial.as_ref().ok_or("it names no module")?;
        let serial = serial(said, remarks).ok_or("its serial number is none")?;
        let module = house.module(serial).ok_or_else(|| {
            format!("its module {serial} is in none of the files: import conson.yml or export.yml with it")
        })?;
        let on = event(row.on.as_ref(), "on_action", remarks);
        let off = event(row.off.as_ref(), "off_action", remarks);
        let name = line(&row.description.as_ref().map_or_else(|| name_of(row), |said| said.text.clone()));
        let of_type = module.draft.module_type;
        if !of_type.is_actor() {
            let why = format!("the {of_type} {serial} has no outputs, so it is no lamp");
            return self.scene(row, (name, why), [("on", on), ("off", off)], remarks).map(|()| None);
        }
        let point = Point { serial, output: output(row, module, remarks)? };
        let meanings = [meaning(on, Action::ON, point, house), meaning(off, Action::OFF, point, house)];
        if let Some(Meaning::Wide(count)) =
            meanings.iter().find(|meaning| matches!(meaning, Meaning::Wide(_)))
        {
            let why = format!("its events drive {count} outputs");
            return self.scene(row, (name, why), [("on", on), ("off", off)], remarks).map(|()| None);
        }
        let mut draft = DraftAccessory {
            id: String::new(),
            room: rooms.get(&name_of(row)).cloned().unwrap_or_default(),
            kind: kind(row, module, remarks),
            name,
            point,
            on,
            off,
            remarks: Vec::new(),
        };
        if draft.name.is_empty() {
            draft.name = format!("{of_type} {} output {}", module.draft.link, point.output.get());
            remarks.guessed(row.place, format!("an accessory without a name is `{}`", draft.name));
        }
        let proved = meanings == [Meaning::Plain, Meaning::Plain];
        judge_events(&mut draft, &meanings, row, remarks);
        Ok(Some(Candidate { draft, place: row.place, proved }))
    }

    /// Notes something that is a scene; an error when no event of it is known.
    fn scene(
        &mut self,
        row: &AccessoryRow,
        (name, why): (String, String),
        events: [(&'static str, Option<EventSource>); 2],
        remarks: &mut Remarks,
    ) -> Result<(), String> {
        let events: Vec<_> = events.into_iter().filter_map(|(word, event)| Some((word, event?))).collect();
        if events.is_empty() {
            return Err(format!("{why}, and it has no events"));
        }
        let told: Vec<String> = events.iter().map(|(word, event)| format!("{word} {event}")).collect();
        let text =
            format!("accessory `{name}`: {why}: a scene by events ({}), state unknown", told.join(", "));
        self.left_out.push(text.clone());
        remarks.left_out(row.place, text);
        self.scenes.push(Scene { name, place: row.place, events, why });
        Ok(())
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
    let number = decimal::<u8>(&said.text).and_then(|number| number.checked_sub(*first)).ok_or_else(none)?;
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
