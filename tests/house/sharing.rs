//! The shared port: other programs beside this house's own readers and writers.

use std::cell::RefCell;
use std::rc::Rc;

use actix::Actor;
use conbusd::actors::events::{GetState, Measure};
use conbusd::actors::{ask, now};
use conbusd::conbus::{Percent, Piece, Splitter, Telegram};
use conbusd::policy::Freshness;
use conbusd::policy::figures::Amount;
use conbusd::policy::store::Want;
use conbusd::policy::switch::{Target, Until};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};

use crate::support::{
    Builder, House, house_of_24, in_virtual_time, ms, pass, point, points_of_24, seconds, serial,
};

/// Another program at the port; a careful one hears all the time.
struct Guest {
    mouth: WriteHalf<DuplexStream>,
    heard: Rc<RefCell<Vec<String>>>,
    is_gone: Rc<RefCell<bool>>,
}

fn shared(more: &str) -> Builder {
    house_of_24().section(&format!("[mux]\n{more}"))
}

impl Guest {
    fn at(house: &House) -> Self {
        let (ear, mouth) = tokio::io::split(Self::deaf(house, 4096));
        let (heard, is_gone) = (Rc::<RefCell<Vec<String>>>::default(), Rc::new(RefCell::new(false)));
        tokio::task::spawn_local(hear(ear, heard.clone(), is_gone.clone()));
        Self { mouth, heard, is_gone }
    }

    /// One that reads nothing; its socket holds so many bytes.
    fn deaf(house: &House, bytes: usize) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(bytes);
        house.shared.as_ref().unwrap().desk().welcome(theirs, "127.0.0.1:5000".parse().unwrap());
        ours
    }

    async fn say(&mut self, payload: &str) {
        let telegram = Telegram::parse_payload(payload.as_bytes()).unwrap();
        self.mouth.write_all(&telegram.to_bytes()).await.unwrap();
    }

    /// What it has heard since it was last asked.
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.borrow_mut())
    }

    /// Waits for a telegram that begins so.
    async fn hears(&self, begins: &str) -> String {
        for _ in 0..400 {
            if let Some(found) = self.heard.borrow().iter().find(|one| one.starts_with(begins)) {
                return found.clone();
            }
            pass(ms(10)).await;
        }
        panic!("no `{begins}` in {:?}", self.heard.borrow());
    }
}

async fn hear(mut ear: ReadHalf<DuplexStream>, heard: Rc<RefCell<Vec<String>>>, is_gone: Rc<RefCell<bool>>) {
    let (mut splitter, mut buffer) = (Splitter::new(), [0; 1024]);
    while let Ok(count @ 1..) = ear.read(&mut buffer).await {
        let mut input = &buffer[..count];
        while let Some(piece) = splitter.next_piece(&mut input) {
            let Piece::Frame(frame) = piece else { panic!("noise") };
            heard.borrow_mut().push(Telegram::parse(frame).unwrap().to_string());
        }
    }
    *is_gone.borrow_mut() = true;
}

async fn picture(house: &House) -> Value {
    // What is under way in tasks and mailboxes arrives.
    pass(ms(50)).await;
    house.shared.as_ref().unwrap().desk().picture()
}

fn brightness(n: u8) -> Target {
    Target { on: None, level: Percent::new(n) }
}

#[test]
fn two_programs_read_and_switch_over_one_connection_and_the_house_sees_it() {
    in_virtual_time(async {
        let house = shared("").warm().await;
        let (mut one, mut other) = (Guest::at(&house), Guest::at(&house));
        one.say("S0012345001F27D00AB").await;
        other.say("S0012345002F02D12").await;
        assert_eq!(one.hears("<R0012345001F18").await, "<R0012345001F18DFJ>");
        assert_eq!(other.hears("<R0012345002F02D12").await, "<R0012345002F02D12xxxx0000FC>");
        pass(ms(200)).await;
        let heard = one.heard();
        let of_other = |begins: &str| heard.iter().filter(|one| one.starts_with(begins)).count();
        assert_eq!(of_other("<S0012345001F27"), 0, "nobody hears itself: {heard:?}");
        assert_eq!(of_other("<S0012345002F02D12"), 1, "but the others, as on a bus");
        assert_eq!(of_other("<R0012345002F02D12"), 1);
        assert_eq!(of_other("<E07L01I80M"), 1);
        let lamp = house.known(0).await;
        assert_eq!((lamp.on, lamp.freshness), (Some(true), Freshness::Fresh));
        assert_eq!(house.emulator().counters().connections_open_max, 1);
        let told = picture(&house).await;
        assert_eq!((&told["sent_total"], &told["clients"][1]["sent"]), (&2.into(), &1.into()));
        house.finish().await;
    });
}

#[test]
fn a_programs_reply_is_a_value_for_everybody() {
    in_virtual_time(async {
        let house = shared("").section("[poller]\nenabled = false").warm().await;
        let mut guest = Guest::at(&house);
        pass(seconds(60)).await;
        guest.heard();
        guest.say("S0012345001F02D12").await;
        guest.hears("<R0012345001F02D12").await;
        let before = house.telegrams();
        assert_eq!(house.known(0).await.freshness, Freshness::Fresh);
        assert_eq!(house.telegrams(), before, "no read was needed");
        house.finish().await;
    });
}

#[test]
fn a_programs_write_is_not_undone_by_a_read_from_before_it() {
    in_virtual_time(async {
        let house = shared("").warm().await;
        let mut guest = Guest::at(&house);
        for round in 0..6u8 {
            let (action, on) = if round % 2 == 0 { ("AB", true) } else { ("AA", false) };
            // A read of ours is on the wire while the command comes.
            let read = ask(house.accessory(0), GetState { max_age: Want::Since(now()) }, seconds(4));
            let reading = tokio::task::spawn_local(read);
            guest.say(&format!("S0012345001F27D00{action}")).await;
            reading.await.unwrap().unwrap();
            pass(ms(400)).await;
            assert_eq!(house.known(0).await.on, Some(on), "round {round}");
        }
        house.finish().await;
    });
}

#[test]
fn a_persons_command_waits_for_one_telegram_at_most_however_much_programs_say() {
    in_virtual_time(async {
        let house = shared("").warm().await;
        let mut guests: Vec<Guest> = (0..4).map(|_| Guest::at(&house)).collect();
        for (n, guest) in guests.iter_mut().enumerate() {
            for module in 1..=7 {
                for datapoint in ["02", "04", "07", "10"] {
                    guest.say(&format!("S001234500{module}F02D{datapoint}")).await;
                }
            }
            guest.say(&format!("S001234500{}F27D03AB", n % 3 + 1)).await;
        }
        pass(ms(130)).await;
        let asked = now();
        house.switch(4, true).await.unwrap();
        let waited = now().since(asked);
        // The telegram on the wire, the pause, the command, its report.
        assert!(waited < ms(50 + 20 + 50 + 50 + 20), "{waited:?}");
        for index in [1, 12] {
            let asked = now();
            house.get(index, Want::Since(now())).await.unwrap();
            assert!(now().since(asked) < ms(300), "a reader of ours waits for no queue either");
        }
        pass(seconds(5)).await;
        let received = house.emulator().received();
        let close = received.windows(2).filter(|pair| pair[1].0.saturating_sub(pair[0].0) < ms(20)).count();
        assert_eq!(close, 0, "however many talk, one telegram after another");
        house.finish().await;
    });
}

#[test]
fn equal_reads_of_programs_and_of_the_house_are_one_telegram() {
    in_virtual_time(async {
        let house = shared("").section("[poller]\nenabled = false").warm().await;
        let mut guests: Vec<Guest> = (0..3).map(|_| Guest::at(&house)).collect();
        let before = house.sent("<S0012345002F02D12FD>");
        for guest in &mut guests {
            guest.say("S0012345001F02D12").await;
            guest.say("S0012345002F02D12").await;
        }
        for guest in &guests {
            guest.hears("<R0012345002F02D12").await;
        }
        assert!(house.sent("<S0012345002F02D12FD>") - before <= 2, "three asked");
        assert!(picture(&house).await["joined_total"].as_u64() >= Some(2));
        house.finish().await;
    });
}

#[test]
fn a_port_that_may_not_write_says_nak_and_the_bus_hears_nothing() {
    in_virtual_time(async {
        let house = shared("access = \"no-write\"").warm().await;
        let mut guest = Guest::at(&house);
        let before = house.telegrams();
        guest.say("S0012345001F27D00AB").await;
        guest.say("E02L04I00M").await;
        guest.say("S0012345001F07D00").await;
        assert_eq!(guest.hears("<R").await, "<R0012345001F19DFI>");
        pass(seconds(1)).await;
        let naks = guest.heard().iter().filter(|one| *one == "<R0012345001F19DFI>").count();
        assert_eq!(naks, 2, "an event has no answer");
        assert_eq!(house.telegrams(), before);
        guest.say("S0012345001F02D12").await;
        guest.hears("<R0012345001F02D12xxxx0000").await;
        assert_eq!(picture(&house).await["refused_total"], 3);
        house.finish().await;
    });
}

#[test]
fn a_link_that_is_lost_is_silence_and_programs_need_not_come_again() {
    in_virtual_time(async {
        let house = shared("").warm().await;
        let mut guest = Guest::at(&house);
        house.emulator().gateway_up(false);
        pass(seconds(1)).await;
        guest.heard();
        guest.say("S0012345001F27D00AB").await;
        pass(seconds(2)).await;
        assert_eq!(guest.heard(), [""; 0]);
        house.emulator().gateway_up(true);
        pass(seconds(20)).await;
        assert_eq!(
            house.emulator().output(point(1, 0)).unwrap().1,
            Percent::OFF,
            "it was not kept for later"
        );
        guest.heard();
        guest.say("S0012345001F02D12").await;
        guest.hears("<R0012345001F02D12").await;
        assert!(!*guest.is_gone.borrow());
        assert_eq!(picture(&house).await["clients"][0]["dropped"], 1);
        house.finish().await;
    });
}

#[test]
fn a_program_that_does_not_read_is_cut_off_and_holds_nobody_up() {
    in_virtual_time(async {
        let house = shared("").warm().await;
        let deaf = Guest::deaf(&house, 64);
        let guest = Guest::at(&house);
        for round in 0..400u32 {
            house.emulator().turn(point(1, 0), round % 2 == 0);
            pass(ms(60)).await;
        }
        let told = picture(&house).await;
        assert_eq!(told["clients"].as_array().unwrap().len(), 1, "{told}");
        drop(deaf);
        assert!(guest.heard().len() >= 400);
        house.finish().await;
    });
}

#[test]
fn a_transfer_has_its_module_to_itself_and_a_program_that_goes_away_gives_it_back() {
    in_virtual_time(async {
        let house = shared("").warm().await;
        let (mut one, mut other) = (Guest::at(&house), Guest::at(&house));
        one.say("S0012345001F11D00").await;
        one.hears("<R0012345001F17DAAAA").await;
        other.say("S0012345001F02D12").await;
        assert_eq!(other.hears("<R0012345001F19").await, "<R0012345001F19DFI>");
        for chunk in 1..15u8 {
            one.say("S0012345001F18D00").await;
            one.hears(&format!("<R0012345001F17DAAA{}", char::from(b'A' + chunk))).await;
        }
        one.say("S0012345001F18D00").await;
        one.hears("<R0012345001F16D").await;
        pass(seconds(4)).await;
        other.heard();
        other.say("S0012345001F02D12").await;
        other.hears("<R0012345001F02D12").await;
        // The second one stops in the middle.
        one.say("S0012345002F11D00").await;
        one.hears("<R0012345002F17DAAAA").await;
        let begun = now();
        let answer = house.switch(4, true).await;
        assert!(answer.is_ok(), "{answer:?}");
        let waited = now().since(begun);
        assert!(waited > seconds(2) && waited < seconds(4), "{waited:?}");
        let told = picture(&house).await;
        assert_eq!((&told["transfers_total"], &told["transfers_abandoned_total"]), (&2.into(), &1.into()));
        house.finish().await;
    });
}

#[test]
fn a_storm_reaches_programs_as_a_handful_of_telegrams() {
    in_virtual_time(async {
        let house = shared("").warm().await;
        let mut guest = Guest::at(&house);
        guest.heard();
        house.emulator().storm(serial(4), 500);
        for round in 0..5 {
            guest.say("S0012345001F02D12").await;
            guest.hears("<R0012345001F02D12").await;
            pass(ms(200)).await;
            let heard = guest.heard();
            assert!(heard.len() < 60, "round {round}: {} telegrams", heard.len());
        }
        pass(seconds(10)).await;
        assert!(house.wrong(&points_of_24()).await.is_empty());
        house.finish().await;
    });
}

#[test]
fn an_injected_event_makes_the_house_look() {
    in_virtual_time(async {
        let table = "CP20 4 0 > 1 ON".parse().unwrap();
        let house = shared("")
            .emulated(move |setup| {
                setup.modules[1].auto_report = false;
                setup.modules[1].table = conbusd::conbus::ActionTable::from_entries(&[table]).unwrap();
            })
            .warm()
            .await;
        let mut guest = Guest::at(&house);
        house.set(12, brightness(10), Until::Accepted).await.unwrap();
        guest.say("E02L04I00M").await;
        guest.say("E02L04I00B").await;
        pass(ms(800)).await;
        assert_eq!(house.get(0, Want::Any).await.unwrap().on, Some(true));
        house.finish().await;
    });
}

#[test]
fn what_is_no_telegram_and_what_rewrites_firmware_never_reaches_the_bus() {
    in_virtual_time(async {
        for (more, reaches) in [("", false), ("firmware = true", true)] {
            let house = shared(more).warm().await;
            let mut guest = Guest::at(&house);
            let before = house.telegrams();
            for wrong in [
                "<S0012345001F27D00ABZZ>",
                "<S0012345001F27D00AB>",
                "S0012345001F27D00ABFH",
                "<E02L00I00MAA>",
            ] {
                guest.mouth.write_all(wrong.as_bytes()).await.unwrap();
            }
            pass(seconds(1)).await;
            assert_eq!(house.telegrams(), before, "a wrong checksum, none, no frame");
            assert!(!house.emulator().output(point(1, 0)).unwrap().0);
            guest.say("S0012345001F07D00").await;
            pass(ms(400)).await;
            let written = house.telegrams() - before;
            assert_eq!(written > 0, reaches, "{more}: {written} telegrams");
            let told = picture(&house).await;
            assert_eq!(told["refused_total"] == 1, !reaches, "{told}");
            house.finish().await;
        }
    });
}

#[test]
fn the_ports_figures_tell_its_clients_and_what_became_of_their_telegrams() {
    in_virtual_time(async {
        let house = shared("access = \"no-write\"\nmax_clients = 2").warm().await;
        let (mut one, _other) = (Guest::at(&house), Guest::at(&house));
        let _third = Guest::at(&house);
        one.say("S0012345001F02D12").await;
        one.hears("<R0012345001F02D12").await;
        one.say("S0012345001F27D00AB").await;
        one.hears("<R0012345001F19").await;
        pass(ms(50)).await;
        let hub = house.shared.as_ref().unwrap().desk().hub().start();
        let sheet = ask(&hub, Measure, seconds(1)).await.unwrap();
        let amount = |name: &str, labels: &[&str]| {
            let (_, amounts) = sheet.families().find(|(family, _)| family.name == name).expect(name);
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            match amounts.get(&labels) {
                Some(Amount::Count(count)) => *count,
                Some(Amount::Level(level)) => *level as u64,
                other => panic!("{name} {labels:?}: {other:?}"),
            }
        };
        assert_eq!(amount("conbusd_proxy_clients", &["home"]), 2);
        assert_eq!(amount("conbusd_proxy_telegrams_total", &["home", "sent"]), 2);
        assert_eq!(amount("conbusd_proxy_telegrams_total", &["home", "refused"]), 1);
        assert_eq!(amount("conbusd_proxy_clients_denied_total", &["home", "full"]), 1);
        assert_eq!(amount("conbusd_proxy_clients_denied_total", &["home", "stranger"]), 0);
        house.finish().await;
    });
}
