//! The config is edited and a signal sent: the daemon goes on by it, or says why not.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::programs::{Pair, Program, config, eventually, free_port, write_config};

impl Pair {
    /// Changes the config and has the daemon read it; waits for what it says.
    fn edit(&mut self, change: impl FnOnce(String) -> String, says: &str) -> String {
        let path = self.folder.path().join("config.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(text)).unwrap();
        self.daemon.signal("HUP");
        self.daemon.says(says)
    }
}

#[test]
fn a_hang_up_brings_the_new_config_and_leaves_the_link_alone() {
    let mut pair = Pair::start();
    pair.turn(1, 0, true);
    eventually("the lamp is on", || pair.get("/api/accessories/m1o0").1["on"] == true);
    let (_, before) = pair.get("/api/status");
    assert_eq!((before["reload"]["generation"].as_u64(), &before["reload"]["error"]), (Some(1), &().into()));

    let rename = |text: String| text.replacen("name = \"Lamp\"", "name = \"Desk lamp\"\nroom = \"Study\"", 1);
    pair.edit(rename, "reload applied=\"accessory.m1o0.name\"");
    pair.daemon.says("reloaded applied=2 needs_restart=0");
    let lamp = pair.get("/api/accessories/m1o0").1;
    assert_eq!((&lamp["name"], &lamp["room"]), (&"Desk lamp".into(), &"Study".into()));
    assert_eq!((&lamp["on"], &lamp["freshness"]), (&true.into(), &"fresh".into()));
    let (_, status) = pair.get("/api/status");
    assert_eq!(status["reload"]["generation"], 2, "{status}");
    assert_eq!(
        status["reload"]["applied"],
        serde_json::json!(["accessory.m1o0.name", "accessory.m1o0.room"])
    );
    assert!(status["reload"]["age_ms"].as_u64().unwrap() < 60_000);
    assert_eq!(status["gateways"][0]["connects_total"], 1);

    pair.daemon.signal("HUP");
    pair.daemon.says("reloaded applied=0 needs_restart=0");
    assert_eq!(pair.get("/api/status").1["reload"]["generation"], 2, "the same file is no change");
    let gone = |text: String| text.replacen("m2o3", "attic", 1);
    pair.edit(gone, "reloaded applied=2");
    assert_eq!(pair.get("/api/accessories/m2o3").0, 404);
    eventually("the new one", || pair.get("/api/accessories/attic").1["freshness"] == "fresh");
    assert_eq!(pair.get("/api/accessories").1.as_array().unwrap().len(), 8);
    pair.daemon.signal("TERM");
    assert!(pair.daemon.end().success());
}

#[test]
fn a_bad_file_changes_nothing_and_says_where_it_is_wrong() {
    let mut pair = Pair::start();
    let spoil = |text: String| {
        text.replace("link = 2", "link = 200").replacen("\"Lamp\"", "\"Desk\"", 1) + "[cach]\n"
    };
    let place = pair.edit(spoil, "reload: config.toml:");
    assert!(place.contains("200"), "{place}");
    pair.daemon.says("cach");
    pair.daemon.says("reload changes nothing");
    let (_, status) = pair.get("/api/status");
    let error = status["reload"]["error"].as_str().unwrap();
    assert!(error.contains("config.toml:") && error.lines().count() == 2, "{error}");
    assert_eq!(status["reload"]["generation"], 1);
    assert_eq!(pair.get("/api/accessories/m1o0").1["name"], "Lamp");
    let mend = |text: String| text.replace("link = 200", "link = 2").replace("[cach]\n", "");
    pair.edit(mend, "reloaded applied=1 needs_restart=0");
    assert_eq!(pair.get("/api/status").1["reload"]["error"], serde_json::Value::Null);
    assert_eq!(pair.get("/api/accessories/m1o0").1["name"], "Desk");
}

#[test]
fn the_log_filter_follows_and_what_needs_a_restart_is_named() {
    let mut pair = Pair::start();
    let louder =
        |text: String| format!("[log]\nfilter = \"debug\"\n[homekit]\nlisten = \"127.0.0.1:0\"\n{text}");
    pair.edit(louder, "restart to apply it key=\"homekit added\"");
    pair.daemon.says("reloaded applied=1 needs_restart=1");
    pair.turn(2, 1, true);
    pair.daemon.says("DEBUG");
    let (_, status) = pair.get("/api/status");
    assert_eq!(status["reload"]["needs_restart"], serde_json::json!(["homekit added"]));
    pair.edit(|text| text.replace("\"debug\"", "\"warn\""), "reload applied=\"log.filter\"");
    pair.daemon.signal("HUP");
    eventually("the third reload is done", || {
        pair.get("/api/status").1["reload"]["applied"].as_array().unwrap().is_empty()
    });
    pair.daemon.signal("TERM");
    pair.daemon.end();
    let quiet =
        pair.daemon.log.iter().rposition(|line| line.contains("reload applied=\"log.filter\"")).unwrap();
    let more: Vec<&String> =
        pair.daemon.log[quiet + 1..].iter().filter(|line| line.contains("DEBUG")).collect();
    assert!(more.len() < 20 && !pair.daemon.log.last().unwrap().contains("stopped"), "{:?}", pair.daemon.log);
}

#[test]
fn the_system_is_told_of_a_reload_and_of_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("notify");
    let socket = UnixDatagram::bind(&place).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write_config(folder.path(), &config(&format!("127.0.0.1:{}", free_port()), free_port()));
    let environment = [("NOTIFY_SOCKET", place.to_str().unwrap())];
    let mut daemon = Program::start_with(&["run"], folder.path(), &environment);
    let told = || {
        let mut text = [0; 512];
        let length = socket.recv(&mut text).expect("nothing was told within 20 s");
        String::from_utf8_lossy(&text[..length]).trim_end().to_owned()
    };
    assert_eq!(told(), "READY=1");
    daemon.signal("HUP");
    let reloading = told();
    let (state, time) = reloading.split_once('\n').unwrap();
    assert_eq!(state, "RELOADING=1");
    assert!(time.strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(told(), "READY=1");
    daemon.signal("TERM");
    assert_eq!(told(), "STOPPING=1");
    assert!(daemon.end().success());
}

#[test]
fn controllers_see_that_the_accessories_have_changed() {
    let mut pair = Pair::start();
    pair.daemon.signal("TERM");
    assert!(pair.daemon.end().success());
    let path = pair.folder.path().join("config.toml");
    let text = fs::read_to_string(&path).unwrap();
    let homekit = "[log]\nfilter = \"info,homekit=debug\"\n[homekit]\nlisten = \"127.0.0.1:0\"\n";
    fs::write(&path, format!("{homekit}{text}")).unwrap();
    pair.daemon = Program::start(&["run"], pair.folder.path());
    let number = |rest: String| rest.split(' ').next().unwrap().parse::<u16>().unwrap();
    let before = number(pair.daemon.says("announce c#="));
    pair.edit(|text| text.replacen("m2o3", "attic", 1), "reloaded applied=2");
    assert!(number(pair.daemon.says("announce c#=")) > before);
    let kept = fs::read_to_string(pair.folder.path().join("state/homekit.json")).unwrap();
    assert!(kept.contains("\"attic\"") && kept.contains("\"m2o3\""), "no number is given twice: {kept}");
}
