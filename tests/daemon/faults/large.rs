//! A house of a thousand accessories (fault row 31 of the reliability notes).

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::programs::{Program, free_port, get, write_config};

/// How much later than promised something may be seen on a busy machine: debug builds, two cores, twenty programs.
const SLACK: Duration = Duration::from_secs(8);

/// From the start of the process to its doors.
const LISTENS_WITHIN: Duration = Duration::from_secs(2);

/// A read that needs no bus.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// The accessories of a bridge and the bridge itself.
const BRIDGE_MAX: usize = 150;

/// One gateway has room for a hundred links of one type.
const GATEWAYS: usize = 3;

/// Behind gateways that are not there: what is answered is answered from memory.
fn config(http: u16) -> String {
    let mut text = format!("[http]\nlisten = \"127.0.0.1:{http}\"\n[homekit]\nlisten = \"127.0.0.1:0\"\n");
    for gateway in 0..GATEWAYS {
        let _ = write!(text, "[[gateway]]\nid = \"g{gateway}\"\naddress = \"127.0.0.1:{}\"\n", free_port());
    }
    for module in 0..250 {
        let _ = write!(
            text,
            "[[module]]\nserial = \"00200{module:05}\"\ntype = \"XP24\"\ngateway = \"g{}\"\nlink = {}\n",
            module % GATEWAYS,
            module / GATEWAYS
        );
        for output in 0..4 {
            let _ = write!(
                text,
                "[[accessory]]\nid = \"m{module}o{output}\"\nname = \"Lamp {module} {output}\"\nkind = \"light\"\n\
                 module = \"00200{module:05}\"\noutput = {output}\n"
            );
        }
    }
    text
}

#[test]
fn a_house_of_a_thousand_lamps_listens_in_two_seconds_and_answers_from_memory_on_seven_bridges() {
    let (folder, http) = (tempfile::tempdir().unwrap(), free_port());
    write_config(folder.path(), &config(http));
    let begun = Instant::now();
    let mut daemon = Program::start(&["run"], folder.path());
    daemon.says("accessories=1000");
    assert!(begun.elapsed() < LISTENS_WITHIN + SLACK, "{:?}", begun.elapsed());
    let http = ([127, 0, 0, 1], http).into();
    let asked = Instant::now();
    let (status, list) = get(http, "/api/accessories");
    assert!(asked.elapsed() < ANSWERS_WITHIN + SLACK, "{:?}", asked.elapsed());
    let list = list.as_array().unwrap();
    assert_eq!((status, list.len()), (200, 1000));
    assert!(list.iter().all(|lamp| lamp["freshness"] == "unknown"), "nobody has told anything");
    let text = std::fs::read_to_string(folder.path().join("state/homekit.json")).unwrap();
    let store: Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    let bridges = store["bridges"].as_array().unwrap().len();
    let mut members = vec![0; bridges];
    for place in store["places"].as_object().unwrap().values() {
        members[place["bridge"].as_u64().unwrap() as usize] += 1;
    }
    assert_eq!((bridges, members.iter().sum::<usize>()), (7, 1000));
    assert!(members.iter().all(|count| *count < BRIDGE_MAX), "{members:?}");
    daemon.signal("TERM");
    assert!(daemon.end().success());
    let opened = daemon.log.iter().filter(|line| line.contains("open bridge=")).count();
    assert_eq!(opened, 7, "{:#?}", daemon.log);
}
