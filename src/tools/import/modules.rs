//! Which modules there are: serial numbers, types, links and action tables, brought to the forms of the config.

use std::collections::{HashMap, HashSet};

use super::remark::{Place, Remarks};
use super::source::{ModuleRow, Said};
use crate::conbus::{
    ActionTable, Datapoint, DatapointValue, EventSource, ModuleType, SerialNumber, TableEntry,
};
use crate::tools::draft::DraftModule;

/// The largest link number.
const LINK_MAX: u8 = 99;

/// A module that goes into the config.
pub(super) struct Known {
    pub(super) draft: DraftModule,
    pub(super) place: Place,
    /// Whether every line of its table was understood, so that what is not in it does not happen.
    pub(super) table_complete: bool,
    /// The bridge's address, when it is told.
    pub(super) host: Option<Said>,
    pub(super) port: Option<Said>,
}

/// All modules by serial number, and what their tables do on an event.
#[derive(Default)]
pub(super) struct House {
    pub(super) modules: Vec<Known>,
    by_serial: HashMap<SerialNumber, usize>,
    effects: HashMap<EventSource, Vec<(SerialNumber, TableEntry)>>,
}

impl House {
    /// The modules of these rows.
    pub(super) fn of(rows: &[ModuleRow], remarks: &mut Remarks) -> Self {
        let mut house = Self::default();
        let mut links = Vec::new();
        for row in rows {
            let Some(serial) = row.serial.as_ref().and_then(|said| serial(said, remarks)) else {
                if row.serial.is_none() {
                    let name = row.name.as_ref().map_or("", |name| name.text.as_str());
                    remarks.left_out(row.place, format!("module `{name}`: it has no serial number"));
                }
                continue;
            };
            let Some(module_type) = module_type(row, remarks) else { continue };
            let link = row.link.as_ref().and_then(|said| link(said, remarks));
            if let Some(&at) = house.by_serial.get(&serial) {
                house.again(at, (module_type, link, links[at]), row, remarks);
                continue;
            }
            let (table, table_complete) = table(&row.table, module_type, remarks);
            let remark = row.name.as_ref().map(|name| name.text.clone()).filter(|name| !name.is_empty());
            let draft =
                DraftModule { serial, module_type, link: 0, remarks: remark.into_iter().collect(), table };
            house.by_serial.insert(serial, house.modules.len());
            links.push(link);
            house.modules.push(Known {
                draft,
                place: row.place,
                table_complete,
                host: row.host.clone(),
                port: row.port.clone(),
            });
            house.note_auto_report(row);
        }
        house.set_links(&links, remarks);
        house.set_effects();
        house
    }

    /// A module by its serial number.
    pub(super) fn module(&self, serial: SerialNumber) -> Option<&Known> {
        self.by_serial.get(&serial).map(|at| &self.modules[*at])
    }

    /// What all known tables do on a press of this input.
    pub(super) fn effects(&self, source: EventSource) -> Vec<(SerialNumber, TableEntry)> {
        let any_type = EventSource { module_type: ModuleType::ALLMOD, ..source };
        let of = |source| self.effects.get(&source).into_iter().flatten().copied();
        of(source).chain(of(any_type)).collect()
    }

    /// A module that an earlier row told of.
    fn again(
        &mut self,
        at: usize,
        (module_type, link, first_link): (ModuleType, Option<u8>, Option<u8>),
        row: &ModuleRow,
        remarks: &mut Remarks,
    ) {
        let known = &mut self.modules[at];
        let serial = known.draft.serial;
        if module_type != known.draft.module_type {
            let first = known.draft.module_type;
            remarks.left_out(
                row.place,
                format!("module {serial} is a {first} above and a {module_type} here: the first counts"),
            );
        } else if known.draft.table.is_empty() && known.table_complete && !row.table.is_empty() {
            (known.draft.table, known.table_complete) = table(&row.table, module_type, remarks);
        }
        if let (Some(first), Some(link)) = (first_link, link)
            && first != link
        {
            remarks.left_out(
                row.place,
                format!("module {serial} has link {first} above and {link} here: the first counts"),
            );
        }
        known.host = known.host.take().or_else(|| row.host.clone());
        known.port = known.port.take().or_else(|| row.port.clone());
    }

    fn note_auto_report(&mut self, row: &ModuleRow) {
        let Some(known) = self.modules.last_mut() else { return };
        let off = row.auto_report.as_ref().is_some_and(|said| {
            let value = DatapointValue::parse(Datapoint::AUTO_REPORT, said.text.as_bytes());
            value != DatapointValue::AutoReport(true)
        });
        if off && known.draft.module_type.is_actor() {
            let remark = "did not report its outputs by itself: see \"auto report\" in README.md";
            known.draft.remarks.push(remark.into());
        }
    }

    /// Links as they were told; a free one of the type where none was, or one that is taken.
    fn set_links(&mut self, told: &[Option<u8>], remarks: &mut Remarks) {
        let mut taken: HashSet<(ModuleType, u8)> = HashSet::new();
        let mut without = Vec::new();
        for (at, (known, link)) in self.modules.iter_mut().zip(told).enumerate() {
            match link.filter(|link| taken.insert((known.draft.module_type, *link))) {
                Some(link) => known.draft.link = link,
                None => without.push(at),
            }
        }
        let mut lost = HashSet::new();
        for at in without {
            let Known { draft, place, .. } = &mut self.modules[at];
            let free = (1..=LINK_MAX).find(|link| taken.insert((draft.module_type, *link)));
            let (serial, of_type) = (draft.serial, draft.module_type);
            let Some(free) = free else {
                remarks.left_out(
                    *place,
                    format!("module {serial}: there is no link left for another {of_type}"),
                );
                lost.insert(serial);
                continue;
            };
            draft.link = free;
            let text = match told[at] {
                None => {
                    format!("module {serial}: no link number is told; link {free} until it is asked (D04)")
                }
                Some(link) => format!(
                    "module {serial}: another {of_type} has link {link} too, so their events look alike; link {free} \
                     stands in, give one of them another in the vendor's tool"
                ),
            };
            draft.remarks.push(match told[at] {
                None => "guessed link: the log names the right one".into(),
                Some(link) => format!("told as link {link}, as another {of_type} is"),
            });
            remarks.guessed(*place, text);
        }
        self.modules.retain(|known| !lost.contains(&known.draft.serial));
        self.by_serial =
            self.modules.iter().enumerate().map(|(at, known)| (known.draft.serial, at)).collect();
    }

    fn set_effects(&mut self) {
        for Known { draft, .. } in &self.modules {
            for entry in &draft.table {
                self.effects.entry(entry.source).or_default().push((draft.serial, *entry));
            }
        }
    }
}

/// The ten digits; leading zeros that were lost are put back.
pub(super) fn serial(said: &Said, remarks: &mut Remarks) -> Option<SerialNumber> {
    let digits = &said.text;
    let shown: String = digits.chars().take(40).collect();
    if digits.is_empty() || digits.len() > 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        remarks.left_out(said.place, format!("`{shown}` is not a serial number, which has ten digits"));
        return None;
    }
    let serial: SerialNumber = format!("{digits:0>10}").parse().ok()?;
    if serial.is_broadcast() {
        remarks.left_out(said.place, format!("`{shown}` is no module's own serial number, it addresses all"));
        return None;
    }
    if digits.len() < 10 {
        remarks.changed(said.place, format!("serial number `{shown}` is `{serial}`: zeros were lost"));
    } else if let Some(octal) = octal(said) {
        remarks.changed(said.place, format!("`{shown}` is read as these digits, not as the octal {octal}"));
    }
    Some(serial)
}

/// The type: the code of D07 knows it better than the name, which an XP230 has from the XP130.
fn module_type(row: &ModuleRow, remarks: &mut Remarks) -> Option<ModuleType> {
    let real = |module_type: &ModuleType| {
        *module_type != ModuleType::NOMOD
            && *module_type != ModuleType::ALLMOD
            && module_type.name().is_some()
    };
    let name = row.type_name.as_ref().map_or("", |said| said.text.as_str());
    let by_name = name.to_ascii_uppercase().parse::<ModuleType>().ok().filter(real);
    let code = row.type_code.as_ref();
    let by_code = code.and_then(|said| number(said, remarks)).and_then(ModuleType::new).filter(real);
    let place = row.type_name.as_ref().or(code).map_or(row.place, |said| said.place);
    let (name, code) = (shown(name), shown(code.map_or("", |said| &said.text)));
    match (by_name, by_code) {
        (Some(named), Some(coded)) if named != coded => {
            if (named, coded) == (ModuleType::XP130, ModuleType::XP230) {
                remarks.changed(place, "an XP230 calls itself XP130; its code tells");
            } else {
                remarks.guessed(
                    place,
                    format!("the name says {named}, code {code} says {coded}: the code counts"),
                );
            }
            Some(coded)
        }
        (None, Some(coded)) => {
            if !name.is_empty() {
                remarks.changed(place, format!("type `{name}` is {coded}, by its code"));
            }
            Some(coded)
        }
        (Some(named), _) => Some(named),
        (None, None) => {
            remarks.left_out(place, format!("the module's type `{name}`, code `{code}`, is not known"));
            None
        }
    }
}

fn link(said: &Said, remarks: &mut Remarks) -> Option<u8> {
    let link = number(said, remarks).filter(|link| *link <= LINK_MAX);
    if link.is_none() {
        remarks.left_out(
            said.place,
            format!("`{}` is not a link number from 0 to {LINK_MAX}", shown(&said.text)),
        );
    }
    link
}

/// Digits as a decimal number, whatever zeros lead.
pub(super) fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The same of what a file says, with a word when another reader of YAML may take it for something else.
pub(super) fn number<T: std::str::FromStr>(said: &Said, remarks: &mut Remarks) -> Option<T> {
    let number = decimal(&said.text)?;
    let text = said.text.as_str();
    if said.plain && text.len() > 1 && text.starts_with('0') {
        let digits = text.trim_start_matches('0');
        let read = if digits.is_empty() { "0" } else { digits };
        let other = octal(said).filter(|octal| octal != read);
        let other = other.map(|octal| format!(", not as the octal {octal}"));
        remarks.changed(said.place, format!("`{text}` is read as {read}{}", other.unwrap_or_default()));
    }
    Some(number)
}

/// What YAML 1.1, which `conson-xp` reads, takes it for: without quotes, a zero in front makes a number octal.
fn octal(said: &Said) -> Option<String> {
    let is_octal = said.plain && said.text.len() > 1 && said.text.starts_with('0');
    is_octal.then(|| u64::from_str_radix(&said.text, 8).ok()).flatten().map(|octal| octal.to_string())
}

/// So much of a text as a message needs.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The entries, and whether all were understood.
fn table(lines: &[Said], module_type: ModuleType, remarks: &mut Remarks) -> (Vec<TableEntry>, bool) {
    let number = |said: &Said| said.text.split_whitespace().nth(4).and_then(decimal::<u8>);
    let zero = lines.iter().find(|said| number(said) == Some(0));
    let beyond = lines.iter().find(|said| number(said).is_some_and(|output| output >= module_type.outputs()));
    if let (Some(zero), true) = (zero, module_type.is_actor()) {
        if let Some(beyond) = beyond {
            let text = format!(
                "the action table: outputs count from 0 here and from 1 on line {}, so none is certain",
                beyond.place.line
            );
            remarks.left_out(zero.place, text);
            return (Vec::new(), false);
        }
        remarks
            .changed(zero.place, "the action table counts outputs from 0; in the config they count from 1");
    }
    let mut entries = Vec::new();
    let mut complete = true;
    for said in lines {
        match entry(&said.text, zero.is_some(), module_type) {
            Ok(entry) if entries.len() < ActionTable::SLOTS => entries.push(entry),
            Ok(_) => {
                remarks.left_out(said.place, "this entry and what follows: an action table has 96 at most");
                return (entries, false);
            }
            Err(why) => {
                complete = false;
                remarks.left_out(said.place, format!("an entry of the action table: {why}"));
            }
        }
    }
    (entries, complete)
}

fn entry(text: &str, from_zero: bool, module_type: ModuleType) -> Result<TableEntry, String> {
    let mut words: Vec<String> = text.split_whitespace().take(16).map(str::to_owned).collect();
    if let (true, Some(word)) = (from_zero, words.get_mut(4))
        && let Some(output) = decimal::<u8>(word)
    {
        *word = u16::from(output).saturating_add(1).to_string();
    }
    let entry: TableEntry = words.join(" ").parse().map_err(|error| shown(&format!("{error}")))?;
    if entry.output.get() >= module_type.outputs() {
        return Err(format!("{module_type} has no output {}", entry.output.get() + 1));
    }
    Ok(entry)
}
