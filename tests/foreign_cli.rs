//! The emulated gateway against another program's command line: `conson-xp`, installed by `tests/run`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test is the only reader; a skip is said"
)]
#![allow(missing_docs, reason = "tests are named, not documented")]

#[path = "daemon/programs.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod programs;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::programs::{Program, free_port, write_config};

/// The other program in a folder whose `cli.yml` leads to our gateway.
struct Other<'a> {
    program: String,
    folder: &'a Path,
}

impl Other<'_> {
    fn say(&self, words: &[&str]) -> String {
        let told = Command::new(&self.program)
            .arg("conbus")
            .args(words)
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&told.stdout).into_owned()
    }

    /// What it printed as JSON; what a progress bar printed before it is left out.
    fn ask(&self, words: &[&str]) -> Value {
        let told = self.say(words);
        let json = told.find('{').map(|at| &told[at..]).unwrap_or_default();
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{words:?}: {error}: {told}"))
    }

    /// The only telegram that answered.
    fn reply(&self, words: &[&str]) -> String {
        let answer = self.ask(words);
        answer["received_telegrams"][0].as_str().unwrap_or_else(|| panic!("{words:?}: {answer}")).to_owned()
    }
}

#[test]
fn another_programs_command_line_finds_a_house() {
    let Ok(program) = std::env::var("CONBUSD_FOREIGN_XP") else {
        println!("skipped: CONBUSD_FOREIGN_XP does not name the program; tests/run installs it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let bus = format!("conbus:\n  ip: 127.0.0.1\n  port: {port}\n  timeout: 1\n  queue_delay_max: 6\n");
    std::fs::write(folder.path().join("cli.yml"), bus).unwrap();
    std::fs::write(folder.path().join("logger.yml"), "log:\n  path: log\n").unwrap();
    write_config(folder.path(), include_str!("../config.toml"));
    let mut gateway = Program::start(&["emulator", "--listen", &format!("127.0.0.1:{port}")], folder.path());
    gateway.says("listening address=");
    let other = Other { program, folder: folder.path() };
    let (relay, dimmer) = ("0012345003", "0012345006");

    let found = other.say(&["discover"]);
    for n in 1..=9 {
        assert!(found.contains(&format!("001234500{n}")), "module {n}: {found}");
    }
    assert_eq!(other.reply(&["output", "on", relay, "0"]), "<R0012345003F18DFL>");
    assert_eq!(other.reply(&["output", "status", relay]), "<R0012345003F02D12xxxx0001FC>");
    assert_eq!(other.reply(&["output", "off", relay, "0"]), "<R0012345003F18DFL>");
    assert_eq!(other.reply(&["output", "status", relay]), "<R0012345003F02D12xxxx0000FD>");
    assert_eq!(other.reply(&["datapoint", "query", "module_type_code", relay]), "<R0012345003F02D0707FA>");
    assert_eq!(other.ask(&["autoreport", "get", relay])["auto_report_status"], true);
    assert_eq!(other.reply(&["autoreport", "set", relay, "off"]), "<R0012345003F18DFL>");
    assert_eq!(other.ask(&["autoreport", "get", relay])["auto_report_status"], false);
    assert_eq!(other.reply(&["blink", "on", relay]), "<R0012345003F18DFL>");
    assert_eq!(other.reply(&["blink", "off", relay]), "<R0012345003F18DFL>");
    // What its own emulator leaves unanswered: levels, and tables.
    assert_eq!(other.reply(&["lightlevel", "set", dimmer, "1", "40"]), "<R0012345006F18DFO>");
    assert_eq!(other.ask(&["lightlevel", "get", dimmer, "1"])["lightlevel_level"], 40);
    let table = other.ask(&["actiontable", "download", relay]);
    let expected = serde_json::json!(["XP20 2 0 > 1 TOGGLE;", "XP20 2 7 > 1 OFF;"]);
    assert_eq!(table["actiontable_short"], expected, "{table}");
}
