//! What a module answered, and what of it concerns its outputs.

use super::{
    Asked, Basis, Bitmap, Datapoint, DatapointValue, Moment, Observation, OutputIndex, Point, PointValue,
    Reply, SerialNumber,
};
use crate::conbus::Levels;

/// What an answer tells of outputs; of those that the module does not have nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// D12: whether they are on.
    Outputs(Bitmap),
    /// D15: how bright they are.
    Levels(Levels),
    /// Any other datapoint.
    Nothing,
}

/// A module answered a read: a reply tells of all its outputs at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Whose.
    pub serial: SerialNumber,
    /// What was read.
    pub datapoint: Datapoint,
    /// What it tells of outputs.
    pub shown: Shown,
    /// The only query that it can belong to.
    pub asked: Option<Asked>,
    /// The counter of the connection.
    pub seq: u64,
    /// When it was heard.
    pub at: Moment,
    /// Since when it may have lain unread.
    pub not_before: Moment,
}

impl Answer {
    /// What was read; `reply` is the telegram that told it. Facts do not keep it: it may be a text.
    pub fn value(&self, reply: &Reply) -> DatapointValue {
        match self.shown {
            Shown::Outputs(outputs) => DatapointValue::Outputs(outputs),
            Shown::Levels(levels) => DatapointValue::Levels(levels),
            Shown::Nothing => reply.value().map_or(DatapointValue::Malformed, |(_, value)| value),
        }
    }

    /// What it tells of each output, the lowest first: of D12 whether they are on, of D15 their levels.
    pub fn observations(&self) -> impl Iterator<Item = Observation> {
        let Self { serial, asked, seq, at, not_before, .. } = *self;
        OutputIndex::first(OutputIndex::COUNT_MAX).filter_map(move |output| {
            let value = match &self.shown {
                Shown::Outputs(outputs) => PointValue::On(outputs.get(output)?),
                Shown::Levels(levels) => PointValue::Level(levels.get(output)?),
                Shown::Nothing => return None,
            };
            let (point, basis) = (Point { serial, output }, Basis::Reply { asked });
            Some(Observation { point, value, basis, seq, at, not_before })
        })
    }
}
