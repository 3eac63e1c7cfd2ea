//! What doors show of the config: when it was read last, and what came of it.

use tokio::sync::watch;

use crate::policy::Moment;

/// How the config was read last. The start counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reload {
    /// When.
    pub at: Moment,
    /// How many configs were applied, that of the start included.
    pub generation: u64,
    /// What the last reading changed, by key; nothing when it found the config that runs.
    pub applied: Vec<String>,
    /// What of the file has to wait for the next start, by key.
    pub needs_restart: Vec<String>,
    /// By which the config that runs is told from others, as eight hexadecimal digits.
    pub config_hash: String,
    /// Why nothing was applied.
    pub error: Option<String>,
}

impl Reload {
    /// The start, by a config that is not told from others yet.
    pub fn first(at: Moment) -> Self {
        let (applied, needs_restart, config_hash) = (Vec::new(), Vec::new(), String::new());
        Self { at, generation: 1, applied, needs_restart, config_hash, error: None }
    }
}

/// Where a door finds the latest.
pub type Reloads = watch::Receiver<Reload>;
