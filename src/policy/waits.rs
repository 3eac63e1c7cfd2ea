//! How long the bus takes to answer, and how much of its time exchanges take: counts for people and programs.

use std::time::Duration;

use serde::Serialize;

/// Upper ends of the classes, ms: a read takes 40 to 70, a busy bus up to the time-out of 300; more is the last class.
pub const CLASSES_MS: [u64; 10] = [20, 30, 40, 50, 60, 80, 100, 150, 200, 300];

/// Totals since the start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Waits {
    /// Upper ends of the classes, ms.
    #[serde(rename = "classes_ms")]
    classes: [u64; CLASSES_MS.len()],
    /// Answers in each class; the last class is what took longer.
    counts: [u64; CLASSES_MS.len() + 1],
    /// Answers altogether.
    answers: u64,
    /// What all answers took together, ms.
    #[serde(rename = "sum_ms", serialize_with = "as_millis")]
    sum: Duration,
    /// What all exchanges took of the bus, those without an answer too, ms.
    #[serde(rename = "busy_ms", serialize_with = "as_millis")]
    busy: Duration,
}

fn as_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_millis() as u64)
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            classes: CLASSES_MS,
            counts: [0; CLASSES_MS.len() + 1],
            answers: 0,
            sum: Duration::ZERO,
            busy: Duration::ZERO,
        }
    }
}

impl Waits {
    /// An exchange was answered, with yes or no, after this time.
    pub fn answered(&mut self, after: Duration) {
        let class = CLASSES_MS.iter().position(|end| after <= Duration::from_millis(*end));
        self.counts[class.unwrap_or(CLASSES_MS.len())] += 1;
        self.answers += 1;
        self.sum += after;
        self.busy += after;
    }

    /// Nothing else could be said for this time, and no answer came of it.
    pub fn occupied(&mut self, time: Duration) {
        self.busy += time;
    }

    /// What all exchanges took of the bus.
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// How many answers were counted in each class of [`CLASSES_MS`], and beyond it.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_in_the_class_whose_end_it_does_not_pass() {
        let mut waits = Waits::default();
        for ms in [1, 20, 21, 300, 301] {
            waits.answered(Duration::from_millis(ms));
        }
        waits.occupied(Duration::from_millis(300));
        assert_eq!(waits.counts(), [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(waits.busy(), Duration::from_millis(943));
        let told = serde_json::to_value(&waits).unwrap();
        assert_eq!((told["answers"].as_u64(), told["sum_ms"].as_u64()), (Some(5), Some(643)));
        assert_eq!(
            told["classes_ms"].as_array().unwrap().len() + 1,
            told["counts"].as_array().unwrap().len()
        );
    }
}
