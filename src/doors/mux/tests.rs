//! Claims about the shared port, on values.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::judge::judge;
use super::port::{ClientId, Denied, Effect, Fate, Port, Ticket};
use super::*;
use crate::conbus::{Piece, Splitter};
use crate::policy::{BusError, Moment};

fn ms(ms: u64) -> Moment {
    Moment::after_start(Duration::from_millis(ms))
}

fn telegram(payload: &str) -> Telegram {
    Telegram::parse_payload(payload.as_bytes()).unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn rules(access: Access) -> Rules {
    Rules {
        access,
        firmware: false,
        allow: vec![Network { address: "10.0.0.0".parse().unwrap(), bits: 8 }],
        max_clients: 4,
        telegrams_per_second: 10,
    }
}

const READ_1: &str = "S0012345001F02D12";
const READ_2: &str = "S0012345002F02D12";
const ON_1: &str = "S0012345001F27D00AB";
const NAK_1: &str = "<R0012345001F19DFI>";

/// A port with an up link, and what it wants done in a line each.
struct Bench {
    port: Port,
    effects: Vec<Effect>,
    asked: Vec<(Ticket, Telegram)>,
    clients: Vec<ClientId>,
}

impl Bench {
    fn of(rules: Rules, clients: usize) -> Self {
        let mut port = Port::new(rules);
        port.link(true);
        let clients = (0..clients).map(|n| port.enter(address(&format!("10.0.0.{n}:7")), ms(0)).unwrap());
        let clients = clients.collect();
        Self { port, effects: vec![], asked: vec![], clients }
    }

    fn full(clients: usize) -> Self {
        Self::of(rules(Access::Full), clients)
    }

    fn says(&mut self, client: usize, payload: &str, now: u64) -> Fate {
        self.port.said(self.clients[client], &telegram(payload), ms(now), &mut self.effects)
    }

    fn end(&mut self, ticket: Ticket, outcome: Result<(), BusError>, now: u64) {
        self.port.ended(ticket, outcome, ms(now), &mut self.effects);
    }

    /// What is to be asked of the bus, without brackets, and what clients are told, as `0 <...>`.
    fn done(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.effects).into_iter().map(|effect| match effect {
            Effect::Ask { ticket, telegram, .. } => {
                let shown = String::from_utf8(telegram.payload()).unwrap();
                self.asked.push((ticket, telegram));
                shown
            }
            Effect::Tell { client, frame } => {
                let place = self.clients.iter().position(|known| *known == client).unwrap();
                format!("{place} {}", String::from_utf8(frame.to_vec()).unwrap())
            }
        });
        lines.collect()
    }

    /// The exchange that was asked last.
    fn last(&self) -> Ticket {
        self.asked.last().unwrap().0
    }
}

#[test]
fn each_access_allows_what_it_says() {
    let verdicts = |payload: &str| {
        [Access::Full, Access::NoWrite, Access::Listen]
            .map(|access| judge(&telegram(payload), access, false).map_err(|why| format!("{why:?}")))
    };
    let access = || Err("Access".to_owned());
    for (payload, kind) in
        [(READ_1, Kind::Read), ("S0012345001F03D04", Kind::Read), ("S0000000000F01D00", Kind::Discovery)]
    {
        assert_eq!(verdicts(payload), [Ok(kind), Ok(kind), access()], "{payload}");
    }
    for (payload, kind) in [
        (ON_1, Kind::Write),
        ("S0012345001F04D21PP", Kind::Write),
        ("S0012345001F05D00", Kind::Write),
        ("S0012345001F00D00", Kind::Write),
        ("S0012345001F99D00", Kind::Write),
        ("E02L04I00M", Kind::Write),
        ("O02L04I00B", Kind::Write),
        ("S0012345001F10D00", Kind::TableStart),
        ("S0012345001F11D00", Kind::TableStart),
        ("S0012345001F13D00", Kind::TableStart),
        ("S0012345001F16D00", Kind::TablePart),
        ("S0012345001F18D00", Kind::TablePart),
        ("S0012345001F19D00", Kind::TablePart),
    ] {
        assert_eq!(verdicts(payload), [Ok(kind), access(), access()], "{payload}");
    }
    for payload in ["S0000000000F02D12", "S0000000000F27D00AB", "S0000000000F11D00"] {
        assert_eq!(
            verdicts(payload),
            [Refusal::Broadcast; 3].map(|why| Err(format!("{why:?}"))),
            "{payload}"
        );
    }
    assert_eq!(verdicts("R0012345001F02D12xxxx1111")[0], Err("Impersonation".into()));
}

#[test]
fn firmware_is_rewritten_only_where_it_is_unlocked_and_writing_is_allowed() {
    for function in ["07", "08", "09", "20", "21", "22"] {
        let telegram = telegram(&format!("S0012345001F{function}D00"));
        assert_eq!(judge(&telegram, Access::Full, false), Err(Refusal::Firmware));
        assert_eq!(judge(&telegram, Access::NoWrite, true), Err(Refusal::Access));
        let kind = if matches!(function, "07" | "20") { Kind::FirmwareStart } else { Kind::FirmwarePart };
        assert_eq!(judge(&telegram, Access::Full, true), Ok(kind));
    }
}

#[test]
fn a_network_holds_its_addresses() {
    let holds = |net: &str, bits, one: &str| {
        Network { address: net.parse().unwrap(), bits }.holds(one.parse().unwrap())
    };
    assert!(holds("192.168.1.0", 24, "192.168.1.255") && !holds("192.168.1.0", 24, "192.168.2.0"));
    assert!(holds("192.168.1.7", 32, "::ffff:192.168.1.7") && !holds("192.168.1.7", 32, "192.168.1.6"));
    assert!(holds("0.0.0.0", 0, "8.8.8.8") && !holds("0.0.0.0", 0, "::1"));
    assert!(holds("fd00::", 8, "fdff::1") && !holds("fd00::", 8, "fe00::1") && holds("::", 0, "::1"));
}

#[test]
fn what_a_client_may_not_say_is_refused_as_a_module_refuses_and_to_that_client_alone() {
    let mut bench = Bench::of(rules(Access::NoWrite), 2);
    assert_eq!(bench.says(0, ON_1, 0), Fate::Refused(Refusal::Access));
    assert_eq!(bench.done(), [format!("0 {NAK_1}")]);
    for silent in ["E02L04I00M", "R0012345001F18D", "S0000000000F27D00AB", "S0012345001F26D00"] {
        assert!(matches!(bench.says(0, silent, 0), Fate::Refused(_)), "{silent}");
        assert_eq!(bench.done(), [""; 0], "the bus has no word for that: {silent}");
    }
    assert_eq!(bench.port.picture(ms(0))["clients"][0]["refused"], 5);
}

#[test]
fn a_client_has_one_telegram_under_way_and_its_order_holds() {
    let mut bench = Bench::full(1);
    for payload in [ON_1, READ_1, READ_2] {
        assert_eq!(bench.says(0, payload, 0), Fate::Taken);
    }
    assert_eq!(bench.done(), [ON_1]);
    bench.end(bench.last(), Ok(()), 50);
    assert_eq!(bench.done(), [READ_1]);
    bench.end(bench.last(), Err(BusError::TimedOut), 350);
    assert_eq!(bench.done(), [READ_2], "silence of one module does not end the others");
}

#[test]
fn clients_take_turns_however_much_one_of_them_says() {
    let mut bench = Bench::of(Rules { telegrams_per_second: 1, ..rules(Access::Full) }, 3);
    for n in 0..30 {
        bench.says(0, &format!("S00123450{n:02}F02D12"), 0);
    }
    bench.says(1, ON_1, 0);
    bench.says(2, READ_2, 0);
    let mut order = vec![];
    for turn in 0..4 {
        let asked = bench.done();
        order.extend(asked.iter().map(|line| line[10..11].to_owned() + &line[11..14]));
        while let Some((ticket, _)) = bench.asked.pop() {
            bench.end(ticket, Ok(()), turn * 50);
        }
    }
    assert_eq!(bench.port.picture(ms(0))["clients"][1]["dropped"], 0);
    assert!(order.len() <= 5, "four turns saved up at one a second: {order:?}");
    let position = |what: &str| order.iter().position(|one| one == what);
    assert!(position("1F27") < Some(3) && position("2F02") < Some(3), "{order:?}");
}

#[test]
fn all_clients_together_keep_the_rate_and_what_is_too_late_is_not_said() {
    let mut bench = Bench::of(Rules { telegrams_per_second: 2, ..rules(Access::Full) }, 1);
    let mut asked = 0;
    for n in 0..32 {
        bench.says(0, &format!("S00123450{n:02}F02D12"), 0);
    }
    for at in 0..400 {
        bench.port.due(ms(at * 10), &mut bench.effects);
        bench.done();
        while let Some((ticket, _)) = bench.asked.pop() {
            asked += 1;
            bench.end(ticket, Ok(()), at * 10);
            bench.done();
        }
    }
    // Eight saved up, one at once, two a second until three seconds have passed.
    assert!((13..=15).contains(&asked), "{asked}");
    assert_eq!(bench.port.picture(ms(0))["dropped_total"], 32 - asked);
    assert_eq!(bench.port.next_due(), None);
}

#[test]
fn a_33rd_telegram_that_would_wait_is_dropped() {
    let mut bench = Bench::full(1);
    let fates: Vec<Fate> = (0..40).map(|n| bench.says(0, &format!("S00123450{n:02}F02D12"), 0)).collect();
    assert_eq!(fates.iter().filter(|fate| **fate == Fate::Taken).count(), 33, "one under way, 32 wait");
    assert_eq!(fates[39], Fate::Dropped);
}

#[test]
fn equal_reads_of_clients_are_one_exchange_and_end_together() {
    let mut bench = Bench::full(3);
    for client in 0..3 {
        bench.says(client, READ_1, 0);
    }
    assert_eq!(bench.done(), [READ_1]);
    bench.port.written(&telegram(READ_1), ms(1), &mut bench.effects);
    assert_eq!(bench.done(), [""; 0], "nobody hears itself");
    bench.end(bench.last(), Ok(()), 50);
    for client in 0..3 {
        assert_eq!(bench.says(client, ON_1, 60), Fate::Taken);
    }
    assert_eq!(bench.done(), [ON_1, ON_1, ON_1], "writes are never joined");
    assert_eq!(bench.port.picture(ms(0))["joined_total"], 2);
}

#[test]
fn what_is_heard_goes_to_all_and_what_is_written_to_all_but_its_author() {
    let mut bench = Bench::full(2);
    bench.port.heard(&telegram("E07L01I80M"), &mut bench.effects);
    assert_eq!(bench.done(), ["0 <E07L01I80MAD>", "1 <E07L01I80MAD>"]);
    bench.says(0, ON_1, 0);
    bench.done();
    bench.port.written(&telegram(ON_1), ms(5), &mut bench.effects);
    assert_eq!(bench.done(), ["1 <S0012345001F27D00ABFH>"]);
    bench.end(bench.last(), Ok(()), 50);
    bench.port.written(&telegram(ON_1), ms(60), &mut bench.effects);
    assert_eq!(bench.done().len(), 2, "this one is the daemon's own");
}

#[test]
fn an_event_that_ends_before_it_is_heard_of_is_not_echoed_either() {
    let mut bench = Bench::full(2);
    bench.says(0, "E02L04I00M", 0);
    bench.done();
    bench.end(bench.last(), Ok(()), 1);
    bench.port.written(&telegram("E02L04I00M"), ms(1), &mut bench.effects);
    assert_eq!(bench.done(), ["1 <E02L04I00MAL>"]);
    bench.port.written(&telegram("E02L04I00M"), ms(70), &mut bench.effects);
    assert_eq!(bench.done().len(), 2, "pressed by somebody else");
}

#[test]
fn without_a_link_nothing_waits_and_nothing_is_said() {
    let mut bench = Bench::full(1);
    bench.says(0, ON_1, 0);
    bench.says(0, READ_1, 0);
    bench.done();
    bench.port.link(false);
    bench.end(bench.last(), Err(BusError::LinkDown), 10);
    assert_eq!(bench.says(0, READ_2, 20), Fate::Dropped);
    assert_eq!(bench.done(), [""; 0]);
    bench.port.link(true);
    assert_eq!(bench.says(0, READ_2, 30), Fate::Taken);
    assert_eq!(bench.done(), [READ_2]);
    assert_eq!(bench.port.picture(ms(0))["clients"][0]["dropped"], 3);
}

#[test]
fn a_transfer_has_its_module_to_itself_until_its_end() {
    let mut bench = Bench::full(2);
    assert_eq!(bench.says(0, "S0012345001F18D00", 0), Fate::Refused(Refusal::NoTransfer));
    assert_eq!(bench.done(), [format!("0 {NAK_1}")]);
    assert_eq!(bench.says(0, "S0012345001F11D00", 0), Fate::Taken);
    assert_eq!(bench.says(1, READ_1, 10), Fate::Refused(Refusal::InTransfer));
    assert_eq!(bench.says(1, READ_2, 10), Fate::Taken, "another module");
    assert_eq!(bench.says(1, "S0012345001F11D00", 10), Fate::Refused(Refusal::InTransfer));
    assert_eq!(bench.says(0, "S0012345001F18D00", 900), Fate::Taken);
    bench.port.heard(&telegram("R0012345001F16D"), &mut bench.effects);
    assert_eq!(bench.says(1, READ_1, 1000), Fate::Taken);
    assert_eq!(bench.port.picture(ms(0))["transfers_total"], 1);
}

#[test]
fn a_transfer_whose_client_says_nothing_more_or_goes_is_over() {
    for goes in [false, true] {
        let mut bench = Bench::full(2);
        bench.says(0, "S0012345001F10D00", 0);
        bench.done();
        bench.end(bench.last(), Ok(()), 50);
        assert_eq!(bench.port.next_due(), Some(ms(3050)));
        if goes {
            bench.port.leave(bench.clients[0]).unwrap();
        } else {
            assert_eq!(bench.says(1, READ_1, 3049), Fate::Refused(Refusal::InTransfer));
            bench.port.due(ms(3050), &mut bench.effects);
        }
        assert_eq!(bench.says(1, READ_1, 3050), Fate::Taken);
        assert_eq!(bench.port.picture(ms(0))["transfers_abandoned_total"], u64::from(!goes));
    }
}

#[test]
fn an_upload_ends_with_its_last_telegram_and_a_refused_one_at_once() {
    let mut bench = Bench::full(2);
    bench.says(0, "S0012345001F12D00", 0);
    bench.done();
    bench.end(bench.last(), Err(BusError::Refused), 50);
    assert_eq!(bench.says(1, READ_1, 60), Fate::Taken);
    bench.done();
    bench.end(bench.last(), Ok(()), 100);
    for step in ["S0012345001F10D00", "S0012345001F17DAAAA", "S0012345001F16D00"] {
        assert_eq!(bench.says(0, step, 200), Fate::Taken, "{step}");
        assert_eq!(bench.done(), [step]);
        assert_eq!(bench.says(1, READ_1, 210), Fate::Refused(Refusal::InTransfer), "{step}");
        bench.done();
        bench.end(bench.last(), Ok(()), 220);
    }
    assert_eq!(bench.says(1, READ_1, 230), Fate::Taken);
}

#[test]
fn firmware_has_the_bus_to_itself() {
    let mut bench = Bench::of(Rules { firmware: true, ..rules(Access::Full) }, 2);
    assert_eq!(bench.says(0, "S0012345001F07D00", 0), Fate::Taken);
    assert_eq!(bench.says(1, READ_2, 10), Fate::Refused(Refusal::InTransfer));
    assert_eq!(bench.says(1, "E02L04I00M", 10), Fate::Refused(Refusal::InTransfer));
    assert_eq!(bench.says(0, "S0012345001F09DAA", 20), Fate::Taken);
}

#[test]
fn what_a_client_changed_of_a_module_is_read_again_for_us() {
    let mut bench = Bench::full(1);
    bench.says(0, "S0012345001F04D21AA", 0);
    bench.done();
    bench.end(bench.last(), Ok(()), 50);
    assert_eq!(bench.done(), ["S0012345001F02D21"]);
    bench.end(bench.last(), Ok(()), 100);
    bench.says(0, "S0012345001F04D0425", 200);
    bench.done();
    bench.end(bench.last(), Err(BusError::Refused), 250);
    assert_eq!(bench.done(), [""; 0], "it was refused");
    bench.says(0, "S0012345001F04D1500:050", 300);
    bench.done();
    bench.end(bench.last(), Ok(()), 350);
    assert_eq!(bench.done(), [""; 0], "the cache looks after levels itself");
}

#[test]
fn strangers_and_those_too_many_are_not_let_in() {
    let mut bench = Bench::full(4);
    assert_eq!(bench.port.enter(address("10.0.0.9:1"), ms(0)), Err(Denied::Full));
    assert_eq!(bench.port.enter(address("192.168.1.9:1"), ms(0)), Err(Denied::Stranger));
    bench.port.leave(bench.clients[1]).unwrap();
    assert!(bench.port.enter(address("10.0.0.9:1"), ms(0)).is_ok());
    let picture = bench.port.picture(ms(1000));
    assert_eq!((&picture["strangers_total"], &picture["turned_away_total"]), (&1.into(), &1.into()));
    assert_eq!(picture["clients"][0]["connected_ms"], 1000);
}

#[test]
fn a_client_that_speaks_something_else_is_cut_off() {
    let mut bench = Bench::full(1);
    let id = bench.clients[0];
    assert!(bench.port.noise(id, 4000));
    bench.says(0, READ_1, 0);
    assert!(bench.port.noise(id, 4000), "a telegram makes up for it");
    assert!(!bench.port.noise(id, 4000));
}

proptest! {
    /// Whatever clients send in whatever order: no panic, one telegram of each under way at most, every exchange of a
    /// permitted telegram, and in the end nothing is left waiting.
    #[test]
    fn turns_are_kept_for_any_conversation(
        steps in prop::collection::vec((0usize..3, 0u8..30, 0u8..3, any::<bool>()), 1..150),
    ) {
        let mut bench = Bench::of(Rules { firmware: true, ..rules(Access::Full) }, 3);
        let mut now = 0;
        for (client, function, module, ends) in steps {
            let payload = match function {
                28 => "E02L04I00M".to_owned(),
                29 => "S0000000000F01D00".to_owned(),
                _ => format!("S001234500{module}F{function:02}D12"),
            };
            bench.says(client, &payload, now);
            bench.done();
            // Three clients, and reads that the port makes for itself.
            prop_assert!(bench.asked.len() <= 6, "{:?}", bench.asked);
            if ends && !bench.asked.is_empty() {
                let (ticket, _) = bench.asked.remove(0);
                let outcome = match function % 3 { 0 => Ok(()), 1 => Err(BusError::Refused), _ => Err(BusError::TimedOut) };
                bench.end(ticket, outcome, now);
                bench.done();
            }
            now += 37;
        }
        for _ in 0..200 {
            now += 500;
            while let Some((ticket, _)) = bench.asked.pop() {
                bench.end(ticket, Ok(()), now);
                bench.done();
            }
            bench.port.due(ms(now), &mut bench.effects);
            bench.done();
        }
        prop_assert_eq!(bench.port.next_due(), None);
    }

    /// Any bytes: what is not a telegram is nothing, the rest has a verdict.
    #[test]
    fn any_bytes_have_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut splitter = Splitter::new();
        let mut input = &bytes[..];
        while let Some(piece) = splitter.next_piece(&mut input) {
            if let Piece::Frame(frame) = piece {
                let _ = judge_frame(frame, &rules(Access::Full));
            }
        }
    }
}
