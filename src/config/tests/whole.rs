//! The shipped file, files with many mistakes, and texts nobody would write.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{bad, good, load, mistakes};
use crate::config::{ConfigError, GatewayAddress, key_paths};
use crate::policy::AccessoryKind;

const SHIPPED: &str = include_str!("../../../config.toml");

/// Whether a comment of the shipped file is an optional line.
fn is_optional(comment: &str) -> bool {
    let key = comment.split(" = ").next().unwrap_or_default();
    comment.starts_with('[')
        || comment.contains(" = ") && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The shipped file with every optional line written.
fn shipped_in_full() -> String {
    let line = |line: &str| {
        line.strip_prefix("# ").filter(|comment| is_optional(comment)).unwrap_or(line).to_owned() + "\n"
    };
    let full: String = SHIPPED.lines().map(line).collect();
    // Certificates need it.
    full.replace("\"mqtt://", "\"mqtts://")
}

#[test]
fn the_shipped_file_is_a_house_of_24_outputs() {
    let config = good(SHIPPED);
    assert_eq!(config.gateways.len(), 1);
    assert_eq!(config.gateways[0].address, GatewayAddress::Emulator);
    let outputs: u8 = config.modules.iter().map(|module| module.module_type.outputs()).sum();
    assert_eq!((usize::from(outputs), config.accessories.len()), (24, 24));
    assert!(config.modules.iter().any(|module| module.module_type.is_bridge()));
    for kind in AccessoryKind::ALL {
        assert!(config.accessories.iter().any(|accessory| accessory.kind == kind), "{kind}");
    }
    let names: BTreeSet<_> = config.accessories.iter().map(|accessory| &accessory.name).collect();
    assert_eq!(names.len(), 24);
    assert!(config.http.is_some() && config.homekit.is_some());
    assert_eq!((config.mqtt, config.mux), (None, None));
}

#[test]
fn the_shipped_file_writes_the_defaults() {
    let (shipped, empty) = (good(SHIPPED), good(""));
    assert_eq!((shipped.service, shipped.log), (empty.service, empty.log));
    assert_eq!((shipped.cache, shipped.poller), (empty.cache, empty.poller));
    assert_eq!(shipped.http, good("[http]").http);
    let (full, short) =
        (good(&shipped_in_full()), good("[homekit]\n[mux]\n[mqtt]\nurl = \"mqtt://127.0.0.1:1883\""));
    assert_eq!(full.mux, short.mux);
    assert_eq!(full.homekit.unwrap().listen, short.homekit.unwrap().listen);
    let (full, short) = (full.mqtt.unwrap(), short.mqtt.unwrap());
    assert_eq!((full.base, full.discovery_prefix), (short.base, short.discovery_prefix));
}

#[test]
fn the_shipped_file_shows_every_key() {
    let full = shipped_in_full();
    let mut section = String::new();
    let mut shown = BTreeSet::new();
    for line in full.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_start_matches('[').split(']').next().unwrap_or_default().to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            shown.insert(format!("{section}.{key}"));
        }
    }
    assert_eq!(shown, key_paths().into_iter().collect());
}

#[test]
fn an_empty_file_is_a_daemon_without_a_house() {
    for text in ["", "\n", "# nothing\n", "\u{feff}"] {
        let config = good(text);
        assert!(config.gateways.is_empty() && config.modules.is_empty() && config.accessories.is_empty());
        assert!(config.http.is_none());
    }
}

#[test]
fn ten_mistakes_are_ten_mistakes_in_the_order_of_the_file() {
    mistakes(
        r#"[cache]
ttl = 30
max_entires = 5
[poller]
bus_share = 4.0
[[gateway]]
id = "home"
address = "192.168.1.17"
[[module]]
serial = "12345004"
type = "XP33LD"
link = 4
[[module]]
serial = "0012345005"
type = "XP24"
link = 5
[[accessory]]
id = "lamp"
name = "Lamp"
kind = "dimmer"
module = "0012345005"
output = 4
[http]
listen = "0.0.0.0:8480"
[mux]
listen = "127.0.0.1:8480"
"#,
        &[
            (2, 7, &["duration"]),
            (3, 1, &["`max_entries`"]),
            (5, 13, &["`bus_share`"]),
            (8, 11, &["port"]),
            (10, 10, &["ten digits"]),
            (11, 8, &["`XP33LED`"]),
            (20, 8, &["dimmer"]),
            (22, 10, &["output 4"]),
            (24, 10, &["token"]),
            (26, 10, &["[http]"]),
        ],
    );
}

#[test]
fn a_report_reads_like_this() {
    let expected = "config.toml:2:7: `30` is not a duration
  |
2 | ttl = \"30\" # soon
  |       ^^^^ with its unit: `30s` for seconds, `30ms` for milliseconds

config.toml:3:1: unknown key `max_entires` in [cache]
  |
3 | max_entires = 5
  | ^^^^^^^^^^^ did you mean `max_entries`?

2 mistakes in config.toml";
    assert_eq!(bad("[cache]\nttl = \"30\" # soon\nmax_entires = 5\n").to_string(), expected);
}

#[test]
fn the_keys_are_listed_by_path() {
    let paths = key_paths();
    assert_eq!(paths.first().map(String::as_str), Some("service.name"));
    for path in ["gateway.id", "module.type", "accessory.off", "mux.access", "cache.max_entries"] {
        assert!(paths.iter().any(|known| known == path), "{path}");
    }
    assert_eq!(paths.len(), paths.iter().collect::<BTreeSet<_>>().len());
}

#[test]
fn files_that_cannot_be_read_are_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("house.toml");
    let told = |path| crate::config::load(path).unwrap_err().to_string();
    assert!(told(&path).contains("cannot read the config") && told(&path).contains("house.toml"));
    std::fs::write(&path, b"# ok\n[service]\nname = \"\xe9\"\n").unwrap();
    assert!(told(&path).contains("house.toml:3:9: this is not UTF-8 text"), "{}", told(&path));
    std::fs::File::create(&path).unwrap().set_len(17 * 1024 * 1024).unwrap();
    assert!(matches!(crate::config::load(&path), Err(ConfigError::TooLarge { .. })));
    std::fs::write(&path, SHIPPED).unwrap();
    assert_eq!(crate::config::load(&path).unwrap().service.state_dir, folder.path().join("state"));
}

/// Reads the text; whatever it is, there is an answer, and its mistakes are in it.
fn survive(text: &str) -> Result<(), TestCaseError> {
    if let Err(report) = load(text) {
        let lines = text.split('\n').count();
        prop_assert!(!report.mistakes().is_empty());
        for mistake in report.mistakes() {
            prop_assert!((1..=lines).contains(&mistake.line()), "{report}");
            let width = text.split('\n').nth(mistake.line() - 1).map_or(0, |line| line.chars().count());
            prop_assert!((1..=width + 1).contains(&mistake.column()), "{report}");
        }
        let places: Vec<_> =
            report.mistakes().iter().map(|mistake| (mistake.line(), mistake.column())).collect();
        prop_assert!(places.is_sorted(), "{report}");
        prop_assert_eq!(&report, &load(text).unwrap_err());
    }
    Ok(())
}

fn nearest_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_answered(text in "\\PC*") {
        survive(&text)?;
    }

    #[test]
    fn any_text_that_looks_like_a_config_is_answered(
        lines in prop::collection::vec(
            "(\\[\\[?(cache|module|gateway|http|x)\\]?\\]?|(ttl|serial|pin|link|id|x|listen) ?=? ?\
             (\"[^\r]{0,12}\"?|[0-9.:e-]{0,8}|\\[|\\{|true|'''|\"\"\"){0,2}|\\PC{0,8}|#.{0,4})\r?",
            0..12,
        )
    ) {
        survive(&lines.join("\n"))?;
    }

    #[test]
    fn a_damaged_shipped_file_is_answered(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, "\\PC{0,6}|[\n\\[\\]=\"#{},.']{0,3}"), 1..6)
    ) {
        let mut text = shipped_in_full();
        for (at, length, inserted) in cuts {
            let start = nearest_boundary(&text, at.index(text.len() + 1));
            let end = nearest_boundary(&text, start + length).max(start);
            text.replace_range(start..end, &inserted);
        }
        survive(&text)?;
    }

    #[test]
    fn the_lines_of_the_shipped_file_in_any_order_are_answered(
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8)
    ) {
        let full = shipped_in_full();
        let mut lines: Vec<&str> = full.lines().collect();
        for (one, other) in swaps {
            let (one, other) = (one.index(lines.len()), other.index(lines.len()));
            lines.swap(one, other);
        }
        survive(&lines.join("\n"))?;
    }
}
