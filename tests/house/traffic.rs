//! How much the bus is used, beside a service that reads on a fresh socket for every request.

use conbusd::conbus::{Datapoint, ModuleType, System, Telegram};
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup, Timing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{house_of_24, in_virtual_time, ms, pass, points_of_24, seconds, serial};

/// Three controllers read every accessory every ten seconds for ten minutes.
const ROUNDS: u64 = 60;
const CONTROLLERS: u64 = 3;

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
