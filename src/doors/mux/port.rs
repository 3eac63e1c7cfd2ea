//! The decisions of the shared port: whose telegram goes to the bus next, and who hears what. Pure.
//!
//! Every client has one telegram under way at most, and the others of it wait here; so what a client says stays in
//! its order, a client that says much delays itself alone, and whatever the outbox has more urgent overtakes.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::judge::{Access, Kind, Network, Refusal, judge, refusal};
use super::tally::{Said, Totals};
use super::transfer::Transfers;
use crate::conbus::{Datapoint, Function, System, Telegram};
use crate::policy::figures::Sheet;
use crate::policy::{BusError, Moment, earliest};

/// Telegrams of a client that wait for their turn: a bus of 255 modules is asked in a few rounds, and what is
/// behind 32 others is too late for whoever asked.
const WAITING_MAX: usize = 32;

/// How long a telegram may wait before it is written: other programs have given it up by then, and a command that
/// comes later comes as a surprise.
const PATIENCE: Duration = Duration::from_secs(3);

/// For how many seconds a client may save turns up: a house is discovered without a pause.
const SAVED_SECONDS: u32 = 4;

/// Bytes in a row that are no telegram, after which the client speaks something else: a browser, a scanner.
const NOISE_MAX: u64 = 4096;

/// How long the news of having written a telegram may take.
const ECHO_LIFE: Duration = Duration::from_secs(1);

/// What the clients may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// What they may say.
    pub access: Access,
    /// Whether they may rewrite firmware.
    pub firmware: bool,
    /// From where they may come.
    pub allow: Vec<Network>,
    /// How many there may be.
    pub max_clients: usize,
    /// How many telegrams all of them together may have on the bus, on average; at least 1.
    pub telegrams_per_second: u32,
}

impl Rules {
    fn allow(&self, address: SocketAddr) -> bool {
        self.allow.iter().any(|network| network.holds(address.ip()))
    }
}

/// One client, for as long as it is connected; never given twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct ClientId(u64);

/// An exchange that was asked of the connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Ticket(u64);

/// Why somebody is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Denied {
    /// The address is not in the list.
    Stranger,
    /// There is no place.
    Full,
}

/// What becomes of a telegram that a client sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It waits for its turn, or is under way.
    Taken,
    /// The client may not say that, and was told so if there is a word for it.
    Refused(Refusal),
    /// There is no link, or too much waits already: the client hears nothing, as on a bus that does not answer.
    Dropped,
}

/// What the owner of the sockets is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// Ask the connection to write this telegram, and tell how that ended.
    Ask {
        /// To be given back.
        ticket: Ticket,
        /// What to write.
        telegram: Telegram,
        /// When it is too late.
        deadline: Moment,
    },
    /// Give a client these bytes.
    Tell {
        /// Whom.
        client: ClientId,
        /// A frame.
        frame: Rc<[u8]>,
    },
}

#[derive(Debug)]
struct Waiting {
    telegram: Telegram,
    kind: Kind,
    since: Moment,
}

/// A telegram of a client that the bus will carry, or has carried: its client is not told of it.
#[derive(Debug)]
struct Echo {
    telegram: Telegram,
    written: bool,
    /// Forgotten then, seen or not; absent while the exchange is open.
    until: Option<Moment>,
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    since: Moment,
    waiting: VecDeque<Waiting>,
    /// The exchange whose end it waits for.
    asked: Option<Ticket>,
    /// At most one open, and those that ended within the last second.
    echoes: Vec<Echo>,
    noise: u64,
    said: Said,
}

/// An exchange under way and the clients that wait for its end; nobody when the port itself asked.
#[derive(Debug)]
struct Open {
    telegram: Telegram,
    kind: Kind,
    askers: Vec<ClientId>,
}

/// The shared port of one gateway.
#[derive(Debug)]
pub(super) struct Port {
    rules: Rules,
    link_up: bool,
    clients: BTreeMap<ClientId, Client>,
    open: BTreeMap<Ticket, Open>,
    transfers: Transfers,
    /// Whose turn was last.
    last: ClientId,
    /// When the turns given so far are used up at the allowed rate.
    paid_until: Moment,
    numbers: u64,
    totals: Totals,
}

impl Port {
    /// A port without clients; its link is down.
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            link_up: false,
            clients: BTreeMap::new(),
            open: BTreeMap::new(),
            transfers: Transfers::default(),
            last: ClientId(0),
            paid_until: Moment::START,
            numbers: 0,
            totals: Totals::default(),
        }
    }

    /// Lets a client in.
    pub(super) fn enter(&mut self, address: SocketAddr, now: Moment) -> Result<ClientId, Denied> {
        if !self.rules.allow(address) {
            self.totals.strangers += 1;
            return Err(Denied::Stranger);
        }
        if self.clients.len() >= self.rules.max_clients {
            self.totals.turned_away += 1;
            return Err(Denied::Full);
        }
        self.totals.clients += 1;
        let id = ClientId(self.number());
        let client = Client {
            address,
            since: now,
            waiting: VecDeque::new(),
            asked: None,
            echoes: Vec::new(),
            noise: 0,
            said: Said::default(),
        };
        self.clients.insert(id, client);
        Ok(id)
    }

    /// A client has gone: what of it was not written is not written, unless it is with the connection already.
    pub(super) fn leave(&mut self, id: ClientId) -> Option<Said> {
        let client = self.clients.remove(&id)?;
        self.transfers.left(id);
        self.totals.gone(&client.said);
        Some(client.said)
    }

    /// A client is to be cut off because it did not take what it was given.
    pub(super) fn too_slow(&mut self) {
        self.totals.slow += 1;
    }

    /// A client sent bytes that are no telegram; false when it speaks something else and is to be cut off.
    pub(super) fn noise(&mut self, id: ClientId, bytes: usize) -> bool {
        let Some(client) = self.clients.get_mut(&id) else { return false };
        client.noise += bytes as u64;
        client.said.noise_bytes += bytes as u64;
        let babbles = client.noise > NOISE_MAX;
        self.totals.babblers += u64::from(babbles);
        !babbles
    }

    /// A client sent a telegram.
    pub(super) fn said(
        &mut self,
        id: ClientId,
        telegram: &Telegram,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Fate {
        let Some(client) = self.clients.get_mut(&id) else { return Fate::Dropped };
        client.noise = 0;
        client.said.sent += 1;
        let verdict = judge(telegram, self.rules.access, self.rules.firmware);
        let refused = match verdict {
            Err(why) => Some(why),
            Ok(_) if !self.link_up || client.waiting.len() >= WAITING_MAX => {
                client.said.dropped += 1;
                return Fate::Dropped;
            }
            Ok(kind) => match self.transfers.admit(id, telegram, kind, now) {
                Ok(begins) => {
                    self.totals.transfers += u64::from(begins);
                    client.waiting.push_back(Waiting { telegram: telegram.clone(), kind, since: now });
                    None
                }
                Err(why) => Some(why),
            },
        };
        let Some(why) = refused else {
            self.due(now, effects);
            return Fate::Taken;
        };
        client.said.refused += 1;
        if let Some(nak) = refusal(telegram) {
            client.said.heard += 1;
            effects.push(Effect::Tell { client: id, frame: nak.to_bytes().into() });
        }
        Fate::Refused(why)
    }

    /// A telegram was heard on the bus: every client hears it.
    pub(super) fn heard(&mut self, telegram: &Telegram, effects: &mut Vec<Effect>) {
        if let Telegram::Reply(reply) = telegram {
            self.transfers.heard(reply);
        }
        let frame: Rc<[u8]> = telegram.to_bytes().into();
        for (id, client) in &mut self.clients {
            client.said.heard += 1;
            effects.push(Effect::Tell { client: *id, frame: frame.clone() });
        }
    }

    /// This daemon wrote a telegram: to its clients it is another one on the bus, but nobody hears itself (protocol
    /// reference 5.5).
    pub(super) fn written(&mut self, telegram: &Telegram, now: Moment, effects: &mut Vec<Effect>) {
        let frame: Rc<[u8]> = telegram.to_bytes().into();
        for (id, client) in &mut self.clients {
            client.echoes.retain(|echo| echo.until.is_none_or(|until| until > now));
            if let Some(place) = client.echoes.iter().position(|echo| echo.telegram == *telegram) {
                client.echoes[place].written = true;
                if client.echoes[place].until.is_some() {
                    client.echoes.remove(place);
                }
                continue;
            }
            client.said.heard += 1;
            effects.push(Effect::Tell { client: *id, frame: frame.clone() });
        }
    }

    /// The link came up or went down. What waits is dropped: it was meant for a house that answers.
    pub(super) fn link(&mut self, up: bool) {
        self.link_up = up;
        if up {
            return;
        }
        self.transfers.clear();
        for client in self.clients.values_mut() {
            client.said.dropped += client.waiting.len() as u64;
            client.waiting.clear();
        }
    }

    /// An exchange has ended.
    pub(super) fn ended(
        &mut self,
        ticket: Ticket,
        outcome: Result<(), BusError>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(open) = self.open.remove(&ticket) else { return };
        let refused = outcome == Err(BusError::Refused);
        if let Telegram::System(system) = &open.telegram {
            self.transfers.ended(system, refused, now);
        }
        let is_over = outcome.is_ok() || refused;
        for asker in &open.askers {
            let Some(client) = self.clients.get_mut(asker) else { continue };
            client.asked = None;
            client.echoes.retain(|echo| echo.until.is_none_or(|until| until > now));
            let Some(place) = client.echoes.iter().position(|echo| echo.until.is_none()) else { continue };
            let written = client.echoes[place].written;
            client.said.unanswered += u64::from(written && !is_over);
            client.said.dropped += u64::from(!written && !is_over);
            // An exchange may end before the news that it was written has come by.
            if written || !is_over {
                client.echoes.remove(place);
            } else {
                client.echoes[place].until = Some(now + ECHO_LIFE);
            }
        }
        if outcome.is_ok()
            && !open.askers.is_empty()
            && let Some(telegram) = look_after(&open.telegram)
        {
            self.ask(telegram, Kind::Read, Vec::new(), now + PATIENCE, effects);
        }
        self.due(now, effects);
    }

    /// Does what is due: forgets what is too late, and gives turns.
    pub(super) fn due(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.totals.transfers_abandoned += self.transfers.expire(now);
        for client in self.clients.values_mut() {
            let late = client.waiting.iter().take_while(|waiting| waiting.since + PATIENCE <= now).count();
            client.said.dropped += late as u64;
            client.waiting.drain(..late);
        }
        while let Some(id) = self.next_client() {
            let turn_from = self.turn_from();
            let Some(client) = self.clients.get_mut(&id) else { return };
            let Some(front) = client.waiting.front() else { return };
            // Nothing else of this client is under way, so whatever it has changed was changed before.
            let same = self.open.iter_mut().find(|(_, open)| {
                open.kind == Kind::Read && front.kind == Kind::Read && open.telegram == front.telegram
            });
            if same.is_none() && turn_from > now {
                return;
            }
            self.last = id;
            let Some(Waiting { telegram, kind, since }) = client.waiting.pop_front() else { return };
            // Whoever joins what is written already has nothing to overhear any more.
            client.echoes.push(Echo { telegram: telegram.clone(), written: same.is_some(), until: None });
            if let Some((ticket, open)) = same {
                client.asked = Some(*ticket);
                client.said.joined += 1;
                open.askers.push(id);
                continue;
            }
            self.paid_until = self.paid_until.max(now) + self.turn();
            let ticket = self.ask(telegram, kind, vec![id], since + PATIENCE, effects);
            if let Some(client) = self.clients.get_mut(&id) {
                client.asked = Some(ticket);
            }
        }
    }

    /// For whom an exchange is that may change something; nobody for a read, or for what the port asks itself.
    pub(super) fn doer(&self, ticket: Ticket) -> Option<IpAddr> {
        let open = self.open.get(&ticket)?;
        let is_read = matches!(open.kind, Kind::Read | Kind::Discovery);
        let asker = open.askers.first().filter(|_| !is_read)?;
        self.clients.get(asker).map(|client| client.address.ip())
    }

    /// When to call [`Port::due`] next.
    pub(super) fn next_due(&self) -> Option<Moment> {
        let late = self.clients.values().filter_map(|client| client.waiting.front());
        let late = late.map(|waiting| waiting.since + PATIENCE).min();
        let turn = self.next_client().map(|_| self.turn_from());
        earliest(earliest(late, turn), self.transfers.next_due())
    }

    /// The port and its clients as an object.
    pub(super) fn picture(&self, now: Moment) -> Value {
        let clients = self.clients.values().map(|client| (client.address, client.since, &client.said));
        self.totals.picture(clients, now)
    }

    /// Notes the figures of the port.
    pub(super) fn note(&self, gateway: &str, sheet: &mut Sheet) {
        self.totals.note(gateway, self.clients.values().map(|client| &client.said), sheet);
    }

    fn ask(
        &mut self,
        telegram: Telegram,
        kind: Kind,
        askers: Vec<ClientId>,
        deadline: Moment,
        effects: &mut Vec<Effect>,
    ) -> Ticket {
        let ticket = Ticket(self.number());
        effects.push(Effect::Ask { ticket, telegram: telegram.clone(), deadline });
        self.open.insert(ticket, Open { telegram, kind, askers });
        ticket
    }

    /// Whose turn it is: the next one behind the last that has something to say and nothing under way.
    fn next_client(&self) -> Option<ClientId> {
        let ready = |(_, client): &(&ClientId, &Client)| client.asked.is_none() && !client.waiting.is_empty();
        let behind = (std::ops::Bound::Excluded(self.last), std::ops::Bound::Unbounded);
        let found = self.clients.range(behind).find(ready).or_else(|| self.clients.iter().find(ready));
        found.map(|(id, _)| *id)
    }

    fn turn(&self) -> Duration {
        Duration::from_secs(1) / self.rules.telegrams_per_second.max(1)
    }

    /// When the next turn may be given.
    fn turn_from(&self) -> Moment {
        self.paid_until.before(Duration::from_secs(1) * SAVED_SECONDS)
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

/// What a client's write may have changed of a module that this daemon reads once only: whether it reports by
/// itself, and its link number, by which its reports are known.
fn look_after(telegram: &Telegram) -> Option<Telegram> {
    let Telegram::System(system) = telegram else { return None };
    let written = [Datapoint::AUTO_REPORT, Datapoint::LINK]
        .into_iter()
        .find(|datapoint| system.data().starts_with(&datapoint.code()))?;
    (system.function == Function::WRITE_CONFIG).then(|| System::read(system.serial, written).into())
}
