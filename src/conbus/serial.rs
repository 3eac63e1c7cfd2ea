//! The ten-digit address of a module.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The serial number of a module: ten decimal digits, checked once (protocol reference 2).
///
/// It is always printed with ten digits; `0000000000` addresses every module. Kept as five bytes, the highest first:
/// there are several of it for each output of the house.
#[derive(Clone, Copy)]
pub struct SerialNumber([u8; 5]);

/// Why a text is not a serial number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a serial number has exactly ten digits")]
pub struct SerialError;

impl SerialNumber {
    /// The address that every module answers.
    pub const BROADCAST: Self = Self([0; 5]);

    /// Reads ten digits.
    pub fn parse(digits: &[u8]) -> Result<Self, SerialError> {
        if digits.len() != 10 || !digits.iter().all(u8::is_ascii_digit) {
            return Err(SerialError);
        }
        let number: u64 = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        let [_, _, _, bytes @ ..] = number.to_be_bytes();
        Ok(Self(bytes))
    }

    /// The ten digits as one number.
    pub(super) fn number(self) -> u64 {
        let [highest, lower @ ..] = self.0;
        u64::from(highest) << 32 | u64::from(u32::from_be_bytes(lower))
    }

    /// The ten digits as they stand on the wire.
    pub fn digits(self) -> [u8; 10] {
        let mut digits = [b'0'; 10];
        let mut rest = self.number();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        digits
    }

    /// Whether this addresses every module.
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }
}

impl FromStr for SerialNumber {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.number())
    }
}

/// In one piece: a hash that is fed byte by byte costs more than the look-up.
// As numbers: five bytes would be compared by a call, and every telegram is looked up by them.
impl PartialEq for SerialNumber {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl Eq for SerialNumber {}

impl Ord for SerialNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number().cmp(&other.number())
    }
}

impl PartialOrd for SerialNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for SerialNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.number());
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SerialNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SerialNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_digits_and_nothing_else() {
        let serial: SerialNumber = "0012345008".parse().unwrap();
        assert_eq!(serial.to_string(), "0012345008");
        assert_eq!(&serial.digits(), b"0012345008");
        let last: SerialNumber = "9999999999".parse().unwrap();
        assert_eq!((last.to_string().as_str(), last > serial), ("9999999999", true));
        for bad in ["", "12345008", "00123450080", "001234500x", "+012345008", " 012345008"] {
            assert_eq!(bad.parse::<SerialNumber>(), Err(SerialError), "{bad}");
        }
    }
}
