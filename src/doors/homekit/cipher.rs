//! ChaCha20-Poly1305 (RFC 8439) in the one shape that HAP uses it in: of the nonce the last eight bytes tell messages
//! apart, the first four are zero.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};

/// What a sealed message is longer than a plain one.
pub(super) const TAG_BYTES: usize = MAX_TAG_LEN;

/// A key that seals and opens.
pub(super) struct Cipher(LessSafeKey);

impl Cipher {
    /// The cipher of this key.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("a key has 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals `text` from this place on and adds the tag. No two messages of a key have the same `name`; `beside` goes
    /// with them in the open.
    pub(super) fn seal(&self, name: [u8; 8], beside: &[u8], text: &mut Vec<u8>, from: usize) {
        let tag = self.0.seal_in_place_separate_tag(nonce(name), Aad::from(beside), &mut text[from..]);
        text.extend_from_slice(tag.expect("what is shorter than 256 GiB can be sealed").as_ref());
    }

    /// Opens a message and its tag in their place; `None` when it was not sealed with this key, name and `beside`.
    pub(super) fn open<'a>(&self, name: [u8; 8], beside: &[u8], sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        self.0.open_in_place(nonce(name), Aad::from(beside), sealed).ok().map(|plain| &*plain)
    }
}

fn nonce(name: [u8; 8]) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - name.len()..].copy_from_slice(&name);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::super::bytes_as_hex::hex;
    use super::*;

    /// As the Python package `cryptography` computes it.
    #[test]
    fn what_is_sealed_is_what_others_seal() {
        let cipher = Cipher::new(&[7; 32]);
        let mut text = b"before hello".to_vec();
        cipher.seal(*b"PS-Msg05", &[5, 0], &mut text, 7);
        assert_eq!(hex(&text[7..]), "5ba6dc591ae15f0b8093751c2c379d05b001b12f29");
        assert_eq!(cipher.open(*b"PS-Msg05", &[5, 0], &mut text[7..]), Some(&b"hello"[..]));
    }

    #[test]
    fn nothing_opens_what_was_changed() {
        let cipher = Cipher::new(&[7; 32]);
        let mut sealed = b"hello".to_vec();
        cipher.seal([1; 8], &[5, 0], &mut sealed, 0);
        assert_eq!(sealed.len(), 5 + TAG_BYTES);
        assert_eq!(cipher.open([2; 8], &[5, 0], &mut sealed.clone()), None);
        assert_eq!(cipher.open([1; 8], &[6, 0], &mut sealed.clone()), None);
        assert_eq!(cipher.open([1; 8], &[5, 0], &mut sealed.clone()[1..]), None);
        assert_eq!(Cipher::new(&[8; 32]).open([1; 8], &[5, 0], &mut sealed), None);
    }
}
