//! The rules of the house, enforced by reading its files: who imports whom, how long things are, what they are called,
//! and that `actors.md` and `config.toml` say what the code says.
//!
//! Every check is a function from text to findings and carries a test on a bad sample, so none can silently stop working.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the tree has failed")]

#[path = "tidy/config_keys.rs"]
mod config_keys;
#[path = "tidy/dependencies.rs"]
mod dependencies;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/messages.rs"]
mod messages;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/purity.rs"]
mod purity;
#[path = "tidy/secrets.rs"]
mod secrets;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;

use source::{Finding, Source};

/// Fails with every finding, one a line.
fn none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} findings\n{}\n", lines.len(), lines.join("\n"));
}

fn each(sources: &[Source], check: impl Fn(&Source) -> Vec<Finding>) {
    assert!(!sources.is_empty(), "no Rust file was found");
    none(&sources.iter().flat_map(check).collect::<Vec<_>>());
}

#[test]
fn layers_import_only_what_lies_below() {
    each(&source::tree(&["src"]), layers::check);
}

#[test]
fn pure_layers_know_no_clock_no_network_and_no_actors() {
    each(&source::tree(&["src"]), purity::check);
}

#[test]
fn files_and_functions_are_short() {
    each(&source::tree(&["src", "tests", "benches"]), shape::lengths);
}

#[test]
fn no_leftovers_and_no_long_lines() {
    each(&source::tree(&["src", "tests", "benches"]), shape::leftovers);
}

#[test]
fn every_file_opens_with_its_purpose() {
    each(&source::tree(&["src"]), shape::purpose);
}

#[test]
fn no_name_says_nothing() {
    each(&source::tree(&["src", "tests", "benches"]), names::check);
}

#[test]
fn secrets_are_neither_printed_nor_compared_letter_by_letter() {
    each(&source::tree(&["src"]), secrets::check);
}

#[test]
fn actors_md_names_exactly_the_messages() {
    none(&messages::check(&source::text("actors.md"), &source::tree(&["src/actors"])));
}

#[test]
fn config_toml_shows_exactly_the_keys() {
    none(&config_keys::check(&source::text("config.toml"), &conbusd::config::key_paths()));
}

#[test]
fn dependencies_are_few_and_each_has_a_reason() {
    none(&dependencies::check(&source::text("Cargo.toml"), &source::text("Cargo.lock")));
}
