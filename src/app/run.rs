//! The daemon from start to stop: state folder, emulated gateways, doors, signals, drain.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use log::{error, info, warn};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::doors::{Doors, OpenDoors};
use super::logging::refilter;
use super::restore::{restore, wall_clock};
use super::walls::Walls;
use super::watch::{ready, reloading, stopping, watch};
use super::{App, Beginning, assemble_from};
use crate::actors::keeper::KeeperPlan;
use crate::conbus::ActionTable;
use crate::config::{self, Config, ConfigError, GatewayAddress};
use crate::emulator::{Emulator, HouseSetup, ModuleSetup, Timing};
use crate::policy::KeepingPlan;
use crate::transport::{Dial, TcpDial};
use crate::vault::FileVault;

/// How long the doors and actors may take to stop altogether.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Mistakes of a config that are told by a daemon that runs; `conbusd check` tells all of them.
const MISTAKES_TOLD: usize = 20;

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state folder cannot be used.
    #[error("cannot use the state folder `{}`: {cause}", path.display())]
    State {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another daemon has the state folder, and so the gateways.
    #[error("another conbusd is running: it holds `{}`; stop it first, or give this one another `state_dir`", path.display())]
    AlreadyRunning {
        /// The lock file.
        path: PathBuf,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on `{address}` for {what}: {cause}")]
    Listen {
        /// Which address.
        address: String,
        /// For what.
        what: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// The token of the HTTP door cannot be used.
    #[error("cannot use the token file `{}`: {why}", path.display())]
    Token {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        why: String,
    },
    /// A password or a certificate of the MQTT door cannot be used.
    #[error("cannot use the file `{}` of [mqtt]: {why}", path.display())]
    Secret {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        why: String,
    },
    /// No broker is configured, and none was named.
    #[error("the config has no [mqtt] section: name a broker, as `--broker mqtt://127.0.0.1:1883`")]
    NoBroker,
    /// The daemons at a broker cannot be listed.
    #[error(transparent)]
    Fleet(#[from] crate::doors::mqtt::FleetError),
    /// The MQTT door cannot be opened.
    #[error(transparent)]
    Mqtt(#[from] crate::doors::mqtt::OpenError),
    /// The HomeKit door cannot be opened.
    #[error(transparent)]
    HomeKit(#[from] crate::doors::homekit::OpenError),
    /// Something of the system failed.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        cause: io::Error,
    },
}

/// Runs the daemon until a signal ends it; `file` is read anew when another asks for that. Call it inside a `System`.
pub async fn run(config: &Config, file: &Path) -> Result<(), RunError> {
    let _lock = claim(&config.service.state_dir)?;
    let mut signals =
        Signals::new().map_err(|cause| RunError::System { what: "cannot catch signals", cause })?;
    let doors = Doors::open(config).await?;
    let mut dials: Vec<Box<dyn Dial>> = Vec::new();
    let mut walls = Walls::default();
    for index in 0..config.gateways.len() {
        dials.push(dial(config, index, &mut walls).await?);
    }
    let vault = FileVault::new(config.service.state_dir.join("state.json"));
    let restored = restore(&vault, wall_clock());
    let keeper = restored.may_write.then(|| KeeperPlan {
        keeping: KeepingPlan::default(),
        vault: Box::new(vault),
        wall: wall_clock,
    });
    let seed = fastrand::u64(..);
    let beginning = Beginning { seed, restored: restored.snapshot, keeper, ..Beginning::default() };
    let mut app = assemble_from(config, dials, &doors.audience(), beginning);
    let wanted = Rc::new(Notify::new());
    let doors = doors.serve(config, &app, walls, wanted.clone());
    info!(target: "app", "started gateways={} modules={} accessories={}",
        config.gateways.len(), config.modules.len(), config.accessories.len());
    #[cfg(debug_assertions)]
    super::sabotage::begin(&app);
    ready();
    let signal = loop {
        let asked = when_woken(async {
            tokio::select! {
                biased;
                signal = signals.next() => signal,
                () = wanted.notified() => Asked::Reload,
                never = watch(&app) => match never {},
            }
        });
        match asked.await {
            Asked::End(signal) => break signal,
            Asked::Reload => {
                reloading();
                reload(&mut app, file).await;
                ready();
            }
        }
    };
    stopping();
    info!(target: "app", "stopping signal={signal}");
    stop(doors, &app, &mut signals).await;
    Ok(())
}

/// Waits for something that is looked at when it has been woken and not before: the thread looks at what it was started
/// with each time that anything happens, and the three signals alone take 750 instructions.
async fn when_woken<T>(something: impl Future<Output = T>) -> T {
    let mut one = FuturesUnordered::from_iter([something]);
    loop {
        if let Some(outcome) = one.next().await {
            return outcome;
        }
    }
}

/// Reads the config anew and goes on by it. One with mistakes changes nothing.
async fn reload(app: &mut App, file: &Path) {
    info!(target: "app", "reload file=\"{}\"", file.display());
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || config::load(&path)).await;
    let error = match read {
        Ok(Ok(config)) => {
            let reload = app.reload(&config).await;
            if reload.applied.iter().any(|key| key == "log.filter") && !refilter(&config.log.filter) {
                warn!(target: "app", "RUST_LOG wins over `filter` in [log]");
            }
            info!(target: "app", "reloaded applied={} needs_restart={}", reload.applied.len(), reload.needs_restart.len());
            return;
        }
        Ok(Err(ConfigError::Mistakes(report))) => {
            let mistakes = report.told(MISTAKES_TOLD);
            for mistake in &mistakes {
                error!(target: "app", "reload: {mistake}");
            }
            mistakes.join("\n")
        }
        Ok(Err(unreadable)) => unreadable.to_string(),
        Err(failed) => format!("cannot read the config: {failed}"),
    };
    let first = error.lines().next().unwrap_or_default();
    error!(target: "app", "reload changes nothing, the config has mistakes error=\"{first}\"");
    app.reload_refused(error);
}

/// Doors refuse new work, the actors settle, then the doors close: whoever waits is still answered.
async fn stop(doors: OpenDoors, app: &App, signals: &mut Signals) {
    let drained = async {
        doors.refuse();
        app.drain().await;
        doors.close().await;
    };
    tokio::select! {
        biased;
        outcome = tokio::time::timeout(STOP_WITHIN, drained) => match outcome {
            Ok(()) => info!(target: "app", "stopped"),
            Err(_) => warn!(target: "app", "stopped before everything had settled after={STOP_WITHIN:?}"),
        },
        signal = signals.end() => warn!(target: "app", "stopped at once signal={signal}"),
    }
}

/// Makes the state folder and takes its lock for as long as the file lives: one gateway serves one client, so
/// two daemons with one config would take it from each other.
pub(super) fn claim(state_dir: &Path) -> Result<File, RunError> {
    let failed = |cause| RunError::State { path: state_dir.to_owned(), cause };
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(failed)?;
    let path = state_dir.join("lock");
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::AlreadyRunning { path }),
        Err(TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

/// The way to a configured gateway; starts the emulated one where it is asked for.
async fn dial(config: &Config, index: usize, walls: &mut Walls) -> Result<Box<dyn Dial>, RunError> {
    let gateway = &config.gateways[index];
    match &gateway.address {
        GatewayAddress::Remote { host, port } => Ok(Box::new(TcpDial::new(host.clone(), *port))),
        GatewayAddress::Emulator => {
            let listener = listen("127.0.0.1:0", "the emulated gateway").await?;
            let address = listener.local_addr().map_err(|cause| RunError::System {
                what: "cannot tell the emulated gateway's address",
                cause,
            })?;
            let emulator = Emulator::new(emulated_house(config, index));
            info!(target: "app", "emulated gateway={} address={address}", gateway.id);
            walls.add(index, emulator.clone());
            tokio::task::spawn_local(async move { emulator.serve(listener).await });
            Ok(Box::new(TcpDial::new(address.ip().to_string(), address.port())))
        }
    }
}

/// The modules of a gateway as an emulated house, with the timing of real hardware.
pub fn emulated_house(config: &Config, gateway: usize) -> HouseSetup {
    let modules = config.modules.iter().filter(|module| module.gateway == gateway);
    let modules = modules.map(|module| {
        let setup = ModuleSetup::new(module.serial, module.module_type, module.link);
        let table =
            module.action_table.as_deref().and_then(|entries| ActionTable::from_entries(entries).ok());
        match table {
            Some(table) => setup.with_table(table),
            None => setup,
        }
    });
    HouseSetup::new(modules.collect()).with_timing(Timing::hardware())
}

/// Listens, or tells where and why not.
pub async fn listen(address: &str, what: &'static str) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|cause| RunError::Listen {
        address: address.to_owned(),
        what,
        cause,
    })
}

/// What a signal asks for.
enum Asked {
    /// The end, by this signal.
    End(&'static str),
    /// The config is to be read anew.
    Reload,
}

/// The signals that the daemon obeys.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Asked::End("TERM"),
            _ = self.interrupt.recv() => Asked::End("INT"),
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    /// The next one that asks for the end; who stops reads no config.
    async fn end(&mut self) -> &'static str {
        loop {
            if let Asked::End(signal) = self.next().await {
                return signal;
            }
        }
    }
}

/// The least length of a token: 128 bits written as base64.
const TOKEN_CHARACTERS_MIN: usize = 22;

/// Refuses a file that others than its owner may read; the error says what to do.
pub(super) fn owned_file(path: &Path) -> Result<(), String> {
    let mode = std::fs::metadata(path).map_err(|cause| cause.to_string())?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("others may read it (mode {:o}); `chmod 600` it", mode & 0o777));
    }
    Ok(())
}

/// Reads the token of the HTTP door; refuses one that others could read or guess.
pub fn read_token(path: &Path) -> Result<String, RunError> {
    let refused = |why: String| RunError::Token { path: path.to_owned(), why };
    owned_file(path).map_err(refused)?;
    let text = std::fs::read_to_string(path).map_err(|cause| refused(cause.to_string()))?;
    let token = text.trim();
    if token.len() < TOKEN_CHARACTERS_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused(format!(
            "a token has at least {TOKEN_CHARACTERS_MIN} visible characters; `openssl rand -base64 24` makes one"
        )));
    }
    Ok(token.to_owned())
}
