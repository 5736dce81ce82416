//! Every error code, each with its status.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytesize::ByteSize;
use gosight_application::ports::RateDecision;
use gosight_application::surface::FAILURES;
use serde_json::json;

use super::fake_store::Store;
use super::fakes::{AllTaken, NOW, SinkMode};
use super::harness::{Harness, Setup, get, post};
use crate::HttpConfig;

const EVENTS: &str = "/v1/events";

fn good() -> String {
    json!({"events": [{"type": "page_view", "timestamp": NOW.as_millis()}]}).to_string()
}

fn with(header: &'static str, value: &'static str, body: impl Into<Body>) -> Request<Body> {
    post(EVENTS).header(header, value).body(body.into()).unwrap()
}

fn keyed(key: &'static str) -> Request<Body> {
    Request::post(EVENTS).header("X-Project-Key", key).body(good().into()).unwrap()
}

fn body(text: impl Into<Body>) -> Request<Body> {
    post(EVENTS).body(text.into()).unwrap()
}

fn read(uri: &str) -> Request<Body> {
    get(uri).body(Body::empty()).unwrap()
}

/// A body of many bytes that says nothing of its length.
fn chunked(bytes: usize) -> Body {
    let part = bytes::Bytes::from(vec![b' '; bytes / 4]);
    Body::from_stream(futures::stream::iter((0..4).map(move |_| Ok::<_, std::io::Error>(part.clone()))))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    super::encodings::gzip(bytes)
}

fn small() -> Setup {
    let config = HttpConfig {
        max_events_body: ByteSize::kib(1),
        max_events_decompressed: ByteSize::kib(2),
        max_inflight_body_bytes: ByteSize::kib(16),
        overload_wait: Duration::from_millis(10),
        body_timeout: Duration::from_millis(50),
        ..HttpConfig::default()
    };
    Setup { config, ..Setup::default() }
}

fn unavailable() -> Setup {
    Setup { sink: SinkMode::Unavailable { retry_after: None }, ..Setup::default() }
}

fn limited() -> Setup {
    let retry_after = Duration::from_millis(2_500);
    Setup { limit: RateDecision::Limited { retry_after }, ..Setup::default() }
}

fn failing(is_transient: bool) -> Setup {
    Setup { store: Store { failing: Some(is_transient), ..Store::default() }, ..Setup::default() }
}

/// Another chunk was accepted with every index.
fn taken() -> Setup {
    Setup { chunks: Arc::new(AllTaken), ..Setup::default() }
}

fn overloaded() -> Setup {
    let mut setup = small();
    setup.config.max_inflight_body_bytes = ByteSize(10);
    setup
}

fn too_many() -> String {
    let event = json!({"type": "t", "timestamp": NOW.as_millis()});
    json!({"events": vec![event; 1_001]}).to_string()
}

#[tokio::test]
async fn every_code_is_answered_with_its_status() {
    let default = Setup::default;
    let stuck = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let put = Request::put(EVENTS).body(Body::empty()).unwrap();
    let no_key = Request::post(EVENTS).body(good().into()).unwrap();
    let declared = with("content-length", "10000000000", Body::empty());
    let bad_event = json!({"events": [{"type": "", "timestamp": 1}]}).to_string();
    let cases: Vec<(&str, Setup, Request<Body>)> = vec![
        ("invalid_json", default(), body("{\"events\": [}")),
        ("invalid_json", default(), body("")),
        ("invalid_json", default(), body("{} {}")),
        ("invalid_utf8", default(), body(vec![b'{', b'"', 0xff, b'"', b'}'])),
        ("invalid_request", default(), body("[]")),
        ("invalid_request", default(), body(r#"{"events": {}}"#)),
        ("invalid_request", default(), body(r#"{"events": [{"type": "lost"}], "events": []}"#)),
        ("invalid_request", default(), body(r#"{"session_id": 5, "events": []}"#)),
        ("invalid_request", default(), body(r#"{"sent_at": "yesterday", "events": []}"#)),
        ("invalid_request", default(), body(r#"{"sent_at": -5, "events": []}"#)),
        ("invalid_encoding", default(), with("content-encoding", "gzip", "no gzip at all")),
        ("no_events", default(), body(r#"{"events": []}"#)),
        ("no_events", default(), body(r#"{"events": null}"#)),
        ("no_events", default(), body("{}")),
        ("too_deep", default(), body(format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000)))),
        ("too_deep", default(), body("[".repeat(10_000))),
        ("invalid_events", default(), body(bad_event)),
        ("invalid_event", default(), post("/api/v1/events").body("{}".into()).unwrap()),
        ("invalid_replay", default(), post("/v1/replay").body("{}".into()).unwrap()),
        ("invalid_parameter", default(), read("/api/v1/metrics?limit=many")),
        ("unknown_parameter", default(), read("/api/v1/metrics?limt=5")),
        ("missing_key", default(), no_key),
        ("missing_key", default(), Request::get("/api/v1/sessions").body(Body::empty()).unwrap()),
        ("invalid_key", default(), keyed("whoever")),
        ("revoked_key", default(), keyed("revoked")),
        ("expired_key", default(), keyed("expired")),
        ("insufficient_scope", default(), keyed("read")),
        ("not_found", default(), read("/nowhere")),
        ("not_found", default(), read("/api/v1/sessions/nobody")),
        ("method_not_allowed", default(), put),
        ("request_timeout", small(), post(EVENTS).body(stuck).unwrap()),
        ("body_too_large", default(), declared),
        ("body_too_large", small(), body(chunked(1_100))),
        ("decompressed_too_large", small(), body(gzip(&[b' '; 2_049]))),
        ("too_many_events", default(), body(too_many())),
        ("unsupported_media_type", default(), with("content-type", "application/xml", good())),
        ("unsupported_encoding", default(), with("content-encoding", "lzw", good())),
        ("unsupported_encoding", default(), with("content-encoding", "gzip, br", good())),
        (
            "conflicting_chunk",
            taken(),
            post("/v1/replay").body(super::replay_ingest::any_chunk().into()).unwrap(),
        ),
        ("rate_limited", limited(), body(good())),
        ("internal", default(), keyed("panic")),
        ("internal", failing(false), read("/api/v1/sessions")),
        ("overloaded", overloaded(), body(good())),
        ("unavailable", unavailable(), body(good())),
        ("unavailable", default(), keyed("away")),
        ("unavailable", failing(true), read("/api/v1/sessions")),
    ];
    let mut seen = BTreeSet::new();
    for (code, setup, request) in cases {
        let harness = setup.build();
        let answer = harness.send(request).await;
        let status = FAILURES.iter().find(|(known, _, _)| *known == code).unwrap().1;
        assert_eq!(answer.error(), (status, code.to_owned()), "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(!answer.json()["error"]["message"].as_str().unwrap().is_empty());
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{answer:?}");
        assert_eq!(harness.recorder.of("requests_refused_total", &format!("reason={code}")), 1);
        seen.insert(code);
    }
    let all: BTreeSet<&str> = FAILURES.iter().map(|(code, _, _)| *code).collect();
    assert_eq!(seen, all, "every code has a case");
}

#[tokio::test]
async fn a_payload_nested_too_deep_is_named() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let text = format!(r#"{{"events":[{{"type":"t","timestamp":{NOW},"payload":{deep}}}]}}"#);
    let answer = Harness::new().post(EVENTS, text).await;
    assert_eq!(answer.error(), (400, "invalid_events".to_owned()));
    let error = &answer.json()["errors"][0];
    assert_eq!((error["field"].as_str(), error["code"].as_str()), (Some("payload"), Some("too_deep")));
}

#[tokio::test]
async fn who_has_to_wait_is_told_how_long() {
    for (setup, wait) in [
        (limited(), "3"),
        (unavailable(), "1"),
        (
            Setup {
                sink: SinkMode::Unavailable { retry_after: Some(Duration::from_secs(9)) },
                ..unavailable()
            },
            "9",
        ),
        (overloaded(), "1"),
    ] {
        let answer = setup.build().post(EVENTS, good()).await;
        assert_eq!(answer.header("retry-after"), wait, "{answer:?}");
    }
}

#[tokio::test]
async fn broken_json_is_shown_where_it_breaks() {
    let answer = Harness::new().post(EVENTS, "{\n  \"events\": [,]\n}").await;
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("line 2 column 14"), "{message}");
}

#[tokio::test]
async fn a_wrong_envelope_field_is_named() {
    let answer = Harness::new().post(EVENTS, r#"{"user_id": [1], "events": []}"#).await;
    let detail = &answer.json()["error"]["details"][0];
    assert_eq!((detail["field"].as_str(), detail["code"].as_str()), (Some("user_id"), Some("wrong_type")));
}

#[tokio::test]
async fn unauthorized_answers_say_how_to_authenticate() {
    let answer = Harness::new().send(keyed("whoever")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let put = Request::put(EVENTS).body(Body::empty()).unwrap();
    assert_eq!(Harness::new().send(put).await.header("allow"), "POST");
    let delete = Request::delete("/health").body(Body::empty()).unwrap();
    assert_eq!(Harness::new().send(delete).await.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn what_is_not_served_has_no_routes() {
    let mut harness = Harness::new();
    harness.ports.ingest = None;
    harness.ports.query = None;
    harness.ports.processor = None;
    for request in [body(good()), read("/api/v1/sessions"), read("/processor/status")] {
        assert_eq!(harness.send(request).await.error(), (404, "not_found".to_owned()));
    }
    assert_eq!(harness.get("/health").await.status, StatusCode::OK);
}
