//! The data of a telegram: mostly so few bytes that they need no memory of their own.

use std::ops::Deref;

/// How many bytes are kept in place: the answers to reads of state have ten.
const FEW: usize = 16;

/// What stands after the `D`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Letters {
    /// So many of these, unless there are more than find room here; zeros follow.
    few: [u8; FEW],
    count: u8,
    /// All of them: chunks of tables.
    many: Option<Box<Box<[u8]>>>,
}

impl Letters {
    /// None.
    pub(super) const NONE: Self = Self { few: [0; FEW], count: 0, many: None };

    /// These bytes.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self::few(bytes).unwrap_or_else(|| Self { many: Some(Box::new(bytes.into())), ..Self::NONE })
    }

    /// These bytes, unless they need memory of their own.
    #[inline]
    pub(super) fn few(bytes: &[u8]) -> Option<Self> {
        Some(Self { few: word(bytes)?.to_le_bytes(), count: bytes.len() as u8, many: None })
    }
}

/// The bytes as one word, the first in the lowest byte; `None` when there are too many.
///
/// Read from both ends and laid over each other: a copy byte by byte into memory would have to be complete before it
/// could be read as a whole.
#[inline]
fn word(bytes: &[u8]) -> Option<u128> {
    let ends = |first: u64, last: u64, width: usize| {
        u128::from(first) | u128::from(last) << (8 * (bytes.len() - width))
    };
    match bytes.len() {
        8..=FEW => {
            let (first, last) = (bytes.first_chunk()?, bytes.last_chunk()?);
            Some(ends(u64::from_le_bytes(*first), u64::from_le_bytes(*last), 8))
        }
        4..8 => {
            let (first, last) = (bytes.first_chunk()?, bytes.last_chunk()?);
            Some(ends(u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into(), 4))
        }
        0..4 => Some(bytes.iter().rev().fold(0, |word, byte| word << 8 | u128::from(*byte))),
        _ => None,
    }
}

impl Deref for Letters {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.many {
            None => &self.few[..usize::from(self.count).min(FEW)],
            Some(many) => many,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_as_they_are_however_many() {
        let all: Vec<u8> = (1..=40).collect();
        for count in 0..=all.len() {
            let letters = Letters::new(&all[..count]);
            assert_eq!(&letters[..], &all[..count]);
            assert_eq!(letters.many.is_none(), count <= FEW, "{count}");
        }
        assert_eq!(Letters::new(&[]), Letters::NONE);
    }
}
