//! Claims about questions and answers, against the emulated house.

use tokio::task::LocalSet;

use super::*;
use crate::conbus::ModuleType;
use crate::emulator::{Emulator, HouseSetup, ModuleSetup, Timing};

fn serial(n: u8) -> SerialNumber {
    format!("00123450{n:02}").parse().unwrap()
}

/// The accessories that come of these answers, as `room: name (id)`, and what was said.
async fn furnished(answers: &[&str]) -> (Emulator, Vec<String>, String) {
    let modules = vec![
        ModuleSetup::new(serial(1), ModuleType::XP230, 1),
        ModuleSetup::new(serial(4), ModuleType::XP24, 4),
        ModuleSetup::new(serial(6), ModuleType::XP33LED, 6),
    ];
    let house = Emulator::new(HouseSetup::new(modules).with_timing(Timing::hardware()));
    let mut bus = Line::over("test:1".into(), Box::new(house.connect().unwrap()));
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let findings = discover::look(&mut bus, &mut told).await.unwrap();
    let mut draft = discover::draft("192.168.1.17:10001", &findings);
    let mut talk = Talk { answers: &mut Answers::of(answers), out: &mut out, told: &mut told };
    furnish(&mut draft, &mut bus, &mut talk).await;
    config::parse("test", &draft.to_string(), Path::new("")).unwrap();
    let lamps = draft.accessories.iter().map(|lamp| format!("{}: {} ({})", lamp.room, lamp.name, lamp.id));
    (house, lamps.collect(), String::from_utf8(told).unwrap())
}

#[tokio::test(start_paused = true)]
async fn rooms_and_names_are_taken_module_by_module() {
    let test = async {
        let answers = ["Salon", "Ceiling", "Cuisine/Évier", "-", "", "?", "Salon", "Spots", "Spots", "Spots"];
        let (_, lamps, told) = furnished(&answers).await;
        let expected = [
            "Salon: Ceiling (salon_ceiling)",
            "Cuisine: Évier (cuisine_evier)",
            "Cuisine: XP24 4 output 3 (cuisine_xp24_4_output_3)",
            "Salon: Spots (salon_spots)",
            "Salon: Spots (0012345006_1)",
            "Salon: Spots (0012345006_2)",
        ];
        assert_eq!(lamps, expected, "{told}");
        assert!(told.contains("XP33LED 6 (0012345006), which room? [Cuisine]"), "{told}");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_answers_no_more_keeps_the_names_that_are_there() {
    let test = async {
        for answers in [&[][..], &["q"], &["Salon", "q"]] {
            let (_, lamps, _) = furnished(answers).await;
            assert_eq!(lamps.len(), 7, "{answers:?}");
            assert!(lamps[6].contains("XP33LED 6 output 2 (xp33led_6_output_2)"), "{lamps:?}");
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_module_blinks_and_stops() {
    let test = async {
        let (house, _, told) = furnished(&["b", "Salon", "b", "q"]).await;
        let blinks: Vec<String> = (house.received().iter())
            .map(|(_, telegram)| telegram.to_string())
            .filter(|telegram| telegram.contains("F05D") || telegram.contains("F06D"))
            .map(|telegram| telegram[1..15].to_owned())
            .collect();
        let expected = ["S0012345004F05", "S0012345004F06", "S0012345004F05", "S0012345004F06"];
        assert_eq!(blinks, expected);
        assert!(told.contains("0012345004 blinks for 3 s"), "{told}");
    };
    LocalSet::new().run_until(test).await;
}

#[test]
fn a_bridge_is_named_by_serial_number_or_address() {
    assert_eq!(place(""), Ok(("192.168.1.17".into(), 10001)));
    assert_eq!(place("0020030837"), Ok(("xp230-0020030837.local".into(), 10001)));
    assert_eq!(place("10.0.0.2"), Ok(("10.0.0.2".into(), 10001)));
    assert_eq!(place("bridge.home:10002"), Ok(("bridge.home".into(), 10002)));
    assert!(place("emulator").is_ok(), "a host may be called so");
    assert!(place("a b").is_err() && place("host:99999").is_err());
}

#[test]
fn what_is_typed_is_told_apart() {
    assert_eq!(Naming::of("Salon/Lamp"), Naming::RoomAndName("Salon".into(), "Lamp".into()));
    assert_eq!(Naming::of("Salon/"), Naming::Explain);
    assert_eq!(Naming::of("/Lamp"), Naming::RoomAndName(String::new(), "Lamp".into()));
    assert_eq!(Naming::of("bed"), Naming::Name("bed".into()));
}
