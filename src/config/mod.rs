//! From the text of `config.toml` to a checked configuration.
