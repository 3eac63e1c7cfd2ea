//! Claims about a survey of the emulated house, about what is told of it, and about configs that are added to.

use std::time::Duration;

use tokio::task::LocalSet;

use super::*;
use crate::conbus::{ActionTable, ModuleType};
use crate::config::Config;
use crate::emulator::{Dose, Emulator, Fault, FaultKind, HouseSetup, ModuleSetup, Timing};

fn serial(n: u8) -> SerialNumber {
    format!("00123450{n:02}").parse().unwrap()
}

/// A bridge, switches, two relays and two dimmers, one of them slow.
fn modules() -> Vec<ModuleSetup> {
    let types = [
        ModuleType::XP230,
        ModuleType::XP20,
        ModuleType::XP24,
        ModuleType::XP24,
        ModuleType::XP33LED,
        ModuleType::XP33LR,
    ];
    let setup = |(n, module_type)| ModuleSetup::new(serial(n), module_type, n).with_site_table();
    (1..).zip(types).map(setup).collect()
}

/// What a survey of this house finds, and what it says of its progress.
async fn survey(modules: Vec<ModuleSetup>, faults: &[Fault]) -> (Emulator, Findings, String) {
    let house = Emulator::new(HouseSetup::new(modules).with_timing(Timing::hardware()));
    for fault in faults {
        house.fault(*fault);
    }
    let mut line = Line::over("test:1".into(), Box::new(house.connect().unwrap()));
    let mut told = Vec::new();
    let found = look(&mut line, &mut told).await.unwrap();
    (house, found, String::from_utf8(told).unwrap())
}

async fn local<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(test).await
}

fn parsed(text: &str) -> Config {
    config::parse("test", text, Path::new("")).unwrap_or_else(|report| panic!("{report}\n{text}"))
}

#[tokio::test(start_paused = true)]
async fn every_module_is_found_and_told_by_type_link_and_version() {
    local(async {
        let (_, found, told) = survey(modules(), &[]).await;
        let seen: Vec<_> = found
            .values()
            .map(|found| (found.module_type.unwrap().to_string(), found.link.unwrap(), found.auto_report))
            .collect();
        let expected = [
            ("XP230".to_owned(), 1, Some(false)),
            ("XP20".to_owned(), 2, Some(false)),
            ("XP24".to_owned(), 3, Some(true)),
            ("XP24".to_owned(), 4, Some(true)),
            ("XP33LED".to_owned(), 5, Some(true)),
            ("XP33LR".to_owned(), 6, Some(true)),
        ];
        assert_eq!(seen, expected);
        assert!(found[&serial(3)].names[2].as_deref().unwrap().starts_with("XP24_V"));
        assert!(told.contains("asked who is there, 3 of 3: 6 modules so far\n"), "{told}");
        assert!(told.ends_with("read 6 of 6 modules\n"), "{told}");
        assert_eq!(
            findings::unusual("192.168.1.17:10001", &found),
            Vec::<String>::new(),
            "nothing is unusual in a good house"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_module_is_asked_for_every_part_of_its_identity_and_every_answer_is_kept() {
    local(async {
        let (house, found, _) = survey(modules(), &[]).await;
        let counters = house.counters();
        for (serial, found) in &found {
            // Type name, hardware, software, link, module number, type code, auto report (protocol reference 3.2).
            for datapoint in ["00", "01", "02", "04", "05", "07", "21"] {
                let read = format!("<S{serial}F02D{datapoint}");
                let is_asked = counters.received.keys().any(|frame| frame.starts_with(&read));
                assert!(is_asked, "{read}: {:?}", counters.received.keys());
            }
            assert!(found.names.iter().all(Option::is_some) && found.number.is_some(), "{serial}: {found:?}");
            assert_eq!(found.unanswered, []);
        }
        let told = findings::object("192.168.1.17:10001", &found);
        for key in ["type_name", "hardware_version", "software_version", "module_number"] {
            assert!(
                told["modules"].as_array().unwrap().iter().all(|module| !module[key].is_null()),
                "{key}: {told}"
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_is_lost_in_one_broadcast_is_found_in_another() {
    local(async {
        // Twelve lost answers: everybody's to the first two broadcasts.
        let lost = Fault::everywhere(FaultKind::LostReply, Dose::Next(12));
        let (_, found, told) = survey(modules(), &[lost]).await;
        assert_eq!(found.len(), 6, "{told}");
        assert!(told.contains("2 of 3: 0 modules so far"), "{told}");
        let chance = Fault::everywhere(FaultKind::LostReply, Dose::Chance(0.2));
        let (_, found, told) = survey(modules(), &[chance]).await;
        assert_eq!(found.len(), 6, "a fifth of all answers lost: {told}");
        assert!(found.values().all(|found| found.module_type.is_some()), "{found:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_question_at_a_time_and_a_slow_dimmer_is_spared() {
    local(async {
        let (house, _, _) = survey(modules(), &[]).await;
        let reads: Vec<(Duration, SerialNumber)> = house
            .received()
            .into_iter()
            .filter_map(|(at, telegram)| {
                Some((at, telegram.serial().filter(|serial| !serial.is_broadcast())?))
            })
            .collect();
        assert!(reads.windows(2).all(|pair| pair[1].0 >= pair[0].0 + Duration::from_millis(40)), "{reads:?}");
        let slow: Vec<Duration> =
            reads.iter().filter(|(_, to)| *to == serial(6)).map(|(at, _)| *at).collect();
        assert!(slow.windows(2).all(|pair| pair[1] >= pair[0] + Duration::from_secs(2)), "{slow:?}");
        let broadcasts: Vec<Duration> = house
            .received()
            .iter()
            .filter(|(_, telegram)| telegram.serial().is_some_and(SerialNumber::is_broadcast))
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(broadcasts.len(), 3);
        assert!(broadcasts.windows(2).all(|pair| pair[1] >= pair[0] + Duration::from_secs(1)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_unusual_is_told() {
    local(async {
        let mut odd = modules();
        odd[2].auto_report = false;
        odd[2].table = ActionTable::factory(ModuleType::XP24);
        odd[3].link = 3;
        odd[4].answers.insert(7, b"77".to_vec());
        let mute = Fault::on(serial(6), FaultKind::LostReply, Dose::ALWAYS);
        let (_, mut found, _) = survey(odd, &[mute]).await;
        // It answers the broadcast and nothing else.
        assert!(!found.contains_key(&serial(6)));
        found.insert(
            serial(6),
            survey::Found { unanswered: vec![Datapoint::TYPE_CODE], ..Default::default() },
        );
        let said = findings::unusual("192.168.1.17:10001", &found).join("\n");
        for word in [
            "0012345003 does not report its outputs (auto report is off)",
            "`conbusd discover --gateway 192.168.1.17:10001 --enable-auto-report` switches it on",
            "0012345003 has the action table of the factory",
            "0012345003 and 0012345004 are both XP24 with link 3",
            "0012345005 has the unknown type code 77",
            "0012345006 answers the broadcast and no read",
        ] {
            assert!(said.contains(word), "{word}\n{said}");
        }
        let config = parsed(&draft("192.168.1.17:10001", &found).to_string());
        let links: Vec<u8> = config.modules.iter().map(|module| module.link).collect();
        assert_eq!(
            links,
            [1, 2, 3, 1],
            "the second XP24 stands in with a free link, the unknown ones are left out"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_module_that_answers_only_the_broadcast_costs_little_time() {
    local(async {
        let house = Emulator::new(HouseSetup::new(modules()).with_timing(Timing::hardware()));
        let mut line = Line::over("test:1".into(), Box::new(house.connect().unwrap()));
        let after = async {
            tokio::time::sleep(Duration::from_millis(2_900)).await;
            house.fault(Fault::on(serial(3), FaultKind::Silence, Dose::ALWAYS));
        };
        let mut told = Vec::new();
        let (found, ()) = tokio::join!(look(&mut line, &mut told), after);
        let found = found.unwrap();
        assert_eq!(found[&serial(3)].module_type, None);
        assert_eq!(found[&serial(3)].unanswered.len(), 2, "two questions, then it is left alone");
        assert!(found[&serial(4)].module_type.is_some());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_without_a_bus_is_told_as_such() {
    local(async {
        let (near, _far) = tokio::io::duplex(1_024);
        let mut line = Line::over("test:1".into(), Box::new(near));
        let error = look(&mut line, &mut Vec::new()).await.unwrap_err().to_string();
        assert!(error.contains("said nothing in three seconds"), "{error}");
        let (near, far) = tokio::io::duplex(1_024);
        drop(far);
        let mut line = Line::over("test:1".into(), Box::new(near));
        let error = look(&mut line, &mut Vec::new()).await.unwrap_err().to_string();
        assert!(error.contains("closed the connection") && error.contains("serves one client"), "{error}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn auto_report_is_switched_on_only_after_a_yes() {
    local(async {
        let (ask, given) = (Consent::Ask, Consent::Yes);
        for (answers, consent, on) in
            [(&["n"][..], ask, false), (&[], ask, false), (&["y"], ask, true), (&[], given, true)]
        {
            let mut odd = modules();
            odd[2].auto_report = false;
            let house = Emulator::new(HouseSetup::new(odd).with_timing(Timing::hardware()));
            let mut line = Line::over("test:1".into(), Box::new(house.connect().unwrap()));
            let mut told = Vec::new();
            let mut found = look(&mut line, &mut told).await.unwrap();
            enable(&mut line, &mut found, (consent, &mut Answers::of(answers)), &mut told).await.unwrap();
            assert_eq!(found[&serial(3)].auto_report, Some(on), "{answers:?} {consent:?}");
            let written =
                house.received().iter().any(|(_, telegram)| telegram.to_string().contains("F04D21PP"));
            assert_eq!(written, on, "{answers:?} {consent:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_config_has_an_accessory_for_each_output() {
    local(async {
        let (_, found, _) = survey(modules(), &[]).await;
        let config = parsed(&draft("192.168.1.17:10001", &found).to_string());
        assert_eq!((config.modules.len(), config.accessories.len()), (6, 4 + 4 + 3 + 3));
        let lamp = &config.accessories[13];
        assert_eq!((lamp.id.as_str(), lamp.name.as_str()), ("xp33lr_6_2", "XP33LR 6 output 2"));
        assert_eq!(config.gateways[0].address.to_string(), "192.168.1.17:10001");
        assert_eq!(findings::table(&found).lines().count(), 7);
        let object = findings::object("a", &found);
        assert_eq!(object["modules"][2]["type"], "XP24");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_merge_adds_what_is_new_and_touches_nothing_else() {
    local(async {
        let (_, found, _) = survey(modules(), &[]).await;
        let file = "# my house\n[[gateway]]\nid = \"home\"\naddress = \"192.168.1.17:10001\" # in the cellar\n\n\
                    [[module]]\nserial = \"0012345003\"\ntype = \"XP24\"\nlink = 77 # told by the electrician\n\n\
                    [[module]]\nserial = \"0012345099\"\ntype = \"XP24\"\nlink = 50\n\n\
                    [[module]]\nserial = \"0012345005\"\ntype = \"XP33LED\"\nlink = 5\n\n\
                    [[accessory]]\nid = \"salon\"\nname = \"Salon\"\nkind = \"light\"\nmodule = \"0012345003\"\noutput = 1\n\n\
                    [http]\nlisten = \"127.0.0.1:8480\"";
        let Merged { text, words } = merge::merge("f", file, "192.168.1.17:10001", &found).unwrap();
        assert!(text.starts_with(&file.replace("77", "3")), "{text}");
        let config = parsed(&text);
        assert_eq!(config.modules.len(), 3 + 4);
        let of = |n: u8| config.accessories.iter().filter(|lamp| lamp.point.serial == serial(n)).count();
        assert_eq!([of(3), of(4), of(5), of(6)], [1, 4, 3, 3], "what somebody has named is left as it is");
        let words = words.join("\n");
        for word in [
            "0012345003 has link 3, not 77: corrected",
            "added module 0012345004 (XP24 4)",
            "added accessories of 0012345005",
            "0012345099 (XP24 50) is in the file and did not answer; it stays",
        ] {
            assert!(words.contains(word), "{word}\n{words}");
        }
        let again = merge::merge("f", &text, "192.168.1.17:10001", &found).unwrap();
        assert_eq!(again.text, text, "a second time nothing is new");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_merge_that_cannot_be_right_is_refused() {
    local(async {
        let (_, found, _) = survey(modules(), &[]).await;
        let two = "[[gateway]]\nid = \"a\"\naddress = \"1.1.1.1:1\"\n[[gateway]]\nid = \"b\"\naddress = \"1.1.1.2:1\"\n";
        let error = merge::merge("f", two, "1.1.1.3:1", &found).unwrap_err().to_string();
        assert!(error.contains("several gateways"), "{error}");
        let merged = merge::merge("f", two, "1.1.1.2:1", &found).unwrap();
        assert!(parsed(&merged.text).modules.iter().all(|module| module.gateway == 1));
        let error = merge::merge("f", "[htp]\n", "1.1.1.3:1", &found).unwrap_err().to_string();
        assert!(error.contains("f:1:2"), "{error}");
        let inline = "gateway = [{id = \"a\", address = \"1.1.1.1:1\"}]\nmodule = []\n";
        assert!(merge::merge("f", inline, "1.1.1.1:1", &found).is_err(), "lists in one line cannot be added to");
        assert_eq!(parsed(&merge::merge("f", "", "1.1.1.1:1", &found).unwrap().text).modules.len(), 6);
    })
    .await;
}
