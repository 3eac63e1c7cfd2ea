//! Writes what is made of the command line and goes into a package: man pages, completions of shells.
//!
//! `cargo run --example manual -- FOLDER`; `packaging/build-deb` does. An example, so that the program carries none of it.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;
use conbusd::cli::Arguments;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        return Err("name one folder to write to".into());
    };
    let folder = PathBuf::from(folder);
    let pages = folder.join("man");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(Arguments::command(), &pages)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Arguments::command(), "conbusd", OsString::from(&folder))?;
    }
    fs::write(folder.join("config.toml"), installed(include_str!("../config.toml"))?)?;
    Ok(())
}

/// The example config as it is installed: with the one folder that the unit may write.
fn installed(config: &str) -> Result<String, String> {
    let (here, there) = ("\nstate_dir = \"state\" ", "\nstate_dir = \"/var/lib/conbusd\" ");
    if config.matches(here).count() == 1 {
        Ok(config.replace(here, there))
    } else {
        Err("config.toml no longer has the line of `state_dir` that a package changes".into())
    }
}
