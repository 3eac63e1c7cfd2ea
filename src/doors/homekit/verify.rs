//! Pair-verify: two sides that know each other's long-term keys agree on the keys of a session. M1 to M4.

use super::keys::{Draw, Identity, derive, draw_bytes, exchange, exchange_public, is_signed, open, seal};
use super::tlv::{Fault, Tlv, kind};

const SALT: &str = "Pair-Verify-Encrypt-Salt";
const PURPOSE: &str = "Pair-Verify-Encrypt-Info";
const CONTROL_SALT: &str = "Control-Salt";
/// Named from the controller's side: it reads what we write.
const OUTWARD: &str = "Control-Read-Encryption-Key";
const INWARD: &str = "Control-Write-Encryption-Key";

/// A controller has shown who it is; from the next byte on everything is sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Verified {
    /// Its id.
    pub(super) controller: Vec<u8>,
    /// Seals what we write.
    pub(super) outward: [u8; 32],
    /// Opens what it writes.
    pub(super) inward: [u8; 32],
}

struct Offer {
    ours: [u8; 32],
    theirs: [u8; 32],
    shared: [u8; 32],
    key: [u8; 32],
}

/// One run of pair-verify.
#[derive(Default)]
pub(super) struct Verify(Option<Offer>);

impl Verify {
    /// Takes M1 or M3 and answers. `key_of` knows the paired controllers.
    pub(super) fn step(
        &mut self,
        request: &Tlv,
        own: &Identity,
        key_of: &dyn Fn(&[u8]) -> Option<[u8; 32]>,
        draw: Draw,
    ) -> (Tlv, Option<Verified>) {
        match (request.byte(kind::STATE), self.0.take()) {
            (Some(1), _) => match offer(request, own, draw) {
                Some((offer, reply)) => {
                    self.0 = Some(offer);
                    (reply, None)
                }
                None => (Tlv::fault(2, Fault::Authentication), None),
            },
            (Some(3), Some(offer)) => match finish(request, &offer, key_of) {
                Some(verified) => (Tlv::state(4), Some(verified)),
                None => (Tlv::fault(4, Fault::Authentication), None),
            },
            (Some(3), None) => (Tlv::fault(4, Fault::Unknown), None),
            _ => (Tlv::fault(2, Fault::Unknown), None),
        }
    }
}

fn offer(request: &Tlv, own: &Identity, draw: Draw) -> Option<(Offer, Tlv)> {
    let theirs: [u8; 32] = request.get(kind::PUBLIC_KEY)?.try_into().ok()?;
    let secret = draw_bytes::<32>(draw);
    let shared = exchange(secret, theirs)?;
    let ours = exchange_public(secret);
    let signature = own.sign(&[&ours[..], own.device_id.as_bytes(), &theirs].concat());
    let inner =
        Tlv::default().with(kind::IDENTIFIER, own.device_id.as_bytes()).with(kind::SIGNATURE, &signature);
    let key = derive(&shared, SALT, PURPOSE);
    let sealed = seal(&key, *b"PV-Msg02", &inner.encode());
    let reply = Tlv::state(2).with(kind::PUBLIC_KEY, &ours).with(kind::ENCRYPTED, &sealed);
    Some((Offer { ours, theirs, shared, key }, reply))
}

fn finish(request: &Tlv, offer: &Offer, key_of: &dyn Fn(&[u8]) -> Option<[u8; 32]>) -> Option<Verified> {
    let inner = Tlv::parse(&open(&offer.key, *b"PV-Msg03", request.get(kind::ENCRYPTED)?)?).ok()?;
    let id = inner.get(kind::IDENTIFIER)?;
    let signed = [&offer.theirs[..], id, &offer.ours].concat();
    is_signed(&key_of(id)?, &signed, inner.get(kind::SIGNATURE)?).then(|| Verified {
        controller: id.to_vec(),
        outward: derive(&offer.shared, CONTROL_SALT, OUTWARD),
        inward: derive(&offer.shared, CONTROL_SALT, INWARD),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(buffer: &mut [u8]) {
        buffer.fill(0x21);
    }

    fn own() -> Identity {
        Identity::new("AA:BB:CC:DD:EE:FF".into(), &[3; 32])
    }

    const SECRET: [u8; 32] = [0x44; 32];

    fn run(claims: &[u8], signer: &Identity, known: &Identity) -> (Tlv, Option<Verified>) {
        let public = known.public();
        let key_of = |id: &[u8]| (id == b"phone").then_some(public);
        let mut verify = Verify::default();
        let m1 = Tlv::state(1).with(kind::PUBLIC_KEY, &exchange_public(SECRET));
        let (m2, _) = verify.step(&m1, &own(), &key_of, draw);
        let ours: [u8; 32] = m2.get(kind::PUBLIC_KEY).unwrap().try_into().unwrap();
        let key = derive(&exchange(SECRET, ours).unwrap(), SALT, PURPOSE);
        let inner = Tlv::parse(&open(&key, *b"PV-Msg02", m2.get(kind::ENCRYPTED).unwrap()).unwrap()).unwrap();
        let claim = [&ours[..], b"AA:BB:CC:DD:EE:FF", &exchange_public(SECRET)].concat();
        assert!(is_signed(&own().public(), &claim, inner.get(kind::SIGNATURE).unwrap()));
        let signature = signer.sign(&[&exchange_public(SECRET)[..], claims, &ours].concat());
        let inner = Tlv::default().with(kind::IDENTIFIER, claims).with(kind::SIGNATURE, &signature);
        let m3 = Tlv::state(3).with(kind::ENCRYPTED, &seal(&key, *b"PV-Msg03", &inner.encode()));
        verify.step(&m3, &own(), &key_of, draw)
    }

    #[test]
    fn a_paired_controller_is_let_in() {
        let phone = Identity::new(String::new(), &[8; 32]);
        let (m4, verified) = run(b"phone", &phone, &phone);
        assert_eq!(m4, Tlv::state(4));
        let verified = verified.unwrap();
        assert_eq!(verified.controller, b"phone");
        assert_ne!(verified.inward, verified.outward);
    }

    #[test]
    fn strangers_and_thieves_are_not() {
        let (phone, thief) = (Identity::new(String::new(), &[8; 32]), Identity::new(String::new(), &[9; 32]));
        for (claims, signer) in [(&b"phone"[..], &thief), (b"other", &phone), (b"", &phone)] {
            assert_eq!(run(claims, signer, &phone), (Tlv::fault(4, Fault::Authentication), None));
        }
    }

    #[test]
    fn short_keys_and_wrong_steps_are_refused() {
        let nobody = |_: &[u8]| None;
        let mut verify = Verify::default();
        for key in [&[][..], &[1; 31], &[1; 33], &[0; 32]] {
            let m1 = Tlv::state(1).with(kind::PUBLIC_KEY, key);
            let refused = (Tlv::fault(2, Fault::Authentication), None);
            assert_eq!(verify.step(&m1, &own(), &nobody, draw), refused);
        }
        assert_eq!(verify.step(&Tlv::state(3), &own(), &nobody, draw).0, Tlv::fault(4, Fault::Unknown));
        assert_eq!(verify.step(&Tlv::default(), &own(), &nobody, draw).0, Tlv::fault(2, Fault::Unknown));
    }
}
