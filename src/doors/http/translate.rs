//! Requests into wishes, and what went wrong into answers. Pure.

use std::fmt;

use axum::http::{HeaderMap, StatusCode};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::crowd::Client;
use super::status::Part;
use crate::conbus::Percent;
use crate::policy::store::Want;
use crate::policy::switch::Target;
use crate::policy::{AccessoryKind, BusError, Moment};

/// The longest piece of a request that is quoted back.
const QUOTED_CHARACTERS_MAX: usize = 40;

/// Why a request is not done: a status, a word for programs, a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn unknown_accessory(id: &str) -> Self {
        let message = format!("no accessory has the id `{}`", quoted(id));
        Self::new(StatusCode::NOT_FOUND, "unknown_accessory", message)
    }

    pub(super) fn unknown_path(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("nothing is at `{}`", quoted(path)))
    }

    pub(super) fn wrong_method(method: &str, path: &str) -> Self {
        let message = format!("`{}` takes no {}; see the header `Allow`", quoted(path), quoted(method));
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }
}

impl From<BusError> for Fault {
    fn from(error: BusError) -> Self {
        let (status, code) = match error {
            BusError::LinkDown => (StatusCode::SERVICE_UNAVAILABLE, "link_down"),
            BusError::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed_out"),
            BusError::Refused => (StatusCode::CONFLICT, "refused"),
            BusError::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            BusError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Self::new(status, code, error.to_string())
    }
}

/// The beginning of a text of a client.
fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED_CHARACTERS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The body of a `PUT` as a wish for an accessory of this kind that has a brightness or has none.
pub(super) fn target(body: &[u8], id: &str, (kind, dims): (AccessoryKind, bool)) -> Result<Target, Fault> {
    let Fields(fields) = serde_json::from_slice(body).map_err(|_| not_an_object(body))?;
    let mut target = Target::default();
    for (at, (field, value)) in fields.iter().enumerate() {
        if fields[..at].iter().any(|(earlier, _)| earlier == field) {
            return Err(Fault::bad_request(format!("`{}` is there twice", quoted(field))));
        }
        match field.as_str() {
            "on" => target.on = Some(on(value)?),
            "brightness" if !dims => {
                return Err(Fault::bad_request(format!(
                    "`brightness`: the accessory `{id}` is of kind {kind}; only a dimmer has a brightness"
                )));
            }
            "brightness" => target.level = Some(brightness(value)?),
            _ => {
                return Err(Fault::bad_request(format!(
                    "unknown field `{}`; the fields are `on` and, of a dimmer, `brightness`",
                    quoted(field)
                )));
            }
        }
    }
    if target == Target::default() {
        return Err(Fault::bad_request(
            "the object is empty; say `on` (true or false) or, of a dimmer, `brightness` (0 to 100)",
        ));
    }
    Ok(target)
}

fn not_an_object(body: &[u8]) -> Fault {
    const EXAMPLE: &str = "`{\"on\":true}`";
    if body.is_empty() {
        return Fault::bad_request(format!("the body is empty; send a JSON object, as {EXAMPLE}"));
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(other) => {
            let found = sort(&other);
            Fault::bad_request(format!("the body is {found}; send a JSON object, as {EXAMPLE}"))
        }
        // What is wrong with its grammar quotes nothing; that it is no object would quote all of it.
        Err(error) => {
            Fault::bad_request(format!("the body is not JSON: {error}; send an object, as {EXAMPLE}"))
        }
    }
}

fn on(value: &Value) -> Result<bool, Fault> {
    value
        .as_bool()
        .ok_or_else(|| Fault::bad_request(format!("`on` is {}; it must be true or false", sort(value))))
}

fn brightness(value: &Value) -> Result<Percent, Fault> {
    const RIGHT: &str = "it must be a whole number from 0 to 100";
    let Value::Number(number) = value else {
        return Err(Fault::bad_request(format!("`brightness` is {}; {RIGHT}", sort(value))));
    };
    // 40 and 40.0 are one number in JSON.
    let whole = number.as_u64().or_else(|| {
        number
            .as_f64()
            .filter(|real| real.fract() == 0.0 && (0.0..=100.0).contains(real))
            .map(|real| real as u64)
    });
    whole.and_then(|whole| u8::try_from(whole).ok()).and_then(Percent::new).ok_or_else(|| {
        Fault::bad_request(format!("`brightness` is {}; {RIGHT}", quoted(&number.to_string())))
    })
}

/// What sort of value it is, for people.
fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The fields of an object as they stand there: a map would hide that one is there twice.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// How old an answer a `GET` of one accessory allows: `max_age_ms` before `now`, else whatever is known.
pub(super) fn want(query: Option<&str>, now: Moment) -> Result<Want, Fault> {
    let Some(value) = parameter(query, "max_age_ms")? else { return Ok(Want::Known) };
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(millis) if digits => Ok(Want::Since(now.before(std::time::Duration::from_millis(millis)))),
        _ => Err(Fault::bad_request(format!(
            "`max_age_ms` is `{}`; it must be a whole number of milliseconds",
            quoted(value)
        ))),
    }
}

/// What a client is called in the history: the page by its name, others by the door; and where they are.
pub(super) fn name(client: Option<&Client>, headers: &HeaderMap) -> String {
    let own_page = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
    let door = if own_page { "page" } else { "http" };
    client.map_or_else(|| door.to_owned(), |client| format!("{door} {client}"))
}

/// Of which accessory the history is wanted, and how much of it.
pub(super) fn recall(query: Option<&str>) -> Result<(Option<&str>, usize), Fault> {
    const LIMIT: usize = 50;
    const LIMIT_MAX: usize = 1000;
    let limit = match parameter(query, "limit")? {
        None => LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit) && text.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or_else(|| {
                Fault::bad_request(format!(
                    "`limit` is `{}`; it must be a whole number from 1 to {LIMIT_MAX}",
                    quoted(text)
                ))
            })?,
    };
    Ok((parameter(query, "accessory")?, limit))
}

/// Whether a stream is to carry telegrams too.
pub(super) fn with_telegrams(query: Option<&str>) -> Result<bool, Fault> {
    match parameter(query, "telegrams")? {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => {
            Err(Fault::bad_request(format!("`telegrams` is `{}`; it must be 0 or 1", quoted(other))))
        }
    }
}

/// Which parts are not to count for readiness.
pub(super) fn left_out(query: Option<&str>) -> Result<Vec<Part>, Fault> {
    let Some(names) = parameter(query, "exclude")? else { return Ok(Vec::new()) };
    // A comma may come as it is or encoded.
    let names = names.replace("%2C", ",").replace("%2c", ",");
    let part = |name: &str| {
        Part::ALL.into_iter().find(|part| part.name() == name).ok_or_else(|| {
            let known = Part::ALL.map(Part::name).join(", ");
            Fault::bad_request(format!("`exclude` names `{}`; it may name {known}", quoted(name)))
        })
    };
    names.split(',').map(part).collect()
}

/// The value of a parameter. Those with other names are left to whoever put them there.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Result<Option<&'a str>, Fault> {
    let pairs = query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    let value = values.next();
    match values.next() {
        Some(_) => Err(Fault::bad_request(format!("`{name}` is there twice"))),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn parts_are_left_out_by_their_names() {
        let left = |query| left_out(query).map_err(|fault| fault.message);
        assert_eq!(left(None), Ok(vec![]));
        assert_eq!(left(Some("a=b&exclude=mqtt")), Ok(vec![Part::Mqtt]));
        assert_eq!(left(Some("exclude=mqtt,link%2Cmux")), Ok(vec![Part::Mqtt, Part::Link, Part::Mux]));
        let names = "link, cache, poller, http, homekit, mqtt, mux";
        assert_eq!(left(Some("exclude=brker")), Err(format!("`exclude` names `brker`; it may name {names}")));
        assert!(left(Some("exclude=")).is_err() && left(Some("exclude=mqtt&exclude=mux")).is_err());
    }

    fn put(body: &str) -> Result<Target, String> {
        target(body.as_bytes(), "lamp", (AccessoryKind::Dimmer, true)).map_err(|fault| {
            assert_eq!((fault.status, fault.code), (StatusCode::BAD_REQUEST, "bad_request"));
            fault.message
        })
    }

    fn wish(on: Option<bool>, level: Option<u8>) -> Target {
        Target { on, level: level.map(|level| Percent::new(level).unwrap()) }
    }

    #[test]
    fn bodies_become_wishes() {
        assert_eq!(put(r#"{"on":true}"#), Ok(wish(Some(true), None)));
        assert_eq!(put(r#" {"on" : false , "brightness" : 40} "#), Ok(wish(Some(false), Some(40))));
        assert_eq!(put(r#"{"brightness":0}"#), Ok(wish(None, Some(0))));
        assert_eq!(put(r#"{"brightness":100.0}"#), Ok(wish(None, Some(100))));
        let outlet = target(br#"{"on":true}"#, "plug", (AccessoryKind::Outlet, false));
        assert_eq!(outlet, Ok(wish(Some(true), None)));
    }

    #[test]
    fn every_mistake_names_the_field_and_what_would_be_right() {
        for (body, words) in [
            ("", "the body is empty; send a JSON object"),
            ("on", "the body is not JSON: "),
            (r#"{"on":true"#, "not JSON"),
            (r#"{"on":true} x"#, "not JSON"),
            (r"[true]", "the body is an array; send a JSON object, as `{\"on\":true}`"),
            ("true", "the body is true or false"),
            ("null", "the body is null"),
            ("{}", "the object is empty"),
            (r#"{"on":1}"#, "`on` is a number; it must be true or false"),
            (r#"{"on":"true"}"#, "`on` is a string"),
            (r#"{"on":null}"#, "`on` is null"),
            (r#"{"brightness":"40"}"#, "`brightness` is a string; it must be a whole number from 0 to 100"),
            (r#"{"brightness":true}"#, "`brightness` is true or false"),
            (r#"{"brightness":101}"#, "`brightness` is 101; it must be a whole number from 0 to 100"),
            (r#"{"brightness":-1}"#, "`brightness` is -1"),
            (r#"{"brightness":40.5}"#, "`brightness` is 40.5"),
            (r#"{"brightness":1e300}"#, "`brightness` is 1e+300"),
            (r#"{"brightness":256}"#, "`brightness` is 256"),
            (r#"{"on":true,"level":40}"#, "unknown field `level`; the fields are `on` and"),
            (r#"{"on":true,"on":false}"#, "`on` is there twice"),
        ] {
            let message = put(body).unwrap_err();
            assert!(message.contains(words), "{body} gave: {message}");
        }
        let invalid = target(&[b'"', 0xff, b'"'], "lamp", (AccessoryKind::Dimmer, true)).unwrap_err();
        assert!(invalid.message.contains("not JSON"), "{}", invalid.message);
        let long = put(&format!("\"{}\" x", "a".repeat(60_000))).unwrap_err();
        assert!(long.contains("not JSON") && long.len() < 400, "{long}");
        let deep = put(&"[".repeat(60_000)).unwrap_err();
        assert!(deep.contains("not JSON"), "{deep}");
    }

    #[test]
    fn brightness_of_a_lamp_that_does_not_dim_is_refused_by_name() {
        let fault = target(br#"{"brightness":40}"#, "plug", (AccessoryKind::Outlet, false)).unwrap_err();
        assert_eq!(
            fault.message,
            "`brightness`: the accessory `plug` is of kind outlet; only a dimmer has a brightness"
        );
    }

    #[test]
    fn what_is_quoted_is_short() {
        let message = put(&format!(r#"{{"{}":1}}"#, "ä".repeat(1000))).unwrap_err();
        assert!(message.chars().count() < 140, "{message}");
    }

    #[test]
    fn ages_count_back_from_the_request() {
        let now = Moment::after_start(Duration::from_secs(10));
        assert_eq!(want(None, now), Ok(Want::Known));
        assert_eq!(want(Some("_=7"), now), Ok(Want::Known));
        assert_eq!(want(Some("max_age_ms=0"), now), Ok(Want::Since(now)));
        let second_ago = Moment::after_start(Duration::from_secs(9));
        assert_eq!(want(Some("a=b&max_age_ms=1000"), now), Ok(Want::Since(second_ago)));
        assert_eq!(
            want(Some("max_age_ms=18446744073709551615"), now),
            Ok(Want::Since(now.before(Duration::MAX)))
        );
        for bad in ["", "-1", "+1", "1.5", "1e3", "soon", "18446744073709551616", "%31"] {
            let fault = want(Some(&format!("max_age_ms={bad}")), now).unwrap_err();
            assert_eq!(fault.status, StatusCode::BAD_REQUEST);
            assert!(fault.message.starts_with(&format!("`max_age_ms` is `{bad}`")), "{}", fault.message);
        }
        assert!(want(Some("max_age_ms"), now).is_err());
        assert!(want(Some("max_age_ms=1&max_age_ms=2"), now).is_err());
    }

    #[test]
    fn telegrams_are_asked_for_with_one() {
        assert_eq!(with_telegrams(None), Ok(false));
        assert_eq!(with_telegrams(Some("telegrams=0")), Ok(false));
        assert_eq!(with_telegrams(Some("telegrams=1")), Ok(true));
        assert!(with_telegrams(Some("telegrams=yes")).is_err());
    }

    #[test]
    fn the_five_errors_of_the_bus_have_a_status_each() {
        for (error, status, code) in [
            (BusError::LinkDown, 503, "link_down"),
            (BusError::TimedOut, 504, "timed_out"),
            (BusError::Refused, 409, "refused"),
            (BusError::Busy, 429, "busy"),
            (BusError::Stopping, 503, "stopping"),
        ] {
            let fault = Fault::from(error);
            assert_eq!((fault.status.as_u16(), fault.code), (status, code));
        }
    }
}
