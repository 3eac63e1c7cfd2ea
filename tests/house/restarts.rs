//! What a house knows when its daemon starts again.

use std::time::Duration;

use conbusd::actors::ask;
use conbusd::actors::events::{Drain, LinkState, Observe};
use conbusd::app::watch::is_alive;
use conbusd::policy::store::Want;
use conbusd::policy::switch::AccessoryState;
use conbusd::policy::{BusError, Freshness, Origin};
use conbusd::vault::MemoryVault;

use crate::support::{House, house_of_24, in_virtual_time, ms, pass, point, points_of_24, seconds};

/// A vault with what a house knew in which these lamps were on.
async fn house_before(on: &'static [(u8, u8)]) -> MemoryVault {
    let vault = MemoryVault::default();
    let house = house_of_24().kept_in(&vault).warm().await;
    for (index, lamp) in points_of_24().into_iter().enumerate() {
        if on.iter().any(|&(module, output)| lamp == point(module, output)) {
            house.switch(index, true).await.unwrap();
        }
    }
    house.finish().await;
    vault
}

fn shown(states: &[AccessoryState]) -> Vec<Option<bool>> {
    states.iter().map(|state| state.on).collect()
}

#[test]
fn a_restarted_house_shows_what_it_knew_as_stale_at_once_and_tells_nobody() {
    in_virtual_time(async {
        let vault = house_before(&[(1, 2), (3, 0)]).await;
        let house = house_of_24().kept_in(&vault).start_with(false);
        let states = house.list().await;
        let on: Vec<usize> = (0..24).filter(|&at| states[at].on == Some(true)).collect();
        assert_eq!(on, [2, 8]);
        for state in &states {
            assert_eq!((state.freshness, state.origin), (Freshness::Stale, Some(Origin::Snapshot)));
        }
        assert_eq!(house.get(0, Want::Known).await.unwrap().on, Some(false));
        assert_eq!(house.get(0, Want::Since(conbusd::actors::now())).await, Err(BusError::LinkDown));
        pass(seconds(60)).await;
        assert_eq!(house.told.borrow().accessories.len(), 0, "nothing was announced");
        house.finish().await;
    });
}

#[test]
fn two_seconds_after_the_link_everything_restored_is_fresh_and_told_once() {
    in_virtual_time(async {
        let vault = house_before(&[]).await;
        let house = house_of_24().kept_in(&vault).start();
        while !house.told.borrow().links.contains(&LinkState::Up) {
            pass(ms(10)).await;
        }
        pass(seconds(2)).await;
        assert_eq!(house.wrong(&points_of_24()).await, []);
        for index in 0..24 {
            let changes = house.changes(index);
            assert_eq!(changes.len(), 1, "{index}: {changes:?}");
            assert_eq!((changes[0].0, changes[0].1), (Some(false), Freshness::Fresh));
        }
        house.finish().await;
    });
}

#[test]
fn what_changed_while_the_daemon_was_away_is_found() {
    in_virtual_time(async {
        // The emulated house begins with all lamps off; the daemon remembers two that were on.
        let vault = house_before(&[(1, 0), (2, 3)]).await;
        let house = house_of_24().kept_in(&vault).start();
        assert_eq!(shown(&house.list().await)[0], Some(true));
        pass(seconds(4)).await;
        assert_eq!(house.wrong(&points_of_24()).await, []);
        assert_eq!(shown(&house.list().await)[0], Some(false));
        house.finish().await;
    });
}

/// The order in which modules were first asked for their outputs.
fn asked(house: &House) -> Vec<String> {
    let mut asked: Vec<String> = vec![];
    for telegram in &house.told.borrow().telegrams {
        let text = telegram.to_string();
        if text.starts_with("<S") && text.contains("F02D12") && !asked.contains(&text) {
            asked.push(text);
        }
    }
    asked
}

#[test]
fn after_a_restart_the_modules_used_last_are_asked_first() {
    in_virtual_time(async {
        let vault = MemoryVault::default();
        let house = house_of_24().kept_in(&vault).warm().await;
        for lamp in [15, 8, 18] {
            house.known(lamp).await;
            pass(seconds(2)).await;
        }
        house.finish().await;
        // Twice: who was used before the last start counts still.
        for _ in 0..2 {
            let house = house_of_24().kept_in(&vault).start();
            pass(seconds(15)).await;
            let modules: Vec<String> = asked(&house).iter().map(|text| text[2..12].to_owned()).collect();
            assert_eq!(modules[..3], ["0012345006", "0012345003", "0012345005"]);
            assert_eq!(modules.len(), 7, "{modules:?}");
            house.finish().await;
        }
    });
}

#[test]
fn a_change_is_written_within_half_a_minute_and_a_quiet_house_seldom_writes() {
    in_virtual_time(async {
        let vault = MemoryVault::default();
        let saves = || vault.0.borrow().saves;
        let house = house_of_24().kept_in(&vault).warm().await;
        pass(seconds(16)).await;
        assert_eq!(saves(), 1);
        house.switch(0, true).await.unwrap();
        pass(seconds(30)).await;
        assert_eq!(saves(), 2);
        // An app that looks every few seconds changes ages and nothing else.
        for _ in 0..360 {
            house.list().await;
            pass(seconds(10)).await;
        }
        assert!((2 + 5..=2 + 6).contains(&saves()), "an hour: {}", saves());
        for on in (0..60).map(|second| second % 2 == 0) {
            house.switch(1, on).await.unwrap();
            pass(seconds(1)).await;
        }
        let before_stop = saves();
        assert!(before_stop <= 2 + 6 + 3, "{before_stop}");
        house.finish().await;
        assert_eq!(saves(), before_stop + 1, "and once more when it stops");
    });
}

#[test]
fn a_full_disk_is_counted_and_tried_again_and_the_old_text_stays() {
    in_virtual_time(async {
        let vault = house_before(&[(1, 0)]).await;
        let old = vault.0.borrow().text.clone();
        vault.0.borrow_mut().full = true;
        let house = house_of_24().kept_in(&vault).start();
        pass(Duration::from_secs(100)).await;
        assert_eq!(vault.0.borrow().text, old);
        let keeper = house.app.keeper.clone().unwrap();
        let picture = ask(&keeper, Observe, seconds(1)).await.unwrap();
        assert_eq!((&picture["saves_total"], &picture["save_failures_total"]), (&0.into(), &3.into()));
        vault.0.borrow_mut().full = false;
        pass(seconds(30)).await;
        assert_ne!(vault.0.borrow().text, old);
        house.finish().await;
    });
}

#[test]
fn a_sign_of_life_needs_the_cache_and_the_poller() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        assert!(is_alive(&house.app, ms(100)).await);
        ask(&house.app.poller, Drain, seconds(1)).await.unwrap();
        assert!(!is_alive(&house.app, ms(100)).await, "one of two is not enough");
        house.app.drain().await;
    });
}

#[test]
fn a_start_without_a_bus_loses_nothing_that_was_known() {
    in_virtual_time(async {
        let vault = house_before(&[(1, 0)]).await;
        for _ in 0..3 {
            let house = house_of_24().kept_in(&vault).start_with(false);
            pass(seconds(700)).await;
            house.finish().await;
        }
        let house = house_of_24().kept_in(&vault).start_with(false);
        let lamp = &house.list().await[0];
        assert_eq!((lamp.on, lamp.origin), (Some(true), Some(Origin::Snapshot)));
        let age = conbusd::actors::now().since(lamp.observed_at.unwrap());
        assert!(age >= seconds(2100), "{age:?}");
        house.finish().await;
    });
}
