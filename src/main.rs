//! The program: what each subcommand starts, config, logger, exit codes.
//!
//! Exit codes: 0 stopped or done, 1 runtime failure, 2 bad configuration or arguments.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use actix::System;
use clap::Parser;
use conbusd::app::watch::end_on_panic;
use conbusd::app::{fleet, homekit, logging, run};
use conbusd::cli::{Arguments, Discovered, Emulated, Fleet, HomeKitVerb, Imported, Monitored, Verb};
use conbusd::config::{self, Config};
use conbusd::tools::answers::Answers;
use conbusd::tools::{check, decode, discover, emulate, import, init, monitor};

const FAILED: u8 = 1;
const BAD_CONFIG: u8 = 2;

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
