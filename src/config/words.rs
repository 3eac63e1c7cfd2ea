//! What stands between quotes: how each kind of text is read, and what a good one looks like.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::address::{Broker, GatewayAddress};
use super::checked::{Access, Network, Pin};
use super::entry::{Kind, List, Word, listed};
use super::raw::Step;
use super::report::{Fault, Report, closest, quoted};
use crate::conbus::{EntryError, EventSource, ModuleType, SerialNumber, TableEntry};
use crate::policy::AccessoryKind;

/// HomeKit and MQTT limit names; no person needs longer ones.
const NAME_CHARS_MAX: usize = 64;
/// Ids become parts of paths and topics.
const ID_CHARS_MAX: usize = 64;
/// A topic of this length and the parts below it stay far from MQTT's limit.
const TOPIC_CHARS_MAX: usize = 128;
/// The longest path of common systems.
const PATH_BYTES_MAX: usize = 4096;
/// What the kernel allows.
const INTERFACE_BYTES_MAX: usize = 15;
/// Longer filters are accidents.
const FILTER_CHARS_MAX: usize = 1024;
/// No duration needs more characters.
const DURATION_CHARS_MAX: usize = 64;
/// The level words of the logger.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A name for people.
#[derive(Clone, Debug)]
pub(super) struct Name(pub(super) String);

impl Word for Name {
    const WHAT: &'static str = "a name";
    const EXAMPLE: &'static str = "`\"Salon ceiling\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.trim().is_empty() {
            return Err(Fault::new("the name is empty"));
        }
        Ok(Self(short_line(text, NAME_CHARS_MAX)?))
    }
}

/// The name of a room; unlike other names it may be empty.
#[derive(Clone, Debug)]
pub(super) struct Room(pub(super) String);

impl Word for Room {
    const WHAT: &'static str = "the name of a room";
    const EXAMPLE: &'static str = "`\"Salon\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        Ok(Self(short_line(text, NAME_CHARS_MAX)?))
    }
}

fn short_line(text: &str, chars_max: usize) -> Result<String, Fault> {
    let count = text.chars().count();
    if count > chars_max {
        let fault = Fault::new(format!("the text is {count} characters long"));
        return Err(fault.hint(format!("at most {chars_max}")));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::new("the text holds a control character").hint("write it on one line"));
    }
    Ok(text.into())
}

/// A stable key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(pub(super) String);

impl Word for Id {
    const WHAT: &'static str = "an id";
    const EXAMPLE: &'static str = "`\"salon_ceiling\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if text.is_empty() || text.len() > ID_CHARS_MAX || !text.bytes().all(allowed) {
            let fault = Fault::new(format!("{} is not an id", quoted(text)));
            return Err(fault.hint(format!("1 to {ID_CHARS_MAX} letters, digits, `_` and `-`")));
        }
        Ok(Self(text.into()))
    }
}

/// The path of a file or folder, as written.
#[derive(Clone, Debug)]
pub(super) struct FilePath(pub(super) PathBuf);

impl Word for FilePath {
    const WHAT: &'static str = "a path";
    const EXAMPLE: &'static str = "`\"state\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.trim().is_empty() {
            return Err(Fault::new("the path is empty"));
        }
        if text.len() > PATH_BYTES_MAX || text.contains('\0') {
            return Err(Fault::new("no file can have this path"));
        }
        Ok(Self(text.into()))
    }
}

impl Word for Duration {
    const WHAT: &'static str = "a duration";
    const EXAMPLE: &'static str = "`\"30s\"`, `\"500ms\"` or `\"2m\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = || Fault::new(format!("{} is not a duration", quoted(text)));
        if text.len() > DURATION_CHARS_MAX {
            return Err(fault());
        }
        let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if bare {
            let hint = format!("with its unit: `{text}s` for seconds, `{text}ms` for milliseconds");
            return Err(fault().hint(hint));
        }
        humantime::parse_duration(text).map_err(|_| fault())
    }
}

impl Word for SerialNumber {
    const WHAT: &'static str = "a serial number";
    const EXAMPLE: &'static str = "`\"0012345004\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let serial: Self = text.parse().map_err(|_| {
            let fault = Fault::new(format!("{} is not a serial number", quoted(text)));
            fault.hint("exactly ten digits, as on the module: `0012345004`")
        })?;
        if serial.is_broadcast() {
            let fault = Fault::new(format!("`{serial}` addresses every module, it is no module's own"));
            return Err(fault.hint("write the ten digits on the module"));
        }
        Ok(serial)
    }
}

impl Word for ModuleType {
    const WHAT: &'static str = "a module type";
    const EXAMPLE: &'static str = "`\"XP24\"` or `\"XP33LED\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let real = |module_type: &Self| *module_type != Self::NOMOD && *module_type != Self::ALLMOD;
        text.parse().ok().filter(real).ok_or_else(|| {
            let names = Self::all().filter(real).filter_map(Self::name);
            Fault::new(format!("unknown module type {}", quoted(text))).meant(text, names)
        })
    }
}

impl Word for AccessoryKind {
    const WHAT: &'static str = "a kind of accessory";
    const EXAMPLE: &'static str = "`\"light\"`, `\"outlet\"` or `\"dimmer\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        one_of(text, "kind", &Self::ALL, Self::word)
    }
}

impl Word for Access {
    const WHAT: &'static str = "an access";
    const EXAMPLE: &'static str = "`\"full\"`, `\"no-write\"` or `\"listen\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        one_of(text, "access", &Self::ALL, Self::word)
    }
}

/// The value with this word.
fn one_of<T: Copy>(text: &str, what: &str, all: &[T], word: fn(T) -> &'static str) -> Result<T, Fault> {
    all.iter().copied().find(|value| word(*value) == text).ok_or_else(|| {
        let words = || all.iter().map(|value| word(*value));
        let fault = Fault::new(format!("unknown {what} {}", quoted(text)));
        let known = listed(words());
        match closest(text, words()) {
            Some(meant) => fault.hint(format!("did you mean `{meant}`? known: {known}")),
            None => fault.hint(format!("known: {known}")),
        }
    })
}

/// A list of texts.
#[derive(Debug)]
pub(super) struct Lines<T>(pub(super) List<T>);

impl<T: Word> Kind for Lines<T> {
    fn read(value: &Spanned<DeValue<'_>>, title: &str, report: &mut Report) -> Option<Self> {
        if let DeValue::Array(_) = value.get_ref() {
            return List::read(value, title, report).map(Self);
        }
        let fault = Fault::new(format!("{title} is a list of entries in quotes"));
        report.add(&value.span(), fault.hint(format!("such as `[{}]`", T::EXAMPLE.trim_matches('`'))));
        None
    }
}

/// The ids of members, one text each.
#[derive(Debug)]
pub(super) struct Ids(pub(super) List<Id>);

impl Kind for Ids {
    fn read(value: &Spanned<DeValue<'_>>, title: &str, report: &mut Report) -> Option<Self> {
        listed_only(value, title, "such as `[\"salon_ceiling\", \"salon_spots\"]`", report)?;
        List::read(value, title, report).map(Self)
    }
}

/// What a scene wants, one table for each accessory.
#[derive(Debug)]
pub(super) struct Steps(pub(super) List<Step>);

impl Kind for Steps {
    fn read(value: &Spanned<DeValue<'_>>, title: &str, report: &mut Report) -> Option<Self> {
        listed_only(value, title, "such as `[{ accessory = \"salon_ceiling\", on = false }]`", report)?;
        List::read(value, title, report).map(Self)
    }
}

/// Reports what is no list.
fn listed_only(value: &Spanned<DeValue<'_>>, title: &str, hint: &str, report: &mut Report) -> Option<()> {
    if let DeValue::Array(_) = value.get_ref() {
        return Some(());
    }
    report.add(&value.span(), Fault::new(format!("{title} is a list")).hint(hint));
    None
}

impl Word for TableEntry {
    const WHAT: &'static str = "an entry of an action table";
    const EXAMPLE: &'static str = "`\"CP20 4 0 > 1 ON\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|error: EntryError| match error {
            EntryError::Output(zero) if zero == "0" => {
                Fault::new("`0` is not an output").hint("outputs of action tables count from 1")
            }
            error => Fault::new(error.to_string()),
        })
    }
}

impl Word for EventSource {
    const WHAT: &'static str = "an event";
    const EXAMPLE: &'static str = "`\"E02L04I01\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        if let Some(source) = Self::parse_stem(text) {
            return Ok(source);
        }
        let fault = Fault::new(format!("{} is not the stem of an event", quoted(text)));
        let upper = text.to_ascii_uppercase();
        let stem = upper.get(..9).filter(|stem| Self::parse_stem(stem).is_some());
        Err(fault.hint(match stem {
            Some(stem) if text.len() > 9 => format!("without what follows the input: `{stem}`"),
            Some(stem) => format!("did you mean `{stem}`?"),
            None => "type, link and input of a sender, two digits each: `E02L04I01`".into(),
        }))
    }
}

impl Word for GatewayAddress {
    const WHAT: &'static str = "an address";
    const EXAMPLE: &'static str = "`\"192.168.1.17:10001\"` or `\"emulator\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        text.parse()
    }
}

impl Word for Broker {
    const WHAT: &'static str = "the url of a broker";
    const EXAMPLE: &'static str = "`\"mqtt://127.0.0.1:1883\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        text.parse()
    }
}

impl Word for SocketAddr {
    const WHAT: &'static str = "an IP address and a port";
    const EXAMPLE: &'static str = "`\"127.0.0.1:8480\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        if let Ok(address) = text.parse() {
            return Ok(address);
        }
        let fault = Fault::new(format!("{} is not an IP address and a port", quoted(text)));
        if text.parse::<IpAddr>().is_ok() {
            return Err(fault.hint("the port is missing"));
        }
        Err(match text.rsplit_once(':') {
            Some(("localhost" | "", port)) if port.parse::<u16>().is_ok() => {
                fault.hint(format!("for this machine alone: `127.0.0.1:{port}`"))
            }
            Some(("*", port)) if port.parse::<u16>().is_ok() => {
                fault.hint(format!("for every network: `0.0.0.0:{port}`"))
            }
            _ => fault,
        })
    }
}

impl Word for Network {
    const WHAT: &'static str = "an address or a network";
    const EXAMPLE: &'static str = "`\"192.168.1.0/24\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = || Fault::new(format!("{} is not an address or a network", quoted(text)));
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| fault())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits: u8 = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= all).ok_or_else(fault)?,
            None => all,
        };
        let network = Self { address: first_of(address, bits), bits };
        if network.address != address {
            let fault = Fault::new(format!("{} has bits beyond its first {bits}", quoted(text)));
            return Err(fault.hint(format!("did you mean `{}/{bits}`, or `{address}`?", network.address)));
        }
        Ok(network)
    }
}

/// The first address of those that share these bits.
fn first_of(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

impl Word for IpAddr {
    const WHAT: &'static str = "an IP address";
    const EXAMPLE: &'static str = "`\"192.168.1.5\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let address =
            text.parse().map_err(|_| Fault::new(format!("{} is not an IP address", quoted(text))))?;
        if Self::is_unspecified(&address) {
            return Err(Fault::new("no phone can reach this address").hint("write one of this machine's own"));
        }
        Ok(address)
    }
}

/// The name of a network interface.
#[derive(Clone, Debug)]
pub(super) struct Interface(pub(super) String);

impl Word for Interface {
    const WHAT: &'static str = "a network interface";
    const EXAMPLE: &'static str = "`\"eth0\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let is_name = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        if text.is_empty() || text.len() > INTERFACE_BYTES_MAX || !text.bytes().all(is_name) {
            return Err(Fault::new(format!("{} is not a network interface", quoted(text)))
                .hint("a name that `ip link` shows, as `eth0`"));
        }
        Ok(Self(text.into()))
    }
}

impl Word for Pin {
    const WHAT: &'static str = "a HomeKit setup code";
    const EXAMPLE: &'static str = "`\"ddd-dd-ddd\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
        let shape: Vec<u8> =
            text.bytes().map(|byte| if byte.is_ascii_digit() { b'd' } else { byte }).collect();
        if shape != b"ddd-dd-ddd" {
            return Err(Fault::new("this is not a setup code").hint("eight digits as `ddd-dd-ddd`"));
        }
        let uniform = digits.iter().all(|digit| *digit == digits[0]);
        if uniform || digits == b"12345678" || digits == b"87654321" {
            return Err(Fault::new("HomeKit refuses this setup code, it is too easy to guess")
                .hint("choose other digits, or leave the line out: one is made"));
        }
        Ok(Self(text.into()))
    }
}

/// A name that a broker knows.
#[derive(Clone, Debug)]
pub(super) struct User(pub(super) String);

impl Word for User {
    const WHAT: &'static str = "a user name";
    const EXAMPLE: &'static str = "`\"conbusd\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::new("the user name is empty"));
        }
        Ok(Self(short_line(text, NAME_CHARS_MAX)?))
    }
}

/// The beginning of MQTT topics.
#[derive(Clone, Debug)]
pub(super) struct Topic(pub(super) String);

impl Word for Topic {
    const WHAT: &'static str = "a topic";
    const EXAMPLE: &'static str = "`\"conbus\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = Fault::new(format!("{} cannot begin topics", quoted(text)));
        if text.contains(['+', '#', '\0']) {
            return Err(fault.hint("`+` and `#` are wildcards"));
        }
        if text.starts_with('$') {
            return Err(fault.hint("topics with `$` belong to the broker"));
        }
        if text.split('/').any(str::is_empty) {
            return Err(fault.hint("words with `/` between them: `conbus` or `home/conbus`"));
        }
        Ok(Self(short_line(text, TOPIC_CHARS_MAX)?))
    }
}

/// What is logged, in the syntax of `env_logger`: `level`, `target` or `target=level` with commas, then `/pattern`.
#[derive(Clone, Debug)]
pub(super) struct LogFilter(pub(super) String);

impl Word for LogFilter {
    const WHAT: &'static str = "a log filter";
    const EXAMPLE: &'static str = "`\"info\"` or `\"info,conbus=trace\"`";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.trim().is_empty() || text.len() > FILTER_CHARS_MAX || text.matches('/').count() > 1 {
            return Err(Fault::new(format!("{} is not a log filter", quoted(text))));
        }
        let directives = text.split('/').next().unwrap_or_default().split(',').map(str::trim);
        for directive in directives.filter(|directive| !directive.is_empty()) {
            check_directive(directive)?;
        }
        Ok(Self(text.into()))
    }
}

fn check_directive(directive: &str) -> Result<(), Fault> {
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let unknown = |word: &str| match closest(word, LEVELS) {
        Some(meant) => {
            Fault::new(format!("unknown log level {}", quoted(word))).hint(format!("did you mean `{meant}`?"))
        }
        None => Fault::new(format!("unknown log level {}", quoted(word))).hint(listed(LEVELS.into_iter())),
    };
    match directive.split_once('=') {
        Some((_, level)) if !level.trim().is_empty() && !is_level(level.trim()) => Err(unknown(level.trim())),
        // A bare word that is no level names a target; one that resembles a level was meant to be it, and as a
        // target it would silence everything else.
        None if !is_level(directive) && closest(directive, LEVELS).is_some() => Err(unknown(directive)),
        Some(_) | None => Ok(()),
    }
}
