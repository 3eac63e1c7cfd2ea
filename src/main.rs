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
use conbusd::app::{fleet, homekit, logging, run};
use conbusd::config::{self, Broker, Config, GatewayAddress};
use conbusd::emulator::capture::Speed;
use conbusd::tools::answers::Answers;
use conbusd::tools::{check, decode, discover, emulate, import, init, monitor};

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
    /// Asks for the bridge, rooms and names, and writes a new config.
    Init,
    /// Tells what is on the bus, and can write it as a config.
    Discover(Discovered),
    /// Runs the emulated gateway alone, with the modules of the config.
    Emulator(Emulated),
    /// Shows the telegrams of the bus as they go by, decoded.
    Monitor(Monitored),
    /// Shows the HomeKit setup code, who is paired, or begins anew.
    Homekit {
        #[command(subcommand)]
        what: HomeKitVerb,
    },
    /// Lists every daemon at an MQTT broker, with its gateways and links.
    Fleet(Fleet),
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
struct Fleet {
    /// The broker, as `mqtt://192.168.1.5:1883`; without it the one of the config.
    #[arg(long, value_name = "URL", value_parser = broker)]
    broker: Option<Broker>,
    /// The name that the broker knows.
    #[arg(long, value_name = "NAME", requires = "broker")]
    user: Option<String>,
    /// The file with the password of that name.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// The file with the certificates of those who vouch for an encrypted broker.
    #[arg(long, value_name = "FILE", requires = "broker")]
    ca_file: Option<PathBuf>,
    /// The first part of every topic.
    #[arg(long, value_name = "TOPIC", default_value = "conbus", requires = "broker")]
    base: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
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
struct Monitored {
    /// A gateway to connect to; without it the running daemon is asked.
    #[arg(long, value_name = "HOST:PORT", value_parser = remote)]
    gateway: Option<(String, u16)>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Writes a new file too, for `conbusd emulator --replay` and for bug reports.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Gives the modules other serial numbers in that file.
    #[arg(long, requires = "record")]
    anonymise: bool,
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Discovered {
    /// The gateway; nobody else may be connected to it.
    #[arg(long, value_name = "HOST:PORT", value_parser = remote)]
    gateway: (String, u16),
    /// A config to write, with an accessory for each output.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Adds what is new to the config that is there; deletes nothing.
    #[arg(long, requires = "write")]
    merge: bool,
    /// Switches auto report on in modules that do not report their outputs, after a question.
    #[arg(long)]
    enable_auto_report: bool,
    /// Asks no question.
    #[arg(long, requires = "enable_auto_report")]
    yes: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
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
        Verb::Init => ended(at_terminal(async {
            let (mut answers, mut out, mut told) = (Answers::of_stdin(), io::stdout(), io::stderr());
            let talk = init::Talk { answers: &mut answers, out: &mut out, told: &mut told };
            init::run(&arguments.config, talk).await.map_err(|failure| failure.to_string())
        })),
        Verb::Discover(Discovered { gateway: (host, port), write, merge, enable_auto_report, yes, json }) => {
            let auto_report = match (enable_auto_report, yes) {
                (false, _) => discover::Consent::No,
                (true, false) => discover::Consent::Ask,
                (true, true) => discover::Consent::Yes,
            };
            let order = discover::Order { host, port, write, merge, auto_report, json };
            ended(at_terminal(async {
                let (mut answers, mut out, mut told) = (Answers::of_stdin(), io::stdout(), io::stderr());
                let ran = discover::run(&order, &mut answers, &mut out, &mut told).await;
                ran.map_err(|failure| failure.to_string())
            }))
        }
        Verb::Emulator(emulated) => emulator(&arguments.config, &emulated),
        Verb::Monitor(monitored) => monitor(&arguments.config, monitored),
        Verb::Homekit { what } => with_config(&arguments.config, |config| {
            let text = match what {
                HomeKitVerb::Qr => homekit::qr(&config),
                HomeKitVerb::Pairings => homekit::pairings(&config),
                HomeKitVerb::Reset => homekit::reset(&config).map(|()| String::new()),
            };
            let text = text.map_err(|failure| failure.to_string())?;
            io::stdout().write_all(text.as_bytes()).map_err(|cause| cause.to_string())
        }),
        Verb::Fleet(asked) => list_fleet(&arguments.config, asked),
        Verb::Decode { file } => ended(decode_file(file)),
    }
}

fn list_fleet(config: &Path, asked: Fleet) -> ExitCode {
    let as_json = asked.json;
    let list = |entrance| {
        let text =
            System::new().block_on(fleet::list(entrance, as_json)).map_err(|failure| failure.to_string())?;
        io::stdout().write_all(text.as_bytes()).map_err(|cause| cause.to_string())
    };
    let Fleet { broker: Some(broker), user, password_file, ca_file, base, .. } = asked else {
        return with_config(config, |config| list(fleet::Entrance::Configured(Box::new(config))));
    };
    logging::start("warn");
    ended(list(fleet::Entrance::Given { broker, user, password_file, ca_file, base }))
}

/// Reads a URL as the config does.
fn broker(text: &str) -> Result<Broker, String> {
    text.parse().map_err(|fault: config::Fault| fault.to_string())
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

/// Runs a subcommand that writes at its end.
fn at_terminal(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    interruptible(Err("interrupted; nothing is written".into()), work)
}

/// Runs a subcommand until it ends, or is interrupted, which comes to this.
fn interruptible(
    interrupted: Result<(), String>,
    work: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| format!("cannot start: {cause}"))?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => interrupted,
            ended = work => ended,
        }
    })
}

fn monitor(config: &Path, monitored: Monitored) -> ExitCode {
    let Monitored { gateway, json, record, anonymise } = monitored;
    let watch = |source: monitor::Source| {
        let recorder = record.map(|file| monitor::Recorder::create(&file, anonymise)).transpose();
        let recorder = recorder.map_err(|failure| failure.to_string())?;
        let mut out = io::stdout();
        interruptible(Ok(()), async {
            let ran = monitor::run_recording(source, json, recorder, &mut out).await;
            ran.map_err(|failure| failure.to_string())
        })
    };
    match gateway {
        Some((host, port)) => {
            logging::start("warn");
            ended(watch(monitor::Source::Gateway { host, port }))
        }
        None => with_config(config, |config| {
            watch(monitor::Source::of_daemon(&config).map_err(|failure| failure.to_string())?)
        }),
    }
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
