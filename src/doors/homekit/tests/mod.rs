//! Claims about whole sessions: a bridge and a controller in memory, on virtual time.

mod killed;
mod pairing;
mod phone;
mod sessions;
mod sockets;
mod wire;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use self::phone::Phone;
use super::hall::Hall;
use super::keys::system_draw;
use super::session;
use super::store::State;
use super::vault::{Keeper, MemoryVault};
use crate::actors::events::AccessoryId;
use crate::conbus::{ModuleType, OutputIndex, Percent, Point};
use crate::doors::AccessoryFace;
use crate::policy::switch::AccessoryState;
use crate::policy::{AccessoryKind, Freshness};

const CODE: &str = "271-82-818";

/// Runs a test on virtual time.
fn in_virtual_time<F: Future<Output = ()>>(test: F) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// A bridge with a light (2), a dimmer (3) and an outlet (4), all known and off.
struct Bridge {
    hall: Rc<RefCell<Hall>>,
    vault: MemoryVault,
}

fn face(place: u8, kind: AccessoryKind) -> AccessoryFace {
    let output = OutputIndex::new(place).unwrap();
    AccessoryFace {
        place: AccessoryId(u32::from(place)),
        id: format!("lamp{place}"),
        name: format!("Lamp {place}"),
        room: String::new(),
        kind,
        dims: kind == AccessoryKind::Dimmer,
        point: Some(Point { serial: "0012345004".parse().unwrap(), output }),
        members: Vec::new(),
        module_type: Some(ModuleType::XP24),
    }
}

fn state(on: bool, level: Option<u8>, freshness: Freshness) -> AccessoryState {
    let brightness = level.and_then(Percent::new);
    AccessoryState { on: Some(on), brightness, freshness, observed_at: None, origin: None }
}

impl Bridge {
    fn new() -> Self {
        Self::on(State::new(system_draw))
    }

    fn on(state: State) -> Self {
        let kinds = [AccessoryKind::Light, AccessoryKind::Dimmer, AccessoryKind::Outlet];
        let faces = kinds.iter().enumerate().map(|(place, kind)| face(place as u8, *kind)).collect();
        let (mut hall, _) = Hall::new("Home".into(), Some(CODE.into()), faces, state, system_draw);
        let vault = MemoryVault::default();
        hall.open(Arc::default(), Keeper::new(Box::new(vault.clone())));
        let bridge = Self { hall: Rc::new(RefCell::new(hall)), vault };
        for place in 0..3 {
            bridge.shows(place, false);
        }
        bridge
    }

    /// An accessory shows this, freshly seen.
    fn shows(&self, place: usize, on: bool) {
        let level = (place == 1).then_some(if on { 40 } else { 0 });
        self.tells(place, &state(on, level, Freshness::Fresh));
    }

    fn tells(&self, place: usize, state: &AccessoryState) {
        self.hall.borrow_mut().told(place, state, crate::actors::now());
    }

    /// A controller that has connected.
    fn connect(&self, name: &str) -> Phone {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::task::spawn_local(session::serve(ours, self.hall.clone(), 0));
        Phone::new(name, theirs)
    }

    /// A paired controller with a verified session.
    async fn paired(&self) -> Phone {
        let mut phone = self.connect("phone");
        phone.pair(CODE).await.unwrap();
        phone.verify().await.unwrap();
        phone
    }

    /// What is kept.
    fn kept(&self) -> State {
        State::decode(self.vault.0.borrow().as_ref().unwrap()).unwrap()
    }
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
