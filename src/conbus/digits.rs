//! Decimal digits and brackets, eight bytes at a time.
//!
//! A telegram is a few words long and holds nothing but digits and the letters between them: byte by byte each would
//! wait for the one before it.

/// One in each byte of a word.
pub(super) const EACH: u64 = 0x0101_0101_0101_0101;

/// Eight bytes of a known form, as `00L00I00`: a digit at each `0`, and its own byte elsewhere.
pub(super) struct Form {
    /// All bits of the bytes that are digits.
    digits: u64,
    /// The other bytes.
    letters: u64,
}

impl Form {
    /// The form of this pattern.
    pub(super) const fn new(pattern: [u8; 8]) -> Self {
        let (mut digits, mut place) = (0, 0);
        while place < pattern.len() {
            if pattern[place] == b'0' {
                digits |= 0xFF << (8 * place);
            }
            place += 1;
        }
        Self { digits, letters: u64::from_le_bytes(pattern) & !digits }
    }

    /// The digits of bytes that have this form.
    #[inline]
    pub(super) fn read(&self, bytes: [u8; 8]) -> Option<Digits> {
        // The first byte is the lowest.
        let word = u64::from_le_bytes(bytes);
        let digits = word & self.digits;
        // The digits are 0x30 to 0x39: the upper half is 3, and is so still when six is added.
        let upper = self.digits & (EACH * 0xF0);
        let three = self.digits & (EACH * 0x30);
        let fits = word & !self.digits == self.letters
            && digits & upper == three
            && (digits + (self.digits & (EACH * 6))) & upper == three;
        fits.then_some(Digits(digits & (EACH * 0x0F)))
    }
}

/// Eight places with a number below ten each, the first in the lowest byte; zero where there is no digit.
#[derive(Clone, Copy)]
pub(super) struct Digits(u64);

impl Digits {
    /// At each place but the last the number of the two digits that begin there.
    fn pairs(self) -> u64 {
        self.0.wrapping_mul((10 << 8) + 1) >> 8
    }

    /// The number of the two digits at this place, 0 to 6.
    #[inline]
    pub(super) fn pair(self, place: u32) -> u8 {
        (self.pairs() >> (8 * place)) as u8
    }

    /// All eight as one number, in three steps of neighbours.
    #[inline]
    pub(super) fn number(self) -> u64 {
        let pairs = self.pairs() & 0x00FF_00FF_00FF_00FF;
        let fours = (pairs.wrapping_mul((100 << 16) + 1) >> 16) & 0x0000_FFFF_0000_FFFF;
        fours.wrapping_mul((10_000 << 32) + 1) >> 32
    }
}

/// The highest bit of each byte of `word` that is zero.
#[inline]
pub(super) fn zeros(word: u64) -> u64 {
    const LOW: u64 = EACH * 0x7F;
    !(((word & LOW) + LOW) | word) & (EACH * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_takes_every_digit_at_its_places_and_its_own_letters_elsewhere() {
        let (pattern, form) = (b"00L00I00", Form::new(*b"00L00I00"));
        for (place, byte) in (0..8).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte))) {
            let mut bytes = *b"12L34I56";
            bytes[place] = byte;
            let fits = if pattern[place] == b'0' { byte.is_ascii_digit() } else { byte == pattern[place] };
            assert_eq!(form.read(bytes).is_some(), fits, "{byte} at {place}");
        }
        let digits = form.read(*b"12L34I56").unwrap();
        assert_eq!([0, 3, 6].map(|place| digits.pair(place)), [12, 34, 56]);
    }

    #[test]
    fn eight_digits_are_a_number() {
        let number = |bytes: &[u8; 8]| Form::new(*b"00000000").read(*bytes).unwrap().number();
        assert_eq!((number(b"12345678"), number(b"00000009")), (12_345_678, 9));
        assert_eq!(number(b"99999999"), 99_999_999);
    }

    #[test]
    fn a_zero_byte_is_found_whatever_stands_beside_it() {
        for (place, beside) in (0..8).flat_map(|place| (1..=u8::MAX).map(move |beside| (place, beside))) {
            let mut bytes = [beside; 8];
            bytes[place] = 0;
            assert_eq!(zeros(u64::from_le_bytes(bytes)), 0x80 << (8 * place), "{beside} beside {place}");
        }
    }
}
