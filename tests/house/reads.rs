//! What readers are told, and what it costs the bus.

use conbusd::actors::now;
use conbusd::conbus::{Datapoint, Percent, System, Telegram};
use conbusd::emulator::{Dose, Fault, FaultKind};
use conbusd::policy::store::Want;
use conbusd::policy::{BusError, Freshness, Origin};

use crate::support::{
    House, house_of_24, house_with, in_virtual_time, many_relays, ms, pass, point, points_of_24, seconds,
    serial,
};

fn one_relay() -> crate::support::Builder {
    let mut config = String::from("[[gateway]]\nid = \"home\"\naddress = \"emulator\"\n");
    config += "[[module]]\nserial = \"0012345001\"\ntype = \"XP24\"\nlink = 1\n";
    for output in 0..4 {
        config += &format!(
            "[[accessory]]\nid = \"o{output}\"\nname = \"Lamp {output}\"\nkind = \"light\"\nmodule = \"0012345001\"\noutput = {output}\n"
        );
    }
    house_with(config)
}

#[test]
fn after_the_start_every_lamp_shows_its_true_state() {
    in_virtual_time(async {
        let house = house_of_24()
            .emulated(|setup| {
                setup.modules[2].levels = vec![Percent::FULL, Percent::OFF, Percent::FULL, Percent::OFF];
                setup.modules[4].levels = vec![Percent::new(40).unwrap(), Percent::OFF, Percent::FULL];
            })
            .start();
        pass(seconds(2)).await;
        assert_eq!(house.wrong(&points_of_24()).await, []);
        let dimmer = house.known(12).await;
        assert_eq!((dimmer.on, dimmer.brightness), (Some(true), Percent::new(40)));
        house.finish().await;
    });
}

#[test]
fn four_readers_at_once_of_one_cold_module_cost_one_telegram() {
    in_virtual_time(async {
        let house = one_relay().section("[poller]\nenabled = false").start();
        pass(seconds(1)).await;
        assert_eq!(house.telegrams(), 0);
        let (a, b, c, d) = tokio::join!(house.known(0), house.known(1), house.known(2), house.known(3));
        assert!(
            [a, b, c, d].iter().all(|state| state.on == Some(false) && state.origin == Some(Origin::Read))
        );
        assert_eq!(house.telegrams(), 1);
        assert_eq!(house.sent("<S0012345001F02D12FA>"), 1);
        house.finish().await;
    });
}

#[test]
fn a_thousand_reads_of_the_list_send_nothing_beyond_the_poller() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        let before = (house.telegrams(), house.refreshes().await);
        for _ in 0..1000 {
            house.list().await;
            pass(ms(10)).await;
        }
        let (telegrams, refreshes) = (house.telegrams() - before.0, house.refreshes().await - before.1);
        assert!(refreshes <= 7, "each module once in ten seconds: {refreshes}");
        assert_eq!(telegrams, refreshes, "every lamp is off, so a refresh is one D12");
        assert_eq!(house.cache("misses_total").await + house.cache("stale_total").await, 0);
        assert_eq!(house.cache("hits_total").await, 24_000);
        house.finish().await;
    });
}

#[test]
fn an_unknown_lamp_is_null_in_the_list_and_waited_for_alone() {
    in_virtual_time(async {
        let house = one_relay().section("[poller]\nenabled = false").start();
        pass(ms(500)).await;
        let listed = house.get(0, Want::Any).await.unwrap();
        assert_eq!((listed.on, listed.freshness), (None, Freshness::Unknown));
        assert_eq!(house.known(0).await.on, Some(false));
        house.finish().await;
    });
}

#[test]
fn whoever_waits_for_a_lamp_goes_before_the_reads_of_a_large_house() {
    in_virtual_time(async {
        let mut config = String::from("[[gateway]]\nid = \"home\"\naddress = \"emulator\"\n");
        for n in 1..=30u8 {
            config += &format!("[[module]]\nserial = \"{}\"\ntype = \"XP24\"\nlink = {n}\n", serial(n));
        }
        config += &format!(
            "[[accessory]]\nid = \"lamp\"\nname = \"Lamp\"\nkind = \"light\"\nmodule = \"{}\"\noutput = 0\n",
            serial(30)
        );
        let house = house_with(config).start();
        pass(ms(100)).await;
        let asked = now();
        assert_eq!(house.known(0).await.on, Some(false));
        assert!(now().since(asked) < ms(200), "{:?}", now().since(asked));
        pass(seconds(3)).await;
        let read = Telegram::from(System::read(serial(30), Datapoint::OUTPUTS)).to_string();
        assert_eq!(house.sent(&read), 1, "the same read, only sooner");
        house.finish().await;
    });
}

#[test]
fn a_stale_lamp_is_shown_at_once_and_refreshed_behind() {
    in_virtual_time(async {
        let house = one_relay().section("[poller]\nenabled = false").start();
        pass(ms(100)).await;
        house.known(0).await;
        pass(seconds(31)).await;
        let before = now();
        let state = house.known(0).await;
        assert_eq!((state.freshness, now()), (Freshness::Stale, before));
        pass(ms(200)).await;
        assert_eq!(house.known(0).await.freshness, Freshness::Fresh);
        assert_eq!(house.sent("<S0012345001F02D12FA>"), 2);
        house.finish().await;
    });
}

#[test]
fn a_read_of_max_age_zero_asks_the_bus() {
    in_virtual_time(async {
        let house = one_relay().warm().await;
        let before = house.sent("<S0012345001F02D12FA>");
        let asked = now();
        let state = house.get(0, Want::Since(asked)).await.unwrap();
        assert!(state.observed_at.unwrap() >= asked);
        assert_eq!(state.freshness, Freshness::Fresh);
        assert_eq!(house.sent("<S0012345001F02D12FA>"), before + 1);
        house.finish().await;
    });
}

#[test]
fn a_silent_module_is_a_time_out_for_those_who_insist_and_stale_for_the_others() {
    in_virtual_time(async {
        let house = one_relay().warm().await;
        house.emulator().fault(Fault::on(serial(1), FaultKind::Silence, Dose::ALWAYS));
        assert_eq!(house.get(0, Want::Since(now())).await, Err(BusError::TimedOut));
        let state = house.known(0).await;
        assert_eq!((state.on, state.freshness), (Some(false), Freshness::Stale));
        house.emulator().clear_faults();
        pass(seconds(61)).await;
        house.known(0).await;
        pass(seconds(1)).await;
        assert_eq!(house.known(0).await.freshness, Freshness::Fresh);
        house.finish().await;
    });
}

#[test]
fn a_lost_reply_is_asked_for_again() {
    in_virtual_time(async {
        let house = one_relay().section("[poller]\nenabled = false").start();
        pass(ms(100)).await;
        house.emulator().fault(Fault::everywhere(FaultKind::LostReply, Dose::Next(2)));
        assert_eq!(house.known(0).await.on, Some(false));
        assert_eq!(house.telegrams(), 3);
        house.finish().await;
    });
}

#[test]
fn a_switched_lamp_is_told_when_its_report_is_heard() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        house.told.borrow_mut().accessories.clear();
        house.emulator().turn(point(2, 1), true);
        pass(ms(200)).await;
        let changes = house.changes(5);
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!((changes[0].0, changes[0].1), (Some(true), Freshness::Fresh));
        assert_eq!(house.known(5).await.origin, Some(Origin::Report));
        house.finish().await;
    });
}

#[test]
fn a_used_lamp_whose_reports_are_lost_is_found_out_by_the_poller() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        house.list().await;
        house.emulator().fault(Fault::everywhere(FaultKind::LostReport, Dose::ALWAYS));
        house.emulator().turn(point(1, 0), true);
        pass(seconds(21)).await;
        assert_eq!(house.known(0).await.on, Some(true));
        // Its reports are not trusted any longer: the next change is found within the shorter interval.
        pass(seconds(21)).await;
        house.list().await;
        house.emulator().turn(point(1, 0), false);
        pass(seconds(4)).await;
        assert_eq!(house.known(0).await.on, Some(false));
        house.finish().await;
    });
}

#[test]
fn a_module_that_does_not_report_is_polled_every_two_seconds() {
    in_virtual_time(async {
        let house: House = one_relay().emulated(|setup| setup.modules[0].auto_report = false).warm().await;
        house.known(0).await;
        house.emulator().turn(point(1, 3), true);
        pass(ms(2500)).await;
        assert_eq!(house.known(3).await.on, Some(true));
        house.finish().await;
    });
}

#[test]
fn nobody_looks_and_nothing_is_asked() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        let before = house.telegrams();
        pass(seconds(600)).await;
        let probes = house.telegrams() - before;
        assert!(probes <= 21, "only the probe of a silent link every 30 s: {probes}");
        house.finish().await;
    });
}

#[test]
fn two_gateways_in_one_process_are_two_houses_in_one_cache() {
    in_virtual_time(async {
        let mut config = String::from(
            "[[gateway]]\nid = \"home\"\naddress = \"emulator\"\n[[gateway]]\nid = \"barn\"\naddress = \"emulator\"\n",
        );
        for (n, gateway) in [(1, "home"), (2, "barn")] {
            config += &format!(
                "[[module]]\nserial = \"{0}\"\ntype = \"XP24\"\nlink = 1\ngateway = \"{gateway}\"\n\
                 [[accessory]]\nid = \"{gateway}\"\nname = \"{gateway}\"\nkind = \"light\"\nmodule = \"{0}\"\noutput = 0\n",
                serial(n)
            );
        }
        let house = house_with(config).warm().await;
        house.emulators[1].turn(point(2, 0), true);
        pass(ms(300)).await;
        assert_eq!((house.known(0).await.on, house.known(1).await.on), (Some(false), Some(true)));
        house.emulators[1].gateway_up(false);
        pass(seconds(1)).await;
        assert_eq!(house.known(0).await.freshness, Freshness::Fresh);
        assert_eq!(house.known(1).await.freshness, Freshness::Stale);
        house.finish().await;
    });
}

#[test]
fn a_turn_for_each_module_of_a_large_house_leaves_room_for_what_is_heard() {
    in_virtual_time(async {
        let house = house_with(many_relays(2000)).warm().await;
        assert!(house.takes_a_turn_for_each(2000));
        house.finish().await;
    });
}
