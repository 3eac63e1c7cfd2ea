//! The sockets of the door: listens for each bridge, serves every connection as a task, and ends in order.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use log::{debug, info, warn};
use serde_json::Value as Json;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::announce::{Announcer, Scope};
use super::code::{CATEGORY, picture, setup_uri};
use super::hall::Hall;
use super::hub::Hub;
use super::keys::system_draw;
use super::routes::look;
use super::session;
use super::store::State;
use super::vault::{FileVault, Keeper, Vault};
use super::{HomeKitPlan, OpenError};
use crate::actors::now;
use crate::doors::{AccessoryFace, Roll};

/// How often silent accessories are looked after while somebody is connected, and modules while nobody is.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How long sessions may take to finish what they answer.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// What the kernel keeps for a controller that reads slowly: a full bridge's database twice over. Left to itself it keeps
/// megabytes for each stranger who asks and does not read.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// After an accept that failed, usually for want of open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// After a file that could not be written, usually for want of room on the disk.
const KEEP_AGAIN: Duration = Duration::from_secs(10);

/// Probes of a peer that may be gone without a word.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// A look at the modules, as the poller shows them.
pub type LookAtModules = Box<dyn Fn() -> LocalBoxFuture<'static, Option<Json>>>;

/// The HomeKit door, before and after it is open.
pub struct Door {
    hall: Rc<RefCell<Hall>>,
    vault: FileVault,
    scope: Scope,
    is_new: bool,
    listeners: Vec<TcpListener>,
    announcer: Option<Rc<Announcer>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Door {
    /// Reads what was kept, or begins anew, and takes the ports; nobody is let in yet.
    pub async fn prepare(plan: HomeKitPlan) -> Result<Self, OpenError> {
        let first = plan.listen;
        let mut door = Self::prepare_closed(plan)?;
        let bridges = door.hall.borrow().bridge_count();
        for bridge in 0..bridges {
            door.listeners.push(listen(first, bridge).await?);
        }
        Ok(door)
    }

    /// The same without the ports: for who only wants to know.
    pub fn prepare_closed(plan: HomeKitPlan) -> Result<Self, OpenError> {
        let vault = FileVault(plan.store.clone());
        let text = vault.load().map_err(|cause| OpenError::Store { path: plan.store.clone(), cause })?;
        let is_new = text.is_none();
        let state = match text {
            Some(text) => State::decode(&text)
                .map_err(|why| OpenError::Damaged { path: plan.store.clone(), why: why.to_string() })?,
            None => State::new(system_draw),
        };
        let code = plan.code.map(|code| code.0);
        let (hall, changed) = Hall::new(plan.name, code, plan.faces, state, system_draw);
        if changed || is_new {
            // Before anybody is told a number, it is kept.
            super::vault::replace(&plan.store, &hall.encoded())
                .map_err(|cause| OpenError::Store { path: plan.store, cause })?;
        }
        Ok(Self {
            hall: Rc::new(RefCell::new(hall)),
            vault,
            scope: Scope::new(plan.listen.ip(), plan.interface, plan.advertise),
            is_new,
            listeners: Vec::new(),
            announcer: None,
            tasks: Vec::new(),
        })
    }

    /// The actor that hears facts for this door; the app starts it.
    pub fn hub(&self) -> Hub {
        Hub { hall: self.hall.clone() }
    }

    /// Whether the state was made by this start, so that its owner has not seen the setup code.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// What an owner needs to pair each bridge: for a terminal, never for a log.
    pub fn setup_text(&self) -> String {
        setup_text(&self.hall.borrow())
    }

    /// Lets controllers in. From now on the accessories are those of `roll`.
    pub fn serve(&mut self, mut roll: Roll, modules: LookAtModules) {
        let keeper = Keeper::new(Box::new(FileVault(self.vault.0.clone())));
        let cards = Arc::clone(&roll.borrow_and_update());
        self.hall.borrow_mut().open(cards, keeper);
        self.announcer = Announcer::new(self.scope.clone()).map(Rc::new);
        for (bridge, listener) in std::mem::take(&mut self.listeners).into_iter().enumerate() {
            let name = self.hall.borrow().bridge_name(bridge);
            if let (Ok(address), Some(announcer)) = (listener.local_addr(), self.announcer.clone()) {
                info!(target: "homekit", "open bridge={name:?} address={address}");
                let announced = announcer.announce(self.hall.clone(), bridge, address);
                self.tasks.push(tokio::task::spawn_local(announced));
            }
            self.tasks.push(tokio::task::spawn_local(accept(listener, self.hall.clone(), bridge)));
        }
        self.tasks.push(tokio::task::spawn_local(follow(roll, self.hall.clone())));
        self.tasks.push(tokio::task::spawn_local(upkeep(self.hall.clone(), modules)));
    }

    /// Closes: no new connections, the sessions finish their answers, the announcement is taken back.
    pub async fn close(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
        self.hall.borrow_mut().close_all();
        if let Some(announcer) = self.announcer.take() {
            announcer.goodbye(&self.hall).await;
        }
        let ended = async {
            while self.hall.borrow().session_count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
            warn!(target: "homekit", "closed before every session had ended");
        }
    }
}

/// Takes the port of a bridge: consecutive ones, or any free one each when the first is free to choose.
async fn listen(first: SocketAddr, bridge: usize) -> Result<TcpListener, OpenError> {
    let mut address = first;
    if first.port() != 0 {
        let port = u16::try_from(bridge).ok().and_then(|offset| first.port().checked_add(offset));
        address.set_port(port.ok_or_else(|| OpenError::Listen {
            address,
            cause: io::Error::other("no port is left for the next bridge"),
        })?);
    }
    TcpListener::bind(address).await.map_err(|cause| OpenError::Listen { address, cause })
}

/// The setup codes of all bridges, as text and as pictures.
fn setup_text(hall: &Hall) -> String {
    let one = |bridge: usize| {
        let (code, kept) = (hall.code(bridge), hall.bridge(bridge));
        let uri = setup_uri(&code, &kept.setup_id, CATEGORY);
        let state = if kept.is_paired() { "paired" } else { "not paired" };
        format!("{} ({state})\n\n{}\n\n{uri}\n{code}\n", hall.bridge_name(bridge), picture(&uri))
    };
    (0..hall.bridge_count()).map(one).collect::<Vec<_>>().join("\n")
}

pub(super) async fn accept(listener: TcpListener, hall: Rc<RefCell<Hall>>, bridge: usize) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                debug!(target: "homekit", "connected peer={peer}");
                if let Err(error) = prepare(&stream) {
                    debug!(target: "homekit", "cannot set up a connection peer={peer}: {error}");
                }
                tokio::task::spawn_local(session::serve(stream, hall.clone(), bridge));
            }
            Err(error) => {
                warn!(target: "homekit", "cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_tcp_keepalive(&KEEP_ALIVE)
}

/// Takes every new list of the accessories. Before anybody is told a number, it is kept.
async fn follow(mut roll: Roll, hall: Rc<RefCell<Hall>>) {
    while roll.changed().await.is_ok() {
        let cards = Arc::clone(&roll.borrow_and_update());
        let faces: Vec<AccessoryFace> = cards.faces().cloned().collect();
        for id in hall.borrow_mut().number(&faces) {
            warn!(target: "homekit", "one more bridge is needed, restart to open it id={id}");
        }
        loop {
            let kept = hall.borrow().keep();
            let Err(error) = kept.await else { break };
            warn!(target: "homekit", "cannot keep the numbers, new accessories have to wait: {error}");
            tokio::time::sleep(KEEP_AGAIN).await;
        }
        if hall.borrow_mut().rehouse(faces, cards) {
            let kept = hall.borrow().keep();
            if let Err(error) = kept.await {
                warn!(target: "homekit", "cannot keep the number of the database: {error}");
            }
        }
    }
}

/// What is done now and then: silent accessories are looked after, and modules asked who they are.
async fn upkeep(hall: Rc<RefCell<Hall>>, modules: LookAtModules) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        if hall.borrow().session_count() > 0 {
            let silent = hall.borrow().silent();
            let asks = hall.borrow_mut().behind(&silent, now());
            look(&hall, asks);
        }
        let Some(picture) = modules().await else { continue };
        if hall.borrow_mut().note_modules(&reported(&picture)) {
            let kept = hall.borrow().keep();
            if let Err(error) = kept.await {
                warn!(target: "homekit", "cannot keep what the modules reported: {error}");
            }
        }
    }
}

/// Serial, type and version of each module that told them.
fn reported(picture: &Json) -> Vec<(String, Option<String>, Option<String>)> {
    let text = |module: &Json, key: &str| module[key].as_str().map(str::to_owned);
    let modules = picture["modules"].as_array().into_iter().flatten();
    modules
        .filter_map(|module| {
            let version = text(module, "software_version").and_then(|version| numbers(&version));
            Some((text(module, "serial")?, text(module, "reported_type"), version))
        })
        .collect()
}

/// `XP24_V0.34.03` as the protocol wants it: up to three numbers.
fn numbers(version: &str) -> Option<String> {
    let begin = version.rfind(['V', 'v']).map_or(0, |at| at + 1);
    let parts: Option<Vec<u32>> = version[begin..].split('.').take(3).map(|part| part.parse().ok()).collect();
    Some(parts?.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_become_numbers() {
        assert_eq!(numbers("XP24_V0.34.03").as_deref(), Some("0.34.3"));
        assert_eq!(numbers("XP33LED_V0.04.02").as_deref(), Some("0.4.2"));
        assert_eq!(numbers("1.2").as_deref(), Some("1.2"));
        assert_eq!(numbers("unknown"), None);
        assert_eq!(numbers(""), None);
    }

    #[test]
    fn modules_tell_who_they_are() {
        let picture = serde_json::json!({"modules": [
            {"serial": "0012345004", "reported_type": "XP24", "software_version": "XP24_V0.34.03"},
            {"serial": "0012345005", "reported_type": null, "software_version": null},
        ]});
        let told = reported(&picture);
        assert_eq!(told[0], ("0012345004".into(), Some("XP24".into()), Some("0.34.3".into())));
        assert_eq!(told[1], ("0012345005".into(), None, None));
        assert!(reported(&serde_json::json!({})).is_empty());
    }
}
