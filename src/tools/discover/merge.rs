//! What was found, added to a config that is there: nothing is deleted, no name is touched, every line stays.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::findings::{Entry, Findings, accessories, entries};
use crate::conbus::SerialNumber;
use crate::config::{self, Config, GatewayAddress, Report};
use crate::tools::draft::{DraftModule, quoted};

/// Why nothing was merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The file has mistakes, or what came of it has.
    #[error("{0}")]
    Mistakes(Box<Report>),
    /// Nobody can say to which bridge the modules belong.
    #[error(
        "the config has several gateways and none has the address `{address}`; write it as one's `address`, or merge into \
         another file"
    )]
    WhichGateway {
        /// Host and port.
        address: String,
    },
}

/// What came of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Merged {
    pub(super) text: String,
    /// What was done, and what was seen and left.
    pub(super) words: Vec<String>,
}

/// Adds what is new to the text of a config.
pub(super) fn merge(
    file: &str,
    text: &str,
    address: &str,
    findings: &Findings,
) -> Result<Merged, MergeError> {
    let mistakes = |report| MergeError::Mistakes(Box::new(report));
    let config = config::parse(file, text, Path::new("")).map_err(mistakes)?;
    let gateway = gateway(&config, address)?;
    let mut words = Vec::new();
    let mut merged = with_links(text, &config, findings, &mut words);
    let known: HashSet<SerialNumber> = config.modules.iter().map(|module| module.serial).collect();
    let new: Findings =
        findings.iter().filter(|(serial, _)| !known.contains(serial)).map(|(s, f)| (*s, f.clone())).collect();
    let taken: Vec<_> = config.modules.iter().map(|module| (module.module_type, module.link)).collect();
    let (new, left_out) = entries(&new, &taken);
    words.extend(left_out.into_iter().map(|text| format!("left out: {text}")));
    let bare = bare_modules(&config, findings);
    let mut added = String::new();
    if config.gateways.is_empty() {
        let _ = write!(added, "\n[[gateway]]\nid = \"home\"\naddress = {}\n", quoted(address));
        words.push(format!("added the gateway {address}"));
    }
    let mut ids: HashSet<String> = config.accessories.iter().map(|accessory| accessory.id.clone()).collect();
    for Entry { module, accessories } in new.iter().chain(&bare) {
        let is_new = !known.contains(&module.serial);
        if is_new {
            let _ = write!(added, "\n{module}");
            if let Some(id) = &gateway {
                let _ = writeln!(added, "gateway = {}", quoted(id));
            }
        }
        let what = if is_new { "module " } else { "accessories of " };
        words.push(format!("added {what}{} ({} {})", module.serial, module.module_type, module.link));
        for accessory in accessories {
            let mut accessory = accessory.clone();
            if !ids.insert(accessory.id.clone()) {
                accessory.id = format!("{}_{}", module.serial, accessory.point.output.get());
                ids.insert(accessory.id.clone());
            }
            let _ = write!(added, "\n{accessory}");
        }
    }
    if !added.is_empty() {
        if !merged.ends_with('\n') {
            merged.push('\n');
        }
        merged.push_str("\n# Added by `conbusd discover --merge`.\n");
        merged.push_str(&added);
    }
    words.extend(missing(&config, findings));
    config::parse(file, &merged, Path::new("")).map_err(mistakes)?;
    Ok(Merged { text: merged, words })
}

/// The id that new modules name, where they have to.
fn gateway(config: &Config, address: &str) -> Result<Option<String>, MergeError> {
    if config.gateways.len() < 2 {
        return Ok(None);
    }
    let wanted: Option<GatewayAddress> = address.parse().ok();
    let of_address = config.gateways.iter().find(|gateway| Some(&gateway.address) == wanted.as_ref());
    let of_address = of_address.ok_or_else(|| MergeError::WhichGateway { address: address.to_owned() })?;
    Ok(Some(of_address.id.clone()))
}

/// Modules of the file that nobody has given an accessory: they get one for each output.
fn bare_modules(config: &Config, findings: &Findings) -> Vec<Entry> {
    let used: HashSet<SerialNumber> =
        config.accessories.iter().map(|accessory| accessory.point.serial).collect();
    let bare = config.modules.iter().filter(|module| {
        module.module_type.is_actor()
            && findings.contains_key(&module.serial)
            && !used.contains(&module.serial)
    });
    bare.map(|module| {
        let module = DraftModule {
            serial: module.serial,
            module_type: module.module_type,
            link: module.link,
            remarks: Vec::new(),
            table: Vec::new(),
        };
        Entry { accessories: accessories(&module), module }
    })
    .collect()
}

/// What is in the file and did not answer, or answered otherwise.
fn missing(config: &Config, findings: &Findings) -> Vec<String> {
    let mut words = Vec::new();
    for module in &config.modules {
        let (serial, of_type) = (module.serial, module.module_type);
        match findings.get(&serial) {
            None => words.push(format!(
                "{serial} ({of_type} {}) is in the file and did not answer; it stays",
                module.link
            )),
            Some(found) if found.module_type.is_some_and(|told| told != of_type) => {
                let told = found.module_type.map(|told| told.to_string()).unwrap_or_default();
                words.push(format!(
                    "{serial} is a {of_type} in the file and calls itself {told}; it stays as it is"
                ));
            }
            Some(_) => {}
        }
    }
    words
}

/// The text with the link numbers that the modules tell, where the new ones are free of each other.
fn with_links(text: &str, config: &Config, findings: &Findings, words: &mut Vec<String>) -> String {
    let mut corrected = text.to_owned();
    let Ok(table) = DeTable::parse(text) else { return corrected };
    let mut edits = Vec::new();
    if let Some(DeValue::Array(modules)) = table.get_ref().get("module").map(toml::Spanned::get_ref) {
        for (module, of_file) in modules.iter().zip(&config.modules) {
            let told = findings.get(&of_file.serial).and_then(|found| found.link);
            let place = module.get_ref().get("link").map(toml::Spanned::span);
            let (Some(told), Some(place)) = (told, place) else { continue };
            let taken = config.modules.iter().any(|other| {
                other.gateway == of_file.gateway
                    && other.module_type == of_file.module_type
                    && other.link == told
            });
            if told == of_file.link {
                continue;
            }
            let (serial, of_type, link) = (of_file.serial, of_file.module_type, of_file.link);
            if taken {
                words.push(format!(
                    "{serial} has link {told}, which another {of_type} of the file has; {link} stays"
                ));
            } else if text.get(place.clone()).is_some() {
                words.push(format!("{serial} has link {told}, not {link}: corrected"));
                edits.push((place, told));
            }
        }
    }
    // From the end, so that earlier places stay where they are.
    edits.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    for (place, link) in edits {
        corrected.replace_range(place, &link.to_string());
    }
    corrected
}
