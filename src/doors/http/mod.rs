//! The HTTP door: a JSON API, server-sent events, liveness and readiness, and a page for people.
//!
//! Owns its socket, its clients and the words of its contract. It knows accessories and asks them; it knows
//! nothing of datapoints, and whatever an actor tells of itself it passes on as it is.
//!
//! | file | what it does |
//! |---|---|
//! | `translate`, `json`, `pictures`, `status`, `metrics`, `gate`, `crowd`, `pulse` | decide, on values: bodies, objects, who, how long |
//! | `pane` | shows the words without a socket |
//! | `vitals` | what the kernel tells of the process |
//! | `routes`, `events`, `figures`, `history` | ask the accessories and word the answers |
//! | `document` | describes it all for programs |
//! | `page`, `beside` | the page and its files; what it shows and does beside accessories |
//! | `hub` | the actor that hears the facts and fans them out |
//! | `server`, `wire` | sockets, connections, the end |

mod beside;
mod crowd;
mod document;
mod events;
mod figures;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gate;
mod history;
mod hub;
mod json;
mod metrics;
mod page;
#[doc(hidden)]
pub mod pane;
mod pictures;
mod pulse;
mod routes;
mod server;
mod status;
mod translate;
mod vitals;
mod wire;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler};
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::actors::ask;
use crate::actors::events::{Measure, Observe};
use crate::doors::{Reloads, Roll};
use crate::policy::BusError;
use crate::policy::figures::Sheet;

pub use beside::{Beside, Deed, Key, Panel, Press};
pub use hub::{Feed, Hub, hub};
pub use routes::paths;
pub use server::{Door, serve};

/// What the door is built from.
#[derive(Clone, Debug)]
pub struct HttpPlan {
    /// Where it listens; loopback or not decides whether names in `Host` are checked.
    pub listen: SocketAddr,
    /// What a client has to know; needed beyond loopback.
    pub token: Option<Token>,
    /// What the installation is called.
    pub name: String,
    /// How much a client may take.
    pub limits: Limits,
}

/// A bearer token. It is never printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The token with this text.
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How much of the daemon one client may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once of one address.
    pub connections_per_address: usize,
    /// From the first byte of a request to the end of its header.
    pub head_within: Duration,
    /// From the header of a request to the end of its body.
    pub body_within: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// How long a client may leave what was sent to it unread.
    pub write_stall: Duration,
    /// Silence on an event stream before a comment is sent.
    pub keep_alive: Duration,
    /// What the kernel keeps for a client that reads slowly.
    pub send_buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Beyond it every client gets slower, and the process meets its limit of open files.
            connections: 512,
            // A browser with many tabs and 64 controllers behind one address, and headroom.
            connections_per_address: 128,
            head_within: Duration::from_secs(5),
            body_within: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            write_stall: Duration::from_secs(10),
            keep_alive: Duration::from_secs(15),
            // 512 clients that do not read hold 64 MiB of the kernel's memory at most.
            send_buffer_bytes: 128 * 1024,
        }
    }
}

/// A gateway as the door shows it.
pub struct GatewayCard {
    /// Its configured id.
    pub id: String,
    /// Where it is.
    pub address: String,
    /// Its connection.
    pub connection: Observed,
    /// Its telegram listener.
    pub listener: Observed,
}

/// Everything behind the door.
pub struct House {
    /// The accessories, as they are now.
    pub roll: Roll,
    /// How the config was read last.
    pub reloads: Reloads,
    /// Each at the place of its [`GatewayId`](crate::policy::GatewayId).
    pub gateways: Vec<GatewayCard>,
    /// The cache.
    pub cache: Observed,
    /// The poller; its picture lists the modules.
    pub poller: Observed,
    /// The actor that hears the facts for this door.
    pub hub: Observed,
    /// The keeper, when state is kept.
    pub keeper: Option<Observed>,
    /// The shared port, when it is open; its picture lists the clients.
    pub mux: Option<Observed>,
    /// The MQTT door, when it is open.
    pub mqtt: Option<Observed>,
    /// Everybody who counts and measures, but the accessories.
    pub measured: Vec<Measured>,
    /// What the page shows and does beside accessories.
    pub beside: Beside,
}

/// An actor of which the door knows only that it can be observed. Made from its address.
#[derive(Clone)]
pub struct Observed(Look);

type Look = Arc<dyn Fn(Duration) -> BoxFuture<'static, Result<Value, BusError>> + Send + Sync>;

impl Observed {
    /// Something that is looked at in another way.
    pub fn new(
        look: impl Fn(Duration) -> BoxFuture<'static, Result<Value, BusError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(look))
    }

    /// A picture of its state, if it gives one in this time.
    fn look(&self, within: Duration) -> BoxFuture<'static, Result<Value, BusError>> {
        (self.0)(within)
    }
}

impl<A> From<Addr<A>> for Observed
where
    A: Actor + Handler<Observe>,
    A::Context: ToEnvelope<A, Observe>,
{
    fn from(addr: Addr<A>) -> Self {
        Self(Arc::new(move |within| Box::pin(ask(&addr, Observe, within))))
    }
}

/// An actor of which the door knows only that it counts and measures. Made from its address.
#[derive(Clone)]
pub struct Measured(Take);

type Take = Arc<dyn Fn(Duration) -> BoxFuture<'static, Result<Sheet, BusError>> + Send + Sync>;

impl Measured {
    /// What it counted and measured, if it tells in this time.
    fn take(&self, within: Duration) -> BoxFuture<'static, Result<Sheet, BusError>> {
        (self.0)(within)
    }
}

impl<A> From<Addr<A>> for Measured
where
    A: Actor + Handler<Measure>,
    A::Context: ToEnvelope<A, Measure>,
{
    fn from(addr: Addr<A>) -> Self {
        Self(Arc::new(move |within| Box::pin(ask(&addr, Measure, within))))
    }
}
