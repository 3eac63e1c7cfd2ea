//! An abstract bus: one output, its module, one daemon with the real [`Guard`], and every order of events.
//!
//! Time is counted in ticks and moves only when nothing is overdue. Values are versions, so that "older" can be
//! decided; the daemon sees only whether a version is odd, as on and off.

use std::time::Duration;

use conbusd::policy::Moment;
use conbusd::policy::settle::{Asked, Aspect, Doubts, Guard, Settle, Verdict};
use stateright::{Model, Property};

/// How long a module takes to report a change at most, in ticks.
const REPORT_LAG: u8 = 2;
/// How long a query may stay unanswered.
pub(crate) const TIME_OUT: u8 = 2;
/// The assumption L: a reply is under way for less than this.
pub(crate) const REPLY_LIFE: u8 = 5;
/// The assumption F: a reply to another master, or a duplicate, is heard in less than this.
pub(crate) const FOREIGN_LAG: u8 = 2;

/// What is left out of the rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Without {
    /// Nothing: the rule as built.
    #[default]
    Nothing,
    /// Every reply is believed.
    Rule,
    /// The fence goes when the entry is forgotten.
    FencesOutsideTheCache,
    /// A reply belongs to the newest query, and nothing leaves doubt.
    Attribution,
    /// Uncertain replies need not wait.
    Settling,
    /// A query may follow an event at once.
    Spacing,
    /// A link lost with a query out leaves no doubt.
    DoubtAfterLoss,
    /// An uncertain reply need not agree with what was heard shortly before.
    Agreement,
    /// A reply that crossed an event does not hold back the next query.
    Refencing,
}

/// How much of what may happen, so that the states stay countable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) without: Without,
    /// How long it lasts, in ticks.
    pub(crate) ticks: u8,
    pub(crate) switches: u8,
    /// Of those, how many are never reported.
    pub(crate) silent: u8,
    pub(crate) commands: u8,
    pub(crate) queries: u8,
    /// Whether replies may take longer than a query waits; otherwise they are as prompt as those to others.
    pub(crate) late: bool,
    pub(crate) duplicates: u8,
    /// How long after the first a duplicate may come.
    pub(crate) duplicate_lag: u8,
    /// Reads of another master that the daemon hears, and that it does not hear.
    pub(crate) foreign: u8,
    pub(crate) link_losses: u8,
    pub(crate) evictions: u8,
}

impl World {
    /// Replies that are lost, and entries that are forgotten.
    pub(crate) const QUIET: Self = Self {
        without: Without::Nothing,
        ticks: 7,
        switches: 2,
        silent: 0,
        commands: 0,
        queries: 2,
        late: false,
        duplicates: 0,
        duplicate_lag: FOREIGN_LAG - 1,
        foreign: 0,
        link_losses: 0,
        evictions: 1,
    };
}

/// What is left of the budget.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Left {
    switches: u8,
    silent: u8,
    commands: u8,
    queries: u8,
    duplicates: u8,
    foreign: u8,
    link_losses: u8,
    evictions: u8,
}

/// A reply under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Flying {
    pub(crate) version: u8,
    deadline: u8,
}

/// What a module tells by itself, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Told {
    Report { version: u8, deadline: u8 },
    Acknowledged { version: u8, deadline: u8 },
}

impl Told {
    fn deadline(self) -> u8 {
        let (Self::Report { deadline, .. } | Self::Acknowledged { deadline, .. }) = self;
        deadline
    }
}

/// A query that the daemon knows of and that waits for its reply.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Open {
    pub(crate) at: u8,
    pub(crate) seq: u64,
    pub(crate) ours: bool,
}

/// Everything there is at one moment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pub(crate) now: u8,
    pub(crate) seq: u64,
    /// When each version ended; the last one has not.
    ended: Vec<u8>,
    guard: Guard,
    doubts: Doubts,
    newest: Option<(u64, u8)>,
    pub(crate) open: Vec<Open>,
    pub(crate) flying: Vec<Flying>,
    pub(crate) told: Vec<Told>,
    up: bool,
    /// What is remembered, also when it is not vouched for: the version and its stamp.
    pub(crate) cached: Option<(u8, i8)>,
    /// The newest version that an event or an acknowledgement has told.
    known: u8,
    /// The newest version that was ever believed.
    shown: u8,
    broken: Option<Broken>,
    left: Left,
}

/// A promise that did not hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Broken {
    /// A reply older than an event that was heard before it was believed.
    OlderThanAnEvent,
    /// A reply older than another that was believed before.
    WentBack,
    /// The output did not have this state since the stamp.
    StampTooYoung,
}

/// What may happen next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Action {
    Tick,
    Switch { silently: bool },
    Command,
    Ask,
    TimeOut,
    Hear(usize),
    HearTwice(usize),
    Lose(usize),
    Event,
    OtherMaster { heard: bool },
    LinkLost,
    LinkBack,
    Forget,
}

fn moment(tick: u8) -> Moment {
    Moment::after_start(Duration::from_millis(1_000 + u64::from(tick)))
}

fn ticks(ticks: u8) -> Duration {
    Duration::from_millis(ticks.into())
}

impl World {
    fn rule(&self) -> Settle {
        let without = |this| self.without == this;
        Settle {
            reply_life: ticks(if without(Without::Settling) { 0 } else { REPLY_LIFE }),
            foreign_lag: ticks(if without(Without::Spacing) { 0 } else { FOREIGN_LAG }),
            time_out: ticks(TIME_OUT),
        }
    }

    fn hear(&self, state: &mut State, version: u8) {
        state.seq += 1;
        let asked = if self.without == Without::Attribution {
            state.open.clear();
            state.newest.map(|(seq, at)| Asked { seq, at: moment(at) })
        } else {
            let certain = state.open.len() == 1 && state.open[0].ours;
            let open = (!state.open.is_empty()).then(|| state.open.remove(0));
            open.filter(|_| certain).map(|open| Asked { seq: open.seq, at: moment(open.at) })
        };
        let now = moment(state.now);
        let agrees = self.without == Without::Agreement
            || state.cached.is_some_and(|(cached, _)| cached % 2 == version % 2);
        let verdict = if self.without == Without::Rule {
            Verdict::Settled { not_before: asked.map_or(now, |asked| asked.at) }
        } else {
            let certain = state.doubts.certain(&self.rule(), Aspect::Switch, asked, now);
            state.guard.judge(&self.rule(), Aspect::Switch, certain, now, agrees)
        };
        match verdict {
            Verdict::Settled { not_before } => Self::believe(state, version, not_before),
            Verdict::Unsettled if self.without != Without::Refencing => {
                state.guard.refused(asked, state.seq, now);
            }
            Verdict::Unsettled => {}
        }
        if asked.is_none() && self.without != Without::Attribution {
            state.doubts.raise(Aspect::Switch, now);
        }
    }

    /// A reply enters the cache, unless something with a younger stamp is there.
    fn believe(state: &mut State, version: u8, not_before: Moment) {
        // A stamp may lie before the beginning.
        let (zero, stamp) = (moment(0), not_before);
        let stamp = stamp.since(zero).as_millis() as i8 - zero.since(stamp).as_millis() as i8;
        if state.cached.is_some_and(|(_, cached)| cached > stamp) {
            return;
        }
        let ended = state.ended.get(usize::from(version)).copied();
        let honest = ended.is_none_or(|ended| (ended + FOREIGN_LAG).cast_signed() >= stamp);
        // On is on: an old reply harms nobody when the output is so again, and was so since.
        let floor = version.max(state.known).max(state.shown);
        let shown = floor + (floor ^ version) % 2;
        if usize::from(shown) > state.ended.len() {
            let older = version < state.known;
            state.broken = Some(if older { Broken::OlderThanAnEvent } else { Broken::WentBack });
        } else if !honest {
            state.broken = Some(Broken::StampTooYoung);
        }
        state.guard.settle(Aspect::Switch, moment(state.now));
        state.cached = Some((version, stamp));
        state.shown = shown;
    }

    fn event(state: &mut State) {
        state.seq += 1;
        let (Told::Report { version, .. } | Told::Acknowledged { version, .. }) = state.told[0];
        state.guard.raise(state.seq, moment(state.now));
        state.known = state.known.max(version);
        if let Told::Report { .. } = state.told.remove(0) {
            state.guard.settle(Aspect::Switch, moment(state.now));
            state.cached = Some((version, state.now.cast_signed()));
            state.shown = state.shown.max(version);
        }
    }

    fn ask(&self, state: &mut State, ours: bool, heard: bool) {
        state.seq += 1;
        let life = if !ours {
            FOREIGN_LAG - 1
        } else if self.late {
            REPLY_LIFE - 1
        } else {
            FOREIGN_LAG - 1
        };
        if heard {
            state.open.push(Open { at: state.now, seq: state.seq, ours });
        }
        if ours {
            state.newest = Some((state.seq, state.now));
        }
        let version = state.ended.len() as u8;
        state.flying.push(Flying { version, deadline: state.now + life });
        state.flying.sort_unstable();
    }

    fn switch(state: &mut State, reported: bool) {
        state.ended.push(state.now);
        if reported && state.up {
            let version = state.ended.len() as u8;
            state.told.push(Told::Report { version, deadline: state.now + REPORT_LAG });
        }
    }

    fn command(state: &mut State) {
        state.seq += 1;
        state.guard.raise(state.seq, moment(state.now));
        state.ended.push(state.now);
        let version = state.ended.len() as u8;
        state.told.push(Told::Acknowledged { version, deadline: state.now + REPORT_LAG });
        state.told.push(Told::Report { version, deadline: state.now + REPORT_LAG });
    }

    fn link_lost(&self, state: &mut State) {
        state.up = false;
        if !state.open.is_empty() && self.without != Without::DoubtAfterLoss {
            state.doubts.raise(Aspect::Switch, moment(state.now));
        }
        state.open.clear();
        state.told.clear();
    }

    fn may_tick(&self, state: &State) -> bool {
        let now = state.now;
        state.now < self.ticks
            && state.flying.iter().all(|one| one.deadline > now)
            && state.told.iter().all(|one| one.deadline() > now)
            && state.open.iter().all(|one| one.at + TIME_OUT > now)
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            now: 0,
            seq: 0,
            ended: vec![],
            guard: Guard::default(),
            doubts: Doubts::default(),
            newest: None,
            open: vec![],
            flying: vec![],
            told: vec![],
            up: true,
            cached: None,
            known: 0,
            shown: 0,
            broken: None,
            left: Left {
                switches: self.switches,
                silent: self.silent,
                commands: self.commands,
                queries: self.queries,
                duplicates: self.duplicates,
                foreign: self.foreign,
                link_losses: self.link_losses,
                evictions: self.evictions,
            },
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let left = state.left;
        let mut may = |when: bool, action| actions.extend(when.then_some(action));
        let idle = !state.open.iter().any(|open| open.ours);
        let spaced = self.without == Without::Spacing
            || self.without == Without::Rule
            || state.guard.ask_from(&self.rule()) <= moment(state.now);
        may(self.may_tick(state), Action::Tick);
        may(left.switches > 0, Action::Switch { silently: false });
        may(left.silent > 0, Action::Switch { silently: true });
        may(left.commands > 0 && state.up && idle, Action::Command);
        may(left.queries > 0 && state.up && idle && spaced, Action::Ask);
        may(state.open.iter().any(|open| open.at + TIME_OUT <= state.now), Action::TimeOut);
        may(!state.told.is_empty() && state.up, Action::Event);
        may(left.foreign > 0 && state.up, Action::OtherMaster { heard: true });
        may(left.foreign > 0 && state.up, Action::OtherMaster { heard: false });
        may(left.link_losses > 0 && state.up, Action::LinkLost);
        may(!state.up, Action::LinkBack);
        may(left.evictions > 0 && state.cached.is_some(), Action::Forget);
        for place in 0..state.flying.len() {
            may(state.up, Action::Hear(place));
            may(state.up && left.duplicates > 0, Action::HearTwice(place));
            may(true, Action::Lose(place));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        let left = &mut next.left;
        match action {
            Action::Tick => next.now += 1,
            Action::Switch { silently } => {
                let budget = if silently { &mut left.silent } else { &mut left.switches };
                *budget -= 1;
                Self::switch(&mut next, !silently);
            }
            Action::Command => {
                left.commands -= 1;
                Self::command(&mut next);
            }
            Action::Ask => {
                left.queries -= 1;
                self.ask(&mut next, true, true);
            }
            Action::TimeOut => {
                let overdue = |open: &Open| open.at + TIME_OUT <= state.now;
                if next.open.iter().any(|open| open.ours && overdue(open))
                    && self.without != Without::Attribution
                {
                    next.doubts.raise(Aspect::Switch, moment(next.now));
                }
                next.open.retain(|open| !overdue(open));
            }
            Action::Hear(place) => {
                let heard = next.flying.remove(place);
                self.hear(&mut next, heard.version);
            }
            Action::HearTwice(place) => {
                left.duplicates -= 1;
                let heard = next.flying[place];
                next.flying[place].deadline = next.now + self.duplicate_lag;
                next.flying.sort_unstable();
                self.hear(&mut next, heard.version);
            }
            Action::Lose(place) => drop(next.flying.remove(place)),
            Action::Event => Self::event(&mut next),
            Action::OtherMaster { heard } => {
                left.foreign -= 1;
                self.ask(&mut next, false, heard);
            }
            Action::LinkLost => {
                left.link_losses -= 1;
                self.link_lost(&mut next);
            }
            Action::LinkBack => next.up = true,
            Action::Forget => {
                left.evictions -= 1;
                next.cached = None;
                if self.without == Without::FencesOutsideTheCache {
                    (next.guard, next.doubts) = (Guard::default(), Doubts::default());
                }
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("kept", |_, state: &State| state.broken.is_none())]
    }
}
