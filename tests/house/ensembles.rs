//! Claims about several accessories as one: groups and scenes.

use std::time::Duration;

use conbusd::actors::ask;
use conbusd::actors::events::{GetState, SetTarget};
use conbusd::conbus::{ActionTable, Datapoint, Percent, System, Telegram};
use conbusd::policy::store::Want;
use conbusd::policy::switch::{AccessoryState, Target, Until};
use conbusd::policy::{AccessoryKind, BusError, Freshness};

use crate::support::{House, house_of_24, house_with, in_virtual_time, ms, pass, point, seconds, serial};

/// Two lamps and two dimmers in one group; a scene of wishes, and one that is an event.
const ENSEMBLES: &str = "
[[group]]
id = \"salon\"
name = \"Salon\"
members = [\"m1o0\", \"m1o1\", \"m4o0\", \"m5o0\"]
[[scene]]
id = \"film\"
name = \"Film\"
targets = [{ accessory = \"m1o0\", on = false }, { accessory = \"m4o0\", brightness = 20 }]
[[scene]]
id = \"off\"
name = \"All off\"
event = \"E02L00I00\"
";

impl House {
    async fn look(&self, id: &str) -> AccessoryState {
        let card = self.app.roll().borrow().named(id).cloned().unwrap();
        ask(&card.addr, GetState { max_age: Want::Any }, seconds(4)).await.unwrap()
    }

    async fn wish(&self, id: &str, on: Option<bool>, level: Option<u8>) -> Result<AccessoryState, BusError> {
        let card = self.app.roll().borrow().named(id).cloned().unwrap();
        let target = Target { on, level: level.and_then(Percent::new) };
        ask(&card.addr, SetTarget { target, until: Until::Confirmed, client: 7 }, seconds(6)).await
    }

    fn told_of(&self, id: &str) -> Vec<(Option<bool>, Freshness)> {
        let place = self.app.roll().borrow().named(id).unwrap().face.place.0;
        self.changes(place).into_iter().map(|(on, freshness, _)| (on, freshness)).collect()
    }
}

#[test]
fn a_group_shows_its_members_and_costs_the_bus_nothing() {
    in_virtual_time(async {
        let house = house_of_24().appended(ENSEMBLES).warm().await;
        let telegrams = house.telegrams();
        let state = house.look("salon").await;
        assert_eq!(
            (state.on, state.brightness, state.freshness),
            (Some(false), Some(Percent::OFF), Freshness::Fresh)
        );
        house.emulator().turn(point(1, 1), true);
        pass(ms(200)).await;
        let state = house.look("salon").await;
        assert_eq!((state.on, state.brightness), (Some(true), None), "the lamp that is on has no brightness");
        assert_eq!(house.told_of("salon").last(), Some(&(Some(true), Freshness::Fresh)), "doors are told");
        assert_eq!(house.telegrams(), telegrams);
        assert_eq!(house.cache("entries").await, 24, "it has no entry of its own");
        house.finish().await;
    });
}

#[test]
fn a_wish_for_a_group_reaches_every_member_at_the_pace_of_the_bus() {
    in_virtual_time(async {
        let house = house_of_24().appended(ENSEMBLES).warm().await;
        let state = house.wish("salon", None, Some(40)).await.unwrap();
        assert_eq!((state.on, state.brightness.map(Percent::get)), (Some(true), Some(40)));
        assert_eq!(state.freshness, Freshness::Fresh);
        for (module, level) in [(4, 40), (5, 40)] {
            assert_eq!(house.emulator().output(point(module, 0)).unwrap().1.get(), level);
        }
        assert_eq!(house.emulator().output(point(1, 1)).unwrap().1, Percent::FULL, "a lamp is switched on");
        assert_eq!(house.look("m4o0").await.brightness.map(Percent::get), Some(40));
        let state = house.wish("salon", Some(false), None).await.unwrap();
        assert_eq!((state.on, state.brightness), (Some(false), Some(Percent::OFF)));
        let gaps = house.emulator().received();
        let close = gaps.windows(2).filter(|pair| pair[1].0.saturating_sub(pair[0].0) < ms(20)).count();
        assert_eq!(close, 0, "one telegram after another");
        house.emulator().gateway_up(false);
        house.emulator().drop_client(conbusd::emulator::Ending::Fin);
        pass(seconds(1)).await;
        assert_eq!(house.look("salon").await.freshness, Freshness::Stale);
        assert_eq!(house.wish("salon", Some(true), None).await, Err(BusError::LinkDown));
        house.finish().await;
    });
}

#[test]
fn a_scene_does_what_it_says_and_falls_back_to_off() {
    in_virtual_time(async {
        let house = house_of_24().appended(ENSEMBLES).warm().await;
        house.emulator().turn(point(1, 0), true);
        pass(seconds(1)).await;
        assert_eq!(house.look("film").await.on, Some(false));
        let state = house.wish("film", Some(true), None).await.unwrap();
        assert_eq!((state.on, state.brightness, state.observed_at), (Some(true), None, None));
        assert!(!house.emulator().output(point(1, 0)).unwrap().0);
        assert_eq!(house.emulator().output(point(4, 0)).unwrap().1.get(), 20);
        pass(Duration::from_millis(1100)).await;
        assert_eq!(house.look("film").await.on, Some(false));
        let told: Vec<_> = house.told_of("film").iter().map(|(on, _)| *on).collect();
        assert_eq!(told, [Some(true), Some(false)]);
        let telegrams = house.telegrams();
        assert_eq!(house.wish("film", Some(false), None).await.unwrap().on, Some(false));
        assert_eq!(house.telegrams(), telegrams, "off asks for nothing");
        house.finish().await;
    });
}

#[test]
fn after_a_scene_that_is_an_event_the_modules_it_drives_are_read_again() {
    in_virtual_time(async {
        let house = house_of_24().appended(ENSEMBLES).warm().await;
        for module in 1..=3 {
            house.emulator().turn(point(module, 2), true);
        }
        pass(seconds(5)).await;
        let read = |n: u8| format!("<S{}F02D12", serial(n));
        let reads = |n: u8| -> u64 {
            let received = house.emulator().counters().received;
            received.iter().filter(|(frame, _)| frame.starts_with(&read(n))).map(|(_, count)| count).sum()
        };
        let before: Vec<u64> = (1..=7).map(reads).collect();
        house.wish("off", Some(true), None).await.unwrap();
        pass(seconds(3)).await;
        for module in 1..=7 {
            assert!(reads(module) > before[usize::from(module) - 1], "module {module} is read again");
        }
        for module in 1..=3 {
            assert_eq!(
                house.look(&format!("m{module}o2")).await.on,
                Some(false),
                "the factory's table: all off"
            );
        }
        assert_eq!(house.wrong(&crate::support::points_of_24()).await, []);
        house.finish().await;
    });
}

#[test]
fn a_module_whose_table_does_not_listen_to_the_event_is_not_read_again() {
    in_virtual_time(async {
        let module = |n: u8, entry: &str| {
            format!(
                "[[module]]\nserial = \"{}\"\ntype = \"XP24\"\nlink = {n}\naction_table = [\"{entry}\"]\n\
                 [[accessory]]\nid = \"lamp{n}\"\nname = \"Lamp\"\nkind = \"light\"\nmodule = \"{}\"\noutput = 0\n",
                serial(n),
                serial(n)
            )
        };
        let (listens, does_not) = ("CP20 0 0 > 1 OFF", "CP20 9 9 > 1 OFF");
        let config = format!(
            "[[gateway]]\nid = \"home\"\naddress = \"emulator\"\n{}{}\
             [[scene]]\nid = \"off\"\nname = \"All off\"\nevent = \"E02L00I00\"\n",
            module(1, listens),
            module(2, does_not)
        );
        let house = house_with(config)
            .emulated(move |setup| {
                for (module, entry) in setup.modules.iter_mut().zip([listens, does_not]) {
                    module.table = ActionTable::from_entries(&[entry.parse().unwrap()]).unwrap();
                }
            })
            .warm()
            .await;
        house.emulator().turn(point(1, 0), true);
        house.emulator().turn(point(2, 0), true);
        // Nobody looks any more: whatever is read from now on is read because of the scene.
        pass(seconds(150)).await;
        let reads =
            |n: u8| house.sent(&Telegram::from(System::read(serial(n), Datapoint::OUTPUTS)).to_string());
        let before = [reads(1), reads(2)];
        house.wish("off", Some(true), None).await.unwrap();
        pass(seconds(3)).await;
        assert!(reads(1) > before[0], "it listens to the event");
        assert_eq!(reads(2), before[1], "it does not");
        assert_eq!((house.look("lamp1").await.on, house.look("lamp2").await.on), (Some(false), Some(true)));
        house.finish().await;
    });
}

#[test]
fn a_group_follows_a_config_that_is_edited() {
    in_virtual_time(async {
        let builder = house_of_24().appended(ENSEMBLES);
        let text = builder.text();
        let mut house = builder.warm().await;
        house.emulator().turn(point(1, 0), true);
        pass(seconds(1)).await;
        let before = house.app.roll().borrow().named("salon").unwrap().face.clone();
        assert_eq!((before.kind, before.point, before.dims), (AccessoryKind::Group, None, true));
        let fewer = text.replace("members = [\"m1o0\", \"m1o1\",", "members = [\"m1o1\",");
        let config = conbusd::config::parse("test.toml", &fewer, std::path::Path::new("/")).unwrap();
        let reload = house.app.reload(&config).await;
        assert_eq!(reload.applied, ["group.salon.members"]);
        pass(seconds(1)).await;
        assert_eq!(house.look("salon").await.on, Some(false), "the one that is on is no member any more");
        house.emulator().turn(point(1, 1), true);
        pass(ms(300)).await;
        assert_eq!(house.told_of("salon").last().unwrap().0, Some(true));
        let named = fewer.replace("name = \"Film\"", "name = \"Cinema\"");
        let config = conbusd::config::parse("test.toml", &named, std::path::Path::new("/")).unwrap();
        assert_eq!(house.app.reload(&config).await.applied, ["scene.film.name"]);
        house.finish().await;
    });
}
