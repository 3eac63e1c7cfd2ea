//! The cryptography of pairing, in the few shapes it is needed in: derive, seal, open, sign, verify.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use sha2::Sha512;
use subtle::ConstantTimeEq;

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
    let mut key = [0; 32];
    Hkdf::<Sha512>::new(Some(salt.as_bytes()), secret)
        .expand(purpose.as_bytes(), &mut key)
        .expect("32 bytes are less than what can be derived");
    key
}

/// Seals one message of a pairing; each message has its label, used once with its key.
pub(super) fn seal(key: &[u8; 32], label: [u8; 8], plain: &[u8]) -> Vec<u8> {
    ChaCha20Poly1305::new(key.into())
        .encrypt(&labelled(label), Payload::from(plain))
        .expect("a short message can be sealed")
}

/// Opens one message of a pairing; `None` when it was not sealed with this key and label.
pub(super) fn open(key: &[u8; 32], label: [u8; 8], sealed: &[u8]) -> Option<Vec<u8>> {
    ChaCha20Poly1305::new(key.into()).decrypt(&labelled(label), Payload::from(sealed)).ok()
}

fn labelled(label: [u8; 8]) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&label);
    nonce.into()
}

/// The public half of an exchange of keys.
pub(super) fn exchange_public(secret: [u8; 32]) -> [u8; 32] {
    x25519_dalek::x25519(secret, x25519_dalek::X25519_BASEPOINT_BYTES)
}

/// What two sides of an exchange share; `None` for a key that would share the same with everybody.
pub(super) fn exchange(secret: [u8; 32], theirs: [u8; 32]) -> Option<[u8; 32]> {
    let shared = x25519_dalek::x25519(secret, theirs);
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
