//! Captures played and compared from the command line.

use std::io::Read;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::programs::{CONBUSD, Program, eventually, free_port};

/// A capture in which an output is switched off; `last` is what its module said then.
fn capture(last: &str) -> String {
    [
        (0, "TX", "<S0012345008F27D00AAFN>"),
        (60, "RX", "<R0012345008F18DFA>"),
        (107, "RX", "<E07L06I80BAL>"),
        (115, "TX", "<S0012345008F02D12FJ>"),
        (173, "RX", last),
    ]
    .map(|(t_ms, dir, telegram)| {
        format!("{{\"t_ms\":{t_ms},\"dir\":\"{dir}\",\"telegram\":\"{telegram}\"}}\n")
    })
    .concat()
}

fn compare(text: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.jsonl");
    std::fs::write(&file, text).unwrap();
    let told = Command::new(CONBUSD)
        .args(["emulator", "--check", file.to_str().unwrap()])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (told.status.code(), String::from_utf8(told.stdout).unwrap() + &String::from_utf8(told.stderr).unwrap())
}

#[test]
fn a_capture_that_agrees_with_the_emulated_house_ends_with_0_and_one_that_does_not_with_1() {
    let (code, told) = compare(&capture("<R0012345008F02D12xxxx1110FJ>"));
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = compare(&capture("<R0012345008F02D12xxxx1111FI>"));
    assert_eq!(code, Some(1), "output 0 was switched off: {told}");
    assert!(told.contains("<R0012345008F02D12xxxx1110FJ>") && told.contains("differs"), "{told}");
    let (code, told) = compare("{\"t_ms\":0}\n");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("capture.jsonl") && told.contains("line 1"), "{told}");
}

#[test]
fn a_capture_is_played_to_whoever_connects() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.jsonl");
    std::fs::write(&file, capture("<R0012345008F02D12xxxx1110FJ>")).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let arguments = ["emulator", "--replay", file.to_str().unwrap(), "--speed", "10", "--listen", &address];
    let mut played = Program::start(&arguments, folder.path());
    played.says("replaying file=");
    let expected = b"<R0012345008F18DFA><E07L06I80BAL><R0012345008F02D12xxxx1110FJ>";
    for client in ["the first client", "the next one, from the beginning"] {
        // It comes too early while the one before it is still there.
        eventually(client, || {
            let mut client = TcpStream::connect(&address).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut heard = vec![0; expected.len()];
            client.read_exact(&mut heard).is_ok() && heard == expected
        });
    }
}
