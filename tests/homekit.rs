//! The HomeKit door against two controllers that share no code with it or with each other: `aiohomekit`, which is
//! Home Assistant's, and `hap-controller`. `tests/run` installs them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test is the only reader; a skip is said"
)]
#![allow(missing_docs, reason = "tests are named, not documented")]

#[path = "daemon/programs.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod programs;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::programs::{CONBUSD, Program, free_port, write_config};

const CODE: &str = "271-82-818";

/// Three XP24 (modules 1 to 3) and four XP33LED (4 to 7) with an accessory on each of their 24 outputs.
fn config(address: &str, homekit: u16, pin: &str) -> String {
    let mut text = format!(
        "[log]\nfilter = \"trace\"\n[[gateway]]\nid = \"home\"\naddress = \"{address}\"\n[homekit]\n\
         listen = \"127.0.0.1:{homekit}\"\n{pin}\n[[module]]\nserial = \"0012345099\"\ntype = \"XP230\"\nlink = 99\n"
    );
    for n in 1..=7u8 {
        let (module, outputs, kind) = if n <= 3 { ("XP24", 4, "light") } else { ("XP33LED", 3, "dimmer") };
        text += &format!("[[module]]\nserial = \"001234500{n}\"\ntype = \"{module}\"\nlink = {n}\n");
        for output in 0..outputs {
            text += &format!(
                "[[accessory]]\nid = \"m{n}o{output}\"\nname = \"Lamp {n} {output}\"\nkind = \"{kind}\"\n\
                 module = \"001234500{n}\"\noutput = {output}\n"
            );
        }
    }
    text
}

/// A group of two relays of the second module, and a scene that puts one of them out.
const TOGETHER: &str = "[[group]]\nid = \"both\"\nname = \"Both\"\nmembers = [\"m2o0\", \"m2o1\"]\n\
                        [[scene]]\nid = \"half\"\nname = \"Half\"\ntargets = [{ accessory = \"m2o0\", on = false }]\n";

/// An emulated house and a daemon with a HomeKit door, each a process of its own.
struct House {
    folder: TempDir,
    _gateway: Program,
    daemon: Program,
    homekit: String,
    orders: String,
}

impl House {
    /// The house with these groups and scenes.
    fn start(together: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bus, orders, homekit) = (free_port(), free_port(), free_port());
        let pin = format!("pin = \"{CODE}\"");
        let text = config(&format!("127.0.0.1:{bus}"), homekit, &pin) + together;
        write_config(folder.path(), &text);
        let (listen, control) = (format!("127.0.0.1:{bus}"), format!("127.0.0.1:{orders}"));
        let arguments = ["emulator", "--listen", &listen, "--control", &control];
        let mut gateway = Program::start(&arguments, folder.path());
        gateway.says("taking orders address=");
        let mut daemon = Program::start(&["run"], folder.path());
        daemon.says("connected gateway=home");
        Self { folder, _gateway: gateway, daemon, homekit: homekit.to_string(), orders: orders.to_string() }
    }

    /// Runs a controller's script to its end.
    fn is_driven_by(&self, controller: &mut Command, script: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/homekit").join(script);
        let told = controller
            .arg(script)
            .args([&self.homekit, CODE, &self.orders])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, log) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
        assert!(told.status.success() && out.trim_end().ends_with("ok"), "{out}{log}");
    }

    /// Ends the daemon in order; its log holds no secret.
    fn finish(mut self) {
        self.daemon.signal("TERM");
        assert!(self.daemon.end().success());
        let store = self.folder.path().join("state/homekit.json");
        assert_eq!(std::fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o600);
        for line in &self.daemon.log {
            assert!(!line.contains(CODE) && !line.contains("27182818") && !line.contains("X-HM"), "{line}");
        }
    }
}

fn skipped(variable: &str) -> Option<String> {
    let program = std::env::var(variable).ok();
    if program.is_none() {
        println!("skipped: {variable} does not lead to it; tests/run installs it");
    }
    program
}

#[test]
fn home_assistants_controller_finds_pairs_uses_and_leaves() {
    let Some(python) = skipped("CONBUSD_HOMEKIT_PYTHON") else { return };
    let house = House::start(TOGETHER);
    house.is_driven_by(&mut Command::new(python), "aio.py");
    house.finish();
}

#[test]
fn a_second_controller_pairs_uses_and_leaves() {
    let Some(packages) = skipped("CONBUSD_HOMEKIT_NODE_PATH") else { return };
    let house = House::start("");
    house.is_driven_by(Command::new("node").env("NODE_PATH", packages), "hap.js");
    house.finish();
}

/// One order of the command line; what it printed, and what it complained of.
fn say(folder: &Path, what: &str) -> (bool, String, String) {
    let told = Command::new(CONBUSD).args(["homekit", what]).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (told.status.success(), text(told.stdout), text(told.stderr))
}

#[test]
fn the_command_line_shows_the_code_and_resets_it() {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), &config("emulator", 0, ""));
    let (_, first, _) = say(folder.path(), "qr");
    assert!(first.contains("X-HM://") && first.contains("not paired"));
    assert_eq!(say(folder.path(), "qr").1, first);
    assert_eq!(say(folder.path(), "pairings").1, "nobody is paired\n");
    assert!(say(folder.path(), "reset").0);
    assert_ne!(say(folder.path(), "qr").1, first);
}

#[test]
fn a_damaged_store_stops_the_start_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), &config("emulator", 0, ""));
    say(folder.path(), "qr");
    let store = folder.path().join("state/homekit.json");
    let mut text = std::fs::read(&store).unwrap();
    text.truncate(text.len() / 2);
    std::fs::write(&store, &text).unwrap();
    let mut daemon = Program::start(&["run"], folder.path());
    assert_eq!(daemon.end().code(), Some(1));
    assert!(daemon.log.iter().any(|line| line.contains("damaged")), "{:?}", daemon.log);
    assert_eq!(std::fs::read(&store).unwrap(), text);
}
