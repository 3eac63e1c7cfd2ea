//! What the door knows and decides: from facts and messages to what is published and asked. Pure; `now` is an argument.
//!
//! While it is away from the broker, and until it has seen which daemons are there, it says nothing; what changes
//! meanwhile has its place on the board.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::ModuleFace;
use super::board::{Board, Message, Rank};
use super::claims::Claims;
use super::display::Line;
use super::house::House;
use super::ledger::Ledger;
use super::modules::{Modules, News};
use super::payload;
use super::requests::Request;
use super::topics::{Route, Topics};
use crate::actors::events::AccessoryId;
use crate::conbus::{Edge, EventSource};
use crate::doors::AccessoryFace;
use crate::policy::switch::{AccessoryState, Target};
use crate::policy::{AccessoryKind, Moment};

/// How long the retained words of other daemons are waited for after subscribing.
const LOOK_ROUND: Duration = Duration::from_millis(500);

/// How often the health is published.
const HEALTH_EVERY: Duration = Duration::from_secs(60);

/// Home Assistant has just started: every bridge of the house would answer at once.
const BIRTH_JITTER_MS: std::ops::Range<u64> = 1000..5000;

/// Something heard at the broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming<'a> {
    /// Where.
    pub(super) topic: &'a str,
    /// What.
    pub(super) payload: &'a [u8],
    /// Whether it lay there before we came.
    pub(super) retained: bool,
}

/// What the owner of the desk is to do.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Effect {
    /// Keep this before anything else is published.
    Keep(Vec<u8>),
    /// Tell this accessory what is wanted, then call [`Desk::wished`].
    Wish(AccessoryId, Target),
    /// Do this, then call [`Desk::answer`].
    Do(Request),
    /// Something was not obeyed, and why.
    Refused(String),
    /// Another daemon has one of the gateways: leave, and come again later.
    Leave {
        /// Which gateway.
        gateway: String,
        /// Which daemon.
        instance: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Away,
    Looking(Moment),
    Open,
    Leaving,
}

/// One accessory's commands: one is out, the newest waits.
#[derive(Clone, Copy, Debug, Default)]
struct Wishes {
    next: Option<Target>,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counters {
    pub(super) connects: u64,
    pub(super) commands: u64,
    pub(super) refused: u64,
    pub(super) ignored: u64,
}

/// See the module.
pub(super) struct Desk {
    pub(super) topics: Topics,
    /// The name of the house.
    pub(super) name: String,
    /// Where the page of this daemon is, when there is one for others than its machine.
    pub(super) page: Option<String>,
    /// Of this program.
    pub(super) version: &'static str,
    /// By which the config that runs is told from others.
    pub(super) config_hash: String,
    /// What of the file waits for the next start, by key.
    pub(super) needs_restart: Vec<String>,
    /// What is counted of each gateway.
    pub(super) lines: Vec<Line>,
    pub(super) house: House,
    pub(super) shown: BTreeMap<AccessoryId, AccessoryState>,
    pub(super) links: BTreeMap<usize, bool>,
    pub(super) modules: Modules,
    pub(super) claims: Claims,
    pub(super) ledger: Ledger,
    pub(super) board: Board,
    pub(super) counters: Counters,
    pub(super) began: Moment,
    pub(super) busy: Vec<&'static str>,
    /// Ghosts were cleared, and the ledger is to forget them once that has arrived.
    pub(super) clearing: bool,
    phase: Phase,
    birth_at: Option<Moment>,
    /// Another daemon is no longer what it was: an entity of its may be ours now.
    describe_at: Option<Moment>,
    health_at: Moment,
    wishes: BTreeMap<AccessoryId, Wishes>,
    chance: fastrand::Rng,
}

impl Desk {
    /// A desk of this house, still without accessories, that has not met its broker yet.
    pub(super) fn new(topics: Topics, house: House, ledger: Ledger, now: Moment) -> Self {
        Self {
            topics,
            name: String::new(),
            page: None,
            config_hash: String::new(),
            needs_restart: Vec::new(),
            lines: vec![Line::default(); house.gateways().len()],
            version: env!("CARGO_PKG_VERSION"),
            house,
            shown: BTreeMap::new(),
            links: BTreeMap::new(),
            modules: Modules::default(),
            claims: Claims::default(),
            ledger,
            board: Board::default(),
            counters: Counters::default(),
            began: now,
            busy: Vec::new(),
            clearing: false,
            phase: Phase::Away,
            birth_at: None,
            describe_at: None,
            health_at: now,
            wishes: BTreeMap::new(),
            chance: fastrand::Rng::with_seed(now.since_start().as_micros() as u64),
        }
    }

    /// The broker is there; what the others say may come before it has said that it listens.
    pub(super) fn arrived(&mut self) {
        self.counters.connects += 1;
        self.claims = Claims::default();
    }

    /// It knows what is to be heard.
    pub(super) fn connected(&mut self, now: Moment) {
        self.phase = Phase::Looking(now + LOOK_ROUND);
    }

    /// The broker is gone.
    pub(super) fn lost(&mut self) {
        self.phase = Phase::Away;
        (self.birth_at, self.describe_at) = (None, None);
        self.board.lost();
    }

    /// Whether everything is published as it changes.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The modules and accessories as they are now.
    pub(super) fn rehouse(
        &mut self,
        modules: Vec<ModuleFace>,
        lamps: Vec<AccessoryFace>,
        now: Moment,
    ) -> Vec<Effect> {
        self.house = std::mem::take(&mut self.house).furnished(modules, lamps);
        let house = &self.house;
        self.modules.keep(|serial| house.module(serial).is_some());
        self.shown.retain(|place, _| house.lamp(*place).is_some());
        self.wishes.retain(|place, _| house.lamp(*place).is_some());
        if self.is_open() { self.publish_all(now) } else { Vec::new() }
    }

    /// The next message for the broker.
    pub(super) fn next(&mut self) -> Option<Message> {
        if matches!(self.phase, Phase::Open | Phase::Leaving) { self.board.next() } else { None }
    }

    /// One message has arrived.
    pub(super) fn acknowledged(&mut self) -> Option<Effect> {
        self.board.acknowledged();
        if self.clearing && self.phase == Phase::Open && self.board.is_done() {
            self.clearing = false;
            return self.cleared();
        }
        None
    }

    /// Says good-bye: nothing but that this daemon is not there any more.
    pub(super) fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Leaving;
            self.say_offline();
        } else {
            self.phase = Phase::Away;
        }
    }

    /// Whether the good-bye is still to be said, or to arrive.
    pub(super) fn has_last_words(&self) -> bool {
        self.phase == Phase::Leaving && !self.board.is_done()
    }

    /// Something was heard.
    pub(super) fn heard(&mut self, heard: Incoming<'_>, now: Moment) -> Vec<Effect> {
        match self.topics.read(heard.topic) {
            Some(Route::Claim(instance)) => {
                let is_news = self.claims.claim(instance, heard.payload);
                if is_news && instance != self.topics.instance && self.is_open() {
                    self.describe_at = Some(now + self.jitter());
                }
                self.clash(now)
            }
            Some(Route::Presence(instance)) => {
                self.claims.presence(instance, heard.payload);
                self.clash(now)
            }
            Some(Route::Birth) => {
                if heard.payload == b"online" && !heard.retained && self.is_open() {
                    self.birth_at = Some(now + self.jitter());
                }
                Vec::new()
            }
            Some(Route::Set(..) | Route::Call(_) | Route::Request(_)) if heard.retained => {
                // It would be obeyed again at every connect, and nobody would know why.
                self.counters.ignored += 1;
                vec![Effect::Refused(format!("a retained command is not obeyed topic={}", heard.topic))]
            }
            // What a retained command is cleared with.
            Some(Route::Set(..) | Route::Call(_)) if heard.payload.is_empty() => Vec::new(),
            // Before the door is open come the words that the broker kept while we were away.
            Some(Route::Set(..) | Route::Call(_) | Route::Request(_)) if !self.is_open() => {
                self.counters.ignored += 1;
                Vec::new()
            }
            Some(Route::Set(gateway, point)) => {
                let lamp = self.house.lamp_at(gateway, point).cloned();
                self.command(lamp.as_ref(), heard).into_iter().collect()
            }
            Some(Route::Call(id)) => {
                let lamp = self.house.ensemble(id).cloned();
                self.command(lamp.as_ref(), heard).into_iter().collect()
            }
            Some(Route::Request(verb)) => self.requested(verb, heard.payload, now).into_iter().collect(),
            None => Vec::new(),
        }
    }

    fn jitter(&mut self) -> Duration {
        Duration::from_millis(self.chance.u64(BIRTH_JITTER_MS))
    }

    /// Whether another daemon has one of our gateways. Of two that met the one whose name comes later gives way.
    fn clash(&mut self, now: Moment) -> Vec<Effect> {
        if !self.is_open() {
            return Vec::new();
        }
        let Some((gateway, instance)) = self.claims.clash(&self.topics.instance, self.house.gateways())
        else {
            return Vec::new();
        };
        if instance < self.topics.instance {
            self.close();
            return vec![Effect::Leave { gateway, instance }];
        }
        // He goes; what he has said in our place is put right behind him.
        self.birth_at = Some(now + Duration::from_millis(BIRTH_JITTER_MS.start));
        Vec::new()
    }

    fn command(&mut self, lamp: Option<&AccessoryFace>, heard: Incoming<'_>) -> Option<Effect> {
        self.counters.commands += 1;
        let Some(lamp) = lamp else {
            return Some(self.refuse(format!("there is no such accessory topic={}", heard.topic)));
        };
        let place = lamp.place;
        let target = match payload::command(lamp.dims, heard.payload) {
            Ok(target) => target,
            Err(why) => return Some(self.refuse(format!("{why} topic={}", heard.topic))),
        };
        if let Some(wishes) = self.wishes.get_mut(&place) {
            wishes.next = Some(wishes.next.map_or(target, |earlier| payload::merged(earlier, target)));
            return None;
        }
        self.wishes.insert(place, Wishes::default());
        Some(Effect::Wish(place, target))
    }

    fn refuse(&mut self, why: String) -> Effect {
        self.counters.refused += 1;
        Effect::Refused(why)
    }

    /// An accessory took a wish, or did not: then what it shows is said again, for whoever believed otherwise.
    pub(super) fn wished(&mut self, place: AccessoryId, is_taken: bool) -> Option<Effect> {
        let next = self.wishes.get_mut(&place).and_then(|wishes| wishes.next.take());
        if next.is_none() {
            self.wishes.remove(&place);
        }
        if !is_taken && let Some(topic) = self.house.lamp(place).and_then(|lamp| self.output_topic(lamp)) {
            self.board.again(&topic);
        }
        next.map(|target| Effect::Wish(place, target))
    }

    /// An accessory shows this.
    pub(super) fn told(&mut self, place: AccessoryId, state: AccessoryState) {
        self.shown.insert(place, state);
        self.show(place);
    }

    /// The link of a gateway came up or went down.
    pub(super) fn link(&mut self, gateway: usize, is_up: bool) {
        self.links.insert(gateway, is_up);
        self.show_link(gateway);
    }

    /// Somebody pressed or released a button.
    pub(super) fn pressed(&mut self, gateway: usize, input: EventSource, edge: Edge) {
        let module = self.house.modules().iter().find(|module| {
            module.gateway == gateway && module.module_type == input.module_type && module.link == input.link
        });
        let (Some(module), Some(name)) = (module, self.house.gateways().get(gateway)) else { return };
        if !self.is_open() {
            return;
        }
        let word = match edge {
            Edge::Make => "press",
            Edge::Break => "release",
        };
        let topic = self.topics.input(name, module.serial, input.input);
        self.board.post(topic, json!({"event_type": word}).to_string());
    }

    /// A picture of the house behind: gives the accessories that are to be asked whether their module is there.
    pub(super) fn looked(&mut self, picture: &Value, now: Moment) -> Vec<AccessoryId> {
        self.count(picture);
        for news in self.modules.look(picture, now) {
            match news {
                News::Changed(serial) => self.show_module(serial),
                News::Same(serial) => self.repeat(serial),
            }
        }
        let mut asked = Vec::new();
        let mut serials: Vec<_> =
            self.house.lamps().iter().filter_map(|lamp| Some((lamp.point?.serial, lamp.place))).collect();
        serials.sort_unstable_by_key(|(serial, _)| *serial);
        serials.dedup_by_key(|(serial, _)| *serial);
        for (serial, place) in serials {
            if self.is_link_up(serial) && self.modules.is_to_be_asked(serial, now) {
                asked.push(place);
            }
        }
        asked
    }

    /// What is due.
    pub(super) fn tick(&mut self, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Phase::Looking(until) = self.phase
            && now >= until
        {
            if let Some((gateway, instance)) = self.claims.clash(&self.topics.instance, self.house.gateways())
            {
                self.phase = Phase::Away;
                return vec![Effect::Leave { gateway, instance }];
            }
            self.phase = Phase::Open;
            self.health_at = now + HEALTH_EVERY;
            effects.extend(self.publish_all(now));
        }
        if self.phase == Phase::Open && now >= self.health_at {
            self.health_at = now + HEALTH_EVERY;
            self.show_health(now);
        }
        if self.birth_at.is_some_and(|at| now >= at) {
            self.birth_at = None;
            self.board.all_again();
        }
        if self.describe_at.is_some_and(|at| now >= at) {
            self.describe_at = None;
            // Home Assistant does not take an entity that another device has: now that one may have gone.
            self.board.rank_again(Rank::Description);
        }
        effects
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let phase = match self.phase {
            Phase::Looking(until) => Some(until),
            Phase::Open => Some(self.health_at),
            Phase::Away | Phase::Leaving => None,
        };
        [phase, self.birth_at, self.describe_at].into_iter().flatten().min()
    }

    /// The topic of what this lamp does.
    pub(super) fn output_topic(&self, lamp: &AccessoryFace) -> Option<String> {
        let Some(point) = lamp.point else {
            // A scene has no state.
            let is_group = lamp.kind == AccessoryKind::Group;
            return is_group.then(|| self.topics.ensemble(&lamp.id));
        };
        Some(self.topics.output(self.house.gateway_of(point.serial)?, point))
    }

    /// A picture for people.
    pub(super) fn picture(&self) -> Value {
        json!({
            "instance": self.topics.instance,
            "connected": self.phase == Phase::Open,
            "connects_total": self.counters.connects,
            "published_total": self.board.published,
            "dropped_total": self.board.dropped,
            "commands_total": self.counters.commands,
            "refused_total": self.counters.refused,
            "ignored_total": self.counters.ignored,
            "queued": self.board.queued(),
        })
    }
}

#[cfg(test)]
mod tests;
