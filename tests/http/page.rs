//! The page as a browser gets it, and what it asks for besides accessories.

use crate::support::{Plan, in_real_time};

#[test]
fn the_page_is_given_to_everybody_and_what_it_shows_only_with_the_token() {
    in_real_time(async {
        let home = Plan { token: Some("0123456789abcdef012345"), ..Plan::default() }.open().await;
        for (path, kind) in [
            ("/", "text/html; charset=utf-8"),
            ("/page/page.css", "text/css; charset=utf-8"),
            ("/page/main.js", "text/javascript; charset=utf-8"),
            ("/page/icon.svg", "image/svg+xml"),
        ] {
            let answer = home.get(path).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
            assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
        for path in ["/api/homekit", "/api/emulator", "/api/status", "/api/events?telegrams=1"] {
            home.get(path).await.is_error(401, "no_token");
        }
        let token = "Authorization: Bearer 0123456789abcdef012345\r\n";
        assert_eq!(home.ask("GET", "/api/emulator", token, "").await.json(), serde_json::json!([]));
    });
}

#[test]
fn nothing_is_pressed_in_a_real_house_or_by_a_page_of_another_site() {
    in_real_time(async {
        let home = Plan::default().open().await;
        let press = "/api/emulator/home/press";
        let body = r#"{"module":"0012345004","input":0}"#;
        home.ask("POST", press, "", body).await.is_error(404, "not_emulated");
        let foreign = "Origin: http://elsewhere.example\r\n";
        home.ask("POST", press, foreign, body).await.is_error(403, "foreign_origin");
        home.get(press).await.is_error(405, "method_not_allowed");
        assert_eq!(home.get("/api/homekit").await.json()["open"], false);
    });
}

#[test]
fn the_status_tells_how_long_answers_take_and_how_busy_the_bus_is() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let status = home.get("/api/status").await.json();
        let waits = &status["gateways"][0]["waits"];
        let counted: u64 = waits["counts"].as_array().unwrap().iter().map(|one| one.as_u64().unwrap()).sum();
        assert!(counted > 0 && waits["answers"] == counted, "{waits}");
        assert!(waits["busy_ms"].as_u64() >= waits["sum_ms"].as_u64(), "{waits}");
        assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    });
}
