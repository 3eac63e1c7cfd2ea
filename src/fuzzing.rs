//! The bodies of the fuzz targets: one function a target, from arbitrary bytes to a claim that holds for all of them.
//!
//! Not part of a normal build: it exists for `cargo test`, which runs every body over the committed seeds and over
//! random bytes, and behind the feature `fuzzing`, for `cargo fuzz` (`docs/fuzzing.md`). What lies inside a door is
//! fuzzed next to it, in the door's own `fuzzing`.
#![allow(clippy::missing_panics_doc, reason = "to panic on a finding is what each of these is for")]

use std::path::Path;

use crate::conbus::{
    FRAME_BYTES_MAX, NoiseCause, Piece, Splitter, Telegram, checksum, describe, describe_noise,
    describe_telegram,
};
use crate::config;
use crate::policy::Snapshot;

pub use crate::doors::homekit::fuzzing::{homekit_http, homekit_pairing, homekit_writes, record, tlv};
pub use crate::doors::http::fuzzing::http_json;

/// A claim about any bytes; it panics where the claim does not hold.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder of seeds.
pub const TARGETS: &[(&str, Body)] = &[
    ("splitter", splitter),
    ("telegram", telegram),
    ("decode", decode),
    ("config", config),
    ("state", state),
    ("tlv", tlv),
    ("homekit_http", homekit_http),
    ("record", record),
    ("homekit_writes", homekit_writes),
    ("homekit_pairing", homekit_pairing),
    ("http_json", http_json),
];

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
            assert!(payload.len() + 4 <= FRAME_BYTES_MAX && !payload.contains(&b'<') && !payload.contains(&b'>'));
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

/// A text is a config, or has mistakes with a place inside it, a message and no second meaning.
pub fn config(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Err(report) = config::parse("config.toml", &text, Path::new("/")) else { return };
    assert!(!report.mistakes().is_empty(), "refused without a reason");
    let lines: Vec<&str> = text.split('\n').collect();
    for mistake in report.mistakes() {
        let line = mistake.line().checked_sub(1).and_then(|at| lines.get(at));
        let line = line.unwrap_or_else(|| panic!("line {} of {}", mistake.line(), lines.len()));
        let columns = line.chars().count() + 1;
        assert!((1..=columns).contains(&mistake.column()), "column {} of {columns}", mistake.column());
        assert!(!mistake.message().is_empty());
    }
    assert!(report.to_string().lines().last().is_some_and(|last| last.contains("mistake")));
}

/// A kept state is read or refused, and what was read is kept and read as the same.
pub fn state(input: &[u8]) {
    let wall = std::time::Duration::from_secs(1_700_000_000);
    if let Ok(snapshot) = Snapshot::decode(input, wall) {
        let again = Snapshot::decode(&snapshot.encode(wall), wall);
        assert_eq!(again, Ok(snapshot));
    }
    crate::doors::homekit::fuzzing::store(input);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    #[test]
    fn every_body_holds_over_its_seeds_and_over_everything_ever_found() {
        for (name, body) in TARGETS {
            let seeds = files(&folder("seeds").join(name));
            assert!(!seeds.is_empty(), "{name} has no seeds");
            for seed in seeds {
                let bytes = fs::read(&seed).unwrap();
                let held = std::panic::catch_unwind(|| body(&bytes));
                assert!(held.is_ok(), "{}", seed.display());
            }
        }
    }

    #[test]
    fn every_target_has_a_program_and_every_program_a_target() {
        let names: BTreeSet<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        let programs = files(&folder("fuzz_targets"));
        let stems: BTreeSet<&str> =
            programs.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
        assert_eq!(stems, names);
        let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
        for name in names {
            let program = fs::read_to_string(folder("fuzz_targets").join(format!("{name}.rs"))).unwrap();
            assert!(program.contains(&format!("conbusd::fuzzing::{name}(")), "{name}");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]

        #[test]
        fn every_body_holds_over_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            for (_, body) in TARGETS {
                body(&bytes);
            }
        }

        #[test]
        fn every_body_holds_over_damaged_seeds(
            which in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            length in any::<prop::sample::Index>(),
        ) {
            for (name, body) in TARGETS {
                let seeds = files(&folder("seeds").join(name));
                let mut bytes = fs::read(&seeds[which.index(seeds.len())]).unwrap();
                bytes.push(0);
                for (place, byte) in &changes {
                    let place = place.index(bytes.len());
                    bytes[place] = *byte;
                }
                bytes.truncate(length.index(bytes.len()) + 1);
                body(&bytes);
            }
        }
    }
}
