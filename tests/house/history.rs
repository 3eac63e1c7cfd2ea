//! Who switched this light on, in a house with wall switches, lost reports and slow buses.

use conbusd::actors::ask;
use conbusd::actors::events::{AccessoryId, Recall, SetTarget};
use conbusd::conbus::{ActionTable, EventSource, Telegram};
use conbusd::emulator::{Dose, Fault, FaultKind};
use conbusd::policy::history::{Doer, End, Entry, Press};
use conbusd::policy::switch::{Target, Until};
use tokio::io::AsyncWriteExt;

use crate::support::{House, house_of_24, house_with, in_virtual_time, ms, pass, point, seconds, serial};

async fn told(house: &House, accessory: u32) -> Vec<Entry> {
    let recall = Recall { accessory: Some(AccessoryId(accessory)), limit: 10 };
    ask(&house.app.history, recall, seconds(1)).await.unwrap()
}

#[test]
fn a_wish_is_told_as_it_was_sent_heard_and_confirmed() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        house.switch(0, true).await.unwrap();
        let told = told(&house, 0).await;
        let [entry] = &told[..] else { panic!("{told:?}") };
        assert!(matches!(entry.doer, Doer::Client(_)));
        assert_eq!(entry.sent.len(), 1, "one F27");
        assert!(entry.heard.len() >= 2, "its ACK and its report: {entry:?}");
        let (at, end) = entry.ended.unwrap();
        assert_eq!(end, End::Confirmed);
        assert!(at.since(entry.at) < ms(300));
        house.finish().await;
    });
}

#[test]
fn a_lamp_whose_report_was_lost_is_told_as_found() {
    in_virtual_time(async {
        let house = house_of_24().warm().await;
        house.known(0).await;
        house.emulator().fault(Fault::on(serial(1), FaultKind::LostReport, Dose::ALWAYS));
        house.emulator().turn(point(1, 0), true);
        for _ in 0..40 {
            house.known(0).await;
            pass(seconds(1)).await;
        }
        let told = told(&house, 0).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((&told[0].doer, told[0].on), (&Doer::Found, Some(true)));
        house.finish().await;
    });
}

#[test]
fn a_wall_switch_is_told_with_the_key_that_was_pressed() {
    in_virtual_time(async {
        let config = "[[gateway]]\nid = \"home\"\naddress = \"emulator\"\n\
             [[module]]\nserial = \"0012345001\"\ntype = \"XP24\"\nlink = 1\n\
             [[module]]\nserial = \"0012345007\"\ntype = \"XP20\"\nlink = 7\n\
             [[accessory]]\nid = \"lamp\"\nname = \"Lamp\"\nkind = \"light\"\nmodule = \"0012345001\"\noutput = 0\n";
        let house = house_with(config.into())
            .emulated(|setup| {
                let entries = ["XP20 7 3 > 1 ON"].map(|entry| entry.parse().unwrap());
                setup.modules[0].table = ActionTable::from_entries(&entries).unwrap();
            })
            .warm()
            .await;
        pass(seconds(10)).await;
        let key = EventSource { module_type: "XP20".parse().unwrap(), link: 7, input: 3 };
        house.emulator().press(key, ms(80));
        pass(seconds(1)).await;
        let told = told(&house, 0).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].doer, Doer::Wall(vec![Press { module: Some(serial(7)), input: key }]));
        assert_eq!((told[0].on, told[0].heard.len()), (Some(true), 1), "the module's report");
        house.finish().await;
    });
}

#[test]
fn what_a_scenes_event_switches_is_told_as_the_doing_of_whoever_called_it() {
    in_virtual_time(async {
        let scene = "[[scene]]\nid = \"off\"\nname = \"All off\"\nevent = \"E02L00I00\"\n";
        let house = house_of_24().appended(scene).warm().await;
        house.emulator().turn(point(1, 0), true);
        pass(seconds(5)).await;
        // A wish for another lamp is open, because its module is silent: the event is not sent for that.
        house.emulator().fault(Fault::on(serial(3), FaultKind::Silence, Dose::ALWAYS));
        let open =
            tokio::task::spawn_local(house.set(8, Target { on: Some(true), level: None }, Until::Confirmed));
        pass(ms(100)).await;
        let cards = house.app.roll().borrow().clone();
        let card = cards.named("off").unwrap();
        let target = Target { on: Some(true), level: None };
        let called = SetTarget { target, until: Until::Confirmed, client: 7 };
        cards.wish(card, "http 192.168.1.5".into(), called, seconds(6)).await.unwrap();
        pass(seconds(2)).await;
        let lamp = told(&house, 0).await;
        assert_eq!(lamp[0].doer, Doer::Client("http 192.168.1.5".into()), "{lamp:?}");
        assert_eq!(lamp[0].on, Some(false));
        let scene = told(&house, card.face.place.0).await;
        assert_eq!(scene[0].sent, ["<E02L00I00MAP>", "<E02L00I00BAA>"], "{scene:?}");
        let waiting = told(&house, 8).await;
        assert!(waiting[0].sent.iter().all(|sent| !sent.starts_with("<E")), "{waiting:?}");
        open.abort();
        house.finish().await;
    });
}

#[test]
fn what_a_program_behind_the_shared_port_presses_is_told_with_its_address_and_not_as_a_wall_switch() {
    in_virtual_time(async {
        let house = house_of_24().section("[mux]\nallow = [\"192.168.1.0/24\"]").warm().await;
        house.emulator().turn(point(1, 0), true);
        pass(seconds(5)).await;
        let (mut ours, theirs) = tokio::io::duplex(4096);
        house.shared.as_ref().unwrap().desk().welcome(theirs, "192.168.1.9:5000".parse().unwrap());
        let mut say = async |payload: &str| {
            let telegram = Telegram::parse_payload(payload.as_bytes()).unwrap();
            ours.write_all(&telegram.to_bytes()).await.unwrap();
        };
        // The factory's table: all off.
        say("E02L00I00M").await;
        say("E02L00I00B").await;
        pass(seconds(2)).await;
        let client = Doer::Client("shared port 192.168.1.9".into());
        let off = told(&house, 0).await;
        assert_eq!((&off[0].doer, off[0].on), (&client, Some(false)), "{off:?}");
        say("S0012345001F27D01AB").await;
        pass(seconds(2)).await;
        let on = told(&house, 1).await;
        assert_eq!((&on[0].doer, on[0].on), (&client, Some(true)), "{on:?}");
        house.finish().await;
    });
}
