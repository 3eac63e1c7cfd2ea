//! What a layer must not know of the world: clocks, network, files, chance, logs, actors.

use crate::paths;
use crate::source::{Finding, Source};

/// Banned in `conbus` and `policy`, with what to do instead. Their tests may read files and use tokio.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "runtimes belong to actors"),
    ("tokio_util", "codecs belong to transport"),
    ("std::net", "sockets belong to transport"),
    ("std::fs", "files belong to config and app"),
    ("std::time::Instant", "take the moment as an argument"),
    ("std::time::SystemTime", "take the moment as an argument"),
    ("Instant::now", "take the moment as an argument"),
    ("SystemTime", "take the moment as an argument"),
    ("rand", "take the seed as an argument"),
    ("fastrand", "take the seed as an argument"),
    ("log", "return what is worth a word; the actor logs it"),
];

/// How an actor is started; only `app.rs` does.
const STARTS: &[&str] = &[
    "Supervisor::start",
    "Supervisor::start_in_arbiter",
    "Actor::start",
    "Actor::create",
    "Actor::start_default",
];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let path = source.path.as_str();
    let is_pure = path.starts_with("src/conbus/") || path.starts_with("src/policy/");
    let mut findings = Vec::new();
    for named in paths::of(source) {
        let mut find = |what: String| findings.push(Finding::line(path, source.line(named.at), what));
        let test = source.is_test(named.at);
        if !may_name_actix(path) && named.segments()[0].starts_with("actix") {
            find(format!(
                "`{}`: actix is named in actors/, door servers, app.rs and main.rs; return effects",
                named.path
            ));
        }
        let impure = IMPURE.iter().find(|(banned, _)| is_pure && !test && names(&named.path, banned));
        if let Some((banned, advice)) = impure {
            find(format!("`{banned}` in a pure layer: {advice}"));
        }
        let is_start =
            STARTS.iter().any(|start| named.path == *start || named.path.ends_with(&format!("::{start}")));
        if may_name_actix(path) && !is_wiring(path) && !test && is_start {
            find(format!("`{}`: only app.rs starts actors; take an address", named.path));
        }
    }
    findings.extend(method_starts(source));
    findings
}

/// Whether a path is `banned` or lies under it. One word counts only as the root of a longer path or of a macro's path.
fn names(path: &str, banned: &str) -> bool {
    let begins = path.strip_prefix(banned).is_some_and(|rest| rest.starts_with("::"));
    let is_whole = path == banned && (banned.contains("::") || banned == "SystemTime");
    let ends = banned.contains("::") && path.ends_with(&format!("::{banned}"));
    begins || is_whole || ends
}

fn may_name_actix(path: &str) -> bool {
    let server_half = path.starts_with("src/doors/")
        && path.matches('/').count() >= 3
        && ["/mod.rs", "/server.rs", "/hub.rs"].iter().any(|file| path.ends_with(file));
    path.starts_with("src/actors/") || server_half || is_wiring(path) || path == "src/main.rs"
}

/// `app.rs` and its parts.
fn is_wiring(path: &str) -> bool {
    path == "src/app.rs" || path.starts_with("src/app/")
}

/// `.start()`: where actix is at home, this starts an actor.
fn method_starts(source: &Source) -> Vec<Finding> {
    let path = source.path.as_str();
    if !may_name_actix(path) || is_wiring(path) {
        return Vec::new();
    }
    source
        .code
        .match_indices(".start()")
        .filter(|(at, _)| !source.is_test(*at))
        .map(|(at, call)| {
            Finding::line(
                path,
                source.line(at),
                format!("`{call}`: only app.rs starts actors; take an address"),
            )
        })
        .collect()
}

#[cfg(test)]
fn findings(path: &str, text: &str) -> usize {
    check(&Source::new(path, text)).len()
}

#[test]
fn impure_code_in_a_pure_layer_is_found() {
    for text in [
        "use tokio::time;",
        "use std::net::TcpStream;",
        "use std::{fs, io};",
        "use std::fs::File;",
        "use std::time::{Duration, Instant};",
        "fn f() { let t = Instant::now(); }",
        "fn f() { let t = std::time::SystemTime::now(); }",
        "fn f(t: SystemTime) {}",
        "use rand::Rng;",
        "fn f() { fastrand::u32(..); }",
        "fn f() { log::info!(\"x\"); }",
        "use log::info;",
        "use actix::Actor;",
        "#[cfg(test)] mod tests { use actix_rt::System; }",
    ] {
        assert_eq!(findings("src/policy/store.rs", text), 1, "{text}");
    }
}

#[test]
fn pure_code_is_fine() {
    for text in [
        "use std::time::Duration; fn f(log: u8, rand: u8) -> u8 { log + rand }",
        "#[cfg(test)] mod tests { use std::fs; #[tokio::test] async fn t() {} }",
        "// Instant::now\nconst A: &str = \"tokio::spawn\";",
    ] {
        assert_eq!(findings("src/conbus/frame.rs", text), 0, "{text}");
    }
    assert_eq!(findings("src/emulator/server.rs", "use tokio::net::TcpListener;"), 0);
}

#[test]
fn actix_and_starting_actors_stay_in_their_places() {
    assert_eq!(findings("src/doors/http/routes.rs", "use actix::Recipient;"), 1);
    assert_eq!(findings("src/doors/http/server.rs", "use actix::Recipient;"), 0);
    assert_eq!(findings("src/actors/cache.rs", "fn f() { Cache::new().start(); }"), 1);
    assert_eq!(findings("src/actors/cache.rs", "fn f() { actix::Supervisor::start(|_| Cache); }"), 1);
    assert_eq!(findings("src/actors/cache.rs", "#[cfg(test)] mod tests { fn f() { Cache.start(); } }"), 0);
    assert_eq!(findings("src/app/doors.rs", "use actix::Actor; fn f() { hub.start(); }"), 0);
    assert_eq!(findings("src/app.rs", "fn f() { Cache::new().start(); Supervisor::start(|_| C); }"), 0);
    assert_eq!(findings("src/emulator/server.rs", "fn f(r: Range<u8>) { clock.start(); }"), 0);
}
