//! TLV8, the words of pairing: a byte of kind, a byte of length, and so on; longer values come in pieces of 255.

/// What an item is.
pub(super) mod kind {
    pub(in crate::doors::homekit) const METHOD: u8 = 0x00;
    pub(in crate::doors::homekit) const IDENTIFIER: u8 = 0x01;
    pub(in crate::doors::homekit) const SALT: u8 = 0x02;
    pub(in crate::doors::homekit) const PUBLIC_KEY: u8 = 0x03;
    pub(in crate::doors::homekit) const PROOF: u8 = 0x04;
    pub(in crate::doors::homekit) const ENCRYPTED: u8 = 0x05;
    pub(in crate::doors::homekit) const STATE: u8 = 0x06;
    pub(in crate::doors::homekit) const ERROR: u8 = 0x07;
    pub(in crate::doors::homekit) const SIGNATURE: u8 = 0x0A;
    pub(in crate::doors::homekit) const PERMISSIONS: u8 = 0x0B;
    pub(in crate::doors::homekit) const SEPARATOR: u8 = 0xFF;
}

/// What goes wrong in pairing, as the protocol counts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Fault {
    /// Anything that has no number of its own.
    Unknown = 1,
    /// Wrong code, wrong signature, or not allowed.
    Authentication = 2,
    /// No room for another pairing.
    MaxPeers = 4,
    /// Too many wrong codes.
    MaxTries = 5,
    /// Already paired.
    Unavailable = 6,
    /// Somebody else is pairing.
    Busy = 7,
}

/// The text ends inside an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Truncated;

/// A list of items.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tlv(Vec<(u8, Vec<u8>)>);

impl Tlv {
    /// An answer of this step.
    pub(super) fn state(step: u8) -> Self {
        Self::default().with(kind::STATE, &[step])
    }

    /// An answer of this step: no.
    pub(super) fn fault(step: u8, fault: Fault) -> Self {
        Self::state(step).with(kind::ERROR, &[fault as u8])
    }

    /// One item more.
    pub(super) fn with(mut self, kind: u8, value: &[u8]) -> Self {
        self.0.push((kind, value.to_vec()));
        self
    }

    /// The first item of this kind.
    pub(super) fn get(&self, kind: u8) -> Option<&[u8]> {
        self.0.iter().find(|(own, _)| *own == kind).map(|(_, value)| value.as_slice())
    }

    /// The first item of this kind as a number of one byte.
    pub(super) fn byte(&self, kind: u8) -> Option<u8> {
        match self.get(kind)? {
            [byte] => Some(*byte),
            _ => None,
        }
    }

    /// Reads a text. A full piece goes on in the next item of its kind.
    pub(super) fn parse(mut text: &[u8]) -> Result<Self, Truncated> {
        let mut items: Vec<(u8, Vec<u8>)> = Vec::new();
        let mut goes_on = false;
        while let [kind, length, rest @ ..] = text {
            let (value, rest) = rest.split_at_checked(usize::from(*length)).ok_or(Truncated)?;
            match items.last_mut() {
                Some((last, whole)) if goes_on && last == kind => whole.extend_from_slice(value),
                _ => items.push((*kind, value.to_vec())),
            }
            goes_on = *length == u8::MAX;
            text = rest;
        }
        if text.is_empty() { Ok(Self(items)) } else { Err(Truncated) }
    }

    /// Writes the text. An empty piece ends a full value before a neighbour of its kind, which would go on with it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (at, (kind, value)) in self.0.iter().enumerate() {
            let mut pieces = value.chunks(usize::from(u8::MAX));
            let first = pieces.next().unwrap_or_default();
            for piece in std::iter::once(first).chain(pieces) {
                text.extend_from_slice(&[*kind, piece.len() as u8]);
                text.extend_from_slice(piece);
            }
            let is_full = !value.is_empty() && value.len().is_multiple_of(usize::from(u8::MAX));
            if is_full && self.0.get(at + 1).is_some_and(|(next, _)| next == kind) {
                text.extend_from_slice(&[*kind, 0]);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(items in prop::collection::vec((0u8..3, prop_oneof![0usize..900, Just(255), Just(510)]), 0..8)) {
            let mut tlv = Tlv::default();
            for (kind, length) in items {
                tlv = tlv.with(kind, &vec![kind; length]);
            }
            prop_assert_eq!(Tlv::parse(&tlv.encode()), Ok(tlv));
        }

        #[test]
        fn no_text_breaks_it(text in prop::collection::vec(any::<u8>(), 0..700)) {
            let _ = Tlv::parse(&text);
        }
    }

    #[test]
    fn a_truncated_text_is_refused() {
        let whole = Tlv::state(1).with(kind::PUBLIC_KEY, &[7; 300]).encode();
        let items = [3, 3 + 257, whole.len()];
        for length in 1..whole.len() {
            assert_eq!(Tlv::parse(&whole[..length]).is_ok(), items.contains(&length), "{length}");
        }
    }

    #[test]
    fn neighbours_of_one_kind_stay_apart_unless_the_first_is_full() {
        let tlv = Tlv::parse(&[1, 1, 65, 1, 1, 66]).unwrap();
        assert_eq!((tlv.get(1), tlv.0.len()), (Some(&b"A"[..]), 2));
        let full = [&[1u8, 255][..], &[9; 255], &[1, 1, 9]].concat();
        assert_eq!(Tlv::parse(&full).unwrap().get(1).map(<[u8]>::len), Some(256));
    }

    #[test]
    fn a_full_value_does_not_take_its_neighbour_along() {
        let tlv = Tlv::default().with(5, &[9; 255]).with(5, &[8; 3]).with(5, &[7; 510]).with(6, &[1]);
        let text = tlv.encode();
        assert_eq!(Tlv::parse(&text), Ok(tlv));
        assert_eq!(text.len(), 257 + 2 + 5 + 2 * 257 + 3, "an empty piece behind the first alone");
    }

    #[test]
    fn a_number_has_one_byte() {
        assert_eq!(Tlv::parse(&[6, 2, 1, 1]).unwrap().byte(kind::STATE), None);
        assert_eq!(Tlv::parse(&[6, 0]).unwrap().byte(kind::STATE), None);
    }
}
