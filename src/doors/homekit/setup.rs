//! Pair-setup, from the code to an exchange of long-term keys: M1 to M6, a text in, a text out.
//!
//! It does not know whether somebody else is pairing or whether the bridge is paired: that is decided before.

use super::keys::{Draw, Identity, derive, is_signed, open, seal};
use super::pairings::Controller;
use super::srp::Attempt;
use super::tlv::{Fault, Tlv, kind};

const SALT: &str = "Pair-Setup-Encrypt-Salt";
const PURPOSE: &str = "Pair-Setup-Encrypt-Info";
const THEIR_SALT: &str = "Pair-Setup-Controller-Sign-Salt";
const THEIR_PURPOSE: &str = "Pair-Setup-Controller-Sign-Info";
const OUR_SALT: &str = "Pair-Setup-Accessory-Sign-Salt";
const OUR_PURPOSE: &str = "Pair-Setup-Accessory-Sign-Info";

/// Methods of M1: without and with authentication by a chip, which ends the same way here.
const METHODS: [u8; 2] = [0, 1];

/// What a step came to, besides its answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// Nothing to do but answer.
    Goes,
    /// The code was wrong.
    WrongCode,
    /// The steps were wrong; the attempt is over.
    Failed,
    /// Keep this controller, then answer.
    Paired(Controller),
}

/// How far one attempt has come.
#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    Offered(Box<Attempt>),
    Proven(Box<[u8; 64]>),
}

/// One attempt to pair.
#[derive(Default)]
pub(super) struct Setup(Stage);

impl Setup {
    /// Takes M1, M3 or M5 and answers; any fault ends the attempt.
    pub(super) fn step(&mut self, request: &Tlv, code: &str, own: &Identity, draw: Draw) -> (Tlv, Outcome) {
        let stage = std::mem::take(&mut self.0);
        match (request.byte(kind::STATE), stage) {
            (Some(1), _) if request.byte(kind::METHOD).is_none_or(|method| METHODS.contains(&method)) => {
                let attempt = Attempt::new(code, draw);
                let reply =
                    Tlv::state(2).with(kind::PUBLIC_KEY, attempt.public()).with(kind::SALT, attempt.salt());
                self.0 = Stage::Offered(Box::new(attempt));
                (reply, Outcome::Goes)
            }
            (Some(3), Stage::Offered(attempt)) => self.prove(request, &attempt),
            (Some(5), Stage::Proven(key)) => match exchange(request, &key, own) {
                Some((reply, controller)) => (reply, Outcome::Paired(controller)),
                None => (Tlv::fault(6, Fault::Authentication), Outcome::Failed),
            },
            (step, _) => {
                let next = step.filter(|step| [1, 3, 5].contains(step)).map_or(2, |step| step + 1);
                (Tlv::fault(next, Fault::Unknown), Outcome::Failed)
            }
        }
    }

    fn prove(&mut self, request: &Tlv, attempt: &Attempt) -> (Tlv, Outcome) {
        let (Some(public), Some(proof)) = (request.get(kind::PUBLIC_KEY), request.get(kind::PROOF)) else {
            return (Tlv::fault(4, Fault::Unknown), Outcome::Failed);
        };
        let Some(proven) = attempt.prove(public, proof) else {
            return (Tlv::fault(4, Fault::Authentication), Outcome::WrongCode);
        };
        self.0 = Stage::Proven(Box::new(proven.key));
        (Tlv::state(4).with(kind::PROOF, &proven.proof), Outcome::Goes)
    }
}

/// M5 to M6: who they are, who we are, both signed.
fn exchange(request: &Tlv, secret: &[u8; 64], own: &Identity) -> Option<(Tlv, Controller)> {
    let key = derive(secret, SALT, PURPOSE);
    let inner = Tlv::parse(&open(&key, *b"PS-Msg05", request.get(kind::ENCRYPTED)?)?).ok()?;
    let controller = Controller::new(inner.get(kind::IDENTIFIER)?, inner.get(kind::PUBLIC_KEY)?, true)?;
    let signed = [&derive(secret, THEIR_SALT, THEIR_PURPOSE)[..], &controller.id, &controller.key].concat();
    if !is_signed(&controller.key, &signed, inner.get(kind::SIGNATURE)?) {
        return None;
    }
    let id = own.device_id.as_bytes();
    let signed = [&derive(secret, OUR_SALT, OUR_PURPOSE)[..], id, &own.public()].concat();
    let inner = Tlv::default()
        .with(kind::IDENTIFIER, id)
        .with(kind::PUBLIC_KEY, &own.public())
        .with(kind::SIGNATURE, &own.sign(&signed));
    let sealed = seal(&key, *b"PS-Msg06", &inner.encode());
    Some((Tlv::state(6).with(kind::ENCRYPTED, &sealed), controller))
}

#[cfg(test)]
mod tests {
    use super::super::srp::tests::Client;
    use super::*;

    const CODE: &str = "271-82-818";

    fn draw(buffer: &mut [u8]) {
        buffer.fill(0x5A);
    }

    fn own() -> Identity {
        Identity::new("AA:BB:CC:DD:EE:FF".into(), &[3; 32])
    }

    fn step(setup: &mut Setup, request: &Tlv) -> (Tlv, Outcome) {
        setup.step(&Tlv::parse(&request.encode()).unwrap(), CODE, &own(), draw)
    }

    /// Up to M4 with this code; the shared key and M4.
    fn to_m4(setup: &mut Setup, code: &str) -> ([u8; 64], Tlv, Outcome) {
        let (m2, _) = step(setup, &Tlv::state(1).with(kind::METHOD, &[0]));
        let client = Client::new(99);
        let (salt, public) = (m2.get(kind::SALT).unwrap(), m2.get(kind::PUBLIC_KEY).unwrap());
        let (key, proof) = client.prove(code, salt, public, false);
        let m3 = Tlv::state(3).with(kind::PUBLIC_KEY, &client.public()).with(kind::PROOF, &proof);
        let (m4, outcome) = step(setup, &m3);
        (key, m4, outcome)
    }

    fn m5(secret: &[u8; 64], id: &[u8], signer: &Identity, key: &[u8]) -> Tlv {
        let claim = [&derive(secret, THEIR_SALT, THEIR_PURPOSE)[..], id, key].concat();
        let inner = Tlv::default()
            .with(kind::IDENTIFIER, id)
            .with(kind::PUBLIC_KEY, key)
            .with(kind::SIGNATURE, &signer.sign(&claim));
        let sealed = seal(&derive(secret, SALT, PURPOSE), *b"PS-Msg05", &inner.encode());
        Tlv::state(5).with(kind::ENCRYPTED, &sealed)
    }

    #[test]
    fn the_right_code_pairs() {
        let mut setup = Setup::default();
        let (secret, m4, _) = to_m4(&mut setup, CODE);
        assert_eq!((m4.byte(kind::STATE), m4.get(kind::ERROR)), (Some(4), None));
        let phone = Identity::new(String::new(), &[8; 32]);
        let (m6, outcome) = step(&mut setup, &m5(&secret, b"phone", &phone, &phone.public()));
        let Outcome::Paired(controller) = outcome else { panic!("{outcome:?}") };
        assert_eq!(
            (controller.id, controller.key, controller.admin),
            (b"phone".to_vec(), phone.public(), true)
        );
        let inner = open(&derive(&secret, SALT, PURPOSE), *b"PS-Msg06", m6.get(kind::ENCRYPTED).unwrap());
        let inner = Tlv::parse(&inner.unwrap()).unwrap();
        assert_eq!(inner.get(kind::IDENTIFIER), Some(&b"AA:BB:CC:DD:EE:FF"[..]));
        assert_eq!(inner.get(kind::PUBLIC_KEY), Some(&own().public()[..]));
    }

    #[test]
    fn a_wrong_code_is_told_and_ends_the_attempt() {
        let mut setup = Setup::default();
        let (_, m4, outcome) = to_m4(&mut setup, "271-82-819");
        assert_eq!((m4, outcome), (Tlv::fault(4, Fault::Authentication), Outcome::WrongCode));
        let (m6, outcome) = step(&mut setup, &Tlv::state(5).with(kind::ENCRYPTED, &[0; 64]));
        assert_eq!((m6, outcome), (Tlv::fault(6, Fault::Unknown), Outcome::Failed));
    }

    #[test]
    fn a_foreign_signature_or_a_short_key_does_not_pair() {
        let (phone, thief) = (Identity::new(String::new(), &[8; 32]), Identity::new(String::new(), &[9; 32]));
        for (signer, key, id) in [
            (&thief, &phone.public()[..], &b"phone"[..]),
            (&phone, &phone.public()[1..], b"phone"),
            (&phone, &[], b"phone"),
            (&phone, &phone.public(), b""),
        ] {
            let mut setup = Setup::default();
            let (secret, ..) = to_m4(&mut setup, CODE);
            let (m6, outcome) = step(&mut setup, &m5(&secret, id, signer, key));
            assert_eq!((m6, outcome), (Tlv::fault(6, Fault::Authentication), Outcome::Failed));
        }
    }

    #[test]
    fn steps_out_of_order_are_refused() {
        for (request, next) in [
            (Tlv::state(3), 4),
            (Tlv::state(5), 6),
            (Tlv::state(9), 2),
            (Tlv::default(), 2),
            (Tlv::state(1).with(kind::METHOD, &[5]), 2),
        ] {
            let (reply, outcome) = step(&mut Setup::default(), &request);
            assert_eq!((reply, outcome), (Tlv::fault(next, Fault::Unknown), Outcome::Failed));
        }
        let mut setup = Setup::default();
        step(&mut setup, &Tlv::state(1));
        assert_eq!(step(&mut setup, &Tlv::state(3)).0, Tlv::fault(4, Fault::Unknown));
    }
}
