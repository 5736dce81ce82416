//! Bad input gets a clear error, and changes nothing.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use gosight_e2e::{ADMIN_KEY, Answer, Api, INGEST_KEY, READ_KEY, Server};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use gosight_e2e::load::now_ms;

const EVENTS: &str = "/v1/events";
const REPLAY: &str = "/v1/replay";
const BUSINESS: &str = "/api/v1/events";
const BULK: &str = "/api/v1/events/bulk";

/// What is expected: a status, the code of the answer, and the code of its first detail, if it has one.
type Expected = (u16, &'static str, Option<&'static str>);

#[expect(clippy::needless_pass_by_value, reason = "callers write the change in place")]
fn event(change: Value) -> Value {
    let mut event = json!({"type": "page_view", "timestamp": now_ms()});
    event.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    event
}

/// A request with one event.
fn one(change: Value) -> String {
    json!({"session_id": "s", "events": [event(change)]}).to_string()
}

#[expect(clippy::needless_pass_by_value, reason = "callers write the change in place")]
fn business(change: Value) -> String {
    let mut event = json!({"event_name": "buy", "user_id": "u", "timestamp": now_ms()});
    event.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    event.to_string()
}

#[expect(clippy::needless_pass_by_value, reason = "callers write the change in place")]
fn chunk(change: Value) -> String {
    let at = now_ms();
    let mut chunk = json!({
        "session_id": "s", "chunk_index": 0, "timestamp_start": at, "timestamp_end": at,
        "events": [{"type": 4, "data": {}, "timestamp": at}],
    });
    chunk.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    chunk.to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn invalid(code: &'static str) -> Expected {
    (400, "invalid_events", Some(code))
}

fn event_cases() -> Vec<(&'static str, String, Expected)> {
    let raw = |payload: &str| {
        format!(
            r#"{{"session_id":"s","events":[{{"type":"x","timestamp":{},"payload":{payload}}}]}}"#,
            now_ms()
        )
    };
    let deep = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let same_id = json!({"events": [
        event(json!({"event_id": "e-1", "path": "/a"})), event(json!({"event_id": "e-1", "path": "/b"})),
    ]});
    let thousand_and_one = json!({"events": vec![event(json!({})); 1_001]});
    vec![
        ("not JSON", "{not json".into(), (400, "invalid_json", None)),
        ("JSON but no object", "[]".into(), (400, "invalid_request", None)),
        ("an empty body", String::new(), (400, "invalid_json", None)),
        ("events of a wrong type", json!({"events": 5}).to_string(), (400, "invalid_request", None)),
        ("no events", json!({"events": []}).to_string(), (400, "no_events", None)),
        ("1,001 events", thousand_and_one.to_string(), (413, "too_many_events", None)),
        ("nested 10,000 deep", deep.clone(), (400, "too_deep", None)),
        ("a payload nested 10,000 deep", raw(&deep), invalid("too_deep")),
        ("a lone surrogate in a payload", raw(r#"{"a":"\ud800"}"#), invalid("invalid_json")),
        ("a lone surrogate in a title", raw(r#"{},"title":"\ud800""#), invalid("invalid_json")),
        ("a NUL in a payload", raw(r#"{"a":"\u0000"}"#), invalid("nul_character")),
        ("a NUL in a name", one(json!({"type": "a\u{0}b"})), invalid("nul_character")),
        ("a payload that is no object", one(json!({"payload": [1]})), invalid("wrong_type")),
        ("a custom that is no object", one(json!({"custom": "x"})), invalid("wrong_type")),
        ("a name of 0 characters", one(json!({"type": ""})), invalid("missing_field")),
        ("a name of 101 characters", one(json!({"type": "x".repeat(101)})), invalid("too_long")),
        ("no name", one(json!({"type": null})), invalid("missing_field")),
        ("no timestamp", one(json!({"timestamp": null})), invalid("missing_field")),
        ("a timestamp that is text", one(json!({"timestamp": "now"})), invalid("wrong_type")),
        ("a negative timestamp", one(json!({"timestamp": -1})), invalid("out_of_range")),
        ("a future timestamp", one(json!({"timestamp": now_ms() + 600_000})), invalid("timestamp_in_future")),
        (
            "an old timestamp",
            one(json!({"timestamp": now_ms() - 31 * 86_400_000})),
            invalid("timestamp_too_old"),
        ),
        ("a user id of 101 characters", one(json!({"user_id": "x".repeat(101)})), invalid("too_long")),
        ("an unknown channel", one(json!({"channel": "fax"})), invalid("not_allowed")),
        ("21 tags", one(json!({"tags": vec!["t"; 21]})), invalid("too_many")),
        ("a tag of 101 characters", one(json!({"tags": ["x".repeat(101)]})), invalid("too_long")),
        (
            "a place that overflows",
            one(json!({"type": "click", "payload": {"x": 70_000}})),
            invalid("out_of_range"),
        ),
        (
            "a depth that overflows",
            one(json!({"type": "scroll", "payload": {"depth_percent": 300}})),
            invalid("out_of_range"),
        ),
        (
            "a screen that overflows",
            one(json!({"device": {"screen_width": 70_000}})),
            invalid("out_of_range"),
        ),
        ("an event of 70 KB", one(json!({"title": "x".repeat(70_000)})), invalid("too_large")),
        ("an id for two events", same_id.to_string(), (200, "", Some("conflicting_event_id"))),
        (
            "a nil id",
            one(json!({"event_id": "00000000-0000-0000-0000-000000000000"})),
            invalid("not_allowed"),
        ),
    ]
}

fn other_cases() -> Vec<(&'static str, &'static str, String, Expected)> {
    let event_error = |code| (400, "invalid_event", Some(code));
    vec![
        ("no user", BUSINESS, business(json!({"user_id": null})), event_error("missing_field")),
        ("metadata that is no object", BUSINESS, business(json!({"metadata": 1})), event_error("wrong_type")),
        ("an empty bulk", BULK, json!({"events": []}).to_string(), (400, "no_events", None)),
        ("a bad bulk", BULK, json!({"events": [{"event_name": "x"}]}).to_string(), invalid("missing_field")),
    ]
}

fn check(name: &str, answer: &Answer, (status, code, detail): Expected) {
    assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.text);
    assert_eq!(answer.code(), code, "{name}: {}", answer.text);
    let body = answer.json();
    let details = if body["errors"].is_array() { &body["errors"] } else { &body["error"]["details"] };
    if let Some(detail) = detail {
        assert_eq!(details[0]["code"], detail, "{name}: {}", answer.text);
        assert!(!details[0]["message"].as_str().unwrap().is_empty(), "{name}");
        assert!(details[0]["field"].is_string(), "{name}: {}", answer.text);
    }
}

async fn raw_body(api: &Api, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let request = headers
        .iter()
        .fold(api.request(Method::POST, EVENTS), |request, (name, value)| request.header(*name, *value));
    Api::try_send(request.body(body)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_input_gets_its_code_and_changes_nothing() {
    let server = Server::start();
    let api = server.api(INGEST_KEY);
    for (name, body, expected) in event_cases() {
        check(name, &api.post(EVENTS, body).await, expected);
    }
    for (name, path, body, expected) in other_cases() {
        check(name, &api.post(path, body).await, expected);
    }

    let good = one(json!({}));
    let bomb = gzip(&vec![b' '; 300 << 20]);
    let half = gzip(good.as_bytes());
    let gzip_header = ("Content-Encoding", "gzip");
    for (name, headers, body, expected) in [
        ("a body of 6 MiB", vec![], vec![b' '; 6 << 20], (413, "body_too_large", None)),
        ("a gzip bomb", vec![gzip_header], bomb.clone(), (413, "decompressed_too_large", None)),
        ("a gzip bomb without header", vec![], bomb, (413, "decompressed_too_large", None)),
        (
            "truncated gzip",
            vec![gzip_header],
            half[..half.len() - 9].to_vec(),
            (400, "invalid_encoding", None),
        ),
        ("no gzip at all", vec![gzip_header], good.clone().into(), (400, "invalid_encoding", None)),
        (
            "an unknown encoding",
            vec![("Content-Encoding", "lzma")],
            vec![1],
            (415, "unsupported_encoding", None),
        ),
        (
            "an unknown type",
            vec![("Content-Type", "image/png")],
            vec![1],
            (415, "unsupported_media_type", None),
        ),
        ("invalid UTF-8", vec![], b"{\"events\":[\"\xff\"]}".to_vec(), (400, "invalid_utf8", None)),
    ] {
        check(name, &raw_body(&api, &headers, body).await, expected);
    }

    let ledger = server.api(ADMIN_KEY).processed().await;
    let polled = |log: &str| gosight_e2e::ledger_sum(&ledger, log, "polled");
    assert_eq!(polled("gosight.events.raw"), 1, "only the neighbour of the id that was used twice");
    assert_eq!(server.api(READ_KEY).total_count().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_does_not_cost_its_neighbours() {
    let server = Server::start();
    let events = json!({"session_id": "s", "events": [
        event(json!({"path": "/1"})), event(json!({"timestamp": "soon"})), event(json!({"path": "/2"})),
    ]});
    let answer = server.api(INGEST_KEY).post(EVENTS, events.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(
        (&body["success"], &body["accepted_count"], &body["rejected_count"]),
        (&json!(false), &json!(2), &json!(1))
    );
    let error = &body["errors"][0];
    assert_eq!(
        (&error["index"], &error["field"], &error["code"]),
        (&json!(1), &json!("timestamp"), &json!("wrong_type"))
    );
    server.api(ADMIN_KEY).processed().await;
    assert_eq!(server.api(READ_KEY).session_events("s").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_key_is_let_in() {
    let server = Server::start();
    let good = || one(json!({}));
    for (name, key, expected) in [
        ("no key", None, (401, "missing_key")),
        ("an unknown key", Some("gs_live_0123456789abcdef0123456789abcdef"), (401, "invalid_key")),
        ("a key that shares a prefix", Some("gs_test_project_kez"), (401, "invalid_key")),
        ("a key that goes on", Some("gs_test_project_key1"), (401, "invalid_key")),
        ("the start of a key", Some("gs_test_proj"), (401, "invalid_key")),
        ("a key of 3 characters", Some("gs_"), (401, "invalid_key")),
        ("a key in capitals", Some("GS_TEST_PROJECT_KEY"), (401, "invalid_key")),
        ("a read key that writes", Some(READ_KEY), (403, "insufficient_scope")),
        ("the right key", Some(INGEST_KEY), (200, "")),
    ] {
        for path in [EVENTS, REPLAY] {
            let body = if path == EVENTS { good() } else { chunk(json!({})) };
            let answer = Api::new(server.url(), key).post(path, body).await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.code()),
                expected,
                "{name} at {path}: {}",
                answer.text
            );
        }
    }
    let reader = server.api(INGEST_KEY).get("/api/v1/metrics").await;
    assert_eq!((reader.status.as_u16(), &*reader.code()), (403, "insufficient_scope"));
    let ledger = server.api(ADMIN_KEY).processed().await;
    assert_eq!(gosight_e2e::ledger_sum(&ledger, "gosight.events.raw", "polled"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_ten_gigabytes_is_refused_before_it_is_read() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nX-Project-Key: {INGEST_KEY}\r\nContent-Length: 10737418240\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(gosight_e2e::PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dawdles_is_cut_off() {
    let server = gosight_e2e::ServerBuilder::default().env("GOSIGHT_HTTP_HEADER_TIMEOUT", "300ms").start();
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).await.unwrap();
    stream.write_all(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Slow").await.unwrap();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(gosight_e2e::PATIENCE, stream.read_to_end(&mut rest)).await;
    end.expect("cut off in time").ok();
    let answer = server.api(INGEST_KEY).post(EVENTS, one(json!({}))).await;
    assert_eq!(answer.status, 200, "others are served: {}", answer.text);
}
