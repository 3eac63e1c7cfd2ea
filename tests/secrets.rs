//! No secret in a log: a whole life of the real daemon at `RUST_LOG=trace`, with planted secrets, and a search of all that
//! it wrote and answered. Covers the HTTP token, the setup code, the password of the broker, the bridge's long-term key
//! and, where a real controller is installed, the keys of its sessions.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test is the only reader; a skip is said"
)]
#![allow(missing_docs, reason = "tests are named, not documented")]

#[path = "daemon/programs.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod programs;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::programs::{CONBUSD, config, eventually, free_port, pause, write_config};

const TOKEN: &str = "planted-token-4f1c9be07a";
const PASSWORD: &str = "planted-password-93ab";
const CODE: &str = "271-82-818";

/// Ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn keep_private(folder: &Path, name: &str, text: &str) {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A broker that refuses the password, with which a client would complain.
fn refusing_broker() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let mut heard = [0; 1024];
            let _ = stream.read(&mut heard);
            // CONNACK: bad user name or password.
            let _ = stream.write_all(&[0x20, 0x02, 0x00, 0x04]);
        }
    });
    port
}

/// Everything that a request is answered with; a stream is read for a second.
fn say(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    String::from_utf8_lossy(&heard).into_owned()
}

/// What a client of the HTTP door says, right and wrong, and what it is answered.
fn use_http(port: u16) -> String {
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    let ask = |request: &str, headers: &str, body: &str| {
        let length = body.len();
        say(
            port,
            &format!(
                "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
            ),
        )
    };
    let mut heard = String::new();
    let paths: Vec<String> = conbusd::doors::http::paths()
        .map(|path| path.replace("{id}", "m1o0"))
        .filter(|path| !path.contains('{'))
        .collect();
    for path in &paths {
        let answer = ask(&format!("GET {path}?telegrams=1"), &right, "");
        // Its broker refuses it, so it is not ready; the words are what is wanted here.
        let unready = ["/readyz", "/healthz"].contains(&path.as_str());
        assert!(answer.starts_with("HTTP/1.1 200") || unready, "{path}: {answer}");
        // Whoever has the token may see the setup code, on the page; nothing else shows it.
        if path == "/api/homekit" {
            assert!(answer.contains(CODE), "{answer}");
        } else {
            heard += &answer;
        }
        heard += &ask(&format!("GET {path}"), "", "");
        heard += &ask(&format!("GET {path}"), &format!("Authorization: Basic {TOKEN}\r\n"), "");
        heard += &ask(&format!("GET {path}"), &format!("Authorization: Bearer {TOKEN}x\r\n"), "");
    }
    heard += &ask("PUT /api/accessories/m1o0", &right, r#"{"on":true}"#);
    heard += &ask("PUT /api/accessories/m1o0", &right, r#"{"brightness":"#);
    heard += &ask("BREW /api/accessories/m1o0", &right, "");
    heard += &say(port, &format!("GET /api/status HTTP/1.1\r\nHost: localhost\r\n{right}: broken\r\n\r\n"));
    heard
}

/// What a stranger says to the HomeKit door: the first steps of pairing, with a wrong proof and with nonsense.
fn try_homekit(port: u16) {
    let public = [&[3, 255][..], &[2; 255], &[3, 129], &[2; 129]].concat();
    let steps: [&[u8]; 3] = [
        &[6, 1, 1, 0, 1, 0],
        &[&[6, 1, 3][..], &public, &[4, 64], &[1; 64]].concat(),
        &[6, 1, 5, 5, 4, 0, 0, 0, 0],
    ];
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for step in steps {
        let head = format!("POST /pair-setup HTTP/1.1\r\nHost: b\r\nContent-Length: {}\r\n\r\n", step.len());
        stream.write_all(&[head.as_bytes(), step].concat()).unwrap();
        let mut answer = [0; 2048];
        let length = stream.read(&mut answer).unwrap();
        assert!(
            answer[..length].starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer[..length])
        );
    }
}

/// A real controller pairs, uses the bridge and tells the keys; none where it is not installed.
fn controller_keys(port: u16) -> Vec<Vec<u8>> {
    let Ok(python) = std::env::var("CONBUSD_HOMEKIT_PYTHON") else {
        println!("skipped: CONBUSD_HOMEKIT_PYTHON does not lead to a controller; tests/run installs it");
        return Vec::new();
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/homekit/secrets.py");
    let told = Command::new(python)
        .arg(script)
        .args([&port.to_string(), CODE])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let keys: Vec<String> = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(keys.len(), 3);
    keys.iter().map(|key| from_hex(key)).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The bridge's long-term key as the store keeps it.
fn bridge_key(state: &Path) -> Vec<u8> {
    let text = fs::read_to_string(state.join("homekit.json")).unwrap();
    let (_, body) = text.split_once('\n').unwrap();
    let store: Value = serde_json::from_str(body).unwrap();
    from_hex(store["bridges"][0]["secret"].as_str().unwrap())
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |bits: u32| char::from(LETTERS[(bits & 63) as usize]);
    bytes
        .chunks(3)
        .flat_map(|three| {
            let bits =
                three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
            [18, 12, 6, 0].map(|shift| letter(bits >> shift)).into_iter().take(three.len() + 1)
        })
        .collect()
}

/// The ways in which bytes get into a text by mistake: as they are, in hexadecimal, in base 64, as a list of numbers.
fn forms(secret: &[u8]) -> Vec<String> {
    let list = |format: fn(&u8) -> String, between: &str| {
        secret.iter().map(format).collect::<Vec<_>>().join(between)
    };
    // The last letters of base 64 depend on what comes behind.
    let base64 = base64(&secret[..secret.len() / 3 * 3]);
    vec![
        String::from_utf8_lossy(secret).into_owned(),
        list(|byte| format!("{byte:02x}"), ""),
        list(|byte| format!("{byte:02X}"), ""),
        list(|byte| format!("{byte:02x}"), ":"),
        list(|byte| format!("{byte:02x}"), ", "),
        list(ToString::to_string, ", "),
        base64,
    ]
}

fn is_silent_about(what: &str, name: &str, secret: &[u8], text: &str) {
    for form in forms(secret) {
        if let Some(at) = text.find(&form) {
            let line = text[..at].matches('\n').count() + 1;
            panic!("{name} is in {what}, line {line}: {}", text.lines().nth(line - 1).unwrap_or_default());
        }
    }
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = b"\x12\xabsecret key of 32 bytes........";
    for form in ["12ab736563", "12:ab:73", "[18, 171, 115, ", "Eqtz"] {
        assert!(forms(secret).iter().any(|one| one.starts_with(form.trim_start_matches('['))), "{form}");
    }
    assert_eq!(base64(b"Man"), "TWFu");
    let found = std::panic::catch_unwind(|| {
        is_silent_about(
            "a log",
            "a key",
            secret,
            "one\ntwo 12AB736563726574206B6579206F662033322062797465732E2E2E2E2E2E2E2E x",
        );
    });
    assert!(found.is_err());
    is_silent_about("a log", "a key", secret, "12ab 73 Eqt");
}

#[test]
fn a_whole_life_at_trace_tells_no_secret_to_the_log_or_to_a_client() {
    let folder = tempfile::tempdir().unwrap();
    let (http, homekit) = (free_port(), free_port());
    keep_private(folder.path(), "token", TOKEN);
    keep_private(folder.path(), "password", PASSWORD);
    let mut text = config("emulator", http).replacen("[http]\n", "[http]\ntoken_file = \"token\"\n", 1);
    text += &format!(
        "[homekit]\nlisten = \"127.0.0.1:{homekit}\"\npin = \"{CODE}\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n\
         user = \"planted\"\npassword_file = \"password\"\n",
        refusing_broker()
    );
    write_config(folder.path(), &text);
    let log = folder.path().join("log");
    let written = File::create(&log).unwrap();
    let child = Command::new(CONBUSD)
        .arg("run")
        .current_dir(folder.path())
        .env("RUST_LOG", "trace")
        .stdin(Stdio::null())
        .stdout(written.try_clone().unwrap())
        .stderr(written)
        .spawn()
        .unwrap();
    let mut daemon = Daemon(child);
    let so_far = || fs::read_to_string(&log).unwrap();
    eventually("both doors are open", || so_far().contains("connected gateway=home"));
    eventually("every lamp is known", || {
        say(http, &format!("GET /readyz?exclude=mqtt HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"))
            .contains(" 200 ")
    });

    let answered = use_http(http);
    try_homekit(homekit);
    let session_keys = controller_keys(homekit);
    pause(Duration::from_millis(500));
    let id = daemon.0.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    assert!(daemon.0.wait().unwrap().success());

    let log = so_far();
    // It would find something: the log is that of a whole life, at its finest.
    for word in ["TRACE", "DEBUG", "/pair-setup", "started", "stopped"] {
        assert!(log.contains(word), "no `{word}` in the log: {log}");
    }
    let mut secrets = vec![
        ("the token", TOKEN.as_bytes().to_vec()),
        ("the password of the broker", PASSWORD.as_bytes().to_vec()),
        ("the setup code", CODE.into()),
        ("the digits of the setup code", CODE.replace('-', "").into()),
        ("the picture of the setup code", "X-HM://".into()),
        ("the key of the bridge", bridge_key(&folder.path().join("state"))),
    ];
    secrets.extend(session_keys.into_iter().map(|key| ("a key of the controller", key)));
    for (name, secret) in &secrets {
        is_silent_about("the log", name, secret, &log);
        is_silent_about("an answer", name, secret, &answered);
    }
}
