//! Another config while the daemon runs: what can be applied is, and the links stay up.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use log::{info, warn};
use tokio::sync::watch::{Receiver, Sender, channel};

use super::lamps::{Lamp, lamps};
use super::plans::Plans;
use super::{App, Audience, Peers, Rules, drain_one, told_points};
use crate::actors::cache::CachePlan;
use crate::actors::connection::LinkPlan;
use crate::actors::events::{AccessoryId, Name, PointChanged, Reconfigure};
use crate::actors::{Outlet, ask, now};
use crate::conbus::Point;
use crate::config::{Changes, Config, Module};
use crate::doors::{AccessoryCard, Cards, Reload, Reloads};
use crate::policy::BusError;

/// How long an actor may take to go on by another plan.
const RECONFIGURE_WITHIN: Duration = Duration::from_secs(2);

/// What the daemon runs by.
pub(super) struct Running {
    /// The config of the start.
    started: Rc<Config>,
    config: Rc<Config>,
    audience: Audience,
    rules: Rules,
    lamps: Vec<Lamp>,
    /// Places are never given twice.
    next_place: u32,
    modules: Sender<Vec<Module>>,
    last: Sender<Reload>,
}

/// By which a config is told from others: the same settings have the same, in whatever order and words they stand in the
/// file. What is secret is not printed, and so not in it.
fn hash_of(config: &Config) -> String {
    format!("{:08x}", crc32fast::hash(format!("{config:?}").as_bytes()))
}

impl Running {
    pub(super) fn new(config: &Config, audience: &Audience, rules: Rules, lamps: Vec<Lamp>) -> Self {
        let started = Rc::new(config.clone());
        Self {
            config: Rc::clone(&started),
            started,
            audience: audience.clone(),
            rules,
            next_place: lamps.iter().map(|lamp| lamp.face.place.0 + 1).max().unwrap_or(0),
            lamps,
            modules: channel(config.modules.clone()).0,
            last: channel(Reload { config_hash: hash_of(config), ..Reload::first(now()) }).0,
        }
    }

    /// The accessories of a config. Those that are the same to their actors keep their places.
    fn settle(&mut self, config: &Config) -> Vec<Lamp> {
        let known: BTreeMap<&str, &Lamp> =
            self.lamps.iter().map(|lamp| (lamp.face.id.as_str(), lamp)).collect();
        let mut next = self.next_place;
        let settled = lamps(config, |id, body| {
            let before = known.get(id).filter(|lamp| lamp.body == *body).map(|lamp| lamp.face.place);
            before.unwrap_or_else(|| {
                next += 1;
                AccessoryId(next - 1)
            })
        });
        self.next_place = next;
        settled
    }
}

impl App {
    /// The modules, also those of a later config: they are there when the roll tells of its accessories.
    pub(super) fn modules(&self) -> Receiver<Vec<Module>> {
        self.running.modules.subscribe()
    }

    /// How the config was read last.
    pub fn reloads(&self) -> Reloads {
        self.running.last.subscribe()
    }

    /// The config file has mistakes: everything stays as it is.
    pub fn reload_refused(&self, error: String) {
        self.running.last.send_modify(|last| {
            *last = Reload { at: now(), applied: Vec::new(), error: Some(error), ..last.clone() };
        });
    }

    /// Goes on by another config, without dropping a link; tells what of it was applied and what has to wait for the
    /// next start. The config that runs already changes nothing.
    pub async fn reload(&mut self, wanted: &Config) -> Reload {
        let Changes { config, applied, needs_restart } =
            Changes::between(&self.running.config, wanted, &self.running.started);
        for key in &applied {
            info!(target: "app", "reload applied=\"{key}\"");
        }
        for key in &needs_restart {
            warn!(target: "app", "reload: restart to apply it key=\"{key}\"");
        }
        let mut error = None;
        if !applied.is_empty() {
            error =
                self.apply(config).await.err().map(|error| format!("an actor does not follow: {error:?}"));
        }
        if let Some(error) = &error {
            warn!(target: "app", "reload is not complete, restart to apply it error=\"{error}\"");
        }
        let generation = self.running.last.borrow().generation + u64::from(!applied.is_empty());
        let config_hash = hash_of(&self.running.config);
        let reload = Reload { at: now(), generation, applied, needs_restart, config_hash, error };
        self.running.last.send_replace(reload.clone());
        reload
    }

    async fn apply(&mut self, config: Config) -> Result<(), BusError> {
        let plans = Plans::of(&config, &self.running.rules);
        let lamps = self.running.settle(&config);
        self.running.lamps = lamps;
        self.running.modules.send_replace(config.modules.clone());
        self.running.config = Rc::new(config);
        let (come, gone) = self.rehouse(&plans.gateways);
        // Who understands telegrams goes before who keeps what they say, and the poller, which asks, comes last.
        let heard = join(self.reconnect(&plans), self.reinstall(&plans)).await;
        let points = gone.iter().filter_map(|card| card.face.point).collect();
        let plan = CachePlan { store: plans.store(), modules: plans.store_modules(), gone: points, come };
        let kept = ask(&self.cache, Reconfigure(plan), RECONFIGURE_WITHIN).await;
        let polled = ask(&self.poller, Reconfigure(plans.poller(&[])), RECONFIGURE_WITHIN).await;
        let told =
            ask(&self.history, Reconfigure(plans.furniture(&self.running.lamps)), RECONFIGURE_WITHIN).await;
        join_all(gone.iter().map(|card| drain_one("accessory", &card.addr))).await;
        heard.0.and(heard.1).and(kept).and(polled).and(told)
    }

    /// Starts the accessories that are new and shows the doors the new list; gives those that are gone.
    fn rehouse(&mut self, gateways: &[Name]) -> (Vec<(Point, Outlet<PointChanged>)>, Vec<AccessoryCard>) {
        let old = Arc::clone(&self.cards.borrow());
        let known = (&self.cache, &self.poller);
        let peers = Peers::new(known, &self.connections, &self.running.audience, gateways);
        let mut come = Vec::new();
        let mut cards: Vec<AccessoryCard> = Vec::with_capacity(self.running.lamps.len());
        for lamp in &self.running.lamps {
            let card = if let Some(known) = old.at(lamp.face.place) {
                AccessoryCard { face: lamp.face.clone(), addr: known.addr.clone() }
            } else {
                let card = peers.start(lamp, &cards);
                come.extend(told_points(&card));
                card
            };
            cards.push(card);
        }
        self.accessories = cards.iter().filter_map(|card| card.addr.output().cloned()).collect();
        let cards = Arc::new(Cards::new(cards).kept_by(self.history.clone()));
        let gone = old.all().iter().filter(|card| cards.at(card.face.place).is_none()).cloned().collect();
        self.cards.send_replace(cards);
        (come, gone)
    }

    async fn reconnect(&self, plans: &Plans) -> Result<(), BusError> {
        let asked = self.connections.iter().enumerate().map(|(index, connection)| {
            let plan = LinkPlan { outbox: plans.outbox(index), bridge: plans.bridge(index) };
            ask(connection, Reconfigure(plan), RECONFIGURE_WITHIN)
        });
        join_all(asked).await.into_iter().collect()
    }

    async fn reinstall(&self, plans: &Plans) -> Result<(), BusError> {
        let asked =
            self.listeners.iter().enumerate().map(|(index, listener)| {
                ask(listener, Reconfigure(plans.installed(index)), RECONFIGURE_WITHIN)
            });
        join_all(asked).await.into_iter().collect()
    }
}
