//! The start from what was kept: whatever is wrong with it, the daemon starts, and nothing is overwritten unseen.

use std::io;
use std::time::{Duration, SystemTime};

use log::{info, warn};

use crate::policy::{Damage, Snapshot};
use crate::vault::Vault;

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

/// Reads what was kept last. What cannot be used is set aside with a warning, and the one before it is tried.
pub fn restore(vault: &dyn Vault, wall: Duration) -> Restored {
    let why = match read(vault.load(), wall) {
        Ok(None) => return Restored { snapshot: previous(vault, wall), may_write: true },
        Ok(Some(snapshot)) => {
            told(&snapshot);
            return Restored { snapshot, may_write: true };
        }
        Err(why) => why,
    };
    let may_write = match vault.set_aside() {
        Ok(place) => {
            warn!(target: "state", "cannot use the kept state, it is set aside why=\"{why}\" place=\"{place}\"");
            true
        }
        Err(error) => {
            warn!(target: "state",
                "cannot use the kept state nor set it aside; nothing is kept this time why=\"{why}\" error=\"{error}\"");
            false
        }
    };
    Restored { snapshot: previous(vault, wall), may_write }
}

/// The one before the last: a little older, and stale like every restored value.
fn previous(vault: &dyn Vault, wall: Duration) -> Snapshot {
    match read(vault.load_previous(), wall) {
        Ok(Some(snapshot)) => {
            told(&snapshot);
            snapshot
        }
        // It was replaced by one that could be used once; there is nothing to warn of.
        Ok(None) | Err(_) => Snapshot::default(),
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
        assert_eq!(restore(&vault, WALL).snapshot, Snapshot::default());
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
