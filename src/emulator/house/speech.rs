//! How what modules say gets onto the bus and to the client: pace, faults, bytes.

use std::time::Duration;

use crate::conbus::{Piece, Splitter, Telegram};

use super::super::bus::{Author, Transmission};
use super::super::faults::Shape;
use super::super::gateway::Sent;
use super::super::module::{Pace, Utterance};
use super::super::setup::Dialect;
use super::{House, Job};

impl House {
    /// A module says these things one after the other, each when it is time.
    pub(super) fn speak(&mut self, now: Duration, place: usize, said: Vec<Utterance>, depth: u8) {
        let serial = self.modules[place].serial();
        let bridge = self.is_bridge(place);
        let mut last_end = None;
        for Utterance { telegram, pace: after } in said {
            let fate = self.faults.fate(&telegram, serial);
            let mut transmission = self.plain(Author::Module(place), telegram, depth);
            let takes = self.timing.on_the_bus(transmission.bytes.len());
            let mut ready = self.ready(now, place, after, last_end, takes);
            if matches!(after, Pace::Report | Pace::Dump) {
                // A module tells what happened in the order in which it happened.
                ready = ready.max(self.reported[place]);
                self.reported[place] = ready;
            }
            last_end = Some(ready + takes);
            ready += fate.later;
            match fate.shape {
                Shape::Whole => {}
                Shape::Lost => continue,
                Shape::Spoilt => spoil(&mut transmission.bytes),
                Shape::Cut(length) => transmission.bytes.truncate(length),
            }
            if fate.shape != Shape::Whole {
                transmission.telegram = None;
            }
            for _ in 0..=u8::from(fate.doubled) {
                let transmission = transmission.clone();
                if self.bus.is_full() {
                    self.ledger.counters.telegrams_dropped += 1;
                } else if bridge || after == Pace::Storm {
                    self.at(ready, Job::Deliver(transmission));
                } else if fate.reordered {
                    self.bus.hold(ready, takes, transmission);
                } else {
                    self.bus.offer(ready, takes, transmission);
                }
            }
        }
    }

    /// When a module may begin to speak (protocol reference 7.2).
    fn ready(
        &mut self,
        now: Duration,
        place: usize,
        after: Pace,
        last_end: Option<Duration>,
        takes: Duration,
    ) -> Duration {
        let timing = self.timing;
        let extra = match after {
            Pace::Storm => return now,
            Pace::Report => {
                let delay = (timing.report + self.up_to(2 * timing.report_jitter))
                    .saturating_sub(timing.report_jitter + takes);
                return last_end.unwrap_or(now) + delay;
            }
            Pace::Next => return last_end.unwrap_or(now),
            Pace::Dump => return last_end.unwrap_or(now) + timing.dump_gap,
            Pace::Answer => Duration::ZERO,
            Pace::Command => timing.command,
            Pace::Write => timing.write,
            Pace::Flash => timing.flash,
        };
        let jitter = self.up_to(timing.jitter);
        if self.is_bridge(place) {
            return now + timing.bridge + jitter;
        }
        now + timing.turnaround + extra + self.modules[place].setup().latency + jitter
    }

    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        let most = most.as_micros() as u64;
        Duration::from_micros(self.chance.u64(0..=most))
    }

    pub(super) fn plain(&self, author: Author, telegram: Telegram, depth: u8) -> Transmission {
        let mut bytes = telegram.to_bytes();
        if self.dialect == Dialect::Peer {
            bytes.push(b'\n');
        }
        Transmission { author, bytes, telegram: Some(telegram), depth }
    }

    pub(super) fn deliver(&mut self, now: Duration, transmission: &Transmission) {
        match self.gateway.send(&transmission.bytes) {
            Sent::Queued => self.ledger.told(now, transmission.telegram.as_ref()),
            Sent::Full => self.ledger.counters.telegrams_dropped += 1,
            Sent::NobodyThere => {}
        }
    }

    /// Two modules speak at once: what arrives is both frames laid over each other.
    pub(super) fn collide(&mut self, when: Duration, place: usize, one: &[Utterance], other: &[Utterance]) {
        let (Some(one), Some(other)) = (one.first(), other.first()) else { return };
        let (one, other) = (one.telegram.to_bytes(), other.telegram.to_bytes());
        let mut bytes: Vec<u8> = one.iter().zip(&other).map(|(a, b)| a | b).collect();
        // By chance the sum may agree and make a module that is not there; that would be another fault.
        if let Some(Piece::Frame(_)) = Splitter::new().next_piece(&mut bytes.as_slice()) {
            spoil(&mut bytes);
        }
        let takes = self.timing.on_the_bus(bytes.len());
        let noise = Transmission { author: Author::Module(place), bytes, telegram: None, depth: 0 };
        self.bus.offer(when + self.timing.turnaround, takes, noise);
    }
}

/// Makes the checksum of a frame disagree.
fn spoil(frame: &mut [u8]) {
    let letter =
        frame.iter().rposition(|&byte| byte == b'>').and_then(|end| frame.get_mut(..end)?.last_mut());
    if let Some(letter) = letter {
        *letter = if *letter == b'P' { b'A' } else { *letter + 1 };
    }
}
