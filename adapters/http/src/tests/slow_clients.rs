//! Clients that hold on to what others need: memory, by bodies that do not end, and places, by answers that they do not
//! take.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bytesize::ByteSize;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;

use super::connections::{PATIENCE, config, read_answer, read_to_end, start};
use super::harness::Setup;
use super::replay_read::{EVENTS, chunk, store};
use crate::HttpConfig;

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn unauthenticated_clients_leave_memory_for_those_with_a_key() {
    let config = HttpConfig {
        max_events_body: ByteSize::mib(1),
        max_events_decompressed: ByteSize::mib(1),
        max_replay_body: ByteSize::mib(1),
        max_replay_decompressed: ByteSize::mib(1),
        max_inflight_body_bytes: ByteSize::mib(3),
        overload_wait: Duration::from_millis(10),
        ..config()
    };
    let server = start(&Setup { config, ..Setup::default() }.build());
    let mut unauthenticated = Vec::new();
    for _ in 0..16 {
        let mut stream = server.connect().await;
        let head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n";
        stream.write_all(format!("{head}{}", "x".repeat(250_000)).as_bytes()).await.unwrap();
        unauthenticated.push(stream);
    }
    // Three of them fit. Once one is refused they hold what they may.
    let answers = unauthenticated.iter_mut().map(|stream| Box::pin(read_answer(stream)));
    let (text, _, _) = futures::future::select_all(answers).await;
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("overloaded"), "{text}");
    let mut stream = server.connect().await;
    let body = format!(
        r#"{{"events":[{{"type":"t","timestamp":1795204259500}}],"ignored":"{}"}}"#,
        "x".repeat(200_000)
    );
    let head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Project-Key: ingest\r\n";
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    let text = read_answer(&mut stream).await;
    assert!(text.contains(r#""accepted_count":1"#), "{text}");
}

#[tokio::test]
async fn a_body_that_trickles_is_broken_off() {
    let config = HttpConfig {
        body_timeout: Duration::from_mins(10),
        body_stall_timeout: Duration::from_millis(100),
        ..config()
    };
    let server = start(&Setup { config, ..Setup::default() }.build());
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{\"ev")
        .await
        .unwrap();
    let text = read_to_end(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("too slowly"), "{text}");
}

/// One place, and a recording that fits into no buffer on the way.
fn one_place() -> Setup {
    let config = HttpConfig { max_connections: 1, write_timeout: Duration::from_millis(100), ..config() };
    Setup { config, store: store(vec![chunk(0, &[0, 1, 2, 3], 16 << 20)]), ..Setup::default() }
}

#[tokio::test]
async fn who_does_not_read_loses_the_place() {
    let server = start(&one_place().build());
    let mut deaf = server.connect().await;
    let request = format!("GET {EVENTS} HTTP/1.1\r\nHost: x\r\nX-Project-Key: read\r\n\r\n");
    deaf.write_all(request.as_bytes()).await.unwrap();
    deaf.readable().await.unwrap();
    let mut next = server.connect().await;
    next.write_all(HEALTH).await.unwrap();
    assert!(read_answer(&mut next).await.contains("200 OK"));
}

#[tokio::test]
async fn who_opens_no_window_loses_the_place() {
    let server = start(&one_place().build());
    for uri in [EVENTS, "/health"] {
        let io = TokioIo::new(server.connect().await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), io).await.unwrap();
        let connection = tokio::spawn(connection);
        let uri = format!("http://{}{uri}", server.address);
        let request = Request::get(&uri).header("X-Project-Key", "read").body(Body::empty()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let ended = tokio::time::timeout(PATIENCE, connection).await;
        assert!(ended.is_ok(), "{uri}: the connection stays");
        drop((sender, response));
    }
    let mut next = server.connect().await;
    next.write_all(HEALTH).await.unwrap();
    assert!(read_answer(&mut next).await.contains("200 OK"));
}
