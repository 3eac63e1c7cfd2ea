//! What every door is told of the accessories: the list that the app makes and replaces while the doors are open.
//!
//! A door keeps a [`Roll`], looks at the list that is current whenever it needs one, and may wait for the next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;

use crate::actors::accessory::AccessoryAddr;
use crate::actors::events::{AccessoryId, SetTarget, Wished};
use crate::actors::history::HistoryAddr;
use crate::actors::{Asks, ask, now};
use crate::conbus::{ModuleType, Point, SerialNumber};
use crate::policy::history::WishTold;
use crate::policy::switch::AccessoryState;
use crate::policy::{AccessoryKind, BusError};

/// How long a wish may wait for the history; its mailbox is on the way of nobody else.
const HISTORY_WITHIN: Duration = Duration::from_millis(100);

/// How many accessories are asked at one time. Each needs several blocks of memory until it has answered, two of some
/// sizes: the allocator has seven of each size at hand, and what is beyond them costs it a search.
const ASKED_AT_ONCE: usize = 3;

/// What is known of an accessory without asking it. None of it changes but by a new list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessoryFace {
    /// By which it tells its changes. It means this accessory for as long as the process lives, also after it is gone.
    pub place: AccessoryId,
    /// Its configured id, by which it is the same after a restart.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is; empty when that is not configured.
    pub room: String,
    /// What it is.
    pub kind: AccessoryKind,
    /// Whether it has a brightness.
    pub dims: bool,
    /// Its output; none of a group or a scene.
    pub point: Option<Point>,
    /// Whom a group passes its wishes on to, in the order of the config; nobody of anything else.
    pub members: Vec<AccessoryId>,
    /// The type of its module by the config.
    pub module_type: Option<ModuleType>,
}

impl AccessoryFace {
    /// Whether it is an output of this module.
    pub fn is_on(&self, serial: SerialNumber) -> bool {
        self.point.is_some_and(|point| point.serial == serial)
    }
}

/// An accessory as a door gets it.
#[derive(Clone, Debug)]
pub struct AccessoryCard {
    /// What is known without asking.
    pub face: Arc<AccessoryFace>,
    /// Whom to ask.
    pub addr: AccessoryAddr,
}

/// All accessories, in the order of the config.
#[derive(Debug, Default)]
pub struct Cards {
    all: Vec<AccessoryCard>,
    by_id: HashMap<String, usize>,
    by_place: HashMap<AccessoryId, usize>,
    history: Option<HistoryAddr>,
}

/// Where a door finds the current list, and waits for the next one.
pub type Roll = watch::Receiver<Arc<Cards>>;

impl Cards {
    /// The list of these.
    pub fn new(all: Vec<AccessoryCard>) -> Self {
        let by_id = all.iter().enumerate().map(|(at, card)| (card.face.id.clone(), at)).collect();
        let by_place = all.iter().enumerate().map(|(at, card)| (card.face.place, at)).collect();
        Self { all, by_id, by_place, history: None }
    }

    /// The same list, and who keeps what happens to them.
    #[must_use]
    pub fn kept_by(self, history: HistoryAddr) -> Self {
        Self { history: Some(history), ..self }
    }

    /// Who keeps what happens to them.
    pub fn history(&self) -> Option<&HistoryAddr> {
        self.history.as_ref()
    }

    /// Passes a wish on, and tells the history ahead of it who had it: `name` is for people.
    pub fn wish(
        &self,
        card: &AccessoryCard,
        name: String,
        set: SetTarget,
        within: Duration,
    ) -> impl Future<Output = Result<AccessoryState, BusError>> + use<> {
        let place = card.face.place.0;
        let SetTarget { target, client, .. } = set;
        let wish = WishTold { place, point: card.face.point, name, client, target };
        let told = self.history.as_ref().map(|history| ask(history, Wished { wish }, HISTORY_WITHIN));
        let asked = card.addr.clone();
        async move {
            if let Some(told) = told {
                // Whether it is noted or not, it is done.
                let _ = told.await;
            }
            ask(&asked, set, within).await
        }
    }

    /// All of them, in the order of the config.
    pub fn all(&self) -> &[AccessoryCard] {
        &self.all
    }

    /// Asks all of them the same, a few at a time; the answers come in the order of the config, `within` at most.
    pub async fn ask_all<M>(
        &self,
        message: M,
        within: Duration,
    ) -> Vec<<<AccessoryAddr as Asks<M>>::Asked as Future>::Output>
    where
        M: Clone,
        AccessoryAddr: Asks<M>,
        <AccessoryAddr as Asks<M>>::Asked: Future,
    {
        let until = now() + within;
        let mut answers = Vec::with_capacity(self.all.len());
        for few in self.all.chunks(ASKED_AT_ONCE) {
            let within = until.since(now());
            answers.extend(join_all(few.iter().map(|card| ask(&card.addr, message.clone(), within))).await);
        }
        answers
    }

    /// What is known of them without asking.
    pub fn faces(&self) -> impl Iterator<Item = &AccessoryFace> + Clone {
        self.all.iter().map(|card| &*card.face)
    }

    /// The accessory with this configured id.
    pub fn named(&self, id: &str) -> Option<&AccessoryCard> {
        self.by_id.get(id).map(|at| &self.all[*at])
    }

    /// The accessory that tells its changes by this place.
    pub fn at(&self, place: AccessoryId) -> Option<&AccessoryCard> {
        self.by_place.get(&place).map(|at| &self.all[*at])
    }
}
