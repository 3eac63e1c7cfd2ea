//! Pairing over a connection.

use super::*;
use crate::doors::homekit::tlv::{Tlv, kind};

const AUTHENTICATION: u8 = 2;
const MAX_TRIES: u8 = 5;
const UNAVAILABLE: u8 = 6;
const BUSY: u8 = 7;

fn pairings(method: u8) -> Tlv {
    Tlv::state(1).with(kind::METHOD, &[method])
}

fn add(phone: &Phone, name: &str, admin: bool) -> Tlv {
    pairings(3)
        .with(kind::IDENTIFIER, name.as_bytes())
        .with(kind::PUBLIC_KEY, &phone.identity().public())
        .with(kind::PERMISSIONS, &[u8::from(admin)])
}

fn remove(name: &str) -> Tlv {
    pairings(4).with(kind::IDENTIFIER, name.as_bytes())
}

#[test]
fn a_phone_pairs_and_the_pairing_is_kept_before_it_knows() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.connect("phone");
        phone.pair(CODE).await.unwrap();
        assert_eq!(bridge.kept().bridges[0].controllers[0].id, b"phone");
        phone.verify().await.unwrap();
        assert_eq!(phone.get("/accessories").await.status, 200);
        assert_eq!(bridge.connect("other").pair(CODE).await, Err((2, UNAVAILABLE)));
    });
}

#[test]
fn only_one_pairs_at_a_time_and_leaving_makes_room() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut first = bridge.connect("first");
        first.tlv("/pair-setup", &Tlv::state(1).with(kind::METHOD, &[0])).await;
        assert_eq!(bridge.connect("second").pair(CODE).await, Err((2, BUSY)));
        drop(first);
        pass(ms(10)).await;
        assert_eq!(bridge.connect("second").pair(CODE).await, Ok(()));
    });
}

#[test]
fn somebody_who_falls_asleep_while_pairing_loses_his_place() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut first = bridge.connect("first");
        first.tlv("/pair-setup", &Tlv::state(1)).await;
        pass(Duration::from_secs(181)).await;
        assert_eq!(bridge.connect("second").pair(CODE).await, Ok(()));
    });
}

#[test]
fn wrong_codes_are_counted_for_ever_and_a_hundred_are_enough() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        assert_eq!(bridge.connect("thief").pair("271-82-819").await, Err((4, AUTHENTICATION)));
        assert_eq!(bridge.kept().bridges[0].wrong_codes, 1);
        let mut state = bridge.kept();
        state.bridges[0].wrong_codes = 99;
        let bridge = Bridge::on(state);
        assert_eq!(bridge.connect("thief").pair("271-82-819").await, Err((4, AUTHENTICATION)));
        assert_eq!(Bridge::on(bridge.kept()).connect("phone").pair(CODE).await, Err((2, MAX_TRIES)));
    });
}

#[test]
fn the_right_code_clears_the_count() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        bridge.connect("phone").pair("271-82-819").await.unwrap_err();
        bridge.connect("phone").pair(CODE).await.unwrap();
        assert_eq!(bridge.kept().bridges[0].wrong_codes, 0);
    });
}

#[test]
fn strangers_are_not_verified() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        assert_eq!(bridge.connect("phone").verify().await, Err((4, AUTHENTICATION)));
        bridge.paired().await;
        assert_eq!(bridge.connect("stranger").verify().await, Err((4, AUTHENTICATION)));
    });
}

#[test]
fn a_removed_controller_is_out_at_once_and_the_last_admin_ends_the_pairing() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut admin = bridge.paired().await;
        let mut guest = bridge.connect("visitor");
        assert_eq!(admin.tlv("/pairings", &add(&guest, "visitor", false)).await, Tlv::state(2));
        guest.verify().await.unwrap();
        assert_eq!(guest.tlv("/pairings", &pairings(5)).await.byte(kind::ERROR), Some(AUTHENTICATION));
        assert_eq!(admin.tlv("/pairings", &remove("visitor")).await, Tlv::state(2));
        assert_eq!(guest.receive().await, None);
        assert_eq!(bridge.connect("visitor").verify().await, Err((4, AUTHENTICATION)));
        assert_eq!(admin.tlv("/pairings", &remove("phone")).await, Tlv::state(2));
        assert_eq!(admin.receive().await, None);
        assert!(!bridge.kept().bridges[0].is_paired());
        assert_eq!(bridge.connect("phone").pair(CODE).await, Ok(()));
    });
}

#[test]
fn a_session_can_be_verified_again() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.paired().await;
        phone.verify().await.unwrap();
        assert_eq!(phone.get("/characteristics?id=2.17").await.status, 200);
    });
}

#[test]
fn identify_is_for_the_unpaired() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        assert_eq!(bridge.connect("phone").request("POST", "/identify", b"").await.status, 204);
        let mut phone = bridge.paired().await;
        let refused = phone.request("POST", "/identify", b"").await;
        assert_eq!((refused.status, refused.json()["status"].as_i64()), (400, Some(-70401)));
    });
}
