//! The objects of the document: those with a type by their type, the pictures of actors by what is promised of them.

use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ComponentsBuilder, ObjectBuilder, Schema, SchemaType, Type};

use super::object;
use crate::doors::http::beside::{Panel, Pressed};
use crate::doors::http::history::HistoryObject;
use crate::doors::http::json::{
    AccessoryObject, ErrorObject, LinkObject, LostObject, TelegramObject, WishObject,
};

/// What `/api/status` promises of a connection and its listener.
const GATEWAY_TOTALS: [&str; 8] = [
    "connects_total",
    "telegrams_sent_total",
    "telegrams_received_total",
    "noise_total",
    "exchanges_joined_total",
    "timeouts_total",
    "storms_total",
    "storm_telegrams_dropped_total",
];

/// What it promises of the cache.
const CACHE_TOTALS: [&str; 7] = [
    "entries",
    "hits_total",
    "stale_total",
    "misses_total",
    "evictions_total",
    "expirations_total",
    "updates_refused_total",
];

pub(super) fn components(components: ComponentsBuilder) -> ComponentsBuilder {
    let components = all_of::<AccessoryObject<'_>>(components);
    let components = all_of::<WishObject>(components);
    let components = all_of::<LinkObject<'_>>(components);
    let components = all_of::<TelegramObject<'_>>(components);
    let components = all_of::<LostObject>(components);
    let components = all_of::<ErrorObject<'_>>(components);
    let components = all_of::<Panel>(components);
    let components = all_of::<Pressed>(components);
    let components = all_of::<HistoryObject<'_>>(components);
    components
        .schema("ModuleObject", module())
        .schema("StatusObject", status())
        .schema("GatewayObject", gateway())
        .schema("HomeKitObject", homekit())
}

/// A type and those that it names.
fn all_of<T: ToSchema>(components: ComponentsBuilder) -> ComponentsBuilder {
    let mut named = Vec::new();
    T::schemas(&mut named);
    components.schemas_from_iter(named).schema_from::<T>()
}

/// Text.
pub(super) fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}

/// A list of objects.
pub(super) fn list(of: &str) -> RefOr<Schema> {
    RefOr::T(ArrayBuilder::new().items(object(of)).build().into())
}

/// A whole number from 0.
pub(super) fn number() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .maximum(Some(utoipa::Number::UInt(usize::MAX)))
        .build()
        .into()
}

fn or_null(of: Type) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([of, Type::Null])).build().into()
}

fn of(kind: Type) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(kind).build().into()
}

/// An object with these fields, all of them there, and others.
fn with(what: &str, fields: impl IntoIterator<Item = (&'static str, RefOr<Schema>)>) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object).description(Some(what));
    fields.into_iter().fold(object, |object, (name, schema)| object.property(name, schema).required(name))
}

fn module() -> ObjectBuilder {
    let texts = ["serial", "gateway", "type"].map(|name| (name, text()));
    let numbers = ["link", "outputs"].map(|name| (name, number()));
    let maybe_text = ["reported_type", "software_version"].map(|name| (name, or_null(Type::String)));
    let maybe_number =
        ["reported_link", "error_code", "last_heard_ms"].map(|name| (name, or_null(Type::Integer)));
    let texts_list = || RefOr::T(ArrayBuilder::new().items(text()).build().into());
    let lists = ["refused", "accessories"].map(|name| (name, texts_list()));
    let flags = [("auto_report", or_null(Type::Boolean)), ("storming", of(Type::Boolean))];
    let fields = texts.into_iter().chain(numbers).chain(maybe_text).chain(maybe_number).chain(lists);
    with("A module: as configured, and what it told of itself.", fields.chain(flags))
}

fn gateway() -> ObjectBuilder {
    let link = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["up", "down", "dialling"]));
    let told = [("id", text()), ("address", text()), ("link", link.build().into())];
    let word = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null])).description(Some(
        "Why there is no link, or why the one before ended while this one has not spoken yet; `bus busy` first when \
         another client may have the gateway.",
    ));
    let degraded = ObjectBuilder::new().schema_type(Type::Boolean).description(Some(
        "Whether more than a twentieth of what was heard in the last minute was no telegram.",
    ));
    let object = with("A gateway. The totals are missing while its actors are too busy to tell them.", told);
    let object = GATEWAY_TOTALS.into_iter().fold(object, |object, name| object.property(name, number()));
    object.property("reason", word.build()).property("degraded", degraded.build())
}

fn status() -> ObjectBuilder {
    // An actor that is too busy to tell is told by a word.
    let picture = |names: &[&'static str]| {
        let object = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Object, Type::String]));
        names.iter().fold(object, |object, name| object.property(*name, number()))
    };
    let fields = [
        ("name", text()),
        ("version", text()),
        ("gateways", list("GatewayObject")),
        ("cache", picture(&CACHE_TOTALS).build().into()),
        ("poller", picture(&["active_modules", "refreshes_total"]).build().into()),
        ("http", of(Type::Object)),
        (
            "actors",
            ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(text())).build().into(),
        ),
    ];
    with("What the daemon tells of itself.", fields)
}

fn homekit() -> ObjectBuilder {
    let bridges = RefOr::T(ArrayBuilder::new().items(of(Type::Object)).build().into());
    with(
        "The HomeKit door: its bridges, who is paired, how to pair.",
        [("open", of(Type::Boolean)), ("bridges", bridges)],
    )
}
