//! The page of figures of a whole daemon with every door open, read by the checker of Prometheus.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test is the only reader; a skip is said"
)]
#![allow(missing_docs, reason = "tests are named, not documented")]

#[path = "daemon/programs.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod programs;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use conbusd::policy::figures::names;

use crate::programs::{Program, config, eventually, free_port, write_config};

/// Nothing of these has happened or can be known in a house that is well and has no dimmer.
const NOT_YET: [&str; 1] = ["conbusd_output_level_ratio"];

/// The page of figures.
fn scrape(http: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", http)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 OK"), "{head}");
    body.to_owned()
}

#[test]
fn with_every_door_open_every_figure_is_told_and_promtool_has_nothing_to_say() {
    let folder = tempfile::tempdir().unwrap();
    let [http, homekit, mux, nowhere] = [(); 4].map(|()| free_port());
    let doors = format!(
        "[homekit]\nlisten = \"127.0.0.1:{homekit}\"\n[mux]\nlisten = \"127.0.0.1:{mux}\"\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1:{nowhere}\"\n"
    );
    write_config(folder.path(), &(config("emulator", http) + &doors));
    let mut daemon = Program::start(&["run"], folder.path());
    daemon.says("connected gateway=home");
    // Temperatures are asked for half a minute after the connect.
    let told = |page: &str, figure: &str| page.lines().any(|line| line.starts_with(figure));
    let missing = || {
        let page = scrape(http);
        let absent = names::ALL.iter().map(|family| family.name);
        absent.filter(|name| !NOT_YET.contains(name) && !told(&page, name)).collect::<Vec<_>>()
    };
    for _ in 0..6 {
        if missing().is_empty() {
            break;
        }
        programs::pause(Duration::from_secs(10));
    }
    assert_eq!(missing(), [""; 0]);
    eventually("the page is whole", || scrape(http).contains("conbusd_mqtt_connected 0"));
    let Some(promtool) = std::env::var_os("CONBUSD_PROMTOOL") else {
        assert!(std::env::var_os("CI").is_none(), "CI has promtool: tests/run gets it");
        println!("skipped: CONBUSD_PROMTOOL is not set; tests/run gets promtool");
        return;
    };
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(scrape(http).as_bytes()).unwrap();
    let told = check.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&told.stderr).into_owned() + &String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success() && words.trim().is_empty(), "{words}");
}
