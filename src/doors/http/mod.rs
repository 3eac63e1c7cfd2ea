//! The HTTP door: a JSON API, server-sent events, liveness and readiness.
//!
//! Owns its socket, its clients and the words of its contract. It knows accessories and asks them; it knows
//! nothing of datapoints, and whatever an actor tells of itself it passes on as it is.
//!
//! | file | what it does |
//! |---|---|
//! | `translate`, `json`, `status`, `gate`, `crowd`, `pulse` | decide, on values: bodies, objects, who may, how long |
//! | `routes`, `events` | ask the accessories and word the answers |
//! | `hub` | the actor that hears the facts and fans them out |
//! | `server`, `wire` | sockets, connections, the end |

mod crowd;
mod events;
mod gate;
mod hub;
mod json;
mod pulse;
mod routes;
mod server;
mod status;
mod translate;
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
use crate::actors::events::Observe;
use crate::doors::Roll;
use crate::policy::BusError;

pub use hub::{Feed, Hub, hub};
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
    /// The MQTT door, when it is open.
    pub mqtt: Option<Observed>,
}

/// An actor of which the door knows only that it can be observed. Made from its address.
#[derive(Clone)]
pub struct Observed(Look);

type Look = Arc<dyn Fn(Duration) -> BoxFuture<'static, Result<Value, BusError>> + Send + Sync>;

impl Observed {
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
