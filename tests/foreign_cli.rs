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

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use conbusd::config;

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

/// The path of the other program; without it the test is skipped.
fn installed() -> Option<String> {
    let program = std::env::var("CONBUSD_FOREIGN_XP").ok();
    if program.is_none() {
        println!("skipped: CONBUSD_FOREIGN_XP does not name the program; tests/run installs it");
    }
    program
}

/// Our gateway with the modules of the shipped config, and the other program's files that lead to it.
fn gateway(folder: &Path) -> Program {
    let port = free_port();
    let bus = format!("conbus:\n  ip: 127.0.0.1\n  port: {port}\n  timeout: 1\n  queue_delay_max: 6\n");
    fs::write(folder.join("cli.yml"), bus).unwrap();
    fs::write(folder.join("logger.yml"), "log:\n  path: log\n").unwrap();
    write_config(folder, include_str!("../config.toml"));
    let mut gateway = Program::start(&["emulator", "--listen", &format!("127.0.0.1:{port}")], folder);
    gateway.says("listening address=");
    gateway
}

/// Runs `conbusd import` on these files of a folder; what it says.
fn import(folder: &Path, files: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conbusd"));
    command.arg("import").args(files).args(["--out", "made.toml"]).current_dir(folder);
    let done = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(0), "{files:?}: {said}");
    said
}

#[test]
fn what_another_program_exports_is_imported_whole() {
    let Some(program) = installed() else { return };
    let folder = tempfile::tempdir().unwrap();
    let _gateway = gateway(folder.path());
    let other = Other { program, folder: folder.path() };
    let told = other.say(&["export", "config"]);
    assert!(told.contains("(9 devices)"), "{told}");
    let said = import(folder.path(), &["export.yml", "cli.yml"]);
    let made = config::load(&folder.path().join("made.toml")).unwrap_or_else(|error| panic!("{error}"));
    let ours = config::load(&folder.path().join("config.toml")).unwrap_or_else(|error| panic!("{error}"));
    let modules = |config: &config::Config| -> Vec<String> {
        let mut all: Vec<String> = (config.modules.iter())
            .map(|module| format!("{} {} {}", module.serial, module.module_type, module.link))
            .collect();
        all.sort();
        all
    };
    assert_eq!(modules(&made), modules(&ours), "{said}");
    assert!(made.gateways[0].address.to_string().starts_with("127.0.0.1:"));
}

/// The source distributions, which `tests/run` fetches, hold no file of a house; their tests spell some out, good and bad ones.
#[test]
fn what_its_source_distributions_spell_out_is_imported_without_a_hand() {
    let Some(samples) = std::env::var_os("CONBUSD_FOREIGN_SAMPLES") else {
        return println!("skipped: CONBUSD_FOREIGN_SAMPLES names no folder; tests/run fetches what is in it");
    };
    // The files of one test of theirs belong to one house: `VERSION.TEST.VARIABLE.yml`.
    let mut houses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in fs::read_dir(&samples).unwrap() {
        let path = file.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let house = stem.rsplit_once('.').unwrap().0.to_owned();
        houses.entry(house).or_default().push(path.to_string_lossy().into_owned());
    }
    assert!(houses.len() >= 4, "{houses:?}");
    for (house, files) in &houses {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let said = import(folder.path(), &files);
        let made = config::load(&folder.path().join("made.toml"));
        let made = made.unwrap_or_else(|error| panic!("{house}: {error}\n{said}"));
        println!("{house}: {} modules, {} accessories", made.modules.len(), made.accessories.len());
        if house.ends_with("test_valid_configuration_integration") {
            // Two modules that call themselves XP24 and have the codes of an XP130 and of a CP70A: the codes count.
            assert_eq!((made.modules.len(), made.service.name.as_str()), (2, "Test Home"), "{said}");
            assert!(said.contains("the name says XP24, code 13 says XP130: the code counts"), "{said}");
            assert!(!made.scenes.is_empty(), "what has no output is a scene by its events: {said}");
        }
    }
}

/// No source distribution of the package holds a sample of its files, so its own classes write them.
#[test]
fn what_another_programs_own_classes_write_is_imported_whole() {
    let Some(program) = installed() else { return };
    let folder = tempfile::tempdir().unwrap();
    let python = Path::new(&program).with_file_name("python");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/own_files.py");
    let wrote = Command::new(python).arg(script).current_dir(folder.path()).output().unwrap();
    assert!(wrote.status.success(), "{}", String::from_utf8_lossy(&wrote.stderr));
    let said = import(folder.path(), &["conson.yml", "homekit.yml", "cli.yml"]);
    let made = config::load(&folder.path().join("made.toml")).unwrap_or_else(|error| panic!("{error}"));
    let lamps: Vec<(&str, &str, bool)> = (made.accessories.iter())
        .map(|lamp| (lamp.id.as_str(), lamp.room.as_str(), lamp.on_event.is_some()))
        .collect();
    let expected = [("salon", "Salon", false), ("spots", "Salon", true), ("off", "", false)];
    assert_eq!(lamps, expected, "{said}");
    assert_eq!(made.gateways[0].address.to_string(), "192.168.1.100:10001", "{said}");
    let table = made.modules[0].action_table.clone().unwrap_or_default();
    assert_eq!(table.len(), 6, "{said}");
    let scenes: Vec<&str> = made.scenes.iter().map(|scene| scene.id.as_str()).collect();
    assert_eq!(scenes, ["all", "all_off"], "a scene for each event: {said}");
    assert!(
        said.contains("changed: accessory `Everything off`: its events drive 4 outputs: scenes"),
        "{said}"
    );
    assert!(said.contains("2 modules, 3 accessories, 2 scenes;"), "{said}");
}

#[test]
fn another_programs_command_line_finds_a_house() {
    let Some(program) = installed() else { return };
    let folder = tempfile::tempdir().unwrap();
    let _gateway = gateway(folder.path());
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
