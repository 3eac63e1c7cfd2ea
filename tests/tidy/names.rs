//! Words that say nothing, in the names of types, modules and files.

use crate::shape::words;
use crate::source::{Finding, Source, block_end};

const BANNED: &[&str] =
    &["manager", "service", "handler", "util", "helper", "common", "data", "info", "process"];

const DECLARES: &[&str] = &["struct", "enum", "trait", "union", "type", "mod"];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for part in source.path.trim_end_matches(".rs").split('/') {
        if let Some(word) = banned(part) {
            findings.push(Finding::file(&source.path, advice(part, word)));
        }
    }
    for (at, name) in declared(&source.code) {
        if let Some(word) = banned(name) {
            findings.push(Finding::line(&source.path, source.line(at), advice(name, word)));
        }
    }
    findings
}

fn advice(name: &str, word: &str) -> String {
    format!("`{name}`: `{word}` says nothing; name what it owns or does (telegram, exchange, roster, door …)")
}

/// Names of types and modules where they are declared. Associated types are named by their trait's author.
fn declared(code: &str) -> Vec<(usize, &str)> {
    let listed: Vec<(usize, &str)> = words(code).collect();
    let blocks: Vec<_> = listed
        .iter()
        .filter(|(_, word)| matches!(*word, "impl" | "trait"))
        .filter_map(|(at, _)| code[*at..].find('{').map(|open| *at..block_end(code, at + open)))
        .collect();
    listed
        .windows(2)
        .filter(|pair| {
            DECLARES.contains(&pair[0].1) && code[pair[0].0 + pair[0].1.len()..pair[1].0].trim().is_empty()
        })
        .filter(|pair| pair[0].1 != "type" || !blocks.iter().any(|block| block.contains(&pair[0].0)))
        .map(|pair| pair[1])
        .collect()
}

/// The banned word in a name, whole or with a plural s: `DataPoint` has one, `Datapoint` has none.
fn banned(name: &str) -> Option<&'static str> {
    let parts = split(name);
    BANNED
        .iter()
        .find(|word| parts.iter().any(|part| part == *word || part.strip_suffix('s') == Some(**word)))
        .copied()
}

/// `DataPoint`, `data_point` and `HTTPData` into lower-case words.
fn split(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut parts = vec![String::new()];
    for (at, &letter) in letters.iter().enumerate() {
        let after_lower = at > 0 && !letters[at - 1].is_uppercase();
        let before_lower = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if !letter.is_alphanumeric() || (letter.is_uppercase() && (after_lower || before_lower)) {
            parts.push(String::new());
        }
        if letter.is_alphanumeric() {
            parts.last_mut().expect("never empty").extend(letter.to_lowercase());
        }
    }
    parts
}

#[test]
fn empty_words_in_declarations_are_found() {
    for text in [
        "struct DataPoint;",
        "pub(crate) enum HTTPData {}",
        "trait LinkManager {}",
        "mod string_utils;",
        "type Info = u8;",
        "struct Handlers<T>(T);",
    ] {
        assert_eq!(check(&Source::new("src/sample.rs", text)).len(), 1, "{text}");
    }
    assert_eq!(check(&Source::new("tests/common/mod.rs", "")).len(), 1);
    assert_eq!(check(&Source::new("src/data_point.rs", "")).len(), 1);
}

#[test]
fn other_uses_of_these_words_are_fine() {
    for text in [
        "struct Datapoint { data: u8 }",
        "enum Information {}",
        "fn process(info: u8) -> Handler { log::info!(); }",
        "impl Service for Door { type Data = u8; }",
        "// struct Manager\nuse std::process;",
        "struct Uninformed;",
    ] {
        let found = check(&Source::new("src/conbus/datapoint.rs", text));
        assert!(found.is_empty(), "{text}: {}", found[0]);
    }
}
