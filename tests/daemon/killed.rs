//! A test that is its own child: the child tells each number that is safe, `safe 7`, until it is killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs the child of this test, which finds its `place` in this variable, kills it so long after its first word, and gives
/// the highest number that it called safe.
#[allow(clippy::disallowed_methods, reason = "a test beside the child's process")]
pub(crate) fn last_word(test: &str, variable: &str, place: &Path, after: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, place)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // The first line shares its line with what the test harness says.
    let number = |line: String| line.rsplit_once("safe ").and_then(|(_, number)| number.parse().ok());
    let first = lines.find_map(number).unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    lines.filter_map(number).fold(first, u64::max)
}
