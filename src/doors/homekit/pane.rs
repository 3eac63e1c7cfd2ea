//! One controller at the first bridge, without a socket and without its cryptography. Pure.
//!
//! Through it the simulation looks: a judge outside of the crate decodes these bytes again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::{Query, Writes};
use super::events::told;
use super::hall::Hall;
use super::store::State;
use crate::actors::events::AccessoryId;
use crate::doors::{AccessoryFace, Cards};
use crate::policy::Moment;
use crate::policy::switch::{AccessoryState, Target};

/// Bytes that are the same in every run: nobody pairs here.
fn drawn(bytes: &mut [u8]) {
    bytes.iter_mut().zip(1..).for_each(|(byte, place)| *byte = place);
}

/// The bridge as one controller sees it.
pub struct Pane {
    hall: Hall,
    session: u64,
}

impl Pane {
    /// A bridge of these accessories with one controller, who watches nothing yet.
    pub fn new(faces: Vec<AccessoryFace>, now: Moment) -> Self {
        let (mut hall, _) = Hall::new("Home".into(), None, faces, State::new(drawn), drawn);
        let session = hall.enter(0, now).map_or(0, |(session, _)| session);
        Self { hall, session }
    }

    /// From now on the accessories are these.
    pub fn rehouse(&mut self, faces: Vec<AccessoryFace>) {
        self.hall.number(&faces);
        self.hall.rehouse(faces, Arc::<Cards>::default());
    }

    /// An accessory shows this.
    pub fn told(&mut self, id: AccessoryId, state: &AccessoryState, now: Moment) {
        self.hall.told(id.0 as usize, state, now);
    }

    /// The body of `/accessories`.
    pub fn accessories(&self) -> Vec<u8> {
        self.hall.database(0).json(&|place, source| self.hall.last_value(place, source))
    }

    /// The body of the next event; nothing when there is none, or it is too soon for it.
    pub fn events(&mut self, now: Moment) -> Option<Vec<u8>> {
        let changes = self.hall.take_events(self.session, now);
        (!changes.is_empty()).then(|| told(changes))
    }

    /// The body of the answer to a read of `/characteristics`; nothing when the query is malformed.
    pub fn read(&self, query: &str, now: Moment) -> Option<Vec<u8>> {
        let query = Query::parse(query).ok()?;
        let value = |place, source: &_| self.hall.value(place, source, now);
        query.answer(&self.hall.database(0), &value, &|_| false).body.map(|(_, body)| body)
    }

    /// What a write to `/characteristics` wants, by the places of the accessories; nothing when it is malformed. What
    /// it wants to be told is told from now on.
    pub fn write(&mut self, body: &[u8], now: Moment) -> Option<BTreeMap<usize, Target>> {
        let batch = Writes::parse(body).ok()?.plan(&self.hall.database(0), &mut None, now);
        for (key, watch) in batch.watch {
            let known = self
                .hall
                .database(0)
                .find(key.0, key.1)
                .and_then(|(member, own)| self.hall.last_value(member.place?, &own.source));
            let Some(seat) = self.hall.seat(self.session) else { continue };
            if watch { seat.subscriptions.add(key, known) } else { seat.subscriptions.remove(key) }
        }
        Some(batch.targets)
    }
}
