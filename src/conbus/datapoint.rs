//! The D codes of a read and their typed values (protocol reference 4).

use std::fmt;

use super::{Bitmap, ModuleType, OutputIndex, Percent, SerialNumber, checksum};

/// What a read asks for: the two characters of the code as they stand on the wire.
///
/// The firmware takes other characters than digits too and echoes them (protocol reference 2), so a heard
/// code may be any two bytes; the constants are the known ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Datapoint([u8; 2]);

macro_rules! datapoints {
    ($($(#[$doc:meta])* $constant:ident = $code:literal, $name:literal;)*) => {
        impl Datapoint {
            $($(#[$doc])* pub const $constant: Self = Self(*$code);)*

            /// Every known datapoint.
            pub const KNOWN: &[Self] = &[$(Self::$constant),*];

            /// The usual name; `None` for a code that is not known.
            pub fn name(self) -> Option<&'static str> {
                match &self.0 { $($code => Some($name),)* _ => None }
            }
        }
    };
}

datapoints! {
    /// D00: the type as text; an XP230 answers `XP130` here.
    TYPE_NAME = b"00", "module type name";
    /// D01: the hardware version.
    HARDWARE_VERSION = b"01", "hardware version";
    /// D02: the software version.
    SOFTWARE_VERSION = b"02", "software version";
    /// D03: the serial number.
    SERIAL = b"03", "serial number";
    /// D04: the link number.
    LINK = b"04", "link number";
    /// D05: the module number.
    MODULE_NUMBER = b"05", "module number";
    /// D06: which bus the module serves.
    SYSTEM_TYPE = b"06", "system type";
    /// D07: the type code: the identity to trust.
    TYPE_CODE = b"07", "module type code";
    /// D08: two letters whose meaning is not known.
    TYPE_ID = b"08", "module type id";
    /// D09: whether any output is on.
    STATE = b"09", "module state";
    /// D10: 0 when healthy; reading it ends a storm.
    ERROR_CODE = b"10", "error code";
    /// D11: the inputs.
    INPUTS = b"11", "input state";
    /// D12: the outputs.
    OUTPUTS = b"12", "output state";
    /// D13: the CRC of the firmware.
    FIRMWARE_CRC = b"13", "firmware crc";
    /// D14: the CRC of the action table.
    TABLE_CRC = b"14", "action table crc";
    /// D15: the light levels.
    LEVELS = b"15", "light level";
    /// D16: operating hours.
    HOURS = b"16", "operating hours";
    /// D17: energy or current.
    ENERGY = b"17", "energy";
    /// D18: the temperature.
    TEMPERATURE = b"18", "temperature";
    /// D19: the software version of the power board.
    TOP_SOFTWARE_VERSION = b"19", "power board software version";
    /// D20: the voltage.
    VOLTAGE = b"20", "voltage";
    /// D21: whether the module reports its outputs by itself.
    AUTO_REPORT = b"21", "auto report";
    /// D22: the CRC of a second table.
    SECOND_TABLE_CRC = b"22", "second table crc";
    /// D23: not known.
    D23 = b"23", "datapoint 23";
    /// D24: 16 bytes, not known.
    D24 = b"24", "datapoint 24";
    /// D25: paged data.
    PAGED = b"25", "paged data";
}

impl Datapoint {
    /// The code as heard; `None` when it is not two bytes of a payload.
    pub fn from_wire(code: [u8; 2]) -> Option<Self> {
        code.iter().all(|byte| !matches!(byte, b'<' | b'>')).then_some(Self(code))
    }

    /// The two characters of the code.
    pub fn code(self) -> [u8; 2] {
        self.0
    }
}

impl fmt::Display for Datapoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(self.0[0]), char::from(self.0[1]))
    }
}

impl fmt::Debug for Datapoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "D{self}")
    }
}

/// The light level of each output that a reply lists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Levels([Option<Percent>; OutputIndex::COUNT_MAX as usize]);

impl Levels {
    /// Reads `00:050[%],01:000[%]`, leniently (protocol reference 4.2); entries that make no sense are left out.
    pub fn parse(text: &[u8]) -> Self {
        let mut levels = Self::default();
        for (output, value) in channels(text) {
            if let (Some(output), Some(level)) =
                (OutputIndex::new(output), u8::try_from(value).ok().and_then(Percent::new))
            {
                levels.set(output, level);
            }
        }
        levels
    }

    /// The level of this output; `None` when the reply did not list it.
    pub fn get(self, output: OutputIndex) -> Option<Percent> {
        self.0[usize::from(output.get())]
    }

    /// Notes the level of one output.
    pub fn set(&mut self, output: OutputIndex, level: Percent) {
        self.0[usize::from(output.get())] = Some(level);
    }

    /// The same of the outputs below `count` only.
    #[must_use]
    pub fn first(mut self, count: u8) -> Self {
        self.0.iter_mut().skip(count.into()).for_each(|level| *level = None);
        self
    }

    /// The listed outputs, lowest first.
    pub fn known(self) -> impl Iterator<Item = (OutputIndex, Percent)> {
        OutputIndex::first(OutputIndex::COUNT_MAX).filter_map(move |output| Some((output, self.get(output)?)))
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (output, level)) in self.known().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{:02}:{:03}[%]", output.get(), level.get())?;
        }
        Ok(())
    }
}

/// Reads `oo:digits` or `oo:digits[unit]`, separated by commas.
fn channels(text: &[u8]) -> Vec<(u8, u32)> {
    text.split(|&byte| byte == b',')
        .filter_map(|entry| {
            let text = std::str::from_utf8(entry).ok()?;
            let (output, value) = text.split_once(':')?;
            let value = value.split('[').next()?;
            Some((decimal(output.as_bytes())?.try_into().ok()?, decimal(value.as_bytes())?))
        })
        .collect()
}

/// Reads decimal digits and nothing else.
fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

/// A value with its meaning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatapointValue {
    /// The module does not have this datapoint: it answered `??`.
    Unsupported,
    /// Names and versions, in the characters of the wire.
    Text(String),
    /// D03.
    Serial(SerialNumber),
    /// D04: 0 to 99.
    Link(u8),
    /// D05: 0 to 9999.
    ModuleNumber(u16),
    /// D06: 0 the older bus, 1 XP, 2 mixed.
    SystemType(u8),
    /// D07.
    TypeCode(ModuleType),
    /// D09: whether any output is on.
    State(bool),
    /// D10: 0 is healthy, anything else a fault (protocol reference 7.5).
    ErrorCode(u8),
    /// D11.
    Inputs(Bitmap),
    /// D12.
    Outputs(Bitmap),
    /// D13, D14, D22.
    Crc(u32),
    /// D15.
    Levels(Levels),
    /// D16 in hours, D17 in the module's unit: a number for each channel.
    Channels(Vec<(u8, u32)>),
    /// D18 in tenths of a degree Celsius; `None` when the module has no sensor (it answers -20,0).
    Temperature(Option<i16>),
    /// D21: whether the module reports its outputs by itself.
    AutoReport(bool),
    /// D08, D23, D24, D25: bytes whose meaning is not known.
    Bytes(Vec<u8>),
    /// A value that does not have the form of its datapoint.
    Malformed,
}

/// Characters as heard, one byte each (ISO 8859-1, protocol reference 1.1).
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

impl DatapointValue {
    /// Reads the value that followed the code in a reply.
    #[inline]
    pub fn parse(datapoint: Datapoint, value: &[u8]) -> Self {
        if value == b"??" {
            return Self::Unsupported;
        }
        // What is read most, ahead of all others.
        if datapoint == Datapoint::OUTPUTS {
            return Self::Outputs(Bitmap::parse(value));
        }
        Self::parse_known(datapoint, value).unwrap_or(Self::Malformed)
    }

    fn parse_known(datapoint: Datapoint, value: &[u8]) -> Option<Self> {
        Some(match datapoint {
            Datapoint::SERIAL => Self::Serial(SerialNumber::parse(value).ok()?),
            Datapoint::LINK => Self::Link(decimal(value).and_then(|link| u8::try_from(link).ok())?),
            Datapoint::MODULE_NUMBER => Self::ModuleNumber(decimal(value)?.try_into().ok()?),
            Datapoint::SYSTEM_TYPE => Self::SystemType(decimal(value)?.try_into().ok()?),
            Datapoint::TYPE_CODE => Self::TypeCode(ModuleType::new(decimal(value)?.try_into().ok()?)?),
            Datapoint::STATE => match value {
                b"ON" => Self::State(true),
                b"OFF" => Self::State(false),
                _ => Self::Text(latin1(value)),
            },
            Datapoint::ERROR_CODE if value.len() == 2 && value.iter().all(u8::is_ascii_hexdigit) => {
                Self::ErrorCode(u8::from_str_radix(std::str::from_utf8(value).ok()?, 16).ok()?)
            }
            Datapoint::INPUTS => Self::Inputs(Bitmap::parse(value)),
            Datapoint::FIRMWARE_CRC | Datapoint::TABLE_CRC | Datapoint::SECOND_TABLE_CRC => {
                let bytes: [u8; 4] = checksum::from_letters(value)?.try_into().ok()?;
                Self::Crc(u32::from_be_bytes(bytes))
            }
            Datapoint::LEVELS => Self::Levels(Levels::parse(value)),
            Datapoint::HOURS | Datapoint::ENERGY => Self::Channels(channels(value)),
            Datapoint::TEMPERATURE => parse_temperature(value)?,
            Datapoint::AUTO_REPORT => match value {
                b"PP" => Self::AutoReport(true),
                b"AA" => Self::AutoReport(false),
                _ => return None,
            },
            Datapoint::TYPE_ID | Datapoint::D23 | Datapoint::D24 => {
                Self::Bytes(checksum::from_letters(value)?)
            }
            Datapoint::ERROR_CODE => return None,
            _ => Self::Text(latin1(value)),
        })
    }
}

/// Reads `+28,5` with a degree sign and `C`.
fn parse_temperature(value: &[u8]) -> Option<DatapointValue> {
    let (sign, rest) = match value.split_first()? {
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let rest = rest.strip_suffix(b"\xA7C")?;
    let comma = rest.iter().position(|&byte| byte == b',')?;
    let (whole, tenth) = (decimal(&rest[..comma])?, decimal(&rest[comma + 1..])?);
    let tenths = (whole <= 999 && tenth <= 9).then(|| sign * (whole * 10 + tenth) as i16)?;
    Some(DatapointValue::Temperature((tenths != -200).then_some(tenths)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(datapoint: Datapoint, text: &[u8]) -> DatapointValue {
        DatapointValue::parse(datapoint, text)
    }

    #[test]
    fn values_seen_on_real_hardware() {
        use DatapointValue as V;
        for (datapoint, text, expected) in [
            (Datapoint::TYPE_NAME, &b"XP24"[..], V::Text("XP24".into())),
            (Datapoint::HARDWARE_VERSION, b"XP130_HW_Rev B", V::Text("XP130_HW_Rev B".into())),
            (Datapoint::LINK, b"09", V::Link(9)),
            (Datapoint::MODULE_NUMBER, b"0007", V::ModuleNumber(7)),
            (Datapoint::TYPE_CODE, b"07", V::TypeCode(ModuleType::XP24)),
            (Datapoint::TYPE_ID, b"MI", V::Bytes(vec![0xC8])),
            (Datapoint::STATE, b"OFF", V::State(false)),
            (Datapoint::ERROR_CODE, b"FE", V::ErrorCode(0xFE)),
            (Datapoint::FIRMWARE_CRC, b"EIDCDONM", V::Crc(0x4832_3EDC)),
            (Datapoint::TEMPERATURE, b"+28,5\xA7C", V::Temperature(Some(285))),
            (Datapoint::TEMPERATURE, b"-20,0\xA7C", V::Temperature(None)),
            (Datapoint::AUTO_REPORT, b"PP", V::AutoReport(true)),
            (Datapoint::AUTO_REPORT, b"AA", V::AutoReport(false)),
            (Datapoint::VOLTAGE, b"??", V::Unsupported),
            (Datapoint::HOURS, b"00:012[H],01:000[H]", V::Channels(vec![(0, 12), (1, 0)])),
        ] {
            assert_eq!(value(datapoint, text), expected, "{datapoint:?}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_form_is_malformed_not_a_guess() {
        for (datapoint, text) in [
            (Datapoint::LINK, &b"0A"[..]),
            (Datapoint::LINK, b""),
            (Datapoint::LINK, b"300"),
            (Datapoint::TYPE_CODE, b"100"),
            (Datapoint::ERROR_CODE, b"0"),
            (Datapoint::ERROR_CODE, b"+1"),
            (Datapoint::TEMPERATURE, b"+25.0\xA7C"),
            (Datapoint::TEMPERATURE, b"+99999,0\xA7C"),
            (Datapoint::TABLE_CRC, b"ABCDEFG"),
            (Datapoint::AUTO_REPORT, b"00"),
        ] {
            assert_eq!(value(datapoint, text), DatapointValue::Malformed, "{datapoint:?} {text:?}");
        }
    }

    #[test]
    fn levels_are_read_leniently_and_a_missing_output_is_unknown() {
        let levels = Levels::parse(b"00:000[%],01:050[%],02:100");
        let read: Vec<_> = levels.known().map(|(output, level)| (output.get(), level.get())).collect();
        assert_eq!(read, [(0, 0), (1, 50), (2, 100)]);
        assert_eq!(levels.to_string(), "00:000[%],01:050[%],02:100[%]");
        let odd = Levels::parse(b"03000[%],01:101[%],09:010[%],x,02:007[%]");
        assert_eq!(odd.known().map(|(output, _)| output.get()).collect::<Vec<_>>(), [2]);
        assert_eq!((levels.first(2).to_string().as_str(), levels.first(3)), ("00:000[%],01:050[%]", levels));
    }
}
