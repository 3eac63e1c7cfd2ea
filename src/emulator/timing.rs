//! How long things take on the bus (protocol reference 7.2).
//!
//! One bus, half duplex: one module speaks at a time and every character costs. The bridge answers for itself
//! without using the bus. The figures are measured from the first byte a client wrote to the reply it read.

use std::time::Duration;

const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The durations that an emulated bus obeys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// From the client's last byte until the addressed module has heard the request.
    pub request: Duration,
    /// From hearing a read until the module begins its reply.
    pub turnaround: Duration,
    /// Bus time of each telegram that a module sends, whatever its length.
    pub per_telegram: Duration,
    /// Bus time of each character that a module sends.
    pub per_character: Duration,
    /// What is added, at random up to this, to each reply.
    pub jitter: Duration,
    /// What an output command costs beyond a read.
    pub command: Duration,
    /// What a configuration write costs beyond a read.
    pub write: Duration,
    /// What a written chunk of a table costs beyond a read.
    pub flash: Duration,
    /// From the end of the acknowledgement until the report of the change has been heard, on average.
    pub report: Duration,
    /// What is added to or taken from `report` at random.
    pub report_jitter: Duration,
    /// Silence between two events of a full dump.
    pub dump_gap: Duration,
    /// Silence between the telegrams of two modules.
    pub gap: Duration,
    /// From a request to the bridge until its reply is complete.
    pub bridge: Duration,
    /// From a request to everybody until the last module has made up its mind to speak.
    pub discovery_spread: Duration,
    /// From the last request of a table session until the module is back and reports its outputs.
    pub restart: Duration,
}

impl Timing {
    /// The bus as measured on a real installation with ten modules (protocol reference 7.2).
    pub fn hardware() -> Self {
        Self {
            request: millis(15),
            turnaround: millis(16),
            per_telegram: Duration::ZERO,
            per_character: micros(800),
            jitter: millis(6),
            command: millis(2),
            write: millis(5),
            flash: millis(302),
            report: millis(47),
            report_jitter: millis(8),
            dump_gap: micros(8_500),
            gap: micros(13_500),
            bridge: millis(25),
            discovery_spread: millis(8),
            restart: millis(2_447),
        }
    }

    /// A bus without delays: every answer is there at once, in the order of the requests.
    pub fn zero() -> Self {
        Self { restart: Duration::ZERO, ..Self::fixed(Duration::ZERO) }
    }

    /// A bus on which every telegram of a module occupies exactly `each`, and nothing else takes time but a
    /// module's restart.
    pub fn fixed(each: Duration) -> Self {
        Self {
            request: Duration::ZERO,
            turnaround: Duration::ZERO,
            per_telegram: each,
            per_character: Duration::ZERO,
            jitter: Duration::ZERO,
            command: Duration::ZERO,
            write: Duration::ZERO,
            flash: Duration::ZERO,
            report: Duration::ZERO,
            report_jitter: Duration::ZERO,
            dump_gap: Duration::ZERO,
            gap: Duration::ZERO,
            bridge: each,
            discovery_spread: Duration::ZERO,
            restart: millis(2_447),
        }
    }

    /// How long a telegram of this many bytes, brackets included, occupies the bus.
    pub fn on_the_bus(&self, bytes: usize) -> Duration {
        self.per_telegram + self.per_character * u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::hardware()
    }
}
