//! A bus day as a file: what `conbusd emulator --replay` plays and `--check` compares, and what a bug report needs.
//!
//! One JSON object a line, `{"t_ms":0,"dir":"RX","telegram":"<E07L06I80BAL>"}`; TX is what the daemon sent.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::anonymise::Anonymiser;

/// What the emulator reads at most, with room to spare: some weeks of a house.
const FILE_BYTES_MAX: u64 = 200 * 1024 * 1024;

/// Why a recording does not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Something is there.
    #[error("`{}` is there already, and a recording writes over nothing; name another file", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot write `{}`: {cause}", path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Nobody would read a longer one.
    #[error("`{}` is full: a recording has {FILE_BYTES_MAX} bytes at most; what is in it can be used", path.display())]
    Full {
        /// Which file.
        path: PathBuf,
    },
}

/// A recording that goes on.
pub struct Recorder {
    path: PathBuf,
    file: File,
    began: Instant,
    bytes: u64,
    anonymiser: Option<Anonymiser>,
}

impl Recorder {
    /// Begins a new file; with other serial numbers than the bus has when `anonymous`.
    pub fn create(path: &Path, anonymous: bool) -> Result<Self, RecordError> {
        let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|cause| {
            let path = path.to_owned();
            match cause.kind() {
                ErrorKind::AlreadyExists => RecordError::Exists { path },
                _ => RecordError::Refused { path, cause },
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            began: Instant::now(),
            bytes: 0,
            anonymiser: anonymous.then(Anonymiser::default),
        })
    }

    /// Writes down a described telegram, at this moment; one without a telegram is passed over.
    pub(super) fn note(&mut self, object: &Value) -> Result<(), RecordError> {
        let Some(telegram) = object["telegram"].as_str() else { return Ok(()) };
        let telegram = match &mut self.anonymiser {
            Some(anonymiser) => anonymiser.rename(telegram),
            None => telegram.to_owned(),
        };
        let sent = object["direction"] == "sent";
        self.write(json!({ "dir": if sent { "TX" } else { "RX" }, "telegram": telegram }))
    }

    /// Writes down that telegrams are missing here. To whoever plays the file it is a line without bytes.
    pub(super) fn note_hole(&mut self, telegrams: u64) -> Result<(), RecordError> {
        self.write(json!({ "dir": "RX", "telegram": "", "lost": telegrams }))
    }

    /// Writes a line, at this moment.
    fn write(&mut self, mut line: Value) -> Result<(), RecordError> {
        line["t_ms"] = (self.began.elapsed().as_millis() as u64).into();
        let line = format!("{line}\n");
        self.bytes += line.len() as u64;
        if self.bytes > FILE_BYTES_MAX {
            return Err(RecordError::Full { path: self.path.clone() });
        }
        // At once: whoever pulls the plug has what was heard until then.
        self.file
            .write_all(line.as_bytes())
            .map_err(|cause| RecordError::Refused { path: self.path.clone(), cause })
    }
}
