//! Clients and what they send.

use super::*;
use crate::conbus::{Command, Datapoint, System};

#[test]
fn requests_in_pieces_and_in_one_piece_and_between_noise_are_all_heard() {
    let mut visit = Visit::quick(setup());
    assert_eq!(visit.raw(b"<S00123450"), "");
    assert_eq!(
        visit.raw(b"04F02D12FF><S0012345004F02D10FH>\r\nzz<S<S0012345004F02D"),
        "<R0012345004F02D12xxxx0000FE><R0012345004F02D1000FG>"
    );
    assert_eq!(visit.raw(b"04FC>"), "<R0012345004F02D0404FH>");
    assert_eq!(visit.house.counters().telegrams_received, 3);
}

#[test]
fn a_request_with_a_bad_checksum_or_form_is_ignored() {
    let mut visit = Visit::quick(setup());
    assert_eq!(visit.raw(b"<S0012345004F02D12FE><S0012345004F2D12AA><>"), "");
    assert_eq!(visit.house.counters().noise_received, 3);
}

#[test]
fn a_second_client_is_refused() {
    let mut visit = Visit::quick(setup());
    assert_eq!(visit.house.arrive(MS), Arrival::Refused);
    assert!(visit.say(&format!("S{RELAY}F02D12")).contains("D12"));
    let counters = visit.house.counters();
    assert_eq!(
        (counters.connections, counters.connections_refused, counters.connections_open_max),
        (1, 1, 2)
    );
}

#[test]
fn a_second_client_takes_over_where_the_gateway_does_that() {
    let mut visit = Visit::quick(HouseSetup { second_client: SecondClient::TakeOver, ..setup() });
    let Arrival::Welcome(second) = visit.house.arrive(MS) else { panic!("it takes over") };
    assert_eq!(visit.house.collect(visit.client).ending, Some(Ending::Fin));
    assert_eq!(visit.say(&format!("S{RELAY}F02D12")), "", "the first is not heard any more");
    visit.client = second;
    assert!(visit.say(&format!("S{RELAY}F02D12")).contains("D12"));
}

#[test]
fn modules_keep_their_state_and_live_on_while_nobody_is_connected() {
    let mut visit = Visit::quick(setup());
    visit.say(&format!("S{RELAY}F27D00AB"));
    visit.house.leave(Duration::from_secs(1), visit.client);
    visit.house.turn(Duration::from_secs(2), point(RELAY, 1), true);
    visit.now = Duration::from_secs(4);
    let Arrival::Welcome(client) = visit.house.arrive(visit.now) else { panic!("the door is free") };
    visit.client = client;
    assert_eq!(visit.say(&format!("S{RELAY}F02D12")), "R0012345004F02D12xxxx0011", "and the report is gone");
    assert_eq!(visit.house.counters().connection_gap_min, Some(Duration::from_secs(3)));
}

#[test]
fn half_a_request_of_one_client_is_not_joined_with_the_next_ones() {
    let mut visit = Visit::quick(setup());
    visit.raw(b"<S0012345004F02D");
    visit.house.leave(MS, visit.client);
    let Arrival::Welcome(client) = visit.house.arrive(2 * MS) else { panic!("the door is free") };
    visit.client = client;
    visit.now = 2 * MS;
    assert_eq!(visit.raw(b"12FF>"), "");
}

#[test]
fn a_panel_is_heard_and_a_clients_own_telegrams_are_not_echoed() {
    let mut visit = Visit::quick(setup());
    assert_eq!(visit.raw(b"<E14L00I02MAK>"), "");
    visit.house.overhear(MS, Telegram::parse_payload(b"E14L00I02M").unwrap());
    visit.now = MS;
    assert_eq!(visit.raw(b""), "<E14L00I02MAK>");
    let mut visit = Visit::quick(HouseSetup { echo_events: true, ..setup() });
    assert_eq!(visit.raw(b"<E14L00I02MAK>"), "<E14L00I02MAK>", "unless the gateway does that");
}

#[test]
fn what_another_master_asks_is_heard_with_its_answer() {
    let mut visit = Visit::quick(setup());
    visit.house.overhear(
        MS,
        System::command(serial(RELAY), Command::SetOutput(OutputIndex::new(0).unwrap(), true)).into(),
    );
    assert_eq!(visit.texts(10 * MS), ["S0012345004F27D00AB", "R0012345004F18D", "E07L04I80M"]);
    visit.house.overhear(visit.now, System::read(serial(RELAY), Datapoint::OUTPUTS).into());
    assert_eq!(visit.texts(10 * MS), ["S0012345004F02D12", "R0012345004F02D12xxxx0001"]);
}

#[test]
fn a_client_that_asks_without_end_does_not_fill_the_memory() {
    let mut visit = Visit::new(setup());
    let request = Telegram::parse_payload(b"S0012345004F02D12").unwrap().to_bytes();
    for _ in 0..100 {
        visit.house.take_bytes(visit.now, visit.client, &request.repeat(50));
        visit.wait(20 * MS);
    }
    let answered = visit.wait(Duration::from_secs(120)).len();
    assert!((900..=1200).contains(&answered), "{answered}");
    assert!(visit.house.counters().telegrams_dropped > 3_000);
    visit.say("S0012345004F02D10");
    assert_eq!(visit.texts(100 * MS), ["R0012345004F02D1000"], "and it is still there");
}
