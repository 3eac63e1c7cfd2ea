//! What an action table holds: which input of which sender does what to which output (protocol reference 3.6).
//!
//! The five bytes of an entry and its text stand side by side; the inverted flag, every parameter and every
//! action code survive both ways.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{EventSource, ModuleType, OutputIndex};

/// What an entry does: a code of five bits; codes without a name (26 to 28) are kept (protocol reference 3.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Action(u8);

macro_rules! actions {
    ($($(#[$doc:meta])* $constant:ident = $code:literal, $name:literal, $short:literal;)*) => {
        impl Action {
            $($(#[$doc])* pub const $constant: Self = Self($code);)*

            /// Every action with a name.
            pub const KNOWN: &[Self] = &[$(Self::$constant),*];

            /// The vendor's name; `None` for a code without one.
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($code => Some($name),)* _ => None }
            }

            /// The short name that texts of XP24 tables use (protocol reference 9.1).
            pub fn short_name(self) -> Option<&'static str> {
                match self.0 { $($code => Some($short),)* _ => None }
            }
        }
    };
}

actions! {
    /// Nothing.
    VOID = 0, "VOID", "V";
    /// Switch on.
    ON = 1, "ON", "ON";
    /// Switch off.
    OFF = 2, "OFF", "OF";
    /// Switch over.
    TOGGLE = 3, "TOGGLE", "T";
    /// Hold the output as it is between make and break.
    BLOCK = 4, "BLOCK", "BL";
    /// On between make and break.
    AUXRELAY = 5, "AUXRELAY", "AX";
    /// On, and the other outputs of the group off.
    MUTUALEX = 6, "MUTUALEX", "MX";
    /// Ramp up between make and break.
    LEVELUP = 7, "LEVELUP", "LU";
    /// Ramp down between make and break.
    LEVELDOWN = 8, "LEVELDOWN", "LD";
    /// Raise the level by the parameter.
    LEVELINC = 9, "LEVELINC", "LI";
    /// Lower the level by the parameter.
    LEVELDEC = 10, "LEVELDEC", "LC";
    /// Bring the level to the parameter.
    LEVELSET = 11, "LEVELSET", "LS";
    /// Set the fade time.
    FADETIME = 12, "FADETIME", "FT";
    /// Recall a scene.
    SCENESET = 13, "SCENESET", "SS";
    /// Recall the next scene.
    SCENENEXT = 14, "SCENENEXT", "SN";
    /// Recall the scene before.
    SCENEPREV = 15, "SCENEPREV", "SP";
    /// Set the control method.
    CTRLMETHOD = 16, "CTRLMETHOD", "CM";
    /// Return data.
    RETURNDATA = 17, "RETURNDATA", "RD";
    /// Switch on after the time of the parameter.
    DELAYEDON = 18, "DELAYEDON", "DO";
    /// Start event timer 1; it reports on input 70.
    EVENTTIMER1 = 19, "EVENTTIMER1", "E1";
    /// Start event timer 2; it reports on input 71.
    EVENTTIMER2 = 20, "EVENTTIMER2", "E2";
    /// Start event timer 3; it reports on input 72.
    EVENTTIMER3 = 21, "EVENTTIMER3", "E3";
    /// Start event timer 4; it reports on input 73.
    EVENTTIMER4 = 22, "EVENTTIMER4", "E4";
    /// Step the level.
    STEPCTRL = 23, "STEPCTRL", "SC";
    /// Step the level up.
    STEPCTRLUP = 24, "STEPCTRLUP", "SU";
    /// Step the level down.
    STEPCTRLDOWN = 25, "STEPCTRLDOWN", "SD";
    /// Bring the level to one kept in the module.
    LEVELSETINTERN = 29, "LEVELSETINTERN", "LN";
    /// Fade.
    FADE = 30, "FADE", "FD";
    /// Learn.
    LEARN = 31, "LEARN", "LR";
}

/// Why a text is not the name of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an action")]
pub struct UnknownAction;

impl Action {
    /// The action with this code, named or not; `None` above 31.
    pub fn new(code: u8) -> Option<Self> {
        (code <= 31).then_some(Self(code))
    }

    /// The code, 0 to 31.
    pub fn code(self) -> u8 {
        self.0
    }

    /// Whether it starts on one edge and ends on the other (protocol reference 5.4).
    pub fn is_held(self) -> bool {
        matches!(self, Self::AUXRELAY | Self::BLOCK | Self::LEVELUP | Self::LEVELDOWN)
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    /// Takes the name, the short name or, for a code without a name, `ACTION26`.
    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        let named = |action: &Self| action.name() == Some(text) || action.short_name() == Some(text);
        (Self::KNOWN.iter().copied().find(named))
            .or_else(|| Self::new(number(text.strip_prefix("ACTION")?, 31)?))
            .ok_or(UnknownAction)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "ACTION{}", self.0),
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A time as tables write it: a code of 0 to 19 (protocol reference 3.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimeCode(u8);

/// Index = time code; the name in exports and the time in half seconds.
const TIMES: [(&str, u16); 20] = [
    ("NONE", 0),
    ("T05SEC", 1),
    ("T1SEC", 2),
    ("T2SEC", 4),
    ("T5SEC", 10),
    ("T10SEC", 20),
    ("T15SEC", 30),
    ("T20SEC", 40),
    ("T30SEC", 60),
    ("T45SEC", 90),
    ("T1MIN", 120),
    ("T2MIN", 240),
    ("T5MIN", 600),
    ("T10MIN", 1_200),
    ("T15MIN", 1_800),
    ("T20MIN", 2_400),
    ("T30MIN", 3_600),
    ("T45MIN", 5_400),
    ("T60MIN", 7_200),
    ("T120MIN", 14_400),
];

impl TimeCode {
    /// Code 0: no time.
    pub const NONE: Self = Self(0);

    /// The time with this code; `None` above 19.
    pub fn new(code: u8) -> Option<Self> {
        (usize::from(code) < TIMES.len()).then_some(Self(code))
    }

    /// The code, 0 to 19.
    pub fn code(self) -> u8 {
        self.0
    }

    /// How long; zero for [`TimeCode::NONE`].
    pub fn duration(self) -> Duration {
        Duration::from_millis(u64::from(TIMES[usize::from(self.0)].1) * 500)
    }
}

/// Why a text is not a time of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time code")]
pub struct UnknownTime;

impl FromStr for TimeCode {
    type Err = UnknownTime;

    /// Takes the name that exports write or the code (protocol reference 9.1).
    fn from_str(text: &str) -> Result<Self, UnknownTime> {
        let code = TIMES.iter().position(|(name, _)| *name == text);
        code.map(|code| Self(code as u8)).or_else(|| Self::new(number(text, u8::MAX)?)).ok_or(UnknownTime)
    }
}

impl fmt::Display for TimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TIMES[usize::from(self.0)].0)
    }
}

impl fmt::Debug for TimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The seven-bit parameter of an entry: a time code or a number, as its action takes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Parameter(u8);

impl Parameter {
    /// The largest parameter.
    pub const MAX: u8 = 0x7F;

    /// The parameter with this number; `None` above 127.
    pub fn new(number: u8) -> Option<Self> {
        (number <= Self::MAX).then_some(Self(number))
    }

    /// The number, 0 to 127.
    pub fn get(self) -> u8 {
        self.0
    }

    /// The time it stands for; `None` when no time has this code.
    pub fn time(self) -> Option<TimeCode> {
        TimeCode::new(self.0)
    }
}

impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One entry of an action table (protocol reference 3.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TableEntry {
    /// Whose input: type, link and input number; the type may be [`ModuleType::ALLMOD`].
    pub source: EventSource,
    /// Which output of this module.
    pub output: OutputIndex,
    /// What to do to it.
    pub action: Action,
    /// How long or how much.
    pub parameter: Parameter,
    /// Acts on break instead of make.
    pub inverted: bool,
}

/// Why bytes or a text are not an entry of an action table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A byte of the source is not two decimal digits.
    #[error("bytes `{0:02X?}` do not name their source in decimal digits")]
    NotDecimal([u8; 5]),
    /// The text does not have the form of an entry.
    #[error("`{0}` does not have the form `CP20 4 0 > 1 ON`")]
    Form(String),
    /// No such module type.
    #[error("`{0}` is not a module type")]
    ModuleType(String),
    /// A link or input number above 99.
    #[error("`{0}` is not a number from 0 to 99")]
    Number(String),
    /// An output that does not exist; a 0 shows that the text counts from 0.
    #[error("`{0}` is not an output from 1 to 8")]
    Output(String),
    /// No such action.
    #[error("`{0}` is not an action")]
    Action(String),
    /// A parameter above 127.
    #[error("`{0}` is not a parameter from 0 to 127")]
    Parameter(String),
}

impl TableEntry {
    /// How many bytes an entry has.
    pub const BYTES: usize = 5;

    /// Reads the five bytes; a source that is not in decimal digits is an error.
    pub fn decode(bytes: [u8; Self::BYTES]) -> Result<Self, EntryError> {
        let [module_type, link, input, what, how] = bytes;
        let source = || {
            Some(EventSource {
                module_type: ModuleType::new(from_bcd(module_type)?)?,
                link: from_bcd(link)?,
                input: from_bcd(input)?,
            })
        };
        let output = OutputIndex::new(what & 0x07);
        match (source(), output) {
            (Some(source), Some(output)) => Ok(Self {
                source,
                output,
                action: Action(what >> 3),
                parameter: Parameter(how & Parameter::MAX),
                inverted: how & 0x80 != 0,
            }),
            _ => Err(EntryError::NotDecimal(bytes)),
        }
    }

    /// The five bytes.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        [
            to_bcd(self.source.module_type.code()),
            to_bcd(self.source.link),
            to_bcd(self.source.input),
            self.action.code() << 3 | self.output.get(),
            self.parameter.get() | if self.inverted { 0x80 } else { 0 },
        ]
    }

    /// Whether an event of this source concerns the entry (protocol reference 5.4).
    pub fn listens_to(&self, source: EventSource) -> bool {
        let any_type = self.source.module_type == ModuleType::ALLMOD;
        (any_type || self.source.module_type == source.module_type)
            && self.source.link == source.link
            && self.source.input == source.input
    }
}

/// The text form; its outputs count from 1 (protocol reference 3.6 and 9.1).
impl fmt::Display for TableEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EventSource { module_type, link, input } = self.source;
        match module_type.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "TYPE{}", module_type.code())?,
        }
        let tilde = if self.inverted { "~" } else { "" };
        write!(f, " {link} {input} > {} {tilde}{}", self.output.get() + 1, self.action)?;
        match self.parameter.get() {
            0 => Ok(()),
            parameter => write!(f, " {parameter}"),
        }
    }
}

impl FromStr for TableEntry {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        let form = || EntryError::Form(text.to_owned());
        let trimmed = text.trim();
        let words: Vec<&str> =
            trimmed.strip_suffix(';').unwrap_or(trimmed).split_ascii_whitespace().collect();
        let (&[module_type, link, input, ">", output, action], parameter) =
            words.split_at_checked(6).ok_or_else(form)?
        else {
            return Err(form());
        };
        let parameter = match parameter {
            [] => "0",
            [parameter] => parameter,
            _ => return Err(form()),
        };
        let hundred = |text: &str| number(text, 99).ok_or_else(|| EntryError::Number(text.to_owned()));
        let name = action.strip_prefix('~').unwrap_or(action);
        Ok(Self {
            source: EventSource {
                module_type: type_named(module_type)
                    .ok_or_else(|| EntryError::ModuleType(module_type.to_owned()))?,
                link: hundred(link)?,
                input: hundred(input)?,
            },
            output: number(output, OutputIndex::COUNT_MAX)
                .and_then(|from_one| OutputIndex::new(from_one.checked_sub(1)?))
                .ok_or_else(|| EntryError::Output(output.to_owned()))?,
            action: name.parse().map_err(|UnknownAction| EntryError::Action(name.to_owned()))?,
            parameter: number(parameter, Parameter::MAX)
                .and_then(Parameter::new)
                .ok_or_else(|| EntryError::Parameter(parameter.to_owned()))?,
            inverted: action.starts_with('~'),
        })
    }
}

/// The name of the registry or, for a code outside it, `TYPE99`.
fn type_named(text: &str) -> Option<ModuleType> {
    text.parse().ok().or_else(|| ModuleType::new(number(text.strip_prefix("TYPE")?, 99)?))
}

/// Reads decimal digits and nothing else, up to `max`.
fn number(digits: &str, max: u8) -> Option<u8> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|&number| number <= max)
}

fn from_bcd(byte: u8) -> Option<u8> {
    let (tens, ones) = (byte >> 4, byte & 0x0F);
    (tens <= 9 && ones <= 9).then_some(tens * 10 + ones)
}

fn to_bcd(number: u8) -> u8 {
    ((number / 10 % 10) << 4) | (number % 10)
}

#[cfg(test)]
mod tests;
