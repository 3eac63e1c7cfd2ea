//! What writers are told, and what reaches the bus.

use conbusd::actors::now;
use conbusd::conbus::{ActionTable, Percent};
use conbusd::emulator::{Dialect, DirectSwitching, Dose, Fault, FaultKind};
use conbusd::policy::switch::{Cause, Target, Until};
use conbusd::policy::{BusError, Freshness, Origin};

use crate::support::{House, house_of_24, in_virtual_time, ms, pass, point, seconds, serial};

fn level(n: u8) -> Target {
    Target { on: None, level: Percent::new(n) }
}

fn truth(house: &House, module: u8, output: u8) -> u8 {
    house.emulator().output(point(module, output)).unwrap().1.get()
}

#[test]
fn a_command_is_confirmed_by_its_report() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        let (before, asked) = (house.telegrams(), now());
        let state = house.switch(0, true).await.unwrap();
        assert_eq!(
            (state.on, state.freshness, state.origin),
            (Some(true), Freshness::Fresh, Some(Origin::Report))
        );
        assert!(now().since(asked) < ms(300));
        assert_eq!(house.telegrams() - before, 1, "one F27, no read");
        assert_eq!(truth(&house, 1, 0), 100);
        house.finish().await;
    });
}

#[test]
fn a_command_to_the_state_it_has_already_is_confirmed_by_a_read() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        let before = house.sent("<S0012345001F02D12FA>");
        let state = house.switch(0, false).await.unwrap();
        assert_eq!((state.on, state.freshness), (Some(false), Freshness::Fresh));
        assert_eq!(house.sent("<S0012345001F02D12FA>") - before, 1);
        house.finish().await;
    });
}

#[test]
fn on_and_brightness_are_one_telegram_and_the_level_is_read_back() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        let target = Target { on: Some(true), level: Percent::new(40) };
        let state = house.set(12, target, Until::Confirmed).await.unwrap();
        assert_eq!((state.on, state.brightness), (Some(true), Percent::new(40)));
        let commands: u64 = house
            .emulator()
            .counters()
            .received
            .iter()
            .filter(|(telegram, _)| telegram.contains("F04D15"))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(commands, 1);
        house.switch(12, false).await.unwrap();
        assert_eq!(truth(&house, 4, 0), 0);
        let again = house.switch(12, true).await.unwrap();
        assert_eq!(again.brightness, Percent::new(40), "on alone returns to the last level");
        house.finish().await;
    });
}

#[test]
fn a_sliders_stream_of_levels_ends_in_the_last_with_few_telegrams() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        let before = house.telegrams();
        let mut answers = vec![];
        for n in 1..=50 {
            answers.push(house.set(12, level(n), Until::Confirmed));
            pass(ms(10)).await;
        }
        for answer in answers {
            assert_eq!(answer.await.unwrap().brightness, Percent::new(50));
        }
        assert_eq!(truth(&house, 4, 0), 50);
        let sent = house.telegrams() - before;
        assert!(sent <= 12, "50 wishes in half a second cost {sent} telegrams");
        house.finish().await;
    });
}

#[test]
fn a_pending_lamp_shows_what_is_wanted_and_says_so() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        let accepted = house.set(0, Target { on: Some(true), level: None }, Until::Accepted).await.unwrap();
        assert_eq!((accepted.on, accepted.freshness), (Some(true), Freshness::Pending));
        let listed = house.known(0).await;
        assert_eq!((listed.on, listed.freshness), (Some(true), Freshness::Pending));
        pass(ms(400)).await;
        let changes = house.changes(0);
        let last_two = &changes[changes.len() - 2..];
        let expected = [
            (Some(true), Freshness::Pending, Cause::Client(1)),
            (Some(true), Freshness::Fresh, Cause::Client(1)),
        ];
        assert_eq!(last_two, expected);
        house.finish().await;
    });
}

#[test]
fn a_lost_acknowledgement_is_looked_after_before_anything_is_repeated() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        house.emulator().fault(Fault::everywhere(FaultKind::LostReply, Dose::Next(1)));
        let state = house.switch(0, true).await.unwrap();
        assert_eq!(state.on, Some(true));
        assert_eq!(house.sent("<S0012345001F27D00ABFH>"), 1);
        house.finish().await;
    });
}

#[test]
fn a_module_that_is_gone_is_a_time_out_within_five_seconds_and_the_old_value_is_stale() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        house.emulator().fault(Fault::on(serial(1), FaultKind::Silence, Dose::ALWAYS));
        let asked = now();
        assert_eq!(house.switch(0, true).await, Err(BusError::TimedOut));
        assert!(now().since(asked) <= seconds(5));
        let state = house.known(0).await;
        assert_eq!((state.on, state.freshness), (Some(false), Freshness::Stale));
        assert!(house.switch(4, true).await.is_ok(), "its neighbours go on");
        house.finish().await;
    });
}

#[test]
fn a_relay_that_refuses_without_an_event_to_fall_back_on_says_so_and_is_asked_once() {
    in_virtual_time(async {
        let house = house_of_24()
            .emulated(|setup| setup.modules[1].direct_switching = DirectSwitching::Refused)
            .warm()
            .await;
        assert_eq!(house.switch(0, true).await, Err(BusError::Refused));
        let before = house.telegrams();
        assert_eq!(house.switch(1, true).await, Err(BusError::Refused));
        assert_eq!(house.telegrams(), before, "remembered for the whole module");
        house.finish().await;
    });
}

#[test]
fn commands_to_a_house_without_a_link_fail_at_once() {
    in_virtual_time(async {
        let house = house_of_24().start_with(false);
        pass(seconds(1)).await;
        let asked = now();
        assert_eq!(house.switch(0, true).await, Err(BusError::LinkDown));
        assert_eq!(now(), asked);
        house.finish().await;
    });
}

#[test]
fn stopping_answers_every_writer_and_still_sends_what_was_taken() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        let waiting = house.set(0, Target { on: Some(true), level: None }, Until::Confirmed);
        let (answer, ()) = tokio::join!(waiting, async {
            pass(ms(5)).await;
            house.app.drain().await;
        });
        assert_eq!(answer, Err(BusError::Stopping));
        pass(ms(100)).await;
        assert_eq!(truth(&house, 1, 0), 100);
        assert_eq!(house.emulator().counters().connections_open, 0, "the socket is closed");
    });
}

#[test]
fn a_module_that_refuses_is_switched_by_its_configured_event() {
    in_virtual_time(async {
        let config = "[[gateway]]\nid = \"home\"\naddress = \"emulator\"\n\
             [[module]]\nserial = \"0012345001\"\ntype = \"XP24\"\nlink = 4\n\
             [[accessory]]\nid = \"lamp\"\nname = \"Lamp\"\nkind = \"light\"\nmodule = \"0012345001\"\noutput = 1\n\
             on = \"E02L04I01\"\noff = \"E02L04I05\"\n";
        let house = crate::support::house_with(config.into())
            .emulated(|setup| {
                setup.modules[0].direct_switching = DirectSwitching::Refused;
                let entries = ["CP20 4 1 > 2 ON", "CP20 4 5 > 2 OFF"].map(|entry| entry.parse().unwrap());
                setup.modules[0].table = ActionTable::from_entries(&entries).unwrap();
            })
            .warm()
            .await;
        assert_eq!(house.switch(0, true).await.unwrap().on, Some(true));
        assert_eq!(truth(&house, 1, 1), 100);
        assert_eq!(house.switch(0, false).await.unwrap().on, Some(false));
        assert_eq!(house.sent("<S0012345001F27D01ABFG>") + house.sent("<S0012345001F27D01AAFH>"), 1);
        house.finish().await;
    });
}

#[test]
fn a_house_with_foreign_habits_is_lived_with() {
    in_virtual_time(async {
        // Line feeds, reversed bits, reports on inputs 00 to 03: what can be true then is a uniform state.
        let house = house_of_24().emulated(|setup| setup.dialect = Dialect::Peer).warm().await;
        for on in [true, false] {
            let wishes: Vec<_> = (0..4)
                .map(|index| house.set(index, Target { on: Some(on), level: None }, Until::Confirmed))
                .collect();
            for wish in wishes {
                // The bit of output 0 stands where output 3 is looked for, so single wishes may time out.
                let _ = wish.await;
            }
            pass(seconds(3)).await;
            for index in 0..4 {
                let state = house.known(index).await;
                assert_eq!((state.on, state.freshness), (Some(on), Freshness::Fresh), "output {index}");
            }
        }
        assert_eq!(house.emulator().counters().connections, 1, "nothing it says ends the link");
        house.finish().await;
    });
}
