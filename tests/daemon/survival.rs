//! Killed without a word while it writes: the state is old or new, and the daemon starts again. The file of the HomeKit
//! door is killed beside that door (`doors/homekit/tests/killed.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use conbusd::app::restore::restore;
use conbusd::conbus::{OutputIndex, Percent, Point};
use conbusd::policy::{Remembered, Snapshot};
use conbusd::vault::{FileVault, Vault as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use crate::killed::last_word;
use crate::programs::{CONBUSD, Pair, Program, ask, config, eventually, free_port, pause, write_config};

/// Tells the child where to write.
const WHERE: &str = "CONBUSD_TEST_VAULT";

/// The test below, which is its own child.
const KILLED: &str = "survival::killed_at_200_random_moments_the_state_is_old_or_new_and_never_torn";

const WALL: Duration = Duration::from_secs(1_700_000_000);

/// A whole snapshot that says its number: 200 dimmers whose levels and ages follow from it.
fn snapshot(number: u64) -> Snapshot {
    let outputs = (0..200u64).map(|n| Remembered {
        point: Point {
            serial: format!("{:010}", 1_234_500 + n / 8).parse().unwrap(),
            output: OutputIndex::new((n % 8) as u8).unwrap(),
        },
        on: Some(((n + number).is_multiple_of(2), Duration::from_secs(number))),
        level: Percent::new(((n + number) % 100) as u8).map(|level| (level, Duration::from_secs(number))),
    });
    Snapshot { outputs: outputs.collect(), used: vec![] }
}

fn number_of(snapshot: &Snapshot) -> u64 {
    snapshot.outputs[0].on.unwrap().1.as_secs()
}

/// The child: writes one snapshot after another and tells the number of each that is safe, until it is killed.
#[expect(clippy::print_stdout, reason = "its parent reads it")]
fn write_for_ever(place: &str) {
    let begun = restore(&FileVault::new(place.into()), WALL).snapshot;
    let from = if begun.outputs.is_empty() { 1 } else { number_of(&begun) + 1 };
    let vault = FileVault::new(place.into());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for number in from.. {
        runtime.block_on(vault.save(snapshot(number).encode(WALL))).unwrap();
        println!("safe {number}");
    }
}

#[test]
fn killed_at_200_random_moments_the_state_is_old_or_new_and_never_torn() {
    if let Ok(place) = std::env::var(WHERE) {
        return write_for_ever(&place);
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state.json");
    let mut chance = fastrand::Rng::with_seed(28);
    for round in 0..200 {
        let after = Duration::from_micros(chance.u64(0..8000));
        let safe = last_word(KILLED, WHERE, &place, after);
        let restored = restore(&FileVault::new(place.clone()), WALL);
        let number = number_of(&restored.snapshot);
        assert!((safe..=safe + 1).contains(&number), "round {round}: {number} after {safe} was safe");
        assert_eq!(restored.snapshot, snapshot(number), "round {round}");
        assert!(restored.may_write);
    }
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("aside")), "{names:?}");
}

/// Stops the daemon so that it writes, and gives what it wrote.
fn stopped(pair: &mut Pair) -> String {
    pair.daemon.signal("TERM");
    assert!(pair.daemon.end().success());
    fs::read_to_string(pair.folder.path().join("state/state.json")).unwrap()
}

fn start_again(pair: &mut Pair) {
    pair.daemon = Program::start(&["run"], pair.folder.path());
    pair.daemon.says("listening address=");
}

#[test]
fn the_daemon_starts_from_what_it_knew_whatever_ended_it() {
    let mut pair = Pair::start();
    pair.turn(1, 2, true);
    eventually("known", || {
        let (_, list) = pair.get("/api/accessories");
        list.as_array().unwrap().iter().all(|lamp| lamp["freshness"] == "fresh")
            && pair.get("/api/accessories/m1o2").1["on"] == true
    });
    let text = stopped(&mut pair);
    assert!(text.contains("\"version\":1"), "{text}");
    drop(pair.gateway.take());
    for _ in 0..5 {
        start_again(&mut pair);
        let (_, lamp) = pair.get("/api/accessories/m1o2");
        assert_eq!((lamp["on"].as_bool(), lamp["freshness"].as_str()), (Some(true), Some("stale")), "{lamp}");
        assert_eq!(lamp["origin"], "snapshot");
        let (_, status) = pair.get("/api/status");
        assert_eq!((&status["state"]["saves_total"], &status["actors"]["keeper"]), (&0.into(), &"ok".into()));
        pair.daemon.signal("KILL");
        pair.daemon.end();
    }
}

#[test]
fn a_torn_and_a_newer_state_are_set_aside_with_a_warning() {
    let mut pair = Pair::start();
    eventually("known", || pair.get("/api/accessories/m1o2").1["freshness"] == "fresh");
    let text = stopped(&mut pair);
    let state = pair.folder.path().join("state");
    let newer = text.replace("\"version\":1", "\"version\":7");
    for (number, (text, why)) in
        [(&text[..100], "not a whole file"), (&newer, "version 7")].iter().enumerate()
    {
        fs::write(state.join("state.json"), text).unwrap();
        start_again(&mut pair);
        let log = pair.daemon.log.join("\n");
        assert!(log.contains("it is set aside") && log.contains(why), "{log}");
        let aside = state.join(format!("state.json.aside-{}", number + 1));
        assert_eq!(fs::read_to_string(aside).unwrap(), **text, "as it was");
        pair.daemon.signal("TERM");
        assert!(pair.daemon.end().success());
    }
}

#[test]
fn a_newer_state_before_the_last_is_set_aside_though_the_last_is_used() {
    let mut pair = Pair::start();
    eventually("known", || pair.get("/api/accessories/m1o2").1["freshness"] == "fresh");
    let text = stopped(&mut pair);
    let state = pair.folder.path().join("state");
    let newer = text.replace("\"version\":1", "\"version\":7");
    fs::write(state.join("state.json.bak"), &newer).unwrap();
    start_again(&mut pair);
    let log = pair.daemon.log.join("\n");
    assert!(
        log.contains("the kept state before the last, it is set aside") && log.contains("version 7"),
        "{log}"
    );
    assert!(log.contains("restored outputs="), "{log}");
    stopped(&mut pair);
    assert_eq!(fs::read_to_string(state.join("state.json.aside-1")).unwrap(), newer, "as it was");
}

#[test]
fn a_full_disk_is_a_warning_and_the_old_state_stays() {
    // The one file system that is always full: its device takes no byte.
    if fs::OpenOptions::new().write(true).open("/dev/full").is_err() {
        return;
    }
    let mut pair = Pair::start();
    eventually("known", || pair.get("/api/accessories/m1o2").1["freshness"] == "fresh");
    let text = stopped(&mut pair);
    start_again(&mut pair);
    pair.turn(1, 2, true);
    eventually("news", || pair.get("/api/accessories/m1o2").1["on"] == true);
    let state = pair.folder.path().join("state");
    std::os::unix::fs::symlink("/dev/full", state.join("state.json.new")).unwrap();
    assert_eq!(stopped(&mut pair), text, "the old one");
    let warned = pair.daemon.log.iter().filter(|line| {
        line.contains("WARN") && line.contains("cannot write the state, it is tried again error=")
    });
    assert_eq!(warned.count(), 1, "{:#?}", pair.daemon.log);
}

/// Who the bridge is and which number every lamp has, as the store of the HomeKit door tells it.
fn identity(folder: &Path) -> (Value, BTreeMap<String, u64>) {
    let text = fs::read_to_string(folder.join("state/homekit.json")).unwrap();
    let state: Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    let bridge = &state["bridges"][0];
    let who = ["device_id", "setup_id", "code", "secret", "controllers"].map(|key| bridge[key].clone());
    let places = state["places"].as_object().unwrap();
    let numbers = places.iter().map(|(id, place)| (id.clone(), place["aid"].as_u64().unwrap()));
    (who.to_vec().into(), numbers.collect())
}

/// Lets a phone have paired with the bridge of this store.
fn pair_a_phone(folder: &Path) {
    let place = folder.join("state/homekit.json");
    let text = fs::read_to_string(&place).unwrap();
    let (heading, body) = text.split_once('\n').unwrap();
    let mut state: Value = serde_json::from_str(body).unwrap();
    state["bridges"][0]["controllers"] = json!([{"id": "70686f6e65", "key": "11".repeat(32), "admin": true}]);
    let body = serde_json::to_string_pretty(&state).unwrap();
    let sum = u128::from_be_bytes(Sha512::digest(&body)[..16].try_into().unwrap());
    let format = heading.split_once(' ').unwrap().0;
    fs::write(place, format!("{format} {sum:032x}\n{body}\n")).unwrap();
}

/// Two modules of lamps and in round `round` a lamp more, which no other round has.
fn with_a_lamp_of(round: usize, base: &str) -> String {
    format!(
        "{base}[[module]]\nserial = \"0012345003\"\ntype = \"XP24\"\nlink = 3\n[[accessory]]\nid = \"round{round}\"\n\
         name = \"Lamp {round}\"\nkind = \"light\"\nmodule = \"0012345003\"\noutput = {}\n",
        round % 4
    )
}

#[test]
fn killed_while_it_takes_up_another_config_and_commands_it_starts_as_the_same_bridge() {
    let folder = tempfile::tempdir().unwrap();
    let (http, homekit) = (free_port(), free_port());
    let base = config("emulator", http) + &format!("[homekit]\nlisten = \"127.0.0.1:{homekit}\"\n");
    let mut chance = fastrand::Rng::with_seed(29);
    write_config(folder.path(), &base);
    let mut daemon = Program::start(&["run"], folder.path());
    daemon.says("started gateways=1");
    daemon.signal("TERM");
    assert!(daemon.end().success());
    pair_a_phone(folder.path());
    let (who, mut numbers) = identity(folder.path());
    for round in 0..20 {
        let mut daemon = Program::start(&["run"], folder.path());
        daemon.says("started gateways=1");
        let (still, now) = identity(folder.path());
        assert_eq!(still, who, "round {round}");
        for (id, number) in &numbers {
            assert_eq!(now.get(id), Some(number), "round {round}: {id}");
        }
        numbers = now;
        write_config(folder.path(), &with_a_lamp_of(round, &base));
        daemon.signal("HUP");
        let wish = json!({"on": round % 2 == 0});
        let command = thread::spawn(move || {
            let _ = ask(
                &format!("127.0.0.1:{http}"),
                "PUT",
                "/api/accessories/m1o0",
                Some(&wish),
                Duration::from_secs(1),
            );
        });
        pause(Duration::from_millis(chance.u64(0..300)));
        daemon.signal("KILL");
        daemon.end();
        command.join().unwrap();
    }
    let distinct: BTreeSet<u64> = numbers.values().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "no number twice: {numbers:?}");
    let listed =
        Command::new(CONBUSD).args(["homekit", "pairings"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "bridge 1  admin  phone\n");
}
