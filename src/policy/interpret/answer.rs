//! What a module answered, and what of it concerns its outputs.

use super::{
    Asked, Basis, Datapoint, DatapointValue, Moment, Observation, OutputIndex, Point, PointValue,
    SerialNumber,
};

/// A module answered a read: a reply tells of all its outputs at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Whose.
    pub serial: SerialNumber,
    /// What was read.
    pub datapoint: Datapoint,
    /// What it is; of outputs that the module does not have it tells nothing.
    pub value: DatapointValue,
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
    /// What it tells of each output, the lowest first: of D12 whether they are on, of D15 their levels.
    pub fn observations(&self) -> impl Iterator<Item = Observation> {
        let Self { serial, asked, seq, at, not_before, .. } = *self;
        OutputIndex::first(OutputIndex::COUNT_MAX).filter_map(move |output| {
            let value = match &self.value {
                DatapointValue::Outputs(outputs) => PointValue::On(outputs.get(output)?),
                DatapointValue::Levels(levels) => PointValue::Level(levels.get(output)?),
                _ => return None,
            };
            let (point, basis) = (Point { serial, output }, Basis::Reply { asked });
            Some(Observation { point, value, basis, seq, at, not_before })
        })
    }
}
