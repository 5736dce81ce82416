//! Recordings: what there is of them, and their events as a stream.

use std::collections::HashMap;

use axum::body::Body;
use gosight_domain::SessionId;
use gosight_domain::replay::{ContentHash, ReplayChunk};
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use super::encodings::gzip;
use super::fake_store::Store;
use super::fakes::{NOW, project};
use super::harness::{Harness, Setup, get};

/// A chunk of events at these offsets, each with `filler` bytes more.
pub(super) fn chunk(index: u16, offsets: &[i64], filler: usize) -> (ReplayChunk, Vec<u8>) {
    chunk_with(index, offsets, &"x".repeat(filler))
}

/// A chunk of events at these offsets, each with this text.
pub(super) fn chunk_with(index: u16, offsets: &[i64], text: &str) -> (ReplayChunk, Vec<u8>) {
    let event = |offset: &i64| {
        let at = NOW.as_millis() + offset;
        format!("{{\"type\":3,\n\"timestamp\":{at},\"data\":\"{text}\"}}")
    };
    let text = format!("[{}]", offsets.iter().map(event).collect::<Vec<_>>().join(","));
    let header = ReplayChunk {
        project_id: project(),
        session_id: SessionId::new("s").unwrap(),
        chunk_index: index,
        timestamp_start: NOW.plus_millis(*offsets.iter().min().unwrap()),
        timestamp_end: NOW.plus_millis(*offsets.iter().max().unwrap()),
        received_at: NOW,
        event_count: u32::try_from(offsets.len()).unwrap(),
        has_full_snapshot: index == 2,
        raw_bytes: u32::try_from(text.len()).unwrap(),
        content: ContentHash::of(text.as_bytes()),
        stored_bytes: 150,
        data: Vec::new(),
    };
    (header, gzip(text.as_bytes()))
}

pub(super) fn store(chunks: Vec<(ReplayChunk, Vec<u8>)>) -> Store {
    let data: HashMap<u16, Vec<u8>> =
        chunks.iter().map(|(chunk, data)| (chunk.chunk_index, data.clone())).collect();
    let chunks = chunks.into_iter().map(|(chunk, _)| chunk).collect();
    Store { chunks, data, ..Store::default() }
}

fn harness(chunks: Vec<(ReplayChunk, Vec<u8>)>) -> Harness {
    Setup { store: store(chunks), ..Setup::default() }.build()
}

fn offsets(text: &str) -> Vec<i64> {
    let events: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    events.iter().map(|event| event["timestamp"].as_i64().unwrap() - NOW.as_millis()).collect()
}

fn lines(text: &str) -> String {
    format!("[{}]", text.lines().collect::<Vec<_>>().join(","))
}

pub(super) const EVENTS: &str = "/api/v1/sessions/s/replay/events";

#[tokio::test]
async fn a_manifest_tells_what_there_is() {
    let harness = harness(vec![chunk(0, &[0, 10], 0), chunk(2, &[20], 0)]);
    let answer = harness.get("/api/v1/sessions/s/replay").await.json();
    let raw = |n: usize| harness.store.chunks[n].raw_bytes;
    assert_eq!(answer["chunks"].as_array().unwrap().len(), 2);
    assert_eq!(
        answer["chunks"][1],
        json!({"chunk_index": 2, "timestamp_start": NOW.as_millis() + 20, "timestamp_end": NOW.as_millis() + 20,
               "event_count": 1, "has_full_snapshot": true, "raw_bytes": raw(1),
               "sha256": harness.store.chunks[1].content.to_string()})
    );
    let mut rest = answer;
    rest.as_object_mut().unwrap().remove("chunks");
    assert_eq!(
        rest,
        json!({"session_id": "s", "chunk_count": 2, "event_count": 3, "missing_chunks": [1],
               "first_full_snapshot": 2, "started_at": NOW.as_millis(), "ended_at": NOW.as_millis() + 20,
               "raw_bytes": raw(0) + raw(1), "stored_bytes": 300, "storage": "hot"})
    );
}

#[tokio::test]
async fn events_come_in_order_of_time() {
    let harness = harness(vec![chunk(0, &[0, 30, 10], 0), chunk(1, &[20, 50], 0), chunk(2, &[40], 0)]);
    let answer = harness.get(EVENTS).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(offsets(&text), [0, 10, 20, 30, 40, 50]);
    assert!(text.contains("3,\n"), "an event keeps its text");

    let at = |offset: i64| NOW.as_millis() + offset;
    let part = harness.get(&format!("{EVENTS}?from={}&to={}", at(10), at(40))).await;
    assert_eq!(offsets(&String::from_utf8_lossy(&part.body)), [10, 20, 30, 40]);
    let nothing = harness.get(&format!("{EVENTS}?from={}", at(51))).await;
    assert_eq!(&nothing.body[..], b"[]");
}

#[tokio::test]
async fn events_come_line_by_line() {
    let harness = harness(vec![chunk(0, &[0, 10], 0)]);
    let accept = get(EVENTS).header("accept", "application/x-ndjson, */*;q=0.1").body(Body::empty()).unwrap();
    for answer in [harness.get(&format!("{EVENTS}?format=ndjson")).await, harness.send(accept).await] {
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(offsets(&lines(&text)), [0, 10]);
    }
    let json = get(&format!("{EVENTS}?format=json")).header("accept", "application/x-ndjson");
    let answer = harness.send(json.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let empty = harness.get(&format!("{EVENTS}?format=ndjson&to=1000")).await;
    assert!(empty.body.is_empty());
}

#[tokio::test]
async fn a_long_recording_comes_in_parts() {
    let chunks = (0..20).map(|n| chunk(n, &[i64::from(n) * 2, i64::from(n) * 2 + 1], 40_000)).collect();
    let harness = harness(chunks);
    let response = harness.router().oneshot(get(EVENTS).body(Body::empty()).unwrap()).await.unwrap();
    let mut body = response.into_body();
    let (mut parts, mut text) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert!(data.len() < 64 * 1024 + 41_000);
        text.extend_from_slice(&data);
        parts += 1;
    }
    assert!(parts > 10, "{parts}");
    assert_eq!(offsets(&String::from_utf8(text).unwrap()), (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failure_in_the_middle_breaks_the_body_off() {
    let mut chunks: Vec<_> = (0..4).map(|n| chunk(n, &[i64::from(n)], 70_000)).collect();
    chunks[2].1.truncate(10);
    let harness = harness(chunks);
    for encoding in ["identity", "gzip", "br", "zstd"] {
        let request = get(EVENTS).header("accept-encoding", encoding).body(Body::empty()).unwrap();
        let response = harness.router().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert!(response.into_body().collect().await.is_err(), "{encoding}");
    }
}

#[tokio::test]
async fn a_failure_at_the_start_has_a_status() {
    let mut chunks = vec![chunk(0, &[0], 0)];
    chunks[0].1.truncate(10);
    assert_eq!(harness(chunks).get(EVENTS).await.error(), (500, "internal".to_owned()));
    let mut gone = harness(vec![chunk(0, &[0], 0)]);
    gone =
        Setup { store: Store { chunks: gone.store.chunks.clone(), ..Store::default() }, ..Setup::default() }
            .build();
    assert_eq!(gone.get(EVENTS).await.error(), (503, "unavailable".to_owned()));
    for uri in [EVENTS, "/api/v1/sessions/s/replay"] {
        assert_eq!(harness(Vec::new()).get(uri).await.error(), (404, "not_found".to_owned()));
    }
}
