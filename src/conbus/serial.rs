//! The ten-digit address of a module.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digits::Form;

/// The serial number of a module: ten decimal digits, checked once (protocol reference 2).
///
/// It is always printed with ten digits; `0000000000` addresses every module. Kept as five bytes, the lowest first:
/// there are several of it for each output of the house.
#[derive(Clone, Copy)]
pub struct SerialNumber([u8; 5]);

const EIGHT_DIGITS: Form = Form::new(*b"00000000");

/// Why a text is not a serial number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a serial number has exactly ten digits")]
pub struct SerialError;

impl SerialNumber {
    /// The address that every module answers.
    pub const BROADCAST: Self = Self([0; 5]);

    /// Reads ten digits.
    pub fn parse(digits: &[u8]) -> Result<Self, SerialError> {
        let [tens @ (b'0'..=b'9'), ones @ (b'0'..=b'9'), rest @ ..] = digits else { return Err(SerialError) };
        let highest = u64::from(tens - b'0') * 10 + u64::from(ones - b'0');
        let rest = rest.try_into().ok().and_then(|rest| EIGHT_DIGITS.read(rest)).ok_or(SerialError)?;
        Ok(Self::of_number(highest * 100_000_000 + rest.number()))
    }

    /// The one whose ten digits are this number, below 10,000,000,000.
    #[inline]
    pub(super) fn of_number(number: u64) -> Self {
        let [bytes @ .., _, _, _] = number.to_le_bytes();
        Self(bytes)
    }

    /// The ten digits as one number.
    pub fn number(self) -> u64 {
        let [lower @ .., highest] = self.0;
        u64::from(highest) << 32 | u64::from(u32::from_le_bytes(lower))
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

/// As a number: five bytes would be compared by a call, and every telegram is looked up by them.
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

/// In one piece: a hash that is fed byte by byte costs more than the look-up.
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
        let digits = self.digits();
        serializer.serialize_str(str::from_utf8(&digits).map_err(S::Error::custom)?)
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

    #[test]
    fn every_place_takes_every_digit_and_no_other_byte() {
        for (place, byte) in (0..10).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte))) {
            let mut digits = *b"1234567890";
            digits[place] = byte;
            let parsed = SerialNumber::parse(&digits).ok().map(SerialNumber::digits);
            assert_eq!(parsed, byte.is_ascii_digit().then_some(digits), "{byte} at {place}");
        }
    }
}
