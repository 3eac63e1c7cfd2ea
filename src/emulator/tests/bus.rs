//! Who speaks when.

use super::*;

#[test]
fn everybody_answers_a_discovery_and_the_bridge_is_first() {
    let mut visit = Visit::new(setup());
    visit.say("S0000000000F01D00");
    let seen = visit.wait(400 * MS);
    assert_eq!(seen[0].1, "R0012345001F01D");
    assert!((23..=37).contains(&seen[0].0), "{seen:?}");
    let mut all: Vec<String> = seen.into_iter().map(|(_, text)| text).collect();
    all.sort();
    assert_eq!(all, ["R0012345001F01D", "R0012345004F01D", "R0012345011F01D"]);
    assert_eq!(visit.say(&format!("S{RELAY}F01D01")), "");
    assert_eq!(visit.texts(100 * MS), ["R0012345004F01D"], "one answers when one is asked");
}

#[test]
fn ten_modules_answer_a_discovery_within_the_measured_time_and_not_always_in_the_same_order() {
    let run = |seed| {
        let mut modules: Vec<ModuleSetup> = (2..=10)
            .map(|n| ModuleSetup::new(serial(&format!("00123450{n:02}")), ModuleType::XP24, n))
            .collect();
        modules.push(ModuleSetup::new(serial(BRIDGE), ModuleType::XP230, 0));
        let mut visit = Visit::new(HouseSetup { seed, ..HouseSetup::new(modules) });
        visit.say("S0000000000F01D00");
        visit.wait(400 * MS)
    };
    for seed in 0..20 {
        let seen = run(seed);
        let last = seen.last().unwrap().0;
        assert_eq!(seen.len(), 10);
        assert!((267..=310).contains(&last), "the last of ten after {last} ms");
    }
    assert_ne!(
        run(1).iter().map(|one| &one.1).collect::<Vec<_>>(),
        run(2).iter().map(|one| &one.1).collect::<Vec<_>>()
    );
    assert_eq!(run(3), run(3));
}

#[test]
fn answers_take_as_long_as_they_were_measured_to() {
    let mut setup = setup();
    setup.modules.push(ModuleSetup::new(serial("0012345003"), ModuleType::XP33LR, 3));
    let mut visit = Visit::new(setup);
    for _ in 0..50 {
        for (asked, least, most) in [
            ("S0012345001F02D10", 23, 37),
            ("S0012345004F02D10", 47, 71),
            ("S0012345004F02D12", 52, 70),
            ("S0012345004F02D02", 58, 70),
            ("S0012345003F02D02", 75, 90),
            ("S0012345004F02D17", 87, 95),
            ("S0012345004F27D00AA", 47, 68),
            ("S0012345004F04D0404", 50, 70),
        ] {
            let start = visit.now.as_millis() as u64;
            visit.say(asked);
            let seen = visit.wait(300 * MS);
            assert_eq!(seen.len(), 1, "{asked}");
            let took = seen[0].0 - start;
            assert!((least..=most).contains(&took), "{asked} took {took} ms");
        }
    }
}

#[test]
fn a_report_follows_its_acknowledgement_and_often_comes_before_the_next_answer() {
    let mut visit = Visit::new(setup());
    for round in 0..40 {
        let start = visit.now.as_millis() as u64;
        visit.say(&format!("S{RELAY}F27D00A{}", if round % 2 == 0 { 'B' } else { 'A' }));
        let seen = visit.wait(300 * MS);
        assert!(seen[0].1.ends_with("F18D"));
        assert!((65..=115).contains(&(seen[1].0 - start)), "{seen:?}");
        assert!((39..=58).contains(&(seen[1].0 - seen[0].0)), "{seen:?}");
    }
    visit.say(&format!("S{RELAY}F27D01AB"));
    visit.wait(60 * MS);
    visit.say(&format!("S{RELAY}F02D12"));
    assert_eq!(visit.texts(100 * MS), ["E07L04I81M", "R0012345004F02D12xxxx0010"]);
}

#[test]
fn one_module_speaks_at_a_time() {
    let mut visit = Visit::new(setup());
    for _ in 0..4 {
        visit.say(&format!("S{RELAY}F02D17"));
        visit.say(&format!("S{DIMMER}F02D12"));
    }
    let times: Vec<u64> = visit.wait(Duration::from_secs(2)).iter().map(|seen| seen.0).collect();
    assert_eq!(times.len(), 8);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 20), "{times:?}");
}

#[test]
fn a_fixed_bus_takes_exactly_so_long_for_each_exchange() {
    let mut visit = Visit::new(setup().with_timing(Timing::fixed(50 * MS)));
    visit.say(&format!("S{RELAY}F02D12"));
    visit.say(&format!("S{DIMMER}F02D12"));
    visit.say(&format!("S{RELAY}F27D00AB"));
    let times: Vec<u64> = visit.wait(Duration::from_secs(1)).iter().map(|seen| seen.0).collect();
    assert_eq!(times, [50, 100, 150, 200]);
}
