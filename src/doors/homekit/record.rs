//! The record layer of a verified session: pieces of at most 1024 bytes, each sealed with a counter of its own.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};

/// The most that one piece carries.
pub(super) const PIECE_BYTES: usize = 1024;

const LENGTH_BYTES: usize = 2;
const TAG_BYTES: usize = 16;

/// The counterpart sent what it could not have sealed, or too much: the session is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tampered;

fn numbered(count: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&count.to_le_bytes());
    nonce.into()
}

/// Seals what is written.
pub(super) struct Sealer {
    cipher: ChaCha20Poly1305,
    count: u64,
}

impl Sealer {
    /// A sealer at the beginning of its session.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { cipher: ChaCha20Poly1305::new(key.into()), count: 0 }
    }

    /// Seals a whole message.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let pieces = plain.len().div_ceil(PIECE_BYTES);
        let mut sealed = Vec::with_capacity(plain.len() + pieces * (LENGTH_BYTES + TAG_BYTES));
        for piece in plain.chunks(PIECE_BYTES) {
            let length = (piece.len() as u16).to_le_bytes();
            let payload = Payload { msg: piece, aad: &length };
            let body = self.cipher.encrypt(&numbered(self.count), payload);
            sealed.extend_from_slice(&length);
            sealed.extend(body.expect("a kilobyte can be sealed"));
            self.count += 1;
        }
        sealed
    }
}

/// Opens what is read, however it is cut into segments.
pub(super) struct Opener {
    cipher: ChaCha20Poly1305,
    count: u64,
    waiting: Vec<u8>,
}

impl Opener {
    /// An opener at the beginning of its session.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { cipher: ChaCha20Poly1305::new(key.into()), count: 0, waiting: Vec::new() }
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
        while let Some(prefix) = self.waiting.get(begin..begin + LENGTH_BYTES) {
            let length = usize::from(u16::from_le_bytes([prefix[0], prefix[1]]));
            if length > PIECE_BYTES {
                return Err(Tampered);
            }
            let end = begin + LENGTH_BYTES + length + TAG_BYTES;
            let Some(body) = self.waiting.get(begin + LENGTH_BYTES..end) else { break };
            let payload = Payload { msg: body, aad: prefix };
            plain.extend(self.cipher.decrypt(&numbered(self.count), payload).map_err(|_| Tampered)?);
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
