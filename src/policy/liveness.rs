//! Whether the gateway is still there (fault row 1 of the reliability notes).
//!
//! A half-open connection looks like a quiet house. This policy owns the suspicion: silence, or queries in a row
//! that stay unanswered, lead to a probe, and only a probe that could prove something ends a connection. It
//! knows neither sockets nor telegrams: whoever owns them reads D10 of the targets and closes on a verdict.

use std::collections::VecDeque;
use std::time::Duration;

use super::Moment;
use crate::conbus::SerialNumber;

/// How many of the modules heard last are remembered as possible targets.
const REMEMBERED: usize = 8;
/// How many of them are probed: one may have lost its power just now.
const TARGETS: usize = 2;

/// When to suspect and how long to wait for proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LivenessPlan {
    /// Silence for this long is suspect.
    pub silence: Duration,
    /// This many unanswered queries in a row, with nothing heard in between, are suspect.
    pub unanswered: u32,
    /// How long the targets of a probe have to answer.
    pub patience: Duration,
}

impl Default for LivenessPlan {
    fn default() -> Self {
        Self { silence: Duration::from_secs(30), unanswered: 5, patience: Duration::from_secs(2) }
    }
}

/// What to do about a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Read D10 of these modules; anything heard proves the link.
    Probe(Vec<SerialNumber>),
    /// The link is half-open: close it and dial again.
    Dead,
}

/// A module that answered once.
#[derive(Clone, Copy, Debug)]
struct Witness {
    serial: SerialNumber,
    /// A query to it went unanswered since: it may have lost its power rather than the link.
    doubtful: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No connection.
    Down,
    /// Suspicion rises when this moment comes without anything heard.
    Watching { suspect_at: Moment },
    /// The targets have until then.
    Probing { until: Moment, proves: bool },
}

/// Watches one link.
#[derive(Debug)]
pub struct Liveness {
    plan: LivenessPlan,
    bridge: Option<SerialNumber>,
    phase: Phase,
    unanswered: u32,
    /// Whether the bridge answered on this or an earlier connection.
    bridge_answered: bool,
    /// Last heard first, on this or an earlier connection.
    witnesses: VecDeque<Witness>,
}

impl Liveness {
    /// Watches by this plan; `bridge` is the configured XP130 or XP230 of the gateway.
    pub fn new(plan: LivenessPlan, bridge: Option<SerialNumber>) -> Self {
        Self {
            plan,
            bridge,
            phase: Phase::Down,
            unanswered: 0,
            bridge_answered: false,
            witnesses: VecDeque::new(),
        }
    }

    /// The configured bridge is another one, or there is none.
    pub fn with_bridge(&mut self, bridge: Option<SerialNumber>) {
        if self.bridge != bridge {
            (self.bridge, self.bridge_answered) = (bridge, false);
        }
    }

    /// Notes a new connection. Who answered on earlier ones is remembered.
    pub fn connected(&mut self, now: Moment) {
        self.watch(now);
    }

    /// Notes that the connection is gone, for whatever reason: nothing is due.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Down;
    }

    /// Notes a valid telegram: the link lives. Events carry no serial number.
    pub fn heard(&mut self, serial: Option<SerialNumber>, now: Moment) {
        if self.phase == Phase::Down {
            return;
        }
        self.watch(now);
        let Some(serial) = serial.filter(|serial| !serial.is_broadcast()) else { return };
        if Some(serial) == self.bridge {
            self.bridge_answered = true;
            return;
        }
        self.witnesses.retain(|witness| witness.serial != serial);
        self.witnesses.truncate(REMEMBERED - 1);
        self.witnesses.push_front(Witness { serial, doubtful: false });
    }

    /// Notes that a query to this module timed out.
    pub fn unanswered(&mut self, serial: SerialNumber, now: Moment) {
        if let Some(witness) = self.witnesses.iter_mut().find(|witness| witness.serial == serial) {
            witness.doubtful = true;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        if let Phase::Watching { suspect_at } = &mut self.phase
            && self.unanswered >= self.plan.unanswered
        {
            *suspect_at = now.min(*suspect_at);
        }
    }

    /// What to do now, if anything.
    pub fn due(&mut self, now: Moment) -> Option<Verdict> {
        match self.phase {
            Phase::Watching { suspect_at } if suspect_at <= now => self.probe(now),
            // The process itself stood still: an answer may lie unread in the socket.
            Phase::Probing { until, .. } if now.since(until) > self.plan.patience => self.probe(now),
            Phase::Probing { until, proves: true } if until <= now => {
                self.phase = Phase::Down;
                Some(Verdict::Dead)
            }
            Phase::Probing { until, proves: false } if until <= now => {
                self.watch(now);
                None
            }
            _ => None,
        }
    }

    /// When to call [`Liveness::due`] next.
    pub fn next_due(&self) -> Option<Moment> {
        match self.phase {
            Phase::Down => None,
            Phase::Watching { suspect_at } => Some(suspect_at),
            Phase::Probing { until, .. } => Some(until),
        }
    }

    fn probe(&mut self, now: Moment) -> Option<Verdict> {
        let (targets, proves) = self.targets();
        if targets.is_empty() {
            self.watch(now);
            return None;
        }
        self.phase = Phase::Probing { until: now + self.plan.patience, proves };
        Some(Verdict::Probe(targets))
    }

    fn watch(&mut self, now: Moment) {
        self.unanswered = 0;
        self.phase = Phase::Watching { suspect_at: now + self.plan.silence };
    }

    /// Whom to ask, and whether their silence would prove anything.
    ///
    /// The bridge answers fastest and loads nobody (protocol reference 7.1), but one that has never answered
    /// may be a mistake in the config: then those who did answer are asked. Of these, one whose query just went
    /// unanswered comes last.
    fn targets(&self) -> (Vec<SerialNumber>, bool) {
        if self.bridge_answered || self.witnesses.is_empty() {
            return (self.bridge.into_iter().collect(), self.bridge_answered);
        }
        let mut witnesses: Vec<Witness> = self.witnesses.iter().copied().collect();
        witnesses.sort_by_key(|witness| witness.doubtful);
        (witnesses.into_iter().take(TARGETS).map(|witness| witness.serial).collect(), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn serial(number: u64) -> SerialNumber {
        format!("{number:010}").parse().unwrap()
    }

    fn probe(numbers: &[u64]) -> Verdict {
        Verdict::Probe(numbers.iter().map(|number| serial(*number)).collect())
    }

    fn connected(bridge: Option<u64>) -> Liveness {
        let mut liveness = Liveness::new(LivenessPlan::default(), bridge.map(serial));
        liveness.connected(at(0));
        liveness
    }

    #[test]
    fn half_a_minute_of_silence_leads_to_a_probe_of_the_bridge_and_then_to_the_end() {
        let mut liveness = connected(Some(1));
        liveness.heard(Some(serial(1)), at(1_000));
        liveness.heard(Some(serial(7)), at(2_000));
        liveness.heard(None, at(5_000));
        assert_eq!(liveness.next_due(), Some(at(35_000)));
        assert_eq!(liveness.due(at(34_999)), None);
        assert_eq!(liveness.due(at(35_000)), Some(probe(&[1])));
        assert_eq!((liveness.due(at(36_999)), liveness.next_due()), (None, Some(at(37_000))));
        assert_eq!(liveness.due(at(37_000)), Some(Verdict::Dead));
        assert_eq!((liveness.due(at(99_000)), liveness.next_due()), (None, None), "told once");
    }

    #[test]
    fn five_unanswered_queries_in_a_row_lead_to_a_probe_at_once() {
        let mut liveness = connected(Some(1));
        liveness.heard(Some(serial(1)), at(100));
        for time in [1_000, 1_300, 1_600, 1_900] {
            liveness.unanswered(serial(7), at(time));
        }
        liveness.heard(None, at(2_000));
        for time in [2_100, 2_400, 2_700, 3_000] {
            liveness.unanswered(serial(7), at(time));
        }
        assert_eq!(liveness.due(at(3_000)), None, "something was heard in between");
        liveness.unanswered(serial(7), at(3_300));
        assert_eq!(liveness.next_due(), Some(at(3_300)));
        assert_eq!(liveness.due(at(3_300)), Some(probe(&[1])));
    }

    #[test]
    fn anything_heard_ends_a_probe() {
        let mut liveness = connected(Some(1));
        liveness.heard(Some(serial(1)), at(0));
        assert_eq!(liveness.due(at(30_000)), Some(probe(&[1])));
        liveness.unanswered(serial(1), at(30_200));
        liveness.heard(None, at(31_000));
        assert_eq!((liveness.due(at(32_000)), liveness.next_due()), (None, Some(at(61_000))));
    }

    #[test]
    fn without_a_bridge_the_two_modules_heard_last_are_asked() {
        let mut liveness = connected(None);
        for (number, time) in [(5, 10), (6, 20), (7, 30), (6, 40)] {
            liveness.heard(Some(serial(number)), at(time));
        }
        liveness.heard(Some(SerialNumber::BROADCAST), at(50));
        assert_eq!(liveness.due(at(30_050)), Some(probe(&[6, 7])));
        assert_eq!(liveness.due(at(32_050)), Some(Verdict::Dead));
    }

    #[test]
    fn a_module_that_just_lost_its_power_is_not_the_one_to_ask() {
        let mut liveness = connected(None);
        for (number, time) in [(5, 10), (6, 20), (7, 30)] {
            liveness.heard(Some(serial(number)), at(time));
        }
        for time in 100..105 {
            liveness.unanswered(serial(7), at(time));
        }
        assert_eq!(liveness.due(at(104)), Some(probe(&[6, 5])));
        liveness.heard(Some(serial(7)), at(200));
        assert_eq!(liveness.due(at(30_200)), Some(probe(&[7, 6])), "heard again: trusted again");
    }

    #[test]
    fn a_bridge_that_never_answered_proves_nothing() {
        let mut liveness = connected(Some(1));
        let mut probes = 0;
        for second in 0..3_600 {
            match liveness.due(at(second * 1_000)) {
                Some(verdict) => {
                    probes += 1;
                    assert_eq!(verdict, probe(&[1]));
                }
                None => liveness.unanswered(serial(1), at(second * 1_000)),
            }
        }
        assert!(probes > 100);
        liveness.heard(Some(serial(7)), at(3_600_000));
        assert_eq!(liveness.due(at(3_630_000)), Some(probe(&[7])), "who has answered is asked instead");
        assert_eq!(liveness.due(at(3_632_000)), Some(Verdict::Dead));
    }

    #[test]
    fn when_nobody_was_ever_heard_there_is_nobody_to_ask() {
        let mut liveness = connected(None);
        for time in 0..20 {
            liveness.unanswered(serial(7), at(time));
        }
        assert_eq!((liveness.due(at(20)), liveness.next_due()), (None, Some(at(30_020))));
    }

    #[test]
    fn who_answered_on_an_earlier_connection_proves_that_this_one_is_dead() {
        for bridge in [Some(1), None] {
            let mut liveness = connected(bridge);
            liveness.heard(Some(serial(1)), at(10));
            liveness.disconnected();
            assert_eq!((liveness.next_due(), liveness.due(at(90_000))), (None, None));
            liveness.heard(None, at(90_000));
            assert_eq!(liveness.next_due(), None, "a late telegram of a closed link revives nothing");
            liveness.connected(at(100_000));
            assert_eq!(liveness.due(at(130_000)), Some(probe(&[1])));
            assert_eq!(liveness.due(at(132_000)), Some(Verdict::Dead));
        }
    }

    #[test]
    fn a_stall_gives_the_targets_their_time_before_any_verdict() {
        let mut liveness = connected(Some(1));
        liveness.heard(Some(serial(1)), at(10));
        assert_eq!(liveness.due(at(3_600_000)), Some(probe(&[1])));
        assert_eq!(liveness.due(at(3_602_000)), Some(Verdict::Dead));
    }

    #[test]
    fn a_stall_during_a_probe_is_no_verdict_because_the_answer_may_wait_unread() {
        let mut liveness = connected(Some(1));
        liveness.heard(Some(serial(1)), at(0));
        assert_eq!(liveness.due(at(30_000)), Some(probe(&[1])));
        assert_eq!(liveness.due(at(90_000)), Some(probe(&[1])));
        assert_eq!(liveness.due(at(92_100)), Some(Verdict::Dead));
    }

    #[test]
    fn no_more_than_eight_modules_are_remembered() {
        let mut liveness = connected(None);
        for number in 1..1_000 {
            liveness.heard(Some(serial(number)), at(number));
            assert!(liveness.witnesses.len() <= REMEMBERED);
        }
    }
}
