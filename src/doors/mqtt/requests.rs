//! What can be asked of the daemon at the broker, and how it is answered. Pure.

use serde_json::{Map, Value, json};

use super::desk::{Desk, Effect};
use super::payload::COMMAND_BYTES_MAX;
use crate::actors::events::AccessoryId;
use crate::policy::Moment;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    /// Read every output of the bus.
    Refresh,
    /// Blink the LED of this accessory's module.
    Identify(AccessoryId),
    /// Read the configuration again.
    Reload,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Identify(_) => "identify",
            Self::Reload => "reload",
        }
    }
}

/// A request under way.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Request {
    /// What is to be done.
    pub(super) verb: Verb,
    /// What the asker knows his answer by.
    transaction: Option<Value>,
}

impl Desk {
    /// Somebody asks for something.
    pub(super) fn requested(&mut self, word: &str, payload: &[u8], now: Moment) -> Option<Effect> {
        if !["refresh", "identify", "reload", "health"].contains(&word) {
            self.counters.refused += 1;
            let word: String = word.chars().take(40).collect();
            let all = "refresh, identify, reload, health";
            return Some(Effect::Refused(format!("there is no request {word:?}; there are {all}")));
        }
        let (body, transaction) = match body(payload) {
            Ok(body) => {
                let transaction = body.get("transaction").cloned();
                (body, transaction)
            }
            Err(why) => {
                self.respond(word, None, Err(why));
                return None;
            }
        };
        let verb = match word {
            "health" => {
                self.respond(word, transaction, Ok(self.health(now)));
                return None;
            }
            "refresh" => Verb::Refresh,
            "identify" => match self.identified(&body) {
                Ok(place) => Verb::Identify(place),
                Err(why) => {
                    self.respond(word, transaction, Err(why));
                    return None;
                }
            },
            _ => Verb::Reload,
        };
        if self.busy.contains(&verb.word()) {
            self.respond(verb.word(), transaction, Err("one is under way already".into()));
            return None;
        }
        self.busy.push(verb.word());
        Some(Effect::Do(Request { verb, transaction }))
    }

    /// The accessory that a request means: by its id, or any of a module.
    fn identified(&self, body: &Map<String, Value>) -> Result<AccessoryId, String> {
        let named = |key: &str| body.get(key).and_then(Value::as_str);
        let lamp = match (named("accessory"), named("module")) {
            (Some(id), _) => self.house.lamps().iter().find(|lamp| lamp.id == id),
            (None, Some(serial)) => self
                .house
                .lamps()
                .iter()
                .find(|lamp| lamp.point.is_some_and(|point| point.serial.to_string() == serial)),
            (None, None) => return Err("say which: {\"accessory\":\"…\"} or {\"module\":\"…\"}".into()),
        };
        lamp.map(|lamp| lamp.place).ok_or_else(|| "there is no such accessory".into())
    }

    /// A request has ended.
    pub(super) fn answer(&mut self, request: Request, outcome: Result<Value, String>) {
        let word = request.verb.word();
        self.busy.retain(|busy| *busy != word);
        self.respond(word, request.transaction, outcome);
    }

    fn respond(&mut self, word: &str, transaction: Option<Value>, outcome: Result<Value, String>) {
        let mut answer = match outcome {
            Ok(data) => json!({"status": "ok", "data": data}),
            Err(error) => json!({"status": "error", "error": error}),
        };
        if let Some(transaction) = transaction {
            answer["transaction"] = transaction;
        }
        if self.is_open() {
            self.board.post(self.topics.response(word), answer.to_string());
        }
    }
}

fn body(payload: &[u8]) -> Result<Map<String, Value>, String> {
    if payload.len() > COMMAND_BYTES_MAX {
        return Err(format!("{} bytes, at most {COMMAND_BYTES_MAX} are read", payload.len()));
    }
    if payload.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(payload).map_err(|error| format!("not a JSON object, as {{}}: {error}"))
}
