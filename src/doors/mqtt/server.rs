//! The connection of the door: dials the broker, says what the desk has to say, and asks accessories for it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::{StreamExt as _, stream};
use log::{debug, error, info, warn};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::desk::{Desk, Effect, Incoming};
use super::house::House;
use super::hub::Hub;
use super::ledger::Ledger;
use super::link::{BrokerDial, Dial, Heard, LinkError, Session, Will};
use super::requests::{Request, Verb};
use super::topics::Topics;
use super::{ModuleFace, MqttPlan, OpenError};
use crate::actors::accessory::AccessoryAddr;
use crate::actors::events::{AccessoryId, GetState, Identify, SetTarget};
use crate::actors::{ask, now};
use crate::doors::{Reloads, Roll};
use crate::policy::store::Want;
use crate::policy::switch::{Target, Until};
use crate::policy::{Backoff, BackoffPlan, Moment};
use crate::vault::{FileVault, Kept, Vault as _};

/// How often the modules are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long an accessory may take to take a wish, or to be read.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How many outputs are read at once when somebody wants all of them: the bus has its own queue behind.
const READS_AT_ONCE: usize = 8;

/// A broker that acknowledges nothing for this long is given up.
const STALL: Duration = Duration::from_secs(20);

/// How long the last words may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// The same complaint is a warning again after this long.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10 * 60);

/// By which an accessory knows wishes that came this way.
const CLIENT: u64 = u64::from_be_bytes(*b"mqttdoor");

/// A look at the modules as the poller shows them, with the pictures of the connections as `gateways` in their order.
pub type LookInside = Box<dyn Fn() -> LocalBoxFuture<'static, Option<Value>>>;

/// Reads the configuration again, as a hang-up signal does; tells what came of it.
pub type Reload = Box<dyn Fn() -> LocalBoxFuture<'static, Result<Value, String>>>;

/// What the door sees of the house behind it.
pub struct Inside {
    /// The accessories.
    pub roll: Roll,
    /// The modules as they are when the roll tells of its accessories.
    pub modules: Box<dyn Fn() -> Vec<ModuleFace>>,
    /// What is known of them, and of the links.
    pub look: LookInside,
    /// Reads the configuration again.
    pub reload: Reload,
    /// How that was done last.
    pub reloads: Reloads,
}

/// The MQTT door, before and after it is open.
pub struct Door {
    desk: Rc<RefCell<Desk>>,
    news: Rc<Notify>,
    plan: MqttPlan,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Door {
    /// Reads what was published before; nobody is dialled yet.
    pub fn prepare(plan: MqttPlan) -> Result<Self, OpenError> {
        let ledger = ledger(&plan)?;
        let instance = plan.instance.clone().unwrap_or_else(|| ledger.instance.clone());
        let topics = Topics { base: plan.base.clone(), prefix: plan.discovery_prefix.clone(), instance };
        let house = House::new(plan.gateways.clone()).furnished(plan.modules.clone(), Vec::new());
        let mut desk = Desk::new(topics, house, ledger, now());
        desk.name.clone_from(&plan.name);
        desk.page.clone_from(&plan.page);
        Ok(Self {
            desk: Rc::new(RefCell::new(desk)),
            news: Rc::new(Notify::new()),
            plan,
            stop: watch::channel(false).0,
            tasks: Vec::new(),
        })
    }

    /// The actor that hears facts for this door; the app starts it.
    pub fn hub(&self) -> Hub {
        Hub { desk: self.desk.clone(), news: self.news.clone() }
    }

    /// Dials the broker, and goes on doing so.
    pub fn serve(&mut self, inside: Inside) {
        let Inside { roll, modules, look, reload, reloads } = inside;
        let topics = self.desk.borrow().topics.clone();
        let dial = BrokerDial {
            plan: self.plan.broker.clone(),
            client: format!("conbusd-{}", topics.instance),
            will: Some(Will { topic: topics.state(), payload: "offline", delay: self.plan.will_delay }),
        };
        let attendant = Attendant {
            desk: self.desk.clone(),
            news: self.news.clone(),
            roll: roll.clone(),
            modules,
            vault: FileVault::new(self.plan.store.clone()),
            reload: Rc::new(reload),
            broker: format!("{}:{}", self.plan.broker.host, self.plan.broker.port),
            stop: self.stop.subscribe(),
            grumble: Grumble::default(),
        };
        let follow = follow(self.desk.clone(), self.news.clone(), reloads);
        let upkeep = upkeep(self.desk.clone(), self.news.clone(), roll, look);
        self.tasks = vec![
            tokio::task::spawn_local(attendant.attend(Box::new(dial))),
            tokio::task::spawn_local(upkeep),
            tokio::task::spawn_local(follow),
        ];
    }

    /// Obeys nothing any more, and says good-bye to the broker.
    pub fn refuse(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until that is said, for a second at most.
    pub async fn close(&mut self) {
        self.refuse();
        let mut tasks = self.tasks.drain(..);
        if let Some(attendant) = tasks.next() {
            let abort = attendant.abort_handle();
            if tokio::time::timeout(CLOSE_WITHIN + CLOSE_WITHIN, attendant).await.is_err() {
                warn!(target: "mqtt", "closed before the broker had heard it");
                abort.abort();
            }
        }
        tasks.for_each(|task| task.abort());
    }
}

/// What was published before, by the file; a file that cannot be read is put aside, and ghosts may stay.
fn ledger(plan: &MqttPlan) -> Result<Ledger, OpenError> {
    let vault = FileVault::new(plan.store.clone());
    let failed = |cause| OpenError::Ledger { path: plan.store.clone(), cause };
    let fresh = || Ledger::new(format!("c{:08x}", fastrand::u32(..)));
    let Some(text) = vault.load().map_err(failed)? else { return Ok(fresh()) };
    match Ledger::decode(&text) {
        Ok(ledger) => Ok(ledger),
        Err(why) => {
            let aside = vault.set_aside(Kept::Last).map_err(failed)?;
            warn!(target: "mqtt", "the list of topics cannot be read, topics that are gone may stay at the broker \
                why=\"{why}\" aside={aside}");
            Ok(fresh())
        }
    }
}

/// Says a complaint once, and again after a while.
#[derive(Debug, Default)]
struct Grumble {
    last: Option<(String, Moment)>,
}

impl Grumble {
    /// Whether it is to be said aloud.
    fn is_news(&mut self, what: &str) -> bool {
        let at = now();
        let known = self.last.as_ref();
        if known.is_some_and(|(said, when)| said == what && at.since(*when) < COMPLAIN_EVERY) {
            return false;
        }
        self.last = Some((what.to_owned(), at));
        true
    }
}

/// How a session ended.
enum End {
    /// The broker went, after this long.
    Lost(LinkError, Option<Duration>),
    /// Another daemon has one of the gateways.
    Clash { gateway: String, instance: String },
    /// The daemon ends.
    Stopped,
}

/// Who speaks with the broker.
struct Attendant {
    desk: Rc<RefCell<Desk>>,
    news: Rc<Notify>,
    roll: Roll,
    modules: Box<dyn Fn() -> Vec<ModuleFace>>,
    vault: FileVault,
    reload: Rc<Reload>,
    broker: String,
    stop: watch::Receiver<bool>,
    grumble: Grumble,
}

impl Attendant {
    async fn attend(mut self, dial: Box<dyn Dial>) {
        let mut backoff = Backoff::new(BackoffPlan::gateway());
        while !*self.stop.borrow() {
            // While it is away from the broker nothing comes of it but that the desk knows.
            let _ = self.rehoused();
            let end = self.session(&*dial).await;
            self.desk.borrow_mut().lost();
            match end {
                End::Stopped => return,
                End::Lost(why, up_for) => {
                    match up_for {
                        Some(up_for) => backoff.link_was_up(up_for),
                        None => backoff.failed(),
                    }
                    let what = if up_for.is_some() { "lost the broker" } else { "cannot connect" };
                    let text = format!("{what} broker={} why=\"{why}\"", self.broker);
                    if self.grumble.is_news(&text) {
                        warn!(target: "mqtt", "{text}");
                    } else {
                        debug!(target: "mqtt", "{text}");
                    }
                }
                End::Clash { gateway, instance } => {
                    backoff.failed();
                    let text = format!(
                        "the door stays closed: the daemon `{instance}` has a gateway `{gateway}` at this broker; \
                         give one of them another gateway id, or another `base`"
                    );
                    if self.grumble.is_news(&text) {
                        error!(target: "mqtt", "{text}");
                    }
                }
            }
            let delay = backoff.delay(fastrand::u64(..));
            tokio::select! {
                biased;
                _ = self.stop.changed() => {}
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// One connection, from the dial to its end.
    async fn session(&mut self, dial: &dyn Dial) -> End {
        let dialled = tokio::select! {
            biased;
            _ = self.stop.changed() => return End::Stopped,
            dialled = dial.dial() => dialled,
        };
        let mut session = match dialled {
            Ok(session) => session,
            Err(why) => return End::Lost(why, None),
        };
        let since = now();
        let filters = {
            let mut desk = self.desk.borrow_mut();
            desk.arrived();
            desk.topics.subscriptions(desk.house.gateways())
        };
        let lost = |why| End::Lost(why, Some(now().since(since)));
        if let Err(why) = session.subscribe(filters) {
            return lost(why);
        }
        match self.speak(&mut *session).await {
            Ok(End::Lost(why, _)) | Err(why) => lost(why),
            Ok(end) => {
                session.leave().await;
                end
            }
        }
    }

    async fn speak(&mut self, session: &mut dyn Session) -> Result<End, LinkError> {
        // A sign of life from the broker; when to leave at last, and how that is told.
        let (mut heard_at, mut leave_at) = (now(), None);
        let mut end = End::Stopped;
        loop {
            while let Some(message) = self.next() {
                session.publish(message)?;
            }
            let (due, is_waiting, has_more) = {
                let desk = self.desk.borrow();
                (desk.deadline(), desk.board.is_waiting(), desk.has_last_words())
            };
            if leave_at.is_some_and(|at| !has_more || now() >= at) {
                return Ok(end);
            }
            let stalled = is_waiting.then(|| heard_at + STALL);
            let wake = [due, stalled, leave_at].into_iter().flatten().min();
            let effects = tokio::select! {
                biased;
                _ = self.stop.changed(), if leave_at.is_none() => {
                    self.desk.borrow_mut().close();
                    end = End::Stopped;
                    leave_at = Some(now() + CLOSE_WITHIN);
                    Vec::new()
                }
                heard = session.next() => {
                    heard_at = now();
                    self.heard(heard?)
                }
                () = self.news.notified() => Vec::new(),
                () = changed(&mut self.roll) => self.rehoused(),
                () = until(wake) => {
                    if stalled.is_some_and(|at| now() >= at) {
                        return Err(LinkError::Gone(format!("nothing was acknowledged for {STALL:?}")));
                    }
                    self.desk.borrow_mut().tick(now())
                }
            };
            if !is_waiting {
                heard_at = now();
            }
            for effect in effects {
                if let Effect::Leave { gateway, instance } = effect {
                    end = End::Clash { gateway, instance };
                    leave_at = Some(now() + CLOSE_WITHIN);
                } else {
                    self.perform(effect).await;
                }
            }
        }
    }

    fn rehoused(&mut self) -> Vec<Effect> {
        let lamps = self.roll.borrow_and_update().faces().cloned().collect();
        self.desk.borrow_mut().rehouse((self.modules)(), lamps, now())
    }

    fn address(&self, place: AccessoryId) -> Option<AccessoryAddr> {
        self.roll.borrow().at(place).map(|card| card.addr.clone())
    }

    fn next(&self) -> Option<super::board::Message> {
        self.desk.borrow_mut().next()
    }

    fn heard(&mut self, heard: Heard) -> Vec<Effect> {
        let mut desk = self.desk.borrow_mut();
        match heard {
            Heard::Message { topic, payload, retained } => {
                desk.heard(Incoming { topic: &topic, payload: &payload, retained }, now())
            }
            Heard::Acknowledged => desk.acknowledged().into_iter().collect(),
            Heard::Listening => {
                info!(target: "mqtt", "connected broker={} instance={}", self.broker, desk.topics.instance);
                desk.connected(now());
                Vec::new()
            }
        }
    }

    /// Does what the desk wants.
    async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Keep(text) => {
                if let Err(error) = self.vault.save(text).await {
                    warn!(target: "mqtt", "cannot keep the list of topics: {error}");
                }
            }
            Effect::Wish(place, target) => self.wish(place, target),
            Effect::Do(request) => self.answer(request),
            Effect::Refused(why) => {
                if self.grumble.is_news(&why) {
                    warn!(target: "mqtt", "refused: {why}");
                } else {
                    debug!(target: "mqtt", "refused: {why}");
                }
            }
            // Whoever speaks with the broker does that.
            Effect::Leave { .. } => {}
        }
    }

    /// Tells an accessory what is wanted, and then what was wanted meanwhile.
    fn wish(&self, place: AccessoryId, target: Target) {
        let (desk, news) = (self.desk.clone(), self.news.clone());
        let cards = Arc::clone(&self.roll.borrow());
        tokio::task::spawn_local(async move {
            let mut target = target;
            loop {
                let outcome = match cards.at(place) {
                    Some(card) => {
                        let wish = SetTarget { target, until: Until::Accepted, client: CLIENT };
                        cards.wish(card, "mqtt".into(), wish, ANSWER_WITHIN).await.map(|_| ())
                    }
                    None => Ok(()),
                };
                if let Err(error) = outcome {
                    debug!(target: "mqtt", "a command was not taken accessory={} error={error:?}", place.0);
                }
                let next = desk.borrow_mut().wished(place, outcome.is_ok());
                news.notify_one();
                match next {
                    Some(Effect::Wish(_, newer)) => target = newer,
                    _ => return,
                }
            }
        });
    }

    fn answer(&self, request: Request) {
        let (desk, news) = (self.desk.clone(), self.news.clone());
        let doing: LocalBoxFuture<'static, Result<Value, String>> = match request.verb {
            Verb::Refresh => {
                // A group is its members, and a scene shows nothing that could be read.
                let cards = Arc::clone(&self.roll.borrow());
                let outputs = cards.all().iter().filter(|card| card.face.point.is_some());
                Box::pin(refreshed(outputs.map(|card| card.addr.clone()).collect()))
            }
            Verb::Identify(place) => Box::pin(identified(self.address(place))),
            Verb::Reload => (self.reload)(),
        };
        tokio::task::spawn_local(async move {
            let outcome = doing.await;
            desk.borrow_mut().answer(request, outcome);
            news.notify_one();
        });
    }
}

/// Waits for the next list of accessories; for ever when there will be none.
async fn changed(roll: &mut Roll) {
    if roll.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn until(at: Option<Moment>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(now())).await,
        None => std::future::pending().await,
    }
}

async fn refreshed(addresses: Vec<AccessoryAddr>) -> Result<Value, String> {
    let want = Want::Since(now());
    let reads = addresses.iter().map(|addr| ask(addr, GetState { max_age: want }, ANSWER_WITHIN));
    let outcomes: Vec<bool> =
        stream::iter(reads).buffer_unordered(READS_AT_ONCE).map(|outcome| outcome.is_ok()).collect().await;
    let read = outcomes.iter().filter(|is_read| **is_read).count();
    Ok(json!({"read": read, "failed": outcomes.len() - read}))
}

async fn identified(addr: Option<AccessoryAddr>) -> Result<Value, String> {
    let addr = addr.ok_or("there is no such accessory")?;
    match ask(&addr, Identify, ANSWER_WITHIN).await {
        Ok(_) => Ok(json!({})),
        Err(error) => Err(error.to_string()),
    }
}

/// Tells the desk by which config the daemon runs.
async fn follow(desk: Rc<RefCell<Desk>>, news: Rc<Notify>, mut reloads: Reloads) {
    loop {
        desk.borrow_mut().reloaded(&reloads.borrow_and_update());
        news.notify_one();
        if reloads.changed().await.is_err() {
            return;
        }
    }
}

/// Looks at the modules now and then, and asks those that are silent whether they are there.
async fn upkeep(desk: Rc<RefCell<Desk>>, news: Rc<Notify>, roll: Roll, look: LookInside) {
    loop {
        if let Some(picture) = look().await {
            let asked = desk.borrow_mut().looked(&picture, now());
            news.notify_one();
            for place in asked {
                let addr = roll.borrow().at(place).map(|card| card.addr.clone());
                if let Some(addr) = addr {
                    // What comes of it is seen at the next look.
                    let _ = ask(&addr, GetState { max_age: Want::Since(now()) }, ANSWER_WITHIN).await;
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
