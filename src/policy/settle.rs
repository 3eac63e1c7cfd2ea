//! The update rule "fence and settle": which reply may enter the cache.
//!
//! Replies carry no request number, so a reply may be older than what a report or a command has told since. A
//! report or a command raises a *fence* on its output; a reply passes when it was certainly asked behind the
//! fence, or when it comes so long after it that no older reply can still be alive.

use std::time::Duration;

use serde::Serialize;

use super::Moment;
use crate::conbus::{Datapoint, Percent};

/// Which half of an output's state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// On or off: D12 and reports.
    Switch,
    /// How bright: D15.
    Level,
}

impl Aspect {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Switch, Self::Level];

    /// The datapoint that tells it (protocol reference 4).
    pub fn datapoint(self) -> Datapoint {
        match self {
            Self::Switch => Datapoint::OUTPUTS,
            Self::Level => Datapoint::LEVELS,
        }
    }

    /// The aspect that this datapoint tells.
    pub fn of(datapoint: Datapoint) -> Option<Self> {
        Self::BOTH.into_iter().find(|aspect| aspect.datapoint() == datapoint)
    }
}

/// A value of one aspect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PointValue {
    /// On or off.
    On(bool),
    /// The level.
    Level(Percent),
}

impl PointValue {
    /// Which aspect it is of.
    pub fn aspect(self) -> Aspect {
        match self {
            Self::On(_) => Aspect::Switch,
            Self::Level(_) => Aspect::Level,
        }
    }
}

/// When a query was written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Asked {
    /// The counter of the connection at that time.
    pub seq: u64,
    /// The time.
    pub at: Moment,
}

/// What an observation rests on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Basis {
    /// The module told it by itself.
    Report,
    /// A reply; `asked` is the only query it can belong to, absent when there is none or more than one.
    Reply {
        /// The query.
        asked: Option<Asked>,
    },
}

/// The times that the rule assumes. To be measured on real hardware.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settle {
    /// How long a reply or a duplicate of it can be under way at most.
    pub reply_life: Duration,
    /// How late a reply to another master can be heard.
    pub foreign_lag: Duration,
    /// When an unanswered query is given up.
    pub time_out: Duration,
}

impl Default for Settle {
    fn default() -> Self {
        Self {
            reply_life: Duration::from_secs(3),
            foreign_lag: Duration::from_millis(100),
            time_out: Duration::from_millis(300),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Fence {
    seq: u64,
    at: Moment,
}

/// What may become of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It may be stored: the output had this state at some time since `not_before`.
    Settled {
        /// The stamp.
        not_before: Moment,
    },
    /// It may be older than what is known already.
    Unsettled,
}

/// Since when it is in doubt who answers for a module: a reply tells all of its outputs, and so does a doubt.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Doubts([Option<Moment>; 2]);

impl Doubts {
    /// A time-out, a duplicate, a reply that nobody asked for, or a link lost while a query was out.
    pub fn raise(&mut self, aspect: Aspect, at: Moment) {
        let doubt = &mut self.0[aspect as usize];
        *doubt = (*doubt).max(Some(at));
    }

    fn hold(&self, rule: &Settle, aspect: Aspect, now: Moment) -> bool {
        self.0[aspect as usize].is_some_and(|at| now < at + rule.reply_life + rule.time_out)
    }

    /// The query that a reply received at `received` certainly belongs to, of the only one that it can.
    pub fn certain(
        &self,
        rule: &Settle,
        aspect: Aspect,
        asked: Option<Asked>,
        received: Moment,
    ) -> Option<Asked> {
        asked.filter(|_| !self.hold(rule, aspect, received))
    }

    /// How far behind an event a query has to be for its reply to settle.
    pub fn wait(&self, rule: &Settle, aspect: Aspect, now: Moment) -> Duration {
        if self.hold(rule, aspect, now) { rule.reply_life } else { rule.foreign_lag }
    }
}

/// The fence of one output; kept outside the LRU, so that eviction forgets none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Guard {
    fence: Option<Fence>,
    settled: [Option<Moment>; 2],
}

impl Guard {
    /// A report was heard, or a command was written or acknowledged.
    pub fn raise(&mut self, seq: u64, at: Moment) {
        if self.fence.is_none_or(|fence| fence.seq < seq || fence.at < at) {
            self.fence = Some(Fence { seq, at });
        }
    }

    /// A value of this aspect was believed.
    pub fn settle(&mut self, aspect: Aspect, at: Moment) {
        let settled = &mut self.settled[aspect as usize];
        *settled = (*settled).max(Some(at));
    }

    /// A reply was not believed. When it had crossed the fence on its way, a duplicate of it may follow, so that
    /// the next query has to keep the same distance from it as from the fence.
    pub fn refused(&mut self, asked: Option<Asked>, seq: u64, at: Moment) {
        if let (Some(asked), Some(fence)) = (asked, self.fence)
            && asked.seq < fence.seq
        {
            self.raise(seq, at);
        }
    }

    /// Judges a reply received at `received`, which certainly belongs to the query `certain` when there is one
    /// ([`Doubts::certain`]); `agrees` when it says what is known already.
    ///
    /// Of two replies of which one may belong to another query, to another master's at least, either may be the
    /// older one, so that the second is believed only when it agrees, or when the first was heard before the
    /// second can have been sent.
    pub fn judge(
        &self,
        rule: &Settle,
        aspect: Aspect,
        certain: Option<Asked>,
        received: Moment,
        agrees: bool,
    ) -> Verdict {
        let behind = |asked: &Asked| self.fence.is_none_or(|fence| asked.seq > fence.seq);
        let apart = |span: Duration| {
            agrees || self.settled[aspect as usize].is_none_or(|at| received.since(at) >= span)
        };
        if let Some(asked) = certain.filter(behind)
            && apart(rule.foreign_lag)
            && self.fence.is_none_or(|fence| received.since(fence.at) >= rule.foreign_lag)
        {
            return Verdict::Settled { not_before: asked.at };
        }
        if apart(rule.reply_life)
            && self.fence.is_none_or(|fence| received.since(fence.at) >= rule.reply_life)
        {
            return Verdict::Settled { not_before: received.before(rule.reply_life) };
        }
        Verdict::Unsettled
    }

    /// The earliest time at which a query for this output makes sense.
    pub fn ask_from(&self, rule: &Settle) -> Moment {
        self.fence.map_or(Moment::START, |fence| fence.at + rule.foreign_lag)
    }

    /// The earliest time at which a query can be expected to bring a settled reply, `wait` being [`Doubts::wait`].
    pub fn settled_from(&self, aspect: Aspect, wait: Duration) -> Moment {
        let last = self.fence.map(|fence| fence.at).max(self.settled[aspect as usize]);
        last.map_or(Moment::START, |last| last + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the form in which the rule takes it")]
    fn asked(seq: u64, at: u64) -> Option<Asked> {
        Some(Asked { seq, at: ms(at) })
    }

    fn judge(guard: &Guard, asked: Option<Asked>, received: u64) -> Verdict {
        judge_of(Aspect::Switch, guard, &Doubts::default(), asked, received)
    }

    fn judge_of(
        aspect: Aspect,
        guard: &Guard,
        doubts: &Doubts,
        asked: Option<Asked>,
        received: u64,
    ) -> Verdict {
        let certain = doubts.certain(&Settle::default(), aspect, asked, ms(received));
        guard.judge(&Settle::default(), aspect, certain, ms(received), false)
    }

    fn settled_from(guard: &Guard, doubts: &Doubts, now: u64) -> Moment {
        guard.settled_from(Aspect::Switch, doubts.wait(&Settle::default(), Aspect::Switch, ms(now)))
    }

    fn settled(at: u64) -> Verdict {
        Verdict::Settled { not_before: ms(at) }
    }

    #[test]
    fn a_reply_counts_from_the_time_it_was_asked() {
        assert_eq!(judge(&Guard::default(), asked(1, 10_000), 10_050), settled(10_000));
    }

    #[test]
    fn a_reply_asked_before_a_report_does_not_overwrite_it() {
        let mut guard = Guard::default();
        guard.raise(2, ms(10_040));
        assert_eq!(judge(&guard, asked(1, 10_000), 10_150), Verdict::Unsettled);
        assert_eq!(
            judge(&guard, asked(3, 10_060), 10_110),
            Verdict::Unsettled,
            "a foreign reply may be late"
        );
        assert_eq!(judge(&guard, asked(4, 10_150), 10_200), settled(10_150));
    }

    #[test]
    fn a_reply_that_nobody_asked_for_waits_for_the_settle_time_and_is_dated_back() {
        let mut guard = Guard::default();
        assert_eq!(judge(&guard, None, 10_000), settled(7_000));
        guard.raise(1, ms(10_000));
        assert_eq!(judge(&guard, None, 12_999), Verdict::Unsettled);
        assert_eq!(judge(&guard, None, 13_000), settled(10_000));
    }

    #[test]
    fn a_time_out_makes_the_next_answers_ambiguous_for_a_while() {
        let (mut guard, mut doubts) = (Guard::default(), Doubts::default());
        guard.raise(1, ms(10_000));
        doubts.raise(Aspect::Switch, ms(10_500));
        let judge = |asked, received| judge_of(Aspect::Switch, &guard, &doubts, asked, received);
        assert_eq!(judge(asked(5, 10_500), 10_550), Verdict::Unsettled);
        assert_eq!(judge(asked(6, 13_700), 13_750), settled(10_750), "ambiguous: dated back");
        assert_eq!(judge(asked(7, 13_800), 13_850), settled(13_800));
        let level = judge_of(Aspect::Level, &guard, &doubts, asked(5, 10_500), 10_550);
        assert_eq!(level, settled(10_500), "the other aspect is not in doubt");
    }

    #[test]
    fn of_two_replies_that_nobody_asked_for_the_second_must_agree_or_come_much_later() {
        let mut guard = Guard::default();
        guard.settle(Aspect::Switch, ms(10_000));
        assert_eq!(judge(&guard, None, 10_700), Verdict::Unsettled, "it may be the older one");
        let agreeing = guard.judge(&Settle::default(), Aspect::Switch, None, ms(10_700), true);
        assert_eq!(agreeing, settled(7_700));
        assert_eq!(judge(&guard, asked(4, 10_600), 10_700), settled(10_600), "this one is not");
        assert_eq!(judge(&guard, asked(4, 10_030), 10_080), Verdict::Unsettled, "another master's may be");
        assert_eq!(judge(&guard, None, 13_000), settled(10_000));
        let mut doubts = Doubts::default();
        doubts.raise(Aspect::Switch, ms(10_700));
        assert_eq!(settled_from(&guard, &doubts, 10_700), ms(13_000));
    }

    #[test]
    fn the_next_query_waits_for_the_duplicate_of_a_reply_that_crossed_the_fence() {
        let (mut guard, rule) = (Guard::default(), Settle::default());
        guard.raise(2, ms(10_040));
        guard.refused(asked(1, 10_000), 3, ms(10_120));
        assert_eq!(guard.ask_from(&rule), ms(10_220));
        guard.refused(asked(4, 10_150), 5, ms(10_200));
        assert_eq!(guard.ask_from(&rule), ms(10_220), "this one had been asked behind it");
    }

    #[test]
    fn the_next_query_waits_for_foreign_replies_to_pass() {
        let (mut guard, mut doubts, rule) = (Guard::default(), Doubts::default(), Settle::default());
        assert_eq!(guard.ask_from(&rule), Moment::START);
        guard.raise(1, ms(1_000));
        assert_eq!(guard.ask_from(&rule), ms(1_100));
        assert_eq!(settled_from(&guard, &doubts, 1_050), ms(1_100));
        doubts.raise(Aspect::Switch, ms(1_020));
        assert_eq!(settled_from(&guard, &doubts, 1_050), ms(4_000));
    }
}
