//! The contract, request by request.

use conbusd::conbus::{OutputIndex, Percent, Point};
use conbusd::emulator::{Dose, Ending, Fault, FaultKind};
use serde_json::json;

use crate::support::{CONFIG, Plan, in_real_time, pass, request};

pub(crate) fn point(module: &str, output: u8) -> Point {
    Point { serial: module.parse().unwrap(), output: OutputIndex::new(output).unwrap() }
}

#[test]
fn the_list_has_every_accessory_in_the_order_of_the_config() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let list = home.get("/api/accessories").await.json();
        let ids: Vec<&str> =
            list.as_array().unwrap().iter().map(|object| object["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["ceiling", "plug", "spots"]);
        let mut ceiling = list[0].clone();
        assert!(ceiling["age_ms"].take().as_u64().unwrap() < 10_000);
        assert_eq!(
            ceiling,
            json!({
                "id": "ceiling", "name": "Ceiling", "room": "Salon", "kind": "light", "module": "0012345004",
                "output": 1, "on": false, "brightness": null, "freshness": "fresh", "age_ms": null,
                "origin": ceiling["origin"],
            })
        );
        assert_eq!(list[2]["kind"], "dimmer");
        assert_eq!(list[2]["brightness"], 0);
    });
}

#[test]
fn one_accessory_is_read_from_memory_or_by_force_from_the_bus() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        home.emulator.turn(point("0012345004", 1), true);
        let object = home.get("/api/accessories/ceiling?max_age_ms=0").await.json();
        assert_eq!((&object["on"], &object["freshness"]), (&json!(true), &json!("fresh")));
        let object = home.get("/api/accessories/ceiling").await.json();
        assert_eq!(object["on"], true);
        assert_eq!(home.get("/api/accessories/ceiling?max_age_ms=60000&_=1").await.status, 200);
        for bad in ["", "-1", "1.5", "soon"] {
            home.get(&format!("/api/accessories/ceiling?max_age_ms={bad}"))
                .await
                .is_error(400, "bad_request");
        }
        for unknown in ["attic", "%ff", "ceiling%2f", "Ceiling"] {
            home.get(&format!("/api/accessories/{unknown}")).await.is_error(404, "unknown_accessory");
        }
        home.put("attic", r#"{"on":true}"#).await.is_error(404, "unknown_accessory");
    });
}

#[test]
fn a_put_is_answered_when_the_bus_has_shown_it() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let object = home.put("ceiling", r#"{"on":true}"#).await.json();
        assert_eq!((&object["on"], &object["freshness"]), (&json!(true), &json!("fresh")));
        assert!(home.emulator.output(point("0012345004", 1)).unwrap().0);
        let object = home.put("spots", r#"{"brightness":40}"#).await.json();
        assert_eq!((&object["on"], &object["brightness"]), (&json!(true), &json!(40)));
        assert_eq!(home.emulator.output(point("0012345005", 2)), Some((true, Percent::new(40).unwrap())));
        let object = home.put("spots", r#"{"on":false}"#).await.json();
        assert_eq!((&object["on"], &object["brightness"]), (&json!(false), &json!(0)));
    });
}

#[test]
fn a_bad_put_changes_nothing_and_says_what_is_wrong() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        for (body, words) in [
            ("", "empty"),
            ("{on:true}", "not JSON"),
            ("[]", "an array"),
            ("{}", "empty"),
            (r#"{"on":"yes"}"#, "`on` is a string"),
            (r#"{"on":true,"level":1}"#, "unknown field `level`"),
            (r#"{"on":true,"brightness":40}"#, "only a dimmer"),
        ] {
            let (status, code, message) = home.put("ceiling", body).await.error();
            assert_eq!((status, code.as_str()), (400, "bad_request"));
            assert!(message.contains(words), "{body}: {message}");
        }
        let (status, _, message) = home.put("spots", r#"{"brightness":101}"#).await.error();
        assert_eq!(status, 400);
        assert!(message.contains("0 to 100"), "{message}");
        for size in [70_000, 900_000] {
            home.put("ceiling", &"x".repeat(size)).await.is_error(413, "too_large");
        }
        let mut client = home.connect().await;
        let head = "Content-Length: 99000000\r\nExpect: 100-continue\r\n";
        client.say(&request("PUT", "/api/accessories/ceiling", head, "")).await;
        client.answer(true).await.is_error(413, "too_large");
        let truth = home.emulator.output(point("0012345004", 1)).unwrap();
        assert!(!truth.0);
    });
}

#[test]
fn without_a_link_the_known_is_stale_and_the_unknown_is_503_at_once() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        home.emulator.gateway_up(false);
        home.emulator.drop_client(Ending::Fin);
        while home.get("/readyz").await.status == 200 {
            pass(5).await;
        }
        let known = home.get("/api/accessories/ceiling").await.json();
        assert_eq!((&known["on"], &known["freshness"]), (&json!(false), &json!("stale")));
        home.get("/api/accessories/ceiling?max_age_ms=0").await.is_error(503, "link_down");
        home.put("ceiling", r#"{"on":true}"#).await.is_error(503, "link_down");

        let cold = Plan { up: false, ..Plan::default() }.open().await;
        let began = tokio::time::Instant::now();
        cold.get("/api/accessories/ceiling").await.is_error(503, "link_down");
        let list = cold.get("/api/accessories").await.json();
        assert_eq!((&list[2]["on"], &list[2]["freshness"]), (&json!(null), &json!("unknown")));
        assert_eq!((&list[2]["age_ms"], &list[2]["origin"]), (&json!(null), &json!(null)));
        assert_eq!(cold.get("/livez").await.status, 200);
        assert!(began.elapsed().as_millis() < 500, "{:?}", began.elapsed());
    });
}

#[test]
fn a_module_that_refuses_or_is_silent_is_told_apart() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let serial = "0012345005".parse().unwrap();
        home.emulator.fault(Fault::on(serial, FaultKind::Refusal, Dose::ALWAYS));
        home.put("spots", r#"{"on":true}"#).await.is_error(409, "refused");
        home.emulator.clear_faults();
        home.emulator.fault(Fault::on(serial, FaultKind::Silence, Dose::ALWAYS));
        home.get("/api/accessories/spots?max_age_ms=0").await.is_error(504, "timed_out");
    });
}

#[test]
fn modules_status_and_health_are_told() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let modules = home.get("/api/modules").await.json();
        assert_eq!(modules[0]["serial"], "0012345004");
        assert_eq!(modules[0]["accessories"], json!(["ceiling", "plug"]));
        let status = home.get("/api/status").await.json();
        let gateway = &status["gateways"][0];
        assert_eq!((&gateway["id"], &gateway["link"]), (&json!("home"), &json!("up")));
        for counter in [
            "connects_total",
            "telegrams_sent_total",
            "telegrams_received_total",
            "noise_total",
            "exchanges_joined_total",
            "timeouts_total",
            "storms_total",
        ] {
            assert!(gateway[counter].is_u64(), "{counter} in {gateway}");
        }
        for counter in [
            "entries",
            "hits_total",
            "stale_total",
            "misses_total",
            "evictions_total",
            "expirations_total",
            "updates_refused_total",
        ] {
            assert!(status["cache"][counter].is_u64(), "{counter} in {status}");
        }
        assert!(status["poller"]["running"].is_boolean());
        assert_eq!(status["poller"]["modules"], json!(null));
        for actor in ["cache", "poller", "http", "connection/home", "listener/home", "accessory/spots"] {
            assert_eq!(status["actors"][actor], "ok", "{actor}");
        }
        let ready = home.get("/readyz").await;
        assert_eq!(
            (ready.status, ready.body.as_str()),
            (
                200,
                "ok: link of gateway home is up\nok: cache answers\nok: poller answers\nok: http answers\n"
            )
        );
        assert_eq!(home.get("/healthz").await.body, ready.body);
        home.get("/readyz?exclude=broker").await.is_error(400, "bad_request");
        assert_eq!(home.get("/livez").await.status, 200);
    });
}

#[test]
fn an_actor_that_is_gone_is_shown_and_not_waited_for() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        home.app.drain().await;
        let status = home.get("/api/status").await.json();
        assert_eq!(
            (&status["cache"], &status["actors"]["accessory/plug"]),
            (&json!("stopped"), &json!("stopped"))
        );
        home.get("/api/accessories").await.is_error(503, "stopping");
        home.get("/api/accessories/plug").await.is_error(503, "stopping");
        home.get("/api/modules").await.is_error(503, "stopping");
        assert_eq!(home.get("/readyz").await.status, 503);
        assert_eq!(home.get("/livez").await.status, 200);
    });
}

#[test]
fn other_paths_and_methods_have_the_error_object_too() {
    in_real_time(async {
        let home = Plan::default().open().await;
        for path in [
            "/index.html",
            "/page",
            "/page/",
            "/page/secret.js",
            "/api",
            "/api/accessories/",
            "/api/accessories/a/b",
            "/metric",
            "/%ff",
        ] {
            home.get(path).await.is_error(404, "not_found");
        }
        for (method, path, allow) in [
            ("POST", "/api/accessories", "GET,HEAD"),
            ("DELETE", "/api/accessories/ceiling", "GET,HEAD,PUT"),
            ("PUT", "/livez", "GET,HEAD"),
            ("OPTIONS", "/api/events", "GET,HEAD"),
        ] {
            let answer = home.ask(method, path, "", "").await;
            answer.is_error(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some(allow), "{answer:?}");
        }
    });
}

#[test]
fn head_is_get_without_the_body() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let mut client = home.connect().await;
        for path in ["/api/accessories/nobody", "/livez", "/readyz", "/nowhere"] {
            client.say(&request("GET", path, "", "")).await;
            let full = client.answer(true).await;
            client.say(&request("HEAD", path, "", "")).await;
            let head = client.answer(false).await;
            assert_eq!(
                (head.status, head.header("content-length")),
                (full.status, full.header("content-length"))
            );
            assert_eq!(head.header("content-type"), full.header("content-type"));
        }
        client.say(&request("HEAD", "/api/events", "", "")).await;
        assert_eq!(client.answer(false).await.status, 200);
    });
}

#[test]
fn groups_and_scenes_are_accessories_without_a_module() {
    in_real_time(async {
        let mut home = Plan::default().warm().await;
        let more = format!(
            "{CONFIG}[[group]]\nid = \"salon\"\nname = \"Salon\"\nroom = \"Salon\"\nmembers = [\"ceiling\", \"spots\"]\n\
             [[scene]]\nid = \"film\"\nname = \"Film\"\ntargets = [{{ accessory = \"spots\", brightness = 20 }}]\n"
        );
        let config = conbusd::config::parse("test.toml", &more, std::path::Path::new("/")).unwrap();
        assert_eq!(home.app.reload(&config).await.applied, ["group.salon added", "scene.film added"]);
        let group = home.get("/api/accessories/salon").await.json();
        assert_eq!(
            (&group["kind"], &group["module"], &group["output"]),
            (&"group".into(), &().into(), &().into())
        );
        assert_eq!((&group["on"], &group["brightness"]), (&false.into(), &0.into()));
        let bright = home.put("salon", r#"{"brightness":40}"#).await.json();
        assert_eq!(
            (&bright["on"], &bright["brightness"], &bright["freshness"]),
            (&true.into(), &40.into(), &"fresh".into())
        );
        assert_eq!(home.get("/api/accessories/ceiling").await.json()["on"], true);
        let called = home.put("film", r#"{"on":true}"#).await.json();
        assert_eq!((&called["kind"], &called["on"]), (&"scene".into(), &true.into()));
        assert_eq!(home.get("/api/accessories/spots").await.json()["brightness"], 20);
        home.put("film", r#"{"brightness":20}"#).await.is_error(400, "bad_request");
        let list = home.get("/api/accessories").await.json();
        let kinds: Vec<&str> =
            list.as_array().unwrap().iter().map(|object| object["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["light", "outlet", "dimmer", "group", "scene"]);
        assert_eq!(home.get("/api/status").await.json()["actors"]["accessory/salon"], "ok");
    });
}
