//! How a subcommand writes a config: whole or not at all, and over nothing that is there unless that was said.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Something is there.
    #[error("`{}` is there already and stays as it is; name another file, or add `--force` to replace it", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Something is there, and what is written can be added to it.
    #[error("`{}` is there already and stays as it is; name another file, or add `--merge` to add to it", path.display())]
    ThereForMerge {
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
}

/// Writes a new file, or replaces one where that is wanted; `-` is the standard output.
pub(super) fn write_new(path: &Path, text: &str, replace: bool) -> Result<(), WriteError> {
    let refused = |cause| WriteError::Refused { path: path.to_owned(), cause };
    if path == Path::new("-") {
        let mut out = io::stdout();
        return out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(refused);
    }
    if replace {
        return self::replace(path, text);
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
            written.map_err(|cause| {
                // Half a config would be worse than none.
                let _ = fs::remove_file(path);
                refused(cause)
            })
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(WriteError::Exists { path: path.to_owned() })
        }
        Err(error) => Err(refused(error)),
    }
}

/// Replaces a file in one step, with the permissions it had; after a power cut it is the old one or the new one.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), WriteError> {
    let refused = |cause| WriteError::Refused { path: path.to_owned(), cause };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|cause| {
        let _ = fs::remove_file(&beside);
        refused(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_replaced_only_when_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        write_new(&path, "one", false).unwrap();
        let error = write_new(&path, "two", false).unwrap_err();
        assert!(error.to_string().contains("is there already") && error.to_string().contains("--force"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        write_new(&path, "two", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(write_new(&folder.path().join("no/such"), "x", true).is_err());
    }
}
