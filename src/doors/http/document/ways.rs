//! Every path and method of the door.

use serde_json::json;
use utoipa::openapi::path::{HttpMethod, ParameterIn};
use utoipa::openapi::{
    RefOr,
    schema::{ObjectBuilder, Schema, Type},
};

use super::objects::{list, number, text};
use super::{Told, Way, object};
use crate::doors::http::status::Part;

const JSON: &str = "application/json";

/// A `GET` without parameters that answers in JSON.
fn look(path: &'static str, id: &'static str, summary: &'static str, answer: RefOr<Schema>) -> Way {
    Way {
        method: HttpMethod::Get,
        path,
        id,
        summary,
        parameters: vec![],
        body: None,
        answers: vec![(JSON, answer)],
        faults: &[],
        is_open: false,
    }
}

pub(super) fn ways() -> Vec<Way> {
    let mut ways = accessories();
    ways.extend(house());
    ways.extend(beside());
    ways.extend(watching());
    ways
}

fn id() -> Told {
    Told {
        name: "id",
        at: ParameterIn::Path,
        what: "The id of the accessory, as configured.",
        schema: ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).build().into(),
        example: Some(json!("salon_spots")),
    }
}

fn accessories() -> Vec<Way> {
    let max_age = Told {
        name: "max_age_ms",
        at: ParameterIn::Query,
        what: "How old an observation may be, in milliseconds before the request; with 0 the bus is read.",
        schema: number(),
        example: Some(json!(0)),
    };
    vec![
        look(
            "/api/accessories",
            "list",
            "All accessories, at once, as far as they are known",
            list("AccessoryObject"),
        ),
        Way {
            parameters: vec![id(), max_age],
            faults: &[400, 404, 409, 504],
            ..look("/api/accessories/{id}", "get", "One accessory", object("AccessoryObject"))
        },
        Way {
            method: HttpMethod::Put,
            parameters: vec![id()],
            body: Some("WishObject"),
            faults: &[400, 404, 408, 409, 413, 504],
            ..look(
                "/api/accessories/{id}",
                "set",
                "Switches or dims an accessory; answered when the bus has shown it",
                object("AccessoryObject"),
            )
        },
    ]
}

fn house() -> Vec<Way> {
    let telegrams = Told {
        name: "telegrams",
        at: ParameterIn::Query,
        what: "1: every telegram is told, too.",
        schema: ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([0, 1])).build().into(),
        example: Some(json!(1)),
    };
    let accessory = Told {
        name: "accessory",
        at: ParameterIn::Query,
        what: "The id of the accessory that it happened to; without it, all of them.",
        schema: text(),
        example: Some(json!("salon_spots")),
    };
    let limit = Told {
        name: "limit",
        at: ParameterIn::Query,
        what: "How many at most; 50 without it.",
        schema: ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(1000))
            .build()
            .into(),
        example: Some(json!(20)),
    };
    vec![
        Way {
            parameters: vec![accessory, limit],
            faults: &[400, 404],
            ..look(
                "/api/history",
                "history",
                "What happened, and whose doing it was, the newest first",
                list("HistoryObject"),
            )
        },
        look(
            "/api/modules",
            "modules",
            "All modules, as configured and as told by themselves",
            list("ModuleObject"),
        ),
        look(
            "/api/status",
            "status",
            "Links, counters, queues, and whether each actor answers",
            object("StatusObject"),
        ),
        Way {
            parameters: vec![telegrams],
            answers: vec![("text/event-stream", events())],
            faults: &[400],
            ..look(
                "/api/events",
                "events",
                "Server-sent events: everything there is, then every change",
                text(),
            )
        },
        look(
            "/api/openapi.json",
            "document",
            "This document",
            ObjectBuilder::new().schema_type(Type::Object).build().into(),
        ),
    ]
}

fn events() -> RefOr<Schema> {
    let told = "Named events, each with one line of JSON: `accessories` (a list of AccessoryObject, first, and again \
                for a client that was too slow), `accessory` (AccessoryObject), `link` (LinkObject), `telegram` \
                (TelegramObject) and `lost` (LostObject). Comments keep a silent stream alive.";
    ObjectBuilder::new().schema_type(Type::String).description(Some(told)).build().into()
}

fn beside() -> Vec<Way> {
    let gateway = Told {
        name: "gateway",
        at: ParameterIn::Path,
        what: "The id of an emulated gateway.",
        schema: ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).build().into(),
        example: Some(json!("home")),
    };
    let pressed = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("pressed", ObjectBuilder::new().schema_type(Type::Boolean))
        .required("pressed");
    vec![
        look(
            "/api/homekit",
            "homekit",
            "The HomeKit bridges: who is paired, and how to pair",
            object("HomeKitObject"),
        ),
        look("/api/emulator", "panels", "The wall switches of emulated gateways", list("Panel")),
        Way {
            method: HttpMethod::Post,
            parameters: vec![gateway],
            body: Some("Pressed"),
            faults: &[400, 404, 408, 413],
            ..look(
                "/api/emulator/{gateway}/press",
                "press",
                "Presses and releases a key of an emulated wall switch",
                pressed.build().into(),
            )
        },
    ]
}

/// Readiness, by either of its names.
fn ready(path: &'static str, id: &'static str) -> Way {
    let exclude = Told {
        name: "exclude",
        at: ParameterIn::Query,
        what: "What is not to count; several have commas between them.",
        schema: ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Part::ALL.map(Part::name)))
            .build()
            .into(),
        example: Some(json!("mqtt")),
    };
    Way {
        parameters: vec![exclude],
        answers: vec![("text/plain", text())],
        faults: &[400],
        ..look(path, id, "Whether the daemon is ready: a line a check", text())
    }
}

fn watching() -> Vec<Way> {
    let file = Told {
        name: "file",
        at: ParameterIn::Path,
        what: "The name of a file that the page is made of.",
        schema: ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).build().into(),
        example: Some(json!("page.css")),
    };
    let metrics = vec![("text/plain", text()), ("application/openmetrics-text", text())];
    let files = vec![
        ("text/css", text()),
        ("text/javascript", text()),
        ("image/svg+xml", text()),
        ("text/html", text()),
    ];
    vec![
        Way { answers: metrics, ..look("/metrics", "metrics", "Figures for Prometheus", text()) },
        Way {
            answers: vec![("text/plain", text())],
            is_open: true,
            ..look("/livez", "alive", "Whether the process lives", text())
        },
        ready("/readyz", "ready"),
        ready("/healthz", "healthy"),
        Way {
            answers: vec![("text/html", text())],
            is_open: true,
            faults: &[503],
            ..look("/", "page", "The page for people", text())
        },
        Way {
            parameters: vec![file],
            answers: files,
            is_open: true,
            faults: &[404, 503],
            ..look("/page/{file}", "file", "A file of the page", text())
        },
    ]
}
