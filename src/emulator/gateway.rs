//! The one door to the bus: which client is connected, what waits to be written to it, how it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::conbus::Splitter;

use super::SecondClient;

/// How many bytes wait for a client that does not read before telegrams are dropped.
const OUTGOING_MAX: usize = 256 * 1024;

/// A connection; no two have the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ClientId(u64);

/// What the gateway says to somebody who connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// It is served.
    Welcome(ClientId),
    /// Its connection is to be closed at once.
    Refused,
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// An orderly end.
    Fin,
    /// A reset.
    Rst,
    /// Half a frame, then a reset.
    RstMidFrame,
    /// It does not end: bytes are taken and nothing ever comes back.
    BlackHole,
}

impl Ending {
    /// The name on the control port.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::RstMidFrame => "rst_mid_frame",
            Self::BlackHole => "black_hole",
        }
    }

    /// The ending with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Fin, Self::Rst, Self::RstMidFrame, Self::BlackHole].into_iter().find(|how| how.name() == name)
    }
}

/// What is to be written to a client.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outgoing {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How the connection ends after them; [`Ending::BlackHole`] never stands here.
    pub ending: Option<Ending>,
}

/// What became of bytes for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    Queued,
    Full,
    NobodyThere,
}

#[derive(Debug)]
struct Client {
    splitter: Option<Splitter>,
    outgoing: Outgoing,
    /// Whether nothing passes any more in either direction.
    deaf: bool,
}

/// The door.
#[derive(Debug)]
pub(super) struct Gateway {
    second_client: SecondClient,
    clients: BTreeMap<ClientId, Client>,
    current: Option<ClientId>,
    last: u64,
    up: bool,
    refused_until: Duration,
    segment_bytes: usize,
}

impl Gateway {
    pub(super) fn new(second_client: SecondClient) -> Self {
        Self {
            second_client,
            clients: BTreeMap::new(),
            current: None,
            last: 0,
            up: true,
            refused_until: Duration::ZERO,
            segment_bytes: usize::MAX,
        }
    }

    pub(super) fn arrive(&mut self, now: Duration) -> Arrival {
        if !self.up || now < self.refused_until {
            return Arrival::Refused;
        }
        if self.current.is_some() {
            match self.second_client {
                SecondClient::Refuse => return Arrival::Refused,
                SecondClient::TakeOver => self.end(Ending::Fin),
            }
        }
        self.last += 1;
        let id = ClientId(self.last);
        let client = Client { splitter: Some(Splitter::new()), outgoing: Outgoing::default(), deaf: false };
        self.clients.insert(id, client);
        self.current = Some(id);
        Arrival::Welcome(id)
    }

    pub(super) fn leave(&mut self, client: ClientId) {
        self.clients.remove(&client);
        if self.current == Some(client) {
            self.current = None;
        }
    }

    /// The splitter of a client that is listened to; it has to be given back.
    pub(super) fn lend_splitter(&mut self, client: ClientId) -> Option<Splitter> {
        if self.current != Some(client) {
            return None;
        }
        self.clients.get_mut(&client).filter(|client| !client.deaf)?.splitter.take()
    }

    pub(super) fn return_splitter(&mut self, client: ClientId, splitter: Splitter) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.splitter = Some(splitter);
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Sent {
        let client = self.current.and_then(|current| self.clients.get_mut(&current));
        let Some(client) = client.filter(|client| !client.deaf) else { return Sent::NobodyThere };
        if client.outgoing.bytes.len() + bytes.len() > OUTGOING_MAX {
            return Sent::Full;
        }
        client.outgoing.bytes.extend_from_slice(bytes);
        Sent::Queued
    }

    pub(super) fn collect(&mut self, client: ClientId) -> Outgoing {
        self.clients.get_mut(&client).map(|client| std::mem::take(&mut client.outgoing)).unwrap_or_default()
    }

    pub(super) fn ending(&self, client: ClientId) -> Option<Ending> {
        self.clients.get(&client)?.outgoing.ending
    }

    pub(super) fn drop_client(&mut self, how: Ending) {
        if how != Ending::BlackHole {
            self.end(how);
        } else if let Some(client) = self.current.and_then(|current| self.clients.get_mut(&current)) {
            client.deaf = true;
        }
    }

    pub(super) fn set_up(&mut self, up: bool) {
        self.up = up;
        if !up {
            self.end(Ending::Fin);
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    pub(super) fn refuse_until(&mut self, until: Duration) {
        self.refused_until = until;
    }

    pub(super) fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    pub(super) fn set_segment_bytes(&mut self, most: usize) {
        self.segment_bytes = if most == 0 { usize::MAX } else { most };
    }

    fn end(&mut self, how: Ending) {
        if let Some(client) = self.current.take().and_then(|current| self.clients.get_mut(&current)) {
            if how == Ending::RstMidFrame {
                client.outgoing.bytes.extend(b"<R00123450");
            }
            client.outgoing.ending = Some(how);
        }
    }
}
