//! Whether the machine is the program's own: another guest of its host can slow it by half, for seconds.
//!
//! Rounds in which it was not are left out, judged by a control that knows nothing of the daemon. When there are too few
//! others all of them count.

use crate::codec::{frame_only, time};
use crate::corpus::telegrams;

/// So much slower than at its best, and somebody else is at work.
const DISTURBED: f64 = 1.1;

/// Telegrams of the fixed piece of work; it takes less than a millisecond.
const TELEGRAMS: usize = 20_000;

/// The fixed piece of work.
pub(crate) struct Probe(Vec<u8>);

impl Probe {
    pub(crate) fn new() -> Self {
        Self(telegrams(TELEGRAMS))
    }

    /// How long it takes now, in nanoseconds.
    pub(crate) fn take(&self) -> f64 {
        time(frame_only, &self.0)
    }
}

/// How many rounds are wanted, and after how many there is no waiting for better ones.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) wanted: usize,
    pub(crate) limit: usize,
}

impl Patience {
    /// Every round counts.
    pub(crate) const fn none(rounds: usize) -> Self {
        Self { wanted: rounds, limit: rounds }
    }

    /// Measures rounds until there are enough of them, the first for nothing: it warms up. `one` gives how long the
    /// control took and what it measured. Gives the rounds that count.
    pub(crate) fn measure<T>(self, mut one: impl FnMut(usize) -> (f64, T)) -> (Vec<T>, Sifted) {
        one(0);
        let (mut rounds, mut best): (Vec<(f64, T)>, f64) = (Vec::new(), f64::INFINITY);
        let is_enough = loop {
            let calm = rounds.iter().filter(|(control, _)| *control <= DISTURBED * best).count();
            if calm >= self.wanted || rounds.len() >= self.limit {
                break calm >= self.wanted;
            }
            let round = one(rounds.len() + 1);
            best = best.min(round.0);
            rounds.push(round);
        };
        let (of, slowest) = (rounds.len(), if is_enough { DISTURBED * best } else { f64::INFINITY });
        let counted: Vec<T> =
            rounds.into_iter().filter(|(control, _)| *control <= slowest).map(|(_, round)| round).collect();
        let sifted = Sifted { of, left_out: of - counted.len(), unsettled: usize::from(!is_enough) };
        (counted, sifted)
    }
}

/// What became of the rounds of some measurements.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sifted {
    of: usize,
    left_out: usize,
    /// Measurements without enough rounds that were undisturbed.
    unsettled: usize,
}

impl Sifted {
    /// Of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            of: self.of + other.of,
            left_out: self.left_out + other.left_out,
            unsettled: self.unsettled + other.unsettled,
        }
    }

    /// What is said of it.
    pub(crate) fn told(self) -> String {
        let Self { of, left_out, unsettled } = self;
        let mut told = format!(
            "{left_out} of {of} rounds were left out, in which the machine was not the program's own: the framing alone \
             took a tenth longer than at its best."
        );
        if unsettled > 0 {
            told += &format!(" In {unsettled} measurements too few were undisturbed, and all of them count.");
        }
        told
    }
}
