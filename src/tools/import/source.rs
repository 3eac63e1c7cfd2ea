//! What the files of `conson-xp` say, in old shapes and new ones, before anything is concluded from it.
//!
//! A file is known by what is in it, not by its name (protocol reference 9).

use super::remark::{Place, Remarks};
use super::yaml::Node;

/// A text and where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    /// Without quotes: another reader might have taken it for a number.
    pub(super) plain: bool,
    pub(super) place: Place,
}

/// A module of `conson.yml`, `export.yml` or `server.yml`.
#[derive(Debug)]
pub(super) struct ModuleRow {
    pub(super) place: Place,
    pub(super) name: Option<Said>,
    pub(super) serial: Option<Said>,
    pub(super) type_name: Option<Said>,
    pub(super) type_code: Option<Said>,
    pub(super) link: Option<Said>,
    pub(super) host: Option<Said>,
    pub(super) port: Option<Said>,
    pub(super) auto_report: Option<Said>,
    pub(super) table: Vec<Said>,
}

/// An accessory of `homekit.yml`.
#[derive(Debug)]
pub(super) struct AccessoryRow {
    pub(super) place: Place,
    pub(super) name: Option<Said>,
    pub(super) serial: Option<Said>,
    /// With the number of the first output.
    pub(super) output: Option<(Said, u8)>,
    pub(super) description: Option<Said>,
    pub(super) kind: Option<Said>,
    pub(super) on: Option<Said>,
    pub(super) off: Option<Said>,
}

/// A room and the names of its accessories.
#[derive(Debug)]
pub(super) struct RoomRow {
    pub(super) name: Said,
    pub(super) members: Vec<Said>,
}

/// An address that stood in two keys.
#[derive(Debug)]
pub(super) struct AddressRow {
    pub(super) host: Option<Said>,
    pub(super) port: Option<Said>,
}

/// Everything that all files say.
#[derive(Debug, Default)]
pub(super) struct Sayings {
    pub(super) modules: Vec<ModuleRow>,
    pub(super) accessories: Vec<AccessoryRow>,
    pub(super) rooms: Vec<RoomRow>,
    /// Of `cli.yml` or `rp.yml`: where the bridge is.
    pub(super) bridge: Option<AddressRow>,
    /// Of `homekit.yml`, where nothing used it.
    pub(super) unused_bridge: Option<AddressRow>,
    /// Where its HomeKit door listened.
    pub(super) homekit: Option<AddressRow>,
    pub(super) pin: Option<Said>,
    pub(super) name: Option<Said>,
}

const MODULE_KEYS: &[&str] = &[
    "name",
    "serial_number",
    "module_type",
    "module_type_code",
    "link_number",
    "conbus_ip",
    "conbus_port",
    "auto_report_status",
    "action_table",
];
const ACCESSORY_KEYS: &[&str] = &[
    "name",
    "id",
    "serial_number",
    "module",
    "output_number",
    "output",
    "description",
    "service",
    "on_action",
    "off_action",
];
const TOP_KEYS: &[&str] =
    &["root", "modules", "devices", "conbus", "homekit", "conson", "bridge", "accessories"];
/// Files of `conson-xp` in which nothing concerns this daemon.
const OTHER_FILES: &[(&str, &str)] = &[
    ("log", "the log of conson-xp is not this daemon's: see `log.filter`"),
    ("protocol", "telegrams for its terminal program: `conbusd decode` explains them"),
    ("api", "its REST API is gone; this daemon's is [http]"),
];

/// Why nothing is taken from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stranger;

/// Takes what a file says.
pub(super) fn take(
    file: usize,
    node: &Node,
    said: &mut Sayings,
    remarks: &mut Remarks,
) -> Result<(), Stranger> {
    let mut unread = Unread { file, keys: Vec::new() };
    let is_list = !node.elements().is_empty();
    let known = |key: &str| TOP_KEYS.contains(&key) || OTHER_FILES.iter().any(|(other, _)| *other == key);
    if !is_list && !node.entries().iter().any(|(key, _)| known(key)) {
        return Err(Stranger);
    }
    let lists = [Some(node).filter(|_| is_list), node.get("root"), node.get("modules")];
    for row in lists.into_iter().flatten().flat_map(Node::elements) {
        said.modules.push(module(file, row, &mut unread, remarks));
    }
    for (serial, of_type) in node.get("devices").map(Node::entries).unwrap_or_default() {
        said.modules.push(device(file, serial, of_type));
    }
    if let Some(conbus) = node.get("conbus") {
        unread.in_map(conbus, &["ip", "port"]);
        let first = said.bridge.is_none();
        if first {
            said.bridge = Some(address(file, conbus));
        } else {
            remarks
                .left_out(Place { file, line: conbus.line }, "a second file that says where the bridge is");
        }
    }
    homekit(file, node, said, &mut unread);
    unread.in_map(node, TOP_KEYS);
    unread.tell(remarks);
    Ok(())
}

fn homekit(file: usize, node: &Node, said: &mut Sayings, unread: &mut Unread) {
    if let Some(homekit) = node.get("homekit") {
        unread.in_map(homekit, &["ip", "port", "pincode"]);
        said.homekit.get_or_insert_with(|| address(file, homekit));
        said.pin = said.pin.take().or_else(|| text_of(file, homekit, "pincode"));
    }
    if let Some(conson) = node.get("conson") {
        said.unused_bridge.get_or_insert_with(|| address(file, conson));
    }
    if let Some(bridge) = node.get("bridge") {
        unread.in_map(bridge, &["name", "rooms"]);
        said.name = said.name.take().or_else(|| text_of(file, bridge, "name"));
        for room in bridge.get("rooms").map(Node::elements).unwrap_or_default() {
            unread.in_map(room, &["name", "accessories"]);
            let Some(name) = text_of(file, room, "name") else { continue };
            let members = room.get("accessories").map(Node::elements).unwrap_or_default();
            let members = members.iter().filter_map(|member| scalar(file, member)).collect();
            said.rooms.push(RoomRow { name, members });
        }
    }
    for row in node.get("accessories").map(Node::elements).unwrap_or_default() {
        unread.in_map(row, ACCESSORY_KEYS);
        said.accessories.push(accessory(file, row));
    }
}

fn module(file: usize, row: &Node, unread: &mut Unread, remarks: &mut Remarks) -> ModuleRow {
    unread.in_map(row, MODULE_KEYS);
    let text = |key| text_of(file, row, key);
    let table = row.get("action_table");
    if let Some(odd) = table.filter(|table| table.text().is_some_and(|text| !text.is_empty())) {
        let place = Place { file, line: odd.line };
        remarks.changed(place, "the action table is a text: read as one entry a line");
    }
    let lines = table.into_iter().flat_map(|table| match table.text() {
        Some(text) => text
            .lines()
            .map(|line| Said {
                text: line.trim().into(),
                plain: true,
                place: Place { file, line: table.line },
            })
            .collect(),
        None => table.elements().iter().filter_map(|entry| scalar(file, entry)).collect::<Vec<_>>(),
    });
    ModuleRow {
        place: Place { file, line: row.line },
        name: text("name"),
        serial: text("serial_number"),
        type_name: text("module_type"),
        type_code: text("module_type_code"),
        link: text("link_number"),
        host: text("conbus_ip"),
        port: text("conbus_port"),
        auto_report: text("auto_report_status"),
        table: lines.filter(|line| !line.text.is_empty()).collect(),
    }
}

/// The old shape of `server.yml`: a serial number and a type, nothing else.
fn device(file: usize, serial: &str, of_type: &Node) -> ModuleRow {
    let place = Place { file, line: of_type.line };
    ModuleRow {
        place,
        name: None,
        serial: Some(Said { text: serial.to_owned(), plain: false, place }),
        type_name: scalar(file, of_type),
        type_code: None,
        link: None,
        host: None,
        port: None,
        auto_report: None,
        table: Vec::new(),
    }
}

fn accessory(file: usize, row: &Node) -> AccessoryRow {
    let text = |key| text_of(file, row, key);
    // The oldest files say `module` and `output`, and count outputs from 1 as the names of their rows do.
    let output = text("output_number").map(|said| (said, 0)).or_else(|| text("output").map(|said| (said, 1)));
    AccessoryRow {
        place: Place { file, line: row.line },
        name: text("name").or_else(|| text("id")),
        serial: text("serial_number").or_else(|| text("module")),
        output,
        description: text("description"),
        kind: text("service"),
        on: text("on_action"),
        off: text("off_action"),
    }
}

fn address(file: usize, node: &Node) -> AddressRow {
    AddressRow { host: text_of(file, node, "ip"), port: text_of(file, node, "port") }
}

fn text_of(file: usize, node: &Node, key: &str) -> Option<Said> {
    scalar(file, node.get(key)?)
}

fn scalar(file: usize, node: &Node) -> Option<Said> {
    let super::yaml::Value::Scalar { text, plain } = &node.value else { return None };
    Some(Said { text: text.trim().to_owned(), plain: *plain, place: Place { file, line: node.line } })
}

/// Keys that are not read, each with its line.
struct Unread {
    file: usize,
    keys: Vec<(usize, String)>,
}

impl Unread {
    fn in_map(&mut self, node: &Node, read: &[&str]) {
        let unread =
            node.entries().iter().filter(|(key, value)| !value.is_null() && !read.contains(&key.as_str()));
        self.keys.extend(unread.map(|(key, value)| (value.line, key.clone())));
    }

    fn tell(self, remarks: &mut Remarks) {
        for (line, key) in self.keys {
            let shown: String = key.chars().take(60).collect();
            remarks.left_out(Place { file: self.file, line }, format!("`{shown}`: {}", why_unread(&key)));
        }
    }
}

fn why_unread(key: &str) -> &'static str {
    if let Some((_, why)) = OTHER_FILES.iter().find(|(other, _)| *other == key) {
        return why;
    }
    match key {
        "module_number" | "sw_version" | "hw_version" | "module_type_real" | "sw_top_version"
        | "temperature" | "voltage" => "the daemon asks the module",
        "enabled" | "hap_accessory" => "only the emulator of conson-xp, or nothing, used it",
        "timeout" | "queue_delay_max" => "the daemon has its own pace",
        "accessory_state_file" => {
            "pairings cannot be taken over: remove the old bridge in Apple Home and pair anew"
        }
        "toggle_action" => "the daemon commands a state, it does not toggle",
        "dimup_action" | "dimdown_action" | "levelup_action" | "leveldown_action" => {
            "brightness is commanded directly"
        }
        _ if key.contains("msaction_table") => "the module has it, the daemon does not need it",
        _ if key.starts_with("module_") => "a snapshot of that day: the daemon asks the module",
        _ => "nothing here corresponds to it",
    }
}
