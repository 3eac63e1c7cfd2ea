//! A module that repeats itself: detect, mute, probe, release (fault row 7, protocol reference 7.5).
//!
//! Owns what is known of repetition behind one gateway. It neither sends nor drops: it says which reply is not
//! to be passed on and which module is to be read.
//!
//! The sign is more than five identical unsolicited replies of one module within two seconds. Two a second, the
//! pace of the peer's emulator, stay below that (five in two seconds) on purpose: that pace harms nobody, and
//! other masters legitimately read as often. Events never count, because two equal ones may be two presses
//! (protocol reference 7.6).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::figures::{Histogram, names};
use super::{Agenda, Moment};
use crate::conbus::{Datapoint, DatapointValue, Reply, SerialNumber};

/// When repetition is a storm and what is done about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StormPlan {
    /// More identical unsolicited replies than this within `window` are a storm.
    pub repeats: usize,
    /// The time in which they are counted.
    pub window: Duration,
    /// Between two probes.
    pub probe_every: Duration,
    /// How many probes before giving up.
    pub probes: u8,
    /// How long no repeat must be heard before a healthy module is released.
    pub quiet: Duration,
    /// How long a module that was given up is left alone; doubles from time to time.
    pub rest: Duration,
    /// The longest such rest.
    pub rest_max: Duration,
    /// How many modules are watched at most: a bound on memory, above the 255 that a bus carries in practice.
    pub tracked: usize,
}

impl Default for StormPlan {
    fn default() -> Self {
        Self {
            repeats: 5,
            window: Duration::from_secs(2),
            probe_every: Duration::from_millis(300),
            probes: 5,
            quiet: Duration::from_secs(1),
            rest: Duration::from_secs(30),
            rest_max: Duration::from_secs(600),
            tracked: 256,
        }
    }
}

/// What is to be done about a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StormEffect {
    /// The module repeats itself: it is muted and not to be polled.
    Started {
        /// Which module.
        serial: SerialNumber,
    },
    /// Read D10 of the module, ahead of all but commands: that stops it.
    Probe {
        /// Which module.
        serial: SerialNumber,
        /// Which probe of the row, from 1.
        number: u8,
    },
    /// The module is healthy and quiet again: poll it, and read its outputs first.
    Released {
        /// Which module.
        serial: SerialNumber,
    },
    /// Every probe was without effect: the owner must look. The module stays muted and is probed again from
    /// time to time. Told once a storm.
    GaveUp {
        /// Which module.
        serial: SerialNumber,
    },
}

/// What is watched of one module: its latest distinct unsolicited reply and when it came last.
#[derive(Debug)]
struct Track {
    frame: Reply,
    /// At most as many as make a storm.
    heard: VecDeque<Moment>,
    mute: Option<Mute>,
}

/// A module that repeats itself.
#[derive(Debug)]
struct Mute {
    frame: Reply,
    since: Moment,
    last_repeat: Moment,
    /// Whether its latest D10 was 00 and no repeat came since.
    calm: bool,
    probes_sent: u8,
    /// The next probe, or the end of the probing or of the rest.
    next_step: Moment,
    /// The next rest; `None` before the first.
    rest: Option<Duration>,
}

/// Watches the replies of one gateway for modules that repeat themselves.
#[derive(Debug)]
pub struct Storm {
    plan: StormPlan,
    tracks: BTreeMap<SerialNumber, Track>,
    agenda: Agenda<SerialNumber>,
    storms_total: u64,
    dropped_total: u64,
    recoveries: Histogram,
}

impl Storm {
    /// Watches by this plan.
    pub fn new(plan: StormPlan) -> Self {
        Self {
            plan,
            tracks: BTreeMap::new(),
            agenda: Agenda::default(),
            storms_total: 0,
            dropped_total: 0,
            recoveries: Histogram::new(names::STORMS),
        }
    }

    /// Hears a reply and says whether to pass it on; `solicited` when it answers an exchange of ours.
    ///
    /// Only repeats of the muted frame are dropped. An answer of ours that looks the same is dropped too while
    /// the repeats last, because it cannot be told from them and its state may be old; it does not count as a
    /// repeat. The answer to a probe always passes.
    pub fn heard_reply(
        &mut self,
        reply: &Reply,
        solicited: bool,
        now: Moment,
        effects: &mut Vec<StormEffect>,
    ) -> bool {
        let health = reply.value().filter(|(datapoint, _)| *datapoint == Datapoint::ERROR_CODE);
        if let Some(mute) = self.tracks.get_mut(&reply.serial).and_then(|track| track.mute.as_mut()) {
            let repeat = mute.frame == *reply;
            if let Some((_, value)) = health.filter(|_| solicited || !repeat) {
                self.told_health(reply.serial, &value, now);
                return true;
            }
            if repeat && !solicited {
                self.repeated(reply.serial, now);
            }
            if repeat {
                return self.pass_answer(reply.serial, solicited, now);
            }
        }
        if solicited || !self.counts_to_a_storm(reply, now) {
            return true;
        }
        self.mute(reply, now, effects);
        self.dropped_total += 1;
        false
    }

    /// Does what is due: probes, releases, gives up.
    pub fn due(&mut self, now: Moment, effects: &mut Vec<StormEffect>) {
        while let Some(serial) = self.agenda.pop_due(now) {
            let Some(mute) = self.tracks.get_mut(&serial).and_then(|track| track.mute.as_mut()) else {
                continue;
            };
            let quiet_at = mute.last_repeat + self.plan.quiet;
            if mute.calm && quiet_at <= now {
                self.recoveries.took(now.since(mute.since));
                self.tracks.remove(&serial);
                effects.push(StormEffect::Released { serial });
                continue;
            }
            if mute.calm {
                self.agenda.set(serial, quiet_at);
                continue;
            }
            if mute.probes_sent < self.plan.probes {
                mute.probes_sent += 1;
                mute.next_step = now + self.plan.probe_every;
                effects.push(StormEffect::Probe { serial, number: mute.probes_sent });
            } else {
                if mute.rest.is_none() {
                    effects.push(StormEffect::GaveUp { serial });
                }
                let rest = mute.rest.unwrap_or(self.plan.rest).min(self.plan.rest_max);
                mute.rest = Some(rest.saturating_mul(2));
                mute.probes_sent = 0;
                mute.next_step = now + rest;
            }
            self.agenda.set(serial, mute.next_step);
        }
    }

    /// When to call [`Storm::due`] next.
    pub fn next_due(&self) -> Option<Moment> {
        self.agenda.next_due()
    }

    /// Forgets everything but the counters and tells which modules were muted until now: what a module does on
    /// the next connection is judged anew.
    pub fn link_lost(&mut self) -> Vec<SerialNumber> {
        self.agenda = Agenda::default();
        std::mem::take(&mut self.tracks)
            .into_iter()
            .filter_map(|(serial, track)| track.mute.is_some().then_some(serial))
            .collect()
    }

    /// Whether the module is muted.
    pub fn is_storming(&self, serial: SerialNumber) -> bool {
        self.tracks.get(&serial).is_some_and(|track| track.mute.is_some())
    }

    /// How many storms began.
    pub fn storms_total(&self) -> u64 {
        self.storms_total
    }

    /// How many repeats were not passed on.
    pub fn dropped_total(&self) -> u64 {
        self.dropped_total
    }

    /// How long storms lasted until their modules were healthy and quiet.
    pub fn recoveries(&self) -> &Histogram {
        &self.recoveries
    }

    /// Whether an answer of ours that equals the muted frame may pass: when the repeats have ended.
    fn pass_answer(&mut self, serial: SerialNumber, solicited: bool, now: Moment) -> bool {
        let mute = self.tracks.get(&serial).and_then(|track| track.mute.as_ref());
        let quiet = mute.is_none_or(|mute| now.since(mute.last_repeat) >= self.plan.quiet);
        let passes = solicited && quiet;
        if !passes {
            self.dropped_total += 1;
        }
        passes
    }

    fn told_health(&mut self, serial: SerialNumber, value: &DatapointValue, now: Moment) {
        let Some(mute) = self.tracks.get_mut(&serial).and_then(|track| track.mute.as_mut()) else { return };
        mute.calm = *value == DatapointValue::ErrorCode(0);
        let step = if mute.calm { mute.last_repeat + self.plan.quiet } else { mute.next_step };
        self.agenda.set(serial, step.max(now));
    }

    fn repeated(&mut self, serial: SerialNumber, now: Moment) {
        let Some(mute) = self.tracks.get_mut(&serial).and_then(|track| track.mute.as_mut()) else { return };
        mute.last_repeat = now;
        // Only the first repeat after a healthy answer changes the agenda: at 1000 a second the rest is free.
        if mute.calm {
            mute.calm = false;
            self.agenda.set(serial, mute.next_step.max(now));
        }
    }

    /// Counts an unsolicited reply; whether it is the one that makes a storm.
    fn counts_to_a_storm(&mut self, reply: &Reply, now: Moment) -> bool {
        self.make_room_for(reply.serial);
        if !self.tracks.contains_key(&reply.serial) && self.tracks.len() >= self.plan.tracked {
            return false;
        }
        let track = self.tracks.entry(reply.serial).or_insert_with(|| Track {
            frame: reply.clone(),
            heard: VecDeque::new(),
            mute: None,
        });
        if track.frame != *reply {
            track.frame = reply.clone();
            track.heard.clear();
        }
        while track.heard.front().is_some_and(|first| now.since(*first) > self.plan.window) {
            track.heard.pop_front();
        }
        track.heard.push_back(now);
        track.heard.len() > self.plan.repeats
    }

    /// Forgets the module heard longest ago, unless it storms, when a stranger finds no room.
    fn make_room_for(&mut self, serial: SerialNumber) {
        if self.tracks.len() < self.plan.tracked || self.tracks.contains_key(&serial) {
            return;
        }
        let calm = self.tracks.iter().filter(|(_, track)| track.mute.is_none());
        let oldest = calm.min_by_key(|(_, track)| track.heard.back().copied()).map(|(serial, _)| *serial);
        if let Some(oldest) = oldest {
            self.tracks.remove(&oldest);
        }
    }

    /// Mutes this frame. A module that storms already and has begun to repeat another frame only changes what
    /// is dropped: the probing goes on.
    fn mute(&mut self, reply: &Reply, now: Moment, effects: &mut Vec<StormEffect>) {
        let serial = reply.serial;
        let Some(track) = self.tracks.get_mut(&serial) else { return };
        track.heard.clear();
        if let Some(mute) = &mut track.mute {
            mute.frame = reply.clone();
            self.repeated(serial, now);
            return;
        }
        track.mute = Some(Mute {
            frame: reply.clone(),
            since: now,
            last_repeat: now,
            calm: false,
            probes_sent: 0,
            next_step: now,
            rest: None,
        });
        self.storms_total += 1;
        effects.push(StormEffect::Started { serial });
        self.agenda.set(serial, now);
        self.due(now, effects);
    }
}

#[cfg(test)]
mod tests;
