//! Who switched this light on, in a house with wall switches, lost reports and slow buses.

use conbusd::actors::ask;
use conbusd::actors::events::{AccessoryId, Recall};
use conbusd::conbus::{ActionTable, EventSource};
use conbusd::emulator::{Dose, Fault, FaultKind};
use conbusd::policy::history::{Doer, End, Entry, Press};

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
