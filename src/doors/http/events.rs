//! The event stream: everything there is, then every change.
//!
//! A client that reads too slowly for the changes is given everything again; one that does not read at all is cut
//! off by its connection. Nothing queues here: what a stream says next is made when its client has room for it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream;
use log::debug;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::hub::News;
use super::json::{self, AccessoryObject, LinkObject, LostObject, TelegramObject};
use super::routes::{Site, Stage, listed, states};
use crate::actors::events::TelegramSeen;
use crate::actors::now;
use crate::conbus::describe_telegram;
use crate::doors::Roll;

/// What is said when nothing happens: it shows both ends that the connection lives.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// One client that follows.
pub(super) struct Follower {
    site: Arc<Site>,
    news: broadcast::Receiver<News>,
    telegrams: Option<broadcast::Receiver<Arc<TelegramSeen>>>,
    stage: watch::Receiver<Stage>,
    roll: Roll,
    /// Everything is to be told (again).
    opening: bool,
}

impl Follower {
    pub(super) fn new(site: Arc<Site>, with_telegrams: bool) -> Self {
        Self {
            news: site.feed.news(),
            telegrams: with_telegrams.then(|| site.feed.telegrams()),
            stage: site.stage.clone(),
            roll: site.house.roll.clone(),
            opening: true,
            site,
        }
    }

    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut follower| async move {
            let piece = follower.next().await?;
            Some((Ok::<_, Infallible>(piece), follower))
        }))
    }

    /// What is to be said next; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.opening) {
            return self.everything().await;
        }
        tokio::select! {
            biased;
            _ = self.stage.changed() => None,
            // An error says that there will be no other list.
            Ok(()) = self.roll.changed() => self.everything().await,
            heard = self.news.recv() => match heard {
                Ok(news) => Some(self.words_of(news)),
                Err(RecvError::Lagged(missed)) => {
                    debug!(target: "http", "a stream is too slow, told everything again missed={missed}");
                    self.news = self.news.resubscribe();
                    self.everything().await
                }
                Err(RecvError::Closed) => None,
            },
            heard = next_telegram(&mut self.telegrams) => match heard {
                Ok(seen) => Some(self.words_of_telegram(&seen)),
                Err(RecvError::Lagged(telegrams)) => Some(json::event("lost", &LostObject { telegrams })),
                Err(RecvError::Closed) => None,
            },
            () = tokio::time::sleep(self.site.limits.keep_alive) => Some(Bytes::from_static(KEEP_ALIVE)),
        }
    }

    /// The list of the accessories and the state of the links. Changes that come meanwhile are told behind it.
    async fn everything(&mut self) -> Option<Bytes> {
        let cards = Arc::clone(&self.roll.borrow_and_update());
        let states = states(&cards).await.ok()?;
        let mut words = Vec::from(json::all(&listed(&cards, &states)));
        for (gateway, state) in self.site.feed.links() {
            words.extend_from_slice(&self.words_of(News::Link(gateway, state)));
        }
        Some(words.into())
    }

    fn words_of(&self, news: News) -> Bytes {
        match news {
            News::Accessory(id, state) => self
                .roll
                .borrow()
                .at(id)
                .map(|card| json::changed(&AccessoryObject::new(&card.face, &state, now()))),
            News::Link(gateway, state) => self
                .site
                .gateway_name(gateway)
                .map(|gateway| json::event("link", &LinkObject { gateway, state })),
        }
        .unwrap_or_default()
    }

    fn words_of_telegram(&self, seen: &TelegramSeen) -> Bytes {
        let gateway = self.site.gateway_name(usize::from(seen.gateway.0)).unwrap_or_default();
        let description = describe_telegram(&seen.telegram);
        json::event("telegram", &TelegramObject { description, gateway, direction: seen.direction })
    }
}

async fn next_telegram(
    telegrams: &mut Option<broadcast::Receiver<Arc<TelegramSeen>>>,
) -> Result<Arc<TelegramSeen>, RecvError> {
    match telegrams {
        Some(telegrams) => telegrams.recv().await,
        None => std::future::pending().await,
    }
}
