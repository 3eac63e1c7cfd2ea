//! The two checks of the bus and the letters they are written in (protocol reference 1.2 to 1.4).

/// Writes one byte as two letters `A` to `P`, high nibble first.
pub fn byte_letters(byte: u8) -> [u8; 2] {
    [b'A' + (byte >> 4), b'A' + (byte & 0x0F)]
}

/// Writes bytes as letters, two each.
pub fn to_letters(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|&byte| byte_letters(byte)).collect()
}

/// Reads letters back to bytes; `None` where a letter is not `A` to `P` or one is left over.
pub fn from_letters(letters: &[u8]) -> Option<Vec<u8>> {
    if !letters.len().is_multiple_of(2) {
        return None;
    }
    letters.chunks_exact(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

fn nibble(letter: u8) -> Option<u8> {
    matches!(letter, b'A'..=b'P').then(|| letter - b'A')
}

/// The checksum of a telegram: XOR of its payload in two letters (protocol reference 1.2).
pub fn checksum(payload: &[u8]) -> [u8; 2] {
    byte_letters(xor(payload))
}

/// The XOR of all bytes.
pub(super) fn xor(bytes: &[u8]) -> u8 {
    // Eight bytes at a time: a telegram is too short for the wide registers of a plain fold.
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(0, |sum, word| sum ^ u64::from_ne_bytes(*word));
    rest.iter().fold(xor_of_word(sum), |sum, byte| sum ^ byte)
}

/// The XOR of the eight bytes of a word.
#[inline]
pub(super) fn xor_of_word(word: u64) -> u8 {
    let word = word ^ word >> 32;
    let word = word ^ word >> 16;
    (word ^ word >> 8) as u8
}

/// The CRC-32 of a table in eight letters, most significant byte first (protocol reference 1.4).
pub fn crc32_letters(bytes: &[u8]) -> [u8; 8] {
    let mut letters = [0; 8];
    for (pair, byte) in letters.chunks_exact_mut(2).zip(crc32fast::hash(bytes).to_be_bytes()) {
        pair.copy_from_slice(&byte_letters(byte));
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_the_reference() {
        for (payload, letters) in [
            (&b"E14L00I02M"[..], b"AK"),
            (b"S0000000000F01D00", b"FA"),
            (b"S0020012521F02D18", b"FN"),
            (b"R0020012521F02D18+26,0\xA7C", b"IL"),
            (b"S0012345008F27D00AA", b"FN"),
            (b"R0012345008F18D", b"FA"),
            (b"E07L06I80B", b"AL"),
            (b"O06L00I07M", b"AG"),
        ] {
            assert_eq!(&checksum(payload), letters);
        }
    }

    #[test]
    fn crcs_of_the_reference() {
        assert_eq!(&crc32_letters(b"123456789"), b"MLPEDJCG");
        assert_eq!(&crc32_letters(b"E14L00I02M"), b"KCEOBGNJ");
        assert_eq!(&crc32_letters(b""), b"AAAAAAAA");
        assert_eq!(&crc32_letters(&[0; 480]), b"PLLKMDIN");
    }

    #[test]
    fn letters_round_trip() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_letters(&to_letters(&bytes)), Some(bytes));
        assert_eq!(from_letters(b"AAB"), None);
        assert_eq!(from_letters(b"AQ"), None);
    }
}
