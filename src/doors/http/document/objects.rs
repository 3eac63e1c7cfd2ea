//! The objects of the document, each by the type that is sent or read.

use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ComponentsBuilder, ObjectBuilder, Schema, Type};

use super::object;
use crate::doors::http::beside::{Panel, Pressed};
use crate::doors::http::history::HistoryObject;
use crate::doors::http::json::{
    AccessoryObject, ErrorObject, LinkObject, LostObject, TelegramObject, WishObject,
};
use crate::doors::http::pictures::{HomeKitObject, ModuleObject, StatusObject};

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
    let components = all_of::<ModuleObject>(components);
    let components = all_of::<StatusObject>(components);
    all_of::<HomeKitObject>(components)
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
