//! The hall behind the door: what all sessions share. One owner on one thread; nothing here waits.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use tokio::sync::Notify;

use super::batch::Prepared;
use super::events::{Key, Subscriptions};
use super::keys::{Draw, Identity};
use super::lamp::{Behind, Lamp};
use super::model::{Database, Label, Member, Source, Value};
use super::pairings::Controller;
use super::status::Status;
use super::store::{BridgeState, State};
use super::tenant::{Tenant, model_of, place_of, shown_as};
use super::tlv::Fault;
use super::vault::Keeper;
use crate::actors::accessory::AccessoryAddr;
use crate::actors::events::AccessoryId;
use crate::doors::{AccessoryFace, Cards};
use crate::policy::Moment;
use crate::policy::figures::{Histogram, names};
use crate::policy::switch::AccessoryState;

/// Sessions of one bridge; beyond it the one that was used least recently is closed.
const SESSIONS_MAX: usize = 24;

/// Sessions of one bridge with those that are about to end.
const SOCKETS_MAX: usize = 2 * SESSIONS_MAX;

/// Wrong codes after which nobody can pair before a reset.
const WRONG_CODES_MAX: u32 = 100;

/// How long somebody who began to pair may think.
const DESK_WITHIN: Duration = Duration::from_secs(180);

/// Told with every wish of a session; far from what other doors call their clients.
const FIRST_SESSION: u64 = 0x4841_5000_0000;

/// What the bridge itself calls its model.
pub(super) const MODEL: &str = "conbusd";

/// One connection of a controller.
#[derive(Debug)]
pub(super) struct Seat {
    bridge: usize,
    /// Who it is, once that is verified.
    pub(super) controller: Option<Vec<u8>>,
    used: Moment,
    /// What it wants to be told.
    pub(super) subscriptions: Subscriptions,
    /// A write that it announced.
    pub(super) prepared: Option<Prepared>,
    /// Wakes its task.
    pub(super) wake: Rc<Notify>,
    /// It is to end after the answer it is writing.
    pub(super) closing: bool,
}

/// One bridge: up to 149 accessories with one pairing.
struct Bridge {
    identity: Identity,
    database: Rc<Database>,
    /// Who is pairing, and since when.
    desk: Option<(u64, Moment)>,
    /// Wakes the announcer.
    changed: Rc<Notify>,
}

/// See the module.
pub(super) struct Hall {
    name: String,
    code: Option<String>,
    /// The accessories, by their places.
    tenants: BTreeMap<usize, Tenant>,
    pub(super) cards: Arc<Cards>,
    bridges: Vec<Bridge>,
    seats: BTreeMap<u64, Seat>,
    next_session: u64,
    state: State,
    keeper: Option<Keeper>,
    /// How long answers took.
    pub(super) answers: Histogram,
}

impl Hall {
    /// A hall for these accessories, on what was kept of them; true when that is to be kept anew.
    pub(super) fn new(
        name: String,
        code: Option<String>,
        faces: Vec<AccessoryFace>,
        mut state: State,
        draw: Draw,
    ) -> (Self, bool) {
        let before = state.clone();
        let ids: Vec<&str> = faces.iter().map(|face| face.id.as_str()).collect();
        state.settle(&ids, draw);
        let bridges = state.bridges.iter().map(|bridge| Bridge {
            identity: bridge.identity(),
            database: Rc::default(),
            desk: None,
            changed: Rc::default(),
        });
        let mut hall = Self {
            name,
            code,
            tenants: faces.into_iter().map(|face| (place_of(&face), Tenant::new(face))).collect(),
            cards: Arc::default(),
            bridges: bridges.collect(),
            seats: BTreeMap::new(),
            next_session: FIRST_SESSION,
            state,
            keeper: None,
            answers: Histogram::new(names::AT_A_DOOR),
        };
        hall.rebuild();
        let changed = hall.state != before;
        (hall, changed)
    }

    /// From now on accessories can be asked, and what changes is kept.
    pub(super) fn open(&mut self, cards: Arc<Cards>, keeper: Keeper) {
        self.cards = cards;
        self.keeper = Some(keeper);
    }

    /// How many bridges there are.
    pub(super) fn bridge_count(&self) -> usize {
        self.bridges.len()
    }

    /// What is kept of a bridge.
    pub(super) fn bridge(&self, bridge: usize) -> &BridgeState {
        &self.state.bridges[bridge]
    }

    /// What a bridge is called: the second one is not called like the first.
    pub(super) fn bridge_name(&self, bridge: usize) -> String {
        if bridge == 0 { self.name.clone() } else { format!("{} {}", self.name, bridge + 1) }
    }

    /// The setup code of a bridge: the one of the config is the first one's.
    pub(super) fn code(&self, bridge: usize) -> String {
        self.code.clone().filter(|_| bridge == 0).unwrap_or_else(|| self.state.bridges[bridge].code.clone())
    }

    /// The keys of a bridge.
    pub(super) fn identity(&self, bridge: usize) -> Identity {
        self.bridges[bridge].identity.clone()
    }

    /// The accessory database of a bridge.
    pub(super) fn database(&self, bridge: usize) -> Rc<Database> {
        self.bridges[bridge].database.clone()
    }

    /// Wakes when the announcement of a bridge is to be made anew.
    pub(super) fn changed(&self, bridge: usize) -> Rc<Notify> {
        self.bridges[bridge].changed.clone()
    }

    /// The accessory at this place.
    pub(super) fn addr(&self, place: usize) -> Option<AccessoryAddr> {
        self.cards.at(AccessoryId(u32::try_from(place).ok()?)).map(|card| card.addr.clone())
    }

    /// Keeps everything; the future tells how it went.
    pub(super) fn keep(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let saved = self.keeper.as_ref().map(|keeper| keeper.save(self.state.encode()));
        async move {
            match saved {
                Some(saved) => saved.await,
                None => Err(io::ErrorKind::NotConnected.into()),
            }
        }
    }

    /// The text to keep.
    pub(super) fn encoded(&self) -> Vec<u8> {
        self.state.encode()
    }

    /// Makes the databases anew; their numbers grow where they really changed.
    fn rebuild(&mut self) -> bool {
        let mut changed = false;
        for index in 0..self.bridges.len() {
            let database = Database::new(self.members(index));
            let noted = self.state.bridges[index].note_database(database.fingerprint());
            self.bridges[index].database = Rc::new(database);
            if noted {
                self.bridges[index].changed.notify_one();
            }
            changed |= noted;
        }
        changed
    }

    fn members(&self, bridge: usize) -> Vec<Member> {
        let own = Label {
            name: self.bridge_name(bridge),
            model: MODEL.into(),
            serial: self.state.bridges[bridge].device_id.clone(),
            firmware: env!("CARGO_PKG_VERSION").into(),
        };
        let lamps = self.tenants.iter().filter_map(|(place, Tenant { face, .. })| {
            let known = self.state.places.get(&face.id).filter(|known| known.bridge == bridge)?;
            let label = Label {
                name: face.name.clone(),
                model: known.model.clone().unwrap_or_else(|| model_of(face)),
                serial: face
                    .point
                    .map_or_else(|| face.id.clone(), |point| format!("{}-{}", point.serial, point.output)),
                firmware: known.firmware.clone().unwrap_or_else(|| "0".into()),
            };
            Some(Member::accessory(known.aid, *place, shown_as(face), &label))
        });
        std::iter::once(Member::bridge(&own)).chain(lamps).collect()
    }

    /// What the bus reported of the modules: serial, type and version. True when something is to be kept.
    pub(super) fn note_modules(&mut self, modules: &[(String, Option<String>, Option<String>)]) -> bool {
        for Tenant { face, .. } in self.tenants.values() {
            let Some(point) = face.point else { continue };
            let serial = point.serial.to_string();
            let Some((_, model, firmware)) = modules.iter().find(|(own, ..)| *own == serial) else {
                continue;
            };
            let Some(place) = self.state.places.get_mut(&face.id) else { continue };
            place.model = model.clone().or(place.model.take());
            place.firmware = firmware.clone().or(place.firmware.take());
        }
        self.rebuild()
    }
}

/// The accessories change while the door is open.
impl Hall {
    /// Gives those of a new list their numbers, which are told to nobody yet; returns the ids of those that would
    /// need one more bridge.
    pub(super) fn number(&mut self, faces: &[AccessoryFace]) -> Vec<String> {
        let ids: Vec<&str> = faces.iter().map(|face| face.id.as_str()).collect();
        self.state.settle_here(&ids).into_iter().map(str::to_owned).collect()
    }

    /// From now on the accessories are these. Sessions stay, and what is known of those that stay is kept. True when
    /// controllers will see another database.
    pub(super) fn rehouse(&mut self, faces: Vec<AccessoryFace>, cards: Arc<Cards>) -> bool {
        let mut before = std::mem::take(&mut self.tenants);
        let tenant = |face: AccessoryFace| {
            let place = place_of(&face);
            let tenant = match before.remove(&place) {
                Some(Tenant { lamp, .. }) => Tenant { face, lamp },
                None => Tenant::new(face),
            };
            (place, tenant)
        };
        self.tenants = faces.into_iter().map(tenant).collect();
        self.cards = cards;
        self.rebuild()
    }
}

/// Sessions come and go.
impl Hall {
    /// A new connection; `None` when there are too many even of those that are about to end.
    pub(super) fn enter(&mut self, bridge: usize, now: Moment) -> Option<(u64, Rc<Notify>)> {
        let here = self.seats.values().filter(|seat| seat.bridge == bridge).count();
        if here >= SOCKETS_MAX {
            return None;
        }
        self.make_room(bridge);
        let session = self.next_session;
        self.next_session += 1;
        let wake = Rc::new(Notify::new());
        let seat = Seat {
            bridge,
            controller: None,
            used: now,
            subscriptions: Subscriptions::default(),
            prepared: None,
            wake: wake.clone(),
            closing: false,
        };
        self.seats.insert(session, seat);
        Some((session, wake))
    }

    /// Closes the least recently used session when all seats are taken, strangers first.
    fn make_room(&mut self, bridge: usize) {
        let open = || self.seats.iter().filter(|(_, seat)| seat.bridge == bridge && !seat.closing);
        if open().count() < SESSIONS_MAX {
            return;
        }
        let oldest = open().min_by_key(|(_, seat)| (seat.controller.is_some(), seat.used)).map(|(id, _)| *id);
        if let Some(seat) = oldest.and_then(|session| self.seats.get_mut(&session)) {
            info!(target: "homekit", "session closed for a newer one");
            seat.close();
        }
    }

    /// A connection has ended, and with it whatever it began.
    pub(super) fn leave(&mut self, session: u64) {
        self.seats.remove(&session);
        self.leave_desk(session);
    }

    /// The seat of a session.
    pub(super) fn seat(&mut self, session: u64) -> Option<&mut Seat> {
        self.seats.get_mut(&session)
    }

    /// Whether a session is told when this changes.
    pub(super) fn is_watched(&self, session: u64, key: Key) -> bool {
        self.seats.get(&session).is_some_and(|seat| seat.subscriptions.has(key))
    }

    /// How many sessions there are.
    pub(super) fn session_count(&self) -> usize {
        self.seats.len()
    }

    /// How many controllers are paired.
    pub(super) fn pairing_count(&self) -> usize {
        self.state.bridges.iter().map(|bridge| bridge.controllers.len()).sum()
    }

    /// A session asks something.
    pub(super) fn used(&mut self, session: u64, now: Moment) {
        if let Some(seat) = self.seats.get_mut(&session) {
            seat.used = now;
        }
    }

    /// Ends all sessions.
    pub(super) fn close_all(&mut self) {
        self.seats.values_mut().for_each(Seat::close);
    }

    /// The changes a session is to be told now.
    pub(super) fn take_events(&mut self, session: u64, now: Moment) -> Vec<(Key, Value)> {
        let (tenants, bridges) = (&self.tenants, &self.bridges);
        let Some(seat) = self.seats.get_mut(&session) else { return Vec::new() };
        let database = &bridges[seat.bridge].database;
        seat.subscriptions.take(now, &|(aid, iid)| {
            let (member, own) = database.find(aid, iid)?;
            tenants.get(&member.place?)?.lamp.value(&own.source)
        })
    }
}

impl Seat {
    fn close(&mut self) {
        self.closing = true;
        self.wake.notify_one();
    }
}

/// Who is paired.
impl Hall {
    /// Whether this session may go on to pair.
    pub(super) fn take_desk(&mut self, bridge: usize, session: u64, now: Moment) -> Result<(), Fault> {
        let kept = &self.state.bridges[bridge];
        if kept.is_paired() {
            return Err(Fault::Unavailable);
        }
        if kept.wrong_codes >= WRONG_CODES_MAX {
            return Err(Fault::MaxTries);
        }
        let desk = &mut self.bridges[bridge].desk;
        if desk.is_some_and(|(owner, since)| owner != session && now.since(since) < DESK_WITHIN) {
            return Err(Fault::Busy);
        }
        *desk = Some((session, now));
        Ok(())
    }

    /// The session no longer pairs.
    pub(super) fn leave_desk(&mut self, session: u64) {
        for bridge in &mut self.bridges {
            bridge.desk.take_if(|(owner, _)| *owner == session);
        }
    }

    /// Somebody tried a wrong code.
    pub(super) fn wrong_code(&mut self, bridge: usize) {
        let kept = &mut self.state.bridges[bridge];
        kept.wrong_codes += 1;
        warn!(target: "homekit", "wrong setup code attempts={}", kept.wrong_codes);
    }

    /// Replaces the list of the paired ones and keeps it. A list that cannot be kept is not valid.
    pub(super) fn pair(&mut self, bridge: usize, controllers: Vec<Controller>) -> Vec<Controller> {
        let kept = &mut self.state.bridges[bridge];
        if controllers.len() > kept.controllers.len() {
            kept.wrong_codes = 0;
        }
        std::mem::replace(&mut kept.controllers, controllers)
    }

    /// The list of the paired ones is valid: closes the sessions of those that are not on it.
    pub(super) fn paired(&mut self, bridge: usize) {
        let controllers = &self.state.bridges[bridge].controllers;
        info!(target: "homekit", "pairings={}", controllers.len());
        for seat in self.seats.values_mut().filter(|seat| seat.bridge == bridge) {
            let removed = |id: &Vec<u8>| !controllers.iter().any(|controller| controller.id == *id);
            if seat.controller.as_ref().is_some_and(removed) {
                seat.close();
            }
        }
        self.bridges[bridge].changed.notify_one();
    }
}

/// What the accessories show.
impl Hall {
    fn lamp(&self, place: usize) -> Option<&Lamp> {
        self.tenants.get(&place).map(|tenant| &tenant.lamp)
    }

    /// An accessory shows this now.
    pub(super) fn told(&mut self, place: usize, state: &AccessoryState, now: Moment) {
        let Some(Tenant { face, lamp }) = self.tenants.get_mut(&place) else { return };
        let is_back = lamp.told(state, now);
        let Some(known) = self.state.places.get(&face.id) else { return };
        let database = &self.bridges[known.bridge].database;
        let keys: Vec<Key> = database
            .members()
            .filter(|member| member.place == Some(place))
            .flat_map(|member| member.characteristics().map(|own| (member.aid, own.iid)))
            .collect();
        for seat in self.seats.values_mut().filter(|seat| seat.bridge == known.bridge) {
            let stir = |subscriptions: &mut Subscriptions, key: &Key| {
                if is_back { subscriptions.forget(*key) } else { subscriptions.stir(*key) }
            };
            let stirred = keys.iter().filter(|key| stir(&mut seat.subscriptions, key)).count();
            if stirred > 0 {
                seat.wake.notify_one();
            }
        }
    }

    /// The value of a characteristic that changes, or why it cannot be told.
    pub(super) fn value(&self, place: usize, source: &Source, now: Moment) -> Result<Value, Status> {
        let lamp = self.lamp(place).ok_or(Status::Missing)?;
        lamp.value(source).filter(|_| !lamp.is_lost(now)).ok_or(Status::Unreachable)
    }

    /// The last value of a characteristic that changes.
    pub(super) fn last_value(&self, place: usize, source: &Source) -> Option<Value> {
        self.lamp(place)?.value(source)
    }

    /// Whether an accessory has not answered for too long.
    pub(super) fn is_lost(&self, place: usize, now: Moment) -> bool {
        self.lamp(place).is_none_or(|lamp| lamp.is_lost(now))
    }

    /// Those of these accessories whose first read is worth a short wait.
    pub(super) fn unknown(&self, places: &[usize], now: Moment) -> Vec<usize> {
        let waits =
            |place: &&usize| self.lamp(**place).is_some_and(|lamp| lamp.is_unknown() && !lamp.is_lost(now));
        places.iter().filter(waits).copied().collect()
    }

    /// Which of these accessories are to be asked behind the answer, and how.
    pub(super) fn behind(&mut self, places: &[usize], now: Moment) -> Vec<(usize, Behind)> {
        let tenants = &mut self.tenants;
        let ask = |place: &usize| Some((*place, tenants.get_mut(place)?.lamp.ask(now)?));
        places.iter().filter_map(ask).collect()
    }

    /// The accessories that stopped answering.
    pub(super) fn silent(&self) -> Vec<usize> {
        self.tenants.iter().filter(|(_, one)| one.lamp.is_silent()).map(|(place, _)| *place).collect()
    }

    /// What came of a look at an accessory.
    pub(super) fn looked(
        &mut self,
        place: usize,
        outcome: &Result<AccessoryState, crate::policy::BusError>,
        asked: Moment,
    ) {
        if let Some(Tenant { lamp, .. }) = self.tenants.get_mut(&place) {
            lamp.looked(outcome, asked);
        }
    }
}
