//! The bodies of the fuzz targets: one function a target, from arbitrary bytes to a claim that holds for all of them.
//!
//! Not part of a normal build: it exists for `cargo test`, which runs every body over the committed seeds and over
//! random bytes, and behind the feature `fuzzing`, for `cargo fuzz` (`docs/fuzzing.md`). What can be heard on
//! the bus or said to a door is claimed next to it, in the `fuzzing` of that part.
#![allow(clippy::missing_panics_doc, reason = "to panic on a finding is what each of these is for")]

use std::path::Path;

use crate::config;
use crate::policy::Snapshot;
use crate::tools::import::{ImportError, Imported, convert};

pub use crate::conbus::fuzzing::{decode, splitter, telegram};
pub use crate::doors::homekit::fuzzing::{homekit_http, homekit_pairing, homekit_writes, record, tlv};
pub use crate::doors::http::fuzzing::http_json;
pub use crate::doors::mqtt::fuzzing::mqtt;

/// A claim about any bytes; it panics where the claim does not hold.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder of seeds.
pub const TARGETS: &[(&str, Body)] = &[
    ("splitter", splitter),
    ("telegram", telegram),
    ("decode", decode),
    ("config", config),
    ("import", import),
    ("state", state),
    ("tlv", tlv),
    ("homekit_http", homekit_http),
    ("record", record),
    ("homekit_writes", homekit_writes),
    ("homekit_pairing", homekit_pairing),
    ("http_json", http_json),
    ("mqtt", mqtt),
];

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

/// Files of another program, parted by a zero byte, make a config that is accepted, or a reason with a place.
pub fn import(input: &[u8]) {
    let files: Vec<(String, Vec<u8>)> = input
        .split(|byte| *byte == 0)
        .take(3)
        .enumerate()
        .map(|(at, bytes)| (format!("{at}.yml"), bytes.to_vec()))
        .collect();
    match convert(&files, true) {
        Ok(Imported { text, remarks, counts }) => {
            let config = config::parse("config.toml", &text, Path::new("")).expect("accepted a moment ago");
            let found =
                [config.modules.len(), config.accessories.len(), config.groups.len(), config.scenes.len()];
            assert_eq!(found, counts);
            for (_, line) in remarks {
                assert!(!line.contains(char::is_control), "{line:?}");
            }
        }
        Err(ImportError::NotAccepted(report)) => panic!("it made what it does not take:\n{report}"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
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
