//! Wiring: the only place that starts actors and hands out their addresses.
//!
//! Translates the configuration into the plain settings of the policies, so that no actor knows the config, and
//! owns the order in which everything stops.

mod doors;
pub mod fleet;
pub mod homekit;
mod lamps;
pub mod logging;
mod mqtt;
pub mod mux;
mod plans;
mod reload;
pub mod restore;
pub mod run;
#[cfg(debug_assertions)]
mod sabotage;
mod walls;
pub mod watch;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Recipient, Supervisor};
use futures_util::future::join_all;
use log::{debug, warn};
use tokio::sync::watch::{Sender, channel};

use self::lamps::{Body, Lamp, first_lamps};
use self::plans::Plans;
use self::reload::Running;
use crate::actors::accessory::{Accessory, AccessoryAddr, AccessoryOutlets, AccessoryPeers, AccessoryPlan};
use crate::actors::cache::Cache;
use crate::actors::connection::{Connection, ConnectionFacts, ConnectionPlan};
use crate::actors::ensemble::{Ensemble, EnsemblePlan, Part, Role};
use crate::actors::events::{
    AccessoryChanged, AccessoryId, ButtonPressed, Drain, LinkChanged, Name, PointChanged, TelegramSeen,
};
use crate::actors::history::History;
use crate::actors::keeper::{Keeper, KeeperPlan};
use crate::actors::listener::{Listener, ListenerFacts, ListenerPlan};
use crate::actors::poller::{Poller, PollerPlan};
use crate::actors::{Asks, Outlet, ask};
use crate::conbus::{Point, SerialNumber};
use crate::config::Config;
use crate::doors::{AccessoryCard, Cards, Roll};
use crate::policy::history::HistoryPlan;
use crate::policy::interpret::Attribution;
use crate::policy::outbox::OutboxPlan;
use crate::policy::settle::Settle;
use crate::policy::{BackoffPlan, BusError, GatewayId, LivenessPlan, Snapshot, StormPlan};
use crate::transport::Dial;

/// How long one step of the drain may take before it is passed over.
const DRAIN_STEP: Duration = Duration::from_millis(1500);

/// Who wants to hear facts: the doors, or the probes of a test.
#[derive(Clone, Default)]
pub struct Audience {
    /// What accessories show.
    pub accessories: Vec<Recipient<AccessoryChanged>>,
    /// Links that come up and go down.
    pub links: Vec<Recipient<LinkChanged>>,
    /// Buttons.
    pub buttons: Vec<Recipient<ButtonPressed>>,
    /// Every telegram.
    pub telegrams: Vec<Recipient<TelegramSeen>>,
}

impl Audience {
    /// These and the history: of keys it hears by their telegrams, which tell who sent them.
    fn with(&self, history: &Addr<History>) -> Self {
        let mut all = self.clone();
        all.accessories.push(history.clone().recipient());
        all.telegrams.push(history.clone().recipient());
        all
    }
}

/// The running actors.
pub struct App {
    /// Those that stand for an output, in the order of the config.
    pub accessories: Vec<Addr<Accessory>>,
    /// All of them, with groups and scenes, as the doors see them.
    cards: Sender<Arc<Cards>>,
    running: Running,
    /// In the order of the gateways.
    pub connections: Vec<Addr<Connection>>,
    /// In the order of the gateways.
    pub listeners: Vec<Addr<Listener>>,
    /// The cache.
    pub cache: Addr<Cache>,
    /// The poller.
    pub poller: Addr<Poller>,
    /// The keeper, when state is kept.
    pub keeper: Option<Addr<Keeper>>,
    /// What happened.
    pub history: Addr<History>,
}

/// What was measured or proven, not configured.
///
/// The defaults serve every house; the simulation shows that each of them is needed by taking it away.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// When a reply may enter the cache.
    pub settle: Settle,
    /// How the bus is spoken to; what the config tells of single modules is added.
    pub outbox: OutboxPlan,
    /// Which query a reply is taken to belong to.
    pub attribution: Attribution,
}

/// How a house begins.
#[derive(Default)]
pub struct Beginning {
    /// Spreads the back-off.
    pub seed: u64,
    /// The times.
    pub rules: Rules,
    /// What was known before a restart.
    pub restored: Snapshot,
    /// Where it is kept for the next one; nowhere when absent.
    pub keeper: Option<KeeperPlan>,
}

/// Starts every actor. `dials` leads to the gateways in their order; `seed` spreads the back-off.
pub fn assemble(config: &Config, dials: Vec<Box<dyn Dial>>, audience: &Audience, seed: u64) -> App {
    assemble_by(config, dials, audience, seed, &Rules::default())
}

/// Starts every actor with other times than the usual ones.
pub fn assemble_by(
    config: &Config,
    dials: Vec<Box<dyn Dial>>,
    audience: &Audience,
    seed: u64,
    rules: &Rules,
) -> App {
    let rules = rules.clone();
    assemble_from(config, dials, audience, Beginning { seed, rules, ..Beginning::default() })
}

/// Starts every actor in a house that may have been running before.
pub fn assemble_from(
    config: &Config,
    dials: Vec<Box<dyn Dial>>,
    audience: &Audience,
    beginning: Beginning,
) -> App {
    let Beginning { seed, rules, restored, keeper } = beginning;
    let plans = Plans::of(config, &rules);
    let lamps = first_lamps(config);
    let history = History::new(HistoryPlan::new(plans.furniture(&lamps))).start();
    let audience = &audience.with(&history);
    // Mutually known actors: first their addresses, then the actors themselves.
    let cache_context = Context::<Cache>::new();
    let poller_context = Context::<Poller>::new();
    let (cache, poller) = (cache_context.address(), poller_context.address());
    let listener_contexts: Vec<Context<Listener>> = dials.iter().map(|_| Context::new()).collect();
    let listeners: Vec<Addr<Listener>> = listener_contexts.iter().map(AsyncContext::address).collect();

    let connections: Vec<Addr<Connection>> = dials
        .into_iter()
        .enumerate()
        .map(|(index, dial)| {
            let plan = plans.connection(index, seed);
            let facts = connection_facts(&listeners[index], &cache, &poller, audience);
            Supervisor::start(move |_| Connection::new(plan, dial, facts))
        })
        .collect();
    for (index, context) in listener_contexts.into_iter().enumerate() {
        let facts = listener_facts(&cache, &poller, audience);
        context.run(Listener::new(plans.listener(index), facts));
    }
    let peers = Peers::new((&cache, &poller), &connections, audience, &plans.gateways);
    let mut cards: Vec<AccessoryCard> = Vec::with_capacity(lamps.len());
    for lamp in &lamps {
        cards.push(peers.start(lamp, &cards));
    }
    let outlets: HashMap<_, _> = cards.iter().filter_map(told_points).collect();
    let (store, modules) = (plans.store(), plans.store_modules());
    cache_context.run(Cache::new(store, modules, restored.outputs, connections.clone(), outlets));
    let refresh = Outlet::new(cache.clone().recipient());
    let poll = plans.poller(&restored.used);
    poller_context.run(Poller::new(poll, plans.gateways, connections.clone(), refresh));
    let keeper = keeper.map(|plan| Keeper::new(plan, cache.clone(), poller.clone()).start());
    let accessories = cards.iter().filter_map(|card| card.addr.output().cloned()).collect();
    let (cards, _) = channel(Arc::new(Cards::new(cards).kept_by(history.clone())));
    let running = Running::new(config, audience, rules, lamps);
    App { accessories, cards, running, connections, listeners, cache, poller, keeper, history }
}

/// Whom every accessory talks to.
struct Peers<'a> {
    cache: &'a Addr<Cache>,
    connections: &'a [Addr<Connection>],
    audience: &'a Audience,
    /// What the accessories of each gateway share.
    shared: Vec<Rc<AccessoryPeers>>,
}

impl<'a> Peers<'a> {
    fn new(
        (cache, poller): (&'a Addr<Cache>, &'a Addr<Poller>),
        connections: &'a [Addr<Connection>],
        audience: &'a Audience,
        gateways: &[Name],
    ) -> Self {
        let of_gateway = |(connection, gateway): (&Addr<Connection>, &Name)| {
            let outlets = AccessoryOutlets {
                poller: Outlet::new(poller.clone().recipient()),
                invalidate: Outlet::new(cache.clone().recipient()),
                doors: outlets(&audience.accessories),
            };
            Rc::new(AccessoryPeers {
                gateway: gateway.clone(),
                cache: cache.clone(),
                connection: connection.clone(),
                outlets: RefCell::new(outlets),
            })
        };
        let shared = connections.iter().zip(gateways).map(of_gateway).collect();
        Self { cache, connections, audience, shared }
    }

    /// Starts what is behind a lamp; the accessories that a group or scene speaks of are among `cards`.
    fn start(&self, lamp: &Lamp, cards: &[AccessoryCard]) -> AccessoryCard {
        let Lamp { face, body } = lamp.clone();
        let (id, name) = (face.place, Name::from(face.id.as_str()));
        let role = match body {
            Body::Output { switch, gateway } => {
                let peers = Rc::clone(&self.shared[usize::from(gateway.0)]);
                let addr = Accessory::new(AccessoryPlan { id, name, switch }, peers).start();
                return AccessoryCard { face, addr: AccessoryAddr::Output(addr) };
            }
            Body::Group(members) => {
                let part = |(id, dims)| Some(Part { id, dims, addr: member(cards, id)? });
                Role::Group(members.into_iter().filter_map(part).collect())
            }
            Body::Scene(steps) => Role::Scene(
                steps.into_iter().filter_map(|(id, target)| Some((member(cards, id)?, target))).collect(),
            ),
            Body::Event { input, gateway, drives } => Role::Event {
                connection: self.connections[usize::from(gateway.0)].clone(),
                input,
                drives,
                invalidate: Outlet::new(self.cache.clone().recipient()),
            },
        };
        let doors = outlets(&self.audience.accessories);
        let addr = Ensemble::new(EnsemblePlan { id, name, role, doors }).start();
        AccessoryCard { face, addr: AccessoryAddr::Ensemble(addr) }
    }
}

fn member(cards: &[AccessoryCard], place: AccessoryId) -> Option<Addr<Accessory>> {
    cards.iter().find(|card| card.face.place == place)?.addr.output().cloned()
}

/// The output that a card stands for, and where its state is told.
fn told_points(card: &AccessoryCard) -> Option<(Point, Outlet<PointChanged>)> {
    Some((card.face.point?, Outlet::new(card.addr.output()?.clone().recipient())))
}

fn outlets<M>(recipients: &[Recipient<M>]) -> Vec<Outlet<M>>
where
    M: actix::Message + Send + 'static,
    M::Result: Send,
{
    recipients.iter().cloned().map(Outlet::new).collect()
}

fn connection_facts(
    listener: &Addr<Listener>,
    cache: &Addr<Cache>,
    poller: &Addr<Poller>,
    audience: &Audience,
) -> ConnectionFacts {
    // The cache before the poller: a warm-up must find the link up.
    let mut link =
        outlets(&[listener.clone().recipient(), cache.clone().recipient(), poller.clone().recipient()]);
    link.extend(outlets(&audience.links));
    ConnectionFacts {
        received: Outlet::new(listener.clone().recipient()),
        sent: Outlet::new(listener.clone().recipient()),
        ended: Outlet::new(listener.clone().recipient()),
        link,
        lost: outlets(&[cache.clone().recipient(), poller.clone().recipient()]),
    }
}

fn listener_facts(cache: &Addr<Cache>, poller: &Addr<Poller>, audience: &Audience) -> ListenerFacts {
    let mut button = vec![Outlet::new(poller.clone().recipient())];
    button.extend(outlets(&audience.buttons));
    ListenerFacts {
        observed: Outlet::new(cache.clone().recipient()),
        commanded: Outlet::new(cache.clone().recipient()),
        doubtful: Outlet::new(cache.clone().recipient()),
        invalidate: Outlet::new(cache.clone().recipient()),
        module: Outlet::new(poller.clone().recipient()),
        noted: Outlet::new(poller.clone().recipient()),
        storm: Outlet::new(poller.clone().recipient()),
        button,
        seen: outlets(&audience.telegrams),
        lost: outlets(&[cache.clone().recipient(), poller.clone().recipient()]),
    }
}

impl App {
    /// Where doors find the accessories, also those of a later config.
    pub fn roll(&self) -> Roll {
        self.cards.subscribe()
    }

    /// Stops the actors in order: the keeper writes what is known, accessories answer their writers, the poller
    /// stops, the cache answers its readers, connections write what they took and close, listeners end. The doors
    /// take nothing new by then, and close behind it.
    pub async fn drain(&self) {
        if let Some(keeper) = &self.keeper {
            drain_one("keeper", keeper).await;
        }
        let cards = Arc::clone(&self.cards.borrow());
        join_all(cards.all().iter().map(|card| drain_one("accessory", &card.addr))).await;
        drain_one("poller", &self.poller).await;
        drain_one("cache", &self.cache).await;
        // Together, as the accessories: those that do not answer must not add up.
        join_all(self.connections.iter().map(|connection| drain_one("connection", connection))).await;
        for listener in &self.listeners {
            drain_one("listener", listener).await;
        }
        drain_one("history", &self.history).await;
    }
}

async fn drain_one<A>(name: &str, actor: &A)
where
    A: Asks<Drain>,
    A::Asked: Future<Output = Result<(), BusError>>,
{
    match ask(actor, Drain, DRAIN_STEP).await {
        Ok(()) => debug!(target: "app", "drained actor={name}"),
        Err(error) => warn!(target: "app", "passed over while stopping actor={name} error={error:?}"),
    }
}

impl Plans {
    fn connection(&self, index: usize, seed: u64) -> ConnectionPlan {
        ConnectionPlan {
            gateway: GatewayId(index as u16),
            name: self.gateways[index].clone(),
            outbox: self.outbox(index),
            backoff: BackoffPlan::gateway(),
            liveness: LivenessPlan::default(),
            bridge: self.bridge(index),
            seed: seed.wrapping_add(index as u64),
        }
    }

    fn listener(&self, index: usize) -> ListenerPlan {
        ListenerPlan {
            gateway: GatewayId(index as u16),
            name: self.gateways[index].clone(),
            modules: self.installed(index),
            storm: StormPlan::default(),
            attribution: self.rules.attribution,
        }
    }

    fn poller(&self, used: &[SerialNumber]) -> PollerPlan {
        PollerPlan {
            schedule: self.schedule(),
            modules: self.schedule_modules(used),
            roster: self.roster(),
            diagnose_every: self.diagnose_every,
        }
    }
}
