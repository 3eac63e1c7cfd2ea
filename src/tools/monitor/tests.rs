//! Claims about the monitor.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::tools::decode;

/// Serves one client these bytes in two parts, after it has asked when it must; answers with what it sent.
async fn serve(listener: TcpListener, asked: bool, bytes: &'static [u8]) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 4096];
    let count = if asked { client.read(&mut request).await.unwrap() } else { 0 };
    for part in bytes.chunks(bytes.len().div_ceil(2)) {
        client.write_all(part).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.shutdown().await.unwrap();
    String::from_utf8_lossy(&request[..count]).into_owned()
}

async fn listen() -> (TcpListener, String, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, "127.0.0.1".into(), port)
}

async fn daemon_answers(bytes: &'static [u8], json: bool) -> (String, MonitorError, String) {
    let (listener, host, port) = listen().await;
    let source = Source::Daemon { host, port, token: Some("secret".into()) };
    let mut out = Vec::new();
    let (request, ended) = tokio::join!(serve(listener, true, bytes), run(source, json, &mut out));
    (request, ended.unwrap_err(), String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn the_daemon_is_asked_for_telegrams_and_only_they_are_printed() {
    let (request, ended, printed) = daemon_answers(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
          event: accessories\ndata: []\n\n: keep-alive\n\n\
          event: telegram\ndata: {\"telegram\":\"<E07L06I80MAE>\",\ndata: \"gateway\":\"home\"}\n\n\
          event: link\ndata: {\"gateway\":\"home\",\"state\":\"down\"}\n\n\
          event: telegram\ndata: not json\n\nevent: telegram\ndata: [1]\n\n",
        true,
    )
    .await;
    assert!(request.starts_with("GET /api/events?telegrams=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer secret\r\n"), "{request}");
    assert_eq!(printed, "{\"telegram\":\"<E07L06I80MAE>\", \"gateway\":\"home\"}\n");
    assert!(matches!(ended, MonitorError::DaemonClosed { .. }), "{ended}");
}

#[tokio::test]
async fn telegrams_that_were_lost_on_the_way_leave_a_line_in_print_and_in_the_recording() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
          event: telegram\ndata: {\"telegram\":\"<E07L06I80MAE>\"}\n\n\
          event: lost\ndata: {\"telegrams\":12}\n\n";
    let (_, _, printed) = daemon_answers(ANSWER, true).await;
    assert_eq!(printed, "{\"telegram\":\"<E07L06I80MAE>\"}\n{\"kind\":\"lost\",\"telegrams\":12}\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.jsonl");
    let (listener, host, port) = listen().await;
    let source = Source::Daemon { host, port, token: None };
    let recorder = Recorder::create(&path, true).unwrap();
    let mut out = Vec::new();
    let watched = run_recording(source, false, Some(recorder), &mut out);
    let _ = tokio::join!(serve(listener, true, ANSWER), watched);
    let printed = String::from_utf8(out).unwrap();
    assert!(
        printed.ends_with("  ! 12 telegrams are missing here: they were not taken in time\n"),
        "{printed}"
    );
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.lines().nth(1).unwrap().contains("\"lost\":12"), "{written}");
    let played = crate::emulator::capture::Capture::parse(&written).unwrap();
    assert_eq!(played.rows().len(), 2, "whoever plays it takes the line for silence");
    assert_eq!(played.rows()[1].bytes, b"");
}

#[tokio::test]
async fn an_answer_that_is_no_event_stream_names_the_remedy() {
    let (_, ended, _) =
        daemon_answers(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", false).await;
    assert!(ended.to_string().contains("`token_file`"), "{ended}");
    let (_, ended, _) = daemon_answers(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", false).await;
    assert!(matches!(ended, MonitorError::NoEventStream { status: StatusCode::OK, .. }), "{ended}");
    let (_, ended, _) = daemon_answers(b"<E07L06I80MAE>", false).await;
    assert!(matches!(ended, MonitorError::DaemonUnreachable { .. }), "{ended}");
}

#[tokio::test]
async fn where_nobody_listens_the_error_names_the_address() {
    let (listener, host, port) = listen().await;
    drop(listener);
    for source in [
        Source::Daemon { host: host.clone(), port, token: None },
        Source::Gateway { host: host.clone(), port },
    ] {
        let error = run(source, false, &mut Vec::new()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("`127.0.0.1:{port}`")), "{error}");
    }
}

#[tokio::test]
async fn a_gateway_is_listened_to_directly() {
    let (listener, host, port) = listen().await;
    let mut out = Vec::new();
    let (_, ended) = tokio::join!(
        serve(listener, false, b"<E07L06I80MAE>\n<R0012345008F18DFB>"),
        run(Source::Gateway { host, port }, true, &mut out)
    );
    assert!(matches!(ended, Err(MonitorError::GatewayClosed { .. })));
    let mut decoded = Vec::new();
    decode::run(&mut &b"<E07L06I80MAE>\n<R0012345008F18DFB>"[..], &mut decoded).unwrap();
    assert_eq!(out, decoded, "the same objects as `decode` prints");
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_it_quietly() {
    let (listener, host, port) = listen().await;
    let mut out = Closed;
    let (_, ended) = tokio::join!(
        serve(listener, false, b"<E07L06I80MAE>"),
        run(Source::Gateway { host, port }, false, &mut out)
    );
    assert!(ended.is_ok());
}

#[test]
fn lines_for_people_are_aligned() {
    let lines: Vec<String> = [
        json!({"telegram": "<E07L06I80MAE>", "why": null, "meaning": "output 0 on"}),
        json!({"telegram": "<R0012345008F02D12xxxx1110FJ>", "why": null, "meaning": "output state: 1,2,3 on"}),
        json!({"telegram": "<E07L06I80MAF>", "why": "checksum", "direction": "rx"}),
        json!({"telegram": "\u{1b}x\"", "why": "framing"}),
        json!({}),
    ]
    .iter()
    .map(|object| human_line("12:00:00.000Z", object))
    .collect();
    assert_eq!(
        lines,
        [
            "12:00:00.000Z  <E07L06I80MAE>                  output 0 on",
            "12:00:00.000Z  <R0012345008F02D12xxxx1110FJ>   output state: 1,2,3 on",
            "12:00:00.000Z  rx   <E07L06I80MAF>                  not valid: checksum",
            "12:00:00.000Z  \\u{1b}x\"                        not valid: framing",
            "12:00:00.000Z",
        ]
    );
    assert_eq!(time_of_day().len(), "12:00:00.000Z".len());
}

#[test]
fn an_ipv6_address_is_bracketed() {
    assert_eq!(authority("::1", 8480), "[::1]:8480");
    assert_eq!(authority("localhost", 8480), "localhost:8480");
}
