//! `conbusd check`: says nothing about a good config, and everything about another.

use std::io::Write;
use std::path::Path;

use crate::config;

/// The exit code of a good config.
const GOOD: u8 = 0;
/// The exit code of a config the daemon would not start with.
const BAD: u8 = 2;

/// Checks a config file, prints every mistake to `out` and returns the exit code.
pub fn run(path: &Path, out: &mut dyn Write) -> u8 {
    match config::load(path) {
        Ok(_) => GOOD,
        Err(error) => {
            // Whoever closed the output still gets the answer as the exit code.
            let _ = writeln!(out, "{error}");
            BAD
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (u8, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        (run(&path, &mut out), String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_good_config_is_met_with_silence() {
        assert_eq!(check(""), (0, String::new()));
    }

    #[test]
    fn a_bad_config_is_told_with_file_line_and_column() {
        let (code, out) = check("[cache]\nttl = 30\n");
        assert_eq!(code, 2);
        assert!(out.contains("config.toml:2:7: ") && out.ends_with("config.toml\n"), "{out}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let mut out = Vec::new();
        assert_eq!(run(Path::new("no/such/config.toml"), &mut out), 2);
        assert!(String::from_utf8(out).unwrap().contains("no/such/config.toml"));
    }
}
