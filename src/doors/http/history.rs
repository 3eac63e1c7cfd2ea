//! What happened: asks the history and words what it tells.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use super::routes::{Site, good, named};
use super::translate::{self, Fault};
use crate::actors::events::{AccessoryId, Recall};
use crate::actors::{ask, now};
use crate::conbus::{Percent, SerialNumber};
use crate::doors::Cards;
use crate::policy::Moment;
use crate::policy::history::{Doer, End, Entry, Press};
use crate::policy::switch::Target;

/// It only reads its memory.
const RECALL_WITHIN: Duration = Duration::from_millis(500);

/// One thing that happened to one accessory.
#[derive(Serialize, ToSchema)]
pub(super) struct HistoryObject<'a> {
    /// Rises with everything that happens.
    number: u64,
    /// When it began.
    age_ms: u64,
    /// The id of the accessory; null: it is no longer in the config.
    #[schema(required)]
    accessory: Option<&'a str>,
    by: ByObject,
    /// What a client wanted.
    #[schema(required)]
    wanted: Option<WantedObject>,
    /// What it showed then.
    #[schema(required)]
    on: Option<bool>,
    /// Of a dimmer.
    #[schema(required, value_type = Option<u8>, maximum = 100)]
    brightness: Option<Percent>,
    /// The telegrams that were written for it.
    sent: Vec<String>,
    /// The telegrams that were heard of it.
    heard: Vec<String>,
    end: EndWord,
    /// How long it took to its end.
    #[schema(required)]
    after_ms: Option<u64>,
}

/// Whose doing it was.
#[derive(Serialize, ToSchema)]
struct ByObject {
    kind: ByWord,
    /// For people.
    name: String,
    /// The keys that were pressed shortly before, the last one first.
    keys: Vec<KeyObject>,
}

/// Who can do something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ByWord {
    /// A client of a door.
    Client,
    /// A wall switch, as far as can be told.
    Wall,
    /// Another program on the bus or behind the shared port.
    Program,
    /// Nobody that was heard: the module told it by itself.
    Module,
    /// Nobody that was heard: a read found it so.
    Found,
}

/// A key that was pressed.
#[derive(Serialize, ToSchema)]
struct KeyObject {
    /// The serial number of its module; null: none such is configured.
    #[schema(required, value_type = Option<String>)]
    module: Option<SerialNumber>,
    /// Its input, from 0.
    input: u8,
    /// As it is called on the bus.
    event: String,
}

/// What was wanted.
#[derive(Serialize, ToSchema)]
struct WantedObject {
    #[schema(required)]
    on: Option<bool>,
    #[schema(required, value_type = Option<u8>, maximum = 100)]
    brightness: Option<Percent>,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum EndWord {
    /// It has not, or nobody told.
    Open,
    /// The bus has shown it.
    Confirmed,
    /// It was given up.
    Failed,
    /// A newer wish took its place.
    Replaced,
}

/// What happened, the newest first.
pub(super) async fn history(State(site): State<Arc<Site>>, uri: Uri) -> Result<Response, Fault> {
    let (accessory, limit) = translate::recall(uri.query())?;
    let cards = site.cards();
    let accessory = match accessory {
        Some(id) => Some(named(&cards, id)?.face.place),
        None => None,
    };
    let entries = match cards.history() {
        Some(history) => ask(history, Recall { accessory, limit }, RECALL_WITHIN).await?,
        None => Vec::new(),
    };
    let now = now();
    let objects: Vec<_> = entries.into_iter().map(|entry| object(entry, &cards, now)).collect();
    Ok(good(json::bytes(&objects)))
}

fn object(entry: Entry, cards: &Cards, now: Moment) -> HistoryObject<'_> {
    let millis = |duration: Duration| duration.as_millis() as u64;
    let end = match entry.ended {
        None => EndWord::Open,
        Some((_, End::Confirmed)) => EndWord::Confirmed,
        Some((_, End::Failed)) => EndWord::Failed,
        Some((_, End::Replaced)) => EndWord::Replaced,
    };
    HistoryObject {
        number: entry.number,
        age_ms: millis(now.since(entry.at)),
        accessory: cards.at(AccessoryId(entry.place)).map(|card| card.face.id.as_str()),
        by: by(entry.doer),
        wanted: entry.wanted.map(|Target { on, level }| WantedObject { on, brightness: level }),
        on: entry.on,
        brightness: entry.brightness,
        sent: entry.sent,
        heard: entry.heard,
        end,
        after_ms: entry.ended.map(|(at, _)| millis(at.since(entry.at))),
    }
}

fn by(doer: Doer) -> ByObject {
    let (kind, name, presses) = match doer {
        Doer::Client(name) => (ByWord::Client, name, vec![]),
        Doer::Wall(presses) => (ByWord::Wall, wall(&presses), presses),
        Doer::Program => (ByWord::Program, "another program on the bus".into(), vec![]),
        Doer::Module => (ByWord::Module, "the module by itself".into(), vec![]),
        Doer::Found => (ByWord::Found, "nobody that was heard; a read found it".into(), vec![]),
    };
    let keys = presses.into_iter().map(|Press { module, input }| KeyObject {
        module,
        input: input.input,
        event: input.to_string(),
    });
    ByObject { kind, name, keys: keys.collect() }
}

/// The keys in words, as `wall: XP20 0012345007 input 3`.
fn wall(presses: &[Press]) -> String {
    let key = |Press { module, input }: &Press| match module {
        Some(serial) => format!("{} {serial} input {}", input.module_type, input.input),
        None => format!("{} link {} input {}", input.module_type, input.link, input.input),
    };
    format!("wall: {}", presses.iter().map(key).collect::<Vec<_>>().join(" or "))
}
