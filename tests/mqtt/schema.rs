//! What Home Assistant's documents say of a device's description: which keys there are, and which are needed.
//!
//! Written from the documents of device-based discovery and of each platform, as they were in 2026.2; a key that is
//! not listed is a mistake here, though Home Assistant would only refuse some.

use serde_json::{Map, Value};

const DEVICE: &[&str] = &[
    "identifiers",
    "connections",
    "name",
    "manufacturer",
    "model",
    "model_id",
    "serial_number",
    "sw_version",
    "hw_version",
    "suggested_area",
    "configuration_url",
    "via_device",
];
const ORIGIN: &[&str] = &["name", "sw_version", "support_url"];
const ROOT: &[&str] = &[
    "device",
    "origin",
    "components",
    "availability",
    "availability_mode",
    "availability_template",
    "availability_topic",
    "payload_available",
    "payload_not_available",
    "command_topic",
    "state_topic",
    "qos",
    "encoding",
];

/// What every entity may have.
const ENTITY: &[&str] = &[
    "platform",
    "name",
    "unique_id",
    "default_entity_id",
    "device_class",
    "entity_category",
    "enabled_by_default",
    "icon",
    "group",
    "availability",
    "availability_mode",
    "availability_topic",
    "qos",
    "encoding",
    "json_attributes_topic",
];

/// A platform, the keys it needs besides `unique_id`, those it may have besides [`ENTITY`], and its device classes.
type Platform = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

const PLATFORMS: &[Platform] = &[
    (
        "light",
        &["command_topic", "schema"],
        &[
            "command_topic",
            "state_topic",
            "schema",
            "brightness",
            "brightness_scale",
            "supported_color_modes",
            "transition",
            "flash",
            "optimistic",
            "retain",
        ],
        &[],
    ),
    ("scene", &["command_topic"], &["command_topic", "payload_on", "retain"], &[]),
    (
        "switch",
        &["command_topic"],
        &[
            "command_topic",
            "state_topic",
            "value_template",
            "payload_on",
            "payload_off",
            "state_on",
            "state_off",
            "optimistic",
            "retain",
        ],
        &["outlet", "switch"],
    ),
    (
        "event",
        &["state_topic", "event_types"],
        &["state_topic", "event_types", "value_template"],
        &["button"],
    ),
    (
        "sensor",
        &["state_topic"],
        &[
            "state_topic",
            "value_template",
            "unit_of_measurement",
            "state_class",
            "expire_after",
            "force_update",
            "suggested_display_precision",
        ],
        &["temperature", "voltage"],
    ),
    (
        "binary_sensor",
        &["state_topic"],
        &[
            "state_topic",
            "value_template",
            "payload_on",
            "payload_off",
            "expire_after",
            "off_delay",
            "force_update",
        ],
        &["connectivity", "problem"],
    ),
    (
        "button",
        &["command_topic"],
        &["command_topic", "command_template", "payload_press", "retain"],
        &["identify", "restart", "update"],
    ),
];

/// Every mistake in a description that was published at this topic.
pub(crate) fn mistakes(topic: &str, config: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let id = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let parts: Vec<&str> = topic.split('/').collect();
    if !matches!(parts[..], ["homeassistant", "device", object, "config"] if id(object)) {
        found.push(format!("topic {topic}"));
    }
    let root = object(config, "the root", ROOT, &mut found);
    let device = object(&config["device"], "device", DEVICE, &mut found);
    if !["identifiers", "connections"].iter().any(|key| device.contains_key(*key)) {
        found.push("device lacks identifiers".into());
    }
    if !object(&config["origin"], "origin", ORIGIN, &mut found).contains_key("name") {
        found.push("origin lacks name".into());
    }
    if root.contains_key("availability") && root.contains_key("availability_topic") {
        found.push("availability twice".into());
    }
    for place in config["availability"].as_array().into_iter().flatten() {
        object(
            place,
            "availability",
            &["topic", "payload_available", "payload_not_available", "value_template"],
            &mut found,
        );
    }
    let components = config["components"].as_object().cloned().unwrap_or_default();
    if components.is_empty() {
        found.push("no components".into());
    }
    for (name, entity) in &components {
        if !id(name) {
            found.push(format!("component {name:?}"));
        }
        found.extend(component(entity).into_iter().map(|what| format!("{name}: {what}")));
    }
    found
}

fn object(value: &Value, what: &str, allowed: &[&str], found: &mut Vec<String>) -> Map<String, Value> {
    let fields = value.as_object().cloned().unwrap_or_default();
    if fields.is_empty() {
        found.push(format!("{what} is missing"));
    }
    found.extend(
        fields.keys().filter(|key| !allowed.contains(&key.as_str())).map(|key| format!("{what} has {key}")),
    );
    fields
}

fn component(entity: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let platform = entity["platform"].as_str().unwrap_or_default();
    let Some((_, needed, more, classes)) = PLATFORMS.iter().find(|(name, ..)| *name == platform) else {
        return vec![format!("platform {platform:?}")];
    };
    let fields = object(entity, "it", &[ENTITY, more].concat(), &mut found);
    if fields.len() == 1 {
        // Only the platform: this is how a part is removed.
        return found;
    }
    let lacks = ["unique_id"].iter().chain(*needed).filter(|key| !fields.contains_key(**key));
    found.extend(lacks.map(|key| format!("lacks {key}")));
    if let Some(class) = fields.get("device_class").and_then(Value::as_str)
        && !classes.contains(&class)
    {
        found.push(format!("device_class {class}"));
    }
    let category = fields.get("entity_category").and_then(Value::as_str);
    if category.is_some_and(|category| !["config", "diagnostic"].contains(&category)) {
        found.push("entity_category".into());
    }
    if let Some(wanted) = fields.get("default_entity_id").and_then(Value::as_str) {
        let slug = wanted.strip_prefix(platform).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
        let is_slug = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if slug.is_empty() || !slug.bytes().all(is_slug) {
            found.push(format!("default_entity_id {wanted}"));
        }
    }
    if platform == "light" {
        found.extend(light(&fields));
    }
    found
}

/// What the source of the JSON light needs beyond its documents (`light/schema_json.py`).
fn light(fields: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    let modes: Vec<&str> = fields
        .get("supported_color_modes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let dims = fields.get("brightness") == Some(&Value::Bool(true));
    match modes[..] {
        ["onoff"] if !dims => {}
        ["brightness"] if dims && fields.get("brightness_scale") == Some(&100.into()) => {}
        _ => found.push(format!("color modes {modes:?} with brightness {dims}")),
    }
    if fields.get("schema") != Some(&"json".into()) {
        found.push("schema".into());
    }
    // Both are on unless they are refused.
    let refused = ["transition", "flash"].iter().filter(|key| fields.get(**key) != Some(&Value::Bool(false)));
    found.extend(refused.map(|key| format!("{key} is not refused")));
    found
}

#[test]
fn the_checker_finds_what_home_assistant_would_refuse() {
    let good = serde_json::json!({
        "device": {"identifiers": ["a"]}, "origin": {"name": "x"},
        "components": {"light_0": {"platform": "light", "unique_id": "u", "schema": "json", "command_topic": "c",
            "supported_color_modes": ["onoff"], "transition": false, "flash": false, "default_entity_id": "light.a"}},
    });
    let topic = "homeassistant/device/a/config";
    assert_eq!(mistakes(topic, &good), Vec::<String>::new());
    for (pointer, value) in [
        ("/device/identifiers", Value::Null),
        ("/components/light_0/platform", "lamp".into()),
        ("/components/light_0/object_id", "old".into()),
        ("/components/light_0/default_entity_id", "switch.a".into()),
        ("/components/light_0/flash", true.into()),
        ("/components/light_0/supported_color_modes", serde_json::json!(["onoff", "brightness"])),
        ("/components/light_0/brightness", true.into()),
        ("/components/light_0/device_class", "outlet".into()),
    ] {
        let mut bad = good.clone();
        let (place, key) = pointer.rsplit_once('/').unwrap();
        let fields = bad.pointer_mut(place).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(key);
        } else {
            fields.insert(key.into(), value);
        }
        assert_ne!(mistakes(topic, &bad), Vec::<String>::new(), "{pointer}");
    }
    assert_eq!(mistakes("homeassistant/device/a b/config", &good).len(), 1);
}
