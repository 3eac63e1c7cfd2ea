//! Killed without a word while it writes: the state is old or new, and the daemon starts again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use conbusd::app::restore::restore;
use conbusd::conbus::{OutputIndex, Percent, Point};
use conbusd::policy::{Remembered, Snapshot};
use conbusd::vault::{FileVault, replace, replace_keeping};

use crate::programs::{Pair, Program, eventually, pause};

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

/// A file that is written as the HomeKit door writes its own: by `replace`, with nothing kept beside.
fn pairings(place: &Path) -> PathBuf {
    place.with_file_name("pairings")
}

/// 20 kB that say their number at both ends.
fn text(number: u64) -> Vec<u8> {
    format!("{number} {} {number}", "x".repeat(20_000)).into_bytes()
}

fn number_of(snapshot: &Snapshot) -> u64 {
    snapshot.outputs[0].on.unwrap().1.as_secs()
}

/// The child: writes one snapshot after another and tells the number of each that is safe, until it is killed.
#[expect(clippy::print_stdout, reason = "its parent reads it")]
fn write_for_ever(place: &str) {
    let begun = restore(&FileVault::new(place.into()), WALL).snapshot;
    let from = if begun.outputs.is_empty() { 1 } else { number_of(&begun) + 1 };
    for number in from.. {
        replace_keeping(Path::new(place), &snapshot(number).encode(WALL)).unwrap();
        replace(&pairings(place.as_ref()), &text(number)).unwrap();
        println!("safe {number}");
    }
}

/// Runs the child, kills it `after` its first write, and gives the last number that it called safe.
fn write_and_die(place: &Path, after: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", KILLED, "--nocapture"])
        .env(WHERE, place)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // The first line shares its line with what the test harness says.
    let number = |line: String| line.rsplit_once("safe ").and_then(|(_, number)| number.parse().ok());
    let first = lines.find_map(number).unwrap();
    pause(after);
    child.kill().unwrap();
    child.wait().unwrap();
    lines.filter_map(number).fold(first, u64::max)
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
        let safe = write_and_die(&place, Duration::from_micros(chance.u64(0..8000)));
        let restored = restore(&FileVault::new(place.clone()), WALL);
        let number = number_of(&restored.snapshot);
        assert!((safe..=safe + 1).contains(&number), "round {round}: {number} after {safe} was safe");
        assert_eq!(restored.snapshot, snapshot(number), "round {round}");
        assert!(restored.may_write);
        let kept = fs::read(pairings(&place)).unwrap();
        assert!(kept == text(safe) || kept == text(safe + 1), "round {round}: neither {safe} nor the next");
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
