//! From the text of `config.toml` to a checked configuration.
//!
//! Three stages: `raw` reads every value against the one list of keys, `rules` asks what the values mean together
//! and fills in what was not written, `checked` holds the result. All three note what they find in one `report`,
//! so a person sees every mistake at once. It refuses to know who uses the configuration.

mod address;
mod changes;
mod checked;
mod entry;
mod raw;
mod report;
mod rules;
mod syntax;
mod words;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use address::{Broker, GatewayAddress};
pub use changes::Changes;
pub use checked::{
    Access, Accessory, Cache, Config, Deed, Gateway, Group, HomeKit, Http, Identity, Log, Module, Mqtt, Mux,
    Pin, Poller, Scene, Step,
};
pub use raw::key_paths;
pub use report::{Fault, Mistake, Report};

/// A hundred thousand accessories fit; a larger file is not a config.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config `{}`: {cause}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is too large to be meant.
    #[error("the config `{}` is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The file was read and has mistakes.
    #[error("{0}")]
    Mistakes(Report),
}

/// Reads and checks a file; relative paths in it are relative to its folder.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable { path: path.into(), cause };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.into() });
    }
    let name = path.display().to_string();
    let base = path.parent().unwrap_or(Path::new(""));
    let text = String::from_utf8(bytes).map_err(|error| {
        // Up to the first foreign byte the lossy text is the file, so the place is right.
        let place = error.utf8_error().valid_up_to();
        let mut report = Report::new(&name, &String::from_utf8_lossy(error.as_bytes()));
        report.add_syntax(&(place..place), Fault::new("this is not UTF-8 text"));
        ConfigError::Mistakes(report)
    })?;
    parse(&name, &text, base).map_err(ConfigError::Mistakes)
}

/// Checks a text; `file` is its name in messages, `base` the folder that relative paths start from.
pub fn parse(file: &str, text: &str, base: &Path) -> Result<Config, Report> {
    let mut report = Report::new(file, text);
    let config = syntax::read(text, &mut report).map(|table| {
        let document = raw::Document::read_file(&table, &mut report);
        rules::check(&document, base, &mut report)
    });
    report.finish(config)
}

#[cfg(test)]
mod tests;
