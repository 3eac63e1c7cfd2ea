//! Claims about a store that is killed while it writes: nobody who was told that he is paired is forgotten, and no lamp
//! gets another number.

#[path = "../../../../tests/daemon/killed.rs"]
mod child;

use std::path::Path;

use super::*;
use crate::doors::homekit::pairings::{Controller, change};
use crate::doors::homekit::tlv::{Tlv, kind};
use crate::doors::homekit::vault::{FileVault, Vault as _};

/// Tells the child where its store is.
const WHERE: &str = "CONBUSD_TEST_HOMEKIT_STORE";

/// The test below, which is its own child.
const KILLED: &str =
    "doors::homekit::tests::killed::killed_at_200_random_moments_no_pairing_and_no_number_is_lost";

/// Who pairs in a round leaves so many rounds later.
const ROUNDS_PAIRED: usize = 5;

/// How many lamps are configured; those of earlier rounds are gone from the config and keep their numbers.
const LAMPS: usize = 20;

fn phone(number: usize) -> String {
    format!("phone{number}")
}

/// Who is paired after this round, in the order of their pairing.
fn paired_after(number: usize) -> Vec<String> {
    let first = number.saturating_sub(ROUNDS_PAIRED - 1).max(1);
    std::iter::once("admin".to_owned()).chain((first..=number).map(phone)).collect()
}

fn asked(bridge: &mut Vec<Controller>, request: &Tlv) {
    if let Some(after) = change(bridge, b"admin", request).keep {
        *bridge = after;
    }
}

/// A round: one phone is added, one is removed, and a new lamp is in the config.
fn live_on(state: &mut State, number: usize) {
    let paired = &mut state.bridges[0].controllers;
    let name = phone(number);
    let add = Tlv::state(1).with(kind::METHOD, &[3]).with(kind::IDENTIFIER, name.as_bytes());
    asked(paired, &add.with(kind::PUBLIC_KEY, &[number as u8; 32]).with(kind::PERMISSIONS, &[0]));
    if let Some(gone) = number.checked_sub(ROUNDS_PAIRED) {
        let remove = Tlv::state(1).with(kind::METHOD, &[4]);
        asked(paired, &remove.with(kind::IDENTIFIER, phone(gone).as_bytes()));
    }
    let lamps: Vec<String> =
        (number.saturating_sub(LAMPS - 1)..=number).map(|n| format!("lamp{n}")).collect();
    let lamps: Vec<&str> = lamps.iter().map(String::as_str).collect();
    state.settle(&lamps, system_draw);
}

/// How many rounds a store has seen: each brought a lamp, and there was one before the first.
fn rounds(state: &State) -> usize {
    state.places.len() - 1
}

fn load(store: &Path) -> State {
    State::decode(&FileVault(store.to_owned()).load().unwrap().expect("a store")).expect("it is whole")
}

/// The child: lives one round after another and tells the number of each that is safe, until it is killed.
fn live_for_ever(store: &Path) {
    let mut state = load(store);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let keeper = Keeper::new(Box::new(FileVault(store.to_owned())));
        for number in rounds(&state) + 1.. {
            live_on(&mut state, number);
            keeper.save(state.encode()).await.unwrap();
            println!("safe {number}");
        }
    });
}

#[test]
fn killed_at_200_random_moments_no_pairing_and_no_number_is_lost() {
    if let Some(store) = std::env::var_os(WHERE) {
        return live_for_ever(store.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("homekit.json");
    let mut first = State::new(system_draw);
    first.settle(&["lamp0"], system_draw);
    first.bridges[0].controllers.push(Controller::new(b"admin", &[7; 32], true).unwrap());
    crate::vault::replace(&store, &first.encode()).unwrap();
    let mut chance = fastrand::Rng::with_seed(28);
    for round in 0..200 {
        let after = Duration::from_micros(chance.u64(0..8000));
        let safe = child::last_word(KILLED, WHERE, &store, after) as usize;
        let state = load(&store);
        let number = rounds(&state);
        assert!((safe..=safe + 1).contains(&number), "round {round}: {number} after {safe} was safe");
        let bridge = &state.bridges[0];
        let paired: Vec<_> = bridge.controllers.iter().map(|one| String::from_utf8_lossy(&one.id)).collect();
        assert_eq!(paired, paired_after(number), "round {round}");
        for (lamp, aid) in (0..=number).zip(2..) {
            assert_eq!(state.places[&format!("lamp{lamp}")].aid, aid, "round {round}: lamp {lamp}");
        }
        let who = |bridge: &crate::doors::homekit::store::BridgeState| {
            (
                bridge.device_id.clone(),
                bridge.setup_id.clone(),
                bridge.code.clone(),
                bridge.identity().public(),
            )
        };
        assert_eq!(who(bridge), who(&first.bridges[0]), "round {round}");
    }
}
