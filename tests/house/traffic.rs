//! How much the bus is used, beside a service that reads on a fresh socket for every request.

use conbusd::conbus::{Datapoint, ModuleType, Percent, System, Telegram};
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup, Timing};
use conbusd::policy::switch::{Target, Until};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{house_of_24, in_virtual_time, ms, pass, points_of_24, seconds, serial};

/// Three controllers read every accessory every ten seconds for ten minutes.
const ROUNDS: u64 = 60;
const CONTROLLERS: u64 = 3;

/// Telegrams of these deeds, each from rest: the gate on how much the bus is used. Virtual time, so they are exact.
const DEEDS: [(&str, u64); 6] = [
    ("an hour at rest", 120),
    ("a controller shows all 24 accessories", 1),
    ("three controllers show them every ten seconds for two minutes", 49),
    ("a relay is switched", 1),
    ("a dimmer is set", 3),
    ("a scene of 24 outputs", 32),
];

/// The service that reads the bus for every request, on a connection of its own.
async fn naive() -> (u64, u64) {
    let modules = (1..=7).map(|n| {
        let module_type = if n <= 3 { ModuleType::XP24 } else { ModuleType::XP33LED };
        ModuleSetup::new(serial(n), module_type, n)
    });
    let emulator = Emulator::new(HouseSetup::new(modules.collect()).with_timing(Timing::fixed(ms(50))));
    for _ in 0..ROUNDS {
        for _ in 0..CONTROLLERS {
            for point in points_of_24() {
                let read = Telegram::from(System::read(point.serial, Datapoint::OUTPUTS));
                let mut stream = emulator.connect().expect("one client at a time");
                stream.write_all(&read.to_bytes()).await.unwrap();
                let mut answer = [0; 64];
                assert!(stream.read(&mut answer).await.unwrap() > 0);
                drop(stream);
                pass(ms(1)).await;
            }
        }
        pass(seconds(10).saturating_sub(ms(72 * 51))).await;
    }
    let counters = emulator.counters();
    (counters.telegrams_received, counters.connections)
}

#[test]
fn three_controllers_cost_at_least_80_percent_fewer_telegrams_and_99_percent_fewer_connections() {
    in_virtual_time(async {
        let (naive_telegrams, naive_connections) = naive().await;
        assert_eq!((naive_telegrams, naive_connections), (4320, 4320));
        let house = house_of_24().start();
        pass(seconds(2)).await;
        for _ in 0..ROUNDS {
            for _ in 0..CONTROLLERS {
                house.list().await;
            }
            pass(seconds(10)).await;
        }
        let counters = house.emulator().counters();
        println!(
            "traffic of 24 accessories read by 3 controllers every 10 s for 10 minutes: \
             telegrams {} beside {naive_telegrams}, connections {} beside {naive_connections}",
            counters.telegrams_received, counters.connections
        );
        assert!(counters.telegrams_received * 5 <= naive_telegrams, "{}", counters.telegrams_received);
        assert!(counters.connections * 100 <= naive_connections, "{}", counters.connections);
        assert_eq!(house.wrong(&points_of_24()).await, []);
        house.finish().await;
    });
}

#[test]
fn rest_a_look_a_command_and_a_scene_cost_exactly_these_telegrams() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        let mut cost = vec![];
        for (deed, _) in DEEDS {
            // Until nothing counts as used any more.
            pass(seconds(600)).await;
            let before = house.telegrams();
            match deed {
                "an hour at rest" => pass(seconds(3600)).await,
                "a controller shows all 24 accessories" => drop(house.list().await),
                "a relay is switched" => drop(house.switch(0, true).await.unwrap()),
                "a dimmer is set" => {
                    let target = Target { on: None, level: Percent::new(40) };
                    house.set(12, target, Until::Confirmed).await.unwrap();
                }
                "a scene of 24 outputs" => {
                    let off = (0..24).map(|lamp| house.switch(lamp, false));
                    join_all(off).await.into_iter().for_each(|lamp| assert!(lamp.is_ok(), "{lamp:?}"));
                    let scene = (0..24).map(|lamp| house.switch(lamp, true));
                    pass(seconds(600)).await;
                    let before_scene = house.telegrams();
                    join_all(scene).await.into_iter().for_each(|lamp| assert!(lamp.is_ok(), "{lamp:?}"));
                    cost.push((deed, house.telegrams() - before_scene));
                    continue;
                }
                _ => {
                    for _ in 0..12 * CONTROLLERS {
                        house.list().await;
                        pass(seconds(10) / 3).await;
                    }
                }
            }
            cost.push((deed, house.telegrams() - before));
        }
        assert_eq!(cost, DEEDS, "more is a regression; less is a gain to be written down here");
        house.finish().await;
    });
}
