//! A module that repeats itself.

use std::time::Duration;

use conbusd::actors::ask;
use conbusd::actors::events::Observe;
use conbusd::conbus::{Datapoint, System, Telegram};
use conbusd::emulator::Timing;
use conbusd::policy::Freshness;

use crate::support::{house_of_24, in_virtual_time, ms, pass, point, seconds, serial};

#[test]
fn a_storming_module_is_quietened_and_does_not_delay_its_neighbours() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        house.list().await;
        pass(seconds(1)).await;
        house.told.borrow_mut().accessories.clear();
        house.emulator().storm(serial(4), 200);
        pass(ms(500)).await;
        assert!(house.sent("<S0012345004F02D10FH>") >= 2, "D10 within 500 ms: the identity read and a probe");
        let asked = conbusd::actors::now();
        assert!(house.switch(0, true).await.is_ok(), "a neighbour is switched");
        assert!(conbusd::actors::now().since(asked) < ms(600));
        pass(seconds(3)).await;
        for output in 12..15 {
            let changes = house.changes(output);
            let values: Vec<_> = changes.iter().map(|(on, ..)| *on).collect();
            assert!(
                values.iter().all(|on| *on == Some(false)),
                "a repeated reply changes nothing: {values:?}"
            );
            assert!(changes.len() <= 2, "not vouched for during the storm, and again after it: {changes:?}");
        }
        let listener = ask(&house.app.listeners[0], Observe, seconds(1)).await.unwrap();
        assert_eq!(listener["storms_total"], 1);
        let poller = ask(&house.app.poller, Observe, seconds(1)).await.unwrap();
        let module =
            poller["modules"].as_array().unwrap().iter().find(|m| m["serial"] == "0012345004").unwrap();
        assert_eq!(module["storming"], false, "released when healthy");
        assert_eq!(house.known(12).await.freshness, Freshness::Fresh);
        house.emulator().turn(point(4, 0), true);
        pass(ms(400)).await;
        assert_eq!(house.known(12).await.on, Some(true), "it is heard again");
        house.finish().await;
    });
}

/// Two pauses after a reply (protocol reference 7.3).
const TWO_PAUSES: Duration = ms(40);

#[test]
fn a_storm_that_goes_on_holds_up_no_command_for_its_neighbours() {
    in_virtual_time(async {
        let house = house_of_24().emulated(|setup| setup.timing = Timing::zero()).warm().await;
        house.list().await;
        pass(seconds(1)).await;
        let emulator = house.emulator();
        let outputs = Telegram::from(System::read(serial(4), Datapoint::OUTPUTS)).to_string();
        let asked_before = house.sent(&outputs);
        emulator.with(|house, now| house.storm(now, serial(4), 200, u32::MAX));
        let mut waits = vec![];
        for turn in 0..40 {
            pass(ms(37)).await;
            let asked = emulator.uptime();
            assert!(house.switch(0, turn % 2 == 0).await.is_ok(), "a neighbour is switched");
            let commands = emulator.received().into_iter().filter(|(at, telegram)| {
                *at >= asked && matches!(telegram, Telegram::System(system) if system.commands().is_some())
            });
            waits.extend(commands.map(|(at, _)| at.saturating_sub(asked)));
        }
        assert_eq!(waits.len(), 40);
        assert!(waits.iter().all(|wait| *wait <= TWO_PAUSES), "from the wish to the gateway: {waits:?}");
        assert_eq!(house.sent(&outputs), asked_before, "what answers nothing is not asked");
        house.finish().await;
    });
}
