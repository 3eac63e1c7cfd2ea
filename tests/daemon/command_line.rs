//! Starting, stopping, and the codes it ends with.

use std::process::{Command, Stdio};

use crate::programs::{CONBUSD, Pair, Program, config, eventually, free_port, get, write_config};

#[test]
fn the_shipped_config_starts_a_house_whose_every_lamp_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let http = free_port();
    let shipped = include_str!("../../config.toml").replace("127.0.0.1:8480", &format!("127.0.0.1:{http}"));
    let shipped = shipped.replace("127.0.0.1:51826", &format!("127.0.0.1:{}", free_port()));
    write_config(folder.path(), &shipped);
    let mut daemon = Program::start(&[], folder.path());
    daemon.says("started gateways=1");
    let address = ([127, 0, 0, 1], http).into();
    eventually("24 fresh lamps, a group and a scene", || {
        let (status, list) = get(address, "/api/accessories");
        let list = list.as_array().unwrap();
        assert_eq!((status, list.len()), (200, 26));
        list.iter().all(|lamp| lamp["on"] == false && lamp["freshness"] == "fresh")
    });
    daemon.signal("TERM");
    assert_eq!(daemon.end().code(), Some(0), "{:#?}", daemon.log);
    assert!(daemon.log.iter().any(|line| line.contains("stopped")), "{:#?}", daemon.log);
}

#[test]
fn interrupt_and_terminate_end_it_with_0_and_free_the_gateway() {
    for signal in ["INT", "TERM"] {
        let mut pair = Pair::start();
        pair.daemon.signal(signal);
        assert_eq!(pair.daemon.end().code(), Some(0));
        let counters = pair.order(r#"{"do":"counters"}"#);
        assert_eq!(counters["counters"]["connections_open"], 0, "{counters}");
    }
}

#[test]
fn a_bad_config_is_told_at_once_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), "[cache]\nttl = 30\n[htp]\nlisten = \"127.0.0.1:8480\"\n");
    for verb in [&["check"][..], &["run"], &[]] {
        let told = Command::new(CONBUSD)
            .args(verb)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(told.status.code(), Some(2), "{verb:?}");
        let text = String::from_utf8(told.stderr).unwrap();
        assert!(text.contains("config.toml:2:7") && text.contains("config.toml:3:2"), "{verb:?}: {text}");
        assert!(text.contains("did you mean `http`"), "{text}");
    }
}

#[test]
fn a_good_config_is_checked_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), &config("emulator", 8480));
    let told = Command::new(CONBUSD).arg("check").current_dir(folder.path()).output().unwrap();
    assert_eq!((told.status.code(), told.stdout.len() + told.stderr.len()), (Some(0), 0));
}

#[test]
fn a_second_daemon_with_the_same_state_folder_ends_with_1_and_says_why() {
    let pair = Pair::start();
    let other = config("127.0.0.1:1", free_port());
    let path = pair.folder.path().join("other.toml");
    std::fs::write(&path, other).unwrap();
    let told = Command::new(CONBUSD)
        .args(["run", "--config", path.to_str().unwrap()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(told.status.code(), Some(1));
    let text = String::from_utf8(told.stderr).unwrap();
    assert!(text.contains("another conbusd is running"), "{text}");
}

#[test]
fn monitor_shows_what_the_running_daemon_hears() {
    let mut pair = Pair::start();
    let mut monitor = Command::new(CONBUSD)
        .args(["monitor", "--json"])
        .current_dir(pair.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(monitor.stdout.take().unwrap()));
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| told.send(line)));
    let mut on = false;
    let mut seen = false;
    eventually("the report in the monitor", || {
        on = !on;
        pair.turn(1, 2, on);
        seen |= heard.try_iter().any(|line| line.contains("<E07L01I82M"));
        seen
    });
    monitor.kill().unwrap();
    monitor.wait().unwrap();
}
