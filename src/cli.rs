//! The words of the command line; the man pages and the completions of shells are made of them too.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{Broker, Fault, GatewayAddress};
use crate::emulator::capture::Speed;

/// Keeps the state of a Conson XP ("Conbus") installation in memory and answers every reader at once.
#[derive(Parser)]
#[command(name = "conbusd", version, about)]
pub struct Arguments {
    /// The subcommand.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// The config file.
    #[arg(long, global = true, default_value = "config.toml", value_name = "FILE")]
    pub config: PathBuf,
}

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
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
        /// Which.
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

/// What to do about HomeKit.
#[derive(Clone, Copy, Subcommand)]
pub enum HomeKitVerb {
    /// Prints the setup code as text and as a picture for a camera.
    Qr,
    /// Lists the paired controllers.
    Pairings,
    /// Forgets every pairing and makes new keys and a new code; stop the daemon first.
    Reset,
}

/// Which broker to ask, and how.
#[derive(Args)]
pub struct Fleet {
    /// The broker, as `mqtt://192.168.1.5:1883`; without it the one of the config.
    #[arg(long, value_name = "URL", value_parser = broker)]
    pub broker: Option<Broker>,
    /// The name that the broker knows.
    #[arg(long, value_name = "NAME", requires = "broker")]
    pub user: Option<String>,
    /// The file with the password of that name.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// The file with the certificates of those who vouch for an encrypted broker.
    #[arg(long, value_name = "FILE", requires = "broker")]
    pub ca_file: Option<PathBuf>,
    /// The first part of every topic.
    #[arg(long, value_name = "TOPIC", default_value = "conbus", requires = "broker")]
    pub base: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// What to make a config of.
#[derive(Args)]
pub struct Imported {
    /// conson.yml, export.yml, homekit.yml, cli.yml, server.yml: those that there are, in one go.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The config to write; `-` prints it.
    #[arg(long, default_value = "config.toml", value_name = "FILE")]
    pub out: PathBuf,
    /// Replaces a file that is there.
    #[arg(long)]
    pub force: bool,
    /// Takes the HomeKit setup code over, which is a secret.
    #[arg(long)]
    pub with_pin: bool,
}

/// What to listen to, and what to write down.
#[derive(Args)]
pub struct Monitored {
    /// A gateway to connect to; without it the running daemon is asked.
    #[arg(long, value_name = "HOST:PORT", value_parser = remote)]
    pub gateway: Option<(String, u16)>,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
    /// Writes a new file too, for `conbusd emulator --replay` and for bug reports.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Gives the modules other serial numbers in that file.
    #[arg(long, requires = "record")]
    pub anonymise: bool,
}

/// Where to look, and what to do with it.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Discovered {
    /// The gateway; nobody else may be connected to it.
    #[arg(long, value_name = "HOST:PORT", value_parser = remote)]
    pub gateway: (String, u16),
    /// A config to write, with an accessory for each output.
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Adds what is new to the config that is there; deletes nothing.
    #[arg(long, requires = "write")]
    pub merge: bool,
    /// Switches auto report on in modules that do not report their outputs, after a question.
    #[arg(long)]
    pub enable_auto_report: bool,
    /// Asks no question.
    #[arg(long, requires = "enable_auto_report")]
    pub yes: bool,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// What kind of house, and where.
#[derive(Args)]
pub struct Emulated {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:10001", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where it takes orders: wall switches, faults, counters; one JSON object a line.
    #[arg(long, value_name = "ADDRESS")]
    pub control: Option<SocketAddr>,
    /// Answers at once instead of taking the time that real hardware takes.
    #[arg(long)]
    pub instant: bool,
    /// Has the habits of the emulator of `conson-xp`: line feeds, reversed bits, reports on inputs 00 to 03.
    #[arg(long)]
    pub peer: bool,
    /// A second client takes over from the first instead of being refused.
    #[arg(long)]
    pub take_over: bool,
    /// Where its chance comes from: the same seed and the same telegrams give the same house.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub seed: u64,
    /// Plays what was heard in a capture instead; a line is `{"t_ms":0,"dir":"RX","telegram":"<E07L06I80BAL>"}`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["control", "check"])]
    pub replay: Option<PathBuf>,
    /// How many times faster than it was.
    #[arg(long, default_value = "1", value_name = "TIMES", requires = "replay", value_parser = speed)]
    pub speed: Speed,
    /// Sends what was sent in a capture to an emulated house, compares the answers, and ends: 0 when they agree.
    #[arg(long, value_name = "FILE")]
    pub check: Option<PathBuf>,
}

/// Reads `HOST:PORT` as the config does.
fn remote(text: &str) -> Result<(String, u16), String> {
    match text.parse() {
        Ok(GatewayAddress::Remote { host, port }) => Ok((host, port)),
        Ok(GatewayAddress::Emulator) => Err("name a gateway's host and port, as `192.168.1.17:10001`".into()),
        Err(fault) => Err(fault.to_string()),
    }
}

/// Reads a URL as the config does.
fn broker(text: &str) -> Result<Broker, String> {
    text.parse().map_err(|fault: Fault| fault.to_string())
}

fn speed(text: &str) -> Result<Speed, String> {
    let times = text.parse().ok().and_then(Speed::new);
    times.ok_or_else(|| "write a positive number, as `10`".into())
}
