//! What may be heard on the bus, as claims about any bytes (`crate::fuzzing`).
#![allow(clippy::missing_panics_doc, reason = "to panic on a finding is what each of these is for")]

use super::{
    FRAME_BYTES_MAX, NoiseCause, Piece, Splitter, Telegram, checksum, describe, describe_noise,
    describe_telegram,
};

/// Cuts `bytes` into segments whose lengths the bytes of `cuts` give, one after another and over again.
pub(crate) fn segments<'a>(bytes: &'a [u8], cuts: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let (mut rest, mut turn) = (bytes, 0);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let wanted = cuts.get(turn % cuts.len().max(1)).map_or(usize::MAX, |cut| usize::from(*cut).max(1));
        turn += 1;
        let (segment, behind) = rest.split_at(wanted.min(rest.len()));
        rest = behind;
        Some(segment)
    })
}

/// The first byte says how many of the next are lengths of segments; the rest is what is cut.
pub(crate) fn cuts_and_bytes(input: &[u8]) -> (&[u8], &[u8]) {
    let Some((count, rest)) = input.split_first() else { return (&[], &[]) };
    rest.split_at(usize::from(count % 8).min(rest.len()))
}

/// A piece as a value of its own: a frame's payload, or noise with its length and its cause.
#[derive(PartialEq, Eq, Debug)]
enum Heard {
    Frame(Vec<u8>),
    Noise(Vec<u8>, usize, NoiseCause),
}

fn heard<'a>(stream: impl Iterator<Item = &'a [u8]>) -> Vec<Heard> {
    let mut splitter = Splitter::new();
    let mut all = Vec::new();
    let note = |piece: Piece<'_>| match piece {
        Piece::Frame(frame) => {
            let payload = frame.payload();
            assert!(
                payload.len() + 4 <= FRAME_BYTES_MAX && !payload.contains(&b'<') && !payload.contains(&b'>')
            );
            Heard::Frame(payload.to_vec())
        }
        Piece::Noise(noise) => {
            assert!(noise.bytes.len() <= FRAME_BYTES_MAX && noise.bytes.len() <= noise.total);
            Heard::Noise(noise.bytes.to_vec(), noise.total, noise.why)
        }
    };
    for segment in stream {
        let mut unread = segment;
        while let Some(piece) = splitter.next_piece(&mut unread) {
            all.push(note(piece));
        }
        assert!(unread.is_empty(), "it stopped before the end of what it was given");
        assert!(splitter.held_bytes() <= 2 * FRAME_BYTES_MAX, "{} bytes held", splitter.held_bytes());
    }
    if let Some(noise) = splitter.finish() {
        all.push(note(Piece::Noise(noise)));
    }
    all
}

/// However a stream is cut, the same is heard; what is held back is bounded; every byte is in at most one piece.
pub fn splitter(input: &[u8]) {
    let (cuts, bytes) = cuts_and_bytes(input);
    let whole = heard(std::iter::once(bytes));
    assert_eq!(heard(segments(bytes, cuts)), whole);
    assert_eq!(heard(bytes.chunks(1)), whole);
    let told: usize = whole
        .iter()
        .map(|piece| match piece {
            Heard::Frame(payload) => payload.len() + 4,
            Heard::Noise(_, total, _) => *total,
        })
        .sum();
    assert!(told <= bytes.len());
}

/// What is read as a telegram prints to the same bytes, and these are read as the same telegram.
pub fn telegram(input: &[u8]) {
    let Some(telegram) = Telegram::parse_payload(input) else { return };
    assert_eq!(telegram.payload(), input);
    let frame = telegram.to_bytes();
    assert_eq!(frame, [&b"<"[..], input, &checksum::checksum(input), b">"].concat());
    let latin: Vec<u8> = telegram.to_string().chars().map(|letter| letter as u32 as u8).collect();
    assert_eq!(latin, frame);
    let mut splitter = Splitter::with_limit(frame.len());
    match splitter.next_piece(&mut &frame[..]) {
        Some(Piece::Frame(again)) => assert_eq!(Telegram::parse(again), Ok(telegram.clone())),
        other => panic!("{other:?}"),
    }
    if let Telegram::System(system) = &telegram {
        let (reads, commands) = (system.reads(), system.commands());
        assert!(reads.is_none() || commands.is_none(), "{system:?}");
    }
    assert!(describe_telegram(&telegram).valid);
}

/// `decode` prints one line of JSON for each piece, whatever it is, and says "valid" only of telegrams.
pub fn decode(input: &[u8]) {
    let mut splitter = Splitter::with_limit(65_536);
    let mut unread = input;
    let mut objects = Vec::new();
    while let Some(piece) = splitter.next_piece(&mut unread) {
        let is_telegram = matches!(piece, Piece::Frame(frame) if Telegram::parse(frame).is_ok());
        let object = describe(piece);
        assert_eq!(object.valid, is_telegram);
        objects.push(object);
    }
    objects.extend(splitter.finish().map(describe_noise));
    for object in objects {
        let line = serde_json::to_string(&object).expect("an object of texts and numbers");
        assert!(!line.contains('\n'));
        let back: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(back["valid"], object.valid);
        assert_eq!(back["telegram"], object.telegram.as_str());
    }
}
