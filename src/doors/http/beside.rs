//! What the page shows and does beside accessories: HomeKit's pairings, and the wall switches of emulated houses.
//!
//! Both lie behind other doors of the daemon and inside the emulated house. This door knows neither: the app hands
//! it a look and a press, or does not.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::pictures::HomeKitObject;
use super::routes::{OBSERVE_WITHIN, Route, Shared, good, read};
use super::translate::Fault;
use super::{Observed, json as words};
use crate::conbus::SerialNumber;
use crate::policy::BusError;

/// What the app hands over; nothing of it need be there.
#[derive(Default)]
pub struct Beside {
    /// How each HomeKit bridge is paired, and how to pair it; none while that door is closed.
    pub homekit: Option<Observed>,
    /// The panels of the emulated houses; without one nothing can be pressed.
    pub panels: Vec<Panel>,
    /// Presses a key of one of them.
    pub press: Option<Press>,
}

/// Presses and releases the input of a panel of a gateway; false when too many presses wait.
pub type Press = Box<dyn Fn(&Panel, u8) -> bool + Send + Sync>;

/// An emulated module with keys on a wall.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Panel {
    /// The id of its gateway.
    pub gateway: String,
    /// Which module.
    #[schema(value_type = String, pattern = "^[0-9]{10}$")]
    pub module: SerialNumber,
    /// The name of its type.
    #[serde(rename = "type")]
    pub module_type: String,
    /// Its link number, 0 to 99.
    pub link: u8,
    /// Its keys.
    pub keys: Vec<Key>,
}

/// A key of a panel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Key {
    /// Its input, from 0.
    pub input: u8,
    /// What the tables of the other modules make of it.
    pub does: Vec<Deed>,
}

/// What a key does to one accessory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Deed {
    /// The id of the accessory.
    pub accessory: String,
    /// The name of the action, as tables have it.
    pub action: String,
    /// How much or how long, as the table has it: of `LEVELSET` percent.
    pub parameter: u8,
}

pub(super) fn routes() -> [Route; 3] {
    [
        ("/api/homekit", get(homekit)),
        ("/api/emulator", get(panels)),
        ("/api/emulator/{gateway}/press", post(press)),
    ]
}

async fn homekit(State(site): Shared) -> Result<Response, Fault> {
    let Some(look) = &site.house.beside.homekit else {
        return Ok(good(words::bytes(&HomeKitObject::default())));
    };
    match look.look(OBSERVE_WITHIN).await {
        Ok(picture) => Ok(good(words::bytes(&bridges(picture)))),
        Err(BusError::TimedOut) => Err(BusError::Busy.into()),
        Err(error) => Err(error.into()),
    }
}

/// What the other door tells, as the object that is described. A test reads the real one.
fn bridges(picture: Value) -> HomeKitObject {
    serde_json::from_value(picture).unwrap_or_default()
}

async fn panels(State(site): Shared) -> Response {
    good(words::bytes(&site.house.beside.panels))
}

/// The body of a press.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pressed {
    /// Which wall switch.
    #[schema(value_type = String, pattern = "^[0-9]{10}$", example = "0012345002")]
    module: SerialNumber,
    /// Which of its keys, from 0.
    #[schema(maximum = 7)]
    #[serde(deserialize_with = "whole")]
    input: u8,
}

/// 6 and 6.0 are one number in JSON.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    let number = f64::deserialize(from)?;
    let is_input = number.fract() == 0.0 && (0.0..=255.0).contains(&number);
    is_input.then_some(number as u8).ok_or_else(|| D::Error::custom("`input` must be a whole number from 0"))
}

async fn press(
    State(site): Shared,
    gateway: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let body = read(&headers, body, site.limits.body_within).await?;
    let beside = &site.house.beside;
    let gateway = gateway.map(|Path(gateway)| gateway).unwrap_or_default();
    let panel = wanted(&beside.panels, &gateway, &body)?;
    let done = beside.press.as_ref().is_some_and(|press| press(panel.0, panel.1));
    if !done {
        return Err(BusError::Busy.into());
    }
    Ok(good(words::bytes(&json!({"pressed": true}))))
}

/// Which key is meant. Pure.
fn wanted<'a>(panels: &'a [Panel], gateway: &str, body: &[u8]) -> Result<(&'a Panel, u8), Fault> {
    const EXAMPLE: &str = "send an object as `{\"module\":\"0012345002\",\"input\":0}`";
    let mut near = panels.iter().filter(|panel| panel.gateway == gateway).peekable();
    if near.peek().is_none() {
        let message =
            "no emulated gateway with wall switches has this id; keys of a real house are pressed by hand";
        return Err(Fault::new(StatusCode::NOT_FOUND, "not_emulated", message));
    }
    let pressed: Pressed = serde_json::from_slice(body)
        .map_err(|error| Fault::bad_request(format!("the body is no press: {error}; {EXAMPLE}")))?;
    let panel = near.find(|panel| panel.module == pressed.module).ok_or_else(|| {
        let message = format!("no wall switch has the serial number `{}`", pressed.module);
        Fault::new(StatusCode::NOT_FOUND, "unknown_module", message)
    })?;
    if panel.keys.iter().any(|key| key.input == pressed.input) {
        Ok((panel, pressed.input))
    } else {
        let (most, input) = (panel.keys.len().saturating_sub(1), pressed.input);
        Err(Fault::bad_request(format!(
            "`input` is {input}; an {} has the inputs 0 to {most}",
            panel.module_type
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel() -> Panel {
        let key = |input| Key { input, does: vec![] };
        Panel {
            gateway: "home".into(),
            module: "0012345002".parse().unwrap(),
            module_type: "XP20".into(),
            link: 2,
            keys: (0..8).map(key).collect(),
        }
    }

    #[test]
    fn a_press_names_a_key_that_is_there() {
        let panels = [panel()];
        let ask = |gateway: &str, body: &str| {
            wanted(&panels, gateway, body.as_bytes()).map(|(_, input)| input).map_err(|fault| fault.code)
        };
        assert_eq!(ask("home", r#"{"module":"0012345002","input":7}"#), Ok(7));
        assert_eq!(ask("home", r#"{"module":"0012345002","input":7.0}"#), Ok(7));
        assert_eq!(ask("barn", r#"{"module":"0012345002","input":7}"#), Err("not_emulated"));
        assert_eq!(ask("home", r#"{"module":"0012345003","input":7}"#), Err("unknown_module"));
        for wrong in [
            "",
            "7",
            "{}",
            r#"{"module":"0012345002"}"#,
            r#"{"module":"0012345002","input":8}"#,
            r#"{"module":"0012345002","input":-1}"#,
            r#"{"module":"0012345002","input":0.5}"#,
            r#"{"module":"0012345002","input":"0"}"#,
            r#"{"module":"12","input":0}"#,
            r#"{"module":"0012345002","input":0,"held":1}"#,
        ] {
            assert_eq!(ask("home", wrong), Err("bad_request"), "{wrong}");
        }
    }
}
