//! Breaks a running daemon on purpose, so that tests see how the whole of it ends. Debug builds only: no release has it.
//!
//! `CONBUSD_SABOTAGE=panic` lets an actor panic, `CONBUSD_SABOTAGE=stuck` lets one never return, and
//! `CONBUSD_SABOTAGE=poller` ends the poller; each a little after the start.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context};
use log::warn;

use super::App;
use crate::actors::ask;
use crate::actors::events::Drain;

/// What is to break.
const WHAT: &str = "CONBUSD_SABOTAGE";

/// Whoever watches has seen that it lives.
const AFTER: Duration = Duration::from_secs(1);

/// An actor that does this and nothing else.
struct Fragile(fn());

impl Actor for Fragile {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(AFTER, |this, _| this.0());
    }
}

fn never_return() {
    loop {
        std::thread::park();
    }
}

/// Breaks what the environment asks for.
pub(super) fn begin(app: &App) {
    let Ok(what) = std::env::var(WHAT) else { return };
    warn!(target: "app", "sabotage what={what}");
    match what.as_str() {
        "panic" => {
            Fragile(|| panic!("sabotage in an actor")).start();
        }
        "stuck" => {
            Fragile(never_return).start();
        }
        "poller" => {
            let poller = app.poller.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(AFTER).await;
                let _ = ask(&poller, Drain, AFTER).await;
            });
        }
        _ => {}
    }
}
