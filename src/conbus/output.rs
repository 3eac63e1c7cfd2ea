//! Small checked numbers: which output, which link, how bright.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::Serialize;

use super::digits::{EACH, zeros};

/// The zero-based number of a module's output, 0 to 7.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct OutputIndex(u8);

impl OutputIndex {
    /// How many outputs a bitmap or a report can name (protocol reference 4.1 and 5.2).
    pub const COUNT_MAX: u8 = 8;

    /// The output with this number; `None` above 7.
    pub fn new(index: u8) -> Option<Self> {
        (index < Self::COUNT_MAX).then_some(Self(index))
    }

    /// The number, 0 to 7.
    pub fn get(self) -> u8 {
        self.0
    }

    /// The first `count` outputs.
    pub fn first(count: u8) -> impl Iterator<Item = Self> {
        (0..count.min(Self::COUNT_MAX)).map(Self)
    }
}

impl fmt::Display for OutputIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for OutputIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A light level in percent, 0 to 100.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Percent(u8);

impl Percent {
    /// Dark.
    pub const OFF: Self = Self(0);
    /// Full light.
    pub const FULL: Self = Self(100);

    /// The level; `None` above 100.
    pub fn new(percent: u8) -> Option<Self> {
        (percent <= 100).then_some(Self(percent))
    }

    /// The number, 0 to 100.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// The address of one output on a bus: what the cache keeps state of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Point {
    /// The module.
    pub serial: crate::conbus::SerialNumber,
    /// Its output.
    pub output: OutputIndex,
}

/// In one piece: every read of the cache hashes one.
impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.serial.number() << 8 | u64::from(self.output.get()));
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.serial, self.output)
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The on/off state of up to eight outputs or inputs, some of which may be unknown (protocol reference 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Bitmap {
    known: u8,
    on: u8,
}

impl Bitmap {
    /// Reads the characters after the last `x`, from the right: the rightmost is output 0. Without any `x` the
    /// last eight count. Anything but `0` and `1` is unknown.
    pub fn parse(text: &[u8]) -> Self {
        // What stands before the last eight does not count, and a shorter text is as one that an `x` stands before.
        let eight = text.last_chunk().copied().unwrap_or_else(|| {
            let mut eight = [b'x'; 8];
            eight[8 - text.len()..].copy_from_slice(text);
            eight
        });
        Self::of_eight(eight)
    }

    fn of_eight(text: [u8; 8]) -> Self {
        // The rightmost character is the lowest byte. `0` and `1` differ in the lowest bit.
        let word = u64::from_be_bytes(text);
        let told = zeros((word & (EACH * 0xFE)) ^ (EACH * u64::from(b'0')));
        let crosses = zeros(word ^ (EACH * u64::from(b'x')));
        let behind_the_last = (crosses & crosses.wrapping_neg()).wrapping_sub(1);
        let known = (told & behind_the_last) >> 7;
        Self { known: lowest_bits(known), on: lowest_bits(known & word) }
    }

    /// The eight characters of a module with `count` outputs: `x` for those it does not have.
    ///
    /// An output whose state is not known counts as off.
    pub fn to_text(self, count: u8) -> String {
        (0..OutputIndex::COUNT_MAX)
            .rev()
            .map(|index| match (index < count, self.on >> index & 1) {
                (false, _) => 'x',
                (true, 1) => '1',
                (true, _) => '0',
            })
            .collect()
    }

    /// Whether this output is on; `None` when the bitmap does not tell.
    pub fn get(self, output: OutputIndex) -> Option<bool> {
        (self.known >> output.get() & 1 == 1).then(|| self.on >> output.get() & 1 == 1)
    }

    /// Notes the state of one output.
    pub fn set(&mut self, output: OutputIndex, on: bool) {
        let bit = 1 << output.get();
        self.known |= bit;
        if on {
            self.on |= bit;
        } else {
            self.on &= !bit;
        }
    }

    /// The same of the outputs below `count` only.
    #[must_use]
    pub fn first(self, count: u8) -> Self {
        let mask = 1u8.checked_shl(count.into()).map_or(u8::MAX, |beyond| beyond - 1);
        Self { known: self.known & mask, on: self.on & mask }
    }

    /// The same of the outputs that `keep` keeps.
    #[must_use]
    pub fn filter(self, keep: impl Fn(OutputIndex) -> bool) -> Self {
        let mut kept = Self::default();
        for (output, on) in self.known().filter(|(output, _)| keep(*output)) {
            kept.set(output, on);
        }
        kept
    }

    /// The same of the outputs whose other state `before` tells.
    #[must_use]
    pub fn changed_since(self, before: Self) -> Self {
        let mask = self.known & before.known & (self.on ^ before.on);
        Self { known: mask, on: self.on & mask }
    }

    /// The same, and of the outputs that it does not tell what `before` tells.
    #[must_use]
    pub fn over(self, before: Self) -> Self {
        Self { known: self.known | before.known, on: self.on | before.on & !self.known }
    }

    /// Whether it tells of no output.
    pub fn is_empty(self) -> bool {
        self.known == 0
    }

    /// The outputs whose state is known, lowest first.
    pub fn known(self) -> impl Iterator<Item = (OutputIndex, bool)> {
        let mut rest = self.known;
        std::iter::from_fn(move || {
            let output = OutputIndex::new(rest.trailing_zeros() as u8)?;
            rest &= rest - 1;
            Some((output, self.on >> output.get() & 1 == 1))
        })
    }
}

/// The lowest bit of each byte of a word whose other bits are zero, the lowest byte's first.
fn lowest_bits(word: u64) -> u8 {
    // Each factor moves the bit of one byte to its place in the highest byte; what else they move there is beyond it.
    (word.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn states(text: &str) -> Vec<(u8, bool)> {
        Bitmap::parse(text.as_bytes()).known().map(|(output, on)| (output.get(), on)).collect()
    }

    #[test]
    fn the_rightmost_character_is_output_0() {
        assert_eq!(states("xxxx1110"), [(0, false), (1, true), (2, true), (3, true)]);
        assert_eq!(states("xxxxx001"), [(0, true), (1, false), (2, false)]);
    }

    #[test]
    fn a_type_code_before_the_bitmap_is_not_state() {
        assert_eq!(states("35xxxxx010"), [(0, false), (1, true), (2, false)]);
    }

    #[test]
    fn what_is_not_0_or_1_is_unknown() {
        assert_eq!(states("??"), []);
        assert_eq!(states(""), []);
        assert_eq!(states("xxxx1?01"), [(0, true), (1, false), (3, true)]);
        assert_eq!(states("1111111101").len(), 8);
    }

    proptest! {
        #[test]
        fn a_bitmap_is_read_from_the_right_up_to_an_x_or_the_eighth(text in "[01x?]{0,12}") {
            let told = text.chars().rev().take(8).take_while(|letter| *letter != 'x').enumerate();
            let told = told.filter(|(_, letter)| matches!(letter, '0' | '1'));
            let told: Vec<_> = told.map(|(output, letter)| (output as u8, letter == '1')).collect();
            prop_assert_eq!(states(&text), told);
        }
    }

    #[test]
    fn bitmaps_are_cut_compared_and_laid_over_each_other() {
        let of = |text: &str| Bitmap::parse(text.as_bytes());
        assert_eq!(of("11110110").first(3), of("x110"));
        assert_eq!((of("11110110").first(8), of("11110110").first(0)), (of("11110110"), of("")));
        assert_eq!(of("xx0011").changed_since(of("xx?101")), of("xx?01?"));
        assert_eq!(of("x?01").over(of("x111")), of("x101"));
        assert!(of("x??").is_empty() && !of("x0").is_empty());
    }

    #[test]
    fn text_round_trips() {
        for text in ["xxxx1110", "xxxxx010", "xxxxxxx1", "10101010"] {
            let count = text.bytes().filter(|&byte| byte != b'x').count() as u8;
            assert_eq!(Bitmap::parse(text.as_bytes()).to_text(count), text);
        }
    }
}
