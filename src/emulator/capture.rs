//! A conversation that was written down: who said what to the gateway when.
//!
//! One JSON object a line, `{"t_ms":0,"dir":"TX","telegram":"<S0012345008F27D00AAFN>"}`: TX is what the client
//! sent, RX what it heard; each character of `telegram` is one byte (ISO 8859-1).

use std::time::Duration;

use serde::Deserialize;

use crate::conbus::{Piece, Splitter, Telegram};

use super::ledger::Direction;

mod check;
mod compare;
mod latency;
mod learn;
mod playback;

pub use check::check;
pub use compare::{Agreement, Disagreement};
pub use latency::Latency;
pub use learn::house_of;
pub use playback::{Playback, Speed, play, replay};

/// One telegram of a conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// When, counted from the beginning of the capture's own clock.
    pub at: Duration,
    /// Which way.
    pub direction: Direction,
    /// The bytes as they stood on the wire.
    pub bytes: Vec<u8>,
}

impl Row {
    /// The telegram, if the bytes are one.
    pub fn telegram(&self) -> Option<Telegram> {
        telegram_of(&self.bytes)
    }
}

/// The telegram that these bytes are.
fn telegram_of(mut bytes: &[u8]) -> Option<Telegram> {
    match Splitter::new().next_piece(&mut bytes) {
        Some(Piece::Frame(frame)) => Telegram::parse(frame).ok(),
        _ => None,
    }
}

/// A conversation in the order of time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capture {
    rows: Vec<Row>,
}

/// Why a text is not a capture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct CaptureError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

#[derive(Deserialize)]
struct Line {
    t_ms: f64,
    dir: Dir,
    telegram: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Dir {
    Tx,
    Rx,
}

impl Capture {
    /// Reads a capture; blank lines do not count, other keys are passed over.
    pub fn parse(text: &str) -> Result<Self, CaptureError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let rows = lines
            .map(|(index, line)| Self::parse_line(line).map_err(|why| CaptureError { line: index + 1, why }));
        let mut rows = rows.collect::<Result<Vec<Row>, _>>()?;
        rows.sort_by_key(|row| row.at);
        Ok(Self { rows })
    }

    fn parse_line(line: &str) -> Result<Row, String> {
        let Line { t_ms, dir, telegram } = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let at = Duration::try_from_secs_f64(t_ms / 1000.0)
            .map_err(|_| format!("`{t_ms}` is not a time in milliseconds"))?;
        let bytes: Result<Vec<u8>, _> = telegram.chars().map(u8::try_from).collect();
        let bytes = bytes.map_err(|_| "a telegram holds characters of ISO 8859-1 only".to_owned())?;
        let direction = match dir {
            Dir::Tx => Direction::FromClient,
            Dir::Rx => Direction::ToClient,
        };
        // To the millisecond: a part of one is only the rounding of its decimal form.
        Ok(Row { at: Duration::from_millis(at.as_millis() as u64), direction, bytes })
    }

    /// The telegrams, earliest first.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// When the first telegram passed.
    pub fn begin(&self) -> Duration {
        self.rows.first().map_or(Duration::ZERO, |row| row.at)
    }

    /// When the last telegram passed.
    pub fn end(&self) -> Duration {
        self.rows.last().map_or(Duration::ZERO, |row| row.at)
    }
}
