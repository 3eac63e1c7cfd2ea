//! `conbusd import`: a config from the files of `conson-xp`, with a word on everything that is not as it was.
//!
//! Text in, text out: what the files say (`source`), which modules and accessories that makes (`modules`, `lamps`),
//! and the draft of a config, which is checked before anybody sees it. Only [`run`] touches files.

mod lamps;
mod modules;
mod remark;
mod source;
mod yaml;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use remark::Verdict;

pub(super) use self::lamps::{line, slug};

use self::lamps::Lamps;
use self::modules::{House, number, shown};
use self::remark::{Place, Remark, Remarks};
use self::source::{AddressRow, Sayings};
use super::draft::{Draft, DraftHomeKit};
use super::writing::{self, WriteError};
use crate::conbus::ModuleType;
use crate::config::{self, GatewayAddress, Report};

/// No file of `conson-xp` comes near.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The port of bridges as they are delivered (protocol reference 7.1).
const BRIDGE_PORT: u16 = 10001;
/// What `conson-xp` listened on unless told otherwise.
const HOMEKIT_PORT: u16 = 51826;

/// What is wanted of an import.
#[derive(Clone, Debug)]
pub struct Order {
    /// The files of `conson-xp`.
    pub files: Vec<PathBuf>,
    /// The config to be written; `-` is the standard output.
    pub out: PathBuf,
    /// Whether a file that is there may be replaced.
    pub force: bool,
    /// Whether the setup code is taken over.
    pub with_pin: bool,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {why}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says, or that it is too large.
        why: String,
    },
    /// A file is not UTF-8 text.
    #[error("{file}:{line}: this is not UTF-8 text; save the file as UTF-8")]
    NotText {
        /// Which file.
        file: String,
        /// The first line that is none.
        line: usize,
    },
    /// A file is not YAML, or more of it than any house needs.
    #[error("{file}:{why}")]
    NotYaml {
        /// Which file.
        file: String,
        /// Line and fault.
        why: String,
    },
    /// A file of something else.
    #[error(
        "`{file}` is no file of conson-xp that has a house in it: expected a list of modules, `devices`, `conbus`, \
         `homekit`, `bridge` or `accessories` at its top"
    )]
    Stranger {
        /// Which file.
        file: String,
    },
    /// What came of it is not a config.
    #[error(
        "what came of these files is not accepted, so nothing is written; correct them, or report it:\n{0}"
    )]
    NotAccepted(Box<Report>),
    /// The config cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What came of an import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The config, which `conbusd check` accepts.
    pub text: String,
    /// Everything that was changed, guessed or left out: what, and the whole line with file and line number.
    pub remarks: Vec<(Verdict, String)>,
    /// How many modules, accessories, groups and scenes it has.
    pub counts: [usize; 4],
}

/// Reads the files, writes the config, and tells `told` what is not as it was.
pub fn run(order: &Order, told: &mut dyn Write) -> Result<(), ImportError> {
    let files: Result<Vec<_>, _> = order.files.iter().map(|path| read(path)).collect();
    let imported = convert(&files?, order.with_pin)?;
    writing::write_new(&order.out, &imported.text, order.force)?;
    // Whoever closed the error output still has the file.
    let _ = tell(&imported, &order.out, told);
    Ok(())
}

fn read(path: &Path) -> Result<(String, Vec<u8>), ImportError> {
    let unreadable = |why: String| ImportError::Unreadable { path: path.to_owned(), why };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|cause| unreadable(cause.to_string()))?;
    let mut file = file.take(FILE_BYTES_MAX + 1);
    file.read_to_end(&mut bytes).map_err(|cause| unreadable(cause.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!(
            "it is larger than {FILE_BYTES_MAX} bytes, as no file of conson-xp is"
        )));
    }
    Ok((path.display().to_string(), bytes))
}

fn tell(imported: &Imported, out: &Path, told: &mut dyn Write) -> io::Result<()> {
    for (_, line) in &imported.remarks {
        writeln!(told, "{line}")?;
    }
    let count = |wanted| imported.remarks.iter().filter(|(verdict, _)| *verdict == wanted).count();
    writeln!(
        told,
        "{}: {}; {} changed, {} guessed, {} left out",
        out.display(),
        counted(imported.counts),
        count(Verdict::Changed),
        count(Verdict::Guessed),
        count(Verdict::LeftOut),
    )
}

/// The config that these files make: each with its name and its bytes.
pub fn convert(files: &[(String, Vec<u8>)], with_pin: bool) -> Result<Imported, ImportError> {
    let (mut said, mut remarks) = (Sayings::default(), Remarks::default());
    for (at, (file, bytes)) in files.iter().enumerate() {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
            ImportError::NotText { file: file.clone(), line }
        })?;
        let node = yaml::read(text)
            .map_err(|error| ImportError::NotYaml { file: file.clone(), why: error.to_string() })?;
        match node {
            Some(node) => source::take(at, &node, &mut said, &mut remarks)
                .map_err(|source::Stranger| ImportError::Stranger { file: file.clone() })?,
            None => remarks.left_out(Place { file: at, line: 0 }, "the file is empty"),
        }
    }
    let draft = draft(&said, files, with_pin, &mut remarks);
    let text = draft.to_string();
    config::parse("config.toml", &text, Path::new(""))
        .map_err(|report| ImportError::NotAccepted(Box::new(report)))?;
    let remarks = remarks.sorted().into_iter().map(|remark| (remark.verdict, with_file(&remark, files)));
    let counts = [draft.modules.len(), draft.accessories.len(), draft.groups.len(), draft.scenes.len()];
    Ok(Imported { text, remarks: remarks.collect(), counts })
}

/// What there are none of is told of modules and accessories only.
fn counted([modules, accessories, groups, scenes]: [usize; 4]) -> String {
    let more = [("groups", groups), ("scenes", scenes)];
    more.iter()
        .filter(|(_, count)| *count > 0)
        .fold(format!("{modules} modules, {accessories} accessories"), |text, (what, count)| {
            format!("{text}, {count} {what}")
        })
}

fn with_file(remark: &Remark, files: &[(String, Vec<u8>)]) -> String {
    let Remark { place: Place { file, line }, verdict, text } = remark;
    let file = files.get(*file).map_or("", |(name, _)| name.as_str());
    let safe: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match line {
        0 => format!("{file}: {verdict}: {safe}"),
        line => format!("{file}:{line}: {verdict}: {safe}"),
    }
}

fn draft(said: &Sayings, files: &[(String, Vec<u8>)], with_pin: bool, remarks: &mut Remarks) -> Draft {
    let house = House::of(&said.modules, remarks);
    let lamps = Lamps::of(&said.accessories, &said.rooms, &house, remarks);
    let (address, address_remark) = bridge(said, &house, remarks);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let name = said.name.as_ref().map(|said| line(&said.text)).filter(|name| !name.is_empty());
    Draft {
        opening: vec![
            format!("Made by `conbusd import` from {}.", names.join(", ")),
            "`conbusd check` accepts it. With `address = \"emulator\"` the same house runs emulated, to try it.".into(),
        ],
        name,
        address,
        address_remark,
        homekit: homekit(said, with_pin, remarks),
        accessories: lamps.accessories,
        groups: lamps.groups,
        scenes: lamps.scenes,
        left_out: lamps.left_out,
        modules: house.modules.into_iter().map(|known| known.draft).collect(),
    }
}

/// Where the bridge is: as `cli.yml` says, or the modules, or as nobody says.
fn bridge(said: &Sayings, house: &House, remarks: &mut Remarks) -> (String, Option<String>) {
    if let Some(address) = said.bridge.as_ref().and_then(|row| address(row, remarks)) {
        return (address, None);
    }
    let mut bridges: Vec<_> = house
        .modules
        .iter()
        .filter(|known| known.draft.module_type.is_bridge() && known.host.is_some())
        .collect();
    bridges.sort_by_key(|known| known.draft.module_type != ModuleType::XP230);
    for known in &bridges {
        let row = AddressRow { host: known.host.clone(), port: known.port.clone() };
        if let Some(address) = address(&row, remarks) {
            let (serial, of_type) = (known.draft.serial, known.draft.module_type);
            let others = if bridges.len() > 1 { ", one of several bridges" } else { "" };
            remarks
                .guessed(known.place, format!("the bridge is the {of_type} {serial} at {address}{others}"));
            return (address, Some(format!("Guessed: the {of_type} {serial}, as no cli.yml was there.")));
        }
    }
    if let Some(row) = &said.unused_bridge
        && let Some(address) = address(row, remarks)
    {
        let place = row.host.as_ref().map_or(Place { file: 0, line: 0 }, |host| host.place);
        remarks.guessed(place, format!("the bridge is at {address}, though conson-xp did not use this line"));
        return (address, Some("Guessed: as `conson` in homekit.yml says, as no cli.yml was there.".into()));
    }
    let text = "no file says where the bridge is: `address = \"emulator\"` runs the house emulated until you write it";
    remarks.guessed(Place { file: 0, line: 0 }, text);
    (
        GatewayAddress::Emulator.to_string(),
        Some(
            "Write the address of your bridge, as \"192.168.1.17:10001\" or \"xp230-<serial>.local:10001\"."
                .into(),
        ),
    )
}

fn address(row: &AddressRow, remarks: &mut Remarks) -> Option<String> {
    let host = row.host.as_ref()?;
    let port = match &row.port {
        None => BRIDGE_PORT,
        Some(said) => number(said, remarks).unwrap_or_else(|| {
            remarks.guessed(said.place, format!("`{}` is not a port: {BRIDGE_PORT}", shown(&said.text)));
            BRIDGE_PORT
        }),
    };
    let text = match host.text.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{}:{port}", host.text),
    };
    match text.parse::<GatewayAddress>() {
        Ok(address) => Some(address.to_string()),
        Err(fault) => {
            remarks.left_out(host.place, format!("the bridge's address: {fault}"));
            None
        }
    }
}

fn homekit(said: &Sayings, with_pin: bool, remarks: &mut Remarks) -> Option<DraftHomeKit> {
    let row = said.homekit.as_ref()?;
    let mut notes =
        vec!["`conson-xp` had its own pairing: remove its bridge in Apple Home, then pair this one.".into()];
    let ip = row.host.as_ref().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |host| {
        host.text.parse().unwrap_or_else(|_| {
            let text = format!("`{}` is not an IP address: every network is listened on", shown(&host.text));
            remarks.guessed(host.place, text);
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        })
    });
    if !ip.is_unspecified() && !ip.is_loopback() {
        notes.push(
            "An address of this machine; on another machine write its own, or 0.0.0.0 for every network."
                .into(),
        );
    }
    let port = row.port.as_ref().map_or(HOMEKIT_PORT, |said| {
        number(said, remarks).unwrap_or_else(|| {
            remarks.guessed(said.place, format!("`{}` is not a port: {HOMEKIT_PORT}", shown(&said.text)));
            HOMEKIT_PORT
        })
    });
    let pin = said.pin.as_ref().and_then(|pin| {
        let good = config::parse(
            "",
            &format!("[homekit]\npin = {}\n", super::draft::quoted(&pin.text)),
            Path::new(""),
        );
        let why = match (with_pin, good) {
            (true, Ok(_)) => return Some(pin.text.clone()),
            (true, Err(_)) => "`pincode`: HomeKit refuses it; a new code is made",
            (false, _) => "`pincode`: a secret; a new one is made, unless `--with-pin` takes it over",
        };
        remarks.left_out(pin.place, why);
        None
    });
    Some(DraftHomeKit { listen: SocketAddr::new(ip, port).to_string(), pin, remarks: notes })
}

#[cfg(test)]
mod tests;
