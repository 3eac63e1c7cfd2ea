//! What goes wrong.

use super::*;

#[test]
fn a_storm_repeats_the_last_answer_until_the_error_code_is_read() {
    let mut visit = Visit::new(setup());
    visit.say(&format!("S{DIMMER}F02D12"));
    visit.wait(100 * MS);
    visit.house.storm(visit.now, serial(DIMMER), 200, 1);
    let storm = visit.texts(Duration::from_secs(1));
    assert_eq!(storm.len(), 200);
    assert!(storm.iter().all(|text| text == "R0012345011F02D12xxxxx000"));
    visit.say(&format!("S{DIMMER}F02D12"));
    visit.say(&format!("S{RELAY}F02D12"));
    let other: Vec<String> = visit.texts(100 * MS).into_iter().filter(|text| text.contains(RELAY)).collect();
    assert_eq!(other, ["R0012345004F02D12xxxx0000"], "its neighbours answer");
    visit.say(&format!("S{DIMMER}F02D10"));
    let seen = visit.texts(Duration::from_secs(2));
    assert_eq!(seen.last().unwrap(), "R0012345011F02D10FE");
    visit.say(&format!("S{DIMMER}F02D10"));
    assert_eq!(visit.texts(MS * 100), ["R0012345011F02D1000"]);
}

#[test]
fn faults_strike_what_the_client_hears_and_are_counted() {
    let mut visit = Visit::quick(setup());
    let read = format!("S{RELAY}F02D12");
    for (kind, heard) in [
        (FaultKind::LostReply, vec![]),
        (FaultKind::BadChecksum, vec!["noise Checksum"]),
        (FaultKind::Doubled, vec!["R0012345004F02D12xxxx0000"; 2]),
        (FaultKind::Silence, vec![]),
        (FaultKind::LateReply(300 * MS), vec!["R0012345004F02D12xxxx0000"]),
    ] {
        visit.house.fault(Fault::on(serial(RELAY), kind, Dose::Next(1)));
        visit.house.take_bytes(
            visit.now,
            visit.client,
            &Telegram::parse_payload(read.as_bytes()).unwrap().to_bytes(),
        );
        let late = visit.texts(299 * MS);
        let all = [late.clone(), visit.texts(2 * MS)].concat();
        assert_eq!(all, heard, "{kind:?}");
        assert_eq!(late.is_empty() && !all.is_empty(), matches!(kind, FaultKind::LateReply(_)));
        assert_eq!(visit.house.counters().faults[kind.name()], 1);
    }
    visit.house.fault(Fault::everywhere(FaultKind::LostReport, Dose::ALWAYS));
    visit.turn(RELAY, 0, true);
    assert_eq!(visit.texts(MS), [""; 0]);
    assert_eq!(visit.output(RELAY, 0), Some((true, Percent::FULL)), "the lamp is on all the same");
    visit.house.clear_faults();
    visit.turn(RELAY, 0, false);
    assert_eq!(visit.texts(MS), ["E07L04I80B"]);
}

#[test]
fn a_truncated_telegram_does_not_hide_the_next() {
    let mut visit = Visit::quick(setup());
    visit.house.fault(Fault::on(serial(RELAY), FaultKind::Truncated, Dose::Next(1)));
    let bytes = visit.raw(b"<S0012345004F02D12FF>") + &visit.raw(b"<S0012345004F02D10FH>");
    assert!(bytes.ends_with("<R0012345004F02D1000FG>") && bytes.matches('<').count() == 2, "{bytes}");
    assert_eq!(bytes.matches('>').count(), 1);
}

#[test]
fn a_refused_command_is_not_done() {
    let mut visit = Visit::quick(setup());
    visit.house.fault(Fault::on(serial(RELAY), FaultKind::Refusal, Dose::Next(1)));
    assert_eq!(visit.say(&format!("S{RELAY}F27D00AB")), "R0012345004F19D");
    assert_eq!(visit.output(RELAY, 0), Some((false, Percent::OFF)));
}

#[test]
fn a_reordered_answer_is_overtaken() {
    let mut visit = Visit::new(setup());
    visit.house.fault(Fault::on(serial(RELAY), FaultKind::ReorderedReply, Dose::Next(1)));
    visit.say(&format!("S{RELAY}F02D12"));
    visit.wait(30 * MS);
    visit.say(&format!("S{DIMMER}F02D12"));
    assert_eq!(visit.texts(400 * MS), ["R0012345011F02D12xxxxx000", "R0012345004F02D12xxxx0000"]);
}

#[test]
fn answers_to_a_discovery_collide() {
    let mut visit = Visit::new(setup());
    visit.house.fault(Fault::everywhere(FaultKind::Collision, Dose::Next(1)));
    visit.say("S0000000000F01D00");
    assert_eq!(visit.texts(400 * MS), ["R0012345001F01D", "noise Checksum"]);
    visit.say("S0000000000F01D00");
    assert_eq!(visit.texts(400 * MS).len(), 3, "the next one finds them");
}

#[test]
fn a_restarted_module_is_deaf_until_it_reports_everything() {
    let mut visit = Visit::new(setup());
    visit.house.restart(visit.now, serial(RELAY));
    visit.say(&format!("S{RELAY}F02D12"));
    assert_eq!(visit.texts(Duration::from_secs(2)), [""; 0]);
    let seen = visit.wait(Duration::from_secs(1));
    assert_eq!(seen.len(), 8);
    assert!((100..=160).contains(&(seen[7].0 - seen[0].0)), "{seen:?}");
    assert_eq!(seen[7].1, "E07L04I87B");
}

#[test]
fn the_gateway_goes_down_and_comes_back() {
    let mut visit = Visit::quick(setup());
    visit.house.gateway_up(MS, false);
    assert_eq!(visit.house.collect(visit.client).ending, Some(Ending::Fin));
    assert_eq!(visit.house.arrive(2 * MS), Arrival::Refused);
    visit.house.gateway_up(3 * MS, true);
    assert!(matches!(visit.house.arrive(4 * MS), Arrival::Welcome(_)));
    visit.house.drop_client(5 * MS, Ending::Rst);
    visit.house.refuse_until(10 * MS);
    assert_eq!(visit.house.arrive(9 * MS), Arrival::Refused);
    assert!(matches!(visit.house.arrive(10 * MS), Arrival::Welcome(_)));
}

#[test]
fn a_black_hole_takes_bytes_and_gives_none() {
    let mut visit = Visit::quick(setup());
    visit.house.drop_client(MS, Ending::BlackHole);
    assert_eq!(visit.say(&format!("S{RELAY}F27D00AB")), "");
    assert_eq!(visit.output(RELAY, 0), Some((false, Percent::OFF)), "nothing comes through");
    visit.turn(RELAY, 0, true);
    assert_eq!(visit.texts(MS), [""; 0]);
}

#[test]
fn a_dimmer_puts_its_type_code_before_the_bitmap_now_and_then() {
    let mut visit = Visit::quick(setup());
    visit.house.fault(Fault::on(serial(DIMMER), FaultKind::TypeCodePrefix, Dose::Next(1)));
    assert_eq!(visit.say(&format!("S{DIMMER}F02D10")), format!("R{DIMMER}F02D1000"));
    assert_eq!(visit.say(&format!("S{DIMMER}F02D12")), format!("R{DIMMER}F02D1235xxxxx000"));
    assert_eq!(visit.say(&format!("S{DIMMER}F02D12")), format!("R{DIMMER}F02D12xxxxx000"));
    assert_eq!(visit.house.counters().faults["type_code_prefix"], 1);
}

#[test]
fn a_slow_module_is_slow_and_the_others_are_not() {
    let mut visit = Visit::new(setup());
    visit.house.set_latency(visit.now, serial(RELAY), 500 * MS);
    visit.say(&format!("S{RELAY}F02D12"));
    visit.say(&format!("S{DIMMER}F02D12"));
    let seen = visit.wait(700 * MS);
    assert!(seen[0].1.starts_with(&format!("R{DIMMER}")) && seen[0].0 < 80, "{seen:?}");
    assert!(seen[1].1.starts_with(&format!("R{RELAY}")) && seen[1].0 > 540, "{seen:?}");
}

#[test]
fn accidents_are_counted_like_faults() {
    let mut visit = Visit::quick(setup());
    visit.house.noise(MS, b"<R00<E0");
    assert_eq!(visit.raw(b""), "<R00<E0");
    visit.house.restart(MS, serial(RELAY));
    visit.house.storm(MS, serial(DIMMER), 2, 1);
    visit.house.drop_client(MS, Ending::Rst);
    let faults = visit.house.counters().faults;
    assert_eq!(["noise", "restart", "storm", "disconnect"].map(|name| faults[name]), [1; 4]);
}
