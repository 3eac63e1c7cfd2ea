//! What this door says to a broker and hears from it, without a connection. Pure.
//!
//! Through it the simulation looks: a judge outside of the crate decodes these bytes again.

use super::ModuleFace;
use super::desk::{Desk, Effect, Incoming};
use super::house::House;
use super::ledger::Ledger;
use super::topics::Topics;
use crate::actors::events::AccessoryId;
use crate::doors::AccessoryFace;
use crate::policy::Moment;
use crate::policy::switch::{AccessoryState, Target};

/// What is wanted of whom.
pub type Wishes = Vec<(AccessoryId, Target)>;

/// The door with one gateway, called `home`, and `conbus` before every topic.
pub struct Pane {
    desk: Desk,
}

fn wishes(effects: impl IntoIterator<Item = Effect>) -> Wishes {
    let wish = |effect| if let Effect::Wish(place, target) = effect { Some((place, target)) } else { None };
    effects.into_iter().filter_map(wish).collect()
}

impl Pane {
    /// A door that has not met its broker yet.
    pub fn new(now: Moment) -> Self {
        let instance = String::from("simulation");
        let ledger = Ledger::new(instance.clone());
        let topics = Topics { base: "conbus".into(), prefix: "homeassistant".into(), instance };
        let house = House::new(vec!["home".into()]);
        Self { desk: Desk::new(topics, house, ledger, now) }
    }

    /// From now on the modules and accessories are these.
    pub fn rehouse(&mut self, modules: Vec<ModuleFace>, faces: Vec<AccessoryFace>, now: Moment) {
        self.desk.rehouse(modules, faces, now);
    }

    /// The broker is there and listens.
    pub fn connected(&mut self, now: Moment) {
        self.desk.arrived();
        self.desk.connected(now);
    }

    /// The broker is gone.
    pub fn lost(&mut self) {
        self.desk.lost();
    }

    /// An accessory shows this.
    pub fn told(&mut self, id: AccessoryId, state: AccessoryState) {
        self.desk.told(id, state);
    }

    /// The link of the gateway came up or went down.
    pub fn link(&mut self, is_up: bool) {
        self.desk.link(0, is_up);
    }

    /// What is due by now is said.
    pub fn tick(&mut self, now: Moment) {
        self.desk.tick(now);
    }

    /// The next message: its topic, its text, and whether the broker keeps it. It has arrived with the next call of
    /// [`Self::acknowledged`].
    pub fn say(&mut self) -> Option<(String, String, bool)> {
        self.desk.next().map(|message| (message.topic, message.payload, message.retained))
    }

    /// One message has arrived.
    pub fn acknowledged(&mut self) {
        self.desk.acknowledged();
    }

    /// Somebody says this now, and what it wants of whom.
    pub fn heard(&mut self, topic: &str, payload: &[u8], now: Moment) -> Wishes {
        wishes(self.desk.heard(Incoming { topic, payload, retained: false }, now))
    }

    /// An accessory took a wish, or did not; what it is to be told next.
    pub fn wished(&mut self, id: AccessoryId, is_taken: bool) -> Wishes {
        wishes(self.desk.wished(id, is_taken))
    }
}
