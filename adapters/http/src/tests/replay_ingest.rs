//! `POST /v1/replay`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bytesize::ByteSize;
use gosight_application::codec::decode_chunk;
use serde_json::{Value, json};

use super::encodings::gzip;
use super::fakes::NOW;
use super::harness::{Harness, Setup};
use crate::HttpConfig;

const REPLAY: &str = "/v1/replay";

fn events() -> String {
    // Its text, with spaces and long numbers, must be kept as it is.
    format!(
        r#"[{{"type":2, "timestamp":{}, "data":{{"n":1.10}}}},{{"type":3,"timestamp":{}}}]"#,
        NOW.as_millis(),
        NOW.as_millis() + 7
    )
}

fn chunk(extra: &str) -> String {
    let (start, end) = (NOW.as_millis(), NOW.as_millis() + 7);
    format!(r#"{{"session_id":"s","chunk_index":3,"timestamp_start":{start},"timestamp_end":{end},{extra}}}"#)
}

/// A chunk that nothing is wrong with.
pub(super) fn any_chunk() -> String {
    chunk(&format!(r#""events":{}"#, events()))
}

fn data(text: &str) -> String {
    chunk(&format!(r#""data":"{}""#, STANDARD.encode(gzip(text.as_bytes()))))
}

#[tokio::test]
async fn a_chunk_is_logged_as_it_was_recorded() {
    let compressed = gzip(events().as_bytes());
    let bodies = [
        chunk(&format!(r#""events":{},"event_count":2,"has_full_snapshot":true"#, events())),
        chunk(&format!(r#""data":"{}""#, STANDARD.encode(&compressed))),
        chunk(&format!(r#""data":"{}","events":null"#, STANDARD_NO_PAD.encode(&compressed))),
        chunk(&format!(r#""data":"{}""#, URL_SAFE.encode(&compressed))),
        chunk(&format!(r#""data":"{}""#, URL_SAFE_NO_PAD.encode(&compressed))),
    ];
    for body in bodies {
        let harness = Harness::new();
        let answer = harness.post(REPLAY, body).await;
        assert_eq!(
            answer.json(),
            json!({"success": true, "session_id": "s", "chunk_index": 3, "event_count": 2})
        );
        let records = harness.sink.records.lock().unwrap();
        let chunk = decode_chunk(&records[0].1.value).unwrap();
        assert!(chunk.has_full_snapshot);
        assert_eq!(chunk.raw_bytes as usize, events().len());
        assert_eq!(chunk.content, gosight_domain::replay::ContentHash::of(events().as_bytes()));
    }
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let bad_event = format!(r#"[{{"type":2,"timestamp":{}}},{{"type":"x"}}]"#, NOW.as_millis());
    let without = |field: &str| {
        let mut body: Value = serde_json::from_str(&chunk(&format!(r#""events":{}"#, events()))).unwrap();
        body.as_object_mut().unwrap().remove(field);
        body.to_string()
    };
    for (body, field, code) in [
        (without("session_id"), "session_id", "missing_field"),
        (without("chunk_index"), "chunk_index", "missing_field"),
        (without("events"), "events", "missing_field"),
        (chunk(r#""events":{}"#), "events", "wrong_type"),
        (chunk(&format!(r#""events":{bad_event}"#)), "events[1]", "wrong_type"),
        (data(&bad_event), "data[1]", "wrong_type"),
        (data("{}"), "data", "wrong_type"),
        (data("[1"), "data", "not_allowed"),
        (chunk(r#""data":"%%%""#), "data", "not_allowed"),
        (chunk(&format!(r#""data":"{}""#, STANDARD.encode("no gzip"))), "data", "not_allowed"),
        (chunk(r#""data":5"#), "data", "wrong_type"),
        (chunk(&format!(r#""data":"","events":{}"#, events())), "data", "inconsistent"),
        (chunk(&format!(r#""events":{},"event_count":3"#, events())), "event_count", "inconsistent"),
        (chunk(&format!(r#""events":{},"event_count":1.5"#, events())), "event_count", "out_of_range"),
        (chunk(&format!(r#""events":{},"event_count":"2""#, events())), "event_count", "wrong_type"),
    ] {
        let answer = Harness::new().post(REPLAY, body.clone()).await;
        assert_eq!(answer.error(), (400, "invalid_replay".to_owned()), "{body}");
        let detail = &answer.json()["error"]["details"][0];
        assert_eq!((&detail["field"], &detail["code"]), (&json!(field), &json!(code)), "{body}");
    }
    assert_eq!(Harness::new().post(REPLAY, "[]").await.error(), (400, "invalid_request".to_owned()));
    assert_eq!(Harness::new().post(REPLAY, "{").await.error(), (400, "invalid_json".to_owned()));
}

#[tokio::test]
async fn another_chunk_with_an_index_that_is_taken_is_a_conflict() {
    let harness = Harness::new();
    let body = |events: &str| chunk(&format!(r#""events":{events}"#));
    assert_eq!(harness.post(REPLAY, body(&events())).await.status, 200);
    let answer = harness.post(REPLAY, body(&events().replace("1.10", "2"))).await;
    assert_eq!(answer.error(), (409, "conflicting_chunk".to_owned()));
    let detail = &answer.json()["error"]["details"][0];
    assert_eq!((&detail["field"], &detail["code"]), (&json!("chunk_index"), &json!("conflicting_chunk")));
    assert_eq!(harness.post(REPLAY, body(&events())).await.status, 200);
}

#[tokio::test]
async fn the_senders_gzip_is_kept_if_it_holds_nothing_but_the_events() {
    let tight = format!(
        r#"[{{"type":2,"timestamp":{},"data":"{}"}},{{"type":3,"timestamp":{}}}]"#,
        NOW.as_millis(),
        "x".repeat(1_000),
        NOW.as_millis() + 7
    );
    for (text, is_kept) in
        [(tight.clone(), true), (format!(" {tight}\n"), false), (tight.replace("},{", "}, {"), false)]
    {
        let harness = Harness::new();
        assert_eq!(harness.post(REPLAY, data(&text)).await.status, 200);
        let chunk = decode_chunk(&harness.sink.records.lock().unwrap()[0].1.value).unwrap();
        assert_eq!(chunk.data == gzip(text.as_bytes()), is_kept, "{text:?}");
        assert_eq!(chunk.content, gosight_domain::replay::ContentHash::of(tight.as_bytes()));
    }
}

#[tokio::test]
async fn the_key_may_be_in_the_body() {
    let send = async |key: &str| {
        let body = chunk(&format!(r#""project_key":"{key}","events":{}"#, events()));
        let request = axum::http::Request::post(REPLAY).body(body.into()).unwrap();
        Harness::new().send(request).await.status.as_u16()
    };
    assert_eq!(send("ingest").await, 200);
    assert_eq!(send("read").await, 403);
    assert_eq!(send("whoever").await, 401);
}

#[tokio::test]
async fn data_has_the_limits_of_a_body() {
    let config = HttpConfig {
        max_replay_body: ByteSize::kib(4),
        max_replay_decompressed: ByteSize::kib(100),
        ..HttpConfig::default()
    };
    let harness = Setup { config, ..Setup::default() }.build();
    let bomb = data(&" ".repeat(200 * 1024));
    assert_eq!(harness.post(REPLAY, bomb).await.error(), (413, "decompressed_too_large".to_owned()));
    // Compressed twice, it comes in under the limit of the body.
    let mut noise = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0] & 1
    })
    .take(6 * 1024)
    .collect();
    let body = chunk(&format!(r#""data":"{}""#, STANDARD.encode(noise)));
    let answer = harness.post(REPLAY, gzip(body.as_bytes())).await;
    assert_eq!(answer.error(), (413, "body_too_large".to_owned()), "{answer:?}");
}
