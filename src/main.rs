//! The command line: arguments, config, logger, exit codes.
//!
//! Exit codes: 0 stopped or done, 1 runtime failure, 2 bad configuration or arguments.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use actix::System;
use clap::{Args, Parser, Subcommand};
use conbusd::app::watch::end_on_panic;
use conbusd::app::{homekit, logging, run};
use conbusd::config::{self, Config, GatewayAddress};
use conbusd::emulator::capture::Speed;
use conbusd::tools::{check, decode, emulate, import, monitor};

const FAILED: u8 = 1;
const BAD_CONFIG: u8 = 2;

/// Keeps the state of a Conson XP ("Conbus") installation in memory and answers every reader at once.
#[derive(Parser)]
#[command(name = "conbusd", version, about)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The config file.
    #[arg(long, global = true, default_value = "config.toml", value_name = "FILE")]
    config: PathBuf,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs the daemon; what happens without a subcommand.
    Run,
    /// Tells every mistake in the config with its place; silent when there is none.
    Check,
    /// Makes a config from the files of `conson-xp`.
    Import(Imported),
    /// Runs the emulated gateway alone, with the modules of the config.
    Emulator(Emulated),
    /// Shows the telegrams of the bus as they go by, decoded.
    Monitor {
        /// A gateway to connect to; without it the running daemon is asked.
        #[arg(long, value_name = "HOST:PORT", value_parser = remote)]
        gateway: Option<(String, u16)>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Shows the HomeKit setup code, who is paired, or begins anew.
    Homekit {
        #[command(subcommand)]
        what: HomeKitVerb,
    },
    /// Decodes bytes to one JSON object a line.
    Decode {
        /// The bytes; standard input without it.
        file: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Subcommand)]
enum HomeKitVerb {
    /// Prints the setup code as text and as a picture for a camera.
    Qr,
    /// Lists the paired controllers.
    Pairings,
    /// Forgets every pairing and makes new keys and a new code; stop the daemon first.
    Reset,
}

#[derive(Args)]
struct Imported {
    /// conson.yml, export.yml, homekit.yml, cli.yml, server.yml: those that there are, in one go.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The config to write; `-` prints it.
    #[arg(long, default_value = "config.toml", value_name = "FILE")]
    out: PathBuf,
    /// Replaces a file that is there.
    #[arg(long)]
    force: bool,
    /// Takes the HomeKit setup code over, which is a secret.
    #[arg(long)]
    with_pin: bool,
}

#[derive(Args)]
struct Emulated {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:10001", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where it takes orders: wall switches, faults, counters; one JSON object a line.
    #[arg(long, value_name = "ADDRESS")]
    control: Option<SocketAddr>,
    /// Answers at once instead of taking the time that real hardware takes.
    #[arg(long)]
    instant: bool,
    /// Has the habits of the emulator of `conson-xp`: line feeds, reversed bits, reports on inputs 00 to 03.
    #[arg(long)]
    peer: bool,
    /// A second client takes over from the first instead of being refused.
    #[arg(long)]
    take_over: bool,
    /// Where its chance comes from: the same seed and the same telegrams give the same house.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    seed: u64,
    /// Plays what was heard in a capture instead; a line is `{"t_ms":0,"dir":"RX","telegram":"<E07L06I80BAL>"}`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["control", "check"])]
    replay: Option<PathBuf>,
    /// How many times faster than it was.
    #[arg(long, default_value = "1", value_name = "TIMES", requires = "replay", value_parser = speed)]
    speed: Speed,
    /// Sends what was sent in a capture to an emulated house, compares the answers, and ends: 0 when they agree.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.verb.unwrap_or(Verb::Run) {
        Verb::Run => with_config(&arguments.config, |config| {
            end_on_panic();
            System::new()
                .block_on(run::run(&config, &arguments.config))
                .map_err(|failure| failure.to_string())
        }),
        Verb::Check => ExitCode::from(check::run(&arguments.config, &mut io::stderr())),
        Verb::Import(Imported { files, out, force, with_pin }) => {
            let order = import::Order { files, out, force, with_pin };
            ended(import::run(&order, &mut io::stderr()).map_err(|failure| failure.to_string()))
        }
        Verb::Emulator(emulated) => emulator(&arguments.config, &emulated),
        Verb::Monitor { gateway: Some((host, port)), json } => {
            logging::start("warn");
            ended(watch(monitor::Source::Gateway { host, port }, json))
        }
        Verb::Monitor { json, .. } => with_config(&arguments.config, |config| {
            let source = monitor::Source::of_daemon(&config).map_err(|failure| failure.to_string())?;
            watch(source, json)
        }),
        Verb::Homekit { what } => with_config(&arguments.config, |config| {
            let text = match what {
                HomeKitVerb::Qr => homekit::qr(&config),
                HomeKitVerb::Pairings => homekit::pairings(&config),
                HomeKitVerb::Reset => homekit::reset(&config).map(|()| String::new()),
            };
            let text = text.map_err(|failure| failure.to_string())?;
            io::stdout().write_all(text.as_bytes()).map_err(|cause| cause.to_string())
        }),
        Verb::Decode { file } => ended(decode_file(file)),
    }
}

fn emulator(config: &Path, emulated: &Emulated) -> ExitCode {
    if let Some(file) = &emulated.check {
        return ended(
            emulate::compare(file, emulated.seed, &mut io::stdout()).map_err(|failure| failure.to_string()),
        );
    }
    if let Some(file) = &emulated.replay {
        logging::start("info");
        let played = System::new().block_on(emulate::play(file, emulated.speed, emulated.listen));
        return ended(played.map_err(|failure| failure.to_string()));
    }
    with_config(config, |config| {
        end_on_panic();
        let plan = emulate::Plan {
            listen: emulated.listen,
            control: emulated.control,
            instant: emulated.instant,
            peer: emulated.peer,
            take_over: emulated.take_over,
            seed: emulated.seed,
        };
        System::new().block_on(emulate::run(&config, &plan)).map_err(|failure| failure.to_string())
    })
}

fn speed(text: &str) -> Result<Speed, String> {
    let times = text.parse().ok().and_then(Speed::new);
    times.ok_or_else(|| "write a positive number, as `10`".into())
}

/// Loads the config, starts the log, and goes on.
fn with_config(path: &Path, go_on: impl FnOnce(Config) -> Result<(), String>) -> ExitCode {
    match config::load(path) {
        Ok(config) => {
            logging::start(&config.log.filter);
            ended(go_on(config))
        }
        Err(mistakes) => {
            let _ = writeln!(io::stderr(), "{mistakes}");
            ExitCode::from(BAD_CONFIG)
        }
    }
}

fn ended(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "conbusd: {failure}");
            ExitCode::from(FAILED)
        }
    }
}

fn watch(source: monitor::Source, json: bool) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| format!("cannot start: {cause}"))?;
    runtime.block_on(async {
        let mut out = io::stdout();
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Ok(()),
            ended = monitor::run(source, json, &mut out) => ended.map_err(|failure| failure.to_string()),
        }
    })
}

/// Reads `HOST:PORT` as the config does.
fn remote(text: &str) -> Result<(String, u16), String> {
    match text.parse() {
        Ok(GatewayAddress::Remote { host, port }) => Ok((host, port)),
        Ok(GatewayAddress::Emulator) => Err("name a gateway's host and port, as `192.168.1.17:10001`".into()),
        Err(fault) => Err(fault.to_string()),
    }
}

fn decode_file(file: Option<PathBuf>) -> Result<(), String> {
    let mut input: Box<dyn Read> = match file {
        None => Box::new(io::stdin()),
        Some(path) => match std::fs::File::open(&path) {
            Ok(file) => Box::new(file),
            Err(cause) => return Err(format!("cannot read `{}`: {cause}", path.display())),
        },
    };
    decode::run(&mut input, &mut io::stdout()).map_err(|cause| format!("cannot decode: {cause}"))
}
