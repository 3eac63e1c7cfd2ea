//! Moving in: what the subcommands write, and over what they do not write.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use conbusd::emulator::capture::Capture;
use serde_json::Value;

use crate::programs::{CONBUSD, Pair, Program, eventually, free_port, get, pause, write_config};

fn conbusd(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(CONBUSD).args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_import_writes_a_config_that_check_accepts_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("cli.yml"), "conbus:\n  ip: 192.168.1.17\n").unwrap();
    let modules =
        "- {name: A4, serial_number: 0020044774, module_type: XP24, module_type_code: 07, link_number: 04}\n";
    fs::write(folder.join("conson.yml"), modules).unwrap();
    let import = ["import", "cli.yml", "conson.yml"];
    let first = conbusd(folder, &import);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    assert!(
        said(&first).ends_with("config.toml: 1 modules, 0 accessories; 3 changed, 0 guessed, 0 left out\n"),
        "three numbers with a zero in front: {}",
        said(&first)
    );
    assert_eq!(conbusd(folder, &["check"]).status.code(), Some(0));

    fs::write(folder.join("config.toml"), "# mine\n").unwrap();
    let again = conbusd(folder, &import);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("`config.toml` is there already"), "{}", said(&again));
    assert_eq!(fs::read_to_string(folder.join("config.toml")).unwrap(), "# mine\n");

    let forced = conbusd(folder, &[&import[..], &["--force"]].concat());
    assert_eq!(forced.status.code(), Some(0), "{}", said(&forced));
    let printed = conbusd(folder, &[&import[..], &["--out", "-"]].concat());
    assert_eq!(printed.stdout, fs::read(folder.join("config.toml")).unwrap());
}

#[test]
fn an_import_that_fails_names_file_and_line_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("bad.yml"), "conbus:\n  ip: [1\n").unwrap();
    fs::write(folder.join("other.yml"), "version: 3\n").unwrap();
    for (file, word) in
        [("bad.yml", "bad.yml:"), ("other.yml", "is no file of conson-xp"), ("none.yml", "cannot read")]
    {
        let told = conbusd(folder, &["import", file]);
        assert_eq!(told.status.code(), Some(1), "{file}");
        assert!(said(&told).contains(word), "{}", said(&told));
        assert!(!folder.join("config.toml").exists());
    }
}

#[test]
fn discover_finds_the_house_over_tcp_and_writes_a_config_that_check_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_config(folder, include_str!("../../config.toml"));
    let (bus, orders) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let arguments = ["emulator", "--instant", "--listen", &bus, "--control", &orders];
    let mut gateway = Program::start(&arguments, folder);
    gateway.says("taking orders address=");
    // The answers of a whole first broadcast are lost.
    let mut control = TcpStream::connect(&orders).unwrap();
    control.write_all(b"{\"do\":\"fault\",\"kind\":\"lost_reply\",\"next\":9}\n").unwrap();
    assert!(BufReader::new(&control).lines().next().unwrap().unwrap().contains("true"));

    let discover = ["discover", "--gateway", &bus, "--write", "found.toml"];
    let found = conbusd(folder, &discover);
    assert_eq!(found.status.code(), Some(0), "{}", said(&found));
    assert!(
        said(&found).contains("1 of 3: 0 modules so far")
            && said(&found).contains("2 of 3: 9 modules so far")
    );
    let table = String::from_utf8(found.stdout).unwrap();
    assert!(table.contains("0012345006  XP33LED     6        3  yes      XP33LED_V"), "{table}");
    assert_eq!(conbusd(folder, &["check", "--config", "found.toml"]).status.code(), Some(0));

    let again = conbusd(folder, &discover);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("add `--merge`"), "{}", said(&again));
    let before = fs::read(folder.join("found.toml")).unwrap();
    let merged = conbusd(folder, &[&discover[..], &["--merge"]].concat());
    assert_eq!(merged.status.code(), Some(0), "{}", said(&merged));
    assert_eq!(fs::read(folder.join("found.toml")).unwrap(), before, "nothing was new");

    let held = TcpStream::connect(&bus).unwrap();
    let busy = conbusd(folder, &["discover", "--gateway", &bus]);
    assert_eq!(busy.status.code(), Some(1));
    assert!(said(&busy).contains("it serves one client"), "{}", said(&busy));
    drop(held);
    let nobody = format!("127.0.0.1:{}", free_port());
    let refused = conbusd(folder, &["discover", "--gateway", &nobody]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("cannot be reached"), "{}", said(&refused));
}

#[test]
fn init_asks_over_a_pipe_writes_a_config_and_shows_the_code() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_config(folder, include_str!("../../config.toml"));
    let bus = format!("127.0.0.1:{}", free_port());
    let mut gateway = Program::start(&["emulator", "--instant", "--listen", &bus], folder);
    gateway.says("listening address=");
    let init = |answers: &str| {
        let mut child = Command::new(CONBUSD)
            .args(["init", "--config", "mine.toml"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that ends before it has read everything is no fault of the pipe.
        let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
        child.wait_with_output().unwrap()
    };
    let nobody = init("");
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
    assert!(!folder.join("mine.toml").exists());

    let done = init(&format!("not an address!\n{bus}\nHall\nPorch\nCellar/Stairs\nq\nlocal\n"));
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let code = String::from_utf8(done.stdout.clone()).unwrap();
    assert!(code.contains('█') || code.contains('▀'), "a picture for a camera: {code}");
    let written = fs::read_to_string(folder.join("mine.toml")).unwrap();
    assert!(
        written.contains("name = \"Porch\"\nroom = \"Hall\"") && written.contains("id = \"cellar_stairs\"")
    );
    assert_eq!(conbusd(folder, &["check", "--config", "mine.toml"]).status.code(), Some(0));

    let again = init("");
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("`mine.toml` is there already"), "{}", said(&again));
    assert_eq!(fs::read_to_string(folder.join("mine.toml")).unwrap(), written);
}

#[test]
fn a_recorded_bus_is_played_again_telegram_by_telegram() {
    let mut pair = Pair::start();
    let folder = pair.folder.path().to_owned();
    let plain = Program::start(&["monitor", "--record", "bus.jsonl"], &folder);
    let hidden = Program::start(&["monitor", "--record", "hidden.jsonl", "--anonymise"], &folder);
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    // Both are connected when they have heard of a first change.
    let mut on = false;
    eventually("both record", || {
        on = !on;
        pair.turn(1, 0, on);
        pause(Duration::from_millis(100));
        !read("bus.jsonl").is_empty() && !read("hidden.jsonl").is_empty()
    });
    // From here on everything is in both files.
    pair.turn(1, 1, true);
    let (status, _) = pair.get("/api/accessories/m2o1?max_age_ms=0");
    assert_eq!(status, 200);
    eventually("report, read and answer are recorded", || {
        let has = |name: &str, words: &[&str]| words.iter().all(|word| read(name).contains(word));
        has("bus.jsonl", &["<E07L01I81M", "<S0012345002F02D12", "<R0012345002F02D12"])
            && has("hidden.jsonl", &["<E07L01I81M", "F02D12xxxx"])
    });
    for mut monitor in [plain, hidden] {
        monitor.signal("INT");
        assert_eq!(monitor.end().code(), Some(0));
    }
    let rows: Vec<Value> =
        read("bus.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let heard: String =
        (rows.iter().filter(|row| row["dir"] == "RX")).map(|row| row["telegram"].as_str().unwrap()).collect();
    assert!(heard.contains("<E07L01I81M") && rows.iter().any(|row| row["dir"] == "TX"), "{rows:#?}");

    let address = format!("127.0.0.1:{}", free_port());
    let arguments = ["emulator", "--replay", "bus.jsonl", "--speed", "1000", "--listen", &address];
    let mut player = Program::start(&arguments, &folder);
    player.says("replaying");
    let mut client = TcpStream::connect(&address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut again = vec![0; heard.len()];
    client.read_exact(&mut again).unwrap();
    assert_eq!(again.iter().map(|byte| char::from(*byte)).collect::<String>(), heard);

    let hidden = read("hidden.jsonl");
    assert!(!hidden.contains("0012345001") && !hidden.contains("0012345002"), "{hidden}");
    for line in hidden.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let capture = Capture::parse(line).unwrap();
        assert!(capture.rows()[0].telegram().is_some(), "a telegram with its checksum: {row}");
    }
}

/// A client of the shared port that comes from this address of the loopback network; whether it is let in.
fn is_let_in(from: &str, port: u16) -> (TcpStream, bool) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&format!("{from}:0").parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    let mut stream = TcpStream::from(socket);
    // D07 of a relay module: who is let in hears it, who is not finds the connection closed.
    let asked = stream.write_all(b"<S0012345003F02D07FG>");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = stream.read(&mut [0; 64]);
    let is_in = asked.is_ok() && heard.is_ok_and(|count| count > 0);
    (stream, is_in)
}

#[test]
fn the_shared_port_lets_in_whom_the_list_names_and_not_more_than_there_are_places_for() {
    let folder = tempfile::tempdir().unwrap();
    let (http, mux) = (free_port(), free_port());
    let shipped = include_str!("../../config.toml");
    let house = shipped.split("# The HTTP door").next().unwrap();
    let doors = format!(
        "[http]\nlisten = \"127.0.0.1:{http}\"\n[mux]\nlisten = \"127.0.0.1:{mux}\"\n\
         allow = [\"127.0.0.1/32\"]\nmax_clients = 2\n"
    );
    write_config(folder.path(), &format!("{house}\n{doors}"));
    let mut daemon = Program::start(&["run"], folder.path());
    daemon.says("connected gateway=home");
    let (first, is_in) = is_let_in("127.0.0.1", mux);
    assert!(is_in);
    assert!(!is_let_in("127.0.0.2", mux).1, "a stranger");
    daemon.says("not let in address=127.0.0.2");
    let (_second, is_in) = is_let_in("127.0.0.1", mux);
    assert!(is_in);
    assert!(!is_let_in("127.0.0.1", mux).1, "there is no third place");
    let (_, status) = get(([127, 0, 0, 1], http).into(), "/api/status");
    let shared = &status["mux"];
    assert_eq!(
        (&shared["strangers_total"], &shared["turned_away_total"]),
        (&1.into(), &1.into()),
        "{shared}"
    );
    let mut reader = TcpStream::connect(("127.0.0.1", http)).unwrap();
    reader.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    reader.read_to_string(&mut page).unwrap();
    for line in [
        "conbusd_proxy_clients{gateway=\"home\"} 2",
        "conbusd_proxy_clients_denied_total{gateway=\"home\",reason=\"stranger\"} 1",
        "conbusd_proxy_clients_denied_total{gateway=\"home\",reason=\"full\"} 1",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    drop(first);
    daemon.says("client gone address=127.0.0.1");
}
