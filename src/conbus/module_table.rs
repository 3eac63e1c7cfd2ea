//! The 32 bytes that an XP24, XP20 or XP33 keeps about its own inputs and outputs (protocol reference 3.6 and
//! 9.1): bytes and text, both ways.

use std::fmt;

use super::action::{Action, Parameter, TimeCode};
use super::{ModuleType, Percent};

/// The module-specific table of one module.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ModuleTable {
    /// Of a relay module.
    Xp24(Xp24Table),
    /// Of a switch link.
    Xp20(Xp20Table),
    /// Of a dimmer with three channels.
    Xp33(Xp33Table),
}

/// What an XP24 does with its own inputs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Xp24Table {
    /// What each direct input does.
    pub inputs: [(Action, Parameter); 4],
    /// Outputs 1 and 2, and 3 and 4: never both on.
    pub mutex: [bool; 2],
    /// Outputs 1 and 2, and 3 and 4: the two directions of a curtain.
    pub curtain: [bool; 2],
    /// The pause between the two of a pair; 12 is 300 ms.
    pub dead_time: u8,
}

/// How an XP20 reads its eight inputs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Xp20Table(pub [Xp20Input; 8]);

/// How an XP20 reads one input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "settings of the module, each on its own")]
pub struct Xp20Input {
    /// Open counts as pressed.
    pub inverted: bool,
    /// Short and long presses differ.
    pub short_long: bool,
    /// Belongs to the on/off group.
    pub group: bool,
    /// The inputs that must be on together, bit 0 the first; its own bit alone is no condition.
    pub and: u8,
    /// Is the key for all off (`SA`).
    pub all_off: bool,
    /// Is the key for all on (`TA`).
    pub all_on: bool,
}

/// The limits and scenes of an XP33.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Xp33Table {
    /// The three channels.
    pub outputs: [Xp33Output; 3],
    /// The four scenes.
    pub scenes: [Xp33Scene; 4],
}

/// The limits of one channel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Xp33Output {
    /// The darkest level.
    pub min: Percent,
    /// The brightest level.
    pub max: Percent,
    /// Follows scenes.
    pub scenes: bool,
    /// Starts at full light.
    pub start_at_full: bool,
    /// Dims by the leading edge.
    pub leading_edge: bool,
}

/// One scene.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Xp33Scene {
    /// The level of each channel.
    pub levels: [Percent; 3],
    /// How long the change takes.
    pub time: TimeCode,
}

/// Why bytes or a text are not a module-specific table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleTableError {
    /// This type has no table that is known.
    #[error("{0} has no module table")]
    ModuleType(ModuleType),
    /// A byte has a value that its place does not take.
    #[error("byte {at} of the table cannot be `{value:02X}`")]
    Byte {
        /// Which byte, from 0.
        at: usize,
        /// What it is.
        value: u8,
    },
    /// Too many or too few lines.
    #[error("the table has {expected} lines, not {found}")]
    Lines {
        /// How many it has.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A line of another form.
    #[error("line {line} does not have the form `{form}`")]
    Form {
        /// Which line, from 1.
        line: usize,
        /// An example of what it should look like.
        form: &'static str,
    },
}

const XP24_FORM: &str = "T:0 T:0 T:0 T:0 | M12:0 M34:0 C12:0 C34:0 DT:12";
const XP20_FORM: &str = "CH1 I:0 S:0 G:0 AND:10000000 SA:0 TA:0";
const OUTPUT_FORM: &str = "OUT1 MIN:0 MAX:100 SO:0 SF:0 LE:0";
const SCENE_FORM: &str = "SCENE1 OUT1:0 OUT2:0 OUT3:0 T:NONE";

impl ModuleTable {
    /// How many bytes a table has; they travel in one chunk.
    pub const BYTES: usize = 32;

    /// Reads the bytes of a module of this type.
    pub fn decode(module_type: ModuleType, bytes: [u8; Self::BYTES]) -> Result<Self, ModuleTableError> {
        let table = match kind(module_type)? {
            Kind::Xp24 => Xp24Table::decode(&bytes).map(Self::Xp24),
            Kind::Xp20 => Xp20Table::decode(&bytes).map(Self::Xp20),
            Kind::Xp33 => Xp33Table::decode(&bytes).map(Self::Xp33),
        };
        let table = table.map_err(|at| ModuleTableError::Byte { at, value: bytes[at] })?;
        match table.encode().iter().zip(bytes).position(|(&kept, byte)| kept != byte) {
            Some(at) => Err(ModuleTableError::Byte { at, value: bytes[at] }),
            None => Ok(table),
        }
    }

    /// The bytes.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        match self {
            Self::Xp24(table) => table.encode(&mut bytes),
            Self::Xp20(table) => table.encode(&mut bytes),
            Self::Xp33(table) => table.encode(&mut bytes),
        }
        bytes
    }

    /// Reads the text that [`fmt::Display`] prints; blank lines do not count.
    pub fn parse(module_type: ModuleType, text: &str) -> Result<Self, ModuleTableError> {
        let lines: Vec<(usize, Vec<&str>)> = (1..)
            .zip(text.lines())
            .map(|(line, text)| (line, text.split_ascii_whitespace().collect()))
            .filter(|(_, words): &(_, Vec<_>)| !words.is_empty())
            .collect();
        let count = |expected| match lines.len() {
            found if found == expected => Ok(()),
            found => Err(ModuleTableError::Lines { expected, found }),
        };
        let bad = |at: usize, form| ModuleTableError::Form { line: lines[at].0, form };
        Ok(match kind(module_type)? {
            Kind::Xp24 => {
                count(1)?;
                Self::Xp24(Xp24Table::parse(&lines[0].1).ok_or_else(|| bad(0, XP24_FORM))?)
            }
            Kind::Xp20 => {
                count(8)?;
                Self::Xp20(Xp20Table(each(|at| {
                    Xp20Input::parse(at, &lines[at].1).ok_or_else(|| bad(at, XP20_FORM))
                })?))
            }
            Kind::Xp33 => {
                count(7)?;
                let output = |at| Xp33Output::parse(at, &lines[at].1).ok_or_else(|| bad(at, OUTPUT_FORM));
                let scene =
                    |at| Xp33Scene::parse(at, &lines[3 + at].1).ok_or_else(|| bad(3 + at, SCENE_FORM));
                Self::Xp33(Xp33Table { outputs: each(output)?, scenes: each(scene)? })
            }
        })
    }
}

enum Kind {
    Xp24,
    Xp20,
    Xp33,
}

fn kind(module_type: ModuleType) -> Result<Kind, ModuleTableError> {
    match module_type {
        ModuleType::XP24 => Ok(Kind::Xp24),
        ModuleType::XP20 => Ok(Kind::Xp20),
        ModuleType::XP33 | ModuleType::XP33LR | ModuleType::XP33LED => Ok(Kind::Xp33),
        other => Err(ModuleTableError::ModuleType(other)),
    }
}

/// Fills an array, or stops at the first error.
fn each<T, E, const N: usize>(make: impl Fn(usize) -> Result<T, E>) -> Result<[T; N], E> {
    let all = (0..N).map(make).collect::<Result<Vec<T>, E>>()?;
    Ok(all.try_into().unwrap_or_else(|_| unreachable!("N were made")))
}

/// Reads one byte by `read`, or names its place.
fn at<T>(bytes: &[u8; ModuleTable::BYTES], place: usize, read: impl Fn(u8) -> Option<T>) -> Result<T, usize> {
    read(bytes[place]).ok_or(place)
}

fn flag(byte: u8) -> Option<bool> {
    (byte <= 1).then_some(byte == 1)
}

/// Sets bit `index` of a byte.
fn set_bit(byte: &mut u8, index: usize, on: bool) {
    *byte |= u8::from(on) << index;
}

/// Reads the value of `KEY:value`.
fn keyed<'a>(word: &'a str, key: &str) -> Option<&'a str> {
    word.strip_prefix(key)?.strip_prefix(':')
}

fn keyed_number(word: &str, key: &str) -> Option<u8> {
    let digits = keyed(word, key)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn keyed_flag(word: &str, key: &str) -> Option<bool> {
    keyed_number(word, key).and_then(flag)
}

fn keyed_percent(word: &str, key: &str) -> Option<Percent> {
    keyed_number(word, key).and_then(Percent::new)
}

/// Whether a word is `name` and the number of this line, counted from 1.
fn numbered(word: &str, name: &str, index: usize) -> Option<()> {
    (word.strip_prefix(name)? == (index + 1).to_string()).then_some(())
}

impl Xp24Table {
    fn decode(bytes: &[u8; ModuleTable::BYTES]) -> Result<Self, usize> {
        let input = |i: usize| -> Result<_, usize> {
            Ok((at(bytes, 2 * i, Action::new)?, at(bytes, 2 * i + 1, Parameter::new)?))
        };
        Ok(Self {
            inputs: each(input)?,
            mutex: [at(bytes, 8, flag)?, at(bytes, 9, flag)?],
            dead_time: bytes[10],
            curtain: [at(bytes, 11, flag)?, at(bytes, 12, flag)?],
        })
    }

    fn encode(&self, bytes: &mut [u8; ModuleTable::BYTES]) {
        for (pair, (action, parameter)) in bytes.chunks_exact_mut(2).zip(&self.inputs) {
            pair.copy_from_slice(&[action.code(), parameter.get()]);
        }
        let [m12, m34] = self.mutex.map(u8::from);
        let [c12, c34] = self.curtain.map(u8::from);
        bytes[8..13].copy_from_slice(&[m12, m34, self.dead_time, c12, c34]);
    }

    fn parse(words: &[&str]) -> Option<Self> {
        // Older exports put the type in front (protocol reference 9.1).
        let words = words.strip_prefix(&["XP24"]).unwrap_or(words);
        let &[a, b, c, d, "|", m12, m34, c12, c34, dead_time] = words else { return None };
        let input = |i: usize| {
            let (action, parameter) = [a, b, c, d][i].split_once(':').ok_or(())?;
            let parameter = parameter.parse().ok().and_then(Parameter::new);
            Ok::<_, ()>((action.parse().map_err(|_| ())?, parameter.ok_or(())?))
        };
        Some(Self {
            inputs: each(input).ok()?,
            mutex: [keyed_flag(m12, "M12")?, keyed_flag(m34, "M34")?],
            curtain: [keyed_flag(c12, "C12")?, keyed_flag(c34, "C34")?],
            dead_time: keyed_number(dead_time, "DT")?,
        })
    }
}

impl Xp20Table {
    fn decode(bytes: &[u8; ModuleTable::BYTES]) -> Result<Self, usize> {
        let bit = |place: usize, input: usize| bytes[place] >> input & 1 == 1;
        each(|input| {
            Ok(Xp20Input {
                short_long: bit(0, input),
                group: bit(1, input),
                inverted: bit(2, input),
                and: bytes[3 + input],
                all_off: bit(11, input),
                all_on: bit(12, input),
            })
        })
        .map(Self)
    }

    fn encode(&self, bytes: &mut [u8; ModuleTable::BYTES]) {
        for (index, input) in self.0.iter().enumerate() {
            set_bit(&mut bytes[0], index, input.short_long);
            set_bit(&mut bytes[1], index, input.group);
            set_bit(&mut bytes[2], index, input.inverted);
            bytes[3 + index] = input.and;
            set_bit(&mut bytes[11], index, input.all_off);
            set_bit(&mut bytes[12], index, input.all_on);
        }
    }
}

impl Xp20Input {
    fn parse(index: usize, words: &[&str]) -> Option<Self> {
        let &[channel, inverted, short_long, group, and, all_off, all_on] = words else { return None };
        numbered(channel, "CH", index)?;
        let and = keyed(and, "AND")?;
        if and.len() != 8 || !and.bytes().all(|byte| matches!(byte, b'0' | b'1')) {
            return None;
        }
        Some(Self {
            inverted: keyed_flag(inverted, "I")?,
            short_long: keyed_flag(short_long, "S")?,
            group: keyed_flag(group, "G")?,
            // The leftmost character is bit 0 (protocol reference 9.1).
            and: and.bytes().rev().fold(0, |mask, byte| mask << 1 | (byte - b'0')),
            all_off: keyed_flag(all_off, "SA")?,
            all_on: keyed_flag(all_on, "TA")?,
        })
    }
}

impl Xp33Table {
    fn decode(bytes: &[u8; ModuleTable::BYTES]) -> Result<Self, usize> {
        let bit = |place: usize, output: usize| bytes[place] >> output & 1 == 1;
        Ok(Self {
            outputs: each(|output| -> Result<_, usize> {
                Ok(Xp33Output {
                    min: at(bytes, 2 * output, Percent::new)?,
                    max: at(bytes, 2 * output + 1, Percent::new)?,
                    scenes: bit(22, output),
                    start_at_full: bit(23, output),
                    leading_edge: bit(24, output),
                })
            })?,
            scenes: each(|scene| -> Result<_, usize> {
                let start = 6 + 4 * scene;
                Ok(Xp33Scene {
                    time: at(bytes, start, TimeCode::new)?,
                    levels: each(|output| at(bytes, start + 1 + output, Percent::new))?,
                })
            })?,
        })
    }

    fn encode(&self, bytes: &mut [u8; ModuleTable::BYTES]) {
        for (index, output) in self.outputs.iter().enumerate() {
            bytes[2 * index] = output.min.get();
            bytes[2 * index + 1] = output.max.get();
            set_bit(&mut bytes[22], index, output.scenes);
            set_bit(&mut bytes[23], index, output.start_at_full);
            set_bit(&mut bytes[24], index, output.leading_edge);
        }
        for (slot, scene) in bytes[6..22].chunks_exact_mut(4).zip(&self.scenes) {
            let [one, two, three] = scene.levels.map(Percent::get);
            slot.copy_from_slice(&[scene.time.code(), one, two, three]);
        }
    }
}

impl Xp33Output {
    fn parse(index: usize, words: &[&str]) -> Option<Self> {
        let &[output, min, max, scenes, start_at_full, leading_edge] = words else { return None };
        numbered(output, "OUT", index)?;
        Some(Self {
            min: keyed_percent(min, "MIN")?,
            max: keyed_percent(max, "MAX")?,
            scenes: keyed_flag(scenes, "SO")?,
            start_at_full: keyed_flag(start_at_full, "SF")?,
            leading_edge: keyed_flag(leading_edge, "LE")?,
        })
    }
}

impl Xp33Scene {
    fn parse(index: usize, words: &[&str]) -> Option<Self> {
        let &[scene, one, two, three, time] = words else { return None };
        numbered(scene, "SCENE", index)?;
        Some(Self {
            levels: [keyed_percent(one, "OUT1")?, keyed_percent(two, "OUT2")?, keyed_percent(three, "OUT3")?],
            time: keyed(time, "T")?.parse().ok()?,
        })
    }
}

/// The lines of an export (protocol reference 9.1).
impl fmt::Display for ModuleTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xp24(table) => table.print(f),
            Self::Xp20(table) => table.print(f),
            Self::Xp33(table) => table.print(f),
        }
    }
}

impl Xp24Table {
    fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (action, parameter) in &self.inputs {
            match action.short_name() {
                Some(name) => write!(f, "{name}:{} ", parameter.get())?,
                None => write!(f, "{action}:{} ", parameter.get())?,
            }
        }
        let [m12, m34] = self.mutex.map(u8::from);
        let [c12, c34] = self.curtain.map(u8::from);
        writeln!(f, "| M12:{m12} M34:{m34} C12:{c12} C34:{c34} DT:{}", self.dead_time)
    }
}

impl Xp20Table {
    fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, input) in self.0.iter().enumerate() {
            let [i, s, g, sa, ta] =
                [input.inverted, input.short_long, input.group, input.all_off, input.all_on].map(u8::from);
            let and = input.and.reverse_bits();
            writeln!(f, "CH{} I:{i} S:{s} G:{g} AND:{and:08b} SA:{sa} TA:{ta}", index + 1)?;
        }
        Ok(())
    }
}

impl Xp33Table {
    fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, output) in self.outputs.iter().enumerate() {
            let [so, sf, le] = [output.scenes, output.start_at_full, output.leading_edge].map(u8::from);
            let Xp33Output { min, max, .. } = output;
            writeln!(f, "OUT{} MIN:{min} MAX:{max} SO:{so} SF:{sf} LE:{le}", index + 1)?;
        }
        for (index, Xp33Scene { levels: [one, two, three], time }) in self.scenes.iter().enumerate() {
            writeln!(f, "SCENE{} OUT1:{one} OUT2:{two} OUT3:{three} T:{time}", index + 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
