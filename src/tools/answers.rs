//! What somebody types, a line at a time, without anybody waiting in a way that cannot be interrupted.

use std::io::{self, BufRead};
use std::thread;

use tokio::sync::mpsc::{Receiver, channel};

/// So many lines wait unread; more are not taken from the input.
const LINES_MAX: usize = 16;

/// Lines of the standard input, or those of a test.
pub struct Answers(Receiver<String>);

impl Answers {
    /// Reads the standard input on a thread of its own, which ends with the process.
    pub fn of_stdin() -> Self {
        let (lines, answers) = channel(LINES_MAX);
        thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                if lines.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self(answers)
    }

    /// The next line without its end; none when there will be no more.
    pub(super) async fn next(&mut self) -> Option<String> {
        self.0.recv().await
    }

    /// These lines.
    #[cfg(test)]
    pub(super) fn of(lines: &[&str]) -> Self {
        let (sender, answers) = channel(lines.len().max(1));
        for line in lines {
            sender.try_send((*line).to_owned()).unwrap();
        }
        Self(answers)
    }
}
