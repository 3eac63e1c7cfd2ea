//! What a state is as text, and what a command means. Pure.

use serde_json::{Map, Value};

use crate::conbus::Percent;
use crate::policy::switch::{AccessoryState, Target};

/// The longest command that is looked at.
pub(super) const COMMAND_BYTES_MAX: usize = 4096;

/// What an output does, as Home Assistant's JSON light and our switch read it.
///
/// A state that is not known is `null`. The level of a lamp that is off is left out: 0 would be no level to them.
pub(super) fn state(dims: bool, state: &AccessoryState) -> String {
    let mut fields = Map::new();
    let word = state.on.map_or(Value::Null, |on| if on { "ON".into() } else { "OFF".into() });
    fields.insert("state".into(), word);
    let level = state.brightness.filter(|level| *level != Percent::OFF && state.on == Some(true));
    if let (true, Some(level)) = (dims, level) {
        fields.insert("brightness".into(), level.get().into());
    }
    Value::Object(fields).to_string()
}

/// What a command wants of an accessory that dims or does not: `ON`, `OFF`, or an object with `state` and, of a dimmer,
/// `brightness` from 0 to 100. The error says what is wrong and what would be right.
pub(super) fn command(dims: bool, payload: &[u8]) -> Result<Target, String> {
    if payload.len() > COMMAND_BYTES_MAX {
        return Err(format!("{} bytes, at most {COMMAND_BYTES_MAX} are read", payload.len()));
    }
    match payload {
        b"ON" => return Ok(Target { on: Some(true), level: None }),
        b"OFF" => return Ok(Target { on: Some(false), level: None }),
        _ => {}
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice(payload) else {
        return Err("neither ON nor OFF nor an object, as {\"state\":\"ON\"}".into());
    };
    let mut target = Target::default();
    for (field, value) in &fields {
        match (field.as_str(), value) {
            ("state", Value::String(word)) if word == "ON" => target.on = Some(true),
            ("state", Value::String(word)) if word == "OFF" => target.on = Some(false),
            ("state", _) => return Err("`state` must be \"ON\" or \"OFF\"".into()),
            ("brightness", _) if !dims => {
                return Err("`brightness`: only a dimmer has one".into());
            }
            ("brightness", value) => target.level = Some(level(value)?),
            _ => {
                let field: String = field.chars().take(40).collect();
                return Err(format!("unknown field {field:?}; there are `state` and `brightness`"));
            }
        }
    }
    if target == Target::default() {
        return Err("an empty object wants nothing".into());
    }
    Ok(target)
}

fn level(value: &Value) -> Result<Percent, String> {
    let whole = value.as_f64().filter(|real| real.fract() == 0.0 && (0.0..=100.0).contains(real));
    let level = whole.and_then(|whole| Percent::new(whole as u8));
    level.ok_or_else(|| "`brightness` must be a whole number from 0 to 100".into())
}

/// Two commands of which only the second was not yet obeyed, as one.
///
/// The later fields win; a bare "on" keeps the level that is on its way, or a slider's last step would be lost.
pub(super) fn merged(earlier: Target, later: Target) -> Target {
    let switches_off = earlier.on == Some(false) || later.on == Some(false);
    let level = later.level.or(if switches_off { None } else { earlier.level });
    Target { on: later.on.or(earlier.on.filter(|_| later.level.is_none())), level }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Freshness;

    fn shown(on: Option<bool>, level: Option<u8>) -> AccessoryState {
        let brightness = level.and_then(Percent::new);
        AccessoryState { on, brightness, freshness: Freshness::Fresh, observed_at: None, origin: None }
    }

    fn wish(on: Option<bool>, level: Option<u8>) -> Target {
        Target { on, level: level.and_then(Percent::new) }
    }

    #[test]
    fn states_are_what_home_assistant_reads() {
        assert_eq!(state(true, &shown(Some(true), Some(40))), r#"{"brightness":40,"state":"ON"}"#);
        assert_eq!(state(true, &shown(Some(true), None)), r#"{"state":"ON"}"#);
        assert_eq!(state(true, &shown(Some(false), Some(0))), r#"{"state":"OFF"}"#);
        assert_eq!(state(false, &shown(Some(false), None)), r#"{"state":"OFF"}"#);
        assert_eq!(state(false, &shown(None, None)), r#"{"state":null}"#);
    }

    #[test]
    fn commands_become_wishes() {
        let dimmer = |payload: &str| command(true, payload.as_bytes());
        assert_eq!(dimmer("ON"), Ok(wish(Some(true), None)));
        assert_eq!(dimmer(r#"{"state":"OFF"}"#), Ok(wish(Some(false), None)));
        assert_eq!(dimmer(r#"{"state":"ON","brightness":55}"#), Ok(wish(Some(true), Some(55))));
        assert_eq!(dimmer(r#"{"brightness":0.0}"#), Ok(wish(None, Some(0))));
        assert_eq!(command(false, b"OFF"), Ok(wish(Some(false), None)));
    }

    #[test]
    fn every_other_payload_is_refused_with_a_reason() {
        for (payload, words) in [
            ("", "neither ON nor OFF"),
            ("on", "neither ON nor OFF"),
            ("TOGGLE", "neither ON nor OFF"),
            ("[]", "neither ON nor OFF"),
            ("{}", "wants nothing"),
            (r#"{"state":"TOGGLE"}"#, "`state` must be"),
            (r#"{"state":true}"#, "`state` must be"),
            (r#"{"brightness":101}"#, "0 to 100"),
            (r#"{"brightness":-1}"#, "0 to 100"),
            (r#"{"brightness":4.5}"#, "0 to 100"),
            (r#"{"brightness":"40"}"#, "0 to 100"),
            (r#"{"state":"ON","colour":"red"}"#, "unknown field \"colour\""),
        ] {
            let why = command(true, payload.as_bytes()).unwrap_err();
            assert!(why.contains(words), "{payload}: {why}");
        }
        assert!(command(false, br#"{"brightness":4}"#).unwrap_err().contains("only a dimmer"));
        assert!(command(false, &[b' '; 4097]).unwrap_err().contains("4097 bytes"));
        assert!(command(false, &[0xff, 0xfe]).is_err());
        assert!(command(false, "[".repeat(4000).as_bytes()).is_err());
    }

    #[test]
    fn the_later_command_wins_and_a_bare_on_keeps_the_level() {
        let (on, off) = (wish(Some(true), None), wish(Some(false), None));
        assert_eq!(
            merged(wish(Some(true), Some(40)), wish(Some(true), Some(60))),
            wish(Some(true), Some(60))
        );
        assert_eq!(merged(wish(Some(true), Some(40)), on), wish(Some(true), Some(40)));
        assert_eq!(merged(wish(Some(true), Some(40)), off), off);
        assert_eq!(merged(off, on), on);
        assert_eq!(merged(off, wish(None, Some(30))), wish(None, Some(30)));
    }
}
