//! The rules of speaking on the bus, checked at the wire: one exchange at a time, pauses, time-outs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conbusd::conbus::{Datapoint, Function, Reply, SerialNumber, System, Telegram};

use crate::court::{Court, Promise};

const AFTER_REPLY: Duration = Duration::from_millis(20);
const AFTER_EVENT: Duration = Duration::from_millis(60);
const TIME_OUT: Duration = Duration::from_millis(300);
const TIME_OUT_BRIDGE: Duration = Duration::from_millis(150);

/// Between two polls of one module, and of one of a kind that may stop when it is asked too fast.
const SPACING: Duration = Duration::from_millis(200);
const SPACING_XP33LR: Duration = Duration::from_secs(2);

/// What the daemon waits for, and from when on it may speak.
pub(crate) struct Pace {
    bridges: BTreeSet<SerialNumber>,
    delicate: BTreeSet<SerialNumber>,
    /// While nobody but the poller asks: when each datapoint was asked last.
    alone: Option<BTreeMap<(SerialNumber, Datapoint), Duration>>,
    flight: Option<(System, Duration)>,
    free_at: Duration,
    /// What was heard in the latest instant: of two things in one instant, the wire does not show the order in
    /// which the daemon did them.
    instant: (Duration, Vec<Reply>),
}

impl Pace {
    pub(crate) fn new(bridges: BTreeSet<SerialNumber>, delicate: BTreeSet<SerialNumber>) -> Self {
        Self {
            bridges,
            delicate,
            alone: None,
            flight: None,
            free_at: Duration::ZERO,
            instant: (Duration::ZERO, Vec::new()),
        }
    }

    pub(crate) fn connected(&mut self) {
        self.flight = None;
        self.free_at = Duration::ZERO;
    }

    /// When what is in flight is given up.
    fn given_up(&self) -> Option<Duration> {
        let (waited, sent) = self.flight.as_ref()?;
        Some(*sent + if self.bridges.contains(&waited.serial) { TIME_OUT_BRIDGE } else { TIME_OUT })
    }

    /// From now on nobody but the poller asks, or others do again.
    pub(crate) fn leave_alone(&mut self, alone: bool) {
        self.alone = alone.then(BTreeMap::new);
    }

    fn space(&mut self, system: &System, now: Duration, court: &mut Court) {
        let (Some(alone), Some(datapoint)) = (&mut self.alone, system.reads()) else { return };
        let spacing = if self.delicate.contains(&system.serial) { SPACING_XP33LR } else { SPACING };
        let last = alone.insert((system.serial, datapoint), now);
        if let Some(last) = last.filter(|last| *last + spacing > now) {
            court.broken(Promise::Pacing, now, || format!("{system:?} was asked at {last:?} already"));
        }
    }

    pub(crate) fn wrote(&mut self, telegram: &Telegram, now: Duration, court: &mut Court) {
        if let Some(given_up) = self.given_up() {
            self.free_at = given_up + AFTER_REPLY;
            self.flight = None;
        }
        if now < self.free_at {
            let early = self.free_at.saturating_sub(now);
            court.broken(Promise::Pacing, now, || format!("{telegram} came {early:?} too soon"));
        }
        match telegram {
            Telegram::System(system) => {
                self.space(system, now, court);
                let answered =
                    self.instant.0 == now && self.instant.1.iter().any(|reply| answers(reply, system));
                self.flight = (!answered).then(|| (system.clone(), now));
                self.free_at = if answered { now + AFTER_REPLY } else { now };
            }
            _ => self.free_at = now + AFTER_EVENT,
        }
    }

    pub(crate) fn heard(&mut self, telegram: &Telegram, now: Duration) {
        let Telegram::Reply(reply) = telegram else { return };
        if self.instant.0 != now {
            self.instant = (now, Vec::new());
        }
        self.instant.1.push(reply.clone());
        if self.given_up().is_some_and(|given_up| given_up < now) {
            return;
        }
        if self.flight.take_if(|(waited, _)| answers(reply, waited)).is_some() {
            self.free_at = now + AFTER_REPLY;
        }
    }
}

fn answers(reply: &Reply, waited: &System) -> bool {
    reply.serial == waited.serial
        && match (waited.reads(), reply.function) {
            (_, Function::NAK) | (None, Function::ACK) => true,
            (Some(asked), Function::READ_DATAPOINT) => {
                reply.datapoint().is_some_and(|(told, _)| told == asked)
            }
            (None, function) => function == waited.function,
            (Some(_), _) => false,
        }
}
