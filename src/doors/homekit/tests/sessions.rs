//! Verified sessions: reads, writes, events, and how many there may be.

use serde_json::json;

use super::*;

#[test]
fn events_come_at_once_and_then_at_most_four_times_a_second() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.paired().await;
        let subscribed =
            phone.put(json!([{"aid": 2, "iid": 17, "ev": true}, {"aid": 3, "iid": 18, "ev": 1}])).await;
        assert_eq!(subscribed.status, 204);
        pass(ms(1000)).await;
        let begun = tokio::time::Instant::now();
        for turn in 0..10 {
            bridge.shows(0, turn % 2 == 0);
            bridge.tells(1, &state(true, Some(50 + turn), Freshness::Fresh));
            pass(ms(10)).await;
        }
        let first = phone.receive().await.unwrap();
        assert_eq!((first.protocol.as_str(), first.status), ("EVENT/1.0", 200));
        let entries = &first.json()["characteristics"];
        assert_eq!(entries[0], json!({"aid": 2, "iid": 17, "value": true}));
        let second = phone.receive().await.unwrap();
        assert_eq!(begun.elapsed(), ms(250));
        assert_eq!(second.json()["characteristics"][1], json!({"aid": 3, "iid": 18, "value": 59}));
    });
}

#[test]
fn each_session_is_told_by_its_own_wishes() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut one = bridge.paired().await;
        let mut other = bridge.connect("phone");
        other.verify().await.unwrap();
        one.put(json!([{"aid": 2, "iid": 17, "ev": true}])).await;
        bridge.shows(0, true);
        assert_eq!(one.receive().await.unwrap().protocol, "EVENT/1.0");
        let read = other.get("/characteristics?id=2.17&ev=1").await;
        assert_eq!(
            read.json()["characteristics"][0],
            json!({"aid": 2, "iid": 17, "ev": false, "value": true})
        );
    });
}

#[test]
fn a_silent_lamp_fails_alone_and_after_ten_seconds() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.paired().await;
        bridge.tells(0, &state(false, None, Freshness::Pending));
        bridge.tells(0, &state(false, None, Freshness::Stale));
        assert_eq!(phone.get("/characteristics?id=2.17,4.33").await.status, 200);
        pass(Duration::from_secs(10)).await;
        let answer = phone.get("/characteristics?id=2.17,4.33").await;
        let entries = &answer.json()["characteristics"];
        assert_eq!((answer.status, &entries[0]["status"]), (207, &json!(-70402)));
        assert_eq!(entries[1], json!({"aid": 4, "iid": 33, "status": 0, "value": false}));
        phone.put(json!([{"aid": 2, "iid": 17, "ev": true}])).await;
        bridge.shows(0, false);
        // It is back: its tile is told so, although its value is the old one.
        assert_eq!(phone.receive().await.unwrap().protocol, "EVENT/1.0");
        assert_eq!(phone.get("/characteristics?id=2.17,4.33").await.status, 200);
    });
}

#[test]
fn a_timed_write_counts_in_its_session_only() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut one = bridge.paired().await;
        let mut other = bridge.connect("phone");
        other.verify().await.unwrap();
        let prepared = one.request("PUT", "/prepare", br#"{"ttl":2000,"pid":7}"#).await;
        assert_eq!((prepared.status, prepared.json()), (200, json!({"status": 0})));
        let write = json!({"pid": 7, "characteristics": [{"aid": 2, "iid": 17, "ev": true}]}).to_string();
        let foreign = other.request("PUT", "/characteristics", write.as_bytes()).await;
        assert_eq!(foreign.json()["characteristics"][0]["status"], json!(-70410));
        assert_eq!(one.request("PUT", "/characteristics", write.as_bytes()).await.status, 204);
        assert_eq!(one.request("PUT", "/characteristics", write.as_bytes()).await.status, 207);
    });
}

#[test]
fn the_twenty_fifth_session_takes_the_place_of_the_one_used_least() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut busy = bridge.paired().await;
        let mut idle = bridge.connect("phone");
        idle.verify().await.unwrap();
        let mut strangers: Vec<Phone> = Vec::new();
        for _ in 0..22 {
            strangers.push(bridge.connect("stranger"));
            pass(ms(10)).await;
        }
        assert_eq!(busy.get("/characteristics?id=2.17").await.status, 200);
        let _more = bridge.connect("more");
        pass(ms(10)).await;
        assert_eq!(strangers[0].receive().await, None);
        assert_eq!(bridge.hall.borrow().session_count(), 24);
        assert_eq!(idle.get("/characteristics?id=2.17").await.status, 200);
    });
}

#[test]
fn reordering_the_house_changes_no_number_and_no_config_number() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        bridge.paired().await;
        let kept = bridge.kept();
        let mut faces: Vec<AccessoryFace> = (0..3)
            .map(|place| {
                face(
                    place,
                    [AccessoryKind::Light, AccessoryKind::Dimmer, AccessoryKind::Outlet][usize::from(place)],
                )
            })
            .collect();
        faces.reverse();
        let (hall, changed) = Hall::new("Home".into(), None, faces, kept.clone(), system_draw);
        assert!(!changed);
        assert_eq!(hall.bridge(0).config_number, kept.bridges[0].config_number);
        assert_eq!(hall.database(0).find(3, 18).unwrap().0.place, Some(1));
    });
}

#[test]
fn what_modules_report_is_shown_and_raises_the_config_number_once() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.paired().await;
        let before = bridge.hall.borrow().bridge(0).config_number;
        let told = [("0012345004".to_owned(), Some("XP24".to_owned()), Some("0.34.3".to_owned()))];
        assert!(bridge.hall.borrow_mut().note_modules(&told));
        assert!(!bridge.hall.borrow_mut().note_modules(&told));
        assert_eq!(bridge.hall.borrow().bridge(0).config_number, before + 1);
        let answer = phone.get("/characteristics?id=2.4,2.6,2.7").await.json();
        let values: Vec<&str> = answer["characteristics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["value"].as_str().unwrap())
            .collect();
        assert_eq!(values, ["XP24", "0012345004-0", "0.34.3"]);
    });
}

#[test]
fn a_new_list_of_accessories_raises_the_config_number_and_disturbs_no_session() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.paired().await;
        phone.put(json!([{"aid": 2, "iid": 17, "ev": true}, {"aid": 3, "iid": 17, "ev": true}])).await;
        let before = bridge.hall.borrow().bridge(0).config_number;
        // The light is renamed, the dimmer goes, a fourth one comes, and the outlet stays.
        let renamed = AccessoryFace { name: "Desk".into(), ..face(0, AccessoryKind::Light) };
        let faces = vec![face(3, AccessoryKind::Light), face(2, AccessoryKind::Outlet), renamed];
        {
            let mut hall = bridge.hall.borrow_mut();
            assert!(hall.number(&faces).is_empty());
            assert_eq!(hall.database(0).members().count(), 4, "a number was told before it was kept");
            assert!(hall.rehouse(faces.clone(), Arc::default()));
            assert!(!hall.rehouse(faces, Arc::default()), "the same list is no change");
        }
        assert_eq!(bridge.hall.borrow().bridge(0).config_number, before + 1);
        bridge.shows(0, true);
        bridge.shows(1, true);
        let told = phone.receive().await.unwrap().json();
        assert_eq!(told, json!({"characteristics": [{"aid": 2, "iid": 17, "value": true}]}));
        bridge.shows(3, false);
        let list = phone.get("/accessories").await.json();
        let named = |accessory: &serde_json::Value| {
            (
                accessory["aid"].as_u64().unwrap(),
                accessory["services"][0]["characteristics"][3]["value"].clone(),
            )
        };
        let told: Vec<_> = list["accessories"].as_array().unwrap().iter().map(named).collect();
        assert_eq!(
            told,
            [(1, json!("Home")), (2, json!("Desk")), (4, json!("Lamp 2")), (5, json!("Lamp 3"))]
        );
        let gone = phone.get("/characteristics?id=3.17,4.33").await.json();
        assert_eq!(gone["characteristics"][0]["status"], json!(-70409));
        assert_eq!(gone["characteristics"][1]["value"], json!(false));
    });
}

#[test]
fn a_group_is_a_lamp_and_a_scene_a_switch_that_falls_back() {
    in_virtual_time(async {
        let bridge = Bridge::new();
        let mut phone = bridge.paired().await;
        let ensemble = |place, id: &str, kind, dims| AccessoryFace {
            place: AccessoryId(place),
            id: id.into(),
            dims,
            point: None,
            module_type: None,
            ..face(0, kind)
        };
        let faces = vec![
            ensemble(7, "salon", AccessoryKind::Group, true),
            ensemble(8, "hall", AccessoryKind::Group, false),
            ensemble(9, "film", AccessoryKind::Scene, false),
        ];
        bridge.hall.borrow_mut().number(&faces);
        assert!(bridge.hall.borrow_mut().rehouse(faces, Arc::default()));
        bridge.tells(7, &state(true, Some(40), Freshness::Fresh));
        bridge.tells(8, &state(true, None, Freshness::Fresh));
        bridge.tells(9, &state(false, None, Freshness::Fresh));
        let list = phone.get("/accessories").await.json();
        let services: Vec<_> = list["accessories"].as_array().unwrap()[1..]
            .iter()
            .map(|accessory| {
                let unit = &accessory["services"][1];
                (unit["type"].as_str().unwrap(), unit["characteristics"].as_array().unwrap().len())
            })
            .collect();
        assert_eq!(services, [("43", 2), ("43", 1), ("49", 1)]);
        assert_eq!(list["accessories"][1]["services"][0]["characteristics"][4]["value"], "salon");
        phone.put(json!([{"aid": 7, "iid": 65, "ev": true}])).await;
        bridge.tells(9, &state(true, None, Freshness::Fresh));
        let told = phone.receive().await.unwrap().json();
        assert_eq!(told["characteristics"][0], json!({"aid": 7, "iid": 65, "value": true}));
        pass(ms(1000)).await;
        bridge.tells(9, &state(false, None, Freshness::Fresh));
        let told = phone.receive().await.unwrap().json();
        assert_eq!(told["characteristics"][0]["value"], json!(false));
    });
}
