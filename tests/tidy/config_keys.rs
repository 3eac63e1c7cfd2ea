//! The shipped `config.toml` shows every key of the config type, active or commented out, and no other.

use std::collections::BTreeMap;

use crate::source::{Finding, is_word};

pub(crate) fn check(document: &str, keys: &[String]) -> Vec<Finding> {
    let shown = shown(document);
    let extra = shown.iter().filter(|(key, _)| !keys.contains(key)).map(|(key, line)| {
        Finding::line("config.toml", *line, format!("`{key}` is no key of the config: remove it"))
    });
    let missing = keys.iter().filter(|key| !shown.contains_key(*key)).map(|key| {
        Finding::file("config.toml", format!("`{key}` is not shown: add it, as a comment if it is optional"))
    });
    extra.chain(missing).collect()
}

/// Each `section.key` with its line. A comment shows a key when it reads `# key = value`, nothing else before it.
fn shown(document: &str) -> BTreeMap<String, usize> {
    let mut keys = BTreeMap::new();
    let mut section = String::new();
    for (at, line) in document.lines().enumerate() {
        let line = line.trim_start().trim_start_matches('#').trim();
        if let Some(name) = header(line) {
            name.clone_into(&mut section);
            continue;
        }
        let mut rest = line;
        while let Some((key, after)) = pair(rest) {
            let whole = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            keys.entry(whole).or_insert(at + 1);
            rest = after;
        }
    }
    keys
}

/// `[section]` or `[[section]]`, alone or before a comment.
fn header(line: &str) -> Option<&str> {
    let line = line.split('#').next()?.trim();
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    (!name.is_empty() && name.bytes().all(|byte| is_word(byte) || byte == b'.')).then_some(name)
}

/// `key = value` and what follows it: two keys may stand on one line of comment.
fn pair(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let length = text.bytes().take_while(|&byte| is_word(byte)).count();
    let value = text[length..].trim_start().strip_prefix('=')?.trim_start();
    let end = match value.bytes().next()? {
        quote @ (b'"' | b'\'') => value[1..].find(char::from(quote))? + 2,
        b'[' => value.find(']')? + 1,
        b'{' => value.find('}')? + 1,
        _ => value.find([' ', '#']).unwrap_or(value.len()),
    };
    (length > 0).then(|| (&text[..length], &value[end..]))
}

#[cfg(test)]
const SAMPLE: &str = "\
# The house.
name = \"top\"
[http]                     # a door
listen = \"127.0.0.1:8480\" # where = it listens
# token_file = \"http.token\"
# [mqtt]
# url = \"mqtt://[::1]\"
[[accessory]]
output = 1
# on = \"E02L04I01\"  off = \"E02L04I05\"
[[accessory]]
output = 2
";

#[cfg(test)]
fn keys(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
const KEYS: &[&str] = &[
    "name",
    "http.listen",
    "http.token_file",
    "mqtt.url",
    "accessory.output",
    "accessory.on",
    "accessory.off",
];

#[test]
fn a_complete_file_is_fine() {
    let found = check(SAMPLE, &keys(KEYS));
    assert!(found.is_empty(), "{}", found[0]);
}

#[test]
fn missing_and_unknown_keys_are_found() {
    let missing = check(SAMPLE, &keys(&[KEYS, &["mqtt.base"]].concat()));
    assert_eq!(missing.len(), 1);
    assert!(missing[0].to_string().starts_with("config.toml: `mqtt.base` is not shown"));
    let extra = check(SAMPLE, &keys(&KEYS[..KEYS.len() - 1]));
    assert_eq!(extra.len(), 1);
    assert!(extra[0].to_string().starts_with("config.toml:10: `accessory.off` is no key"));
}
