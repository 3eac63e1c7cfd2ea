//! `conbusd emulator`: the emulated gateway alone, or a capture played or compared.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use log::info;

use crate::app::run::{RunError, emulated_house, listen};
use crate::config::Config;
use crate::emulator::capture::{Capture, CaptureError, Speed, check, replay};
use crate::emulator::{Dialect, Emulator, HouseSetup, SecondClient, Timing};

/// Captures of a whole day are smaller.
const CAPTURE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How the gateway is to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it takes orders.
    pub control: Option<SocketAddr>,
    /// Whether everything happens at once instead of as fast as real hardware.
    pub instant: bool,
    /// Whether it has the habits of the emulator of `conson-xp`.
    pub peer: bool,
    /// Whether a second client takes over from the first.
    pub take_over: bool,
    /// Where its chance comes from.
    pub seed: u64,
}

/// Why the emulated gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum EmulateError {
    /// It cannot listen.
    #[error("{0}")]
    Run(#[from] RunError),
    /// The capture cannot be read.
    #[error("cannot read the capture `{}`: {why}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The capture is not one.
    #[error("the capture `{}`: {fault}", path.display())]
    Capture {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        fault: CaptureError,
    },
    /// The house differs from the captured one.
    #[error("the emulated house differs from the captured one")]
    Differs,
}

/// Serves the modules of the config's first gateway until it is interrupted.
pub async fn run(config: &Config, plan: &Plan) -> Result<(), EmulateError> {
    let emulator = Emulator::new(house(config, plan));
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

fn house(config: &Config, plan: &Plan) -> HouseSetup {
    let mut house = emulated_house(config, 0);
    if plan.instant {
        house.timing = Timing::zero();
    }
    house.dialect = if plan.peer { Dialect::Peer } else { Dialect::Hardware };
    house.second_client = if plan.take_over { SecondClient::TakeOver } else { SecondClient::Refuse };
    house.seed = plan.seed;
    house
}

/// Plays what was heard in a capture to whoever connects, until it is interrupted.
pub async fn play(file: &Path, speed: Speed, address: SocketAddr) -> Result<(), EmulateError> {
    let capture = read(file)?;
    let listener = listen(&address.to_string(), "the replayed capture").await?;
    let address = listener.local_addr().unwrap_or(address);
    info!(target: "emulator", "replaying file={} address={address}", file.display());
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {}
        () = replay(listener, capture, speed) => {}
    }
    Ok(())
}

/// Sends what was sent in a capture to the emulated house, and tells how well its answers agree.
pub fn compare(file: &Path, seed: u64, out: &mut dyn Write) -> Result<(), EmulateError> {
    let agreement = check(&read(file)?, HouseSetup { seed, ..HouseSetup::default() });
    // Whoever closed the output wants no more.
    let _ = writeln!(out, "{agreement}");
    if agreement.is_good() { Ok(()) } else { Err(EmulateError::Differs) }
}

fn read(file: &Path) -> Result<Capture, EmulateError> {
    let unreadable = |why: String| EmulateError::Unreadable { path: file.to_owned(), why };
    let bytes = std::fs::metadata(file).map_err(|cause| unreadable(cause.to_string()))?.len();
    if bytes > CAPTURE_BYTES_MAX {
        return Err(unreadable(format!("{bytes} bytes are more than {CAPTURE_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(file).map_err(|cause| unreadable(cause.to_string()))?;
    Capture::parse(&text).map_err(|fault| EmulateError::Capture { path: file.to_owned(), fault })
}
