//! The actor that hears the facts for this door and fans them out to the event streams.
//!
//! Hears: [`AccessoryChanged`] (accessories), [`LinkChanged`] (connections), [`TelegramSeen`] (listeners). Tells
//! nobody: the streams follow at their own pace, and what one is too slow for is lost for that one alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{Actor, ActorContext, Context, Handler};
use tokio::sync::{broadcast, watch};

use crate::actors::events::{
    AccessoryChanged, AccessoryId, Drain, LinkChanged, LinkState, Measure, Observe, TelegramSeen,
};
use crate::policy::BusError;
use crate::policy::figures::{Sheet, names};
use crate::policy::switch::AccessoryState;

/// A storm's 200 telegrams between two turns, and every accessory of a large site; what finds no room is told again.
const MAILBOX: usize = 1024;

/// What a stream may be behind: every output of a large house at once. Beyond it, it is given the list again.
const NEWS_KEPT: usize = 1024;

/// Telegrams that a stream may be behind: ten seconds of a busy bus.
const TELEGRAMS_KEPT: usize = 256;

/// A change that every stream tells.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// An accessory shows something else.
    Accessory(AccessoryId, AccessoryState),
    /// The link of the gateway at this place of the config came up or went down.
    Link(usize, LinkState),
}

/// The state of every link that was heard of, by the place of its gateway in the config.
pub(super) type Links = BTreeMap<usize, LinkState>;

/// The actor. See the module.
pub struct Hub {
    news: broadcast::Sender<News>,
    telegrams: broadcast::Sender<Arc<TelegramSeen>>,
    links: watch::Sender<Links>,
    accessory_changes: u64,
    link_changes: u64,
    telegrams_seen: u64,
}

/// Where the event streams hear of changes.
#[derive(Clone, Debug)]
pub struct Feed {
    news: broadcast::Sender<News>,
    telegrams: broadcast::Sender<Arc<TelegramSeen>>,
    links: watch::Receiver<Links>,
}

/// The actor that hears the facts, to be started before those that tell them, and what it feeds.
pub fn hub() -> (Hub, Feed) {
    let (news, _) = broadcast::channel(NEWS_KEPT);
    let (telegrams, _) = broadcast::channel(TELEGRAMS_KEPT);
    let (links, heard) = watch::channel(Links::new());
    let feed = Feed { news: news.clone(), telegrams: telegrams.clone(), links: heard };
    (Hub { news, telegrams, links, accessory_changes: 0, link_changes: 0, telegrams_seen: 0 }, feed)
}

impl Feed {
    pub(super) fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    pub(super) fn telegrams(&self) -> broadcast::Receiver<Arc<TelegramSeen>> {
        self.telegrams.subscribe()
    }

    pub(super) fn links(&self) -> Links {
        self.links.borrow().clone()
    }
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<AccessoryChanged> for Hub {
    type Result = ();

    fn handle(&mut self, changed: AccessoryChanged, _: &mut Context<Self>) {
        self.accessory_changes += 1;
        // An error says that nobody follows.
        let _ = self.news.send(News::Accessory(changed.id, changed.state));
    }
}

impl Handler<LinkChanged> for Hub {
    type Result = ();

    fn handle(&mut self, changed: LinkChanged, _: &mut Context<Self>) {
        self.link_changes += 1;
        let gateway = usize::from(changed.gateway.0);
        self.links.send_modify(|links| {
            links.insert(gateway, changed.state);
        });
        let _ = self.news.send(News::Link(gateway, changed.state));
    }
}

impl Handler<TelegramSeen> for Hub {
    type Result = ();

    fn handle(&mut self, seen: TelegramSeen, _: &mut Context<Self>) {
        self.telegrams_seen += 1;
        if self.telegrams.receiver_count() > 0 {
            let _ = self.telegrams.send(Arc::new(seen));
        }
    }
}

impl Handler<Observe> for Hub {
    type Result = Result<serde_json::Value, BusError>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        Ok(serde_json::json!({
            "event_streams": self.news.receiver_count(),
            "accessory_changes_total": self.accessory_changes,
            "link_changes_total": self.link_changes,
            "telegrams_seen_total": self.telegrams_seen,
        }))
    }
}

impl Handler<Measure> for Hub {
    type Result = Result<Sheet, BusError>;

    fn handle(&mut self, _: Measure, _: &mut Context<Self>) -> Self::Result {
        let mut sheet = Sheet::default();
        sheet.level(&names::HTTP_STREAMS, &[], self.news.receiver_count() as f64);
        Ok(sheet)
    }
}

impl Handler<Drain> for Hub {
    type Result = Result<(), BusError>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        ctx.stop();
        Ok(())
    }
}
