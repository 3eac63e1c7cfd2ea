//! Claims about whole files: what loads, and where each mistake is told.

mod changes;
mod doors;
mod ensembles;
mod house;
mod settings;
mod shape;
mod whole;

use std::path::Path;

use crate::config::{Config, Report, parse};

/// A gateway, a relay module (lines 1 to 7) and a dimmer module (lines 8 to 11); what is added begins on line 12.
const HOUSE: &str = r#"[[gateway]]
id = "home"
address = "emulator"
[[module]]
serial = "0012345004"
type = "XP24"
link = 4
[[module]]
serial = "0012345006"
type = "XP33LED"
link = 6
"#;

fn load(text: &str) -> Result<Config, Report> {
    parse("config.toml", text, Path::new("/house"))
}

fn good(text: &str) -> Config {
    load(text).unwrap_or_else(|report| panic!("{report}"))
}

fn bad(text: &str) -> Report {
    match load(text) {
        Err(report) => report,
        Ok(config) => panic!("no mistake was found: {config:?}"),
    }
}

/// Asserts that the mistakes of the text are these, each by line, column and words of message and hint.
#[track_caller]
fn mistakes(text: &str, expected: &[(usize, usize, &[&str])]) {
    let report = bad(text);
    let places: Vec<_> = report.mistakes().iter().map(|mistake| (mistake.line(), mistake.column())).collect();
    assert_eq!(
        places,
        expected.iter().map(|(line, column, _)| (*line, *column)).collect::<Vec<_>>(),
        "\n{report}"
    );
    for (mistake, (.., words)) in report.mistakes().iter().zip(expected) {
        let told = format!("{} {}", mistake.message(), mistake.hint().unwrap_or_default());
        for word in *words {
            assert!(told.contains(word), "`{word}` is not told:\n{report}");
        }
    }
}

/// Asserts that the text has one mistake.
#[track_caller]
fn mistake(text: &str, line: usize, column: usize, words: &[&str]) {
    mistakes(text, &[(line, column, words)]);
}

/// Asserts that the house with this added has one mistake, counted from the first added line.
#[track_caller]
fn in_house(added: &str, line: usize, column: usize, words: &[&str]) {
    mistake(&format!("{HOUSE}{added}"), 11 + line, column, words);
}
