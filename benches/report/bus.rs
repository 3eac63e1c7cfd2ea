//! What is said on the bus, in virtual time over emulated hardware: telegrams and the share of bus time.

use std::path::Path;
use std::time::Duration;

use actix::{Actor, Addr, System};
use conbusd::actors::accessory::Accessory;
use conbusd::actors::ask;
use conbusd::actors::events::{GetState, SetTarget};
use conbusd::app::{Audience, assemble};
use conbusd::conbus::Percent;
use conbusd::config;
use conbusd::emulator::{Emulator, HouseSetup, ModuleSetup, Timing};
use conbusd::policy::BusError;
use conbusd::policy::store::Want;
use conbusd::policy::switch::{Target, Until};
use conbusd::transport::Dial;

use crate::figures::{Section, number};
use crate::house::{Door, MemoryDial};

const WITHIN: Duration = Duration::from_secs(10);

/// 24 outputs on a bus with the timing of hardware.
struct House {
    emulator: Emulator,
    accessories: Vec<Addr<Accessory>>,
}

/// What passed on the bus meanwhile.
struct Said {
    telegrams: usize,
    bus_seconds: f64,
    took: Duration,
}

impl House {
    async fn start() -> Self {
        let config =
            config::parse("bench.toml", &crate::house::text_of_24("emulator"), Path::new("/")).unwrap();
        let modules = config
            .modules
            .iter()
            .map(|module| ModuleSetup::new(module.serial, module.module_type, module.link));
        let emulator = Emulator::new(HouseSetup::new(modules.collect()).with_timing(Timing::hardware()));
        emulator.gateway_up(true);
        let dial = Box::new(MemoryDial(emulator.clone())) as Box<dyn Dial>;
        let audience = Audience { accessories: vec![Door.start().recipient()], ..Audience::default() };
        let app = assemble(&config, vec![dial], &audience, 1);
        // Warm-up, identity reads, and until nothing is called recently used.
        tokio::time::sleep(Duration::from_secs(600)).await;
        Self { emulator, accessories: app.accessories }
    }

    /// Everything that was said by us while this went on, and how long the bus was busy with all of it.
    async fn during(&self, work: impl Future<Output = ()>) -> Said {
        let (sent, passed) = (self.emulator.received().len(), self.emulator.transcript().len());
        let begun = tokio::time::Instant::now();
        work.await;
        let took = begun.elapsed();
        let timing = Timing::hardware();
        let bus: Duration = self.emulator.transcript()[passed..]
            .iter()
            .map(|one| timing.on_the_bus(one.telegram.to_bytes().len()))
            .sum();
        Said { telegrams: self.emulator.received().len() - sent, bus_seconds: bus.as_secs_f64(), took }
    }

    /// One controller asks for everything at once.
    async fn refresh(&self) {
        let answers = self.accessories.iter().map(|one| ask(one, GetState { max_age: Want::Known }, WITHIN));
        for answer in futures_util::future::join_all(answers).await {
            answer.unwrap();
        }
    }

    async fn set(&self, lamp: usize, target: Target, until: Until) {
        let set = SetTarget { target, until, client: 1 };
        match ask(&self.accessories[lamp], set, WITHIN).await {
            // Of 500 writers at once some are told so: they would be superseded anyway.
            Ok(_) | Err(BusError::Busy) => {}
            Err(error) => panic!("lamp {lamp}: {error:?}"),
        }
    }
}

async fn measure() -> Vec<(String, Said, &'static str)> {
    let house = House::start().await;
    let mut said = Vec::new();
    let hour = Duration::from_secs(3600);
    said.push(("an hour at rest".to_owned(), house.during(tokio::time::sleep(hour)).await, "0"));
    let controllers = house.during(async {
        for _ in 0..12 {
            for _ in 0..3 {
                house.refresh().await;
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    });
    said.push((
        "3 controllers, 24 reads each every 10 s, 120 s (864 values)".into(),
        controllers.await,
        "0 (2.1.15, never reads); 86 (1.52.0), 135 values wrong or failed",
    ));
    tokio::time::sleep(Duration::from_secs(600)).await;
    let one = house.during(async {
        house.set(0, Target { on: Some(true), level: None }, Until::Confirmed).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    });
    said.push(("a relay switched, confirmed, 30 s".into(), one.await, "2"));
    let level = Percent::new(40);
    let one = house.during(async {
        house.set(12, Target { on: None, level }, Until::Confirmed).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    });
    said.push(("a dimmer set, confirmed, 30 s".into(), one.await, ""));
    let flood = house.during(async {
        let targets = (0..500u16).map(|turn| Percent::new((turn % 100 + 1) as u8));
        futures_util::future::join_all(
            targets.map(|level| house.set(12, Target { on: None, level }, Until::Confirmed)),
        )
        .await;
    });
    said.push(("500 levels for one dimmer at once, until confirmed".into(), flood.await, "1,000 in 248.5 s"));
    let scene = house.during(async {
        let on = Target { on: Some(true), level: None };
        let all = (0..24).map(|lamp| house.set(lamp, on, Until::Confirmed));
        futures_util::future::join_all(all).await;
    });
    said.push(("a scene of 24 outputs, until confirmed".into(), scene.await, "12.3–13.5 s"));
    said
}

pub(crate) fn section() -> Section {
    let measured = System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    })
    .block_on(async { actix_rt::spawn(measure()).await.unwrap() });
    let mut section = Section::new("6. Bus efficiency");
    section.say(
        "3 XP24 and 4 XP33LED, 24 outputs, on an emulated bus with the timing of hardware, in virtual time: these \
         are counts and do not depend on this machine. Bus time is that of the modules' own telegrams. The last \
         column is `conson-xp` as measured once on another day (24 outputs, a gateway without delays).",
    );
    let rows: Vec<Vec<String>> = measured
        .into_iter()
        .map(|(what, said, peer)| {
            let share = said.bus_seconds / said.took.as_secs_f64() * 100.0;
            let telegrams = number(said.telegrams as f64);
            vec![what, telegrams, number(said.took.as_secs_f64()), number(share), peer.to_owned()]
        })
        .collect();
    section.table(&["what", "telegrams of ours", "took s", "bus time %", "peer"], &rows);
    section
}
