//! `conbusd emulator`: the emulated gateway alone.

use std::net::SocketAddr;

use log::info;

use crate::app::run::{RunError, emulated_house, listen};
use crate::config::Config;
use crate::emulator::{Emulator, Timing};

/// How it is to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it takes orders.
    pub control: Option<SocketAddr>,
    /// Whether everything happens at once instead of as fast as real hardware.
    pub instant: bool,
}

/// Serves the modules of the config's first gateway until it is interrupted.
pub async fn run(config: &Config, plan: &Plan) -> Result<(), RunError> {
    let mut house = emulated_house(config, 0);
    if plan.instant {
        house = house.with_timing(Timing::zero());
    }
    let emulator = Emulator::new(house);
    let listener = listen(&plan.listen.to_string(), "the emulated gateway").await?;
    let address = listener.local_addr().unwrap_or(plan.listen);
    info!(target: "emulator", "listening address={address} modules={}", config.modules.len());
    let control = match plan.control {
        Some(address) => Some(listen(&address.to_string(), "the emulator's orders").await?),
        None => None,
    };
    if let Some(address) = control.as_ref().and_then(|control| control.local_addr().ok()) {
        info!(target: "emulator", "taking orders address={address}");
    }
    let orders = async {
        match control {
            Some(control) => emulator.serve_control(control).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {}
        () = emulator.serve(listener) => {}
        () = orders => {}
    }
    Ok(())
}
