//! What the command line does with the store while the daemon is not running.

use std::path::Path;

use super::OpenError;
use super::keys::system_draw;
use super::store::State;
use super::vault::{FileVault, Vault, replace};

fn load(store: &Path) -> Result<Option<State>, OpenError> {
    let text = FileVault(store.to_owned()).load().map_err(|cause| failed(store, cause))?;
    let damaged =
        |why: super::store::Damage| OpenError::Damaged { path: store.to_owned(), why: why.to_string() };
    text.map(|text| State::decode(&text).map_err(damaged)).transpose()
}

fn failed(store: &Path, cause: std::io::Error) -> OpenError {
    OpenError::Store { path: store.to_owned(), cause }
}

/// Who is paired, a line each.
pub fn pairings(store: &Path) -> Result<String, OpenError> {
    let bridges = load(store)?.map(|state| state.bridges).unwrap_or_default();
    let lines = bridges.iter().enumerate().flat_map(|(place, bridge)| {
        bridge.controllers.iter().map(move |controller| {
            let role = if controller.admin { "admin" } else { "user" };
            format!(
                "bridge {}  {role:5}  {}\n",
                place + 1,
                String::from_utf8_lossy(&controller.id).escape_debug()
            )
        })
    });
    let lines: String = lines.collect();
    Ok(if lines.is_empty() { "nobody is paired\n".into() } else { lines })
}

/// Makes every bridge a new one: new names, keys and codes, nobody paired. The numbers of accessories stay.
pub fn reset(store: &Path) -> Result<(), OpenError> {
    let Some(mut state) = load(store)? else { return Ok(()) };
    state.renew(system_draw);
    replace(store, &state.encode()).map_err(|cause| failed(store, cause))
}

#[cfg(test)]
mod tests {
    use super::super::pairings::Controller;
    use super::*;

    #[test]
    fn a_reset_makes_other_bridges_with_the_same_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("homekit.json");
        assert_eq!(pairings(&path).unwrap(), "nobody is paired\n");
        reset(&path).unwrap();
        let mut before = State::new(system_draw);
        before.settle(&["lamp"], system_draw);
        before.bridges[0].controllers.push(Controller::new(b"phone", &[1; 32], true).unwrap());
        replace(&path, &before.encode()).unwrap();
        assert_eq!(pairings(&path).unwrap(), "bridge 1  admin  phone\n");
        reset(&path).unwrap();
        let after = load(&path).unwrap().unwrap();
        assert_eq!(after.places, before.places);
        assert!(!after.bridges[0].is_paired());
        assert_ne!(after.bridges[0].device_id, before.bridges[0].device_id);
        assert_ne!(after.bridges[0].code, before.bridges[0].code);
    }

    #[test]
    fn a_damaged_store_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("homekit.json");
        std::fs::write(&path, "conbusd-homekit-1 00\n{}").unwrap();
        assert!(matches!(reset(&path), Err(OpenError::Damaged { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "conbusd-homekit-1 00\n{}");
    }
}
