//! `conbusd decode`: bytes in, one JSON object a line out.

use std::io::{self, ErrorKind, Read, Write};

use crate::conbus::{Description, Splitter, describe, describe_noise};

/// The longest frame that is an object of its own: far above the bus's own limit, as a file may hold anything.
const FRAME_BYTES_MAX: usize = 65_536;

/// How much is read at once.
const READ_BYTES: usize = 16_384;

/// Describes everything in `input`, an object a line, each as soon as its frame is complete.
///
/// A reader of `output` that goes away ends it quietly.
pub fn run(input: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    match describe_all(input, output) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn describe_all(input: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    let mut splitter = Splitter::with_limit(FRAME_BYTES_MAX);
    let mut buffer = vec![0; READ_BYTES];
    let mut line = Vec::new();
    loop {
        let mut unread = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        while let Some(piece) = splitter.next_piece(&mut unread) {
            write_line(&describe(piece), &mut line, output)?;
        }
        output.flush()?;
    }
    if let Some(noise) = splitter.finish() {
        write_line(&describe_noise(noise), &mut line, output)?;
    }
    output.flush()
}

/// Writes the line in one piece, so that a reader never sees half of one.
fn write_line(object: &Description, line: &mut Vec<u8>, output: &mut dyn Write) -> io::Result<()> {
    line.clear();
    serde_json::to_writer(&mut *line, object)?;
    line.push(b'\n');
    output.write_all(line)
}
