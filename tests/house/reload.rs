//! Claims about a house whose config is edited while it runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use conbusd::actors::events::{GetState, Observe};
use conbusd::actors::{ask, now};
use conbusd::conbus::{Datapoint, SerialNumber, System, Telegram};
use conbusd::config::{self, Config};
use conbusd::doors::{AccessoryCard, Reload};
use conbusd::emulator::Direction;
use conbusd::policy::store::Want;
use conbusd::policy::switch::{AccessoryState, Target, Until};
use conbusd::policy::{BusError, Freshness};

use crate::support::{House, house_with, in_virtual_time, many_relays, ms, pass, point, seconds, serial};

const GATEWAY: &str = "[[gateway]]\nid = \"home\"\naddress = \"emulator\"\n";

fn module(n: u8, kind: &str) -> String {
    format!("[[module]]\nserial = \"{}\"\ntype = \"{kind}\"\nlink = {n}\n", serial(n))
}

fn lamp(id: &str, name: &str, kind: &str, (module, output): (u8, u8)) -> String {
    format!(
        "[[accessory]]\nid = \"{id}\"\nname = \"{name}\"\nkind = \"{kind}\"\nmodule = \"{}\"\noutput = {output}\n",
        serial(module)
    )
}

/// Two relay modules and a dimmer; a desk lamp and a plug on the first, spots on the dimmer.
fn everything() -> String {
    [
        GATEWAY.to_owned(),
        module(1, "XP24"),
        module(2, "XP24"),
        module(3, "XP33LED"),
        lamp("desk", "Desk", "light", (1, 0)),
        lamp("plug", "Plug", "outlet", (1, 1)),
        lamp("spots", "Spots", "dimmer", (3, 0)),
    ]
    .concat()
}

fn parsed(text: &str) -> Config {
    config::parse("test.toml", text, Path::new("/")).unwrap()
}

impl House {
    async fn reload(&mut self, text: &str) -> Reload {
        self.app.reload(&parsed(text)).await
    }

    fn card(&self, id: &str) -> Option<AccessoryCard> {
        self.app.roll().borrow().named(id).cloned()
    }

    async fn shows(&self, id: &str, max_age: Want) -> Result<AccessoryState, BusError> {
        ask(&self.card(id).unwrap().addr, GetState { max_age }, seconds(4)).await
    }

    async fn connects(&self) -> u64 {
        let told = ask(&self.app.connections[0], Observe, seconds(1)).await.unwrap();
        told["connects_total"].as_u64().unwrap()
    }

    async fn roster(&self) -> Vec<String> {
        let told = ask(&self.app.poller, Observe, seconds(1)).await.unwrap();
        let modules = told["modules"].as_array().unwrap();
        modules.iter().map(|module| module["serial"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn the_same_file_again_is_no_change() {
    in_virtual_time(async {
        let mut house = house_with(everything()).warm().await;
        let (telegrams, roll) = (house.telegrams(), house.app.roll());
        let reload = house.reload(&everything()).await;
        assert_eq!((reload.generation, reload.applied.len(), reload.needs_restart.len()), (1, 0, 0));
        assert!(!roll.has_changed().unwrap());
        pass(seconds(5)).await;
        assert_eq!(house.telegrams(), telegrams, "nothing is read again");
        house.finish().await;
    });
}

#[test]
fn a_renamed_lamp_keeps_its_state_its_place_and_the_link() {
    in_virtual_time(async {
        let mut house = house_with(everything()).warm().await;
        house.emulator().turn(point(1, 0), true);
        pass(seconds(1)).await;
        let (before, telegrams) = (house.card("desk").unwrap(), house.telegrams());
        let reload =
            house.reload(&everything().replace("\"Desk\"", "\"Writing desk\"\nroom = \"Study\"")).await;
        assert_eq!(reload.applied, ["accessory.desk.name", "accessory.desk.room"]);
        assert_eq!((reload.generation, reload.error), (2, None));
        let after = house.card("desk").unwrap();
        assert_eq!((after.face.name.as_str(), after.face.room.as_str()), ("Writing desk", "Study"));
        assert_eq!((after.face.place, &after.addr), (before.face.place, &before.addr));
        let state = house.shows("desk", Want::Any).await.unwrap();
        assert_eq!((state.on, state.freshness), (Some(true), Freshness::Fresh));
        assert_eq!((house.connects().await, house.telegrams()), (1, telegrams));
        house.finish().await;
    });
}

#[test]
fn modules_and_lamps_come_and_go_behind_a_link_that_stays() {
    in_virtual_time(async {
        let small =
            everything().replace(&module(2, "XP24"), "").replace(&lamp("plug", "Plug", "outlet", (1, 1)), "");
        let mut house = house_with(everything()).configured(small.clone()).warm().await;
        house.emulator().turn(point(2, 3), true);
        assert_eq!(house.cache("entries").await, 7);

        let more = everything() + &lamp("hall", "Hall", "light", (2, 3));
        let reload = house.reload(&more).await;
        let added = ["module.0012345002 added", "accessory.plug added", "accessory.hall added"];
        assert_eq!(reload.applied, added);
        let plug = house.shows("plug", Want::Any).await.unwrap();
        assert_eq!(
            (plug.on, plug.freshness),
            (Some(false), Freshness::Fresh),
            "its module was known already"
        );
        let hall = house.shows("hall", Want::Known).await.unwrap();
        assert_eq!((hall.on, hall.freshness), (Some(true), Freshness::Fresh), "a new module is read");
        house.set_by_id("hall", false).await.unwrap();
        assert_eq!(house.emulator().output(point(2, 3)).unwrap().1.get(), 0);
        pass(seconds(10)).await;
        assert!(house.sent(&read(2, Datapoint::TYPE_CODE)) >= 1, "and identified");
        assert_eq!(house.roster().await, ["0012345001", "0012345002", "0012345003"]);

        let hall = house.card("hall").unwrap();
        let known = house.shows("desk", Want::Any).await.unwrap();
        let reload = house.reload(&small).await;
        assert_eq!(
            reload.applied,
            ["module.0012345002 removed", "accessory.plug removed", "accessory.hall removed"]
        );
        assert_eq!(house.cache("entries").await, 7);
        let gone = ask(&hall.addr, GetState { max_age: Want::Any }, seconds(1)).await;
        assert_eq!(gone.err(), Some(BusError::Stopping));
        let desk = house.shows("desk", Want::Any).await.unwrap();
        assert_eq!(
            (desk.on, desk.observed_at),
            (known.on, known.observed_at),
            "who stays keeps age and value"
        );
        assert_eq!(house.roster().await, ["0012345001", "0012345003"]);

        house.reload(&more).await;
        assert_ne!(house.card("hall").unwrap().face.place, hall.face.place, "a place is never given again");
        assert_eq!(house.connects().await, 1);
        assert_eq!(house.emulator().counters().connections, 1);
        house.finish().await;
    });
}

#[test]
fn a_lamp_of_another_kind_or_output_is_another_lamp_with_the_same_name() {
    in_virtual_time(async {
        let mut house = house_with(everything()).warm().await;
        let before = house.card("desk").unwrap();
        let moved = everything()
            .replace(&lamp("desk", "Desk", "light", (1, 0)), &lamp("desk", "Desk", "outlet", (1, 2)));
        house.emulator().turn(point(1, 2), true);
        pass(seconds(1)).await;
        let pending = house.set_by_id("plug", true);
        let reload = house.reload(&moved).await;
        assert_eq!(reload.applied, ["accessory.desk.kind", "accessory.desk.output"]);
        assert_ne!(house.card("desk").unwrap().face.place, before.face.place);
        assert_eq!(house.shows("desk", Want::Any).await.unwrap().on, Some(true));
        assert_eq!(pending.await.unwrap().on, Some(true), "a wish of a neighbour goes on");
        house.finish().await;
    });
}

#[test]
fn a_shorter_ttl_makes_old_values_stale_and_a_longer_one_fresh_again() {
    in_virtual_time(async {
        let quiet = format!("[poller]\nenabled = false\n{}", everything());
        let mut house = house_with(quiet.clone()).start();
        pass(seconds(1)).await;
        for id in ["desk", "spots"] {
            house.shows(id, Want::Known).await.unwrap();
        }
        pass(seconds(15)).await;
        assert_eq!(house.cache("entries").await, 7);
        let reload = house.reload(&format!("[cache]\nttl = \"10s\"\nmax_entries = 5\n{quiet}")).await;
        assert_eq!(reload.applied[..2], ["cache.ttl", "cache.max_entries"]);
        pass(ms(1)).await;
        assert_eq!((house.cache("entries").await, house.cache("evictions_total").await), (5, 2));
        let place = house.card("spots").unwrap().face.place.0;
        assert_eq!(house.changes(place).last().unwrap().1, Freshness::Stale, "15 s old");
        house.reload(&format!("[cache]\nttl = \"60s\"\n{quiet}")).await;
        pass(ms(1)).await;
        assert_eq!(house.changes(place).last().unwrap().1, Freshness::Fresh, "and no older");
        pass(seconds(50)).await;
        assert_eq!(
            house.changes(place).last().unwrap().1,
            Freshness::Stale,
            "it grows stale when the new time is up"
        );
        house.finish().await;
    });
}

#[test]
fn what_needs_a_restart_is_said_and_not_done() {
    in_virtual_time(async {
        let mut house = house_with(everything()).warm().await;
        let barn = format!(
            "[service]\nname = \"Elsewhere\"\n[http]\nlisten = \"127.0.0.1:1\"\n{}\
             [[gateway]]\nid = \"barn\"\naddress = \"192.0.2.1:10001\"\n\
             [[module]]\nserial = \"0012345050\"\ntype = \"XP24\"\nlink = 50\ngateway = \"barn\"\n{}",
            everything().replace("type = ", "gateway = \"home\"\ntype = "),
            lamp("hay", "Hay", "light", (50, 0))
        );
        let reload = house.reload(&barn).await;
        assert_eq!(reload.needs_restart, ["service.name", "gateway.barn added", "http added"]);
        assert_eq!((reload.applied.len(), reload.generation), (0, 1), "{:?}", reload.applied);
        assert!(house.card("hay").is_none(), "a lamp behind a gateway that is not dialled");
        assert_eq!(house.dials.get(), 1);
        let again = house.reload(&everything()).await;
        assert!(again.needs_restart.is_empty());
        house.finish().await;
    });
}

fn read(module: u8, datapoint: Datapoint) -> String {
    Telegram::from(System::read(serial(module), datapoint)).to_string()
}

/// The shortest time between two reads of one module, and between an answer and the next telegram.
fn shortest(house: &House) -> (Duration, Duration) {
    let mut asked: BTreeMap<SerialNumber, Duration> = BTreeMap::new();
    let (mut between, mut after) = (Duration::MAX, Duration::MAX);
    let mut answered = None;
    for passed in house.emulator().transcript() {
        match (passed.direction, passed.telegram) {
            (Direction::ToClient, Telegram::Reply(_)) => answered = Some(passed.at),
            (Direction::FromClient, Telegram::System(system)) => {
                if let Some(before) = asked.insert(system.serial, passed.at) {
                    between = between.min(passed.at.saturating_sub(before));
                }
                after = after.min(answered.map_or(after, |at| passed.at.saturating_sub(at)));
            }
            _ => {}
        }
    }
    (between, after)
}

#[test]
fn no_reload_makes_the_bus_faster_than_it_bears() {
    in_virtual_time(async {
        let interval =
            |text: &str| format!("[poller]\ninterval = \"{text}\"\n[cache]\nttl = \"5s\"\n{}", everything());
        let mut house = house_with(interval("200ms")).warm().await;
        let (begun, telegrams) = (now(), house.telegrams());
        for round in 0..100_u32 {
            let mut text = interval(if round % 2 == 0 { "100ms" } else { "3s" });
            if round % 5 == 0 {
                text = text.replace(&module(2, "XP24"), "");
            }
            assert!(!house.reload(&text).await.applied.is_empty());
            for id in ["desk", "spots"] {
                house.shows(id, Want::Any).await.unwrap();
            }
            pass(ms(70)).await;
        }
        assert!(now().since(begun) < seconds(60) && house.telegrams() > telegrams + 20);
        let (between, after) = shortest(&house);
        assert!(between >= ms(200), "two reads of one module after {between:?}");
        assert!(after >= ms(20), "a telegram {after:?} behind an answer");
        assert_eq!(house.connects().await, 1);
        house.finish().await;
    });
}

impl House {
    fn set_by_id(
        &self,
        id: &str,
        on: bool,
    ) -> impl Future<Output = Result<AccessoryState, BusError>> + use<> {
        let target = Target { on: Some(on), level: None };
        let wish = conbusd::actors::events::SetTarget { target, until: Until::Confirmed, client: 1 };
        ask(&self.card(id).unwrap().addr, wish, seconds(6))
    }
}

#[test]
fn a_house_that_grows_has_room_for_a_turn_for_each_of_its_modules() {
    in_virtual_time(async {
        // A gateway more needs a restart: they are there before their modules.
        let large = many_relays(2000);
        let (gateways, _) = large.split_once("[[module]]").unwrap();
        let mut house = house_with(large.clone()).configured(gateways.to_owned()).start();
        pass(seconds(1)).await;
        assert!(!house.takes_a_turn_for_each(2000), "as many as no small house has");
        house.reload(&large).await;
        pass(seconds(15)).await;
        assert!(house.takes_a_turn_for_each(2000));
        house.finish().await;
    });
}
