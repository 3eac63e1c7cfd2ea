//! The page of figures: what moves it, who can read it, and that nothing names a figure that is not there.

#![allow(clippy::float_cmp, reason = "small whole numbers are what they are")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conbusd::conbus::Telegram;
use conbusd::emulator::{Dose, Fault, FaultKind};
use conbusd::policy::figures::{Kind, names};

use crate::support::{Home, Plan, in_real_time, pass};

/// What each line of the page says.
async fn scrape(home: &Home) -> BTreeMap<String, f64> {
    let answer = home.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn what_happens_in_the_house_moves_the_figures() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let before = scrape(&home).await;
        assert_eq!(before["conbusd_gateway_connected{gateway=\"home\"}"], 1.0);
        assert_eq!(before["conbusd_output_on{gateway=\"home\",module=\"0012345005\",output=\"2\"}"], 0.0);
        assert_eq!(before["conbusd_module_available{gateway=\"home\",module=\"0012345004\"}"], 1.0);
        assert_eq!(before["conbusd_command_to_confirm_seconds_count{gateway=\"home\"}"], 0.0);
        assert!(before["conbusd_request_duration_seconds_count{gateway=\"home\",function=\"read\"}"] >= 2.0);

        assert_eq!(home.put("spots", r#"{"brightness":40}"#).await.status, 200);
        assert_eq!(home.put("plug", r#"{"on":true}"#).await.status, 200);
        let after = scrape(&home).await;
        let rose = |series: &str| after[series] - before[series];
        assert_eq!(after["conbusd_output_on{gateway=\"home\",module=\"0012345005\",output=\"2\"}"], 1.0);
        assert!(
            (after["conbusd_output_level_ratio{gateway=\"home\",module=\"0012345005\",output=\"2\"}"] - 0.4)
                .abs()
                < 1e-9
        );
        assert_eq!(after["conbusd_output_on{gateway=\"home\",module=\"0012345004\",output=\"0\"}"], 1.0);
        assert_eq!(rose("conbusd_command_to_confirm_seconds_count{gateway=\"home\"}"), 2.0);
        assert_eq!(after["conbusd_command_to_confirm_seconds_bucket{le=\"+Inf\",gateway=\"home\"}"], 2.0);
        assert_eq!(rose("conbusd_telegrams_sent_total{gateway=\"home\",origin=\"command\"}"), 2.0);
        assert_eq!(rose("conbusd_request_duration_seconds_count{gateway=\"home\",function=\"write\"}"), 2.0);
        assert!(rose("conbusd_telegrams_received_total{gateway=\"home\",type=\"reply\"}") >= 2.0);
        assert!(rose("conbusd_queue_wait_seconds_count{gateway=\"home\"}") >= 2.0);
        assert!(rose("conbusd_http_requests_total") >= 3.0);
        assert!(after["conbusd_state_age_seconds{gateway=\"home\",module=\"0012345005\"}"] < 60.0);
        assert!(after["process_resident_memory_bytes"] > 1e6);
        assert!(after["process_open_fds"] >= 3.0);
    });
}

#[test]
fn a_silent_module_and_a_lost_link_show() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let module = "0012345005".parse().unwrap();
        home.emulator.fault(Fault::on(module, FaultKind::Silence, Dose::ALWAYS));
        assert_eq!(home.get("/api/accessories/spots?max_age_ms=0").await.status, 504);
        let sick = scrape(&home).await;
        assert_eq!(sick["conbusd_module_available{gateway=\"home\",module=\"0012345005\"}"], 0.0);
        assert_eq!(sick["conbusd_module_available{gateway=\"home\",module=\"0012345004\"}"], 1.0);
        assert!(sick["conbusd_request_timeouts_total{gateway=\"home\",module=\"0012345005\"}"] >= 1.0);

        home.emulator.gateway_up(false);
        while scrape(&home).await["conbusd_gateway_connected{gateway=\"home\"}"] > 0.0 {
            pass(10).await;
        }
        home.emulator.gateway_up(true);
        while scrape(&home).await["conbusd_gateway_reconnects_total{gateway=\"home\",reason=\"closed\"}"]
            < 1.0
        {
            pass(10).await;
        }
    });
}

/// All series of this figure together.
fn total(told: &BTreeMap<String, f64>, figure: &str) -> f64 {
    let of_it = |series: &str| series.split('{').next() == Some(figure);
    told.iter().filter(|(series, _)| of_it(series)).map(|(_, value)| value).sum()
}

/// The series without the fault code, which is one of 256.
fn series_of(told: &BTreeMap<String, f64>) -> BTreeSet<&str> {
    told.keys().map(|series| series.split(",code=").next().unwrap()).collect()
}

#[test]
fn strangers_noise_and_a_storm_move_their_figures_and_make_no_new_series() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let identified = |told: &BTreeMap<String, f64>| total(told, "conbusd_module_error_code_info") > 1.0;
        let mut before = scrape(&home).await;
        while !identified(&before) {
            pass(20).await;
            before = scrape(&home).await;
        }
        for payload in ["S0099999999F02D12", "R0099999999F02D12xxxx0001", "E02L77I03M", "E02L77I03B"] {
            home.emulator.overhear(Telegram::parse_payload(payload.as_bytes()).unwrap());
        }
        home.emulator.noise(b"<R0099999999F02D10AAXX><R00<E07");
        home.emulator.storm("0012345005".parse().unwrap(), 200);
        let mut after = scrape(&home).await;
        while total(&after, "conbusd_bus_storm_recovery_seconds_count") < 1.0 {
            pass(50).await;
            after = scrape(&home).await;
        }
        let rose = |figure: &str| total(&after, figure) - total(&before, figure);
        assert_eq!(rose("conbusd_bus_storms_total"), 1.0);
        assert_eq!(after["conbusd_bus_storms_total{gateway=\"home\",module=\"0012345005\"}"], 1.0);
        assert!(rose("conbusd_telegrams_invalid_total") >= 2.0, "{after:#?}");
        for kind in ["event", "reply", "system"] {
            let series = format!("conbusd_telegrams_received_total{{gateway=\"home\",type=\"{kind}\"}}");
            assert!(after[&series] > before[&series], "{series}");
        }
        assert_eq!(series_of(&after), series_of(&before));
        assert!(!after.keys().any(|series| series.contains("99999999") || series.contains("77")));
    });
}

#[test]
fn prometheus_is_given_openmetrics() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n";
        let answer = home.ask("GET", "/metrics", accept, "").await;
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
        assert!(
            answer.body.contains("\n# TYPE conbusd_telegrams_sent counter\nconbusd_telegrams_sent_total{")
        );
        assert!(answer.body.ends_with("# EOF\n"));
    });
}

#[test]
fn figures_need_the_token_where_there_is_one() {
    in_real_time(async {
        let home = Plan { token: Some("secret-secret-secret-secret"), ..Plan::default() }.open().await;
        home.get("/metrics").await.is_error(401, "no_token");
        let told =
            home.ask("GET", "/metrics", "Authorization: Bearer secret-secret-secret-secret\r\n", "").await;
        assert_eq!(told.status, 200);
        assert!(!told.body.contains("secret"));
    });
}

#[test]
fn every_exported_figure_is_in_the_list_and_labelled_as_it_says() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        for series in scrape(&home).await.into_keys() {
            let (name, labels) = series.split_once('{').unwrap_or((&series, ""));
            let family = names::ALL.iter().find(|family| match family.kind {
                Kind::Histogram => name.strip_prefix(family.name).is_some_and(|end| !end.is_empty()),
                _ => name == family.name,
            });
            let family = family.unwrap_or_else(|| panic!("{name} is in no list"));
            let labels: Vec<&str> = labels
                .split("\",")
                .filter_map(|label| Some(label.split_once('=')?.0))
                .filter(|label| *label != "le")
                .collect();
            assert_eq!(labels, family.labels, "{series}");
        }
    });
}

#[test]
fn the_table_in_the_readme_is_the_list_of_figures() {
    let readme = file("README.md");
    let rows = readme.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?;
        (name.starts_with("conbusd_") || name.starts_with("process_"))
            .then(|| (name.to_owned(), cells.next().unwrap_or_default().to_owned()))
    });
    let told: BTreeMap<String, String> = rows.collect();
    let labelled = |labels: &[&str]| labels.iter().map(|l| format!("`{l}`")).collect::<Vec<_>>().join(", ");
    let real: BTreeMap<String, String> =
        names::ALL.iter().map(|family| (family.name.to_owned(), labelled(family.labels))).collect();
    assert_eq!(told, real);
}

/// The names in a text that look like ours.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words
        .filter(|word| word.starts_with("conbusd_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// Every series name that can be asked for.
fn series() -> BTreeSet<String> {
    let mut series = BTreeSet::new();
    for family in names::ALL {
        if family.kind == Kind::Histogram {
            series.extend(["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", family.name)));
        } else {
            series.insert(family.name.to_owned());
        }
    }
    series
}

#[test]
fn the_dashboard_and_the_rules_name_only_figures_that_exist() {
    let real = series();
    for path in [
        "packaging/grafana/conbusd.json",
        "packaging/prometheus/conbusd.rules.yml",
        "tests/figures/rules.test.yml",
    ] {
        let told = named(&file(path));
        assert!(told.len() > 5, "{path}");
        let missing: Vec<_> = told.difference(&real).collect();
        assert!(missing.is_empty(), "{path} names {missing:?}");
    }
}

#[test]
fn the_dashboard_shows_every_figure_and_no_panel_is_empty() {
    let dashboard: serde_json::Value = serde_json::from_str(&file("packaging/grafana/conbusd.json")).unwrap();
    let mut shown = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array();
        assert_eq!(targets.is_none_or(Vec::is_empty), panel["type"] == "row", "{panel}");
        for target in targets.into_iter().flatten() {
            shown.extend(named(target["expr"].as_str().unwrap()));
        }
    }
    for family in names::ALL {
        assert!(shown.iter().any(|name| name.starts_with(family.name)), "{} is on no panel", family.name);
    }
}

/// The checker of Prometheus; `tests/run` gets it.
fn promtool() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("CONBUSD_PROMTOOL") else {
        assert!(std::env::var_os("CI").is_none(), "CI has promtool: tests/run gets it");
        println!("skipped: CONBUSD_PROMTOOL is not set; tests/run gets promtool");
        return None;
    };
    Some(path.into())
}

#[test]
fn promtool_finds_nothing_to_say_about_the_page() {
    let Some(promtool) = promtool() else { return };
    in_real_time(async {
        let home = Plan::default().warm().await;
        home.put("spots", r#"{"brightness":40}"#).await;
        let page = home.get("/metrics").await.body;
        let mut check = Command::new(promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        check.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let told = check.wait_with_output().unwrap();
        let words =
            String::from_utf8_lossy(&told.stderr).into_owned() + &String::from_utf8_lossy(&told.stdout);
        assert!(told.status.success() && words.trim().is_empty(), "{words}");
    });
}

#[test]
fn promtool_finds_the_rules_right_and_they_alarm_when_they_should() {
    let Some(promtool) = promtool() else { return };
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus/conbusd.rules.yml");
    let folder = tempfile::tempdir().unwrap();
    let cases = folder.path().join("rules.test.yml");
    fs::write(
        &cases,
        file("tests/figures/rules.test.yml").replace("[ RULES ]", &format!("[ '{}' ]", rules.display())),
    )
    .unwrap();
    for arguments in [["check", "rules", rules.to_str().unwrap()], ["test", "rules", cases.to_str().unwrap()]]
    {
        let told = Command::new(&promtool).args(arguments).current_dir(folder.path()).output().unwrap();
        let words =
            String::from_utf8_lossy(&told.stderr).into_owned() + &String::from_utf8_lossy(&told.stdout);
        assert!(told.status.success(), "{words}");
    }
}
