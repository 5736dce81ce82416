//! Over a socket: how a server stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::connections::{PATIENCE, config, read_answer, read_to_end, start};
use super::fakes::SinkMode;
use super::harness::Setup;
use crate::HttpConfig;

const BODY: &str = r#"{"events":[{"type":"t","timestamp":1795204259500}]}"#;

fn request() -> String {
    let head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Project-Key: ingest\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{BODY}", BODY.len())
}

struct Gate {
    reached: Arc<Notify>,
    go: Arc<Notify>,
}

impl Gate {
    async fn reached(&self) {
        tokio::time::timeout(PATIENCE, self.reached.notified()).await.expect("the request is handled");
    }
}

fn gated(config: HttpConfig) -> (Setup, Gate) {
    let (reached, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let sink = SinkMode::Wait { reached: reached.clone(), go: go.clone() };
    (Setup { config, sink, ..Setup::default() }, Gate { reached, go })
}

#[tokio::test]
async fn requests_in_flight_are_finished() {
    let (setup, gate) = gated(config());
    let harness = setup.build();
    let server = start(&harness);
    let mut idle = server.connect().await;
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_answer(&mut idle).await;
    let mut busy = server.connect().await;
    busy.write_all(request().as_bytes()).await.unwrap();
    gate.reached().await;

    server.shutdown.cancel();
    assert_eq!(read_to_end(&mut idle).await, "", "an idle connection is closed");
    let refused = async { while TcpStream::connect(server.address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("no connection is accepted any more");
    assert!(!server.task.is_finished());

    gate.go.notify_one();
    let text = read_to_end(&mut busy).await;
    assert!(text.starts_with("HTTP/1.1 200") && text.contains(r#""success":true"#), "{text}");
    drop((idle, busy));
    tokio::time::timeout(PATIENCE, server.task).await.expect("the server stops").unwrap().unwrap();
    assert_eq!(harness.sink.events.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn requests_that_take_too_long_are_cut_off() {
    let (setup, gate) = gated(HttpConfig { drain_timeout: Duration::from_millis(100), ..config() });
    let server = start(&setup.build());
    let mut busy = server.connect().await;
    busy.write_all(request().as_bytes()).await.unwrap();
    gate.reached().await;
    server.shutdown.cancel();
    tokio::time::timeout(PATIENCE, server.task).await.expect("the server stops").unwrap().unwrap();
    assert_eq!(read_to_end(&mut busy).await, "");
}

#[tokio::test]
async fn dropping_a_server_ends_its_connections() {
    let (setup, gate) = gated(config());
    let server = start(&setup.build());
    let mut busy = server.connect().await;
    busy.write_all(request().as_bytes()).await.unwrap();
    gate.reached().await;
    server.task.abort();
    assert_eq!(read_to_end(&mut busy).await, "");
}
