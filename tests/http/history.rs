//! Who switched this light on: through the door, by a wall switch, and what is asked wrongly.

use std::time::Duration;

use conbusd::conbus::EventSource;
use conbusd::emulator::{Dose, Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{Home, Plan, in_real_time, pass};

async fn told(home: &Home, query: &str) -> Vec<Value> {
    home.get(&format!("/api/history{query}")).await.json().as_array().unwrap().clone()
}

#[test]
fn a_wish_through_the_door_is_told_with_its_telegrams_and_its_end() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        assert_eq!(told(&home, "").await, [] as [Value; 0]);
        home.put("ceiling", r#"{"on":true}"#).await;
        let page = "Sec-Fetch-Site: same-origin\r\n";
        assert_eq!(home.ask("PUT", "/api/accessories/spots", page, r#"{"brightness":40}"#).await.status, 200);
        let told = told(&home, "").await;
        let [spots, ceiling] = &told[..] else { panic!("{told:?}") };
        assert_eq!((&spots["accessory"], &ceiling["accessory"]), (&json!("spots"), &json!("ceiling")));
        assert_eq!(ceiling["by"], json!({"kind": "client", "name": "http 127.0.0.1", "keys": []}));
        assert_eq!(spots["by"]["name"], "page 127.0.0.1");
        assert_eq!(spots["wanted"], json!({"on": null, "brightness": 40}));
        assert_eq!((&spots["on"], &spots["brightness"]), (&json!(true), &json!(40)));
        assert_eq!(ceiling["sent"], json!(["<S0012345004F27D01ABFD>"]));
        assert!(!ceiling["heard"].as_array().unwrap().is_empty(), "{ceiling}");
        assert_eq!(ceiling["end"], "confirmed");
        assert!(
            ceiling["after_ms"].as_u64().unwrap() <= 5000 && ceiling["age_ms"].as_u64().unwrap() <= 10_000
        );
        assert!(spots["number"].as_u64() > ceiling["number"].as_u64());
    });
}

#[test]
fn a_wall_switch_is_told_with_its_input() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        // The relay's own input 2 toggles its output 2; here the module is told by hand what its key does.
        let key = EventSource::parse_stem("E02L09I03").unwrap();
        home.emulator.press(key, Duration::from_millis(20));
        pass(100).await;
        home.emulator.turn(crate::api::point("0012345004", 1), true);
        let entry = loop {
            if let Some(entry) = told(&home, "?accessory=ceiling").await.into_iter().next() {
                break entry;
            }
            pass(10).await;
        };
        assert_eq!(entry["by"]["kind"], "wall", "{entry}");
        assert_eq!(entry["by"]["keys"][0]["input"], 3);
        assert_eq!(
            (&entry["on"], &entry["wanted"], &entry["end"]),
            (&json!(true), &Value::Null, &json!("confirmed"))
        );
    });
}

#[test]
fn a_wish_that_fails_is_told_as_failed() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let module = "0012345004".parse().unwrap();
        home.emulator.fault(Fault::on(module, FaultKind::Refusal, Dose::ALWAYS));
        assert_eq!(home.put("plug", r#"{"on":true}"#).await.status, 409);
        let entry = &told(&home, "?accessory=plug&limit=1").await[0];
        assert_eq!((&entry["end"], &entry["by"]["kind"]), (&json!("failed"), &json!("client")));
        assert_eq!(entry["sent"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn it_is_asked_by_accessory_and_in_pieces_and_mistakes_are_named() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        for on in ["true", "false"] {
            for id in ["ceiling", "plug"] {
                assert_eq!(home.put(id, &format!("{{\"on\":{on}}}")).await.status, 200);
            }
            // Two wishes within a second are one.
            pass(1050).await;
        }
        assert_eq!(told(&home, "").await.len(), 4);
        assert_eq!(told(&home, "?limit=3").await.len(), 3);
        let plug = told(&home, "?accessory=plug").await;
        assert!(plug.len() == 2 && plug.iter().all(|entry| entry["accessory"] == "plug"));
        home.get("/api/history?accessory=attic").await.is_error(404, "unknown_accessory");
        for bad in ["0", "1001", "-1", "+1", "many", ""] {
            home.get(&format!("/api/history?limit={bad}")).await.is_error(400, "bad_request");
        }
    });
}
