//! One entry: whether it is as wanted, and what it takes.

use super::{Doer, Entry, Moment, Target};
use crate::conbus::{Percent, Telegram};

/// Telegrams of one entry, each way. A command needs one, with a repetition and its reads some more.
pub(super) const TELEGRAMS_MAX: usize = 6;

impl Entry {
    pub(super) fn new(place: u32, doer: Doer, at: Moment) -> Self {
        Self {
            number: 0,
            at,
            place,
            doer,
            wanted: None,
            on: None,
            brightness: None,
            sent: Vec::new(),
            heard: Vec::new(),
            ended: None,
            point: None,
            client: None,
        }
    }

    /// Whether it shows what was wanted, where that is known.
    pub(super) fn is_as_wanted(&self) -> bool {
        self.wanted.is_none_or(|Target { on, level }| {
            let wants_on = on.unwrap_or(true) && level != Some(Percent::OFF);
            let level = level.filter(|_| wants_on);
            self.on == Some(wants_on) && (level.is_none() || self.brightness == level)
        })
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let doer = match &self.doer {
            Doer::Client(name) => name.len(),
            Doer::Wall(presses) => size_of_val(presses.as_slice()),
            Doer::Program | Doer::Module | Doer::Found => 0,
        };
        let telegrams = self.sent.iter().chain(&self.heard);
        size_of::<Self>() + doer + telegrams.map(|text| bytes_of(text)).sum::<usize>()
    }
}

/// Keeps a telegram while there is room; gives how many bytes that takes.
pub(super) fn keep(telegrams: &mut Vec<String>, telegram: &Telegram) -> usize {
    if telegrams.len() >= TELEGRAMS_MAX {
        return 0;
    }
    let text = telegram.to_string();
    let bytes = bytes_of(&text);
    telegrams.push(text);
    bytes
}

fn bytes_of(text: &str) -> usize {
    size_of::<String>() + text.len()
}
