//! From a request to its answer. Nothing here waits for the bus, but a first read of what was never known.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use log::{debug, warn};

use super::batch::{Prepared, Query, Writes};
use super::hall::Hall;
use super::http::{Answer, Method, Request};
use super::keys::system_draw;
use super::lamp::Behind;
use super::pairings;
use super::setup::{Outcome, Setup};
use super::status::Status;
use super::tlv::{Fault, Tlv, kind};
use super::verify::{Verified, Verify};
use crate::actors::events::{AccessoryId, GetState, Identify, SetTarget};
use crate::actors::{ask, now};
use crate::policy::BusError;
use crate::policy::store::Want;
use crate::policy::switch::{Target, Until};

/// How long the first read of a value may wait for the bus.
const UNKNOWN_WITHIN: Duration = Duration::from_millis(500);

/// How long a write waits to be taken. An accessory that is still busy with an older wish takes the newer one all
/// the same, only later, and Home need not see that.
const ACCEPT_WITHIN: Duration = Duration::from_millis(4);

/// How long what goes on behind an answer may take.
const BEHIND_WITHIN: Duration = Duration::from_secs(6);

/// What can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    /// Exchange long-term keys, with the code.
    PairSetup,
    /// Agree on the keys of a session.
    PairVerify,
    /// Blink, while nobody is paired.
    Identify,
    /// The whole database.
    Accessories,
    /// Some values.
    Read,
    /// Wishes and subscriptions.
    Write,
    /// Announce a write.
    Prepare,
    /// Who is paired.
    Pairings,
}

/// Everything that is answered.
pub(super) const ROUTES: [(Method, &str, Route); 8] = [
    (Method::Post, "/pair-setup", Route::PairSetup),
    (Method::Post, "/pair-verify", Route::PairVerify),
    (Method::Post, "/identify", Route::Identify),
    (Method::Get, "/accessories", Route::Accessories),
    (Method::Get, "/characteristics", Route::Read),
    (Method::Put, "/characteristics", Route::Write),
    (Method::Put, "/prepare", Route::Prepare),
    (Method::Post, "/pairings", Route::Pairings),
];

impl Route {
    /// What is asked; else the status of the refusal.
    fn of(method: Method, path: &str) -> Result<Self, u16> {
        let mut here = ROUTES.iter().filter(|(_, own, _)| *own == path).peekable();
        let otherwise = if here.peek().is_some() { 405 } else { 404 };
        here.find(|(own, ..)| *own == method).map(|(.., route)| *route).ok_or(otherwise)
    }

    /// Whether it is for everybody; all else is for controllers in a session of their own.
    fn is_open(self) -> bool {
        matches!(self, Self::PairSetup | Self::PairVerify | Self::Identify)
    }
}

/// What follows an answer.
#[derive(Debug)]
pub(super) enum Next {
    /// The next request.
    Stay,
    /// The same, sealed with these keys.
    Secure(Verified),
}

/// The requests of one connection.
pub(super) struct Talk {
    hall: Rc<RefCell<Hall>>,
    bridge: usize,
    session: u64,
    setup: Setup,
    verify: Verify,
}

impl Talk {
    /// A conversation that begins.
    pub(super) fn new(hall: Rc<RefCell<Hall>>, bridge: usize, session: u64) -> Self {
        Self { hall, bridge, session, setup: Setup::default(), verify: Verify::default() }
    }

    /// Answers a request.
    pub(super) async fn answer(&mut self, request: Request) -> (Answer, Next) {
        let started = now();
        self.hall.borrow_mut().used(self.session, started);
        let (answer, next) = match Route::of(request.method, &request.path) {
            Err(status) => (Answer::bare(status), Next::Stay),
            Ok(route) if !route.is_open() && !self.is_verified() => {
                (failed(470, Status::Privileges), Next::Stay)
            }
            Ok(route) => self.follow(route, &request).await,
        };
        debug!(target: "homekit", "{:?} {:?} status={} after={:?}",
            request.method, request.path, answer.status, now().since(started));
        (answer, next)
    }

    async fn follow(&mut self, route: Route, request: &Request) -> (Answer, Next) {
        let body = &request.body[..];
        let answer = match route {
            Route::PairSetup => self.pair_setup(body).await,
            Route::PairVerify => return self.pair_verify(body),
            Route::Identify => self.identify(),
            Route::Accessories => self.accessories().await,
            Route::Read => self.read(&request.query).await,
            Route::Write => self.write(body).await,
            Route::Prepare => self.prepare(body),
            Route::Pairings => self.pairings(body).await,
        };
        (answer, Next::Stay)
    }

    fn is_verified(&self) -> bool {
        self.hall.borrow_mut().seat(self.session).is_some_and(|seat| seat.controller.is_some())
    }
}

fn failed(status: u16, why: Status) -> Answer {
    Answer::json(status, format!("{{\"status\":{}}}", why.code()))
}

/// Pairing.
impl Talk {
    async fn pair_setup(&mut self, body: &[u8]) -> Answer {
        let Ok(request) = Tlv::parse(body) else { return Answer::bare(400) };
        let admitted = self.hall.borrow_mut().take_desk(self.bridge, self.session, now());
        if let Err(fault) = admitted {
            self.setup = Setup::default();
            let step = request.byte(kind::STATE).unwrap_or(1).min(5);
            return Answer::pairing(Tlv::fault(step + 1, fault).encode());
        }
        let (code, own) = {
            let hall = self.hall.borrow();
            (hall.code(self.bridge), hall.identity(self.bridge))
        };
        let mut setup = std::mem::take(&mut self.setup);
        // Some milliseconds of arithmetic, in which the bus would wait.
        let stepped = tokio::task::spawn_blocking(move || {
            let outcome = setup.step(&request, &code, &own, system_draw);
            (setup, outcome)
        });
        let Ok((setup, (reply, outcome))) = stepped.await else { return Answer::bare(500) };
        self.setup = setup;
        Answer::pairing(self.settle(reply, outcome).await.encode())
    }

    /// What a step came to is kept before it is answered.
    async fn settle(&mut self, reply: Tlv, outcome: Outcome) -> Tlv {
        let bridge = self.bridge;
        match outcome {
            Outcome::Goes => return reply,
            Outcome::Failed => {}
            Outcome::WrongCode => {
                self.hall.borrow_mut().wrong_code(bridge);
                let kept = self.hall.borrow().keep();
                if let Err(error) = kept.await {
                    warn!(target: "homekit", "cannot keep the count of wrong codes: {error}");
                }
            }
            Outcome::Paired(controller) => {
                if !self.keep_pairings(vec![controller]).await {
                    self.hall.borrow_mut().leave_desk(self.session);
                    return Tlv::fault(6, Fault::Unknown);
                }
            }
        }
        self.hall.borrow_mut().leave_desk(self.session);
        reply
    }

    /// Makes this the list of the paired ones; false when it could not be kept, and then it is as it was.
    async fn keep_pairings(&self, controllers: Vec<pairings::Controller>) -> bool {
        let before = self.hall.borrow_mut().pair(self.bridge, controllers);
        let kept = self.hall.borrow().keep();
        match kept.await {
            Ok(()) => {
                self.hall.borrow_mut().paired(self.bridge);
                true
            }
            Err(error) => {
                warn!(target: "homekit", "cannot keep the pairings: {error}");
                self.hall.borrow_mut().pair(self.bridge, before);
                false
            }
        }
    }

    fn pair_verify(&mut self, body: &[u8]) -> (Answer, Next) {
        let Ok(request) = Tlv::parse(body) else { return (Answer::bare(400), Next::Stay) };
        let mut hall = self.hall.borrow_mut();
        let own = hall.identity(self.bridge);
        let controllers = &hall.bridge(self.bridge).controllers;
        let key_of =
            |id: &[u8]| controllers.iter().find(|controller| controller.id == id).map(|known| known.key);
        let (reply, verified) = self.verify.step(&request, &own, &key_of, system_draw);
        let answer = Answer::pairing(reply.encode());
        let (Some(verified), Some(seat)) = (verified, hall.seat(self.session)) else {
            return (answer, Next::Stay);
        };
        seat.controller = Some(verified.controller.clone());
        (answer, Next::Secure(verified))
    }

    async fn pairings(&self, body: &[u8]) -> Answer {
        let Ok(request) = Tlv::parse(body) else { return Answer::bare(400) };
        let change = {
            let mut hall = self.hall.borrow_mut();
            let asker = hall.seat(self.session).and_then(|seat| seat.controller.clone()).unwrap_or_default();
            pairings::change(&hall.bridge(self.bridge).controllers, &asker, &request)
        };
        let kept = match change.keep {
            Some(controllers) => self.keep_pairings(controllers).await,
            None => true,
        };
        let reply = if kept { change.reply } else { Tlv::fault(2, Fault::Unknown) };
        Answer::pairing(reply.encode())
    }

    fn identify(&self) -> Answer {
        if self.hall.borrow().bridge(self.bridge).is_paired() {
            return failed(400, Status::Privileges);
        }
        self.blink(&[None]);
        Answer::bare(204)
    }
}

/// Accessories.
impl Talk {
    async fn accessories(&self) -> Answer {
        let database = self.hall.borrow().database(self.bridge);
        let places: Vec<usize> = database.members().filter_map(|member| member.place).collect();
        self.await_first(&places).await;
        self.ask_behind(&places);
        let hall = self.hall.borrow();
        Answer::json(200, database.json(&|place, source| hall.last_value(place, source)))
    }

    async fn read(&self, query: &str) -> Answer {
        let Ok(query) = Query::parse(query) else { return failed(400, Status::Invalid) };
        let database = self.hall.borrow().database(self.bridge);
        let places = query.places(&database);
        self.await_first(&places).await;
        self.ask_behind(&places);
        let hall = self.hall.borrow();
        let at = now();
        let is_watched = |key| hall.is_watched(self.session, key);
        query.answer(&database, &|place, source| hall.value(place, source, at), &is_watched)
    }

    /// Waits shortly for what was never known.
    async fn await_first(&self, places: &[usize]) {
        let unknown = self.hall.borrow().unknown(places, now());
        let asks = unknown.into_iter().filter_map(|place| {
            let addr = self.hall.borrow().addr(place)?;
            let answer = ask(&addr, GetState { max_age: Want::Known }, UNKNOWN_WITHIN);
            Some(async move { (place, answer.await) })
        });
        let asks: Vec<_> = asks.collect();
        for (place, answer) in join_all(asks).await {
            if let Ok(state) = answer {
                self.hall.borrow_mut().told(place, &state, now());
            }
        }
    }

    /// Tells the accessories that they are used, and looks whether the old ones still answer.
    fn ask_behind(&self, places: &[usize]) {
        let asked = now();
        let asks = self.hall.borrow_mut().behind(places, asked);
        look(&self.hall, asks);
    }

    fn blink(&self, which: &[Option<usize>]) {
        let database = self.hall.borrow().database(self.bridge);
        // The bridge itself has no lamp to blink with; its first accessory stands for it.
        let first = database.members().find_map(|member| member.place);
        for place in which.iter().filter_map(|place| place.or(first)) {
            let Some(addr) = self.hall.borrow().addr(place) else { continue };
            let blinking = ask(&addr, Identify, BEHIND_WITHIN);
            tokio::task::spawn_local(async move {
                if let Err(error) = blinking.await {
                    debug!(target: "homekit", "cannot identify place={place} error={error:?}");
                }
            });
        }
    }

    fn prepare(&self, body: &[u8]) -> Answer {
        let Ok(prepared) = Prepared::parse(body, now()) else { return failed(400, Status::Invalid) };
        if let Some(seat) = self.hall.borrow_mut().seat(self.session) {
            seat.prepared = Some(prepared);
        }
        failed(200, Status::Success)
    }

    async fn write(&self, body: &[u8]) -> Answer {
        let Ok(writes) = Writes::parse(body) else { return failed(400, Status::Invalid) };
        let batch = {
            let mut hall = self.hall.borrow_mut();
            let database = hall.database(self.bridge);
            let Some(seat) = hall.seat(self.session) else { return Answer::bare(503) };
            let batch = writes.plan(&database, &mut seat.prepared, now());
            for (key, watch) in &batch.watch {
                let known = database
                    .find(key.0, key.1)
                    .and_then(|(member, own)| hall.last_value(member.place?, &own.source));
                let Some(seat) = hall.seat(self.session) else { continue };
                if *watch { seat.subscriptions.add(*key, known) } else { seat.subscriptions.remove(*key) }
            }
            batch
        };
        self.blink(&batch.blink);
        let outcomes = self.set(&batch.targets).await;
        let (written, answer) = batch.finish(&outcomes);
        if let Some(seat) = self.hall.borrow_mut().seat(self.session) {
            for (key, value) in written {
                seat.subscriptions.wrote(key, value);
            }
        }
        answer
    }

    /// What the history calls the controller of this session: by the beginning of its own name.
    fn name(&self) -> String {
        let mut hall = self.hall.borrow_mut();
        let controller = hall.seat(self.session).and_then(|seat| seat.controller.as_deref());
        let short: String = String::from_utf8_lossy(controller.unwrap_or_default()).chars().take(8).collect();
        format!("homekit {short}")
    }

    /// Passes the wishes on; what is not refused at once is accepted.
    async fn set(&self, targets: &BTreeMap<usize, Target>) -> BTreeMap<usize, Status> {
        let mut outcomes: BTreeMap<usize, Status> =
            targets.keys().map(|place| (*place, Status::Unreachable)).collect();
        let name = self.name();
        let asks = targets.iter().filter_map(|(place, target)| {
            let set = SetTarget { target: *target, until: Until::Accepted, client: self.session };
            let cards = Arc::clone(&self.hall.borrow().cards);
            let card = cards.at(AccessoryId(u32::try_from(*place).ok()?))?;
            let wish = cards.wish(card, name.clone(), set, BEHIND_WITHIN);
            // A task of its own: a wish is not taken back when its answer was not waited for.
            Some((*place, tokio::task::spawn_local(wish)))
        });
        let asks: Vec<_> = asks.collect();
        let until = tokio::time::Instant::now() + ACCEPT_WITHIN;
        for (place, asked) in asks {
            let status = match tokio::time::timeout_at(until, asked).await {
                Ok(Ok(Err(error))) => Status::from(error),
                Ok(Err(_)) => Status::from(BusError::Stopping),
                // The wish goes to a lamp that is given up all the same: it may be back.
                _ if self.hall.borrow().is_lost(place, now()) => Status::Unreachable,
                _ => Status::Success,
            };
            outcomes.insert(place, status);
        }
        outcomes
    }
}

/// Asks accessories behind the back of their reader.
pub(super) fn look(hall: &Rc<RefCell<Hall>>, asks: Vec<(usize, Behind)>) {
    let asked = now();
    let sent: Vec<_> = asks
        .into_iter()
        .filter_map(|(place, behind)| {
            let addr = hall.borrow().addr(place)?;
            let max_age = if behind == Behind::Look { Want::Since(asked) } else { Want::Any };
            Some((place, behind, ask(&addr, GetState { max_age }, BEHIND_WITHIN)))
        })
        .collect();
    if sent.is_empty() {
        return;
    }
    let hall = hall.clone();
    tokio::task::spawn_local(async move {
        for (place, behind, answer) in sent {
            let outcome = answer.await;
            if behind == Behind::Look {
                hall.borrow_mut().looked(place, &outcome, asked);
            }
        }
    });
}
