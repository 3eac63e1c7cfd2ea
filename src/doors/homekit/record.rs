//! The record layer of a verified session: pieces of at most 1024 bytes, each sealed with a counter of its own.

use super::cipher::{Cipher, TAG_BYTES};

/// The most that one piece carries.
pub(super) const PIECE_BYTES: usize = 1024;

const LENGTH_BYTES: usize = 2;

/// The counterpart sent what it could not have sealed, or too much: the session is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tampered;

/// Seals what is written.
pub(super) struct Sealer {
    cipher: Cipher,
    count: u64,
}

impl Sealer {
    /// A sealer at the beginning of its session.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { cipher: Cipher::new(key), count: 0 }
    }

    /// Seals a whole message.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let pieces = plain.len().div_ceil(PIECE_BYTES);
        let mut sealed = Vec::with_capacity(plain.len() + pieces * (LENGTH_BYTES + TAG_BYTES));
        for piece in plain.chunks(PIECE_BYTES) {
            let length = (piece.len() as u16).to_le_bytes();
            sealed.extend_from_slice(&length);
            let from = sealed.len();
            sealed.extend_from_slice(piece);
            self.cipher.seal(self.count.to_le_bytes(), &length, &mut sealed, from);
            self.count += 1;
        }
        sealed
    }
}

/// Opens what is read, however it is cut into segments.
pub(super) struct Opener {
    cipher: Cipher,
    count: u64,
    waiting: Vec<u8>,
}

impl Opener {
    /// An opener at the beginning of its session.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { cipher: Cipher::new(key), count: 0, waiting: Vec::new() }
    }

    /// How many bytes wait for the rest of their piece.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn held_bytes(&self) -> usize {
        self.waiting.len()
    }

    /// Takes what arrived and gives what it opens to. Holds back less than one piece.
    pub(super) fn open(&mut self, arrived: &[u8]) -> Result<Vec<u8>, Tampered> {
        self.waiting.extend_from_slice(arrived);
        let (mut plain, mut begin) = (Vec::new(), 0);
        while let Some(&[low, high]) = self.waiting.get(begin..begin + LENGTH_BYTES) {
            let length = usize::from(u16::from_le_bytes([low, high]));
            if length > PIECE_BYTES {
                return Err(Tampered);
            }
            let end = begin + LENGTH_BYTES + length + TAG_BYTES;
            let Some(sealed) = self.waiting.get_mut(begin + LENGTH_BYTES..end) else { break };
            let opened = self.cipher.open(self.count.to_le_bytes(), &[low, high], sealed);
            plain.extend_from_slice(opened.ok_or(Tampered)?);
            self.count += 1;
            begin = end;
        }
        self.waiting.drain(..begin);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_cut_opens_to_the_same(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..4),
            cut in 1usize..1500,
        ) {
            let (mut sealer, mut opener) = (Sealer::new(&[7; 32]), Opener::new(&[7; 32]));
            let sealed: Vec<u8> = messages.iter().flat_map(|message| sealer.seal(message)).collect();
            let mut plain = Vec::new();
            for segment in sealed.chunks(cut) {
                plain.extend(opener.open(segment).unwrap());
                prop_assert!(opener.waiting.len() < LENGTH_BYTES + PIECE_BYTES + TAG_BYTES);
            }
            prop_assert_eq!(plain, messages.concat());
        }

        #[test]
        fn one_changed_bit_ends_the_session(place in 0usize..30, bit in 0u8..8) {
            let mut sealed = Sealer::new(&[7; 32]).seal(b"twelve bytes");
            sealed[place] ^= 1 << bit;
            let opened = Opener::new(&[7; 32]).open(&sealed);
            // A larger length waits for more; everything else is known at once.
            prop_assert!(opened == Err(Tampered) || (place < 2 && opened == Ok(vec![])));
        }
    }

    #[test]
    fn a_piece_cannot_be_replayed_or_too_long() {
        let sealed = Sealer::new(&[7; 32]).seal(b"on");
        let mut opener = Opener::new(&[7; 32]);
        assert_eq!(opener.open(&sealed), Ok(b"on".to_vec()));
        assert_eq!(opener.open(&sealed), Err(Tampered));
        assert_eq!(Opener::new(&[7; 32]).open(&[0xFF, 0xFF]), Err(Tampered));
        assert_eq!(Opener::new(&[7; 32]).open(&[0x01, 0x04]), Err(Tampered));
    }
}
