//! The doors without their sockets: what each would show its people, decoded again and judged like what anybody
//! reads; and what their people say, which must come to the wish that was meant.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use conbusd::actors::events::{AccessoryChanged, AccessoryId, LinkChanged, LinkState};
use conbusd::actors::now as moment;
use conbusd::conbus::{Point, SerialNumber};
use conbusd::config::Config;
use conbusd::doors::mqtt::ModuleFace;
use conbusd::doors::{AccessoryFace, Roll, homekit, http, mqtt};
use conbusd::policy::switch::{AccessoryState, Target};
use conbusd::policy::{AccessoryKind, Freshness, Moment, Origin};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::court::{Court, Floor, Promise, Shown, Window};
use crate::house::{Lamp, shown};
use crate::wire::Line;

/// After this long the broker has heard who is there, and everything is said again.
const LOOK_ROUND: Duration = Duration::from_millis(500);

/// Which characteristic of HomeKit it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    On,
    Brightness,
}

/// An accessory as the HTTP door tells of it, for somebody who believes that it has these fields.
#[derive(Deserialize, Debug)]
struct Object<'a> {
    module: Option<&'a str>,
    output: Option<u8>,
    on: Option<bool>,
    brightness: Option<u8>,
    freshness: &'a str,
    age_ms: Option<u64>,
    origin: Option<&'a str>,
}

impl<'a> Object<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        serde_json::from_slice(bytes).expect("an object of the contract")
    }
}

/// By which a controller knows a characteristic: accessory and number.
type Key = (u64, u64);

/// See the module.
pub(crate) struct Doors {
    court: Rc<RefCell<Court>>,
    line: Rc<Line>,
    lamps: Rc<Vec<Lamp>>,
    roll: Option<Roll>,
    /// Lamps whose wish the doors have heard of since the daemon started.
    wished: BTreeSet<usize>,
    /// What each lamp told last.
    told: BTreeMap<usize, Shown>,
    homekit: homekit::pane::Pane,
    keys: BTreeMap<Key, (usize, Sort)>,
    mqtt: mqtt::pane::Pane,
    /// What lies at the broker; nothing while it is gone.
    broker: Option<BTreeMap<String, String>>,
    /// When everything is said to a broker that has come back.
    said_at: Option<Duration>,
}

impl Doors {
    pub(crate) fn new(court: Rc<RefCell<Court>>, line: Rc<Line>, lamps: Rc<Vec<Lamp>>) -> Self {
        Self {
            court,
            line,
            lamps,
            roll: None,
            wished: BTreeSet::new(),
            told: BTreeMap::new(),
            homekit: homekit::pane::Pane::new(Vec::new(), moment()),
            keys: BTreeMap::new(),
            mqtt: mqtt::pane::Pane::new(moment()),
            broker: None,
            said_at: None,
        }
    }

    /// The daemon starts: its doors know nothing yet, and their people come again.
    pub(crate) fn restarted(&mut self) {
        let fresh = Self::new(self.court.clone(), self.line.clone(), self.lamps.clone());
        *self = Self { broker: self.broker.take(), ..fresh };
    }

    /// From now on the accessories are these.
    pub(crate) fn rehouse(&mut self, roll: Roll, config: &Config) {
        let faces: Vec<AccessoryFace> = roll.borrow().faces().cloned().collect();
        let there = |at: &usize| faces.iter().any(|face| face.point == Some(self.lamps[*at].point));
        self.told.retain(|at, _| there(at));
        self.homekit.rehouse(faces.clone());
        let module = |module: &conbusd::config::Module| ModuleFace {
            serial: module.serial,
            module_type: module.module_type,
            link: module.link,
            gateway: 0,
        };
        self.mqtt.rehouse(config.modules.iter().map(module).collect(), faces, moment());
        self.roll = Some(roll);
        self.watch();
        self.broker_is(true);
        self.speak();
    }

    /// A controller looks which characteristics there are, and wants to be told all of them.
    fn watch(&mut self) {
        let database: Value = serde_json::from_slice(&self.homekit.accessories()).unwrap();
        self.keys.clear();
        for accessory in database["accessories"].as_array().unwrap() {
            let own: Vec<&Value> = accessory["services"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|service| service["characteristics"].as_array().unwrap())
                .collect();
            let serial = own.iter().find(|one| one["type"] == "30").and_then(|one| one["value"].as_str());
            let lamp = |lamp: &Lamp| serial == Some(&format!("{}-{}", lamp.point.serial, lamp.point.output));
            let Some(at) = self.lamps.iter().position(lamp) else { continue };
            for one in own {
                let sort = match one["type"].as_str() {
                    Some("25") => Sort::On,
                    Some("8") => Sort::Brightness,
                    _ => continue,
                };
                self.keys
                    .insert((accessory["aid"].as_u64().unwrap(), one["iid"].as_u64().unwrap()), (at, sort));
            }
        }
        let watch = |(aid, iid): &Key| json!({"aid": aid, "iid": iid, "ev": true});
        let body = json!({"characteristics": self.keys.keys().map(watch).collect::<Vec<_>>()});
        self.homekit.write(body.to_string().as_bytes(), moment()).unwrap();
    }

    /// The broker comes back, or goes.
    pub(crate) fn broker_is(&mut self, there: bool) {
        match (there, self.broker.is_some()) {
            (true, _) if self.said_at.is_none() => {
                self.broker.get_or_insert_default();
                self.mqtt.connected(moment());
                self.said_at = Some(self.line.now() + LOOK_ROUND);
            }
            (false, true) => {
                self.court.borrow_mut().act("broker_lost");
                self.broker = None;
                self.said_at = None;
                self.mqtt.lost();
            }
            _ => {}
        }
    }

    /// Whether the broker is there.
    pub(crate) fn has_broker(&self) -> bool {
        self.broker.is_some()
    }

    /// Says what is due.
    pub(crate) fn speak(&mut self) {
        let now = moment();
        self.mqtt.tick(now);
        while let Some((topic, payload, retained)) = self.mqtt.say() {
            self.mqtt.acknowledged();
            let Some(broker) = self.broker.as_mut().filter(|_| retained) else { continue };
            broker.insert(topic.clone(), payload.clone());
            self.judge_topic(&topic, &payload);
        }
        if let Some(body) = self.homekit.events(now) {
            self.judge_characteristics(&body);
        }
    }

    /// A controller reads everything at once.
    pub(crate) fn read_all(&mut self) {
        let id = |(aid, iid): &Key| format!("{aid}.{iid}");
        let ids: Vec<String> = self.keys.keys().map(id).collect();
        if let Some(body) = self.homekit.read(&format!("id={}", ids.join(",")), moment()) {
            self.judge_characteristics(&body);
        }
    }

    fn judge_topic(&mut self, topic: &str, payload: &str) {
        let parts: Vec<&str> = topic.split('/').collect();
        let ["conbus", "home", serial, "output", output] = parts[..] else { return };
        let (Ok(serial), Ok(output)) = (serial.parse::<SerialNumber>(), output.parse::<u8>()) else { return };
        let of = |lamp: &Lamp| lamp.point.serial == serial && lamp.point.output.get() == output;
        let Some(at) = self.lamps.iter().position(of) else { return };
        let Ok(words) = serde_json::from_str::<Value>(payload) else { return };
        let on = words["state"].as_str().map(|word| word == "ON");
        self.judge(Window::Mqtt, at, on, words["brightness"].as_u64());
    }

    fn judge_characteristics(&mut self, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).unwrap();
        let mut heard: BTreeMap<usize, (Option<bool>, Option<u64>)> = BTreeMap::new();
        for one in body["characteristics"].as_array().unwrap() {
            let key = (one["aid"].as_u64().unwrap(), one["iid"].as_u64().unwrap());
            let (Some((at, sort)), Some(value)) = (self.keys.get(&key), one.get("value")) else { continue };
            let words = heard.entry(*at).or_default();
            match sort {
                Sort::On => words.0 = value.as_bool(),
                Sort::Brightness => words.1 = value.as_u64(),
            }
        }
        for (at, (on, level)) in heard {
            let told_on = self.told.get(&at).and_then(|told| told.on);
            self.judge(Window::HomeKit, at, on.or(told_on), level);
        }
    }

    /// Words without a freshness are as fresh as what the lamp told last, and as old as that may be by now.
    fn judge(&self, window: Window, at: usize, on: Option<bool>, level: Option<u64>) {
        let Some(told) = self.told.get(&at) else { return };
        let now = self.line.now();
        let mut court = self.court.borrow_mut();
        let oldest = now.saturating_sub(court.ttl + Duration::from_secs(1));
        let observed_at = told.observed_at.map(|seen| Moment::after_start(seen.since_start().max(oldest)));
        // Off keeps its level in HomeKit, and a lamp that has just gone on the one it had before.
        let is_lit = on == Some(true) && told.level.is_some_and(|level| level > 0);
        let level = level.filter(|_| is_lit).and_then(|level| u8::try_from(level).ok());
        court.shown(window, &Shown { on, level, observed_at, ..*told }, now);
    }

    /// What the HTTP door answers, to somebody who asked when its window had come that far, when this lamp shows this.
    pub(crate) fn http(&self, at: usize, state: &AccessoryState, asked: Floor) {
        let Some(face) = self.face_of(self.lamps[at].point) else { return };
        let bytes = http::pane::object(&face, state, moment());
        self.judge_object((Window::Http, asked), at, &Object::read(&bytes));
    }

    fn judge_object(&self, (window, asked): (Window, Floor), at: usize, object: &Object<'_>) {
        let (lamp, now) = (self.lamps[at], self.line.now());
        let mut court = self.court.borrow_mut();
        let ttl = court.ttl.as_millis() as u64;
        // The age is cut to whole milliseconds.
        let age = object.age_ms.map(|age| age.max((age + 1).min(ttl)));
        let shown = Shown {
            point: lamp.point,
            on: object.on,
            level: object.brightness,
            freshness: match object.freshness {
                "fresh" => Freshness::Fresh,
                "pending" => Freshness::Pending,
                "stale" => Freshness::Stale,
                _ => Freshness::Unknown,
            },
            observed_at: age.map(|age| Moment::after_start(now.saturating_sub(Duration::from_millis(age)))),
            origin: match object.origin {
                Some("report") => Some(Origin::Report),
                Some("poll") => Some(Origin::Poll),
                Some("read") => Some(Origin::Read),
                Some("snapshot") => Some(Origin::Snapshot),
                _ => None,
            },
        };
        let module = object.module.and_then(|serial| serial.parse().ok());
        let is_its_own = module == Some(lamp.point.serial) && object.output == Some(lamp.point.output.get());
        if !is_its_own {
            court.broken(Promise::Provenance, now, || format!("{lamp:?} is shown as {object:?}"));
        }
        court.shown_after(window, &shown, asked, now);
    }

    fn face_of(&self, point: Point) -> Option<Arc<AccessoryFace>> {
        let roll = self.roll.as_ref()?.borrow();
        roll.all().iter().find(|card| card.face.point == Some(point)).map(|card| Arc::clone(&card.face))
    }

    /// What a wish for this lamp comes to when it is said at one of the doors; judged.
    pub(crate) fn wish(&mut self, at: usize, target: Target, door: u8) -> Target {
        let (point, now) = (self.lamps[at].point, self.line.now());
        let Some(face) = self.face_of(point) else { return target };
        let (on, level) = (target.on, target.level.map(conbusd::conbus::Percent::get));
        let heard = match door {
            0 => {
                let mut body = json!({});
                if let Some(on) = on {
                    body["on"] = on.into();
                }
                if let Some(level) = level {
                    body["brightness"] = level.into();
                }
                http::pane::wish(body.to_string().as_bytes(), &face).ok()
            }
            1 => {
                let value = |sort| match sort {
                    Sort::On => on.map(Value::from),
                    Sort::Brightness => level.map(Value::from),
                };
                let keys = self.keys.iter().filter(|(_, (lamp, _))| *lamp == at);
                let write = |((aid, iid), (_, sort)): (&Key, &(usize, Sort))| {
                    Some(json!({"aid": aid, "iid": iid, "value": value(*sort)?}))
                };
                let body = json!({"characteristics": keys.filter_map(write).collect::<Vec<_>>()});
                let targets = self.homekit.write(body.to_string().as_bytes(), moment());
                targets.and_then(|mut targets| targets.remove(&(face.place.0 as usize)))
            }
            2 if self.broker.is_some() && self.said_at.is_some_and(|at| at <= now) => {
                let mut body = json!({});
                if let Some(on) = on {
                    body["state"] = if on { "ON".into() } else { "OFF".into() };
                }
                if let Some(level) = level {
                    body["brightness"] = level.into();
                }
                let topic = format!("conbus/home/{}/output/{}/set", point.serial, point.output.get());
                let wishes = self.mqtt.heard(&topic, body.to_string().as_bytes(), moment());
                self.mqtt.wished(face.place, true);
                wishes.first().filter(|(place, _)| *place == face.place).map(|(_, target)| *target)
            }
            _ => return target,
        };
        if heard != Some(target) {
            let what = || format!("door {door}: {point:?} {target:?} was taken for {heard:?}");
            self.court.borrow_mut().broken(Promise::Wish, now, what);
        }
        target
    }

    /// Now that nothing is wrong: what lies at the broker, and what a controller is shown, is the truth.
    pub(crate) fn all_well(&mut self) {
        self.speak();
        let Some(broker) = &self.broker else { return };
        let now = self.line.now();
        for (at, lamp) in self.lamps.iter().enumerate() {
            let Some(told) = self.told.get(&at).filter(|told| told.freshness == Freshness::Fresh) else {
                continue;
            };
            let (on, level) = self.line.emulator.output(lamp.point).unwrap();
            let topic = format!("conbus/home/{}/output/{}", lamp.point.serial, lamp.point.output.get());
            let words: Value =
                broker.get(&topic).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            let is_level = !on || !lamp.dims || words["brightness"] == level.get();
            if words["state"] != if on { "ON" } else { "OFF" } || !is_level {
                let what = || format!("{topic} is at {level} and lies there as {words}, told {told:?}");
                self.court.borrow_mut().broken(Promise::Liveness, now, what);
            }
        }
        self.read_all();
    }

    fn changed(&mut self, id: AccessoryId, state: &AccessoryState) {
        let face = self.roll.as_ref().and_then(|roll| Some(roll.borrow().at(id)?.face.clone()));
        let Some(face) = face else { return };
        let now = self.line.now();
        self.homekit.told(id, state, moment());
        self.mqtt.told(id, *state);
        let event = http::pane::event(&face, state, moment());
        let object = event.strip_prefix(b"event: accessory\ndata: ").expect("the event is called so");
        let object = Object::read(object);
        match self.lamps.iter().position(|lamp| Some(lamp.point) == face.point) {
            Some(place) => {
                let shown = shown(self.lamps[place], state);
                self.judge_told(place, &shown);
                let come = self.court.borrow().floor(Window::HttpEvent, shown.point);
                self.judge_object((Window::HttpEvent, come), place, &object);
                self.told.insert(place, shown);
            }
            None if face.kind == AccessoryKind::Group && object.freshness == "fresh" => {
                let members = members_of(&face.id, &self.lamps);
                let observed = state.observed_at.map_or(now, Moment::since_start);
                self.court.borrow_mut().group(&members, object.on, observed, now);
            }
            None => {}
        }
        self.speak();
    }

    fn judge_told(&mut self, place: usize, shown: &Shown) {
        let now = self.line.now();
        let mut court = self.court.borrow_mut();
        if shown.freshness == Freshness::Pending {
            self.wished.insert(place);
        } else if shown.origin == Some(Origin::Snapshot) && !self.wished.contains(&place) {
            court.broken(Promise::Restart, now, || format!("what was kept is announced: {shown:?}"));
        }
        court.shown(Window::Told, shown, now);
    }
}

/// The id of a group names its members: `g_m1o0_m4o1`.
pub(crate) fn group_id(members: &[(u8, u8)]) -> String {
    members.iter().fold("g".into(), |id, (n, output)| format!("{id}_m{n}o{output}"))
}

fn members_of(id: &str, lamps: &[Lamp]) -> Vec<Point> {
    let point = |name: &str| {
        let (n, output) = name.strip_prefix('m')?.split_once('o')?;
        let (serial, output) = (crate::house::serial(n.parse().ok()?), output.parse::<u8>().ok()?);
        let is_it = |lamp: &&Lamp| lamp.point.serial == serial && lamp.point.output.get() == output;
        lamps.iter().find(is_it).map(|lamp| lamp.point)
    };
    id.split('_').skip(1).filter_map(point).collect()
}

/// The actor that hears for them.
pub(crate) struct Door(pub(crate) Rc<RefCell<Doors>>);

impl Actor for Door {
    type Context = Context<Self>;
}

impl Handler<AccessoryChanged> for Door {
    type Result = ();

    fn handle(&mut self, changed: AccessoryChanged, _: &mut Context<Self>) {
        self.0.borrow_mut().changed(changed.id, &changed.state);
    }
}

impl Handler<LinkChanged> for Door {
    type Result = ();

    fn handle(&mut self, changed: LinkChanged, _: &mut Context<Self>) {
        let mut doors = self.0.borrow_mut();
        let now = doors.line.now();
        doors.mqtt.link(changed.state == LinkState::Up);
        let mut court = doors.court.borrow_mut();
        court.trace((now, changed.state as u8));
        match changed.state {
            LinkState::Up => {
                court.figures.connections += 1;
                court.link_down = None;
            }
            LinkState::Down => court.link_down = court.link_down.or(Some(now)),
            LinkState::Dialling => {}
        }
    }
}
