//! `[service]`, `[log]`, `[cache]` and `[poller]`: defaults, and times that must fit each other.

use std::path::Path;
use std::time::Duration;

use crate::config::checked::{Cache, Identity, Log, Poller};
use crate::config::entry::{Entry, Shown};
use crate::config::raw;
use crate::config::report::{Fault, Report};
use crate::config::words::{FilePath, LogFilter, Name};

/// Apple's own word for a dwelling.
const NAME: &str = "Home";
/// Beside the config file, so that a copied folder is a whole installation.
const STATE_DIR: &str = "state";
/// Life events, fewer than one a minute at rest.
const LOG_FILTER: &str = "info";
/// Long enough that a list of lamps costs nothing, short enough that a lost report is noticed.
const TTL: Duration = Duration::from_secs(30);
/// More outputs than most houses have; remembering them costs less than a megabyte.
const MAX_ENTRIES: usize = 1000;
/// A change that nobody reports shows within two seconds while somebody looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Reports arrive by themselves; this only catches lost ones, before the TTL calls the state stale.
const REPORTING_INTERVAL: Duration = Duration::from_secs(20);
/// Who looked two minutes ago has most likely left.
const IDLE_AFTER: Duration = Duration::from_secs(2 * 60);
/// Leaves more than half of the bus to people and panels.
const BUS_SHARE: f64 = 0.4;

pub(super) fn identity(raw: &Entry<raw::Identity>, base: &Path) -> Identity {
    let raw = raw.get();
    let name = raw.and_then(|raw| raw.name.get());
    let state_dir = raw.and_then(|raw| raw.state_dir.get());
    Identity {
        name: name.map_or_else(|| NAME.into(), |Name(name)| name.clone()),
        state_dir: state_dir.map_or_else(|| base.join(STATE_DIR), |FilePath(path)| base.join(path)),
    }
}

pub(super) fn log(raw: &Entry<raw::Log>) -> Log {
    let filter = raw.get().and_then(|raw| raw.filter.get());
    Log { filter: filter.map_or_else(|| LOG_FILTER.into(), |LogFilter(filter)| filter.clone()) }
}

/// `outputs`: how many outputs the configured modules have; by default all of them are remembered.
pub(super) fn cache(raw: &Entry<raw::Cache>, outputs: usize) -> Cache {
    let unwritten = raw::Cache::default();
    let raw = raw.get().unwrap_or(&unwritten);
    let max_entries = raw.max_entries.get().and_then(|entries| usize::try_from(*entries).ok());
    Cache {
        enabled: raw.enabled.value_or(true),
        ttl: raw.ttl.value_or(TTL),
        max_entries: max_entries.unwrap_or(MAX_ENTRIES.max(outputs)),
    }
}

/// `cache` and `ttl`: what was typed of the cache and the time to live that follows from it.
pub(super) fn poller(
    entry: &Entry<raw::Poller>,
    cache: &Entry<raw::Cache>,
    ttl: Duration,
    report: &mut Report,
) -> Poller {
    let unwritten = raw::Poller::default();
    let raw = entry.get().unwrap_or(&unwritten);
    // What is not written follows what is, so that a single changed line makes a valid file.
    let reporting_interval = raw.reporting_interval.value_or(REPORTING_INTERVAL.min(ttl * 2 / 3));
    let interval = raw.interval.value_or(INTERVAL.min(reporting_interval));
    let ttl_written = cache.get().map(|cache| &cache.ttl);
    let ttl_known = !cache.is_wrong() && !ttl_written.is_some_and(Entry::is_wrong);
    if let Some(place) = raw.reporting_interval.given().filter(|_| ttl_known && reporting_interval >= ttl) {
        let (is, limit, origin) = (reporting_interval.shown(), ttl.shown(), origin(ttl_written, report));
        let fault = Fault::new(format!(
            "`reporting_interval` `{is}` is not below the cache's `ttl` `{limit}`{origin}"
        ));
        report.add(&place.span(), fault.hint("state would be stale before it is read again"));
    }
    let limit_known =
        raw.reporting_interval.given().is_some() || raw.reporting_interval.is_absent() && ttl_known;
    if let Some(place) = raw.interval.given().filter(|_| limit_known && interval > reporting_interval) {
        let (is, limit) = (interval.shown(), reporting_interval.shown());
        let origin = origin(Some(&raw.reporting_interval), report);
        let fault =
            Fault::new(format!("`interval` `{is}` is longer than `reporting_interval` `{limit}`{origin}"));
        report
            .add(&place.span(), fault.hint("modules that report by themselves need less polling, not more"));
    }
    Poller {
        enabled: raw.enabled.value_or(true),
        interval,
        reporting_interval,
        idle_after: raw.idle_after.value_or(IDLE_AFTER),
        bus_share: raw.bus_share.value_or(BUS_SHARE),
    }
}

/// Where a value that somebody may look for was written.
fn origin<T>(entry: Option<&Entry<T>>, report: &Report) -> String {
    match entry.and_then(Entry::given) {
        Some(value) => format!(" (line {})", report.line_of(&value.span())),
        None => " (not written)".into(),
    }
}
