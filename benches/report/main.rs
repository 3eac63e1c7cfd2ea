//! Measures what the daemon costs, beside its floors and its peers, and writes `benches/REPORT.md`.
//!
//! `cargo bench --bench report` measures everything and writes the report anew after each part; a part that fails or
//! does not end costs only its own section. `cargo bench --bench report -- codec scale` prints these parts only and
//! writes nothing. Both fail when a bar is missed. Times on a shared machine mean little: read the ratios, which are
//! medians of pairs that were measured in turns.
#![allow(clippy::print_stdout, reason = "the report is what it is for")]
#![allow(clippy::print_stderr, reason = "a quarter of an hour is long without a word")]
#![allow(
    clippy::disallowed_methods,
    reason = "a bench measures real time, and nothing else runs on its threads"
)]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be made has failed")]

mod bridges;
mod bus;
mod calm;
mod codec;
mod corpus;
mod doors;
mod fan;
mod figures;
mod gates;
mod hap;
mod hits;
mod homekit;
#[path = "../house.rs"]
mod house;
mod houses;
mod limits;
mod machine;
mod masters;
mod mqtt;
mod parts;
mod plot;
mod programs;
mod scale;
mod start;
mod tap;
mod trouble;
mod wire;

use std::fs;
use std::process::ExitCode;

use figures::Section;
use parts::Report;

/// A part: its name on the command line, and what measures it.
type Part = (&'static str, fn() -> Section);

/// In the order of the report.
const PARTS: [Part; 14] = [
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
    ("counts", gates::counts),
    ("simulation", gates::simulation),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let missed = match words[..] {
        ["other", ref other @ ..] => {
            run_other(other);
            0
        }
        ["part", name, file] => {
            parts::end_with_parent();
            let (_, measure) = PARTS.into_iter().find(|(part, _)| *part == name).expect("a part");
            fs::write(file, serde_json::to_vec(&measure()).unwrap()).unwrap();
            0
        }
        [] => {
            let mut report = Report::begin(PARTS.map(|(name, _)| name).to_vec());
            for (name, _) in PARTS {
                report.add(parts::measure(name));
            }
            report.missed()
        }
        ["again", ref wanted @ ..] => {
            let mut report = Report::begin(PARTS.map(|(name, _)| name).to_vec());
            for (name, _) in PARTS {
                let kept = if wanted.contains(&name) { None } else { parts::kept(name) };
                match kept {
                    Some(section) => report.add(section),
                    None => report.add_later(name, parts::measure(name)),
                }
            }
            report.missed()
        }
        ref wanted => wanted
            .iter()
            .map(|name| {
                let section = parts::measure(name);
                println!("{}", section.text);
                section.missed()
            })
            .sum(),
    };
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
