//! What the system that starts the daemon is told, and what it may rely on.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, System};
use conbusd::app::watch::end_on_panic;
use tokio::time::Instant;

use crate::programs::{CONBUSD, Program, config, free_port, get, pause, write_config};

/// Set for the child that panics.
const PANICS: &str = "CONBUSD_TEST_PANICS";

/// The test below, which is its own child.
const BREAKS: &str = "supervision::a_panic_in_an_actor_ends_the_daemon_with_a_line_and_no_success";

struct Fragile;

impl Actor for Fragile {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Break;

impl Handler<Break> for Fragile {
    type Result = ();

    fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("a telegram that cannot be");
    }
}

/// The child: an actor panics in a process that would live on.
fn panic_in_an_actor() {
    env_logger::Builder::new().filter_level(log::LevelFilter::Info).init();
    end_on_panic();
    System::new().block_on(async {
        #[expect(clippy::disallowed_methods, reason = "the answer of an actor that dies does not matter")]
        let _ = Fragile.start().send(Break).await;
        // Without the hook the others would live on for ever.
        std::future::pending::<()>().await;
    });
}

#[test]
fn a_panic_in_an_actor_ends_the_daemon_with_a_line_and_no_success() {
    if std::env::var_os(PANICS).is_some() {
        return panic_in_an_actor();
    }
    let patience = Duration::from_secs(10);
    let child = Command::new("timeout")
        .arg(patience.as_secs().to_string())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", BREAKS, "--nocapture"])
        .env(PANICS, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&child.stderr);
    // `timeout` tells the signal as 128 and its number, or dies of it too; 124 would be its own.
    let aborted = child.status.code() == Some(128 + 6) || child.status.signal() == Some(6);
    assert!(aborted, "{:?}: {log}", child.status);
    let line = log.lines().find(|line| line.contains("broken invariant, ending: ")).expect(&log);
    assert!(line.contains("ERROR") && line.contains("supervision.rs"), "{line}");
    assert!(log.contains("a telegram that cannot be"), "{log}");
}

/// How much later than promised something may be seen on a busy machine.
const BUSY: Duration = Duration::from_secs(4);

/// What breaks in a debug build that is asked to.
const SABOTAGE: &str = "CONBUSD_SABOTAGE";

#[test]
fn a_panic_in_an_actor_of_the_daemon_itself_ends_it_within_a_second_of_its_line() {
    if !cfg!(debug_assertions) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), &config("emulator", free_port()));
    let mut daemon = Program::start_with(&["run"], folder.path(), &[(SABOTAGE, "panic")]);
    daemon.says("started gateways=1");
    let line = daemon.says("broken invariant, ending: ");
    let begun = Instant::now();
    let status = daemon.end_within(Duration::from_secs(1) + BUSY);
    assert!(line.contains("sabotage.rs"), "{line}");
    assert_eq!(status.signal(), Some(6), "aborted after {:?}: {status:?}", begun.elapsed());
    let lines = daemon.log.iter().filter(|line| line.contains("broken invariant")).count();
    assert_eq!(lines, 1, "{:#?}", daemon.log);
}

/// What the daemon tells next.
fn told(socket: &UnixDatagram) -> String {
    let mut text = [0; 512];
    let length = socket.recv(&mut text).expect("nothing was told within 20 s");
    String::from_utf8_lossy(&text[..length]).trim_end().to_owned()
}

#[test]
fn ready_is_told_when_the_doors_listen_then_signs_of_life_then_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("notify");
    let socket = UnixDatagram::bind(&place).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let http = free_port();
    // A gateway that is not there must not keep a machine from booting.
    write_config(folder.path(), &config(&format!("127.0.0.1:{}", free_port()), http));
    let place = place.to_str().unwrap();
    let environment = [("NOTIFY_SOCKET", place), ("WATCHDOG_USEC", "400000")];
    let mut daemon = Program::start_with(&["run"], folder.path(), &environment);
    assert_eq!(told(&socket), "READY=1");
    assert_eq!(get(([127, 0, 0, 1], http).into(), "/livez").0, 200);
    for _ in 0..5 {
        assert_eq!(told(&socket), "WATCHDOG=1");
    }
    daemon.signal("TERM");
    while told(&socket) != "STOPPING=1" {}
    assert!(daemon.end().success());
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 512]).is_err(), "nothing after the end");
}

/// A daemon that is broken so a little after its start; what it tells comes out of the socket. It has lived.
fn broken(sabotage: &str) -> (tempfile::TempDir, UnixDatagram, Program) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("notify");
    let socket = UnixDatagram::bind(&place).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write_config(folder.path(), &config("emulator", free_port()));
    let environment =
        [("NOTIFY_SOCKET", place.to_str().unwrap()), ("WATCHDOG_USEC", "400000"), (SABOTAGE, sabotage)];
    let daemon = Program::start_with(&["run"], folder.path(), &environment);
    assert_eq!(told(&socket), "READY=1");
    assert_eq!(told(&socket), "WATCHDOG=1", "it lived");
    (folder, socket, daemon)
}

/// No sign of life comes in five times the patience of the system.
fn stays_silent(socket: &UnixDatagram) {
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut [0; 512]).is_ok() {}
    pause(Duration::from_secs(2));
    assert!(socket.recv(&mut [0; 512]).is_err(), "five times the patience of the system later");
}

#[test]
fn no_sign_of_life_is_given_for_a_daemon_one_of_whose_actors_is_gone() {
    if !cfg!(debug_assertions) {
        return;
    }
    let (_folder, socket, mut daemon) = broken("poller");
    daemon.says("the actors do not answer, no sign of life is given");
    stays_silent(&socket);
}

#[test]
fn no_sign_of_life_is_given_for_a_daemon_one_of_whose_actors_never_returns() {
    if !cfg!(debug_assertions) {
        return;
    }
    let (_folder, socket, _daemon) = broken("stuck");
    // Longer than an actor that is to get stuck lives, and than the signs until then need.
    pause(Duration::from_secs(3));
    stays_silent(&socket);
}

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/conbusd.service")
}

/// Runs `systemd-analyze`; none where it is not installed, which CI does not accept.
#[expect(clippy::print_stderr, reason = "`tests/run` counts the line")]
fn analyze(arguments: &[&str], unit: &Path) -> Option<(bool, String)> {
    let run = Command::new("systemd-analyze").args(arguments).arg(unit).env("SYSTEMD_COLORS", "0").output();
    let Ok(run) = run else {
        assert!(std::env::var_os("CI").is_none(), "systemd-analyze is not installed, and CI skips nothing");
        eprintln!("skipped: systemd-analyze is not installed");
        return None;
    };
    let text = [run.stdout, run.stderr].concat();
    Some((run.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn the_unit_file_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(unit()).unwrap();
    assert!(text.contains("ExecStart=/usr/bin/conbusd "));
    let place = folder.path().join("conbusd.service");
    // The program has to be where the unit says.
    fs::write(&place, text.replace("/usr/bin/conbusd", CONBUSD)).unwrap();
    let Some((good, told)) = analyze(&["verify", "--man=no"], &place) else { return };
    let ours: Vec<&str> = told.lines().filter(|line| line.contains("conbusd.service")).collect();
    assert!(good && ours.is_empty(), "{told}");
}

#[test]
fn the_unit_file_leaves_little_to_attack() {
    // In tenths; it has 11, and a unit without any of it 96.
    let Some((good, told)) = analyze(&["security", "--offline=true", "--threshold=12"], &unit()) else {
        return;
    };
    let verdict = told.lines().find(|line| line.contains("Overall exposure level")).unwrap_or(&told);
    assert!(good, "{verdict}");
}
