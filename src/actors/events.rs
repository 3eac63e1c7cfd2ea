//! What the actors say to each other. Requests go down with a deadline, facts go up and are never awaited.

use std::rc::Rc;

use actix::{Message, Recipient};
use tokio::sync::oneshot;

use crate::conbus::{Datapoint, DatapointValue, Edge, EventSource, Point, SerialNumber, Telegram};
use crate::policy::figures::Sheet;
use crate::policy::history::{Entry, Passed, WishTold};
use crate::policy::interpret::ModuleNews;
use crate::policy::outbox::{Delivered, Ending};
use crate::policy::settle::{Aspect, Basis, PointValue};
use crate::policy::store::Want;
use crate::policy::switch::{AccessoryState, Cause, Target, Until};
use crate::policy::{BusError, GatewayId, Moment, Reading, Remembered, Urgency};

/// Down, to a connection: write this telegram and wait for its answer.
#[derive(Debug, Message)]
#[rtype(result = "Result<Delivered, BusError>")]
pub struct Exchange {
    /// What to write.
    pub telegram: Telegram,
    /// How soon.
    pub urgency: Urgency,
    /// When the asker no longer cares.
    pub deadline: Moment,
    /// Told when the outbox has taken it.
    pub taken: Option<oneshot::Sender<()>>,
}

/// Down, to the cache: what is known of an output?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Reading, BusError>")]
pub struct Read {
    /// Which output.
    pub point: Point,
    /// How old the answer may be.
    pub max_age: Want,
    /// How urgent a read of the bus is, should one be needed.
    pub urgency: Urgency,
    /// When it was asked. Whether the cache knows well enough is judged by it, so that a hit costs one look at the clock.
    pub asked_at: Moment,
}

/// From the poller to the cache: read this output's module again.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Refresh {
    /// Any output of the module.
    pub point: Point,
    /// Warm-up or poll.
    pub urgency: Urgency,
}

/// To the cache: what is known of this module may be wrong.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Invalidate {
    /// Which module.
    pub serial: SerialNumber,
    /// When it is asked how it is.
    pub reread: Reread,
}

/// When a module is asked again whose state may be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reread {
    /// As soon as the bus allows.
    Now,
    /// Not by the cache: whoever made it wait sees to it when the module answers again.
    Later,
}

/// Down, from a door to an accessory: make it so.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<AccessoryState, BusError>")]
pub struct SetTarget {
    /// What is wanted.
    pub target: Target,
    /// When to answer.
    pub until: Until,
    /// Who wants it: told again with the change it causes, so that it can be left out.
    pub client: u64,
}

/// Down, from a door to an accessory: what do you show?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<AccessoryState, BusError>")]
pub struct GetState {
    /// How old the answer may be.
    pub max_age: Want,
}

/// Down, from a door to an accessory: blink the module's LED.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<AccessoryState, BusError>")]
pub struct Identify;

/// From an accessory to the poller: somebody uses this module.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct MarkActive {
    /// Which module.
    pub serial: SerialNumber,
}

/// To the poller: background reads may go on.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StartPolling;

/// To the poller: no more background reads.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopPolling;

/// Up, from a connection to its listener: this was heard.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct TelegramReceived {
    /// Where.
    pub gateway: GatewayId,
    /// What.
    pub telegram: Telegram,
    /// The counter of the connection, raised with everything written and heard.
    pub seq: u64,
    /// When.
    pub at: Moment,
    /// Since when it may have lain unread: `at`, unless the process stood still meanwhile.
    pub waits_since: Moment,
}

/// Up, from a connection to its listener: this was written.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct TelegramSent {
    /// Where.
    pub gateway: GatewayId,
    /// What.
    pub telegram: Telegram,
    /// The counter of the connection.
    pub seq: u64,
    /// When.
    pub at: Moment,
}

/// Up, from a connection to its listener: a telegram that was written waits no longer.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct ExchangeEnded {
    /// Where.
    pub gateway: GatewayId,
    /// To which module it went.
    pub serial: SerialNumber,
    /// The counter of the connection.
    pub seq: u64,
    /// How it ended.
    pub how: Ending,
    /// When.
    pub at: Moment,
}

/// Up: facts found no room; whoever holds state of this gateway no longer vouches for it.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct NewsLost {
    /// Whose facts.
    pub gateway: GatewayId,
    /// Since when.
    pub since: Moment,
}

/// The state of the connection to a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Connected.
    Up,
    /// Not connected; the next attempt is being waited for.
    Down,
    /// An attempt is under way.
    Dialling,
}

/// Up, from a connection: the link came up or went down.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct LinkChanged {
    /// Which gateway's.
    pub gateway: GatewayId,
    /// What it is now.
    pub state: LinkState,
    /// Since when.
    pub at: Moment,
}

/// Up, from a listener to the cache: the state of an output was told.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct PointObserved {
    /// Of which output.
    pub point: Point,
    /// What.
    pub value: PointValue,
    /// By itself, or as a reply.
    pub basis: Basis,
    /// The counter of the connection.
    pub seq: u64,
    /// When.
    pub at: Moment,
    /// Since when it may have lain unread.
    pub not_before: Moment,
}

/// Up, from a listener to the cache: a command for an output is under way or was acknowledged.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct PointCommanded {
    /// Which output.
    pub point: Point,
    /// The counter of the connection.
    pub seq: u64,
    /// When.
    pub at: Moment,
}

/// Up, from a listener to the cache: who answers for an output is in doubt.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct PointDoubtful {
    /// Which output.
    pub point: Point,
    /// Which half of its state.
    pub aspect: Aspect,
    /// The counter of the connection.
    pub seq: u64,
    /// When.
    pub at: Moment,
}

/// Up, from a listener to the poller: a module answered a read.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct ModuleObserved {
    /// Which module.
    pub serial: SerialNumber,
    /// What was read.
    pub datapoint: Datapoint,
    /// What it is; of outputs that the module does not have it tells nothing.
    pub value: DatapointValue,
    /// When.
    pub at: Moment,
}

/// Up, from a listener to the poller: something about a module as a whole.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct ModuleNoted {
    /// Which module.
    pub serial: SerialNumber,
    /// What is new.
    pub news: ModuleNews,
    /// When.
    pub at: Moment,
}

/// What becomes of a module that repeats itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StormPhase {
    /// It began: the module is muted.
    Started,
    /// Its error code is to be read now, which ends most storms.
    Probe,
    /// It is healthy again.
    Released,
    /// The probes did not help; it stays muted.
    GaveUp,
}

/// Up, from a listener to the poller: a module repeats itself, or no longer does.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StormChanged {
    /// Where.
    pub gateway: GatewayId,
    /// Which module.
    pub serial: SerialNumber,
    /// What becomes of it.
    pub phase: StormPhase,
}

/// Up, from a listener to the poller and the doors: somebody pressed or released something.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct ButtonPressed {
    /// Where.
    pub gateway: GatewayId,
    /// Which input.
    pub input: EventSource,
    /// Pressed or released.
    pub edge: Edge,
    /// When.
    pub at: Moment,
}

/// Which way a telegram went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Written by us.
    Sent,
    /// Heard on the bus.
    Received,
}

/// Up, from a listener to the doors: a telegram went by. Repeats of a storm are left out.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct TelegramSeen {
    /// Where.
    pub gateway: GatewayId,
    /// Which way.
    pub direction: Direction,
    /// What.
    pub telegram: Telegram,
    /// When.
    pub at: Moment,
}

/// Up, from the cache to an accessory: what is known of its output changed, or was seen again.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct PointChanged {
    /// Which output.
    pub point: Point,
    /// What is known now.
    pub reading: Reading,
}

/// Up, from an accessory to the doors: what it shows changed.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct AccessoryChanged {
    /// Which accessory: its place in the config, from 0.
    pub id: AccessoryId,
    /// What it shows now.
    pub state: AccessoryState,
    /// Why.
    pub cause: Cause,
}

/// An accessory for as long as the process lives: no other ever gets its number. Its lasting name is its configured
/// id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AccessoryId(pub u32);

/// From a group to a member: from now on tell me what you show, beginning with now.
#[derive(Debug, Message)]
#[rtype(result = "Result<AccessoryState, BusError>")]
pub struct Follow(pub Recipient<AccessoryChanged>);

/// The config was read anew: from now on by this plan. What is known and under way is kept where it still counts.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), BusError>")]
pub struct Reconfigure<P>(pub P);

/// From a door to the history: a client wants something, and this is who. Told ahead of the wish itself.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), BusError>")]
pub struct Wished {
    /// Who and what.
    pub wish: WishTold,
}

/// From the shared port to the history: a telegram of a client that may change something goes to the connection.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct PassedOn {
    /// Who and what.
    pub passed: Passed,
}

/// From a door to the history: what happened?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Vec<Entry>, BusError>")]
pub struct Recall {
    /// To this accessory; to all when absent.
    pub accessory: Option<AccessoryId>,
    /// At most so many, the newest first.
    pub limit: usize,
}

/// To any actor: a small picture of your state.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<serde_json::Value, BusError>")]
pub struct Observe;

/// To any actor: what you count and measure.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Sheet, BusError>")]
pub struct Measure;

/// What is known of every output, the most recently read first.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Vec<Remembered>, BusError>")]
pub struct CaptureOutputs;

/// The modules, the last used first.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Vec<SerialNumber>, BusError>")]
pub struct CaptureUse;

/// From the app to any actor: end what you do and take nothing new.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), BusError>")]
pub struct Drain;

/// A name shared by the log lines of an actor.
pub type Name = Rc<str>;
