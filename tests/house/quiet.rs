//! What an owner reads in the log.

use std::cell::RefCell;

use conbusd::actors::ask;
use conbusd::actors::events::Observe;
use log::{LevelFilter, Log, Metadata, Record};

use crate::support::{house_of_24, in_virtual_time, pass, point, seconds, serial};

thread_local! {
    /// The lines at info and above of the house on this thread.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Recorder;

impl Log for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= LevelFilter::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("{} {}: {}", record.level(), record.target(), record.args());
            LINES.with_borrow_mut(|lines| lines.push(line));
        }
    }

    fn flush(&self) {}
}

fn record() {
    // Another test may have set it already; it records for every thread.
    let _ = log::set_logger(&Recorder);
    log::set_max_level(LevelFilter::Info);
}

fn lines() -> Vec<String> {
    LINES.take()
}

#[test]
fn a_quiet_house_logs_less_than_a_line_a_minute() {
    record();
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        lines();
        for _ in 0..360 {
            house.list().await;
            pass(seconds(10)).await;
        }
        let told = lines();
        assert!(told.len() < 60, "an hour at rest: {told:#?}");
        house.finish().await;
    });
}

#[test]
fn what_a_module_tells_of_itself_is_asked_again_every_ten_minutes_while_a_door_shows_it() {
    in_virtual_time(async {
        let mut asked = Vec::new();
        for (door, known) in [("", 0), ("[http]\nlisten = \"127.0.0.1:1\"", 9)] {
            let house = house_of_24().section(door).warm().await;
            pass(seconds(60)).await;
            let before = house.emulator().counters().telegrams_received;
            house.emulator().with(|house, now| house.set_error_code(now, serial(2), 9));
            pass(seconds(600)).await;
            let poller = ask(&house.app.poller, Observe, seconds(1)).await.unwrap();
            let modules = poller["modules"].as_array().unwrap();
            let module = modules.iter().find(|module| module["serial"] == "0012345002").unwrap();
            assert_eq!(module["error_code"], known, "with `{door}`");
            asked.push(house.emulator().counters().telegrams_received - before);
            house.finish().await;
        }
        assert!(asked[1] <= asked[0] + 15, "D10 of eight modules and D18 of seven: {asked:?}");
    });
}

#[test]
fn life_events_are_one_line_each_with_facts_behind_it() {
    record();
    in_virtual_time(async {
        let house = house_of_24().start();
        pass(seconds(15)).await;
        assert_eq!(lines(), ["INFO connection: connected gateway=home address=memory"]);
        house.emulator().turn(point(1, 0), true);
        pass(seconds(1)).await;
        assert_eq!(lines(), ["INFO accessory: shows id=m1o0 on=true freshness=Fresh cause=Bus"]);
        house.switch(0, false).await.unwrap();
        assert_eq!(lines(), ["INFO accessory: shows id=m1o0 on=false freshness=Pending cause=Client(1)"]);
        house.emulator().gateway_up(false);
        pass(seconds(60)).await;
        let told = lines();
        assert!(told[0].starts_with("WARN connection: link lost gateway=home reason="), "{told:#?}");
        assert!(
            told[1].starts_with("WARN connection: cannot connect gateway=home address=memory"),
            "{told:#?}"
        );
        assert!(told.len() <= 5, "repeats are counted, not repeated: {told:#?}");
        house.finish().await;
    });
}

#[test]
fn what_differs_from_the_config_is_told_once_and_names_both() {
    record();
    in_virtual_time(async {
        let house = house_of_24()
            .emulated(|setup| {
                setup.modules[1].link = 42;
                setup.modules[2].module_type = "XP24P".parse().unwrap();
                setup.modules[3].auto_report = false;
            })
            .warm()
            .await;
        let told = lines();
        let has = |parts: [&str; 3]| {
            told.iter().filter(|line| parts.iter().all(|part| line.contains(part))).count()
        };
        assert_eq!(has(["serial=0012345001", "configured=1", "reported=42"]), 1, "{told:#?}");
        assert_eq!(has(["serial=0012345002", "configured=XP24", "reported=XP24P"]), 1, "{told:#?}");
        assert_eq!(has(["serial=0012345003", "does not report", "auto report"]), 1, "{told:#?}");
        house.emulator().turn(point(1, 2), true);
        pass(seconds(1)).await;
        assert_eq!(
            house.known(2).await.on,
            Some(true),
            "its events carry the link it has, not the configured one"
        );
        house.finish().await;
    });
}
