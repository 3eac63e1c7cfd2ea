//! The emulated house over connections: in memory on virtual time, and over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use conbusd::conbus::{
    EventSource, ModuleType, OutputIndex, Percent, Piece, Point, SerialNumber, Splitter, Telegram,
};
use conbusd::emulator::{Emulator, Ending, HouseSetup, ModuleSetup, SecondClient, Timing};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

const MS: Duration = Duration::from_millis(1);
const RELAY: &str = "0012345004";

fn serial(text: &str) -> SerialNumber {
    text.parse().unwrap()
}

fn point(output: u8) -> Point {
    Point { serial: serial(RELAY), output: OutputIndex::new(output).unwrap() }
}

fn setup() -> HouseSetup {
    HouseSetup::new(vec![
        ModuleSetup::new(serial(RELAY), ModuleType::XP24, 4),
        ModuleSetup::new(serial("0012345011"), ModuleType::XP33LED, 11),
    ])
}

fn request(payload: &str) -> Vec<u8> {
    Telegram::parse_payload(payload.as_bytes()).unwrap().to_bytes()
}

/// Reads telegrams until so many were there; their payloads.
async fn hear(stream: &mut (impl AsyncRead + Unpin), count: usize) -> Vec<String> {
    let mut splitter = Splitter::new();
    let mut heard = Vec::new();
    let mut bytes = [0; 512];
    while heard.len() < count {
        let got =
            timeout(Duration::from_secs(5), stream.read(&mut bytes)).await.expect("nothing comes").unwrap();
        assert_ne!(got, 0, "closed after {heard:?}");
        let mut input = &bytes[..got];
        while let Some(piece) = splitter.next_piece(&mut input) {
            if let Piece::Frame(frame) = piece {
                heard.push(String::from_utf8_lossy(frame.payload()).into_owned());
            }
        }
    }
    heard
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), payload: &str, count: usize) -> Vec<String> {
    stream.write_all(&request(payload)).await.unwrap();
    hear(stream, count).await
}

/// Runs a test that spawns local tasks.
async fn at_home(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

/// A house that is reached over a real socket.
async fn on_tcp(setup: HouseSetup) -> (Emulator, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let house = Emulator::new(setup);
    let serving = house.clone();
    tokio::task::spawn_local(async move { serving.serve(listener).await });
    (house, address)
}

#[tokio::test(start_paused = true)]
async fn an_exchange_takes_its_virtual_time_and_no_real_one() {
    at_home(async {
        let house = Emulator::new(setup().with_timing(Timing::fixed(50 * MS)));
        let mut client = house.connect().unwrap();
        let start = Instant::now();
        assert_eq!(ask(&mut client, "S0012345004F02D12", 1).await, ["R0012345004F02D12xxxx0000"]);
        assert_eq!(start.elapsed(), 50 * MS);
        assert_eq!(ask(&mut client, "S0012345004F27D02AB", 2).await, ["R0012345004F18D", "E07L04I82M"]);
        assert_eq!(start.elapsed(), 150 * MS);
        assert_eq!(house.output(point(2)), Some((true, Percent::FULL)));
        let received: Vec<String> =
            house.received().iter().map(|(_, telegram)| telegram.to_string()).collect();
        assert_eq!(received, ["<S0012345004F02D12FF>", "<S0012345004F27D02ABFA>"]);
        let counters = house.counters();
        assert_eq!((counters.telegrams_received, counters.telegrams_sent, counters.connections), (2, 3, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wall_switch_and_a_button_are_heard_by_the_client() {
    at_home(async {
        let house = Emulator::new(setup());
        let mut client = house.connect().unwrap();
        house.turn(point(1), true);
        assert_eq!(hear(&mut client, 1).await, ["E07L04I81M"]);
        house.press(EventSource::parse_stem("E14L00I02").unwrap(), 80 * MS);
        assert_eq!(hear(&mut client, 2).await, ["E14L00I02M", "E14L00I02B"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_a_client_is_caught_up_when_one_comes() {
    at_home(async {
        let house = Emulator::new(setup());
        drop(house.connect().unwrap());
        sleep(Duration::from_secs(3600)).await;
        house.turn(point(0), true);
        sleep(Duration::from_secs(1)).await;
        let mut client = house.connect().unwrap();
        assert_eq!(ask(&mut client, "S0012345004F02D12", 1).await, ["R0012345004F02D12xxxx0001"]);
        let counters = house.counters();
        assert_eq!((counters.connections, counters.connections_open_max), (2, 1));
        assert!(counters.connection_gap_min > Some(Duration::from_secs(3600)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_in_memory_sees_refusal_take_over_and_each_ending() {
    at_home(async {
        let house = Emulator::new(setup());
        let mut first = house.connect().unwrap();
        assert!(house.connect().is_none());
        house.drop_client(Ending::RstMidFrame);
        let mut rest = Vec::new();
        first.read_to_end(&mut rest).await.unwrap();
        assert!(rest.starts_with(b"<R") && !rest.contains(&b'>'), "{rest:?}");
        sleep(MS).await;
        let mut second = house.connect().unwrap();
        house.drop_client(Ending::BlackHole);
        second.write_all(&request("S0012345004F02D12")).await.unwrap();
        assert!(timeout(Duration::from_secs(60), second.read_u8()).await.is_err(), "silent and open");
        drop(second);
        sleep(MS).await;
        house.refuse_for(Duration::from_secs(5));
        assert!(house.connect().is_none());
        sleep(Duration::from_secs(5)).await;
        assert!(house.connect().is_some());
    })
    .await;
    at_home(async {
        let house = Emulator::new(HouseSetup { second_client: SecondClient::TakeOver, ..setup() });
        let mut first = house.connect().unwrap();
        let mut second = house.connect().unwrap();
        assert_eq!(first.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(ask(&mut second, "S0012345004F02D10", 1).await, ["R0012345004F02D1000"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_costs_bounded_memory() {
    at_home(async {
        let house = Emulator::new(setup().with_timing(Timing::zero()));
        let mut client = house.connect().unwrap();
        client.write_all(&request("S0012345004F02D17")).await.unwrap();
        sleep(MS).await;
        house.storm(serial(RELAY), 1000);
        sleep(Duration::from_secs(60)).await;
        assert!(house.counters().telegrams_dropped > 0);
    })
    .await;
}

#[tokio::test]
async fn over_tcp_the_second_client_is_closed_at_once_and_a_reset_is_a_reset() {
    at_home(async {
        let (house, address) = on_tcp(setup().with_timing(Timing::zero())).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        assert_eq!(ask(&mut first, "S0012345004F02D12", 1).await, ["R0012345004F02D12xxxx0000"]);
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(second.read(&mut [0; 8]).await.unwrap(), 0);
        house.drop_client(Ending::Rst);
        let error = first.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        let mut third = TcpStream::connect(address).await.unwrap();
        assert_eq!(ask(&mut third, "S0012345004F02D12", 1).await.len(), 1);
        house.drop_client(Ending::Fin);
        assert_eq!(third.read(&mut [0; 8]).await.unwrap(), 0);
        let mut fourth = TcpStream::connect(address).await.unwrap();
        ask(&mut fourth, "S0012345004F02D12", 1).await;
        house.drop_client(Ending::RstMidFrame);
        let mut half = [0; 64];
        let count = fourth.read(&mut half).await.unwrap();
        assert!(half.starts_with(b"<R") && !half[..count].contains(&b'>'));
        let error = fourth.read(&mut half).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    })
    .await;
}

#[tokio::test]
async fn over_tcp_closing_and_dialling_at_once_is_never_two_connections() {
    at_home(async {
        let (house, address) = on_tcp(setup().with_timing(Timing::zero())).await;
        for _ in 0..50 {
            let mut client = TcpStream::connect(address).await.unwrap();
            assert_eq!(ask(&mut client, "S0012345004F02D10", 1).await.len(), 1);
        }
        let counters = house.counters();
        assert_eq!((counters.connections, counters.connections_open_max), (50, 1));
    })
    .await;
}

#[tokio::test]
async fn nobody_listens_while_the_gateway_is_down() {
    at_home(async {
        let (house, address) = on_tcp(setup()).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        sleep(20 * MS).await;
        house.gateway_up(false);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        sleep(20 * MS).await;
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        house.gateway_up(true);
        sleep(20 * MS).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        assert_eq!(ask(&mut client, "S0012345004F02D10", 1).await, ["R0012345004F02D1000"]);
    })
    .await;
}

#[tokio::test]
async fn the_control_port_is_a_hand_in_the_house() {
    at_home(async {
        let (house, address) = on_tcp(setup().with_timing(Timing::zero())).await;
        let control = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let control_address = control.local_addr().unwrap();
        let serving = house.clone();
        tokio::task::spawn_local(async move { serving.serve_control(control).await });
        let mut client = TcpStream::connect(address).await.unwrap();
        ask(&mut client, "S0012345004F02D10", 1).await;

        let mut lines = BufReader::new(TcpStream::connect(control_address).await.unwrap());
        let mut answers = Vec::new();
        for order in [
            r#"{"do":"turn","serial":"0012345004","output":0,"on":true}"#,
            r#"{"do":"level","serial":"0012345011","output":1,"level":40}"#,
            r#"{"do":"state"}"#,
            r#"{"do":"counters"}"#,
            r#"{"do":"turn","serial":"0012345004","output":4,"on":true}"#,
            r#"{"do":"turn","serial":"0099999999","output":0,"on":true}"#,
            r#"{"do":"dance"}"#,
            "nonsense",
        ] {
            lines.write_all(format!("{order}\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            lines.read_line(&mut answer).await.unwrap();
            answers.push(serde_json::from_str::<serde_json::Value>(&answer).unwrap());
        }
        assert_eq!(hear(&mut client, 2).await, ["E07L04I80M", "E35L11I81M"]);
        let good: Vec<bool> = answers.iter().map(|answer| answer["ok"] == true).collect();
        assert_eq!(good, [true, true, true, true, false, false, false, false]);
        assert_eq!(answers[2]["modules"][0]["levels"], serde_json::json!([100, 0, 0, 0]));
        assert_eq!(answers[2]["modules"][1]["levels"], serde_json::json!([0, 40, 0]));
        assert_eq!(answers[3]["counters"]["received"]["<S0012345004F02D10FH>"], 1);
        assert_eq!(answers[4]["error"], "module `0012345004` has no output `4`");

        lines.write_all(&vec![b'x'; 20_000]).await.unwrap();
        let mut answer = String::new();
        lines.read_line(&mut answer).await.unwrap();
        assert!(answer.contains("at most"), "{answer}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn telegrams_in_single_bytes_are_still_telegrams() {
    at_home(async {
        let house = Emulator::new(setup());
        let mut client = house.connect().unwrap();
        assert_eq!(house.obey_line(br#"{"do":"segments","bytes":1}"#)["ok"], true);
        client.write_all(&request("S0012345004F02D12")).await.unwrap();
        assert_eq!(client.read(&mut [0; 100]).await.unwrap(), 1);
        let start = Instant::now();
        let mut rest = [0; 28];
        client.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest[..10], b"R001234500");
        assert!(start.elapsed() >= 27 * MS);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_order_of_the_control_port_does_what_it_says() {
    at_home(async {
        let house = Emulator::new(setup().with_timing(Timing::zero()));
        let mut client = house.connect().unwrap();
        let obey = |line: &str| house.obey_line(line.as_bytes());
        for (order, heard) in [
            (r#"{"do":"event","stem":"E14L00I02","edge":"make"}"#, vec!["E14L00I02M"]),
            (r#"{"do":"press","stem":"E14L00I02"}"#, vec!["E14L00I02M", "E14L00I02B"]),
            (r#"{"do":"input","serial":"0012345004","input":3,"edge":"make"}"#, vec!["E07L04I83M"]),
            (r#"{"do":"telegram","telegram":"<S0012345008F02D12FJ>"}"#, vec!["S0012345008F02D12"]),
            (r#"{"do":"table","serial":"0012345004","entries":["XP2606 0 2 > 1 TOGGLE"]}"#, vec![]),
            (r#"{"do":"press","stem":"E14L00I02"}"#, vec!["E14L00I02M", "E07L04I80M", "E14L00I02B"]),
            (r#"{"do":"restart","serial":"0012345011"}"#, vec!["E35L11I80B"]),
        ] {
            assert_eq!(obey(order)["ok"], true, "{order}");
            let got = hear(&mut client, heard.len()).await;
            assert_eq!(got[..heard.len()], heard, "{order}");
            sleep(200 * MS).await;
        }
        assert_eq!(obey(r#"{"do":"table","serial":"0012345004"}"#)["entries"][0], "XP2606 0 2 > 1 TOGGLE");
        for order in [
            r#"{"do":"error_code","serial":"0012345004","code":254}"#,
            r#"{"do":"auto_report","serial":"0012345004","on":false}"#,
            r#"{"do":"latency","serial":"0012345004","by_ms":5}"#,
            r#"{"do":"fault","kind":"late_reply","by_ms":400,"chance":0.5}"#,
            r#"{"do":"fault","kind":"silence","serial":"0012345011"}"#,
            r#"{"do":"fault","kind":"silence","serial":"0012345011","next":0}"#,
            r#"{"do":"clear_faults"}"#,
            r#"{"do":"storm","serial":"0012345011","per_second":2}"#,
            r#"{"do":"noise","bytes":"<§"}"#,
            r#"{"do":"transcript","last":2}"#,
            r#"{"do":"refuse","for_ms":1}"#,
            r#"{"do":"disconnect","how":"black_hole"}"#,
            r#"{"do":"gateway","up":false}"#,
        ] {
            assert_eq!(obey(order)["ok"], true, "{order}");
        }
        let state = obey(r#"{"do":"state"}"#);
        assert_eq!(state["gateway_up"], false);
        assert_eq!(state["modules"][0]["error_code"], 254);
        assert_eq!(state["modules"][0]["auto_report"], false);
        assert_eq!(state["modules"][1]["storming"], true);
        for (order, why) in [
            (r#"{"do":"fault","kind":"gremlin"}"#, "no fault is called `gremlin`"),
            (r#"{"do":"fault","kind":"silence","chance":2}"#, "a chance is 0 to 1, not `2`"),
            (
                r#"{"do":"fault","kind":"silence","chance":1,"next":1}"#,
                "a fault has `next` or `chance`, not both",
            ),
            (r#"{"do":"disconnect","how":"politely"}"#, "no connection ends by `politely`"),
            (
                r#"{"do":"event","stem":"E14","edge":"make"}"#,
                "`E14` is not the stem of an event, as `E14L00I02`",
            ),
            (r#"{"do":"event","stem":"E14L00I02","edge":"up"}"#, "an edge is `make` or `break`, not `up`"),
            (
                r#"{"do":"telegram","telegram":"<S0012345008F02D12AA>"}"#,
                "`<S0012345008F02D12AA>` is not a telegram",
            ),
            (r#"{"do":"level","serial":"0012345011","output":0,"level":101}"#, "level `101` is above 100"),
            (
                r#"{"do":"table","serial":"0012345004","entries":["CP20 4 0 > 0 ON"]}"#,
                "`0` is not an output from 1 to 8",
            ),
        ] {
            assert_eq!(obey(order)["error"], why, "{order}");
        }
    })
    .await;
}
