//! The end of the door.

use std::time::Duration;

use conbusd::emulator::{Dose, Fault, FaultKind};
use conbusd::policy::BusError;
use tokio::net::TcpStream;

use crate::support::{Home, Plan, in_real_time, pass, request};

#[test]
fn a_door_that_refuses_says_so_and_ends_the_streams() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let mut stream = home.connect().await;
        stream.say(&request("GET", "/api/events", "", "")).await;
        stream.answer(false).await;
        stream.event_of("accessories").await;
        let mut kept = home.connect().await;
        kept.say(&request("GET", "/api/accessories", "", "")).await;
        assert_eq!(kept.answer(true).await.status, 200);
        home.door.refuse();
        assert!(stream.is_closed().await);
        kept.say(&request("GET", "/api/accessories", "", "")).await;
        kept.answer(true).await.is_error(503, "stopping");
        assert!(kept.is_closed().await);
        home.put("ceiling", r#"{"on":true}"#).await.is_error(503, "stopping");
        home.get("/readyz").await.is_error(503, "stopping");
        assert_eq!(home.get("/livez").await.status, 200);
    });
}

#[test]
fn a_drain_lets_requests_end_and_closes_everything_else() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let address = home.address;
        let mut fresh = home.connect().await;
        let mut idle = home.connect().await;
        idle.say(&request("GET", "/livez", "", "")).await;
        idle.answer(true).await;
        let late = FaultKind::LateReply(Duration::from_millis(200));
        home.emulator.fault(Fault::everywhere(late, Dose::ALWAYS));
        let mut busy = home.connect().await;
        busy.say(&request("PUT", "/api/accessories/ceiling", "", r#"{"on":true}"#)).await;
        pass(20).await;
        let began = tokio::time::Instant::now();
        let Home { door, .. } = home;
        let (drained, answer) =
            futures_util::future::join(door.drain(Duration::from_secs(3)), busy.answer(true)).await;
        assert_eq!((drained, answer.status), (Ok(()), 200));
        assert!(began.elapsed().as_millis() > 100, "the request was answered before the drain");
        assert!(fresh.is_closed().await && idle.is_closed().await);
        assert!(TcpStream::connect(address).await.is_err());
    });
}

#[test]
fn a_drain_ends_at_its_deadline() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let serial = "0012345004".parse().unwrap();
        home.emulator.fault(Fault::on(serial, FaultKind::Silence, Dose::ALWAYS));
        let mut busy = home.connect().await;
        busy.say(&request("PUT", "/api/accessories/ceiling", "", r#"{"on":true}"#)).await;
        pass(20).await;
        let Home { door, .. } = home;
        let drained = door.drain(Duration::from_millis(200)).await;
        assert_eq!(drained, Err(BusError::TimedOut));
        assert!(busy.is_closed().await);
    });
}
