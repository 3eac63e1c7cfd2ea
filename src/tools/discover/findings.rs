//! What a survey comes to: a table for people, an object for programs, a house for the config, and what is unusual.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::survey::Found;
use crate::conbus::{ActionTable, Datapoint, ModuleType, OutputIndex, Point, SerialNumber};
use crate::policy::AccessoryKind;
use crate::tools::draft::{Draft, DraftAccessory, DraftModule};

/// Everything that was found, by serial number.
pub(in crate::tools) type Findings = BTreeMap<SerialNumber, Found>;

/// A type of the registry that can stand in a config.
fn known_type(found: &Found) -> Option<ModuleType> {
    let real = |module_type: &ModuleType| {
        module_type.name().is_some()
            && *module_type != ModuleType::NOMOD
            && *module_type != ModuleType::ALLMOD
    };
    found.module_type.filter(real)
}

/// Modules with outputs that do not report them by themselves.
pub(super) fn not_reporting(findings: &Findings) -> Vec<SerialNumber> {
    let silent = |found: &Found| {
        found.auto_report == Some(false) && found.module_type.is_some_and(ModuleType::is_actor)
    };
    findings.iter().filter(|(_, found)| silent(found)).map(|(serial, _)| *serial).collect()
}

/// What somebody should look at, with the commands that help; `address` is the gateway's.
pub(super) fn unusual(address: &str, findings: &Findings) -> Vec<String> {
    let mut said = Vec::new();
    let mut first: BTreeMap<(ModuleType, u8), SerialNumber> = BTreeMap::new();
    for (serial, found) in findings {
        if found.unanswered.contains(&Datapoint::TYPE_CODE) && found.module_type.is_none() {
            said.push(format!(
                "{serial} answers the broadcast and no read: ask again; it may be too far, or going off"
            ));
            continue;
        }
        match found.module_type {
            Some(module_type) if known_type(found).is_none() => {
                said.push(format!(
                    "{serial} has the unknown type code {}: send it with a bug report",
                    module_type.code()
                ));
            }
            None => said.push(format!("{serial} does not tell its type")),
            Some(_) => said.extend(unusual_in(address, *serial, found)),
        }
        if let Some(code) = found.error_code.filter(|code| *code != 0) {
            said.push(format!("{serial} tells the fault code {code:02X}"));
        }
        if let (Some(module_type), Some(link)) = (found.module_type, found.link)
            && let Some(other) = first.insert((module_type, link), *serial)
        {
            said.push(format!(
                "{other} and {serial} are both {module_type} with link {link}: their events look alike; give one another \
                 link number in the vendor's tool"
            ));
        }
        if !found.unanswered.is_empty() {
            let missed: Vec<String> = found.unanswered.iter().map(ToString::to_string).collect();
            said.push(format!("{serial} left reads unanswered: {}", missed.join(", ")));
        }
    }
    said
}

fn unusual_in(address: &str, serial: SerialNumber, found: &Found) -> Vec<String> {
    let mut said = Vec::new();
    let Some(module_type) = found.module_type.filter(|module_type| module_type.is_actor()) else {
        return said;
    };
    if found.auto_report == Some(false) {
        said.push(format!(
            "{serial} does not report its outputs (auto report is off), so switches show late: \
             `conbusd discover --gateway {address} --enable-auto-report` switches it on"
        ));
    }
    let factory = ActionTable::factory(module_type).crc();
    let factory = DatapointCrc::of(factory);
    if found.table_crc.is_some() && found.table_crc == factory {
        said.push(format!("{serial} has the action table of the factory: no button of this house drives it"));
    }
    if found.link.is_none() {
        said.push(format!("{serial} does not tell its link number, so its events are not known"));
    }
    said
}

/// The number that eight letters of D14 stand for.
struct DatapointCrc;

impl DatapointCrc {
    fn of(letters: [u8; 8]) -> Option<u32> {
        use crate::conbus::DatapointValue;
        match DatapointValue::parse(Datapoint::TABLE_CRC, &letters) {
            DatapointValue::Crc(crc) => Some(crc),
            _ => None,
        }
    }
}

/// One line a module.
pub(super) fn table(findings: &Findings) -> String {
    let mut text =
        format!("{:<12}{:<9}{:>4}  {:>7}  {:<7}  software\n", "serial", "type", "link", "outputs", "reports");
    for (serial, found) in findings {
        let of_type = found.module_type.map_or_else(|| "?".into(), |module_type| module_type.to_string());
        let link = found.link.map_or_else(|| "?".into(), |link| link.to_string());
        let actor = found.module_type.is_some_and(ModuleType::is_actor);
        let outputs = found.module_type.map_or(0, ModuleType::outputs);
        let reports = match found.auto_report.filter(|_| actor) {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        let software = printable(found.names[2].as_deref().unwrap_or("?"));
        let serial = serial.to_string();
        let _ = writeln!(text, "{serial:<12}{of_type:<9}{link:>4}  {outputs:>7}  {reports:<7}  {software}");
    }
    text
}

/// A bus may say anything; a terminal must not obey it.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// The same for programs.
pub(super) fn object(address: &str, findings: &Findings) -> Value {
    let modules: Vec<Value> = findings
        .iter()
        .map(|(serial, found)| {
            json!({
                "serial": serial,
                "type": found.module_type.and_then(ModuleType::name),
                "type_code": found.module_type.map(ModuleType::code),
                "link": found.link,
                "module_number": found.number,
                "outputs": found.module_type.map_or(0, ModuleType::outputs),
                "type_name": found.names[0],
                "hardware_version": found.names[1],
                "software_version": found.names[2],
                "auto_report": found.auto_report,
                "error_code": found.error_code,
                "action_table_crc": found.table_crc.map(|crc| format!("{crc:08X}")),
            })
        })
        .collect();
    json!({ "gateway": address, "modules": modules, "unusual": unusual(address, findings) })
}

/// A module of the config with an accessory for each output.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tools) struct Entry {
    pub(in crate::tools) module: DraftModule,
    pub(in crate::tools) accessories: Vec<DraftAccessory>,
}

/// What of the findings can stand in a config, and a word on what cannot. `taken` are links that others have.
pub(in crate::tools) fn entries(
    findings: &Findings,
    taken: &[(ModuleType, u8)],
) -> (Vec<Entry>, Vec<String>) {
    let mut taken: Vec<(ModuleType, u8)> = taken.to_vec();
    let (mut entries, mut left_out) = (Vec::new(), Vec::new());
    for (serial, found) in findings {
        let Some(module_type) = known_type(found) else {
            left_out.push(format!("module {serial}: its type is not known"));
            continue;
        };
        let mut remarks = Vec::new();
        let told = found.link.filter(|link| !taken.contains(&(module_type, *link)));
        let free = || (1..=99).find(|link| !taken.contains(&(module_type, *link)));
        let Some(link) = told.or_else(free) else {
            left_out.push(format!("module {serial}: there is no link left for another {module_type}"));
            continue;
        };
        match found.link {
            None => remarks.push("it did not tell its link number: this one is guessed".into()),
            Some(own) if own != link => {
                remarks.push(format!(
                    "it has link {own}, as another {module_type}; give one another in the vendor's tool"
                ));
            }
            Some(_) => {}
        }
        if found.auto_report == Some(false) && module_type.is_actor() {
            remarks.push("it does not report its outputs by itself".into());
        }
        taken.push((module_type, link));
        let module = DraftModule { serial: *serial, module_type, link, remarks, table: Vec::new() };
        entries.push(Entry { accessories: accessories(&module), module });
    }
    (entries, left_out)
}

/// An accessory for each output, named after both.
pub(in crate::tools) fn accessories(module: &DraftModule) -> Vec<DraftAccessory> {
    let DraftModule { serial, module_type, link, .. } = module;
    let kind = if module_type.is_dimmable() { AccessoryKind::Dimmer } else { AccessoryKind::Light };
    OutputIndex::first(module_type.outputs())
        .map(|output| DraftAccessory {
            id: format!("{}_{link}_{}", module_type.to_string().to_lowercase(), output.get()),
            name: format!("{module_type} {link} output {}", output.get()),
            room: String::new(),
            kind,
            point: Point { serial: *serial, output },
            on: None,
            off: None,
            remarks: Vec::new(),
        })
        .collect()
}

/// A config of its own.
pub(in crate::tools) fn draft(address: &str, findings: &Findings) -> Draft {
    let (entries, left_out) = entries(findings, &[]);
    let mut draft = Draft {
        opening: vec![
            "Made by `conbusd discover`: the modules that answered, an accessory for each output.".into(),
            "Give them names and rooms; the ids may stay. `conbusd discover --merge` adds what is new later."
                .into(),
        ],
        address: address.to_owned(),
        left_out,
        ..Draft::default()
    };
    for Entry { module, accessories } in entries {
        draft.modules.push(module);
        draft.accessories.extend(accessories);
    }
    draft
}
