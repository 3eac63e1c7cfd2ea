//! What a hostile or broken controller sends.

use super::*;
use crate::doors::homekit::keys::derive;
use crate::doors::homekit::routes::{ROUTES, Route};
use crate::doors::homekit::tlv::{Tlv, kind};

/// The bridge still serves others.
async fn is_well(bridge: &Bridge) {
    let mut other = bridge.connect("other");
    assert_eq!(other.get("/accessories").await.status, 470);
}

#[test]
fn strangers_get_470_on_every_path_but_those_of_pairing() {
    in_virtual_time(async {
        for is_paired in [false, true] {
            let bridge = Bridge::new();
            if is_paired {
                bridge.paired().await;
            }
            let kept = is_paired.then(|| bridge.kept());
            let mut phone = bridge.connect("stranger");
            for (method, path, route) in ROUTES {
                let method = format!("{method:?}").to_uppercase();
                let status = phone.request(&method, path, br#"{"characteristics":[]}"#).await.status;
                let expected = match (route, is_paired) {
                    (Route::Identify, false) => 204,
                    // JSON is no TLV, and who is paired identifies by a write.
                    (Route::PairSetup | Route::PairVerify | Route::Identify, _) => 400,
                    _ => 470,
                };
                assert_eq!(status, expected, "{method} {path} paired={is_paired}");
            }
            if let Some(kept) = kept {
                assert_eq!(bridge.kept(), kept);
            }
        }
    });
}

#[test]
fn unknown_paths_and_methods_have_their_numbers() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.paired().await;
        for (method, path, status) in [
            ("GET", "/", 404),
            ("GET", "/resource", 404),
            ("POST", "/accessories", 405),
            ("DELETE", "/characteristics", 405),
            ("GET", "/pair-setup", 405),
            ("GET", "/characteristics", 400),
            ("GET", "/characteristics?id=x", 400),
            ("PUT", "/characteristics", 400),
            ("PUT", "/prepare", 400),
            ("POST", "/pairings", 200),
        ] {
            assert_eq!(phone.request(method, path, b"").await.status, status, "{method} {path}");
        }
    });
}

#[test]
fn truncated_tlv_is_malformed() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.connect("phone");
        for path in ["/pair-setup", "/pair-verify"] {
            assert_eq!(phone.request("POST", path, &[6]).await.status, 400);
            assert_eq!(phone.request("POST", path, &[3, 200, 1]).await.status, 400);
        }
        let mut phone = bridge.paired().await;
        assert_eq!(phone.request("POST", "/pairings", &[6, 9, 1]).await.status, 400);
    });
}

#[test]
fn numbers_outside_the_group_are_a_wrong_code() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        for public in [vec![0; 384], vec![0xFF; 384], vec![0; 1], vec![7; 385]] {
            let mut phone = bridge.connect("thief");
            phone.tlv("/pair-setup", &Tlv::state(1)).await;
            let m3 = Tlv::state(3).with(kind::PUBLIC_KEY, &public).with(kind::PROOF, &[0; 64]);
            assert_eq!(phone.tlv("/pair-setup", &m3).await.byte(kind::ERROR), Some(2));
        }
        is_well(&bridge).await;
    });
}

#[test]
fn short_keys_and_wrong_tags_are_refused() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        bridge.paired().await;
        let mut phone = bridge.connect("phone");
        let m1 = Tlv::state(1).with(kind::PUBLIC_KEY, &[9; 31]);
        assert_eq!(phone.tlv("/pair-verify", &m1).await.byte(kind::ERROR), Some(2));
        let m1 = Tlv::state(1).with(kind::PUBLIC_KEY, &[9; 32]);
        assert_eq!(phone.tlv("/pair-verify", &m1).await.byte(kind::ERROR), None);
        let m3 = Tlv::state(3).with(kind::ENCRYPTED, &derive(b"", "", ""));
        assert_eq!(phone.tlv("/pair-verify", &m3).await.byte(kind::ERROR), Some(2));
    });
}

#[test]
fn a_tampered_or_oversized_frame_ends_the_session() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.paired().await;
        phone.send_raw(&[0xFF, 0xFF]).await;
        assert_eq!(phone.receive().await, None);
        let mut phone = bridge.connect("phone");
        phone.verify().await.unwrap();
        phone.send_raw(&[4, 0]).await;
        phone.send_raw(&[7; 20]).await;
        assert_eq!(phone.receive().await, None);
        is_well(&bridge).await;
    });
}

#[test]
fn bytes_one_by_one_and_two_requests_at_once_are_answered_in_order() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.connect("phone");
        for byte in b"GET /accessories HTTP/1.1\r\n\r\n" {
            phone.send_raw(&[*byte]).await;
            pass(ms(10)).await;
        }
        assert_eq!(phone.receive().await.unwrap().status, 470);
        let mut phone = bridge.paired().await;
        phone.send(b"GET /characteristics?id=2.17 HTTP/1.1\r\n\r\nGET /nowhere HTTP/1.1\r\n\r\n").await;
        assert_eq!(phone.receive().await.unwrap().status, 200);
        assert_eq!(phone.receive().await.unwrap().status, 404);
    });
}

#[test]
fn what_is_no_http_is_answered_and_closed() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        for (text, status) in [
            (&b"\x16\x03\x01\x00\x00"[..], 400),
            (b"POST /pairings HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (b"POST /pair-setup HTTP/1.1\r\nContent-Length: 70000\r\n\r\n", 413),
        ] {
            let mut phone = bridge.connect("phone");
            phone.send_raw(text).await;
            assert_eq!(phone.receive().await.unwrap().status, status);
            assert_eq!(phone.receive().await, None);
        }
    });
}

#[test]
fn half_a_request_and_silent_strangers_are_not_waited_for() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.connect("phone");
        phone.send_raw(b"GET /acc").await;
        pass(Duration::from_secs(11)).await;
        assert_eq!(phone.receive().await, None);
        let mut stranger = bridge.connect("stranger");
        let mut controller = bridge.paired().await;
        pass(Duration::from_secs(3600)).await;
        assert_eq!(stranger.receive().await, None);
        assert_eq!(controller.get("/characteristics?id=2.17").await.status, 200);
    });
}

#[test]
fn a_controller_that_does_not_read_is_cut_off() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.paired().await;
        // More answers than the wire holds; none is read.
        for _ in 0..60 {
            phone.send(b"GET /accessories HTTP/1.1\r\n\r\n").await;
        }
        pass(Duration::from_secs(15)).await;
        assert_eq!(bridge.hall.borrow().session_count(), 0);
    });
}
