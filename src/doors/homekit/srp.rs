//! SRP-6a over the 3072-bit group of RFC 5054 with SHA-512, as the side that knows the setup code.
//!
//! Implementations disagree whether numbers are hashed with their leading zeros: some strip them from `A` and the
//! shared secret, others do not. `B` is drawn until it has none, and a proof is accepted under either rule.

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U256, U512, U3072};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use super::keys::{Draw, draw_bytes};

/// The user name of every accessory.
const USER: &str = "Pair-Setup";

/// The bytes of a number of the group.
const GROUP_BYTES: usize = 384;

const LIMBS: usize = U3072::LIMBS;

/// The group's prime.
const PRIME: U3072 = U3072::from_be_hex(concat!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74",
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437",
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05",
    "98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB",
    "9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718",
    "3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33",
    "A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7",
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864",
    "D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2",
    "08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
));

/// The group's generator.
const GENERATOR: u8 = 5;

type Form = FixedMontyForm<LIMBS>;

fn group() -> FixedMontyParams<LIMBS> {
    FixedMontyParams::new_vartime(Odd::new(PRIME).expect("a prime of this size is odd"))
}

fn hash(parts: &[&[u8]]) -> [u8; 64] {
    let mut hasher = Sha512::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn bytes_of(number: &U3072) -> Vec<u8> {
    number.to_be_bytes().as_ref().to_vec()
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

/// The number in at most 384 bytes; `None` when there are more.
fn number(bytes: &[u8]) -> Option<U3072> {
    let mut whole = [0; GROUP_BYTES];
    let begin = GROUP_BYTES.checked_sub(bytes.len())?;
    whole[begin..].copy_from_slice(bytes);
    Some(U3072::from_be_slice(&whole))
}

/// `k`: ties the generator to the prime.
fn multiplier() -> U3072 {
    let mut padded = [0; GROUP_BYTES];
    padded[GROUP_BYTES - 1] = GENERATOR;
    U512::from_be_slice(&hash(&[&bytes_of(&PRIME), &padded])).resize()
}

/// `x`: the secret exponent behind the code.
fn code_exponent(code: &str, salt: &[u8]) -> U512 {
    let inner = hash(&[USER.as_bytes(), b":", code.as_bytes()]);
    U512::from_be_slice(&hash(&[salt, &inner]))
}

/// A client has shown that it knows the code.
pub(super) struct Proven {
    /// What both now share.
    pub(super) key: [u8; 64],
    /// Shows the client that we know the code too.
    pub(super) proof: [u8; 64],
}

/// One attempt, from our `B` to the client's proof.
pub(super) struct Attempt {
    group: FixedMontyParams<LIMBS>,
    salt: [u8; 16],
    secret: U256,
    verifier: Form,
    public: Vec<u8>,
}

impl Attempt {
    /// Begins an attempt for the one who knows `code`.
    pub(super) fn new(code: &str, draw: Draw) -> Self {
        let group = group();
        let salt = draw_bytes::<16>(draw);
        let generator = Form::new(&U3072::from_u8(GENERATOR), &group);
        let verifier = generator.pow(&code_exponent(code, &salt));
        let offset = Form::new(&multiplier(), &group) * verifier;
        loop {
            let secret = U256::from_be_slice(&draw_bytes::<32>(draw));
            let public = bytes_of(&(offset + generator.pow(&secret)).retrieve());
            // See the module: a leading zero byte would be hashed differently by different clients.
            if public[0] != 0 {
                return Self { group, salt, secret, verifier, public };
            }
        }
    }

    /// The salt for the client.
    pub(super) fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// `B` for the client.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// Checks the client's `A` and its proof.
    pub(super) fn prove(&self, theirs: &[u8], proof: &[u8]) -> Option<Proven> {
        let value = number(theirs)?;
        // 0 and multiples of the prime would fix the shared secret without the code.
        if value == U3072::ZERO || value >= PRIME {
            return None;
        }
        let padded = bytes_of(&value);
        let stripped = without_leading_zeros(&padded);
        let mut forms: Vec<&[u8]> = vec![&padded];
        if stripped.len() != padded.len() {
            forms.push(stripped);
        }
        forms.into_iter().find_map(|form| self.prove_as(&value, form, proof))
    }

    /// The same with `A` hashed as these bytes.
    fn prove_as(&self, value: &U3072, theirs: &[u8], proof: &[u8]) -> Option<Proven> {
        let scramble = U512::from_be_slice(&hash(&[theirs, &self.public]));
        let base = Form::new(value, &self.group) * self.verifier.pow(&scramble);
        let shared = bytes_of(&base.pow(&self.secret).retrieve());
        [&shared[..], without_leading_zeros(&shared)].into_iter().find_map(|shared| {
            let key = hash(&[shared]);
            let expected = client_proof(&self.salt, theirs, &self.public, &key);
            bool::from(expected[..].ct_eq(proof))
                .then(|| Proven { key, proof: hash(&[theirs, &expected, &key]) })
        })
    }
}

/// `M1`, by which a client shows that it knows the key.
fn client_proof(salt: &[u8], theirs: &[u8], ours: &[u8], key: &[u8; 64]) -> [u8; 64] {
    let prime = hash(&[&bytes_of(&PRIME)]);
    let generator = hash(&[&[GENERATOR]]);
    let mut both = [0; 64];
    for (byte, (one, other)) in both.iter_mut().zip(prime.iter().zip(generator)) {
        *byte = one ^ other;
    }
    hash(&[&both, &hash(&[USER.as_bytes()]), salt, theirs, ours, key])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The other side, for tests: `A` and, from salt and `B`, key and proof.
    pub(in super::super) struct Client {
        secret: U256,
        public: U3072,
    }

    impl Client {
        pub(in super::super) fn new(secret: u64) -> Self {
            let secret = U256::from_u64(secret) << 100;
            let public = Form::new(&U3072::from_u8(GENERATOR), &group()).pow(&secret).retrieve();
            Self { secret, public }
        }

        pub(in super::super) fn public(&self) -> Vec<u8> {
            bytes_of(&self.public)
        }

        /// Key and proof; `strip` says how numbers are hashed.
        pub(in super::super) fn prove(
            &self,
            code: &str,
            salt: &[u8],
            theirs: &[u8],
            strip: bool,
        ) -> ([u8; 64], [u8; 64]) {
            let hashed =
                |bytes: &[u8]| if strip { without_leading_zeros(bytes).to_vec() } else { bytes.to_vec() };
            let (group, x) = (group(), code_exponent(code, salt));
            let ours = hashed(&self.public());
            let scramble = U512::from_be_slice(&hash(&[&ours, theirs]));
            let verifier = Form::new(&U3072::from_u8(GENERATOR), &group).pow(&x);
            let base =
                Form::new(&number(theirs).unwrap(), &group) - Form::new(&multiplier(), &group) * verifier;
            // The exponent a + u x is made in two steps: it is wider than either factor.
            let shared = base.pow(&self.secret) * base.pow(&scramble).pow(&x);
            let key = hash(&[&hashed(&bytes_of(&shared.retrieve()))]);
            let proof = client_proof(salt, &ours, theirs, &key);
            (key, proof)
        }
    }

    const CODE: &str = "271-82-818";

    fn repeatable(buffer: &mut [u8]) {
        for (place, byte) in buffer.iter_mut().enumerate() {
            *byte = (place * 37 + 11) as u8;
        }
    }

    #[test]
    fn who_knows_the_code_shares_the_key() {
        let attempt = Attempt::new(CODE, repeatable);
        let client = Client::new(77);
        for strip in [false, true] {
            let (key, proof) = client.prove(CODE, attempt.salt(), attempt.public(), strip);
            let proven = attempt.prove(&client.public(), &proof).unwrap();
            assert_eq!(proven.key, key);
        }
        let (_, wrong) = client.prove("271-82-819", attempt.salt(), attempt.public(), false);
        assert!(attempt.prove(&client.public(), &wrong).is_none());
        assert!(attempt.prove(&client.public(), b"").is_none());
    }

    #[test]
    fn leading_zeros_are_hashed_either_way() {
        let attempt = Attempt::new(CODE, repeatable);
        let client = (0..5000).map(Client::new).find(|client| client.public()[0] == 0).unwrap();
        for strip in [false, true] {
            let (key, proof) = client.prove(CODE, attempt.salt(), attempt.public(), strip);
            for wire in [&client.public()[..], without_leading_zeros(&client.public())] {
                assert_eq!(attempt.prove(wire, &proof).unwrap().key, key);
            }
        }
    }

    #[test]
    fn numbers_outside_the_group_are_refused() {
        let attempt = Attempt::new(CODE, repeatable);
        let zero_secret = hash(&[&[0u8; GROUP_BYTES]]);
        for bad in [vec![], vec![0; 384], bytes_of(&PRIME), vec![0xFF; 384], vec![1; 385], vec![0; 4000]] {
            let proof = client_proof(attempt.salt(), &bad, attempt.public(), &zero_secret);
            assert!(attempt.prove(&bad, &proof).is_none());
        }
    }
}
