//! `[service]`, `[log]`, `[cache]` and `[poller]`.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::{HOUSE, good, mistake, mistakes};

#[test]
fn what_is_not_written_has_the_documented_values() {
    let config = good("");
    assert_eq!((config.service.name.as_str(), config.log.filter.as_str()), ("Home", "info"));
    assert_eq!(config.service.state_dir, Path::new("/house/state"));
    assert_eq!((config.cache.enabled, config.poller.enabled), (true, true));
    assert_eq!((config.cache.ttl, config.cache.max_entries), (Duration::from_secs(30), 1000));
    assert_eq!(config.poller.interval, Duration::from_secs(2));
    assert_eq!(config.poller.reporting_interval, Duration::from_secs(20));
    assert_eq!(config.poller.idle_after, Duration::from_secs(120));
    assert!((config.poller.bus_share - 0.4).abs() < f64::EPSILON);
}

#[test]
fn what_is_not_written_follows_what_is() {
    let short = good("[cache]\nttl = \"9s\"");
    assert_eq!(short.poller.reporting_interval, Duration::from_secs(6));
    let shorter = good("[cache]\nttl = \"1500ms\"");
    assert_eq!(shorter.poller.interval, Duration::from_secs(1));
    assert_eq!(shorter.poller.reporting_interval, Duration::from_secs(1));
    let long = good("[cache]\nttl = \"1h\"");
    assert_eq!(long.poller.reporting_interval, Duration::from_secs(20));
}

#[test]
fn every_configured_output_is_remembered_unless_a_number_is_written() {
    let mut text = HOUSE.to_owned();
    for number in 0..300 {
        let (link, module_type) = (number % 100, ["XP24", "XP24P", "XP33"][number / 100]);
        writeln!(text, "[[module]]\nserial = \"00200{number:05}\"\ntype = \"{module_type}\"\nlink = {link}")
            .unwrap();
    }
    let text = text.replacen("link = 4\n", "link = 4\ngateway = \"home\"\n", 1);
    let text = text.replacen("XP24", "XP31LR", 1).replacen("XP33LED", "XP31LR", 1);
    assert_eq!(good(&text).cache.max_entries, 1 + 1 + 100 * (4 + 4 + 3));
    assert_eq!(good(&format!("[cache]\nmax_entries = 10\n{text}")).cache.max_entries, 10);
}

#[test]
fn an_absolute_state_folder_stays_where_it_is() {
    assert_eq!(
        good("[service]\nstate_dir = \"/var/lib/conbusd\"").service.state_dir,
        Path::new("/var/lib/conbusd")
    );
}

#[test]
fn names_and_paths_are_not_empty() {
    mistake("[service]\nname = \"\"", 2, 8, &["empty"]);
    mistake("[service]\nname = \" \"", 2, 8, &["empty"]);
    mistake("[service]\nstate_dir = \"\"", 2, 13, &["path is empty"]);
}

#[test]
fn names_are_short_lines() {
    mistake(&format!("[service]\nname = \"{}\"", "x".repeat(65)), 2, 8, &["65 characters", "at most 64"]);
    mistake("[service]\nname = \"a\\nb\"", 2, 8, &["control character"]);
    assert_eq!(good(&format!("[service]\nname = \"{}\"", "é".repeat(64))).service.name.chars().count(), 64);
}

#[test]
fn durations_have_units() {
    for (value, words) in [
        ("\"30\"", &["`30` is not a duration", "`30s`"][..]),
        ("\"\"", &["not a duration", "`\"30s\"`"]),
        ("\"soon\"", &["`soon` is not a duration", "`\"500ms\"`"]),
        ("\"-3s\"", &["not a duration"]),
        ("\"30 parsecs\"", &["not a duration"]),
        ("\"99999999999999999999y\"", &["not a duration"]),
        ("30", &["`ttl` must be a duration in quotes, not a number", "`\"30s\"`"]),
        ("0.5", &["must be a duration in quotes, not a decimal number"]),
        ("true", &["must be a duration in quotes"]),
        ("[1]", &["must be a duration in quotes, not a list"]),
        ("2024-01-01", &["must be a duration in quotes, not a date"]),
    ] {
        mistake(&format!("[cache]\nttl = {value}"), 2, 7, words);
    }
    assert_eq!(good("[cache]\nttl = \"1m 30s\"").cache.ttl, Duration::from_secs(90));
}

#[test]
fn every_number_has_bounds() {
    for (section, line, column, words) in [
        ("cache", "ttl = \"0s\"", 7, ["`ttl` is out of range: `0s`", "from `1s` to `1day`"]),
        ("cache", "ttl = \"2days\"", 7, ["`2days`", "`1day`"]),
        ("cache", "max_entries = 0", 15, ["`max_entries`", "from `1` to `1000000`"]),
        ("cache", "max_entries = 1_000_001", 15, ["`1000001`", "`1000000`"]),
        ("cache", "max_entries = -1", 15, ["`-1`", "`1`"]),
        ("cache", "max_entries = 99999999999999999999", 15, ["`max_entries`", "too large"]),
        ("poller", "interval = \"1ms\"", 12, ["`interval`", "from `100ms` to"]),
        ("poller", "reporting_interval = \"0s\"", 22, ["`reporting_interval`", "`100ms`"]),
        ("poller", "idle_after = \"0s\"", 14, ["`idle_after`", "`1s`"]),
        ("poller", "bus_share = 0.0", 13, ["`bus_share`", "from `0.05` to `1`"]),
        ("poller", "bus_share = 1.5", 13, ["`1.5`", "`1`"]),
        ("poller", "bus_share = 40", 13, ["`40`", "`1`"]),
        ("poller", "bus_share = nan", 13, ["`NaN`", "`1`"]),
        ("poller", "bus_share = inf", 13, ["`inf`", "`1`"]),
    ] {
        mistake(&format!("[{section}]\n{line}"), 2, column, &words);
    }
    assert!((good("[poller]\nbus_share = 1").poller.bus_share - 1.0).abs() < f64::EPSILON);
}

#[test]
fn state_is_read_again_before_it_is_stale() {
    let words = ["`reporting_interval` `20s` is not below", "`ttl` `10s` (line 2)"];
    mistake("[cache]\nttl = \"10s\"\n[poller]\nreporting_interval = \"20s\"", 4, 22, &words);
    mistake("[cache]\nttl = \"20s\"\n[poller]\nreporting_interval = \"20s\"", 4, 22, &["not below"]);
    mistake("[poller]\nreporting_interval = \"30s\"", 2, 22, &["`ttl` `30s` (not written)"]);
    good("[cache]\nttl = \"20001ms\"\n[poller]\nreporting_interval = \"20s\"");
}

#[test]
fn modules_that_report_are_polled_less_often_than_others() {
    let words = ["`interval` `5s` is longer than `reporting_interval` `4s` (line 3)"];
    mistake("[poller]\ninterval = \"5s\"\nreporting_interval = \"4s\"", 2, 12, &words);
    mistake("[poller]\ninterval = \"21s\"", 2, 12, &["`20s` (not written)"]);
    good("[poller]\ninterval = \"5s\"\nreporting_interval = \"5s\"");
}

#[test]
fn nothing_is_concluded_from_a_wrong_value() {
    mistakes(
        "[cache]\nttl = 5\n[poller]\ninterval = \"25s\"\nreporting_interval = \"29s\"",
        &[(2, 7, &["duration"])],
    );
    mistakes("[poller]\ninterval = \"25s\"\nreporting_interval = \"x\"", &[(3, 22, &["not a duration"])]);
    mistakes("[cach]\nttl = \"5s\"\n[poller]\nreporting_interval = \"20s\"", &[(1, 2, &["`cache`"])]);
}

#[test]
fn log_filters_name_levels() {
    for filter in
        ["debug", "info,conbus=trace", "conbus::rx=off", "OFF", "warn,conbusd::cache", "info/lamp", "cache="]
    {
        assert_eq!(good(&format!("[log]\nfilter = \"{filter}\"")).log.filter, filter);
    }
    mistake("[log]\nfilter = \"inof\"", 2, 10, &["log level `inof`", "did you mean `info`?"]);
    mistake("[log]\nfilter = \"info,cache=debg\"", 2, 10, &["`debg`", "`debug`"]);
    mistake("[log]\nfilter = \"cache=loud\"", 2, 10, &["`loud`", "`error`", "`trace`"]);
    mistake("[log]\nfilter = \"\"", 2, 10, &["not a log filter", "`\"info\"`"]);
    mistake("[log]\nfilter = \"info/a/b\"", 2, 10, &["not a log filter"]);
}
