//! The start from what was kept: whatever is wrong with it, the daemon starts, and nothing is overwritten unseen.

use std::io;
use std::time::{Duration, SystemTime};

use log::{info, warn};

use crate::policy::{Damage, Snapshot};
use crate::vault::{Kept, Vault};

/// What came back.
#[derive(Debug, Default)]
pub struct Restored {
    /// What was known; nothing at the first start.
    pub snapshot: Snapshot,
    /// False: what lies there could not be used and not be taken out of the way, so it stays untouched.
    pub may_write: bool,
}

/// The time since 1970; a machine without a clock may tell any.
#[expect(
    clippy::disallowed_methods,
    reason = "the one wall clock: ages across a restart, shown and never decided by"
)]
pub fn wall_clock() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Reads what was kept last, else the one before it. What cannot be used of the two is set aside with a warning: the next
/// save would replace it.
pub fn restore(vault: &dyn Vault, wall: Duration) -> Restored {
    let (last, last_is_safe) = usable(vault, Kept::Last, wall);
    let (previous, previous_is_safe) = usable(vault, Kept::Previous, wall);
    // The one before is a little older, and stale like every restored value.
    let snapshot = last.or(previous).inspect(told).unwrap_or_default();
    Restored { snapshot, may_write: last_is_safe && previous_is_safe }
}

/// One of the two, when it can be used; false when it cannot and still lies where it would be overwritten.
fn usable(vault: &dyn Vault, which: Kept, wall: Duration) -> (Option<Snapshot>, bool) {
    let text = match which {
        Kept::Last => vault.load(),
        Kept::Previous => vault.load_previous(),
    };
    let why = match read(text, wall) {
        Ok(snapshot) => return (snapshot, true),
        Err(why) => why,
    };
    let what = match which {
        Kept::Last => "the kept state",
        Kept::Previous => "the kept state before the last",
    };
    match vault.set_aside(which) {
        Ok(place) => {
            warn!(target: "state", "cannot use {what}, it is set aside why=\"{why}\" place=\"{place}\"");
            (None, true)
        }
        Err(error) => {
            warn!(target: "state",
                "cannot use {what} nor set it aside; nothing is kept this time why=\"{why}\" error=\"{error}\"");
            (None, false)
        }
    }
}

fn read(text: io::Result<Option<Vec<u8>>>, wall: Duration) -> Result<Option<Snapshot>, String> {
    let text = text.map_err(|error| error.to_string())?;
    let snapshot = text.map(|text| Snapshot::decode(&text, wall)).transpose();
    snapshot.map_err(|damage: Damage| damage.to_string())
}

fn told(snapshot: &Snapshot) {
    info!(target: "state", "restored outputs={}; stale until the bus has told them again", snapshot.outputs.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conbus::{OutputIndex, Point};
    use crate::policy::Remembered;
    use crate::vault::{FileVault, MemoryVault};

    const WALL: Duration = Duration::from_secs(1_700_000_000);

    fn lamp(on: bool) -> Snapshot {
        let point = Point { serial: "0012345001".parse().unwrap(), output: OutputIndex::new(0).unwrap() };
        let known = Remembered { point, on: Some((on, Duration::ZERO)), level: None };
        Snapshot { outputs: vec![known], used: vec![point.serial] }
    }

    fn memory(text: Option<&[u8]>, previous: Option<Vec<u8>>) -> MemoryVault {
        let vault = MemoryVault::default();
        vault.0.borrow_mut().text = text.map(<[u8]>::to_vec);
        vault.0.borrow_mut().previous = previous;
        vault
    }

    #[test]
    fn the_first_start_knows_nothing_and_may_write() {
        let restored = restore(&MemoryVault::default(), WALL);
        assert_eq!((restored.snapshot, restored.may_write), (Snapshot::default(), true));
    }

    #[test]
    fn what_was_kept_comes_back_and_stays_where_it_is() {
        let vault = memory(Some(&lamp(true).encode(WALL)), None);
        assert_eq!(restore(&vault, WALL).snapshot, lamp(true));
        assert!(vault.0.borrow().text.is_some());
    }

    #[test]
    fn corrupt_and_newer_files_are_set_aside_and_the_one_before_is_used() {
        let newer =
            String::from_utf8(lamp(true).encode(WALL)).unwrap().replace("\"version\":1", "\"version\":9");
        for text in [&b"torn"[..], b"", newer.as_bytes()] {
            let vault = memory(Some(text), Some(lamp(false).encode(WALL)));
            let restored = restore(&vault, WALL);
            assert_eq!((restored.snapshot, restored.may_write), (lamp(false), true));
            assert_eq!(vault.0.borrow().aside, [text], "as it was");
            assert_eq!(vault.0.borrow().text, None);
        }
    }

    #[test]
    fn both_corrupt_is_a_first_start() {
        let vault = memory(Some(b"torn"), Some(b"torn too".to_vec()));
        let restored = restore(&vault, WALL);
        assert_eq!((restored.snapshot, restored.may_write), (Snapshot::default(), true));
        assert_eq!(vault.0.borrow().aside, [&b"torn"[..], b"torn too"]);
    }

    #[test]
    fn a_newer_one_before_the_last_is_set_aside_too_though_nobody_needs_it() {
        let newer = String::from_utf8(lamp(false).encode(WALL)).unwrap();
        let newer = newer.replace("\"version\":1", "\"version\":9").into_bytes();
        let vault = memory(Some(&lamp(true).encode(WALL)), Some(newer.clone()));
        let restored = restore(&vault, WALL);
        assert_eq!((restored.snapshot, restored.may_write), (lamp(true), true));
        let memory = vault.0.borrow();
        assert_eq!((&memory.aside, &memory.previous), (&vec![newer], &None));
        assert!(memory.text.is_some());
    }

    #[test]
    fn what_cannot_be_set_aside_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        std::fs::write(&path, "torn").unwrap();
        for number in 1..=99 {
            std::fs::write(folder.path().join(format!("state.json.aside-{number}")), "older").unwrap();
        }
        let restored = restore(&FileVault::new(path.clone()), WALL);
        assert_eq!(std::fs::read(path).unwrap(), b"torn");
        assert_eq!((restored.snapshot, restored.may_write), (Snapshot::default(), false));
    }
}
