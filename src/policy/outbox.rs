//! What to say to the bus next: urgency, pacing, one exchange in flight, joining of equal reads, time-outs.
//!
//! Owns every telegram that waits to be written and the one that waits for its answer. Knows neither socket nor
//! clock. The pacing is that of protocol reference 7.3.

mod lease;
mod pending;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::lease::Leases;
use self::pending::{Expects, Flight, Queued};
use self::tally::Tally;
use super::figures::{Amount, Sheet, names};
use super::waits::Waits;
use super::{BusError, Moment, Urgency, earliest};
use crate::conbus::{Function, SerialNumber, System, Telegram};

/// Times and limits of one gateway's outbox.
#[derive(Clone, Debug)]
pub struct OutboxPlan {
    /// How many telegrams may wait.
    pub capacity: usize,
    /// Pause after a reply.
    pub after_reply: Duration,
    /// Pause after an injected event, which nobody acknowledges.
    pub after_event: Duration,
    /// When an exchange is given up.
    pub time_out: Duration,
    /// When an exchange with the bridge itself is given up.
    pub bridge_time_out: Duration,
    /// How long answers to a broadcast may come in.
    pub broadcast_window: Duration,
    /// The same when a client of the shared port asked: the last of a house answers after 310 ms (protocol
    /// reference 3.2), and a command of a person may be waiting.
    pub mux_broadcast_window: Duration,
    /// When a step of a table transfer is given up: modules write to flash (protocol reference 7.2).
    pub table_time_out: Duration,
    /// How long a transfer may rest before its module is everybody's again.
    pub transfer_idle: Duration,
    /// The same for firmware.
    pub firmware_idle: Duration,
    /// How long a module is left alone after a transfer: it restarts (protocol reference 3.6).
    pub restart: Duration,
    /// How often a read is repeated.
    pub read_retries: u8,
    /// The bridges.
    pub bridges: BTreeSet<SerialNumber>,
    /// The least time between two background reads of a module.
    pub spacing: Duration,
    /// The same for modules that need more.
    pub spacing_of: BTreeMap<SerialNumber, Duration>,
}

impl Default for OutboxPlan {
    fn default() -> Self {
        Self {
            // More than a house of 64 modules can ask for at once; beyond it the asker is told.
            capacity: 200,
            after_reply: Duration::from_millis(20),
            after_event: Duration::from_millis(60),
            time_out: Duration::from_millis(300),
            bridge_time_out: Duration::from_millis(150),
            broadcast_window: Duration::from_secs(1),
            mux_broadcast_window: Duration::from_millis(400),
            table_time_out: Duration::from_secs(1),
            transfer_idle: Duration::from_secs(3),
            firmware_idle: Duration::from_secs(10),
            restart: Duration::from_secs(3),
            read_retries: 2,
            bridges: BTreeSet::new(),
            spacing: Duration::from_millis(200),
            spacing_of: BTreeMap::new(),
        }
    }
}

/// Somebody who waits for an exchange to end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ticket(u64);

/// An exchange that went well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivered {
    /// When its telegram was written.
    pub sent_at: Moment,
}

/// How one telegram on the wire ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ending {
    /// Answered or acknowledged.
    Answered,
    /// Refused: a NAK, or `??` to a read.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The link was lost first.
    LinkLost,
}

/// What the owner of the socket is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Write this telegram now.
    Write(Telegram),
    /// Answer whoever holds the ticket.
    Ended {
        /// The ticket.
        ticket: Ticket,
        /// How it went.
        outcome: Result<Delivered, BusError>,
    },
    /// A telegram that had been written waits no longer.
    WireFree {
        /// To which module it went.
        serial: SerialNumber,
        /// How it ended.
        how: Ending,
    },
}

/// The outbox of one gateway.
#[derive(Debug)]
pub struct Outbox {
    plan: OutboxPlan,
    link_up: bool,
    draining: bool,
    queue: BTreeMap<(Urgency, u64), Queued>,
    flight: Option<Flight>,
    free_at: Moment,
    asked_at: BTreeMap<SerialNumber, Moment>,
    /// Modules that a client of the shared port has to itself.
    leases: Leases,
    /// Writes that a module refused on this connection: the bus is not bothered with them again.
    refused: BTreeSet<(SerialNumber, Function)>,
    tickets: u64,
    order: u64,
    joined: u64,
    timeouts: u64,
    tally: Tally,
    waits: Waits,
}

impl Outbox {
    /// An empty outbox; its link is down.
    pub fn new(plan: OutboxPlan) -> Self {
        Self {
            plan,
            link_up: false,
            draining: false,
            queue: BTreeMap::new(),
            flight: None,
            free_at: Moment::START,
            asked_at: BTreeMap::new(),
            leases: Leases::default(),
            refused: BTreeSet::new(),
            tickets: 0,
            order: 0,
            joined: 0,
            timeouts: 0,
            tally: Tally::default(),
            waits: Waits::default(),
        }
    }

    /// From now on by this plan. What waits, what is in flight and when each module was asked last stays as it is.
    pub fn reconfigure(&mut self, plan: OutboxPlan) {
        if !self.draining {
            self.plan = plan;
        }
    }

    /// How many telegrams wait to be written.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.flight.is_none()
    }

    /// How many reads were joined with an equal one.
    pub fn joined_total(&self) -> u64 {
        self.joined
    }

    /// How many telegrams were not answered in time.
    pub fn timeouts_total(&self) -> u64 {
        self.timeouts
    }

    /// How long answers took, and how much of the bus exchanges did.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    /// Notes what was counted and measured behind this gateway.
    pub fn measure(&self, gateway: &str, sheet: &mut Sheet) {
        let waiting = self.queue.keys().map(|(urgency, _)| *urgency);
        self.tally.note(gateway, waiting, sheet);
        sheet.count(&names::COALESCED, &[gateway], self.joined);
        sheet.note(&names::BUSY, &[gateway], Amount::Sum(self.waits.busy().as_secs_f64()));
    }

    /// Takes a telegram to be written as soon as its urgency allows. The ticket is answered by [`Effect::Ended`].
    ///
    /// `deadline` is when the asker no longer cares: what is not written by then ends as [`BusError::TimedOut`].
    pub fn submit(
        &mut self,
        telegram: Telegram,
        urgency: Urgency,
        deadline: Moment,
    ) -> Result<Ticket, BusError> {
        if self.draining {
            return Err(BusError::Stopping);
        }
        if !self.link_up {
            return Err(BusError::LinkDown);
        }
        let expects = Expects::of(&telegram);
        // Another program's refused write says nothing about ours, which differ in more than the function.
        if urgency != Urgency::MuxClient
            && let Telegram::System(system) = &telegram
            && self.refused.contains(&(system.serial, system.function))
        {
            return Err(BusError::Refused);
        }
        let ticket = Ticket(self.tickets + 1);
        if matches!(expects, Expects::Value(_))
            && let Some((&key, _)) = self.queue.iter().find(|(_, queued)| queued.telegram == telegram)
            && let Some(mut queued) = self.queue.remove(&key)
        {
            self.tickets += 1;
            self.joined += 1;
            queued.tickets.push(ticket);
            queued.deadline = queued.deadline.max(deadline);
            self.queue.insert((key.0.min(urgency), key.1), queued);
            return Ok(ticket);
        }
        if self.queue.len() >= self.room_for(urgency) {
            return Err(BusError::Busy);
        }
        self.tickets += 1;
        self.order += 1;
        let queued = Queued { telegram, tickets: vec![ticket], deadline, expects, attempt: 0 };
        self.queue.insert((urgency, self.order), queued);
        Ok(ticket)
    }

    /// What nobody in this house waits for leaves a quarter of the room to those who do.
    fn room_for(&self, urgency: Urgency) -> usize {
        if urgency >= Urgency::MuxClient { self.plan.capacity * 3 / 4 } else { self.plan.capacity }
    }

    /// The link is there: writing may begin.
    pub fn link_came_up(&mut self, now: Moment) {
        self.link_up = true;
        self.free_at = now;
        self.refused.clear();
    }

    /// The link is gone: everything ends.
    pub fn link_went_down(&mut self, effects: &mut Vec<Effect>) {
        self.link_up = false;
        self.leases.clear();
        if let Some(flight) = self.flight.take() {
            if let Some(serial) = flight.queued.telegram.serial() {
                effects.push(Effect::WireFree { serial, how: Ending::LinkLost });
            }
            flight.queued.end(Err(BusError::LinkDown), effects);
        }
        for queued in std::mem::take(&mut self.queue).into_values() {
            queued.end(Err(BusError::LinkDown), effects);
        }
    }

    /// Takes nothing more; what is not a command ends, commands are still written, nothing is repeated.
    pub fn drain(&mut self, effects: &mut Vec<Effect>) {
        self.draining = true;
        self.plan.read_retries = 0;
        self.leases.clear();
        let (commands, others) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|((urgency, _), _)| *urgency == Urgency::Command);
        self.queue = commands;
        for queued in others.into_values() {
            queued.end(Err(BusError::Stopping), effects);
        }
    }

    /// A telegram was heard: it may be the answer that is waited for.
    pub fn heard(&mut self, telegram: &Telegram, now: Moment, effects: &mut Vec<Effect>) {
        let Telegram::Reply(reply) = telegram else { return };
        self.leases.heard(reply, &self.plan, now);
        let Some(flight) = &self.flight else { return };
        let Some(ending) = flight.answered_by(reply) else { return };
        let Some(mut flight) = self.flight.take() else { return };
        self.free_at = now + self.plan.after_reply;
        self.tally.answered(flight.queued.expects, now.since(flight.sent_at));
        self.waits.answered(now.since(flight.sent_at));
        effects.push(Effect::WireFree { serial: reply.serial, how: ending });
        // A NAK names no request: this one may answer a command of ours that was given up, or of another master.
        let perhaps_meant = reply.function == Function::NAK && flight.may_repeat(&self.plan, now);
        if perhaps_meant {
            flight.queued.attempt += 1;
            self.queue.insert(flight.key, flight.queued);
            return;
        }
        let outcome = match ending {
            Ending::Answered => Ok(Delivered { sent_at: flight.sent_at }),
            _ => Err(BusError::Refused),
        };
        if let (Ending::Refused, Telegram::System(system), Expects::Ack) =
            (ending, &flight.queued.telegram, flight.queued.expects)
            && flight.key.0 != Urgency::MuxClient
        {
            self.refused.insert((system.serial, system.function));
        }
        flight.queued.end(outcome, effects);
    }

    /// Does what is due: gives up what is too late and writes the next telegram.
    pub fn due(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.time_out(now, effects);
        let late: Vec<_> =
            self.queue.iter().filter(|(_, queued)| queued.deadline <= now).map(|(key, _)| *key).collect();
        for key in late {
            if let Some(queued) = self.queue.remove(&key) {
                queued.end(Err(BusError::TimedOut), effects);
            }
        }
        while self.link_up && self.flight.is_none() && self.free_at <= now {
            let Some(key) = self.next_key(now) else { break };
            if let Some(queued) = self.queue.remove(&key) {
                self.write(key, queued, now, effects);
            }
        }
    }

    fn write(&mut self, key: (Urgency, u64), queued: Queued, now: Moment, effects: &mut Vec<Effect>) {
        self.tally.written(key.0);
        effects.push(Effect::Write(queued.telegram.clone()));
        if queued.expects == Expects::Nothing {
            self.free_at = now + self.plan.after_event;
            self.waits.occupied(self.plan.after_event);
            queued.end(Ok(Delivered { sent_at: now }), effects);
            return;
        }
        let window = self.window(key.0, &queued);
        if let (Urgency::MuxClient, Telegram::System(system)) = (key.0, &queued.telegram) {
            self.leases.written(system, &self.plan, now);
        }
        if let Some(serial) = queued.telegram.serial() {
            self.asked_at.insert(serial, now);
        }
        self.flight = Some(Flight { queued, key, sent_at: now, until: now + window });
    }

    /// How long the answer to this telegram is waited for.
    fn window(&self, urgency: Urgency, queued: &Queued) -> Duration {
        let is_long = |system: &System| system.function.is_of_table() || system.function.is_destructive();
        match (&queued.telegram, queued.expects) {
            (_, Expects::Many) if urgency == Urgency::MuxClient => self.plan.mux_broadcast_window,
            (_, Expects::Many) => self.plan.broadcast_window,
            (Telegram::System(system), _) if is_long(system) => self.plan.table_time_out,
            (Telegram::System(system), _) if self.plan.bridges.contains(&system.serial) => {
                self.plan.bridge_time_out
            }
            _ => self.plan.time_out,
        }
    }

    fn time_out(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Some(mut flight) = self.flight.take_if(|flight| flight.until <= now) else { return };
        self.free_at = now + self.plan.after_reply;
        self.waits.occupied(now.since(flight.sent_at));
        let serial = flight.queued.telegram.serial().unwrap_or(SerialNumber::BROADCAST);
        if flight.queued.expects == Expects::Many {
            effects.push(Effect::WireFree { serial, how: Ending::Answered });
            flight.queued.end(Ok(Delivered { sent_at: flight.sent_at }), effects);
            return;
        }
        self.timeouts += 1;
        effects.push(Effect::WireFree { serial, how: Ending::TimedOut });
        if flight.may_repeat(&self.plan, now) {
            flight.queued.attempt += 1;
            self.queue.insert(flight.key, flight.queued);
        } else {
            flight.queued.end(Err(BusError::TimedOut), effects);
        }
    }

    /// The most urgent telegram that may be written now.
    fn next_key(&self, now: Moment) -> Option<(Urgency, u64)> {
        self.queue.iter().find(|(key, queued)| self.ready_at(**key, queued) <= now).map(|(key, _)| *key)
    }

    /// When a telegram may be written at the earliest, the wire being free.
    fn ready_at(&self, (urgency, _): (Urgency, u64), queued: &Queued) -> Moment {
        let serial = queued.telegram.serial();
        let free = self.leases.free_at(serial, urgency);
        let Some(serial) = serial.filter(|_| urgency.is_background()) else { return free };
        let spacing = self.plan.spacing_of.get(&serial).copied().unwrap_or(self.plan.spacing);
        self.asked_at.get(&serial).map_or(free, |asked| free.max(*asked + spacing))
    }

    /// When [`Outbox::due`] is to be called next.
    pub fn next_due(&self) -> Option<Moment> {
        let deadline = self.queue.values().map(|queued| queued.deadline).min();
        let wire = match &self.flight {
            Some(flight) => Some(flight.until),
            None if self.link_up => self
                .queue
                .iter()
                .map(|(key, queued)| self.ready_at(*key, queued))
                .min()
                .map(|ready| ready.max(self.free_at)),
            None => None,
        };
        earliest(deadline, wire)
    }
}
