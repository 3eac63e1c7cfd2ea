//! Keys in the store: bytes as hexadecimal text.

use serde::{Deserialize, Deserializer, Serializer};

/// Writes bytes.
pub(super) fn serialize<S: Serializer>(bytes: impl AsRef<[u8]>, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&hex(bytes.as_ref()))
}

/// Reads bytes of the length that is needed.
pub(super) fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(input: D) -> Result<T, D::Error> {
    let text = String::deserialize(input)?;
    unhex(&text)
        .and_then(|bytes| T::try_from(bytes).ok())
        .ok_or_else(|| serde::de::Error::custom("not the hexadecimal text of a key"))
}

/// Bytes as text.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}
