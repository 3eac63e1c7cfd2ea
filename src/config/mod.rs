//! From the text of `config.toml` to a checked configuration.

/// Stand-in.
pub fn key_paths() -> Vec<String> {
    vec!["service.name".to_owned()]
}
