//! The log: printed to standard error through a filter that may be replaced while the daemon runs.

use std::sync::{Arc, OnceLock};

use env_logger::{Builder, Env, Logger};
use log::{Log, Metadata, Record};
use tokio::sync::watch;

/// The logger of the process, once there is one.
static CURRENT: OnceLock<watch::Sender<Arc<Logger>>> = OnceLock::new();

/// `RUST_LOG` wins over the config.
const VARIABLE: &str = "RUST_LOG";

/// Whoever is asked passes it on to the latest logger.
struct Latest(&'static watch::Sender<Arc<Logger>>);

impl Log for Latest {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.borrow().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        // A handle of its own: nobody who replaces the logger waits for a slow terminal.
        let logger = Arc::clone(&self.0.borrow());
        logger.log(record);
    }

    fn flush(&self) {
        self.0.borrow().flush();
    }
}

fn logger(filter: &str) -> Arc<Logger> {
    Arc::new(Builder::from_env(Env::default().default_filter_or(filter)).build())
}

/// Starts the log with this filter, in the syntax of `env_logger`. A process that has a log already keeps it.
pub fn start(filter: &str) {
    let first = logger(filter);
    let level = first.filter();
    let current = CURRENT.get_or_init(|| watch::Sender::new(first));
    if log::set_boxed_logger(Box::new(Latest(current))).is_ok() {
        log::set_max_level(level);
    }
}

/// From now on by this filter; false where `RUST_LOG` decides.
pub fn refilter(filter: &str) -> bool {
    if std::env::var_os(VARIABLE).is_some() {
        return false;
    }
    if let Some(current) = CURRENT.get() {
        let next = logger(filter);
        log::set_max_level(next.filter());
        current.send_replace(next);
    }
    true
}
