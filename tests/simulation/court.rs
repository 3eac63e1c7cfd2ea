//! The judge: everything that readers are told, and everything on the wire, against the truth.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::time::Duration;

use conbusd::conbus::Point;
use conbusd::doors::Reload;
use conbusd::policy::store::Want;
use conbusd::policy::{Freshness, Moment, Origin};

use crate::truth::Truth;

/// How long before it was heard a report may have become true: 55 ms after the change it wants to speak, and
/// then the bus may be busy.
const REPORT_LAG: Duration = Duration::from_millis(700);

/// The same for a reply that another master caused: the assumption F of the update rule.
const REPLY_LAG: Duration = Duration::from_millis(100);

/// What finds no room in a mailbox is told again after 100 ms, and three mailboxes lie between a link and a door: until then
/// somebody may not know that it was lost.
pub(crate) const TOLD_AGAIN: Duration = Duration::from_millis(300);

/// How many violations of one promise are told in full.
const TOLD_MAX: u64 = 3;

/// What was promised and not kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Promise {
    /// S1: a value that the module never sent in that time.
    Provenance,
    /// S2: a fresh value older than one shown before.
    Monotonic,
    /// S3: fresh, and the output had no such state in that time.
    Freshness,
    /// S4: fresh beyond the bound, or with the link down.
    Expired,
    /// S6: a value of which nothing was ever said.
    Invention,
    /// S5: a confirmed command that did not happen, or a fresh read without it.
    OwnWrites,
    /// A reading younger than asked for, or not told stale.
    MaxAge,
    /// S7: an answer that came too late.
    Deadline,
    /// S8: more than one telegram for one question.
    SingleFlight,
    /// A telegram too soon.
    Pacing,
    /// A second connection, or one dialled in haste.
    Connection,
    /// A queue beyond its bound.
    Queue,
    /// A door that takes a wish for another one.
    Wish,
    /// Not fresh and true again in time after the faults had stopped.
    Liveness,
    /// S7: a module in use that nobody asked for two periods, though there was bus time.
    Refreshed,
    /// S9: what was kept over a restart was vouched for, or announced.
    Restart,
    /// A reload that failed, or touched the link.
    Reload,
    /// An actor died, or could not stop.
    Alive,
}

/// Who shows a state; each of them must be monotonic by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Window {
    /// The cache to whoever reads it.
    Cache,
    /// An accessory to its readers.
    Accessory,
    /// An accessory to the doors.
    Told,
    /// The HTTP door to whoever asks.
    Http,
    /// The HTTP door to whoever follows.
    HttpEvent,
    /// The HomeKit door, in answers and events.
    HomeKit,
    /// The MQTT door, as it lies at the broker.
    Mqtt,
}

impl Window {
    /// Whether its words say how fresh they are; those of the other doors are the last ones that were told.
    fn says_freshness(self) -> bool {
        !matches!(self, Self::HomeKit | Self::Mqtt)
    }
}

/// What somebody was shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) point: Point,
    pub(crate) on: Option<bool>,
    /// Only of a dimmer.
    pub(crate) level: Option<u8>,
    pub(crate) freshness: Freshness,
    pub(crate) observed_at: Option<Moment>,
    pub(crate) origin: Option<Origin>,
}

/// One broken promise.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    pub(crate) at: Duration,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}: {}", self.promise, self.at, self.what)
    }
}

/// What a run amounts to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) shown: u64,
    pub(crate) fresh: u64,
    /// Of the fresh ones, those that were held against the truth; the others were excused.
    pub(crate) judged: u64,
    /// Fresh groups that were held against the truth of their members.
    pub(crate) groups: u64,
    pub(crate) sent: u64,
    pub(crate) heard: u64,
    pub(crate) commands: u64,
    pub(crate) confirmed: u64,
    pub(crate) recoveries: u64,
    pub(crate) connections: u64,
    /// How often what was done to the house, besides the faults that its emulator counts.
    pub(crate) acts: BTreeMap<&'static str, u64>,
}

/// How far a window has come with the truth of an output.
#[derive(Clone, Copy, Default)]
pub(crate) struct Floor {
    on: usize,
    level: usize,
}

/// Judges one run.
pub(crate) struct Court {
    pub(crate) truth: Truth,
    pub(crate) ttl: Duration,
    /// Since when the link has been told to be down.
    pub(crate) link_down: Option<Duration>,
    pub(crate) figures: Figures,
    pub(crate) verdicts: BTreeMap<Promise, u64>,
    pub(crate) violations: Vec<Violation>,
    floors: BTreeMap<(Window, Point), Floor>,
    trace: DefaultHasher,
}

impl Court {
    pub(crate) fn new(ttl: Duration) -> Self {
        Self {
            truth: Truth::default(),
            ttl,
            link_down: Some(Duration::ZERO),
            figures: Figures::default(),
            verdicts: BTreeMap::new(),
            violations: Vec::new(),
            floors: BTreeMap::new(),
            trace: DefaultHasher::new(),
        }
    }

    /// Adds to the trace; two runs of one seed must add the same.
    pub(crate) fn trace(&mut self, what: impl Hash) {
        what.hash(&mut self.trace);
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.trace.finish()
    }

    /// Notes something that was done to the house.
    pub(crate) fn act(&mut self, what: &'static str) {
        *self.figures.acts.entry(what).or_default() += 1;
    }

    /// A report came that had not been true for long, or behind a newer one: what it shows is outside of the
    /// assumptions, one of which is that the reports of a module come in order.
    pub(crate) fn came_late(&mut self, point: Point, on: bool, now: Duration) {
        if !self.truth.points().any(|other| other == point) {
            return;
        }
        let life = self.truth.of(point);
        let is_old = life.on.held(on, now.saturating_sub(REPORT_LAG), now, 0).is_none();
        let is_overtaken = life
            .on
            .tail()
            .last()
            .is_some_and(|&(since, now_so)| now_so != on && life.said_on.since(since, u8::from(now_so)));
        if is_old || is_overtaken {
            let until = now + self.ttl;
            self.truth.excuse(until, |other| other == point);
        }
    }

    /// Notes a broken promise.
    pub(crate) fn broken(&mut self, promise: Promise, at: Duration, what: impl FnOnce() -> String) {
        let count = self.verdicts.entry(promise).or_default();
        *count += 1;
        if *count <= TOLD_MAX {
            self.violations.push(Violation { promise, at, what: what() });
        }
    }

    /// How far this window has come: whoever asks now may not be shown what was before.
    pub(crate) fn floor(&self, window: Window, point: Point) -> Floor {
        self.floors.get(&(window, point)).copied().unwrap_or_default()
    }

    /// Somebody was shown this now, without asking.
    pub(crate) fn shown(&mut self, window: Window, shown: &Shown, now: Duration) {
        self.shown_after(window, shown, self.floor(window, shown.point), now);
    }

    /// Somebody was shown this now who asked when the window had come that far. Of two that are answered at one moment
    /// the one who asked first may get the older value, in either order.
    pub(crate) fn shown_after(&mut self, window: Window, shown: &Shown, asked: Floor, now: Duration) {
        self.figures.shown += 1;
        let freshness = shown.freshness as u8;
        self.trace((now, shown.point, shown.on, shown.level, freshness));
        if shown.freshness == Freshness::Pending {
            return;
        }
        if (shown.freshness, shown.origin) == (Freshness::Fresh, Some(Origin::Snapshot)) {
            self.broken(Promise::Restart, now, || format!("{window:?} vouches for what was kept: {shown:?}"));
        }
        let life = self.truth.of(shown.point);
        let invented = (shown.on.is_some() && life.said_on.is_silent())
            || (shown.on == Some(true) && shown.level.is_some() && life.said_level.is_silent());
        let never_said = shown.on.is_some_and(|on| !life.said_on.ever(u8::from(on)));
        if invented {
            self.broken(Promise::Invention, now, || format!("{window:?} knows what nobody told: {shown:?}"));
        } else if never_said {
            self.broken(Promise::Provenance, now, || {
                format!("{window:?} shows what was never said: {shown:?}")
            });
        }
        if shown.freshness == Freshness::Fresh {
            self.figures.fresh += 1;
            self.fresh(window, shown, asked, now);
        }
    }

    fn fresh(&mut self, window: Window, shown: &Shown, asked: Floor, now: Duration) {
        let (Some(on), Some(observed)) = (shown.on, shown.observed_at.map(Moment::since_start)) else {
            self.broken(Promise::Freshness, now, || format!("{window:?} fresh without a value: {shown:?}"));
            return;
        };
        if window.says_freshness() && observed + self.ttl < now {
            self.broken(Promise::Expired, now, || format!("{window:?} fresh beyond the bound: {shown:?}"));
        }
        let down = self.link_down.filter(|since| *since + TOLD_AGAIN < now);
        if let Some(since) = down.filter(|_| window.says_freshness()) {
            let what = || format!("{window:?} fresh with the link down since {since:?}: {shown:?}");
            self.broken(Promise::Expired, now, what);
        }
        if observed > now {
            self.broken(Promise::Freshness, now, || format!("{window:?} from the future: {shown:?}"));
        }
        self.fresh_switch((window, asked), shown, on, observed, now);
        if let Some(level) = shown.level.filter(|_| on) {
            self.fresh_level((window, asked), shown, level, observed, now);
        }
    }

    fn fresh_switch(
        &mut self,
        (window, asked): (Window, Floor),
        shown: &Shown,
        on: bool,
        observed: Duration,
        now: Duration,
    ) {
        let life = self.truth.of(shown.point);
        if !life.said_on.since(observed, u8::from(on)) {
            let said = life.said_on.tail();
            self.broken(Promise::Provenance, now, || format!("{window:?} {shown:?} said: {said:?}"));
            return;
        }
        if now < life.excused_until {
            return;
        }
        self.figures.judged += 1;
        let lag = if shown.origin == Some(Origin::Report) { REPORT_LAG } else { REPLY_LAG };
        let floor = self.floors.entry((window, shown.point)).or_default();
        let from = observed.saturating_sub(lag);
        match (life.on.held(on, from, now, asked.on), life.on.held(on, from, now, 0)) {
            (Some(version), _) => floor.on = floor.on.max(version),
            (None, then) => {
                let promise = if then.is_some() { Promise::Monotonic } else { Promise::Freshness };
                let (truth, said) = (life.on.tail().to_vec(), life.said_on.tail());
                self.broken(promise, now, || {
                    format!("{window:?} on/off {shown:?}\n    truth: {truth:?}\n    said: {said:?}")
                });
            }
        }
    }

    fn fresh_level(
        &mut self,
        (window, asked): (Window, Floor),
        shown: &Shown,
        level: u8,
        observed: Duration,
        now: Duration,
    ) {
        let life = self.truth.of(shown.point);
        if !life.said_level.since(observed, level) {
            let said = life.said_level.tail();
            self.broken(Promise::Provenance, now, || format!("{window:?} level {shown:?} said: {said:?}"));
            return;
        }
        if now < life.excused_until {
            return;
        }
        let floor = self.floors.entry((window, shown.point)).or_default();
        let from = observed.saturating_sub(REPLY_LAG);
        match (life.level.held(level, from, now, asked.level), life.level.held(level, from, now, 0)) {
            (Some(version), _) => floor.level = floor.level.max(version),
            (None, then) => {
                let promise = if then.is_some() { Promise::Monotonic } else { Promise::Freshness };
                let (truth, said) = (life.level.tail().to_vec(), life.said_level.tail());
                self.broken(promise, now, || {
                    format!("{window:?} level {shown:?}\n    truth: {truth:?}\n    said: {said:?}")
                });
            }
        }
    }

    /// A command that was given at `asked` is reported done: from now on nobody may see what was before it.
    pub(crate) fn confirmed(
        &mut self,
        point: Point,
        on: bool,
        level: Option<u8>,
        asked: Duration,
        now: Duration,
    ) {
        self.figures.confirmed += 1;
        self.trace((now, point, on, level));
        let life = self.truth.of(point);
        if now < life.excused_until {
            return;
        }
        let from = asked.saturating_sub(REPORT_LAG);
        let switched = life.on.held(on, from, now, 0);
        let dimmed = level.filter(|_| on).map(|level| life.level.held(level, from, now, 0));
        if switched.is_none() || dimmed == Some(None) {
            let (on_was, level_was) = (life.on.tail().to_vec(), life.level.tail().to_vec());
            self.broken(Promise::OwnWrites, now, || {
                format!("confirmed {point:?} on={on} level={level:?} asked at {asked:?}\n    truth: {on_was:?} {level_was:?}")
            });
            return;
        }
        for window in [Window::Cache, Window::Accessory, Window::Http] {
            let floor = self.floors.entry((window, point)).or_default();
            floor.on = floor.on.max(switched.unwrap_or(0));
            floor.level = floor.level.max(dimmed.flatten().unwrap_or(0));
        }
    }

    /// A group of these outputs was shown fresh: on when one of them is, off when all are.
    pub(crate) fn group(&mut self, members: &[Point], on: Option<bool>, observed: Duration, now: Duration) {
        self.trace((now, members, on));
        let from = observed.saturating_sub(REPORT_LAG);
        let Some(on) = on else {
            self.broken(Promise::Freshness, now, || format!("a group fresh without a value: {members:?}"));
            return;
        };
        let lives: Vec<_> = members.iter().map(|member| self.truth.of(*member)).collect();
        if lives.iter().any(|life| now < life.excused_until) {
            return;
        }
        let held = |life: &&crate::truth::Life| life.on.held(on, from, now, 0).is_some();
        let right = if on { lives.iter().any(held) } else { lives.iter().all(held) };
        self.figures.groups += 1;
        if !right {
            self.broken(Promise::Freshness, now, || format!("a group of {members:?} is not on={on}"));
        }
    }

    /// A question took so long, not counting what the machine stood still; `what` names it and its output.
    pub(crate) fn answered(&mut self, (what, point): (&str, Point), took: Range<Duration>, within: Duration) {
        if took.end > took.start + within {
            self.broken(Promise::Deadline, took.end, || {
                format!("{what} {point:?} took {:?}", took.end.saturating_sub(took.start))
            });
        }
    }

    /// A reader wanted this and was shown that.
    pub(crate) fn wanted(&mut self, max_age: Want, shown: &Shown, now: Duration) {
        if let Want::Since(since) = max_age
            && shown.freshness == Freshness::Fresh
            && shown.observed_at.is_none_or(|observed| observed < since)
        {
            self.broken(Promise::MaxAge, now, || format!("wanted since {since:?}, got {shown:?}"));
        }
    }

    /// Many readers at once had a module read so often, where so often would have done.
    pub(crate) fn joined(&mut self, readers: usize, (reads, most): (u64, u64), now: Duration) {
        if reads > most {
            self.broken(Promise::SingleFlight, now, || format!("{readers} readers cost {reads} telegrams"));
        }
    }

    /// What somebody has in hand, and how much it may be.
    pub(crate) fn bounded(&mut self, (name, value): (&str, Option<u64>), bound: u64, now: Duration) {
        if value.is_none_or(|value| value > bound) {
            self.broken(Promise::Queue, now, || format!("{name} is {value:?}, its bound {bound}"));
        }
    }

    /// How many connections the gateway has seen at once, and how soon one followed another.
    pub(crate) fn connected(&mut self, at_once: u64, gap: Option<Duration>, now: Duration) {
        if at_once > 1 {
            self.broken(Promise::Connection, now, || "two at once".into());
        }
        if gap.is_some_and(|gap| gap < Duration::from_millis(250)) {
            self.broken(Promise::Connection, now, || format!("dialled {gap:?} after the last one"));
        }
    }

    /// Another config was read, on these connections before and after it, and took so long.
    pub(crate) fn reloaded(&mut self, reload: &Reload, connections: (u64, u64), took: Range<Duration>) {
        let now = took.end;
        if reload.error.is_some()
            || !reload.needs_restart.is_empty()
            || now > took.start + Duration::from_secs(1)
        {
            self.broken(Promise::Reload, now, || format!("begun at {:?}: {reload:?}", took.start));
        }
        if connections.0 != connections.1 {
            self.broken(Promise::Reload, now, || "it had the gateway dialled anew".into());
        }
    }
}
