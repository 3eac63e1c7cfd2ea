//! `/characteristics` and `/prepare`: what a read asks for, what a write comes to, and the answers to both.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::events::Key;
use super::http::Answer;
use super::model::{Database, Source, Value, perms};
use super::status::Status;
use crate::conbus::Percent;
use crate::policy::Moment;
use crate::policy::switch::Target;

/// What a characteristic and its value come to in JSON.
const TOLD_BYTES: usize = 48;

/// The text is no request of its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

/// A read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the protocol's four switches")]
pub(super) struct Query {
    /// Of what, in this order.
    pub(super) keys: Vec<Key>,
    meta: bool,
    perms: bool,
    kind: bool,
    ev: bool,
}

impl Query {
    /// Reads `id=1.2,3.4&meta=1`.
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut query = Self::default();
        for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            let flag = matches!(value, "1" | "true");
            match name {
                "id" => query.keys = keys(value)?,
                "meta" => query.meta = flag,
                "perms" => query.perms = flag,
                "type" => query.kind = flag,
                "ev" => query.ev = flag,
                _ => {}
            }
        }
        if query.keys.is_empty() { Err(Malformed) } else { Ok(query) }
    }

    /// The places in the config of the accessories that are read.
    pub(super) fn places(&self, database: &Database) -> Vec<usize> {
        let mut places: Vec<usize> = self
            .keys
            .iter()
            .filter_map(|(aid, iid)| database.find(*aid, *iid))
            .filter(|(_, own)| matches!(own.source, Source::On | Source::Brightness))
            .filter_map(|(member, _)| member.place)
            .collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The answer. `value_of` knows the states, `is_watched` what this session is told.
    pub(super) fn answer(
        &self,
        database: &Database,
        value_of: &dyn Fn(usize, &Source) -> Result<Value, Status>,
        is_watched: &dyn Fn(Key) -> bool,
    ) -> Answer {
        let mut failed = false;
        let mut read = |key: Key| {
            let mut told = Told::of(key);
            let result = match database.find(key.0, key.1) {
                None => Err(Status::Missing),
                Some((member, own)) => {
                    own.describe(&mut told.more, self.meta, self.perms, self.kind);
                    if self.ev && own.allows(perms::EVENTS) {
                        told.more.insert("ev".into(), is_watched(key).into());
                    }
                    match (&own.source, member.place) {
                        _ if !own.allows(perms::READ) => Err(Status::WriteOnly),
                        (Source::Fixed(value), _) => Ok(value.clone()),
                        (source, Some(place)) => value_of(place, source),
                        (_, None) => Err(Status::Unreachable),
                    }
                }
            };
            failed |= result.is_err();
            match result {
                Ok(value) => told.value = Some(value),
                Err(status) => told.status = Some(status.code()),
            }
            told
        };
        let mut all: Vec<Told> = self.keys.iter().map(|key| read(*key)).collect();
        if failed {
            for told in &mut all {
                told.status.get_or_insert(Status::Success.code());
            }
        }
        Answer::json(if failed { 207 } else { 200 }, listed(&all))
    }
}

fn keys(text: &str) -> Result<Vec<Key>, Malformed> {
    let text = text.replace("%2C", ",").replace("%2c", ",");
    let key = |part: &str| {
        let (aid, iid) = part.split_once('.')?;
        Some((aid.parse().ok()?, iid.parse().ok()?))
    };
    text.split(',').map(|part| key(part).ok_or(Malformed)).collect()
}

/// What is told of one characteristic.
#[derive(Serialize)]
pub(super) struct Told {
    aid: u64,
    iid: u64,
    /// What was asked for beside its value.
    #[serde(flatten)]
    more: Map<String, Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

impl Told {
    fn of((aid, iid): Key) -> Self {
        Self { aid, iid, more: Map::new(), status: None, value: None }
    }

    /// That it has this value now.
    pub(super) fn changed(key: Key, value: Value) -> Self {
        Self { value: Some(value), ..Self::of(key) }
    }
}

/// The body that tells all of these.
pub(super) fn listed(all: &[Told]) -> Vec<u8> {
    #[derive(Serialize)]
    struct List<'a> {
        characteristics: &'a [Told],
    }
    let mut body = Vec::with_capacity(TOLD_BYTES * (1 + all.len()));
    serde_json::to_writer(&mut body, &List { characteristics: all }).expect("its keys are texts");
    body
}

/// `/prepare`: a write that is announced, and void when it comes late.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Prepared {
    pid: u64,
    until: Moment,
}

impl Prepared {
    /// Reads `{"ttl":…,"pid":…}`; the time to live is in milliseconds.
    pub(super) fn parse(body: &[u8], now: Moment) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Body {
            ttl: u64,
            pid: u64,
        }
        let Body { ttl, pid } = serde_json::from_slice(body).map_err(|_| Malformed)?;
        Ok(Self { pid, until: now + Duration::from_millis(ttl) })
    }
}

/// A body of PUT `/characteristics`, as it was written.
#[derive(Debug, Deserialize)]
pub(super) struct Writes {
    characteristics: Vec<Write>,
    pid: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Write {
    aid: u64,
    iid: u64,
    value: Option<Json>,
    ev: Option<Json>,
    r: Option<Json>,
}

/// Whether a write is announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Timing {
    Plain,
    InTime,
    Void,
}

impl Writes {
    /// Reads a body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        serde_json::from_slice(body).map_err(|_| Malformed)
    }

    /// What it comes to. `prepared` is used up when the write refers to one.
    pub(super) fn plan(self, database: &Database, prepared: &mut Option<Prepared>, now: Moment) -> Batch {
        let timing = match self.pid {
            None => Timing::Plain,
            Some(pid) => match prepared.take() {
                Some(prepared) if prepared.pid == pid && now < prepared.until => Timing::InTime,
                _ => Timing::Void,
            },
        };
        let mut batch = Batch::default();
        for write in &self.characteristics {
            let status = batch.take(write, database, timing).err().unwrap_or(Status::Success);
            let key = (write.aid, write.iid);
            let reply = write.r.as_ref().and_then(switch) == Some(true);
            batch.entries.push(Entry { key, status, reply, place: None, value: None });
            if status == Status::Success
                && let Some((place, value)) = batch.last.take()
                && let Some(entry) = batch.entries.last_mut()
            {
                (entry.place, entry.value) = (place, Some(value));
            }
        }
        batch
    }
}

/// Controllers write switches as `true` or as 1.
fn switch(written: &Json) -> Option<bool> {
    match written {
        Json::Bool(value) => Some(*value),
        _ => written.as_u64().filter(|value| *value <= 1).map(|value| value == 1),
    }
}

#[derive(Debug)]
struct Entry {
    key: Key,
    status: Status,
    reply: bool,
    /// The accessory whose answer it shares.
    place: Option<usize>,
    value: Option<Value>,
}

/// What a write comes to: at most one wish for each accessory.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    last: Option<(Option<usize>, Value)>,
    /// What is wanted of which accessory, by its place in the config.
    pub(super) targets: BTreeMap<usize, Target>,
    /// Which accessories are to blink; none is the bridge itself.
    pub(super) blink: Vec<Option<usize>>,
    /// Which characteristics are to be told from now on, or no longer.
    pub(super) watch: Vec<(Key, bool)>,
}

impl Batch {
    fn take(&mut self, write: &Write, database: &Database, timing: Timing) -> Result<(), Status> {
        let key = (write.aid, write.iid);
        let (member, own) = database.find(write.aid, write.iid).ok_or(Status::Missing)?;
        let is_void = timing == Timing::Void || (timing == Timing::Plain && own.allows(perms::TIMED));
        if is_void || (write.value.is_none() && write.ev.is_none()) {
            return Err(Status::Invalid);
        }
        if let Some(ev) = &write.ev {
            let watch = switch(ev).ok_or(Status::Invalid)?;
            // To stop what was never told is a success.
            if watch && !own.allows(perms::EVENTS) {
                return Err(Status::NoEvents);
            }
            self.watch.push((key, watch));
        }
        let Some(written) = &write.value else { return Ok(()) };
        if !own.allows(perms::WRITE) {
            return Err(Status::ReadOnly);
        }
        let value = own.format.accept(written).ok_or(Status::Invalid)?;
        match (&own.source, &value, member.place) {
            (Source::Identify, _, place) => self.blink.push(place),
            (Source::On, Value::Bool(on), Some(place)) => {
                self.targets.entry(place).or_default().on = Some(*on);
            }
            (Source::Brightness, Value::Int(level), Some(place)) => {
                let level = u8::try_from(*level).ok().and_then(Percent::new);
                self.targets.entry(place).or_default().level = level;
            }
            _ => return Err(Status::Invalid),
        }
        self.last = Some((member.place.filter(|_| own.source != Source::Identify), value));
        Ok(())
    }

    /// The accessories answered: the values that were written, and the answer.
    pub(super) fn finish(self, outcomes: &BTreeMap<usize, Status>) -> (Vec<(Key, Value)>, Answer) {
        let mut written = Vec::new();
        let mut all = Vec::new();
        let mut is_plain = true;
        for entry in self.entries {
            let outcome = entry.place.and_then(|place| outcomes.get(&place)).copied();
            let status = outcome.filter(|_| entry.status == Status::Success).unwrap_or(entry.status);
            let mut told = Told { status: Some(status.code()), ..Told::of(entry.key) };
            if let Some(value) = entry.value.filter(|_| status == Status::Success) {
                if entry.reply {
                    told.value = Some(value.clone());
                }
                written.push((entry.key, value));
            }
            is_plain &= status == Status::Success && !entry.reply;
            all.push(told);
        }
        (written, if is_plain { Answer::bare(204) } else { Answer::json(207, listed(&all)) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::model::tests::database;
    use super::*;

    const LIGHT: Key = (2, 17);
    const DIMMER_ON: Key = (3, 17);
    const DIMMER_LEVEL: Key = (3, 18);

    fn at(ms: u64) -> Moment {
        Moment::START + Duration::from_millis(ms)
    }

    fn planned(body: &Json) -> Batch {
        Writes::parse(body.to_string().as_bytes()).unwrap().plan(&database(), &mut None, at(0))
    }

    fn write((aid, iid): Key, value: &Json) -> Json {
        json!({"aid": aid, "iid": iid, "value": value})
    }

    fn one(entry: &Json) -> Batch {
        planned(&json!({ "characteristics": [entry] }))
    }

    fn statuses(answer: &Answer) -> (u16, Vec<i64>) {
        let body: Json =
            answer.body.as_ref().map_or(json!({}), |(_, body)| serde_json::from_slice(body).unwrap());
        let list = body["characteristics"].as_array().cloned().unwrap_or_default();
        (answer.status, list.iter().map(|entry| entry["status"].as_i64().unwrap_or(1)).collect())
    }

    fn status_of(entry: &Json) -> Vec<i64> {
        statuses(&one(entry).finish(&BTreeMap::new()).1).1
    }

    fn read(text: &str) -> Answer {
        let value_of = |place: usize, source: &Source| match (place, source) {
            (1, _) => Err(Status::Unreachable),
            _ => Ok(Value::Bool(true)),
        };
        Query::parse(text).unwrap().answer(&database(), &value_of, &|key| key == LIGHT)
    }

    #[test]
    fn reads_tell_values_in_order() {
        let answer = read("id=4.33,2.17");
        let (_, body) = answer.body.unwrap();
        let expected = json!({"characteristics": [
            {"aid": 4, "iid": 33, "value": true}, {"aid": 2, "iid": 17, "value": true},
        ]});
        assert_eq!((answer.status, serde_json::from_slice::<Json>(&body).unwrap()), (200, expected));
    }

    #[test]
    fn one_that_fails_gives_every_entry_a_status() {
        let answer = read("id=2.17,3.17,2.2,2.99,77.1");
        assert_eq!(statuses(&answer), (207, vec![0, -70402, -70405, -70409, -70409]));
    }

    #[test]
    fn reads_describe_what_is_asked_for() {
        let (_, body) = read("id=2.17&meta=1&perms=1&type=1&ev=1").body.unwrap();
        let body: Json = serde_json::from_slice(&body).unwrap();
        let expected = json!({"aid": 2, "iid": 17, "type": "25", "format": "bool", "perms": ["pr", "pw", "ev"],
            "ev": true, "value": true});
        assert_eq!(body["characteristics"][0], expected);
    }

    #[test]
    fn malformed_reads_are_refused() {
        for text in ["", "id=", "id=1", "id=1.x", "id=1.2,", "id=-1.2", "meta=1", "id=1.99999999999999999999"]
        {
            assert_eq!(Query::parse(text), Err(Malformed), "{text}");
        }
        assert_eq!(Query::parse("id=1.2%2C3.4").unwrap().keys, [(1, 2), (3, 4)]);
    }

    #[test]
    fn on_and_brightness_are_one_wish() {
        let batch = planned(&json!({"characteristics": [
            write(DIMMER_LEVEL, &json!(40)), write(LIGHT, &json!(0)), write(DIMMER_ON, &json!(true)),
        ]}));
        let dimmed = Target { on: Some(true), level: Percent::new(40) };
        let off = Target { on: Some(false), level: None };
        assert_eq!(batch.targets, BTreeMap::from([(0, off), (1, dimmed)]));
        let (written, answer) = batch.finish(&BTreeMap::from([(0, Status::Success), (1, Status::Success)]));
        assert_eq!((written.len(), answer), (3, Answer::bare(204)));
    }

    #[test]
    fn a_lamp_that_fails_does_not_fail_the_others() {
        let batch =
            planned(&json!({"characteristics": [write(DIMMER_LEVEL, &json!(40)), write(LIGHT, &json!(1))]}));
        let (written, answer) =
            batch.finish(&BTreeMap::from([(0, Status::Success), (1, Status::Unreachable)]));
        assert_eq!(written, [(LIGHT, Value::Bool(true))]);
        assert_eq!(statuses(&answer), (207, vec![-70402, 0]));
    }

    #[test]
    fn what_cannot_be_written_says_why() {
        assert_eq!(status_of(&write((1, 3), &json!("x"))), [-70404]);
        assert_eq!(status_of(&write((4, 34), &json!(true))), [-70404]);
        assert_eq!(status_of(&write(DIMMER_LEVEL, &json!(101))), [-70410]);
        assert_eq!(status_of(&write(LIGHT, &json!("on"))), [-70410]);
        assert_eq!(status_of(&write((9, 9), &json!(true))), [-70409]);
        assert_eq!(status_of(&json!({"aid": 1, "iid": 3, "ev": true})), [-70406]);
        assert_eq!(status_of(&json!({"aid": 2, "iid": 17})), [-70410]);
        assert_eq!(status_of(&json!({"aid": 2, "iid": 17, "ev": "yes"})), [-70410]);
    }

    #[test]
    fn a_write_response_carries_the_value() {
        let batch = one(&json!({"aid": 3, "iid": 18, "value": 40, "r": true}));
        let (_, answer) = batch.finish(&BTreeMap::from([(1, Status::Success)]));
        let body: Json = serde_json::from_slice(&answer.body.unwrap().1).unwrap();
        assert_eq!(answer.status, 207);
        assert_eq!(body["characteristics"][0], json!({"aid": 3, "iid": 18, "status": 0, "value": 40}));
    }

    #[test]
    fn subscriptions_and_blinking_are_planned() {
        let batch = planned(&json!({"characteristics": [
            {"aid": 2, "iid": 17, "ev": true}, {"aid": 3, "iid": 17, "ev": 0}, write((2, 2), &json!(true)),
            write((1, 2), &json!(1)),
        ]}));
        assert_eq!(batch.watch, [(LIGHT, true), (DIMMER_ON, false)]);
        assert_eq!(batch.blink, [Some(0), None]);
        assert_eq!(batch.finish(&BTreeMap::new()).1, Answer::bare(204));
    }

    #[test]
    fn an_announced_write_counts_once_and_in_time() {
        let body = json!({"pid": 7, "characteristics": [write(LIGHT, &json!(1))]}).to_string();
        let run = |prepared: &mut Option<Prepared>, ms| {
            let batch = Writes::parse(body.as_bytes()).unwrap().plan(&database(), prepared, at(ms));
            (batch.targets.len(), statuses(&batch.finish(&BTreeMap::new()).1).0)
        };
        let prepare =
            |pid: u64| Prepared::parse(json!({"ttl": 1000, "pid": pid}).to_string().as_bytes(), at(0)).ok();
        let mut prepared = prepare(7);
        assert_eq!(run(&mut prepared, 999), (1, 204));
        assert_eq!(run(&mut prepared, 999), (0, 207));
        assert_eq!(run(&mut prepare(7), 1000), (0, 207));
        assert_eq!(run(&mut prepare(8), 10), (0, 207));
        assert_eq!(Prepared::parse(b"{\"ttl\":-1,\"pid\":7}", at(0)), Err(Malformed));
    }

    #[test]
    fn malformed_writes_are_refused_as_a_whole() {
        for body in
            ["", "{}", "[]", "{\"characteristics\":{}}", "{\"characteristics\":[{\"iid\":1}]}", "\u{0}"]
        {
            assert!(Writes::parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Writes::parse("[".repeat(60_000).as_bytes()).is_err());
    }
}
