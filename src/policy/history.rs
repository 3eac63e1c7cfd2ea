//! What happened in the house lately: who asked for what, what was sent, what the bus said, how it ended.
//!
//! A bounded ring in memory. The facts come from different actors and are put together by output and by time; who
//! pressed a key is told by the bus, which lamp it drives is not, so of a wall only what was pressed shortly before
//! is known.

mod causes;
mod ring;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::interpret::Installed;
use super::places::Places;
use super::switch::{AccessoryState, Cause, Target};
use super::{Freshness, GatewayId, Moment, Origin};
use crate::conbus::{
    Edge, Event, EventBus, EventMeaning, EventSource, OutputIndex, Percent, Point, SerialNumber, Telegram,
};

pub use self::causes::Passed;
use self::causes::{Causes, Pressed};
use self::ring::Ring;

/// The longest name of whoever asked; it may be chosen by a client.
const NAME_CHARACTERS_MAX: usize = 64;

/// Telegrams of one entry, each way. A command needs one, with a repetition and its reads some more.
const TELEGRAMS_MAX: usize = 6;

/// What a history is built from.
#[derive(Clone, Debug)]
pub struct HistoryPlan {
    /// How many entries are kept.
    pub entries_max: usize,
    /// How many bytes they may take together, about.
    pub bytes_max: usize,
    /// A change this long after a press, or after a command of somebody else, is taken to come of it.
    pub effect_within: Duration,
    /// Wishes for one lamp that follow each other within this time are one: a slider.
    pub one_wish_within: Duration,
    /// So long a wish may take to its end, the ones that follow from it included.
    pub open_within: Duration,
    /// What stands in the house.
    pub house: Furniture,
}

/// What stands in a house.
#[derive(Clone, Debug, Default)]
pub struct Furniture {
    /// The modules and their gateways.
    pub modules: Vec<(GatewayId, Installed)>,
    /// The accessories by the place of their changes, and their outputs.
    pub accessories: Vec<(u32, Point)>,
    /// Events that are sent for an accessory or a scene, by its place.
    pub events: Vec<(u32, GatewayId, EventSource)>,
}

impl HistoryPlan {
    /// The usual bounds: some days of a family, a quarter of a megabyte.
    pub fn new(house: Furniture) -> Self {
        Self {
            entries_max: 1000,
            bytes_max: 256 * 1024,
            effect_within: Duration::from_millis(1500),
            one_wish_within: Duration::from_secs(1),
            open_within: Duration::from_secs(6),
            house,
        }
    }
}

/// Whose doing it was, as far as that is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Doer {
    /// A client of a door, by the name that the door gives it; also one of the shared port.
    Client(String),
    /// A wall switch: the keys that were pressed shortly before, the last one first.
    Wall(Vec<Press>),
    /// Another program on the bus: its command was heard. Or one behind the shared port that nobody told of.
    Program,
    /// Nobody that was heard: the module told it by itself.
    Module,
    /// Nobody that was heard: a read found it so.
    Found,
}

/// A key that was pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Press {
    /// The module of the key, if it is configured.
    pub module: Option<SerialNumber>,
    /// The key.
    pub input: EventSource,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The bus has shown it.
    Confirmed,
    /// It was given up: refused, not answered, or no link.
    Failed,
    /// A newer wish took its place.
    Replaced,
}

/// One thing that happened to one accessory.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Which, from 1 since the start.
    pub number: u64,
    /// When it began.
    pub at: Moment,
    /// The accessory, by the place of its changes.
    pub place: u32,
    /// Whose doing it was.
    pub doer: Doer,
    /// What was wanted, of a client.
    pub wanted: Option<Target>,
    /// On or off, as it was shown last in this entry.
    pub on: Option<bool>,
    /// The level of a dimmer, the same.
    pub brightness: Option<Percent>,
    /// Commands and presses that were sent for it.
    pub sent: Vec<String>,
    /// What was heard of the module meanwhile.
    pub heard: Vec<String>,
    /// When and how it ended; `None`: it has not, or nobody told.
    pub ended: Option<(Moment, End)>,
    point: Option<Point>,
    client: Option<u64>,
}

/// A wish as a door tells it.
#[derive(Clone, Debug)]
pub struct WishTold {
    /// The accessory, by the place of its changes.
    pub place: u32,
    /// Its output; none of a group or a scene.
    pub point: Option<Point>,
    /// What the door calls the client, for people.
    pub name: String,
    /// By which the change will name its cause.
    pub client: u64,
    /// What is wanted.
    pub target: Target,
}

/// The ring.
#[derive(Debug)]
pub struct History {
    plan: HistoryPlan,
    ring: Ring,
    modules: Places,
    /// Of each accessory, by place, its output and what it showed last.
    places: BTreeMap<u32, Known>,
    causes: Causes,
    /// The last report of each output.
    reports: BTreeMap<Point, (Moment, Event)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    point: Option<Point>,
    on: Option<bool>,
    brightness: Option<Percent>,
}

impl History {
    /// Nothing has happened yet.
    pub fn new(mut plan: HistoryPlan) -> Self {
        let house = std::mem::take(&mut plan.house);
        let mut history = Self {
            plan,
            ring: Ring::default(),
            modules: Places::default(),
            places: BTreeMap::new(),
            causes: Causes::default(),
            reports: BTreeMap::new(),
        };
        history.furnish(house);
        history
    }

    /// What stands in the house from now on. Of accessories that are gone, what happened to them is kept.
    pub fn furnish(&mut self, house: Furniture) {
        let mut before = std::mem::take(&mut self.places);
        self.places = house
            .accessories
            .iter()
            .copied()
            .map(|(place, point)| {
                (place, Known { point: Some(point), ..before.remove(&place).unwrap_or_default() })
            })
            .collect();
        self.modules = Places::of(
            house
                .modules
                .iter()
                .map(|(gateway, module)| (module.serial, *gateway, module.module_type, module.link)),
        );
        self.reports.retain(|point, _| self.modules.gateway_of(point.serial).is_some());
        self.plan.house = house;
    }

    /// A client of a door wants something.
    pub fn wished(&mut self, wish: WishTold, now: Moment) {
        let WishTold { place, point, name, client, target } = wish;
        let one_wish_within = self.plan.one_wish_within;
        let name: String =
            name.chars().filter(|letter| !letter.is_control()).take(NAME_CHARACTERS_MAX).collect();
        let doer = Doer::Client(name);
        if let Some(open) = self.open_of(place)
            && open.client == Some(client)
            && open.doer == doer
            && now.since(open.at) < one_wish_within
        {
            let number = open.number;
            self.ring.change(number, |open| open.wanted = Some(target));
            return;
        }
        self.replaced(place, now);
        self.begin(Entry {
            wanted: Some(target),
            point,
            client: Some(client),
            ..Entry::new(place, doer, now)
        });
    }

    /// An accessory shows something else.
    pub fn changed(&mut self, place: u32, state: &AccessoryState, cause: Cause, now: Moment) {
        let known = self.places.entry(place).or_default();
        let shown = (state.on, state.brightness);
        let before = (known.on, known.brightness);
        let point = known.point;
        if state.freshness != Freshness::Unknown {
            (known.on, known.brightness) = shown;
        }
        match cause {
            Cause::Client(client) => self.changed_by_client(place, client, state, now),
            Cause::Bus => {
                let was_known = before.0.is_some() && state.on.is_some();
                let is_seen = state.freshness == Freshness::Fresh && state.origin != Some(Origin::Snapshot);
                // A group changes because its members do.
                if let Some(point) = point.filter(|_| was_known && is_seen && before != shown) {
                    self.changed_by_itself(place, point, state, now);
                }
            }
        }
    }

    fn changed_by_client(&mut self, place: u32, client: u64, state: &AccessoryState, now: Moment) {
        if self.open_of(place).is_none() {
            if state.freshness != Freshness::Pending {
                return;
            }
            // A member of a group, or of a door that names nobody.
            let point = self.places.get(&place).and_then(|known| known.point);
            let doer = self.doer_of(client, now);
            self.begin(Entry { point, client: Some(client), ..Entry::new(place, doer, now) });
        }
        self.ring.change_open(
            |entry| entry.place == place,
            |open| {
                (open.on, open.brightness) = (state.on, state.brightness);
                match state.freshness {
                    Freshness::Pending => {}
                    Freshness::Fresh if open.is_as_wanted() => open.ended = Some((now, End::Confirmed)),
                    // Refused: it shows what it showed before.
                    Freshness::Fresh | Freshness::Stale | Freshness::Unknown => {
                        open.ended = Some((now, End::Failed));
                    }
                }
            },
        );
    }

    /// Who this client is, if something that it wants has not ended long ago: a group passes its wish on.
    fn doer_of(&self, client: u64, now: Moment) -> Doer {
        let mut recent = self.ring.latest().take_while(|entry| now.since(entry.at) <= self.plan.open_within);
        let known = recent.find(|entry| entry.client == Some(client)).map(|entry| entry.doer.clone());
        known.unwrap_or_else(|| Doer::Client(format!("client {client}")))
    }

    fn changed_by_itself(&mut self, place: u32, point: Point, state: &AccessoryState, now: Moment) {
        let recent = |at: Moment| now.since(at) <= self.plan.effect_within;
        let report = self.reports.get(&point).filter(|(at, _)| recent(*at));
        let heard: Vec<String> =
            report.map(|(_, report)| Telegram::Event(*report).to_string()).into_iter().collect();
        let commander = self.causes.commander(point, (now, self.plan.effect_within)).cloned();
        let unseen = if heard.is_empty() { Doer::Found } else { Doer::Module };
        let doer = commander.or_else(|| self.presser(point, now)).unwrap_or(unseen);
        let ended = Some((now, End::Confirmed));
        let (on, brightness) = (state.on, state.brightness);
        self.begin(Entry {
            on,
            brightness,
            heard,
            ended,
            point: Some(point),
            ..Entry::new(place, doer, now)
        });
    }

    /// The shared port passes a telegram of a client on, which will be written soon.
    pub fn passed_on(&mut self, passed: Passed, now: Moment) {
        self.causes.claimed(passed, now);
    }

    /// A telegram was written, or heard.
    pub fn telegram(&mut self, gateway: GatewayId, is_ours: bool, telegram: &Telegram, now: Moment) {
        match telegram {
            Telegram::System(system) => {
                let Some(command) = system.commands() else { return };
                let point = Point { serial: system.serial, output: command.output() };
                let claim = (now, self.plan.open_within);
                let claimant = is_ours.then(|| self.causes.claimant(gateway, telegram, claim)).flatten();
                let is_claimed = claimant.is_some();
                let open = self.ring.open(|entry| entry.point == Some(point));
                if let Some(number) = open.filter(|_| is_ours && !is_claimed).map(|open| open.number) {
                    self.ring.change(number, |open| keep(&mut open.sent, telegram));
                } else {
                    let doer = claimant.unwrap_or(Doer::Program);
                    self.causes.commanded(point, doer, (now, self.plan.effect_within));
                }
            }
            Telegram::Reply(reply) => {
                let serial = reply.serial;
                let asked = |entry: &Entry| {
                    !entry.sent.is_empty() && entry.point.is_some_and(|point| point.serial == serial)
                };
                self.overheard(asked, telegram);
            }
            Telegram::Event(event) if is_ours => self.injected(gateway, *event, now),
            Telegram::Event(event) => match event.meaning() {
                EventMeaning::OutputReport(output) if event.bus == EventBus::Xp => {
                    self.reported(gateway, (*event, output), now);
                }
                _ if event.edge == Edge::Make => {
                    self.causes.pressed(Pressed { at: now, gateway, input: event.source, doer: None });
                }
                _ => {}
            },
        }
    }

    /// We sent an event: for a client of the shared port, for a scene, or for an accessory that is switched by it.
    fn injected(&mut self, gateway: GatewayId, event: Event, now: Moment) {
        let telegram = Telegram::Event(event);
        let open_within = self.plan.open_within;
        let claimant = self.causes.claimant(gateway, &telegram, (now, open_within));
        let events = &self.plan.house.events;
        let is_for =
            |entry: &&Entry| entry.client.is_some() && events.contains(&(entry.place, gateway, event.source));
        let caller = || {
            let is_recent = |entry: &&Entry| now.since(entry.at) <= open_within;
            let number = self.ring.latest().take_while(is_recent).find(is_for)?.number;
            self.ring.change(number, |entry| keep(&mut entry.sent, &telegram)).map(|entry| entry.doer.clone())
        };
        let doer = claimant.or_else(caller).unwrap_or(Doer::Program);
        if event.edge == Edge::Make {
            self.causes.pressed(Pressed { at: now, gateway, input: event.source, doer: Some(doer) });
        }
    }

    fn reported(&mut self, gateway: GatewayId, (event, output): (Event, OutputIndex), now: Moment) {
        let Some(serial) = self.modules.sender(gateway, event.source) else { return };
        let point = Point { serial, output };
        self.reports.insert(point, (now, event));
        self.overheard(|entry| entry.point == Some(point), &Telegram::Event(event));
    }

    /// Something was heard that belongs to an entry like this, if there is one that has not ended.
    fn overheard(&mut self, like: impl Fn(&Entry) -> bool, telegram: &Telegram) {
        self.ring.change_open(like, |open| keep(&mut open.heard, telegram));
    }

    /// What happened, the newest first: of one accessory, or of all.
    pub fn recall(&self, place: Option<u32>, limit: usize) -> Vec<Entry> {
        let wanted = |entry: &&Entry| place.is_none_or(|place| place == entry.place);
        self.ring.latest().filter(wanted).take(limit).cloned().collect()
    }

    /// How many entries are kept.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether nothing has happened, as far as it is kept.
    pub fn is_empty(&self) -> bool {
        self.ring.len() == 0
    }

    /// About how many bytes the entries take.
    pub fn bytes(&self) -> usize {
        self.ring.bytes()
    }

    fn begin(&mut self, entry: Entry) {
        self.ring.begin(entry, (self.plan.entries_max, self.plan.bytes_max));
    }

    fn replaced(&mut self, place: u32, now: Moment) {
        self.ring.change_open(|entry| entry.place == place, |open| open.ended = Some((now, End::Replaced)));
    }

    fn open_of(&self, place: u32) -> Option<&Entry> {
        self.ring.open(|entry| entry.place == place)
    }

    /// Who pressed something shortly before, behind the gateway of this output: whoever we sent the last press for, or
    /// a hand at the wall, with its keys, the last one first.
    fn presser(&self, point: Point, now: Moment) -> Option<Doer> {
        let gateway = self.modules.gateway_of(point.serial);
        let mut keys: Vec<Press> = Vec::new();
        for press in self.causes.presses_within(self.plan.effect_within, now) {
            if gateway.is_some_and(|gateway| gateway != press.gateway) {
                continue;
            }
            if let Some(doer) = &press.doer {
                if keys.is_empty() {
                    return Some(doer.clone());
                }
                continue;
            }
            let key = Press { module: self.modules.sender(press.gateway, press.input), input: press.input };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        (!keys.is_empty()).then_some(Doer::Wall(keys))
    }
}

impl Entry {
    fn new(place: u32, doer: Doer, at: Moment) -> Self {
        Self {
            number: 0,
            at,
            place,
            doer,
            wanted: None,
            on: None,
            brightness: None,
            sent: Vec::new(),
            heard: Vec::new(),
            ended: None,
            point: None,
            client: None,
        }
    }

    /// Whether it shows what was wanted, where that is known.
    fn is_as_wanted(&self) -> bool {
        self.wanted.is_none_or(|Target { on, level }| {
            let wants_on = on.unwrap_or(true) && level != Some(Percent::OFF);
            let level = level.filter(|_| wants_on);
            self.on == Some(wants_on) && (level.is_none() || self.brightness == level)
        })
    }

    fn bytes(&self) -> usize {
        let doer = match &self.doer {
            Doer::Client(name) => name.len(),
            Doer::Wall(presses) => size_of_val(presses.as_slice()),
            Doer::Program | Doer::Module | Doer::Found => 0,
        };
        let telegrams = self.sent.iter().chain(&self.heard);
        size_of::<Self>() + doer + telegrams.map(|text| size_of::<String>() + text.len()).sum::<usize>()
    }
}

fn keep(telegrams: &mut Vec<String>, telegram: &Telegram) {
    if telegrams.len() < TELEGRAMS_MAX {
        telegrams.push(telegram.to_string());
    }
}
