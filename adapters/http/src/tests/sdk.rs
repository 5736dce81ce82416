//! `POST /v1/events`.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::Request;
use gosight_domain::Channel;
use serde_json::{Value, json};

use super::fakes::NOW;
use super::harness::{Harness, Setup, post};
use crate::HttpConfig;

const EVENTS: &str = "/v1/events";

fn event() -> Value {
    json!({"type": "page_view", "timestamp": NOW.as_millis()})
}

fn event_with(field: &str, value: impl Into<Value>) -> Value {
    let mut event = event();
    event[field] = value.into();
    event
}

#[tokio::test]
async fn a_whole_event_arrives() {
    let harness = Harness::new();
    let body = json!({
        "session_id": "visit", "user_id": "u-batch", "anonymous_id": "a", "channel": "web", "campaign_id": "c",
        "sent_at": NOW.as_millis(), "batch_extra": {"ignored": [1]},
        "events": [{
            "event_id": "14cb7f4d-533f-46d6-841e-efb2338730c8", "type": "click", "timestamp": NOW.as_millis(),
            "url": "https://shop.example/cart?x=1", "title": "Ca\u{301}rt \"quoted\"", "referrer": "https://a.example/",
            "user_id": "u-own", "tags": ["a", "b"], "extra": "ignored",
            "device": {"browser": "Shop app", "screen_width": 1280, "viewport_height": 720.0},
            "payload": {"x": 10, "y": 20}, "custom": {"variant": "b"},
        }],
    });
    let answer = harness.post(EVENTS, body.to_string()).await;
    assert_eq!(
        answer.json(),
        json!({"success": true, "accepted_count": 1, "rejected_count": 0, "errors": []})
    );
    let events = harness.sink.events.lock().unwrap();
    let event = &events[0];
    assert_eq!(event.event_id.to_string(), "14cb7f4d-533f-46d6-841e-efb2338730c8");
    assert_eq!(event.event_type.as_str(), "click");
    assert_eq!(event.session_id.as_ref().unwrap().as_str(), "visit");
    assert_eq!(event.user_id.as_ref().unwrap().as_str(), "u-own");
    assert_eq!(event.anonymous_id.as_ref().unwrap().as_str(), "a");
    assert_eq!((event.channel, event.tags.len()), (Some(Channel::Web), 2));
    assert_eq!((event.page.path.as_str(), event.page.title.as_str()), ("/cart", "Ca\u{301}rt \"quoted\""));
    assert_eq!((event.device.screen_width, event.device.viewport_height), (Some(1280), Some(720)));
    assert_eq!(event.device.browser.as_deref(), Some("Shop app"));
    assert_eq!(event.payload.as_str(), r#"{"x":10,"y":20}"#);
    assert_eq!(event.custom.as_str(), r#"{"variant":"b"}"#);
}

#[tokio::test]
async fn fields_have_other_names() {
    for (field, value) in [("event_type", "click"), ("event_name", "click"), ("type", "click")] {
        let harness = Harness::new();
        let body = json!({"events": [{field: value, "timestamp": NOW.as_millis()}]});
        assert_eq!(harness.post(EVENTS, body.to_string()).await.json()["accepted_count"], 1, "{field}");
        assert_eq!(harness.sink.events.lock().unwrap()[0].event_type.as_str(), "click");
    }
    for field in ["event_id", "messageId", "uuid"] {
        let harness = Harness::new();
        let id = "14cb7f4d-533f-46d6-841e-efb2338730c8";
        let body = json!({"events": [event_with(field, id)]});
        harness.post(EVENTS, body.to_string()).await;
        assert_eq!(harness.sink.events.lock().unwrap()[0].event_id.to_string(), id, "{field}");
    }
}

#[tokio::test]
async fn a_bad_event_does_not_cost_its_neighbours() {
    let lone_surrogate = r#"{"type":"t","timestamp":1795204259500,"title":"\ud800"}"#;
    let surrogate_in_payload = r#"{"type":"t","timestamp":1795204259500,"payload":{"a":"\ud800"}}"#;
    let cases: Vec<(String, &str, &str)> = vec![
        (event_with("type", 5).to_string(), "type", "wrong_type"),
        (event_with("timestamp", "1795204259500").to_string(), "timestamp", "wrong_type"),
        (event_with("timestamp", Value::Null).to_string(), "timestamp", "missing_field"),
        (event_with("tags", json!(["a", 5])).to_string(), "tags[1]", "wrong_type"),
        (event_with("tags", "a").to_string(), "tags", "wrong_type"),
        (event_with("tags", vec!["t"; 21]).to_string(), "tags", "too_many"),
        (event_with("device", json!({"os": {}})).to_string(), "device.os", "wrong_type"),
        (event_with("device", json!([])).to_string(), "device", "wrong_type"),
        (
            event_with("device", json!({"screen_width": 70_000})).to_string(),
            "device.screen_width",
            "out_of_range",
        ),
        (event_with("payload", "text").to_string(), "payload", "wrong_type"),
        (event_with("messageId", "").to_string(), "messageId", "missing_field"),
        (event_with("channel", "tv").to_string(), "channel", "not_allowed"),
        (json!({"event_name": "", "timestamp": 1}).to_string(), "event_name", "missing_field"),
        (json!({"timestamp": 1}).to_string(), "type", "missing_field"),
        (r#"{"type":"t","timestamp":1e999}"#.to_owned(), "timestamp", "out_of_range"),
        ("5".to_owned(), "event", "wrong_type"),
        ("null".to_owned(), "event", "wrong_type"),
        (r#"["id", null, null, "type"]"#.to_owned(), "event", "wrong_type"),
        (lone_surrogate.to_owned(), "title", "invalid_json"),
        (surrogate_in_payload.to_owned(), "payload", "invalid_json"),
    ];
    for (bad, field, code) in cases {
        let harness = Harness::new();
        let body = format!(r#"{{"session_id":"s","events":[{},{bad},{}]}}"#, event(), event());
        let answer = harness.post(EVENTS, body).await;
        let json = answer.json();
        assert_eq!(
            (&json["accepted_count"], &json["rejected_count"]),
            (&json!(2), &json!(1)),
            "{bad}: {json}"
        );
        assert_eq!((answer.status.as_u16(), &json["success"]), (200, &json!(false)));
        let error = &json["errors"][0];
        assert_eq!(
            (&error["index"], &error["field"], &error["code"]),
            (&json!(1), &json!(field), &json!(code)),
            "{bad}"
        );
        assert!(error["message"].as_str().unwrap().starts_with(field), "{error}");
        let sessions: Vec<_> = harness
            .sink
            .events
            .lock()
            .unwrap()
            .iter()
            .map(|event| event.session_id.clone().unwrap())
            .collect();
        assert_eq!(sessions.len(), 2);
    }
}

#[tokio::test]
async fn details_of_a_batch_without_a_good_event_are_those_of_its_events() {
    let body = json!({"events": [event_with("timestamp", 1), {"timestamp": 1, "event_type": 7}]});
    let answer = Harness::new().post(EVENTS, body.to_string()).await;
    let json = answer.json();
    assert_eq!(answer.error(), (400, "invalid_events".to_owned()));
    assert_eq!((&json["success"], &json["accepted_count"]), (&json!(false), &json!(0)));
    assert_eq!(json["error"]["details"], json["errors"]);
    let fields: Vec<&str> =
        json["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["timestamp", "event_type"]);
}

#[tokio::test]
async fn the_key_in_the_head_comes_before_the_one_in_the_body() {
    let body = |key: &str| json!({"project_key": key, "events": [event()]}).to_string();
    let send = async |head: Option<(&str, &str)>, in_body: &str| {
        let request = Request::post(EVENTS);
        let request = head.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        Harness::new().send(request.body(body(in_body).into()).unwrap()).await.status.as_u16()
    };
    assert_eq!(send(None, "ingest").await, 200);
    assert_eq!(send(None, "whoever").await, 401);
    assert_eq!(send(Some(("x-project-key", "ingest")), "whoever").await, 200);
    assert_eq!(send(Some(("x-project-key", "whoever")), "ingest").await, 401);
    assert_eq!(send(Some(("authorization", "Bearer ingest")), "whoever").await, 200);
    assert_eq!(send(Some(("authorization", "Bearer whoever")), "ingest").await, 401);
    assert_eq!(send(Some(("authorization", "Basic eDp5")), "ingest").await, 200);
}

#[tokio::test]
async fn a_bad_key_in_the_head_is_refused_before_the_body_is_read() {
    let never = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let request = Request::post(EVENTS).header("x-project-key", "whoever");
    let request = request.body(axum::body::Body::from_stream(never)).unwrap();
    assert_eq!(Harness::new().send(request).await.error(), (401, "invalid_key".to_owned()));
}

#[tokio::test]
async fn the_client_is_who_a_trusted_proxy_says() {
    let ask = async |trusted: &[&str]| {
        let config = HttpConfig {
            trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
            ..HttpConfig::default()
        };
        let harness = Setup { config, ..Setup::default() }.build();
        let request = post(EVENTS)
            .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 4711))))
            .header("x-forwarded-for", "203.0.113.9, 198.51.100.7")
            .header("user-agent", "Test/1");
        let body = json!({"events": [event()]}).to_string();
        harness.send(request.body(body.into()).unwrap()).await;
        let asked = harness.enricher.asked.lock().unwrap();
        asked[0].clone()
    };
    let expected = |ip: &str| (Some(ip.parse::<IpAddr>().unwrap()), Some("Test/1".to_owned()));
    assert_eq!(ask(&[]).await, expected("192.0.2.1"));
    assert_eq!(ask(&["192.0.2.0/24"]).await, expected("198.51.100.7"));
    assert_eq!(ask(&["192.0.2.0/24", "198.51.100.0/24"]).await, expected("203.0.113.9"));
}

#[tokio::test]
async fn a_wrong_clock_shows_in_sent_at() {
    let hour_ahead = NOW.plus_millis(3_600_000);
    let body = |sent_at: Value| {
        json!({"sent_at": sent_at, "events": [{"type": "t", "timestamp": hour_ahead.as_millis()}]})
            .to_string()
    };
    for (sent_at, status) in [
        (json!(hour_ahead.as_millis()), 200),
        (json!(hour_ahead.as_millis() / 1_000), 200),
        (json!("2026-11-20T20:50:59.5Z"), 200),
        (Value::Null, 400),
    ] {
        let harness = Harness::new();
        assert_eq!(harness.post(EVENTS, body(sent_at.clone())).await.status.as_u16(), status, "{sent_at}");
    }
}
