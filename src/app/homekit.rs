//! Opens the HomeKit door, and does what `conbusd homekit …` asks of its store.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use actix::{Actor, Addr};
use log::info;

use super::App;
use super::lamps::faces;
use super::run::{RunError, claim};
use crate::actors::ask;
use crate::actors::events::Observe;
use crate::config::Config;
use crate::doors::homekit::{self, Door, HomeKitPlan, Hub, OpenError, SetupCode, ShowPairing};
use crate::doors::http::Observed;

/// The file of pairings and numbers, in the state folder.
const STORE: &str = "homekit.json";

/// How long the poller may take to show its modules.
const LOOK_WITHIN: Duration = Duration::from_secs(1);

fn store(config: &Config) -> PathBuf {
    config.service.state_dir.join(STORE)
}

fn plan(config: &Config, section: &crate::config::HomeKit) -> HomeKitPlan {
    HomeKitPlan {
        listen: section.listen,
        name: config.service.name.clone(),
        code: section.pin.as_ref().map(|pin| SetupCode::new(pin.reveal().to_owned())),
        interface: section.interface.clone(),
        advertise: section.advertise,
        store: store(config),
        faces: faces(config),
    }
}

/// The door with its ports taken, before the accessories exist.
pub(super) struct HomeKitBefore {
    door: Door,
    /// Hears what accessories show.
    pub(super) hub: Addr<Hub>,
}

impl HomeKitBefore {
    /// Takes the ports, if the door is configured.
    pub(super) async fn open(config: &Config) -> Result<Option<Self>, RunError> {
        let Some(section) = &config.homekit else { return Ok(None) };
        let door = Door::prepare(plan(config, section)).await?;
        let hub = door.hub().start();
        Ok(Some(Self { door, hub }))
    }

    /// A look at who is paired, and at the code for who is not: for the owner's eyes, never for a log.
    pub(super) fn pairing(&self) -> Observed {
        let hub = self.hub.clone();
        Observed::new(move |within| Box::pin(ask(&hub, ShowPairing, within)))
    }

    /// Lets controllers in.
    pub(super) fn serve(mut self, app: &App) -> Door {
        if self.door.is_new() {
            show_code(&self.door);
        }
        let poller = app.poller.clone();
        let modules = move || {
            let picture = ask(&poller, Observe, LOOK_WITHIN);
            Box::pin(async move { picture.await.ok() }) as _
        };
        self.door.serve(app.roll(), Box::new(modules));
        self.door
    }
}

/// At the first start the owner sees the code on the terminal; a log must never hold it.
fn show_code(door: &Door) {
    let mut out = io::stdout();
    let shown = out.is_terminal() && writeln!(out, "{}", door.setup_text()).is_ok();
    if !shown {
        info!(target: "homekit", "a setup code was made: `conbusd homekit qr` shows it");
    }
}

/// The setup codes as text and pictures. Works beside a running daemon.
pub fn qr(config: &Config) -> Result<String, RunError> {
    let section = open_section(config)?;
    // The first to ask makes the code; the daemon then finds it, unless it is there and has made it.
    let _lock = if store(config).exists() { None } else { Some(claim(&config.service.state_dir)?) };
    Ok(Door::prepare_closed(plan(config, section))?.setup_text())
}

/// Who is paired. Works beside a running daemon.
pub fn pairings(config: &Config) -> Result<String, RunError> {
    Ok(homekit::pairings(&store(config))?)
}

/// Forgets every pairing and makes new bridges; refused while a daemon runs, which would write the old ones back.
pub fn reset(config: &Config) -> Result<(), RunError> {
    let _lock = claim(&config.service.state_dir)?;
    Ok(homekit::reset(&store(config))?)
}

fn open_section(config: &Config) -> Result<&crate::config::HomeKit, RunError> {
    config.homekit.as_ref().ok_or(RunError::HomeKit(OpenError::Closed))
}
