//! Measures what the daemon costs, beside its floors and its peers, and writes `benches/REPORT.md`.
//!
//! `cargo bench --bench report` measures everything; `cargo bench --bench report -- codec scale` prints these
//! parts only and writes nothing. Times on a shared machine mean little: read the ratios, which are medians of
//! pairs that were measured in turns.
#![allow(clippy::print_stdout, reason = "the report is what it is for")]
#![allow(clippy::print_stderr, reason = "a quarter of an hour is long without a word")]
#![allow(
    clippy::disallowed_methods,
    reason = "a bench measures real time, and nothing else runs on its threads"
)]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be made has failed")]

mod bridges;
mod bus;
mod codec;
mod corpus;
mod doors;
mod fan;
mod figures;
mod hap;
mod hits;
mod homekit;
#[path = "../house.rs"]
mod house;
mod houses;
mod limits;
mod masters;
mod mqtt;
mod plot;
mod programs;
mod scale;
mod start;
mod tap;
mod wire;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use figures::Section;

/// A part: its name on the command line, and what measures it.
type Part = (&'static str, fn() -> Section);

const PARTS: [Part; 12] = [
    ("hits", hits::section),
    ("wire", wire::section),
    ("codec", codec::section),
    ("doors", doors::section),
    ("homekit", homekit::section),
    ("events", fan::section),
    ("mqtt", mqtt::section),
    ("scale", scale::section),
    ("bus", bus::section),
    ("masters", masters::section),
    ("start", start::section),
    ("limits", limits::section),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let ["other", other @ ..] = &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        run_other(other);
        return ExitCode::SUCCESS;
    }
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    let mut report = Report::default();
    for (name, measure) in PARTS.into_iter().filter(|(name, _)| wanted(name)) {
        eprintln!("measuring {name}");
        report.add(measure());
    }
    if words.is_empty() {
        report.write();
        ExitCode::SUCCESS
    } else {
        println!("{}", report.text);
        if report.missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Everything that was measured.
#[derive(Default)]
struct Report {
    text: String,
    plots: Vec<(String, String)>,
    missed: Vec<String>,
}

impl Report {
    fn add(&mut self, section: Section) {
        let (text, plots, missed) = section.into_parts();
        self.text += &text;
        self.plots.extend(plots);
        self.missed.extend(missed);
    }

    fn write(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
        fs::create_dir_all(folder.join("plots")).unwrap();
        for (name, svg) in &self.plots {
            fs::write(folder.join(format!("plots/{name}.svg")), svg).unwrap();
        }
        let missed = match &self.missed[..] {
            [] => "Every bar holds.\n".to_owned(),
            missed => format!("Bars that were missed:\n\n- {}\n", missed.join("\n- ")),
        };
        let text = format!(
            "# What the daemon costs\n\nWritten by `benches/run`; do not edit. {}\n\nTimes on a shared machine mean \
             little; ratios are medians of pairs that were measured by turns in one run.\n\n{missed}\n{}",
            machine(),
            self.text
        );
        fs::write(folder.join("REPORT.md"), text.trim_end().to_owned() + "\n").unwrap();
    }
}

/// On what it was measured, and how busy that was.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let rustc = Command::new("rustc")
        .arg("--version")
        .output()
        .map_or(String::new(), |said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    let model = model.map_or("unknown", |(_, model)| model);
    format!("Machine: {cores} cores of {model}, load {load} when the run ended; {rustc}.")
}

/// What the report starts of itself, to be measured from outside.
fn run_other(words: &[&str]) {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let work = async move {
        match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["house24"] => houses::serve_24().await,
            ["axum"] => doors::bare_axum().await,
            ["raw", body] => {
                let body = (*body).to_owned();
                tokio::task::spawn_blocking(move || doors::raw(&body)).await.unwrap();
            }
            ["fan"] => fan::tell_all().await,
            ["publisher", broker] => mqtt::publisher(broker).await,
            ["count", bytes] => {
                let bytes = bytes.parse().unwrap();
                tokio::task::spawn_blocking(move || limits::count(bytes)).await.unwrap();
            }
            ["echo"] => tokio::task::spawn_blocking(wire::echo).await.unwrap(),
            ["houses", modules, gateways, timing] => houses::serve(modules, gateways, timing).await,
            other => panic!("no such program: {other:?}"),
        }
    };
    actix::System::new().block_on(async { actix_rt::spawn(work).await }).unwrap();
}
