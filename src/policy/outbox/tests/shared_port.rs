//! Claims about what clients of the shared port can do to the outbox, and what not.

use super::*;

fn telegram(text: &str) -> Telegram {
    Telegram::parse_payload(text.as_bytes()).unwrap()
}

/// A transfer to or from module 1.
fn transfer(function: u8, more: &str) -> Telegram {
    telegram(&format!("S0012345001F{function}D{more}"))
}

fn said(function: u8, more: &str) -> Telegram {
    telegram(&format!("R0012345001F{function}D{more}"))
}

#[test]
fn the_refused_write_of_a_client_says_nothing_about_our_commands() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(telegram("S0012345001F04D0425"), Urgency::MuxClient);
    bench.due(0);
    assert_eq!(bench.heard(&Reply::nak(serial(1)).into(), 50), ["wire Refused", "1 Refused"]);
    bench.submit(telegram("S0012345001F04D1500:040"), Urgency::Command);
    assert_eq!(bench.due(100), ["<S0012345001F04D1500:040FP>"]);
}

#[test]
fn a_clients_read_is_not_repeated_unless_somebody_here_waits_for_it_too() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(read(1), Urgency::MuxClient);
    bench.due(0);
    assert_eq!(bench.due(300), ["wire TimedOut", "1 TimedOut"]);
    bench.submit(read(1), Urgency::MuxClient);
    bench.submit(read(1), Urgency::Reader);
    bench.due(400);
    assert_eq!(bench.due(700), ["wire TimedOut"]);
}

#[test]
fn a_clients_discovery_holds_a_command_up_for_as_long_as_modules_answer() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(System::discover().into(), Urgency::MuxClient);
    bench.due(0);
    bench.submit(switch(1), Urgency::Command);
    assert_eq!(bench.due(399), [""; 0]);
    assert_eq!(bench.due(400), ["wire Answered", "1 ok"]);
    assert_eq!(bench.due(420), ["<S0012345001F27D00ABFH>"]);
}

#[test]
fn a_download_is_one_exchange_a_chunk_and_has_the_module_to_itself() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(transfer(11, "00"), Urgency::MuxClient);
    bench.due(0);
    bench.submit(switch(1), Urgency::Command);
    bench.submit(read(1), Urgency::Reader);
    bench.submit(read(2), Urgency::Poll);
    assert_eq!(bench.heard(&Reply::ack(serial(1)).into(), 50), [""; 0], "the chunk follows by itself");
    assert_eq!(bench.heard(&said(17, "AAAA"), 120), ["wire Answered", "1 ok"]);
    assert_eq!(bench.due(140), ["<S0012345002F02D12FD>"], "another module");
    bench.heard(&value(2, "xxxx0000"), 190);
    assert_eq!(bench.due(210), [""; 0]);
    bench.submit(transfer(18, "00"), Urgency::MuxClient);
    assert_eq!(bench.due(220), ["<S0012345001F18D00FI>"]);
    assert_eq!(bench.heard(&said(16, ""), 270), ["wire Answered", "5 ok"]);
    assert_eq!(bench.due(3269), [""; 0], "the module restarts");
    assert_eq!(bench.due(3270), ["<S0012345001F27D00ABFH>"], "the command first");
}

#[test]
fn an_upload_may_take_its_time_and_a_client_that_goes_away_blocks_nobody_for_long() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(transfer(10, "00"), Urgency::MuxClient);
    bench.due(0);
    bench.heard(&Reply::ack(serial(1)).into(), 50);
    bench.submit(transfer(17, "AAAA"), Urgency::MuxClient);
    bench.due(100);
    assert_eq!(bench.due(460), [""; 0], "flash is slow");
    assert_eq!(bench.heard(&Reply::ack(serial(1)).into(), 470), ["wire Answered", "2 ok"]);
    bench.submit(switch(1), Urgency::Command);
    assert_eq!(bench.outbox.next_due(), Some(ms(3100)));
    assert_eq!(bench.due(3100), ["<S0012345001F27D00ABFH>"]);
}

#[test]
fn a_transfer_that_the_module_refuses_holds_nothing_up() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(transfer(13, "00"), Urgency::MuxClient);
    bench.due(0);
    assert_eq!(bench.heard(&Reply::nak(serial(1)).into(), 50), ["wire Refused", "1 Refused"]);
    bench.submit(switch(1), Urgency::Command);
    assert_eq!(bench.due(70), ["<S0012345001F27D00ABFH>"]);
}

#[test]
fn firmware_has_the_whole_bus() {
    let mut bench = Bench::with(OutboxPlan::default());
    bench.submit(telegram("S0012345001F07D00"), Urgency::MuxClient);
    bench.due(0);
    bench.heard(&Reply::ack(serial(1)).into(), 50);
    bench.submit(switch(2), Urgency::Command);
    bench.submit(button(), Urgency::Command);
    assert_eq!(bench.due(100), [""; 0]);
    bench.submit(telegram("S0012345001F08D00"), Urgency::MuxClient);
    bench.due(200);
    bench.heard(&Reply::ack(serial(1)).into(), 250);
    assert_eq!(bench.due(270), ["<S0012345002F27D00ABFE>"], "only the module itself restarts");
}
