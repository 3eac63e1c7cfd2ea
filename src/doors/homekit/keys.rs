//! The cryptography of pairing, in the few shapes it is needed in: derive, seal, open, sign, verify.

use curve25519_dalek::MontgomeryPoint;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use subtle::ConstantTimeEq;

use super::cipher::Cipher;

/// Fills a buffer with randomness; an argument, so that tests can repeat themselves.
pub(super) type Draw = fn(&mut [u8]);

/// Randomness of the system.
pub(super) fn system_draw(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the system has randomness, or nothing here can be secret");
}

/// Draws this many bytes.
pub(super) fn draw_bytes<const LENGTH: usize>(draw: Draw) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    draw(&mut bytes);
    bytes
}

/// A key derived from a secret, told apart from others by salt and purpose.
pub(super) fn derive(secret: &[u8], salt: &str, purpose: &str) -> [u8; 32] {
    // HKDF (RFC 5869): one block of SHA-512 is more than a key needs.
    let extracted = authenticate(salt.as_bytes(), &[secret]);
    let expanded = authenticate(&extracted, &[purpose.as_bytes(), &[1]]);
    let mut key = [0; 32];
    key.copy_from_slice(&expanded[..32]);
    key
}

fn authenticate(key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
    let mut hmac = Hmac::<Sha512>::new_from_slice(key).expect("a key may have any length");
    for part in parts {
        hmac.update(part);
    }
    hmac.finalize().into_bytes().into()
}

/// Seals one message of a pairing; each message has its label, used once with its key.
pub(super) fn seal(key: &[u8; 32], label: [u8; 8], plain: &[u8]) -> Vec<u8> {
    let mut text = plain.to_vec();
    Cipher::new(key).seal(label, &[], &mut text, 0);
    text
}

/// Opens one message of a pairing; `None` when it was not sealed with this key and label.
pub(super) fn open(key: &[u8; 32], label: [u8; 8], sealed: &[u8]) -> Option<Vec<u8>> {
    let mut text = sealed.to_vec();
    let plain = Cipher::new(key).open(label, &[], &mut text)?.len();
    text.truncate(plain);
    Some(text)
}

/// The public half of an exchange of keys.
pub(super) fn exchange_public(secret: [u8; 32]) -> [u8; 32] {
    MontgomeryPoint::mul_base_clamped(secret).to_bytes()
}

/// What two sides of an exchange share; `None` for a key that would share the same with everybody.
pub(super) fn exchange(secret: [u8; 32], theirs: [u8; 32]) -> Option<[u8; 32]> {
    let shared = MontgomeryPoint(theirs).mul_clamped(secret).to_bytes();
    (!bool::from(shared.ct_eq(&[0; 32]))).then_some(shared)
}

/// Whether `signature` over `message` was made with the key behind `public`.
pub(super) fn is_signed(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(public), Signature::from_slice(signature))
    else {
        return false;
    };
    key.verify_strict(message, &signature).is_ok()
}

/// Who a bridge is to its controllers, for as long as they are paired.
#[derive(Clone)]
pub(super) struct Identity {
    /// `XX:XX:XX:XX:XX:XX`.
    pub(super) device_id: String,
    key: SigningKey,
}

impl Identity {
    /// The identity with this name and secret.
    pub(super) fn new(device_id: String, secret: &[u8; 32]) -> Self {
        Self { device_id, key: SigningKey::from_bytes(secret) }
    }

    /// What controllers check its signatures with.
    pub(super) fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Signs.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_opens_with_its_key_and_label_only() {
        let sealed = seal(&[1; 32], *b"PS-Msg05", b"hello");
        assert_eq!(open(&[1; 32], *b"PS-Msg05", &sealed).as_deref(), Some(&b"hello"[..]));
        assert_eq!(open(&[2; 32], *b"PS-Msg05", &sealed), None);
        assert_eq!(open(&[1; 32], *b"PS-Msg06", &sealed), None);
        assert_eq!(open(&[1; 32], *b"PS-Msg05", &sealed[1..]), None);
        assert_eq!(open(&[1; 32], *b"PS-Msg05", b""), None);
    }

    #[test]
    fn a_key_of_small_order_shares_nothing() {
        assert_eq!(exchange([7; 32], [0; 32]), None);
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(exchange([7; 32], one), None);
        assert_eq!(exchange([7; 32], exchange_public([9; 32])), exchange([9; 32], exchange_public([7; 32])));
    }

    /// As the Python package `cryptography` computes it.
    #[test]
    fn derived_keys_are_those_of_others() {
        let key = derive(&[0x0B; 22], "salt", "purpose");
        assert_eq!(
            super::super::bytes_as_hex::hex(&key),
            "0f1fcac695f84e16e607bb1c635d0770643c8d87f53d71b4a300a966307062e4"
        );
    }

    #[test]
    fn signatures_are_checked() {
        let identity = Identity::new("AA:BB:CC:DD:EE:FF".into(), &[3; 32]);
        let signature = identity.sign(b"text");
        assert!(is_signed(&identity.public(), b"text", &signature));
        assert!(!is_signed(&identity.public(), b"test", &signature));
        assert!(!is_signed(&identity.public(), b"text", &signature[1..]));
        assert!(!is_signed(&[0; 32], b"text", &signature));
    }
}
