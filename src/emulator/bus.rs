//! The one pair of wires: who may speak when.
//!
//! Owns the telegrams that wait to be sent and the one that is being sent. Half duplex: one at a time, the one
//! that was ready first goes first (protocol reference 7.2).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::conbus::Telegram;

/// How long a telegram may be held back for another to overtake it.
const HELD_MAX: Duration = Duration::from_millis(500);

/// How many telegrams wait at most: half a minute of bus time.
const WAITING_MAX: usize = 1024;

/// Who sends a telegram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Author {
    /// The module with this place in the house.
    Module(usize),
    /// A panel, another master: something that is not one of the modules.
    Stranger,
}

/// One telegram on its way.
#[derive(Clone, Debug)]
pub(super) struct Transmission {
    pub(super) author: Author,
    /// What the client's wire gets; it differs from the telegram when a fault struck.
    pub(super) bytes: Vec<u8>,
    /// What the modules hear; nothing when it is only noise.
    pub(super) telegram: Option<Telegram>,
    /// How many actions led to it, one after the other.
    pub(super) depth: u8,
}

#[derive(Debug)]
struct Waiting {
    transmission: Transmission,
    takes: Duration,
}

/// The wires.
#[derive(Debug)]
pub(super) struct Bus {
    gap: Duration,
    waiting: BTreeMap<(Duration, u64), Waiting>,
    held: Vec<(Duration, Waiting)>,
    sending: Option<(Duration, Transmission)>,
    quiet_since: Duration,
    last_author: Option<Author>,
    sequence: u64,
}

impl Bus {
    pub(super) fn new(gap: Duration) -> Self {
        Self {
            gap,
            waiting: BTreeMap::new(),
            held: Vec::new(),
            sending: None,
            quiet_since: Duration::ZERO,
            last_author: None,
            sequence: 0,
        }
    }

    /// Whether so many telegrams wait that no module would still wait for its turn.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() + self.held.len() >= WAITING_MAX
    }

    /// Lets a telegram wait for its turn; it takes this long once it begins.
    pub(super) fn offer(&mut self, ready: Duration, takes: Duration, transmission: Transmission) {
        self.sequence += 1;
        self.waiting.insert((ready, self.sequence), Waiting { transmission, takes });
    }

    /// Holds a telegram back until another has been sent.
    pub(super) fn hold(&mut self, ready: Duration, takes: Duration, transmission: Transmission) {
        self.held.push((ready + HELD_MAX, Waiting { transmission, takes }));
    }

    /// When a telegram next begins or ends.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let ends_or_begins = match &self.sending {
            Some((end, _)) => Some(*end),
            None => self.waiting.first_key_value().map(|((ready, _), waiting)| {
                let gap = if Some(waiting.transmission.author) == self.last_author {
                    Duration::ZERO
                } else {
                    self.gap
                };
                let free = if self.last_author.is_some() { self.quiet_since + gap } else { Duration::ZERO };
                free.max(*ready)
            }),
        };
        let released = self.held.iter().map(|(deadline, _)| *deadline).min();
        ends_or_begins.into_iter().chain(released).min()
    }

    /// Does what is due now; a telegram that has been sent whole.
    pub(super) fn step(&mut self, now: Duration) -> Option<Transmission> {
        let (overdue, held) =
            std::mem::take(&mut self.held).into_iter().partition(|(until, _)| *until <= now);
        self.held = held;
        self.release(now, overdue);
        match self.sending.take() {
            Some((end, transmission)) if end <= now => {
                self.quiet_since = end;
                self.last_author = Some(transmission.author);
                let held = std::mem::take(&mut self.held);
                self.release(now, held);
                Some(transmission)
            }
            Some(sending) => {
                self.sending = Some(sending);
                None
            }
            None => {
                if self.next_due().is_some_and(|due| due <= now)
                    && let Some((_, Waiting { transmission, takes })) = self.waiting.pop_first()
                {
                    self.sending = Some((now + takes, transmission));
                }
                None
            }
        }
    }

    fn release(&mut self, now: Duration, held: Vec<(Duration, Waiting)>) {
        for (_, Waiting { transmission, takes }) in held {
            self.offer(now, takes, transmission);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn from(author: usize) -> Transmission {
        Transmission { author: Author::Module(author), bytes: Vec::new(), telegram: None, depth: 0 }
    }

    fn run(bus: &mut Bus) -> Vec<(u128, Author)> {
        let mut sent = Vec::new();
        while let Some(due) = bus.next_due() {
            sent.extend(bus.step(due).map(|transmission| (due.as_millis(), transmission.author)));
        }
        sent
    }

    #[test]
    fn one_speaks_at_a_time_and_leaves_a_gap_to_the_next() {
        let mut bus = Bus::new(10 * MS);
        bus.offer(30 * MS, 20 * MS, from(1));
        bus.offer(25 * MS, 20 * MS, from(0));
        bus.offer(46 * MS, 5 * MS, from(1));
        let m = Author::Module;
        assert_eq!(run(&mut bus), [(45, m(0)), (75, m(1)), (80, m(1))]);
    }

    #[test]
    fn a_held_telegram_lets_the_next_one_pass_and_waits_no_longer_than_half_a_second() {
        let mut bus = Bus::new(Duration::ZERO);
        bus.hold(10 * MS, 5 * MS, from(0));
        bus.offer(20 * MS, 5 * MS, from(1));
        assert_eq!(run(&mut bus), [(25, Author::Module(1)), (30, Author::Module(0))]);
        bus.hold(100 * MS, 5 * MS, from(0));
        assert_eq!(run(&mut bus), [(605, Author::Module(0))]);
    }
}
