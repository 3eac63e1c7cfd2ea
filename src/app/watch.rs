//! What is told to whoever started the process, and how a panic ends it.
//!
//! Under systemd: ready, stopping, and a sign of life that went through the mailboxes. Elsewhere nobody listens.

use std::convert::Infallible;
use std::time::Duration;

use log::{debug, error, warn};
use sd_notify::NotifyState;

use super::App;
use crate::actors::ask;
use crate::actors::events::Observe;

/// Signs of life in the time after which the process is given up for dead: two may be late.
const BEATS: u32 = 4;

/// An actor that panics is not restarted by its supervisor: the house would run headless. The process ends
/// instead, and whoever started it starts it again.
pub fn end_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        error!(target: "app", "broken invariant, ending: {panic}");
        std::process::abort();
    }));
}

/// The doors listen.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The config is read anew; [`ready`] follows.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!(target: "app", "cannot tell the system of a reload error=\"{error}\""),
    }
}

/// The end has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(target: "app", "nobody hears what is told to the system error=\"{error}\"");
    }
}

/// Whether the actors that every answer passes through answer in this time.
pub async fn is_alive(app: &App, within: Duration) -> bool {
    let (cache, poller) = (ask(&app.cache, Observe, within), ask(&app.poller, Observe, within));
    let (cache, poller) = futures_util::future::join(cache, poller).await;
    cache.is_ok() && poller.is_ok()
}

/// Gives signs of life for as long as there is life, when somebody wants them; never ends.
pub(super) async fn watch(app: &App) -> Infallible {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let between = patience / BEATS;
    loop {
        if is_alive(app, between).await {
            tell(&[NotifyState::Watchdog]);
        } else {
            warn!(target: "app", "the actors do not answer, no sign of life is given within={between:?}");
        }
        tokio::time::sleep(between).await;
    }
}
