//! Over a socket: clients that are slow, greedy, or speak HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bytesize::ByteSize;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::harness::{Harness, Setup};
use crate::{BindError, HttpConfig, HttpServer};

/// Longer than anything here takes; a test that waits this long has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a free port.
pub(super) struct Running {
    pub address: SocketAddr,
    pub shutdown: CancellationToken,
    pub task: JoinHandle<std::io::Result<()>>,
}

pub(super) fn config() -> HttpConfig {
    HttpConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..HttpConfig::default() }
}

pub(super) fn start(harness: &Harness) -> Running {
    let server = HttpServer::bind(harness.config.clone(), harness.ports.clone()).unwrap();
    let address = server.local_addr();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(server.run(shutdown.clone()));
    Running { address, shutdown, task }
}

impl Running {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Everything that comes until the server closes.
pub(super) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    tokio::time::timeout(PATIENCE, read).await.expect("the server closes").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// What comes up to the end of the first answer's body, which is an object.
pub(super) async fn read_answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = async {
        while !(text.contains("\r\n\r\n") && text.ends_with('}')) {
            let mut bytes = [0; 1_024];
            let n = stream.read(&mut bytes).await.unwrap();
            assert!(n > 0, "closed after {text:?}");
            text.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer comes");
    text
}

#[tokio::test]
async fn who_does_not_finish_the_head_is_cut_off() {
    let config = HttpConfig { header_timeout: Duration::from_millis(100), ..config() };
    let server = start(&Setup { config, ..Setup::default() }.build());
    for start in ["", "P", "PRI * HTTP/2.0\r\n", "GET /health HTTP/1.1\r\nHost: x\r\nX-Slow:"] {
        let mut stream = server.connect().await;
        stream.write_all(start.as_bytes()).await.unwrap();
        let text = read_to_end(&mut stream).await;
        assert!(!text.contains("200"), "{start:?}: {text}");
    }
}

#[tokio::test]
async fn a_connection_without_further_requests_is_closed() {
    let config = HttpConfig { header_timeout: Duration::from_millis(100), ..config() };
    let server = start(&Setup { config, ..Setup::default() }.build());
    for start in ["", "GET /health HT"] {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(read_answer(&mut stream).await.contains("200 OK"));
        stream.write_all(start.as_bytes()).await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, "");
    }
}

#[tokio::test]
async fn who_does_not_finish_the_body_is_told() {
    let config = HttpConfig { body_timeout: Duration::from_millis(100), ..config() };
    let server = start(&Setup { config, ..Setup::default() }.build());
    let mut stream = server.connect().await;
    let head =
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Project-Key: ingest\r\nContent-Length: 100\r\n\r\n{\"ev";
    stream.write_all(head.as_bytes()).await.unwrap();
    let text = read_to_end(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("request_timeout"), "{text}");
}

#[tokio::test]
async fn who_announces_too_much_is_told_at_once() {
    let server = start(&Setup { config: config(), ..Setup::default() }.build());
    let mut stream = server.connect().await;
    let head =
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Project-Key: ingest\r\nContent-Length: 10000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let text = read_answer(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 413") && text.contains("body_too_large"), "{text}");
}

#[tokio::test]
async fn who_sends_too_much_still_sees_the_answer() {
    let config = HttpConfig { max_events_body: ByteSize::kib(1), ..config() };
    let server = start(&Setup { config, ..Setup::default() }.build());
    let mut stream = server.connect().await;
    let body = "x".repeat(30 * 1024 * 1024);
    let head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Project-Key: ingest\r\n";
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let text = read_to_end(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let config = HttpConfig { max_header_bytes: ByteSize::kib(8), ..config() };
    let server = start(&Setup { config, ..Setup::default() }.build());
    let mut stream = server.connect().await;
    let head = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    stream.write_all(head.as_bytes()).await.unwrap();
    let text = read_to_end(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}

#[tokio::test]
async fn a_connection_carries_several_requests() {
    let server = start(&Setup { config: config(), ..Setup::default() }.build());
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let text = read_answer(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    }
}

#[tokio::test]
async fn further_connections_wait_for_a_place() {
    let config = HttpConfig { max_connections: 1, ..config() };
    let server = start(&Setup { config, ..Setup::default() }.build());
    let mut first = server.connect().await;
    first.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_answer(&mut first).await;
    let mut second = server.connect().await;
    second.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut byte = [0; 1];
    let early = tokio::time::timeout(Duration::from_millis(50), second.read(&mut byte)).await;
    assert!(early.is_err(), "the second has no place yet");
    drop(first);
    assert!(read_answer(&mut second).await.contains("200 OK"));
}

#[tokio::test]
async fn http_2_is_spoken_without_tls() {
    let server = start(&Setup { config: config(), ..Setup::default() }.build());
    let io = TokioIo::new(server.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{}/health", server.address);
    let request = || Request::get(&uri).body(Body::empty()).unwrap();
    let (first, second) = (sender.send_request(request()), sender.send_request(request()));
    for response in [first.await.unwrap(), second.await.unwrap()] {
        assert_eq!(response.status().as_u16(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..], br#"{"status":"ok"}"#);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_and_a_bad_setting_are_said() {
    let harness = Setup { config: config(), ..Setup::default() }.build();
    let server = start(&harness);
    let taken = HttpConfig { listen: server.address, ..config() };
    let error = HttpServer::bind(taken, harness.ports.clone()).unwrap_err();
    assert!(error.to_string().contains(&server.address.to_string()), "{error}");
    let bad = HttpConfig { max_connections: 0, ..config() };
    assert!(matches!(HttpServer::bind(bad, harness.ports.clone()), Err(BindError::Config(_))));
}

#[tokio::test]
async fn the_peer_is_the_client() {
    let harness = Setup { config: config(), ..Setup::default() }.build();
    let server = start(&harness);
    let mut stream = server.connect().await;
    let body = r#"{"project_key":"ingest","events":[{"type":"t","timestamp":1795204259500}]}"#;
    let head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.1\r\n";
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.contains(r#""accepted_count":1"#));
    let asked = harness.enricher.asked.lock().unwrap();
    assert_eq!(asked[0].0, Some("127.0.0.1".parse().unwrap()));
}
