//! A config file being written: the parts of a house, as TOML with a word beside what is not obvious.

use std::fmt;

use crate::conbus::{EventSource, ModuleType, Point, SerialNumber, TableEntry};
use crate::policy::AccessoryKind;

/// A file that holds one gateway and its house.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Draft {
    /// What is said at the top.
    pub(super) opening: Vec<String>,
    /// The name of the installation; the default when absent.
    pub(super) name: Option<String>,
    /// `host:port`, or `emulator`.
    pub(super) address: String,
    /// What is said of the address.
    pub(super) address_remark: Option<String>,
    /// What is on the bus.
    pub(super) modules: Vec<DraftModule>,
    /// What people see.
    pub(super) accessories: Vec<DraftAccessory>,
    /// Several of them as one, or one by another name.
    pub(super) groups: Vec<DraftGroup>,
    /// Events behind a switch.
    pub(super) scenes: Vec<DraftScene>,
    /// What is not there, and why.
    pub(super) left_out: Vec<String>,
    /// The HomeKit door.
    pub(super) homekit: Option<DraftHomeKit>,
}

/// A `[[module]]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DraftModule {
    pub(super) serial: SerialNumber,
    pub(super) module_type: ModuleType,
    pub(super) link: u8,
    /// What is said of it.
    pub(super) remarks: Vec<String>,
    pub(super) table: Vec<TableEntry>,
}

/// An `[[accessory]]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DraftAccessory {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) room: String,
    pub(super) kind: AccessoryKind,
    pub(super) point: Point,
    pub(super) on: Option<EventSource>,
    pub(super) off: Option<EventSource>,
    /// What is said of it.
    pub(super) remarks: Vec<String>,
}

/// A `[[group]]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DraftGroup {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) room: String,
    /// The ids of accessories of the draft.
    pub(super) members: Vec<String>,
    /// What is said of it.
    pub(super) remarks: Vec<String>,
}

/// A `[[scene]]` that is an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DraftScene {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) room: String,
    pub(super) event: EventSource,
    /// What is said of it.
    pub(super) remarks: Vec<String>,
}

/// `[homekit]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DraftHomeKit {
    /// Address and port.
    pub(super) listen: String,
    /// The setup code.
    pub(super) pin: Option<String>,
    /// What is said of it.
    pub(super) remarks: Vec<String>,
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A comment line; what a comment cannot hold becomes a space.
fn comment(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let safe: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    writeln!(f, "{}", format!("# {safe}").trim_end())
}

fn comments(f: &mut fmt::Formatter<'_>, texts: &[String]) -> fmt::Result {
    texts.iter().try_for_each(|text| comment(f, text))
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        comments(f, &self.opening)?;
        if let Some(name) = &self.name {
            writeln!(f, "\n[service]\nname = {}", quoted(name))?;
        }
        writeln!(f, "\n# The bridge between the bus and the network. It serves one client: this daemon.")?;
        self.address_remark.iter().try_for_each(|remark| comment(f, remark))?;
        writeln!(f, "[[gateway]]\nid = \"home\"\naddress = {}", quoted(&self.address))?;
        self.modules.iter().try_for_each(|module| write!(f, "\n{module}"))?;
        self.accessories.iter().try_for_each(|accessory| write!(f, "\n{accessory}"))?;
        self.groups.iter().try_for_each(|group| write!(f, "\n{group}"))?;
        self.scenes.iter().try_for_each(|scene| write!(f, "\n{scene}"))?;
        if !self.left_out.is_empty() {
            writeln!(f, "\n# Left out:")?;
            comments(f, &self.left_out)?;
        }
        writeln!(f, "\n# The HTTP door: JSON API, events and health, for this machine alone.")?;
        writeln!(f, "[http]\nlisten = \"127.0.0.1:8480\"")?;
        if let Some(homekit) = &self.homekit {
            writeln!(
                f,
                "\n# The HomeKit door: `conbusd homekit qr` shows the code that Apple Home asks for."
            )?;
            comments(f, &homekit.remarks)?;
            writeln!(f, "[homekit]\nlisten = {}", quoted(&homekit.listen))?;
            homekit.pin.iter().try_for_each(|pin| writeln!(f, "pin = {}", quoted(pin)))?;
        }
        Ok(())
    }
}

impl fmt::Display for DraftModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        comments(f, &self.remarks)?;
        writeln!(
            f,
            "[[module]]\nserial = \"{}\"\ntype = \"{}\"\nlink = {}",
            self.serial, self.module_type, self.link
        )?;
        if self.table.is_empty() {
            return Ok(());
        }
        writeln!(f, "action_table = [")?;
        self.table.iter().try_for_each(|entry| writeln!(f, "    \"{entry}\","))?;
        writeln!(f, "]")
    }
}

/// Id, name and room, as every accessory has them.
fn face(f: &mut fmt::Formatter<'_>, section: &str, [id, name, room]: [&str; 3]) -> fmt::Result {
    writeln!(f, "[[{section}]]\nid = \"{id}\"\nname = {}", quoted(name))?;
    if room.is_empty() { Ok(()) } else { writeln!(f, "room = {}", quoted(room)) }
}

impl fmt::Display for DraftGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        comments(f, &self.remarks)?;
        face(f, "group", [&self.id, &self.name, &self.room])?;
        let members: Vec<String> = self.members.iter().map(|id| quoted(id)).collect();
        writeln!(f, "members = [{}]", members.join(", "))
    }
}

impl fmt::Display for DraftScene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        comments(f, &self.remarks)?;
        face(f, "scene", [&self.id, &self.name, &self.room])?;
        writeln!(f, "event = \"{}\"", self.event)
    }
}

impl fmt::Display for DraftAccessory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        comments(f, &self.remarks)?;
        face(f, "accessory", [&self.id, &self.name, &self.room])?;
        let Point { serial, output } = self.point;
        writeln!(f, "kind = \"{}\"\nmodule = \"{serial}\"\noutput = {}", self.kind.word(), output.get())?;
        self.on.iter().try_for_each(|event| writeln!(f, "on = \"{event}\""))?;
        self.off.iter().try_for_each(|event| writeln!(f, "off = \"{event}\""))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::conbus::OutputIndex;
    use crate::config;

    #[test]
    fn what_is_written_is_what_the_config_reads() {
        let serial: SerialNumber = "0012345004".parse().unwrap();
        let table: Vec<TableEntry> =
            vec!["CP20 4 0 > 1 ON".parse().unwrap(), "XP20 2 7 > 4 ~OFF 3".parse().unwrap()];
        let point = Point { serial, output: OutputIndex::new(2).unwrap() };
        let accessory = DraftAccessory {
            id: "lamp".into(),
            name: "Say \"hi\" \\ 'n' é".into(),
            room: "Salle à manger".into(),
            kind: AccessoryKind::Outlet,
            point,
            on: EventSource::parse_stem("E02L04I02"),
            off: EventSource::parse_stem("E02L04I06"),
            remarks: vec!["two\nlines \u{1}".into()],
        };
        let module = DraftModule {
            serial,
            module_type: ModuleType::XP24,
            link: 4,
            remarks: vec!["A4".into()],
            table: table.clone(),
        };
        let draft = Draft {
            opening: vec!["Said at the top.".into()],
            name: Some("Maison".into()),
            address: "emulator".into(),
            modules: vec![module],
            accessories: vec![accessory],
            left_out: vec!["a \u{7f} thing".into()],
            homekit: Some(DraftHomeKit { listen: "127.0.0.1:51826".into(), pin: None, remarks: vec![] }),
            ..Draft::default()
        };
        let config = config::parse("draft", &draft.to_string(), Path::new("")).unwrap();
        assert_eq!(config.service.name, "Maison");
        assert_eq!(config.modules[0].action_table.as_ref(), Some(&table));
        let read = &config.accessories[0];
        assert_eq!(
            (read.name.as_str(), read.room.as_str(), read.point),
            ("Say \"hi\" \\ 'n' é", "Salle à manger", point)
        );
        assert_eq!(read.on_event, EventSource::parse_stem("E02L04I02"));
    }
}
