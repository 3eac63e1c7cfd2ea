//! What goes wrong, and when: spells of bad weather with any mixture of faults, and single accidents.

use std::time::Duration;

use conbusd::conbus::{Point, SerialNumber};
use conbusd::emulator::{Dose, Ending, Fault, FaultKind};
use fastrand::Rng;

use crate::wire::Line;

/// How late a reply may be. With all that can hold it up besides it stays within the three seconds that the
/// update rule assumes.
const LATE_MAX_MS: u64 = 1_200;

/// How late a report may be; one that is no longer true by then is outside the assumptions of the update rule, and its
/// output is excused when it comes.
const REPORT_LATE_MAX_MS: u64 = 1_500;

/// After a restart: the module is deaf, then tells all outputs one after the other.
const RESTART: Duration = Duration::from_millis(2_435);
const DUMP: Duration = Duration::from_millis(500);

/// The weather over one house.
pub(crate) struct Weather {
    modules: Vec<SerialNumber>,
    ttl: Duration,
    /// When the spell, or the calm, is over.
    pub(crate) turns_at: Duration,
    pub(crate) stormy: bool,
    /// Until then replies may come late, so that no other master should ask.
    pub(crate) replies_late_until: Duration,
    restarting: Vec<(SerialNumber, Duration)>,
}

impl Weather {
    pub(crate) fn new(modules: Vec<SerialNumber>, ttl: Duration) -> Self {
        Self {
            modules,
            ttl,
            turns_at: Duration::from_secs(30),
            stormy: false,
            replies_late_until: Duration::ZERO,
            restarting: Vec::new(),
        }
    }

    /// Ends everything bad and lets none begin for this long.
    pub(crate) fn calm(&mut self, line: &Line, how_long: Duration) {
        let now = line.now();
        line.emulator.clear_faults();
        line.emulator.gateway_up(true);
        line.emulator.refuse_for(Duration::ZERO);
        line.chunk.set(0);
        if self.stormy {
            self.replies_late_until = self.replies_late_until.min(now + Duration::from_secs(3));
        }
        self.stormy = false;
        self.turns_at = now + how_long;
    }

    /// Changes the weather when it is time.
    pub(crate) fn turn(&mut self, line: &Line, chance: &mut Rng) {
        let now = line.now();
        self.after_restarts(line, now);
        if now < self.turns_at {
            return;
        }
        if self.stormy {
            self.calm(line, Duration::from_millis(chance.u64(1_000..90_000)));
            return;
        }
        self.stormy = true;
        self.turns_at = now + Duration::from_millis(chance.u64(1_000..60_000));
        // A stray reply that takes the place of a late one is beyond the update rule, as the model shows.
        let late = now < self.replies_late_until || chance.bool();
        for _ in 0..chance.u8(1..=4) {
            self.begin(line, chance, late);
        }
        if chance.u8(0..3) == 0 {
            line.chunk.set(chance.usize(1..24));
            line.court.borrow_mut().act("split");
        }
    }

    fn begin(&mut self, line: &Line, chance: &mut Rng, late_replies: bool) {
        let now = line.now();
        let serial = self.modules[chance.usize(0..self.modules.len())];
        let only = chance.bool().then_some(serial);
        let late = Duration::from_millis(chance.u64(50..LATE_MAX_MS));
        let kind = match chance.u8(0..16) {
            0 | 1 => FaultKind::LostReply,
            2 => FaultKind::LostReport,
            3 | 4 | 9..=11 if late_replies => FaultKind::LateReply(late),
            3 | 4 | 6 | 9 | 10 if !late_replies => FaultKind::Doubled,
            5 => FaultKind::LateReport(Duration::from_millis(chance.u64(50..REPORT_LATE_MAX_MS))),
            6 => FaultKind::ReorderedReply,
            7 => FaultKind::BadChecksum,
            8 => FaultKind::Truncated,
            11 => FaultKind::Refusal,
            12 => FaultKind::Silence,
            _ => {
                self.accident(line, chance, serial, now);
                return;
            }
        };
        let dose = match chance.u8(0..4) {
            0 => Dose::Next(chance.u32(1..12)),
            1 => Dose::Chance(0.02 + 0.1 * chance.f64()),
            2 => Dose::Chance(0.3 + 0.5 * chance.f64()),
            _ => Dose::ALWAYS,
        };
        let end = self.turns_at + Duration::from_secs(3);
        match kind {
            FaultKind::LateReply(_) | FaultKind::ReorderedReply => self.replies_late_until = end,
            _ => {}
        }
        line.emulator.fault(Fault { kind, serial: only, dose });
    }

    fn accident(&mut self, line: &Line, chance: &mut Rng, serial: SerialNumber, now: Duration) {
        match chance.u8(0..8) {
            0 | 1 => {
                let ways = [Ending::Fin, Ending::Rst, Ending::RstMidFrame, Ending::BlackHole];
                let how = ways[chance.usize(0..ways.len())];
                line.dead.set(line.dead.get() || how == Ending::BlackHole);
                line.court.borrow_mut().act(match how {
                    Ending::Fin => "fin",
                    Ending::Rst => "rst",
                    Ending::RstMidFrame => "rst_mid_frame",
                    Ending::BlackHole => "black_hole",
                });
                line.emulator.drop_client(how);
            }
            2 => {
                line.court.borrow_mut().act("refused");
                line.emulator.refuse_for(Duration::from_millis(chance.u64(100..40_000)));
                line.emulator.drop_client(Ending::Fin);
            }
            3 => {
                line.court.borrow_mut().act("gateway_down");
                line.emulator.gateway_up(false);
            }
            4 | 5 => {
                self.restarting.push((serial, now));
                line.emulator.restart(serial);
            }
            _ => {
                line.stormed.borrow_mut().push(serial);
                line.excuse_storms();
                line.emulator.storm(serial, chance.u32(20..300));
            }
        }
    }

    /// A change while a module tells all its outputs may be told before the older state that is on its way.
    fn after_restarts(&mut self, line: &Line, now: Duration) {
        let ttl = self.ttl;
        self.restarting.retain(|&(serial, since)| {
            let (back, over) = (since + RESTART, since + RESTART + DUMP);
            if now < over {
                return true;
            }
            let mut court = line.court.borrow_mut();
            let points: Vec<Point> = court.truth.points().filter(|point| point.serial == serial).collect();
            for point in points {
                if court.truth.of(point).on.changed(back, over) {
                    court.truth.excuse(now + ttl, |other| other == point);
                }
            }
            false
        });
    }

    /// Whether this module is about to tell all its outputs, so that nobody should touch it.
    pub(crate) fn is_restarting(&self, serial: SerialNumber) -> bool {
        self.restarting.iter().any(|(other, _)| *other == serial)
    }
}
