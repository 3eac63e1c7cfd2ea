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

    /// Measures rounds until there are enough of them, the first for nothing: it warms up. `one` gives what it measured
    /// and how long the control took. Gives those that count, and how many were left out.
    pub(crate) fn measure<T>(self, mut one: impl FnMut(usize) -> (f64, T)) -> (Vec<T>, usize) {
        let mut rounds: Vec<(f64, T)> = Vec::new();
        let is_calm = |control: f64, rounds: &[(f64, T)]| {
            let best = rounds.iter().map(|(control, _)| *control).fold(f64::INFINITY, f64::min);
            control <= DISTURBED * best
        };
        let calm = |rounds: &[(f64, T)]| -> usize {
            rounds.iter().filter(|(control, _)| is_calm(*control, rounds)).count()
        };
        one(0);
        while rounds.len() < self.limit && calm(&rounds) < self.wanted {
            rounds.push(one(rounds.len() + 1));
        }
        let (count, enough) = (rounds.len(), calm(&rounds) >= self.wanted);
        let keep: Vec<bool> =
            rounds.iter().map(|(control, _)| !enough || is_calm(*control, &rounds)).collect();
        let kept: Vec<T> =
            rounds.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|((_, round), _)| round).collect();
        let left_out = count - kept.len();
        (kept, left_out)
    }
}

/// What is said of rounds that were left out.
pub(crate) fn told(left_out: usize, of: usize) -> String {
    format!(
        "{left_out} of {of} rounds were left out, in which the machine was not the program's own: the framing alone took a \
         tenth longer than at its best."
    )
}
