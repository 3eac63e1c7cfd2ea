//! The ten-digit address of a module.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The serial number of a module: ten decimal digits, checked once (protocol reference 2).
///
/// It is always printed with ten digits; `0000000000` addresses every module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SerialNumber(u64);

/// Why a text is not a serial number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a serial number has exactly ten digits")]
pub struct SerialError;

impl SerialNumber {
    /// The address that every module answers.
    pub const BROADCAST: Self = Self(0);

    /// Reads ten digits.
    pub fn parse(digits: &[u8]) -> Result<Self, SerialError> {
        if digits.len() != 10 || !digits.iter().all(u8::is_ascii_digit) {
            return Err(SerialError);
        }
        Ok(Self(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))))
    }

    /// The ten digits as they stand on the wire.
    pub fn digits(self) -> [u8; 10] {
        let mut digits = [b'0'; 10];
        let mut rest = self.0;
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
        write!(f, "{:010}", self.0)
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
        for bad in ["", "12345008", "00123450080", "001234500x", "+012345008", " 012345008"] {
            assert_eq!(bad.parse::<SerialNumber>(), Err(SerialError), "{bad}");
        }
    }
}
