//! Moving in: what the subcommands write, and over what they do not write.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::programs::CONBUSD;

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
        said(&first).ends_with("config.toml: 1 modules, 0 accessories; 0 changed, 0 guessed, 0 left out\n")
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
