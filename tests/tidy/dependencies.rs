//! Few dependencies, each with a reason beside it.

use std::collections::BTreeSet;

use crate::source::Finding;

/// Direct ones, of the daemon and of its tests together.
const DIRECT_MAX: usize = 50;
/// Of these some thirty come with encryption on the way to an MQTT broker, a third of them for other systems than Linux.
const LOCKED_MAX: usize = 260;

pub(crate) fn check(manifest: &str, lock: &str) -> Vec<Finding> {
    let (names, mut findings) = direct(manifest);
    let mut limit = |file: &str, count: usize, max: usize| {
        if count > max {
            let what = format!("{count} packages, at most {max}: write it by hand, or drop another");
            findings.push(Finding::file(file, what));
        }
    };
    limit("Cargo.toml", names.len(), DIRECT_MAX);
    limit("Cargo.lock", lock.lines().filter(|line| *line == "[[package]]").count(), LOCKED_MAX);
    findings
}

/// The names of the direct dependencies, and those without a reason.
fn direct(manifest: &str) -> (BTreeSet<&str>, Vec<Finding>) {
    let (mut names, mut findings) = (BTreeSet::new(), Vec::new());
    let mut in_list = false;
    for (at, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            let table = line.trim_matches(['[', ']']);
            in_list = table.ends_with("dependencies");
            if table.contains("dependencies.") {
                findings.push(Finding::line(
                    "Cargo.toml",
                    at + 1,
                    "write the dependency as one line with its reason",
                ));
            }
        } else if in_list && !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            names.insert(name.trim());
            if reason(value).is_empty() {
                let what = format!("`{}` has no comment: say on its line what it is for", name.trim());
                findings.push(Finding::line("Cargo.toml", at + 1, what));
            }
        }
    }
    (names, findings)
}

/// The comment behind a value.
fn reason(value: &str) -> &str {
    let mut quoted = false;
    for (at, letter) in value.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '#' if !quoted => return value[at + 1..].trim(),
            _ => {}
        }
    }
    ""
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let manifest = "[package]\nname = \"a\"\n[dependencies]\n# group\nlru = \"1\" # order\nlog = { version = \"#1\" }\n\
                    [dev-dependencies.tokio]\nversion = \"1\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"1\" #\n";
    let found = check(manifest, "");
    let places: Vec<String> =
        found.iter().map(|f| f.to_string().split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(places, ["Cargo.toml:6", "Cargo.toml:7", "Cargo.toml:10"]);
}

#[test]
fn too_many_packages_are_found() {
    let list = |count: usize| {
        (0..count).fold("[dependencies]\n".to_owned(), |list, n| format!("{list}p{n} = \"1\" # n\n"))
    };
    assert_eq!(check(&list(DIRECT_MAX), &"[[package]]\n".repeat(LOCKED_MAX)).len(), 0);
    assert_eq!(check(&list(DIRECT_MAX + 1), "").len(), 1);
    assert_eq!(check("", &"[[package]]\n".repeat(LOCKED_MAX + 1)).len(), 1);
}
