//! The document of the API against the door that it describes: the same paths, the same methods, nothing left over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conbusd::actors::ask;
use conbusd::actors::events::Observe;
use conbusd::doors::http;
use serde_json::Value;

use crate::support::{Home, Plan, in_real_time};

/// The methods by path that the document tells.
fn told(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .map(|(path, item)| {
            (path.clone(), item.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect())
        })
        .collect()
}

async fn document(home: &Home) -> Value {
    home.get("/api/openapi.json").await.json()
}

#[test]
fn every_path_of_the_router_is_in_the_document_and_no_other() {
    in_real_time(async {
        let home = Plan::default().open().await;
        let told: BTreeSet<String> = told(&document(&home).await).into_keys().collect();
        assert_eq!(told, http::paths().map(str::to_owned).collect());
    });
}

#[test]
fn every_method_of_the_document_is_taken_and_no_other() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        for (path, methods) in told(&document(&home).await) {
            let place =
                path.replace("{id}", "ceiling").replace("{gateway}", "home").replace("{file}", "page.css");
            let refused = home.ask("TRACE", &place, "", "").await;
            assert_eq!(refused.status, 405, "{path}");
            let mut allowed: BTreeSet<String> =
                refused.header("allow").unwrap().split(',').map(str::to_owned).collect();
            allowed.remove("HEAD");
            assert_eq!(allowed, methods, "{path}");
        }
    });
}

#[test]
fn every_reference_of_the_document_is_answered_within_it() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    in_real_time(async {
        let home = Plan::default().open().await;
        let document = document(&home).await;
        assert_eq!(document["openapi"], "3.1.0");
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 10);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    });
}

/// The fields that an object of the document has, with those that it takes from others.
fn fields(document: &Value, schema: &Value) -> BTreeSet<String> {
    let named = schema["$ref"].as_str().and_then(|place| document.pointer(place.strip_prefix('#')?));
    let schema = named.unwrap_or(schema);
    let own = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    let parts = schema["allOf"].as_array().into_iter().flatten();
    own.chain(parts.flat_map(|part| fields(document, part))).collect()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap_or_else(|| panic!("{object}")).keys().cloned().collect()
}

#[test]
fn what_the_daemon_tells_of_itself_has_the_fields_that_are_described() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let document = document(&home).await;
        let described = |name: &str| fields(&document, &document["components"]["schemas"][name]);
        let modules = home.get("/api/modules").await.json();
        let mut told = ask(&home.app.poller, Observe, Duration::from_secs(10)).await.unwrap();
        told["modules"][0]["accessories"] = Value::Null;
        for module in [&modules[0], &told["modules"][0]] {
            assert_eq!(keys(module), described("ModuleObject"));
        }
        let status = home.get("/api/status").await.json();
        assert_eq!(keys(&status), described("StatusObject"));
        let pictures = [
            ("GatewayObject", &status["gateways"][0]),
            ("CacheTotals", &status["cache"]),
            ("PollerTotals", &status["poller"]),
        ];
        for (name, picture) in pictures {
            let (promised, told) = (described(name), keys(picture));
            assert!(promised.len() > 2 && promised.is_subset(&told), "{name}: {promised:?} of {told:?}");
        }
        assert!(described("GatewayObject").contains("storms_total"));
        assert_eq!(keys(&home.get("/api/homekit").await.json()), described("HomeKitObject"));
    });
}

#[test]
fn every_way_but_the_open_ones_names_the_token_and_its_errors() {
    in_real_time(async {
        let home = Plan::default().open().await;
        let document = document(&home).await;
        let mut open = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for way in item.as_object().unwrap().values() {
                assert!(way["operationId"].is_string() && way["summary"].is_string(), "{path}");
                match way["security"].as_array().unwrap().first() {
                    Some(needed) => {
                        assert!(needed["token"].is_array(), "{path}");
                        for status in ["200", "401", "403", "429", "503"] {
                            assert!(way["responses"][status].is_object(), "{path} {status}");
                        }
                    }
                    None => open.push(path.as_str()),
                }
            }
        }
        // As the gate has it.
        assert_eq!(open, ["/", "/livez", "/page/{file}"]);
    });
}
