//! What the outputs of the house really did, and what the wire really said about them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use conbusd::conbus::{Percent, Point};

/// How long the wire's words are kept one by one; longer than any freshness bound of a run.
const KEPT: Duration = Duration::from_secs(120);

/// Every value that something had, each with the time since when it had it.
#[derive(Debug)]
pub(crate) struct Line<T> {
    versions: Vec<(Duration, T)>,
}

impl<T: Copy + PartialEq> Line<T> {
    fn new(value: T) -> Self {
        Self { versions: vec![(Duration::ZERO, value)] }
    }

    fn note(&mut self, at: Duration, value: T) {
        if self.latest() != value {
            self.versions.push((at, value));
        }
    }

    pub(crate) fn latest(&self) -> T {
        self.versions[self.versions.len() - 1].1
    }

    /// Since when the latest value holds.
    pub(crate) fn since(&self) -> Duration {
        self.versions[self.versions.len() - 1].0
    }

    /// The first version, not before `floor`, that had this value at some time between `from` and `to`.
    pub(crate) fn held(&self, value: T, from: Duration, to: Duration, floor: usize) -> Option<usize> {
        let first = self.versions.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        // A version that ended in the very instant of `from` was still so in that instant.
        let first = if self.versions[first].0 == from { first.saturating_sub(1) } else { first };
        (first.max(floor)..self.versions.len())
            .take_while(|&version| self.versions[version].0 <= to)
            .find(|&version| self.versions[version].1 == value)
    }

    /// Whether it changed between these times.
    pub(crate) fn changed(&self, from: Duration, to: Duration) -> bool {
        let first = self.versions.partition_point(|(at, _)| *at < from);
        self.versions.get(first).is_some_and(|(at, _)| *at <= to)
    }

    /// The last versions, for a report.
    pub(crate) fn tail(&self) -> &[(Duration, T)] {
        &self.versions[self.versions.len().saturating_sub(6)..]
    }
}

/// What the wire said about one value.
#[derive(Debug, Default)]
pub(crate) struct Said {
    recent: VecDeque<(Duration, u8)>,
    ever: Vec<u8>,
}

impl Said {
    fn note(&mut self, at: Duration, value: u8) {
        while self.recent.front().is_some_and(|(said, _)| *said + KEPT < at) {
            self.recent.pop_front();
        }
        self.recent.push_back((at, value));
        if !self.ever.contains(&value) {
            self.ever.push(value);
        }
    }

    pub(crate) fn since(&self, from: Duration, value: u8) -> bool {
        self.recent.iter().rev().take_while(|(said, _)| *said >= from).any(|(_, said)| *said == value)
    }

    /// Whether nothing was ever said.
    pub(crate) fn is_silent(&self) -> bool {
        self.ever.is_empty()
    }

    pub(crate) fn ever(&self, value: u8) -> bool {
        self.ever.contains(&value)
    }

    pub(crate) fn tail(&self) -> Vec<(Duration, u8)> {
        self.recent.iter().rev().take(6).rev().copied().collect()
    }
}

/// One output: its truth, and what was said of it to the daemon.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) on: Line<bool>,
    pub(crate) level: Line<u8>,
    pub(crate) said_on: Said,
    pub(crate) said_level: Said,
    /// Until then something outside the assumptions of the update rule may show.
    pub(crate) excused_until: Duration,
}

impl Life {
    /// Whether anything of it changed between these times.
    pub(crate) fn changed(&self, from: Duration, to: Duration) -> bool {
        self.on.changed(from, to) || self.level.changed(from, to)
    }
}

/// Every output of the house.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    lives: BTreeMap<Point, Life>,
}

impl Truth {
    /// Notes the state of every output at this time.
    pub(crate) fn sample(&mut self, at: Duration, outputs: &[(Point, Percent)]) {
        for &(point, level) in outputs {
            let (on, level) = (level != Percent::OFF, level.get());
            let life = self.lives.entry(point).or_insert_with(|| Life {
                on: Line::new(on),
                level: Line::new(level),
                said_on: Said::default(),
                said_level: Said::default(),
                excused_until: Duration::ZERO,
            });
            life.on.note(at, on);
            life.level.note(at, level);
        }
    }

    /// Notes that the daemon was told an on/off state.
    pub(crate) fn said_on(&mut self, at: Duration, point: Point, on: bool) {
        if let Some(life) = self.lives.get_mut(&point) {
            life.said_on.note(at, u8::from(on));
        }
    }

    /// Notes that the daemon was told a level.
    pub(crate) fn said_level(&mut self, at: Duration, point: Point, level: u8) {
        if let Some(life) = self.lives.get_mut(&point) {
            life.said_level.note(at, level);
        }
    }

    pub(crate) fn of(&self, point: Point) -> &Life {
        &self.lives[&point]
    }

    pub(crate) fn points(&self) -> impl Iterator<Item = Point> {
        self.lives.keys().copied()
    }

    /// Excuses what is shown of these outputs until then.
    pub(crate) fn excuse(&mut self, until: Duration, which: impl Fn(Point) -> bool) {
        for (_, life) in self.lives.iter_mut().filter(|(point, _)| which(**point)) {
            life.excused_until = life.excused_until.max(until);
        }
    }
}

#[test]
fn a_value_is_found_only_where_it_held() {
    let s = Duration::from_secs;
    let mut line = Line::new(false);
    line.note(s(10), true);
    line.note(s(20), false);
    assert_eq!(line.held(true, s(0), s(9), 0), None);
    assert_eq!(line.held(true, s(5), s(12), 0), Some(1));
    assert_eq!(line.held(false, s(11), s(12), 0), None);
    assert_eq!(line.held(false, s(5), s(30), 1), Some(2));
    assert_eq!(line.held(true, s(20), s(30), 0), Some(1), "in the very instant of its end");
    assert!(line.changed(s(10), s(11)) && !line.changed(s(11), s(19)));
}
