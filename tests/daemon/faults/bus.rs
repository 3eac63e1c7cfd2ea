//! Faults of the cable and of what comes over it.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::gateway::{Gateway, bitmap, frame, report, serial};
use crate::programs::{Pair, Program, ask, config, eventually, free_port, get, pause, write_config};

/// How much later than promised something may be seen on a busy machine: debug builds, two cores, twenty programs.
const SLACK: Duration = Duration::from_secs(4);

/// Five attempts of 300 ms that nobody answers, and the 2 s of the probe.
const UNANSWERED: Duration = Duration::from_millis(2000 + 5 * 300);

/// Half a minute of silence, and the 2 s of the probe.
const SILENT: Duration = Duration::from_secs(30 + 2);

/// The redial: its longest pause, and the connection.
const REDIAL: Duration = Duration::from_secs(1);

/// A daemon before a gateway of the test's.
struct Scripted {
    gateway: Gateway,
    daemon: Program,
    http: std::net::SocketAddr,
    _folder: TempDir,
}

impl Scripted {
    fn start() -> Self {
        let scripted = Self::start_with("");
        eventually("every lamp is known", || scripted.all_fresh());
        scripted
    }

    /// The same with more in its config.
    fn start_with(more: &str) -> Self {
        let gateway = Gateway::open();
        let (folder, http) = (tempfile::tempdir().unwrap(), free_port());
        write_config(folder.path(), &(config(&gateway.address.to_string(), http) + more));
        let mut daemon = Program::start(&["run"], folder.path());
        daemon.says("connected gateway=home");
        Self { gateway, daemon, http: ([127, 0, 0, 1], http).into(), _folder: folder }
    }

    fn all_fresh(&self) -> bool {
        let (_, list) = get(self.http, "/api/accessories");
        list.as_array().unwrap().iter().all(|lamp| lamp["freshness"] == "fresh")
    }

    fn lamp(&self, id: &str) -> Value {
        get(self.http, &format!("/api/accessories/{id}")).1
    }

    fn link(&self) -> Value {
        get(self.http, "/api/status").1["gateways"][0].clone()
    }

    /// Waits until the daemon has heard all that was said: the report of a lamp that nothing else uses comes last.
    fn has_heard(&self, on: bool) {
        self.gateway.say(&report(2, 3, on));
        eventually("the last report", || self.lamp("m2o3")["on"] == on);
    }
}

#[test]
fn a_gateway_that_answers_nothing_is_given_up_after_five_queries_and_two_seconds() {
    let mut pair = Pair::start();
    eventually("known", || pair.get("/api/accessories/m1o0").1["freshness"] == "fresh");
    pair.order(r#"{"do":"disconnect","how":"black_hole"}"#);
    let begun = Instant::now();
    // Each of these is a query, of 300 ms, that nobody answers.
    while pair.get("/api/status").1["gateways"][0]["connects_total"] == 1 {
        pair.get("/api/accessories/m1o0?max_age_ms=0");
        assert!(begun.elapsed() < UNANSWERED + REDIAL + SLACK, "still up");
    }
    assert!(begun.elapsed() >= Duration::from_millis(2500), "given up too soon: {:?}", begun.elapsed());
    eventually("true again", || pair.get("/api/accessories/m1o0?max_age_ms=0").1["freshness"] == "fresh");
    let counters = pair.order(r#"{"do":"counters"}"#)["counters"].clone();
    assert_eq!(counters["connections_open_max"], 1, "{counters}");
    assert!(counters["connection_gap_min_ms"].as_u64() >= Some(250), "{counters}");
}

#[test]
fn a_gateway_that_is_silent_is_given_up_after_thirty_seconds_and_two() {
    let folder = tempfile::tempdir().unwrap();
    let (bus, orders, http) = (free_port(), free_port(), free_port());
    // Nobody asks anything: only the silence is left to notice it by.
    let text = config(&format!("127.0.0.1:{bus}"), http) + "[poller]\nenabled = false\n";
    write_config(folder.path(), &text);
    let (listen, control) = (format!("127.0.0.1:{bus}"), format!("127.0.0.1:{orders}"));
    let arguments = ["emulator", "--instant", "--listen", &listen, "--control", &control];
    let mut gateway = Program::start(&arguments, folder.path());
    gateway.says("taking orders address=");
    let mut daemon = Program::start(&["run"], folder.path());
    daemon.says("connected gateway=home");
    let http = ([127, 0, 0, 1], http).into();
    let asked = get(http, "/api/accessories/m1o0?max_age_ms=0").1;
    assert_eq!(asked["freshness"], "fresh", "{asked}");
    pause(Duration::from_secs(2));
    assert_eq!(super::order(&control, &json!({"do": "disconnect", "how": "black_hole"}))["ok"], true);
    let begun = Instant::now();
    let link = || get(http, "/api/status").1["gateways"][0].clone();
    let unanswered = link()["timeouts_total"].as_u64().unwrap();
    while link()["connects_total"] == 1 {
        assert!(begun.elapsed() < SILENT + REDIAL + SLACK, "still up: {}", link());
        pause(Duration::from_millis(100));
    }
    assert!(begun.elapsed() >= Duration::from_secs(25), "given up too soon: {:?}", begun.elapsed());
    let probes = link()["timeouts_total"].as_u64().unwrap() - unanswered;
    assert!(probes < 5, "it was the silence, not queries: {}", link());
}

#[test]
fn half_a_frame_is_never_joined_with_the_other_half_of_the_next_connection() {
    let scripted = Scripted::start();
    for (round, end) in [Gateway::hang_up as fn(&Gateway), Gateway::reset].into_iter().enumerate() {
        let connects = scripted.gateway.with(|desk| desk.dials.len());
        // Joined, the halves would say that output 0 is on.
        let whole = report(1, 0, true);
        let (first, second) = whole.split_at(7);
        scripted.gateway.say(first);
        // An end that overtakes the bytes would prove nothing.
        pause(Duration::from_millis(100));
        end(&scripted.gateway);
        eventually("connected again", || scripted.gateway.with(|desk| desk.dials.len()) > connects);
        scripted.gateway.say(second);
        scripted.has_heard(round == 0);
        assert_eq!(scripted.lamp("m1o0")["on"], false, "round {round}");
        eventually("true", || scripted.all_fresh());
    }
    let (crowded, gap) = scripted.gateway.with(|desk| (desk.crowded, desk.gap));
    assert_eq!(crowded, 0, "never two sockets");
    assert!(gap.unwrap() >= Duration::from_millis(240), "{gap:?}");
}

#[test]
fn frames_in_one_segment_and_in_single_bytes_with_rubbish_between_are_all_heard() {
    let scripted = Scripted::start();
    let before = scripted.link()["noise_total"].as_u64().unwrap();
    let rubbish: [&[u8]; 4] = [b"\r\n", b"<R00<", b"\xff\xfe>>>", b"<E07L01I80MAA>"];
    let mut segment = Vec::new();
    for (at, rubbish) in rubbish.iter().enumerate() {
        segment.extend(report(1, at as u8, true));
        segment.extend_from_slice(rubbish);
    }
    segment.extend(report(2, 0, true));
    scripted.gateway.say(&segment);
    scripted.has_heard(true);
    for id in ["m1o0", "m1o1", "m1o2", "m1o3", "m2o0"] {
        assert_eq!(scripted.lamp(id)["on"], true, "{id}");
    }
    // The line end is no noise; the others are one piece each.
    assert_eq!(scripted.link()["noise_total"].as_u64(), Some(before + 3));
    for byte in report(1, 0, false) {
        scripted.gateway.say(&[byte]);
        pause(Duration::from_millis(3));
    }
    // A poll may tell of the last lamp before the bytes are read.
    eventually("off", || scripted.lamp("m1o0")["on"] == false);
    assert_eq!(scripted.link()["connects_total"], 1);
}

#[test]
fn a_frame_without_an_end_and_a_megabyte_of_noise_cost_nothing_but_themselves() {
    let scripted = Scripted::start();
    let before = scripted.link()["noise_total"].as_u64().unwrap();
    scripted.gateway.say(b"<");
    for _ in 0..1024 {
        scripted.gateway.say(&[b'A'; 1024]);
    }
    scripted.has_heard(true);
    assert_eq!(scripted.link()["noise_total"].as_u64(), Some(before + 1), "one noise, however long");
    assert_eq!(scripted.link()["connects_total"], 1);
    assert!(scripted.all_fresh());
}

#[test]
fn a_wrong_checksum_changes_nothing_and_is_counted() {
    let mut pair = Pair::start();
    eventually("known", || pair.get("/api/accessories/m1o0").1["freshness"] == "fresh");
    let noise = |pair: &Pair| pair.get("/api/status").1["gateways"][0]["noise_total"].as_u64().unwrap();
    let before = noise(&pair);
    pair.order(r#"{"do":"fault","kind":"bad_checksum","serial":"0012345001"}"#);
    pair.turn(1, 0, true);
    eventually("counted", || noise(&pair) > before);
    let (status, error) = pair.get("/api/accessories/m1o0?max_age_ms=0");
    assert_eq!((status, error["error"]["code"].as_str()), (504, Some("timed_out")), "{error}");
    assert_eq!(pair.get("/api/accessories/m1o0").1["on"], false, "nothing was heard");
    pair.order(r#"{"do":"clear_faults"}"#);
    // What was not answered for a while may still be answered late: at first its replies are not believed.
    eventually("the truth", || pair.get("/api/accessories/m1o0?max_age_ms=0").1["on"] == true);
    assert_eq!(pair.get("/api/status").1["gateways"][0]["connects_total"], 1);
}

#[test]
fn a_line_on_which_one_frame_in_ten_is_wrong_is_called_degraded_once_and_is_well_again() {
    let mut scripted = Scripted::start();
    assert_eq!(scripted.link()["degraded"], false);
    let mut wrong = report(1, 1, true);
    let last = wrong.len() - 2;
    wrong[last] ^= 1;
    for _ in 0..12 {
        scripted.gateway.say(&[report(1, 0, true).repeat(3), wrong.clone()].concat());
    }
    scripted.has_heard(true);
    assert_eq!(scripted.link()["degraded"], true, "{}", scripted.link());
    assert_eq!(scripted.lamp("m1o1")["on"], false, "no wrong frame is believed");
    scripted.daemon.signal("TERM");
    assert!(scripted.daemon.end().success());
    let told = scripted
        .daemon
        .log
        .iter()
        .filter(|line| line.contains("WARN") && line.contains("link degraded"))
        .count();
    assert_eq!(told, 1, "{:#?}", scripted.daemon.log);
}

#[test]
fn a_silent_module_is_asked_three_times_and_what_was_known_of_it_grows_stale() {
    let scripted = Scripted::start_with("[cache]\nttl = \"1s\"\n[poller]\nenabled = false\n");
    assert_eq!(scripted.lamp("m1o0?max_age_ms=0")["on"], false);
    scripted.gateway.with(|desk| {
        desk.outputs.remove(&serial(1));
        desk.heard.clear();
    });
    let begun = Instant::now();
    let (status, error) = get(scripted.http, "/api/accessories/m1o0?max_age_ms=0");
    assert_eq!((status, error["error"]["code"].as_str()), (504, Some("timed_out")), "{error}");
    // Three queries of 300 ms.
    assert!(begun.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", begun.elapsed());
    let query = String::from_utf8(frame("S0012345001F02D12")).unwrap();
    let asked = scripted.gateway.with(|desk| desk.heard.clone());
    assert_eq!(asked.iter().filter(|heard| **heard == query).count(), 3, "{asked:?}");
    eventually("stale", || scripted.lamp("m1o0")["freshness"] == "stale");
    assert_eq!(scripted.lamp("m1o0")["on"], false, "what was known stays");
}

#[test]
fn a_storm_of_a_thousand_a_second_is_quietened_while_the_neighbours_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let (bus, orders, http) = (free_port(), free_port(), free_port());
    let mut text = config(&format!("127.0.0.1:{bus}"), http);
    text += "[[module]]\nserial = \"0012345003\"\ntype = \"XP33LED\"\nlink = 3\n[[accessory]]\nid = \"m3o0\"\n\
             name = \"Dimmer\"\nkind = \"dimmer\"\nmodule = \"0012345003\"\noutput = 0\n";
    write_config(folder.path(), &text);
    let (listen, control) = (format!("127.0.0.1:{bus}"), format!("127.0.0.1:{orders}"));
    let arguments = ["emulator", "--instant", "--listen", &listen, "--control", &control];
    let mut gateway = Program::start(&arguments, folder.path());
    gateway.says("taking orders address=");
    let mut daemon = Program::start(&["run"], folder.path());
    daemon.says("connected gateway=home");
    let http: std::net::SocketAddr = ([127, 0, 0, 1], http).into();
    eventually("known", || get(http, "/api/accessories/m3o0").1["freshness"] == "fresh");
    let storm = json!({"do": "storm", "serial": "0012345003", "per_second": 1000, "reads_to_end": 3});
    assert_eq!(super::order(&control, &storm)["ok"], true);
    let begun = Instant::now();
    for turn in 0..4 {
        let wish = json!({"on": turn % 2 == 0});
        let within = Duration::from_secs(5);
        let (status, lamp) =
            ask(&http.to_string(), "PUT", "/api/accessories/m1o0", Some(&wish), within).unwrap();
        assert_eq!((status, &lamp["on"]), (200, &wish["on"]), "a neighbour: {lamp}");
        assert_eq!(get(http, "/livez").0, 200);
    }
    eventually("the storm is over", || {
        let (_, modules) = get(http, "/api/modules");
        modules.as_array().unwrap().iter().all(|module| module["storming"] == false)
            && get(http, "/api/accessories/m3o0").1["freshness"] == "fresh"
    });
    assert!(begun.elapsed() < Duration::from_secs(5) + SLACK, "{:?}", begun.elapsed());
    let counters = super::order(&control, &json!({"do": "counters"}))["counters"].clone();
    let probe = String::from_utf8(frame("S0012345003F02D10")).unwrap();
    let probes = counters["received"][&probe].as_u64().unwrap_or_default();
    // The identity read, the probes of the storm, and whatever the health of the module is asked by.
    assert!((3..=8).contains(&probes), "{counters}");
    assert_eq!(get(http, "/api/status").1["gateways"][0]["connects_total"], 1);
    daemon.signal("TERM");
    assert!(daemon.end().success());
    let told = daemon.log.iter().filter(|line| line.contains("storm")).count();
    assert!((1..=4).contains(&told), "{:#?}", daemon.log);
}

#[test]
fn a_lost_reply_is_asked_for_again_and_a_silent_module_is_told_in_time() {
    let mut pair = Pair::start();
    eventually("known", || pair.get("/api/accessories/m1o0").1["freshness"] == "fresh");
    pair.order(r#"{"do":"fault","kind":"lost_reply","serial":"0012345001","next":2}"#);
    let (status, lamp) = pair.get("/api/accessories/m1o0?max_age_ms=0");
    assert_eq!((status, lamp["on"].as_bool()), (200, Some(false)), "the third query is answered: {lamp}");
    pair.order(r#"{"do":"fault","kind":"lost_reply","serial":"0012345001"}"#);
    let begun = Instant::now();
    let (status, error) = pair.get("/api/accessories/m1o0?max_age_ms=0");
    assert_eq!((status, error["error"]["code"].as_str()), (504, Some("timed_out")), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", begun.elapsed());
    let (status, lamp) = pair.get("/api/accessories/m1o0");
    assert_eq!((status, lamp["on"].as_bool()), (200, Some(false)), "what was known stays: {lamp}");
    assert_eq!(pair.get("/api/accessories/m2o0?max_age_ms=0").0, 200, "its neighbour answers");
}

#[test]
fn a_reply_that_comes_late_does_not_undo_what_was_heard_since() {
    let mut pair = Pair::start();
    eventually("known", || pair.get("/api/accessories/m1o0").1["freshness"] == "fresh");
    pair.order(r#"{"do":"fault","kind":"late_reply","serial":"0012345001","next":1,"by_ms":1500}"#);
    let http = pair.http;
    let reader = std::thread::spawn(move || get(http, "/api/accessories/m1o0?max_age_ms=0"));
    eventually("the query is on its way", || {
        pair.order(r#"{"do":"counters"}"#)["counters"]["faults"]["late_reply"] == 1
    });
    pair.turn(1, 0, true);
    eventually("the report is heard", || pair.get("/api/accessories/m1o0").1["on"] == true);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let lamp = pair.get("/api/accessories/m1o0").1;
        assert!(lamp["on"] == true || lamp["freshness"] != "fresh", "the late reply was believed: {lamp}");
        pause(Duration::from_millis(20));
    }
    reader.join().unwrap();
    // It did come, behind the report, with what was true before.
    let transcript = pair.order(r#"{"do":"transcript","last":200}"#);
    let telegrams = transcript["telegrams"].as_array().unwrap();
    let heard = |begin: &str| {
        telegrams.iter().rposition(|one| one["telegram"].as_str().unwrap().starts_with(begin)).unwrap()
    };
    assert!(heard("<R0012345001F02D12xxxx0000") > heard("<E07L01I80M"), "{transcript}");
    assert_eq!(pair.get("/api/accessories/m1o0").1["on"], true);
}

#[test]
fn what_nobody_asked_for_does_not_undo_a_report_and_a_stranger_is_no_module() {
    let scripted = Scripted::start();
    let modules = get(scripted.http, "/api/modules").1.as_array().unwrap().len();
    let counted = || {
        let status = get(scripted.http, "/api/status").1;
        let refused = status["cache"]["updates_refused_total"].as_u64().unwrap();
        (
            refused,
            status["gateways"][0]["telegrams_received_total"].as_u64().unwrap(),
            status["cache"]["entries"].clone(),
        )
    };
    scripted.gateway.with(|desk| desk.outputs.get_mut(&serial(1)).unwrap()[0] = true);
    scripted.gateway.say(&report(1, 0, true));
    eventually("on", || scripted.lamp("m1o0")["on"] == true);
    // Somebody else's reply, from before the report, and those of modules and functions that are none.
    let strangers = [
        bitmap(1, [false; 4]),
        frame("R0099999999F02D12xxxx1111"),
        frame("R0012345001F77D12xxxx0000"),
        frame("R0012345001F02D99xxxx0000"),
        frame("S0012345001F02D12"),
        bitmap(1, [false; 4]),
    ];
    let (refused, received, entries) = counted();
    scripted.gateway.say(&strangers.concat());
    scripted.has_heard(true);
    let now = counted();
    assert!(now.0 > refused, "the replies that nobody asked for: {now:?} after {refused}");
    assert!(now.1 > received + strangers.len() as u64, "all of them: {now:?} after {received}");
    assert_eq!(now.2, entries, "a stranger has no entry");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        let lamp = scripted.lamp("m1o0");
        assert!(lamp["on"] == true || lamp["freshness"] != "fresh", "a stranger was believed: {lamp}");
        pause(Duration::from_millis(20));
    }
    assert_eq!(get(scripted.http, "/api/modules").1.as_array().unwrap().len(), modules);
    assert_eq!(scripted.lamp("m1o0?max_age_ms=0")["on"], true);
}

#[test]
fn a_gateway_that_has_another_client_is_dialled_with_patience_and_never_twice_at_once() {
    let mut scripted = Scripted::start();
    let before = scripted.gateway.with(|desk| {
        desk.is_taken = true;
        desk.dials.len()
    });
    scripted.gateway.hang_up();
    let begun = Instant::now();
    pause(Duration::from_secs(6));
    let dials = scripted.gateway.with(|desk| desk.dials.len()) - before;
    let seconds = begun.elapsed().as_secs() as usize;
    // A quarter of a second is the shortest pause; the back-off makes them longer and longer.
    assert!((2..=3 * seconds).contains(&dials), "{dials} dials in {seconds} s");
    let link = scripted.link();
    assert!(link["reason"].as_str().is_some_and(|reason| reason.starts_with("bus busy")), "{link}");
    let lamp = scripted.lamp("m1o0");
    assert_eq!((lamp["on"].as_bool(), lamp["freshness"].as_str()), (Some(false), Some("stale")), "{lamp}");
    scripted.gateway.with(|desk| desk.is_taken = false);
    eventually("true again", || scripted.all_fresh());
    assert_eq!(scripted.link()["reason"], Value::Null, "no more");
    let (crowded, gap) = scripted.gateway.with(|desk| (desk.crowded, desk.gap));
    assert_eq!(crowded, 0);
    assert!(gap.unwrap() >= Duration::from_millis(240), "{gap:?}");
    scripted.daemon.signal("TERM");
    assert!(scripted.daemon.end().success());
    assert!(scripted.daemon.log.len() < 30, "{:#?}", scripted.daemon.log);
    assert!(
        scripted.daemon.log.iter().any(|line| line.contains("reason=\"bus busy")),
        "{:#?}",
        scripted.daemon.log
    );
}

#[test]
fn what_came_while_the_daemon_stood_still_is_as_old_as_its_pause() {
    let scripted = Scripted::start_with("[cache]\nttl = \"1s\"\n[poller]\nenabled = false\n");
    assert_eq!(scripted.lamp("m1o0?max_age_ms=0")["on"], false);
    // From now on nobody tells what became of the lamp: the report below is the last word.
    scripted.gateway.with(|desk| desk.outputs.clear());
    scripted.daemon.signal("STOP");
    pause(Duration::from_millis(200));
    scripted.gateway.say(&report(1, 0, true));
    pause(Duration::from_millis(2500));
    scripted.daemon.signal("CONT");
    let begun = Instant::now();
    loop {
        let lamp = scripted.lamp("m1o0");
        assert_ne!(lamp["freshness"], "fresh", "it may have changed since: {lamp}");
        if lamp["on"] == true {
            assert!(lamp["age_ms"].as_u64() >= Some(2500), "{lamp}");
            break;
        }
        assert!(begun.elapsed() < SLACK, "the report was never read: {lamp}");
        pause(Duration::from_millis(5));
    }
    pause(Duration::from_millis(500));
    scripted.gateway.say(&report(1, 1, true));
    eventually("news of now are fresh", || {
        let lamp = scripted.lamp("m1o1");
        lamp["on"] == true && lamp["freshness"] == "fresh"
    });
}

#[test]
fn a_daemon_that_stood_still_does_not_make_up_for_it() {
    let mut pair = Pair::start();
    eventually("known", || pair.get("/api/accessories/m1o0").1["freshness"] == "fresh");
    let received = |pair: &mut Pair| {
        pair.order(r#"{"do":"counters"}"#)["counters"]["telegrams_received"].as_u64().unwrap()
    };
    pair.daemon.signal("STOP");
    pause(Duration::from_secs(6));
    pair.turn(1, 0, true);
    let before = received(&mut pair);
    pair.daemon.signal("CONT");
    pause(Duration::from_secs(1));
    let burst = received(&mut pair) - before;
    // Two modules and a bridge: a read each, not one for every period that was slept through.
    assert!(burst <= 12, "{burst} telegrams in the first second");
    eventually("true again", || {
        let lamp = pair.get("/api/accessories/m1o0").1;
        lamp["on"] == true && lamp["freshness"] == "fresh"
    });
    assert_eq!(pair.get("/api/status").1["gateways"][0]["connects_total"], 1, "an answer lay in the socket");
}
