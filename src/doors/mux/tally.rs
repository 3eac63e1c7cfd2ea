//! What is counted of the port and of each client, and how it is shown. Pure.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::policy::Moment;
use crate::policy::figures::{Sheet, names};

/// Of one client.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Said {
    /// Telegrams it sent.
    pub(super) sent: u64,
    /// Telegrams it was given.
    pub(super) heard: u64,
    /// Of those it sent, how many it may not say.
    pub(super) refused: u64,
    /// How many were not written: too many, too late, or no link.
    pub(super) dropped: u64,
    /// How many reads were answered by another's.
    pub(super) joined: u64,
    /// How many were written and not answered in time.
    pub(super) unanswered: u64,
    /// Bytes that were no telegram.
    pub(super) noise_bytes: u64,
}

impl Said {
    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.heard += other.heard;
        self.refused += other.refused;
        self.dropped += other.dropped;
        self.joined += other.joined;
        self.unanswered += other.unanswered;
        self.noise_bytes += other.noise_bytes;
    }
}

/// Of the port since the start.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Totals {
    /// Clients that were let in.
    pub(super) clients: u64,
    /// Those whose address is not in the list.
    pub(super) strangers: u64,
    /// Those for whom there was no place.
    pub(super) turned_away: u64,
    /// Those that were cut off because they did not take what they were given.
    pub(super) slow: u64,
    /// Those that were cut off because they spoke something else.
    pub(super) babblers: u64,
    /// Transfers of tables and firmware.
    pub(super) transfers: u64,
    /// Those that ended because their client said nothing more.
    pub(super) transfers_abandoned: u64,
    /// What clients that have left had counted.
    pub(super) of_those_gone: Said,
}

impl Totals {
    /// A client has left.
    pub(super) fn gone(&mut self, said: &Said) {
        self.of_those_gone.add(said);
    }

    /// What all clients together had counted, those who are there included.
    fn all<'a>(&self, here: impl Iterator<Item = &'a Said>) -> Said {
        let mut all = self.of_those_gone;
        here.for_each(|said| all.add(said));
        all
    }

    /// Notes the figures of the port.
    pub(super) fn note<'a>(
        &self,
        gateway: &str,
        here: impl Iterator<Item = &'a Said> + Clone,
        sheet: &mut Sheet,
    ) {
        sheet.level(&names::MUX_CLIENTS, &[gateway], here.clone().count() as f64);
        let all = self.all(here);
        for (fate, total) in [
            ("sent", all.sent),
            ("heard", all.heard),
            ("refused", all.refused),
            ("dropped", all.dropped),
            ("joined", all.joined),
            ("unanswered", all.unanswered),
        ] {
            sheet.count(&names::MUX_TELEGRAMS, &[gateway, fate], total);
        }
        for (reason, total) in [
            ("stranger", self.strangers),
            ("full", self.turned_away),
            ("slow", self.slow),
            ("babble", self.babblers),
        ] {
            sheet.count(&names::MUX_DENIED, &[gateway, reason], total);
        }
    }

    /// The port as an object, with those who are there.
    pub(super) fn picture<'a>(
        &self,
        clients: impl Iterator<Item = (SocketAddr, Moment, &'a Said)>,
        now: Moment,
    ) -> Value {
        let mut all = self.of_those_gone;
        let clients: Vec<Value> = clients
            .map(|(address, since, said)| {
                all.add(said);
                json!({
                    "address": address.to_string(),
                    "connected_ms": now.since(since).as_millis() as u64,
                    "sent": said.sent,
                    "heard": said.heard,
                    "refused": said.refused,
                    "dropped": said.dropped,
                    "joined": said.joined,
                    "unanswered": said.unanswered,
                    "noise_bytes": said.noise_bytes,
                })
            })
            .collect();
        json!({
            "clients": clients,
            "clients_total": self.clients,
            "strangers_total": self.strangers,
            "turned_away_total": self.turned_away,
            "slow_total": self.slow,
            "babblers_total": self.babblers,
            "transfers_total": self.transfers,
            "transfers_abandoned_total": self.transfers_abandoned,
            "sent_total": all.sent,
            "heard_total": all.heard,
            "refused_total": all.refused,
            "dropped_total": all.dropped,
            "joined_total": all.joined,
            "unanswered_total": all.unanswered,
            "noise_bytes_total": all.noise_bytes,
        })
    }
}
