//! The document of the API against the running daemon, by a program that makes requests out of it: `schemathesis`.
//! Whatever it asks, right or wrong, has to be answered as the document says. `tests/run` installs it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test is the only reader; a skip is said"
)]
#![allow(missing_docs, reason = "tests are named, not documented")]

#[path = "daemon/programs.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod programs;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::programs::{Program, free_port};

const TOKEN: &str = "a-token-that-is-long-enough";

/// A house of dimmers with a wall switch: the document cannot say that other lamps have no brightness.
const HOUSE: &str = r#"
[[gateway]]
id = "home"
address = "emulator"
[[module]]
serial = "0012345002"
type = "XP20"
link = 2
[[module]]
serial = "0012345005"
type = "XP33LED"
link = 5
[[accessory]]
id = "salon_spots"
name = "Spots"
kind = "dimmer"
module = "0012345005"
output = 0
[[accessory]]
id = "salon_wall"
name = "Wall"
kind = "dimmer"
module = "0012345005"
output = 1
"#;

/// The house behind free ports, with a token.
fn house(folder: &Path) -> u16 {
    let (port, homekit) = (free_port(), free_port());
    let doors = format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\ntoken_file = \"http.token\"\n\
         [homekit]\nlisten = \"127.0.0.1:{homekit}\"\n"
    );
    fs::write(folder.join("config.toml"), doors + HOUSE).unwrap();
    let token = folder.join("http.token");
    fs::write(&token, TOKEN).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    port
}

#[test]
fn whatever_is_asked_is_answered_as_the_document_says() {
    let Some(schemathesis) = std::env::var_os("CONBUSD_SCHEMATHESIS") else {
        assert!(std::env::var_os("CI").is_none(), "CI has schemathesis: tests/run installs it");
        println!("skipped: CONBUSD_SCHEMATHESIS is not set; tests/run installs schemathesis");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let port = house(folder.path());
    let mut daemon = Program::start(&["run", "--config", "config.toml"], folder.path());
    daemon.says("connected gateway=home");
    let told = Command::new(schemathesis)
        .current_dir(folder.path())
        .arg("run")
        .arg(format!("http://127.0.0.1:{port}/api/openapi.json"))
        .args(["-H", &format!("Authorization: Bearer {TOKEN}")])
        // An event stream never ends; tests/http/events.rs follows it.
        .args(["--exclude-path", "/api/events"])
        .args(["--checks", "all", "--seed", "1", "--max-examples", "15", "--workers", "1", "--no-color"])
        // More wrong tokens than one address may send in this time would be slowed down, not refused.
        .args(["--exclude-checks", "ignored_auth"])
        .env("HYPOTHESIS_STORAGE_DIRECTORY", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{words}");
    assert!(words.contains("Selected: ") && !words.contains("Unresolvable"), "{words}");
    println!("{words}");
}
