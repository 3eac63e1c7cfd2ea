//! The page in Debian's Chromium, driven by the scripts in `tests/page`. `tests/run` installs what they need.
//!
//! The pictures they take are under `target/tmp/page`; README's is one of them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test is the only reader; a skip is said"
)]
#![allow(missing_docs, reason = "tests are named, not documented")]

#[path = "daemon/programs.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod programs;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use crate::programs::{Pair, Program, config, free_port, write_config};

const SHIPPED: &str = include_str!("../config.toml");
const TOKEN: &str = "2718281828459045235360287471";

/// Between two lines of a script; a step of one that does not come about ends after two minutes by itself.
const SCRIPT_WITHIN: Duration = Duration::from_secs(600);

/// Runs a script to its end; `answer` does what it asks for and tells the truth as JSON.
fn browse(script: &str, http: u16, mut answer: impl FnMut(&str) -> String) {
    let (Ok(packages), Ok(chromium)) =
        (std::env::var("CONBUSD_PAGE_NODE_PATH"), std::env::var("CONBUSD_CHROMIUM"))
    else {
        println!("skipped: no Chromium, or nothing to drive it with; tests/run installs both");
        return;
    };
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&pictures).unwrap();
    // One browser at a time: on a small machine they would take each other's.
    let turn = File::create(pictures.join("turn")).unwrap();
    turn.lock().unwrap();
    let mut child = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page").join(script))
        .arg(format!("http://127.0.0.1:{http}"))
        .arg(&pictures)
        .env("NODE_PATH", packages)
        .env("CONBUSD_CHROMIUM", chromium)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (told, lines) = channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
    let mut answers = child.stdin.take().unwrap();
    let mut last = String::new();
    loop {
        match lines.recv_timeout(SCRIPT_WITHIN) {
            Ok(line) => {
                println!("{script}: {line}");
                if let Some(what) = line.strip_prefix("ask ") {
                    writeln!(answers, "{}", answer(what)).unwrap();
                }
                last = line;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill().unwrap();
                panic!("{script} hangs behind `{last}`");
            }
        }
    }
    assert!(child.wait().unwrap().success() && last == "ok", "{script} failed behind `{last}`; see above");
}

#[test]
fn the_emulated_house_lives_on_the_page_for_eyes_hands_and_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (http, homekit) = (free_port(), free_port());
    let text = SHIPPED.replace("127.0.0.1:8480", &format!("127.0.0.1:{http}"));
    write_config(folder.path(), &text.replace("127.0.0.1:51826", &format!("127.0.0.1:{homekit}")));
    let mut daemon = Program::start(&["run"], folder.path());
    daemon.says("connected gateway=home");
    browse("house.js", http, |_| unreachable!("it asks for nothing"));
}

#[test]
fn a_click_reaches_the_lamp_and_a_daemon_that_is_gone_is_shown_as_gone() {
    let mut pair = Pair::start();
    let http = pair.http.port();
    browse("lost.js", http, |what| {
        let words: Vec<&str> = what.split(' ').collect();
        match words[..] {
            ["output", module, output] => {
                let state = pair.order(r#"{"do":"state"}"#);
                let serial = format!("001234500{module}");
                let modules = state["modules"].as_array().unwrap();
                let module = modules.iter().find(|one| one["serial"] == serial.as_str()).unwrap();
                return (module["levels"][output.parse::<usize>().unwrap()] != 0).to_string();
            }
            ["turn", module, output, on] => {
                pair.turn(module.parse().unwrap(), output.parse().unwrap(), on == "on");
            }
            ["cable", way] => {
                pair.order(&format!(r#"{{"do":"gateway","up":{}}}"#, way == "in"));
            }
            ["module", "faulty"] => {
                pair.order(r#"{"do":"error_code","serial":"0012345001","code":10}"#);
            }
            ["module", how] => {
                let order = r#"{"do":"fault","kind":"silence","serial":"0012345002"}"#;
                pair.order(if how == "silent" { order } else { r#"{"do":"clear_faults"}"# });
            }
            ["daemon", "freeze"] => pair.daemon.signal("STOP"),
            ["daemon", "thaw"] => pair.daemon.signal("CONT"),
            ["daemon", "stop"] => {
                pair.daemon.signal("KILL");
                pair.daemon.end();
                // The next one remembers nothing.
                fs::remove_dir_all(pair.folder.path().join("state")).unwrap();
            }
            ["daemon", "start"] => pair.daemon = Program::start(&["run"], pair.folder.path()),
            _ => panic!("`{what}` is not understood"),
        }
        "true".into()
    });
}

/// Adds controllers to the first bridge of a store, as a pairing would.
fn pair_with(store: &Path, controllers: &[(&str, bool)]) {
    let text = fs::read_to_string(store).unwrap();
    let (heading, body) = text.split_once('\n').unwrap();
    let mut state: Value = serde_json::from_str(body).unwrap();
    let hex = |bytes: &[u8]| {
        let mut text = String::new();
        for byte in bytes {
            write!(text, "{byte:02x}").unwrap();
        }
        text
    };
    let paired = controllers.iter().map(|(name, admin)| {
        let key = Sha512::digest(name);
        json!({"id": hex(name.as_bytes()), "key": hex(&key[..32]), "admin": admin})
    });
    state["bridges"][0]["controllers"] = paired.collect();
    let body = serde_json::to_string_pretty(&state).unwrap();
    let format = heading.split(' ').next().unwrap();
    fs::write(store, format!("{format} {}\n{body}\n", hex(&Sha512::digest(&body)[..16]))).unwrap();
}

#[test]
fn whoever_is_paired_with_homekit_is_on_the_page_and_the_code_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (http, homekit) = (free_port(), free_port());
    let door = format!("[homekit]\nlisten = \"127.0.0.1:{homekit}\"\n");
    write_config(folder.path(), &(config("emulator", http) + &door));
    let mut daemon = Program::start(&["run"], folder.path());
    daemon.says("connected gateway=home");
    daemon.signal("TERM");
    assert!(daemon.end().success());
    pair_with(&folder.path().join("state/homekit.json"), &[("kitchen-phone", true), ("tablet", false)]);
    let mut daemon = Program::start(&["run"], folder.path());
    daemon.says("connected gateway=home");
    browse("paired.js", http, |_| unreachable!("it asks for nothing"));
}

#[test]
fn a_door_with_a_token_tells_the_page_nothing_before_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let http = free_port();
    let file = folder.path().join("http.token");
    fs::write(&file, TOKEN).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let text = config("emulator", http).replace("[http]\n", "[http]\ntoken_file = \"http.token\"\n");
    write_config(folder.path(), &text);
    let mut daemon = Program::start(&["run"], folder.path());
    daemon.says("connected gateway=home");
    browse("token.js", http, |_| format!(r#"{{"token":"{TOKEN}"}}"#));
    daemon.signal("TERM");
    assert!(daemon.end().success());
    assert!(!daemon.log.iter().any(|line| line.contains(TOKEN)));
}
