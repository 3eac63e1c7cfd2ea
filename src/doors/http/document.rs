//! The document of this door's paths, `OpenAPI` 3.1, made from the types that are sent and read. Pure.
//!
//! A test asks the running door for every path and method and finds no other than these.

mod objects;
mod ways;

use axum::http::StatusCode;
use axum::response::Response;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required, SecurityRequirement,
    Server,
};

use self::objects::components;
use self::ways::ways;
use super::json;
use super::routes::reply;

/// How the token is called in the document.
const TOKEN: &str = "token";

/// What may be asked for at one path by one method.
struct Way {
    method: HttpMethod,
    path: &'static str,
    /// By which programs call it.
    id: &'static str,
    summary: &'static str,
    /// Each with what it is and where it stands.
    parameters: Vec<Told>,
    /// The object that is to be sent.
    body: Option<&'static str>,
    /// What is answered when all is well: the kind and what it is. The first is the usual one.
    answers: Vec<(&'static str, RefOr<Schema>)>,
    /// With which status it may fail, besides those of every path.
    faults: &'static [u16],
    /// Whether it needs no token.
    is_open: bool,
}

/// A parameter.
struct Told {
    name: &'static str,
    at: ParameterIn,
    what: &'static str,
    schema: RefOr<Schema>,
    example: Option<serde_json::Value>,
}

/// What a status means, and what comes with it.
const FAULTS: &[(u16, &str)] = &[
    (400, "The request is not as described; the message names the field and what would be right."),
    (401, "The token is missing or wrong."),
    (403, "The request came for a strange name, or from a page of another site."),
    (404, "There is no such thing."),
    (408, "The body did not come in time."),
    (409, "The module refused."),
    (413, "The body is too large."),
    (429, "A queue is full, or too many wrong tokens came from this address."),
    (503, "There is no link to the gateway and nothing is known, or the daemon is stopping."),
    (504, "The module did not answer, or did not show it, in time."),
];

/// The document as it is answered.
pub(super) async fn answer() -> Response {
    reply(StatusCode::OK, "application/json", json::bytes(&document()).into())
}

fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("conbusd")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The state of a Conson XP (Conbus) house, from memory, and commands to it."));
    let mut paths = Paths::new();
    for way in ways() {
        paths.add_path_operation(way.path, vec![way.method.clone()], operation(way));
    }
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("Needed where the door has a token, which it must have beyond loopback."));
    let components = components(ComponentsBuilder::new())
        .security_scheme(TOKEN, SecurityScheme::Http(token.build()))
        .build();
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([Server::new("/")]))
        .paths(paths)
        .components(Some(components))
        .build()
}

fn operation(way: Way) -> OperationBuilder {
    let mut operation = OperationBuilder::new().operation_id(Some(way.id)).summary(Some(way.summary));
    for Told { name, at, what, schema, example } in way.parameters {
        let required = if at == ParameterIn::Path { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(at)
            .required(required)
            .description(Some(what))
            .schema(Some(schema))
            .example(example);
        operation = operation.parameter(parameter);
    }
    if let Some(name) = way.body {
        let content = ContentBuilder::new().schema(Some(object(name))).build();
        let body =
            RequestBodyBuilder::new().required(Some(Required::True)).content("application/json", content);
        operation = operation.request_body(Some(body.build()));
    }
    let mut good = ResponseBuilder::new().description("As asked.");
    for (kind, schema) in way.answers {
        good = good.content(kind, ContentBuilder::new().schema(Some(schema)).build());
    }
    operation = operation.response("200", good.build());
    let everywhere: &[u16] = if way.is_open { &[403] } else { &[401, 403, 429, 503] };
    for (status, what) in FAULTS {
        if everywhere.contains(status) || way.faults.contains(status) {
            operation = operation.response(
                status.to_string(),
                fault(what, matches!(way.id, "ready" | "healthy") && *status == 503),
            );
        }
    }
    if way.is_open {
        operation.securities(Some([]))
    } else {
        // Also without one: on loopback there need not be a token.
        operation.securities(Some([SecurityRequirement::new(TOKEN, [""; 0]), SecurityRequirement::default()]))
    }
}

fn fault(what: &'static str, has_report: bool) -> ResponseBuilder {
    let mut fault = ResponseBuilder::new().description(what);
    if has_report {
        fault = fault.content("text/plain", ContentBuilder::new().schema(Some(objects::text())).build());
    }
    fault.content("application/json", ContentBuilder::new().schema(Some(object("ErrorObject"))).build())
}

/// An object that the document describes once.
fn object(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}
