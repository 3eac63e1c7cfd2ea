//! The emulated house beside what was captured from a real one.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says when it skips"
)]

use std::path::Path;
use std::time::Duration;

use conbusd::conbus::{EventSource, OutputIndex, Point, SerialNumber, Telegram};
use conbusd::emulator::capture::{Capture, Playback, Speed, check, house_of, play};
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

const CAPTURED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/captured-exchanges.jsonl");

/// The capture, or a word that it is not there.
fn captured() -> Option<Capture> {
    let text =
        if Path::new(CAPTURED).exists() { std::fs::read_to_string(CAPTURED).unwrap() } else { String::new() };
    if text.is_empty() {
        println!("skipped: no captured-exchanges.jsonl here");
        return None;
    }
    Some(Capture::parse(&text).unwrap())
}

fn capture(rows: &[(u64, &str, &str)]) -> Capture {
    let lines: Vec<String> = rows
        .iter()
        .map(|(t, dir, telegram)| format!(r#"{{"t_ms":{t},"dir":"{dir}","telegram":"{telegram}"}}"#))
        .collect();
    Capture::parse(&lines.join("\n")).unwrap()
}

#[test]
fn the_house_answers_as_the_captured_one_in_content_and_time() {
    let Some(capture) = captured() else { return };
    for seed in 0..20 {
        let agreement = check(&capture, HouseSetup { seed, ..HouseSetup::default() });
        if seed == 0 {
            println!("{agreement}");
        }
        assert!(agreement.is_good(), "seed {seed}\n{agreement}");
    }
}

#[test]
fn a_house_that_says_something_else_or_nothing_or_too_much_is_found_out() {
    let whole = [
        (0, "TX", "<S0012345008F27D00AAFN>"),
        (60, "RX", "<R0012345008F18DFA>"),
        (107, "RX", "<E07L06I80BAL>"),
        (115, "TX", "<S0012345008F02D12FJ>"),
        (177, "RX", "<R0012345008F02D12xxxx1110FJ>"),
        (2000, "TX", "<S0012345008F02D10FL>"),
        (2050, "RX", "<R0012345008F02D1000FK>"),
    ];
    let of = |rows: &[(u64, &str, &str)]| check(&capture(rows), HouseSetup::default());
    // The house is learned with outputs 1 to 3 on and output 0 on before the command.
    let good = of(&whole);
    assert!(good.is_good(), "{good}");
    assert_eq!((good.compared, good.agreed), (4, 4));

    let mut other = whole;
    other[4].2 = "<R0012345008F02D12xxxx1111FI>";
    let verdict = of(&other);
    assert_eq!(verdict.disagreements.len(), 1, "{verdict}");
    assert!(
        verdict
            .to_string()
            .contains("captured <R0012345008F02D12xxxx1111FI>, emulated <R0012345008F02D12xxxx1110FJ>")
    );

    let mut more = whole.to_vec();
    more.push((2100, "RX", "<R0012345008F02D1000FK>"));
    let verdict = of(&more);
    assert!(!verdict.is_good(), "{verdict}");
    assert!(verdict.to_string().contains("emulated silence"));

    let mut less = whole.to_vec();
    less.remove(1);
    let verdict = of(&less);
    assert!(!verdict.is_good() && verdict.to_string().contains("captured silence"), "{verdict}");
}

#[test]
fn panels_other_masters_and_hands_on_switches_are_part_of_the_scene() {
    let rows = [
        (0, "TX", "<S0012345008F02D12FJ>"),
        (55, "RX", "<R0012345008F02D12xxxx0000FI>"),
        (100, "TX", "<S0012345008F02D07FN>"),
        (150, "RX", "<R0012345008F02D0707FK>"),
        (200, "TX", "<S0012345008F02D04FO>"),
        (250, "RX", "<R0012345008F02D0406FI>"),
        (5000, "RX", "<E14L00I02MAK>"),
        (5080, "RX", "<E14L00I02BAF>"),
        (20000, "RX", "<E07L06I81MAF>"),
        (21000, "TX", "<S0012345008F02D12FJ>"),
        (21055, "RX", "<R0012345008F02D12xxxx0010FJ>"),
    ];
    // The checksums of two of them are made here.
    let rows: Vec<(u64, &str, String)> =
        rows.iter().map(|(t, dir, frame)| (*t, *dir, summed(frame))).collect();
    let rows: Vec<(u64, &str, &str)> =
        rows.iter().map(|(t, dir, frame)| (*t, *dir, frame.as_str())).collect();
    let verdict = check(&capture(&rows), HouseSetup::default());
    assert!(verdict.is_good(), "{verdict}");
    assert_eq!(verdict.hands.len(), 1);
}

/// The same frame with the checksum it should have.
fn summed(frame: &str) -> String {
    let payload: Vec<u8> = frame[1..frame.len() - 3].chars().map(|c| c as u8).collect();
    Telegram::parse_payload(&payload).unwrap().to_string()
}

#[test]
fn a_discovery_an_upload_and_a_switched_on_report_agree() {
    let modules = ["0012345011", "0012345006", "0012345003", "0012345008"];
    let mut rows: Vec<(u64, &str, String)> = vec![(0, "TX", summed("<S0000000000F01D00AA>"))];
    for (at, module) in [26, 60, 90, 120].into_iter().zip(modules) {
        rows.push((at, "RX", summed(&format!("<R{module}F01DAA>"))));
    }
    let mut ask = |at: u64, payload: &str, answers: &[(u64, &str)]| {
        rows.push((at, "TX", summed(&format!("<{payload}AA>"))));
        for (later, answer) in answers {
            rows.push((at + later, "RX", summed(&format!("<{answer}AA>"))));
        }
    };
    ask(1000, "S0012345011F02D10", &[(27, "R0012345011F02D1000")]);
    ask(1100, "S0012345003F02D02", &[(79, "R0012345003F02D02XP33LR_V0.04.02")]);
    ask(1150, "S0012345003F02D07", &[(70, "R0012345003F02D0730")]);
    for (at, module) in [1300, 1550, 1800, 2050].into_iter().zip(modules) {
        ask(at, &format!("S{module}F26D00"), &[]);
    }
    ask(3000, "S0012345008F10D00", &[(52, "R0012345008F18D")]);
    for index in 0..15_u64 {
        let chunk = format!("AAA{}{}", char::from(b'A' + index as u8), "A".repeat(64));
        ask(3100 + index * 360, &format!("S0012345008F17D{chunk}"), &[(355, "R0012345008F18D")]);
    }
    ask(8600, "S0012345008F16D00", &[(50, "R0012345008F18D")]);
    ask(13_000, "S0012345008F02D14", &[(56, "R0012345008F02D14PLLKMDIN")]);
    let dump: Vec<(u64, String)> = (0..8).map(|n| (99 + 20 * n, format!("E07L06I8{n}B"))).collect();
    let mut answers: Vec<(u64, &str)> = vec![(58, "R0012345008F18D")];
    answers.extend(dump.iter().map(|(at, event)| (*at, event.as_str())));
    ask(14_000, "S0012345008F04D21PP", &answers);
    ask(15_000, "S0012345008F02D21", &[(50, "R0012345008F02D21PP")]);
    let rows: Vec<(u64, &str, &str)> =
        rows.iter().map(|(t, dir, frame)| (*t, *dir, frame.as_str())).collect();
    let capture = capture(&rows);
    let house = house_of(&capture, HouseSetup::default());
    let types: Vec<String> = modules
        .iter()
        .filter_map(|serial| house.modules.iter().find(|module| module.serial.to_string() == *serial))
        .map(|module| module.module_type.to_string())
        .collect();
    assert_eq!(types, ["XP130", "XP24", "XP33LR", "XP24"]);
    let verdict = check(&capture, HouseSetup::default());
    assert!(verdict.is_good(), "{verdict}");
}

#[test]
fn a_bad_line_of_a_capture_is_named() {
    let good = r#"{"t_ms":0,"dir":"TX","telegram":"<S0012345008F02D12FJ>"}"#;
    for bad in [
        r#"{"t_ms":-1,"dir":"TX","telegram":""}"#,
        r#"{"t_ms":1,"dir":"UP","telegram":""}"#,
        "x",
        r#"{"t_ms":1,"dir":"TX","telegram":"€"}"#,
    ] {
        let error = Capture::parse(&format!("{good}\n\n{bad}\n")).unwrap_err();
        assert_eq!(error.line, 3, "{error}");
    }
    assert!(Capture::parse("").unwrap().rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replay_gives_each_telegram_at_its_time_and_at_any_speed() {
    let capture = capture(&[
        (1000, "TX", "<S0012345008F27D00AAFN>"),
        (1068, "RX", "<R0012345008F18DFA>"),
        (1115, "RX", "<E07L06I80BAL>"),
        (61_000, "RX", "<R0012345008F02D12bad>"),
    ]);
    for (times, expected) in [(1.0, [68, 115, 60_000]), (10.0, [6, 11, 6000])] {
        let (mut client, server) = tokio::io::duplex(1024);
        let playback = Playback::new(&capture, Speed::new(times).unwrap());
        let playing = tokio::spawn(play(server, playback));
        let start = Instant::now();
        for (frame, at) in
            ["<R0012345008F18DFA>", "<E07L06I80BAL>", "<R0012345008F02D12bad>"].iter().zip(expected)
        {
            let mut bytes = vec![0; frame.len()];
            client.read_exact(&mut bytes).await.unwrap();
            assert_eq!(bytes, frame.as_bytes());
            let off = start.elapsed().abs_diff(Duration::from_millis(at));
            assert!(off < Duration::from_millis(3), "{frame} came {off:?} off");
        }
        drop(client);
        playing.await.unwrap().unwrap();
    }
    assert_eq!(Speed::new(0.0), None);
    assert_eq!(Speed::new(f64::NAN), None);
}

/// A long conversation with a house of another seed, written down as a capture.
async fn conversation(seed: u64) -> Capture {
    let serial = |number: u8| -> SerialNumber { format!("00123450{number:02}").parse().unwrap() };
    let modules = [(1, "XP230", 0), (2, "XP20", 2), (3, "XP24", 3), (4, "XP24", 4), (5, "XP33LED", 5)];
    let setup = modules.map(|(number, module_type, link)| {
        ModuleSetup::new(serial(number), module_type.parse().unwrap(), link).with_site_table()
    });
    let house = Emulator::new(HouseSetup { seed, ..HouseSetup::new(setup.into()) });
    let mut client = house.connect().unwrap();
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut reporting = [true; 6];
    for round in 0..150 {
        let module = 3 + chance.u8(0..3);
        let output = chance.u8(0..3);
        let lines = match (round, chance.u8(0..14)) {
            (0, _) => vec!["S0000000000F01D00".into()],
            // Who is who has to be read once, as every tool does.
            (1..6, _) => ["07", "04", "12", "14"].map(|code| format!("S00123450{round:02}F02D{code}")).into(),
            (_, 0..4) => {
                vec![format!("S{}F27D{output:02}A{}", serial(module), chance.choice(['A', 'B']).unwrap())]
            }
            (_, 4) => vec![format!("S0012345005F04D15{output:02}:{:03}", chance.u8(0..=100))],
            (_, 5) => vec![format!("E02L{module:02}I{:02}M", chance.u8(0..9)), "E02L03I00B".into()],
            (_, 6) => {
                let point = Point { serial: serial(module), output: OutputIndex::new(output).unwrap() };
                // A hand that nobody hears of cannot be learned from what was heard.
                if reporting[usize::from(module)] {
                    house.turn(point, chance.bool());
                }
                vec![]
            }
            (_, 7) => {
                house.press(EventSource::parse_stem("E14L00I02").unwrap(), Duration::from_millis(80));
                vec![]
            }
            (_, 8) => vec![format!("S{}F13D00", serial(module)), format!("S{}F18D00", serial(module))],
            (_, 9) => {
                let first = format!("S{}F11D00", serial(module));
                let more = (0..15).map(|_| format!("S{}F18D00", serial(module)));
                [first].into_iter().chain(more).collect()
            }
            (_, 10) => {
                let state = chance.choice(["PP", "PP", "AA"]).unwrap();
                reporting[usize::from(module)] = state == "PP";
                vec![format!("S{}F04D21{state}", serial(module))]
            }
            (_, code) => {
                vec![format!("S{}F02D{}", serial(module), ["12", "15", "10"][usize::from(code) - 11])]
            }
        };
        for line in lines {
            client.write_all(&telegram(&line)).await.unwrap();
            sleep(Duration::from_millis(250)).await;
        }
        sleep(Duration::from_secs(5)).await;
    }
    drop(client);
    let lines: Vec<String> = house.obey_line(br#"{"do":"transcript","last":100000}"#)["telegrams"]
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    Capture::parse(&lines.join("\n")).unwrap()
}

fn telegram(payload: &str) -> Vec<u8> {
    Telegram::parse_payload(payload.as_bytes()).unwrap().to_bytes()
}

#[tokio::test(start_paused = true)]
async fn a_conversation_with_the_emulated_house_itself_agrees_with_it() {
    LocalSet::new()
        .run_until(async {
            for seed in 1..13 {
                let capture = conversation(seed).await;
                let base = house_of(&capture, HouseSetup::default());
                let tables = base.modules.into_iter().map(ModuleSetup::with_site_table).collect();
                let verdict = check(&capture, HouseSetup::new(tables));
                assert!(verdict.compared > 150, "{verdict}");
                assert!(verdict.is_good(), "seed {seed}\n{verdict}");
            }
        })
        .await;
}
