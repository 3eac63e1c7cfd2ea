//! Links that come and go.

use conbusd::actors::events::{LinkState, Observe};
use conbusd::actors::{ask, now};
use conbusd::emulator::{Dose, Ending, Fault, FaultKind};
use conbusd::policy::store::Want;
use conbusd::policy::{BusError, Freshness};

use crate::support::{
    house_of_24, house_with, in_virtual_time, ms, pass, point, points_of_24, seconds, serial,
};

#[test]
fn a_hundred_link_flaps_in_an_hour_never_make_two_sockets_or_a_hasty_dial() {
    in_virtual_time(async {
        let house = house_of_24().start();
        let ways = [Ending::Fin, Ending::Rst, Ending::RstMidFrame, Ending::BlackHole];
        for flap in 0..100 {
            pass(seconds(36)).await;
            house.list().await;
            house.emulator().drop_client(ways[flap % ways.len()]);
        }
        pass(seconds(60)).await;
        let counters = house.emulator().counters();
        assert_eq!(counters.connections_open_max, 1, "never two at once");
        assert!(counters.connection_gap_min.unwrap() >= ms(250), "{:?}", counters.connection_gap_min);
        assert!(counters.connections >= 100, "{}", counters.connections);
        house.list().await;
        pass(seconds(25)).await;
        assert_eq!(house.wrong(&points_of_24()).await, []);
        house.finish().await;
    });
}

#[test]
fn a_lost_gateway_makes_reads_stale_not_wrong_and_its_return_makes_them_true_within_two_seconds() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        house.emulator().gateway_up(false);
        pass(ms(100)).await;
        let down_at = now();
        let state = house.known(0).await;
        assert_eq!((state.on, state.freshness, now()), (Some(false), Freshness::Stale, down_at));
        assert!(state.observed_at.is_some(), "it has an age");
        assert_eq!(house.get(0, Want::Since(now())).await, Err(BusError::LinkDown));
        house.emulator().turn(point(1, 0), true);
        house.emulator().turn(point(7, 2), true);
        pass(seconds(60)).await;
        house.emulator().gateway_up(true);
        while house.told.borrow().links.last() != Some(&LinkState::Up) {
            pass(ms(10)).await;
        }
        pass(seconds(2)).await;
        assert_eq!(house.wrong(&points_of_24()).await, []);
        house.finish().await;
    });
}

#[test]
fn a_daemon_that_stops_while_the_gateway_is_away_dials_no_more() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        house.emulator().gateway_up(false);
        pass(seconds(20)).await;
        house.app.drain().await;
        let dials = house.dials.get();
        pass(seconds(60)).await;
        assert_eq!(house.dials.get(), dials);
    });
}

#[test]
fn an_unknown_lamp_behind_a_down_link_is_an_error_at_once() {
    in_virtual_time(async {
        let house = house_of_24().start_with(false);
        pass(seconds(5)).await;
        let asked = now();
        assert_eq!(house.get(3, Want::Known).await, Err(BusError::LinkDown));
        assert_eq!(house.get(3, Want::Any).await.unwrap().freshness, Freshness::Unknown);
        assert_eq!(now(), asked);
        house.finish().await;
    });
}

#[test]
fn a_gateway_that_is_down_at_the_start_is_dialled_until_it_is_there() {
    in_virtual_time(async {
        let house = house_of_24().start_with(false);
        pass(seconds(120)).await;
        let dials = house.dials.get();
        assert!((24..=120).contains(&dials), "{dials} dials in two minutes");
        house.emulator().gateway_up(true);
        pass(seconds(8)).await;
        assert_eq!(house.wrong(&points_of_24()).await, []);
        house.finish().await;
    });
}

#[test]
fn a_half_open_link_is_noticed_and_replaced() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        house.emulator().drop_client(Ending::BlackHole);
        pass(seconds(40)).await;
        assert_eq!(house.emulator().counters().connections, 2);
        assert_eq!(house.emulator().counters().connections_open_max, 1);
        house.finish().await;
    });
}

#[test]
fn a_gateway_in_other_hands_is_not_hammered_and_the_house_answers_what_it_knows() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        house.emulator().refuse_for(seconds(300));
        house.emulator().drop_client(Ending::Fin);
        pass(seconds(1)).await;
        assert_eq!(house.known(0).await.freshness, Freshness::Stale);
        let dials = house.dials.get();
        pass(seconds(240)).await;
        let rate = f64::from(house.dials.get() - dials) / 240.0;
        assert!(rate < 0.8, "{rate} dials a second");
        pass(seconds(70)).await;
        assert_eq!(house.wrong(&points_of_24()).await, []);
        house.finish().await;
    });
}

#[test]
fn stopping_does_not_wait_for_one_silent_gateway_after_the_other() {
    in_virtual_time(async {
        let mut config = String::new();
        for n in 1..=4 {
            config += &format!("[[gateway]]\nid = \"g{n}\"\naddress = \"emulator\"\n");
            config += &format!(
                "[[module]]\nserial = \"{}\"\ntype = \"XP24\"\nlink = 1\ngateway = \"g{n}\"\n",
                serial(n)
            );
        }
        let house = house_with(config).start();
        for emulator in &house.emulators {
            emulator.fault(Fault::everywhere(FaultKind::LostReply, Dose::ALWAYS));
        }
        pass(ms(10)).await;
        let asked = now();
        house.app.drain().await;
        assert!(now().since(asked) <= ms(400), "{:?}", now().since(asked));
    });
}

#[test]
fn a_door_that_had_no_room_hears_the_latest_state_of_the_link() {
    in_virtual_time(async {
        let house = house_of_24().doors_busy_for(seconds(1)).start();
        pass(seconds(3)).await;
        assert_eq!(house.told.borrow().links.last(), Some(&LinkState::Up));
        house.finish().await;
    });
}

#[test]
fn a_door_that_had_no_room_hears_what_every_lamp_shows() {
    in_virtual_time(async {
        let house = house_of_24().doors_busy_for(seconds(8)).start();
        pass(seconds(20)).await;
        for (index, state) in (0..).zip(house.list().await) {
            let heard = house.changes(index).last().copied();
            assert_eq!(heard.map(|(on, _, _)| on), Some(state.on), "{index}");
        }
        house.finish().await;
    });
}

#[test]
fn telegrams_that_a_door_had_no_room_for_are_counted() {
    in_virtual_time(async {
        for (busy, all_shown) in [(seconds(0), true), (seconds(8), false)] {
            let house = house_of_24().doors_busy_for(busy).start();
            pass(seconds(20)).await;
            let told = ask(&house.app.listeners[0], Observe, seconds(1)).await.unwrap();
            assert_eq!(told["telegrams_unshown_total"] == 0, all_shown, "{told}");
            assert_eq!(told["facts_lost_total"], 0, "only the door misses them: {told}");
            house.finish().await;
        }
    });
}

#[test]
fn modules_without_power_do_not_end_a_link_whose_bridge_answers() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        for module in 1..=6 {
            house.emulator().fault(Fault::on(serial(module), FaultKind::Silence, Dose::ALWAYS));
        }
        let asked = now();
        let readers: Vec<_> = (0..21).map(|index| house.get(index, Want::Since(asked))).collect();
        for answer in futures_util::future::join_all(readers).await {
            assert_eq!(answer, Err(BusError::TimedOut));
        }
        pass(seconds(10)).await;
        assert_eq!(house.dials.get(), 1, "the probe is not behind what goes unanswered");
        house.finish().await;
    });
}
