//! Claims about strangers and liars (fault rows 23 and 24 of the reliability notes), on sockets and in real time.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::doors::homekit::server::accept;

const AUTHENTICATION: u8 = 2;
const MAX_TRIES: u8 = 5;
const BUSY: u8 = 7;

/// Longer than a debug build on a busy machine takes to close.
const CLOSED_WITHIN: Duration = Duration::from_secs(20);

/// Runs a test with sockets.
fn on_sockets<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// Lets the bridge listen.
async fn open(bridge: &Bridge) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(accept(listener, bridge.hall.clone(), 0));
    address
}

/// A controller at the other end of a socket.
async fn connect(address: SocketAddr, name: &str) -> Phone {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    tokio::task::spawn_local(async move {
        let _ = tokio::io::copy_bidirectional(&mut socket, &mut theirs).await;
    });
    Phone::new(name, ours)
}

async fn is_closed(phone: &mut Phone) {
    let next = tokio::time::timeout(CLOSED_WITHIN, phone.receive()).await;
    assert_eq!(next.expect("it is still open"), None);
}

#[test]
fn one_guesses_at_a_time_and_after_a_hundred_wrong_codes_nobody_does_even_after_a_restart() {
    on_sockets(async {
        let bridge = Bridge::new();
        let address = open(&bridge).await;
        let mut first = connect(address, "thief").await;
        first.begins_to_pair().await.unwrap();
        assert_eq!(connect(address, "other").await.pair(CODE).await, Err((2, BUSY)));
        drop(first);
        // Its end has to be seen first.
        let mut guess = connect(address, "other").await.pair("271-82-819").await;
        while guess == Err((2, BUSY)) {
            pass(ms(20)).await;
            guess = connect(address, "other").await.pair("271-82-819").await;
        }
        assert_eq!(guess, Err((4, AUTHENTICATION)));
        let mut state = bridge.kept();
        assert_eq!(state.bridges[0].wrong_codes, 1, "it is kept before it is answered");
        state.bridges[0].wrong_codes = 99;
        let bridge = Bridge::on(state);
        let address = open(&bridge).await;
        assert_eq!(connect(address, "thief").await.pair("271-82-819").await, Err((4, AUTHENTICATION)));
        assert_eq!(connect(address, "phone").await.pair(CODE).await, Err((2, MAX_TRIES)));
        let restarted = open(&Bridge::on(bridge.kept())).await;
        assert_eq!(connect(restarted, "phone").await.pair(CODE).await, Err((2, MAX_TRIES)));
    });
}

#[test]
fn a_tampered_and_a_replayed_frame_end_the_session_and_change_nothing() {
    on_sockets(async {
        let bridge = Bridge::new();
        let address = open(&bridge).await;
        let mut phone = connect(address, "phone").await;
        phone.pair(CODE).await.unwrap();
        phone.verify().await.unwrap();
        assert_eq!(phone.get("/accessories").await.status, 200);
        phone.send_tampered(b"GET /accessories HTTP/1.1\r\nHost: b\r\n\r\n").await;
        is_closed(&mut phone).await;
        let mut phone = connect(address, "phone").await;
        phone.verify().await.unwrap();
        phone.send_twice(b"GET /accessories HTTP/1.1\r\nHost: b\r\n\r\n").await;
        // The first may be answered before the second is read; the second never.
        let mut answers = 0;
        while tokio::time::timeout(CLOSED_WITHIN, phone.receive()).await.expect("it is still open").is_some()
        {
            answers += 1;
        }
        assert!(answers <= 1, "{answers} answers");
        let mut phone = connect(address, "phone").await;
        phone.verify().await.unwrap();
        assert_eq!(phone.get("/accessories").await.status, 200, "another session is well");
    });
}
