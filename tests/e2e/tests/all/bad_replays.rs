//! Bad chunks of recordings get a clear error; nothing of them is stored, and nothing is counted.

use std::io::Write as _;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use gosight_e2e::load::now_ms;
use gosight_e2e::{ADMIN_KEY, Answer, Api, INGEST_KEY, READ_KEY, Server, ServerBuilder, gosight, ledger_sum};
use reqwest::Method;
use serde_json::{Value, json};

const REPLAY: &str = "/v1/replay";

/// A chunk with other values for some of its fields.
#[expect(clippy::needless_pass_by_value, reason = "callers write the change in place")]
fn chunk(change: Value) -> String {
    let at = now_ms();
    let mut chunk = json!({
        "session_id": "s", "chunk_index": 0, "timestamp_start": at, "timestamp_end": at + 5,
        "events": [{"type": 4, "data": {}, "timestamp": at}, {"type": 3, "data": {}, "timestamp": at + 5}],
    });
    chunk.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    chunk.to_string()
}

/// A chunk with this for its compressed events.
fn data(data: &[u8]) -> String {
    chunk(json!({"events": null, "data": STANDARD.encode(data)}))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One megabyte of gzip that becomes a gigabyte of spaces, which is as far as DEFLATE goes.
fn gzip_bomb() -> Vec<u8> {
    const PIECE: usize = 1 << 20;
    let piece = vec![b' '; PIECE];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&piece).unwrap();
    encoder.flush().unwrap();
    let start = encoder.get_ref().len();
    encoder.write_all(&piece).unwrap();
    encoder.flush().unwrap();
    let bytes = encoder.get_ref();
    let repeated = bytes[start..].repeat((1 << 30) / PIECE);
    [&bytes[..start], &repeated].concat()
}

/// 330 KB of Zstandard that become ten gigabytes: blocks of one byte, repeated 128 KiB times (RFC 8878, 3.1.1.2).
fn zstd_bomb() -> Vec<u8> {
    const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
    const BLOCK: u32 = 128 << 10;
    // No content size, and a window of 128 KiB.
    let header = [0, 7 << 3];
    let block = |is_last: u32| {
        let head = ((BLOCK << 3) | (1 << 1) | is_last).to_le_bytes();
        [head[0], head[1], head[2], b' ']
    };
    let blocks = usize::try_from((10_u64 << 30) / u64::from(BLOCK)).unwrap();
    [&MAGIC[..], &header[..], &block(0).repeat(blocks - 1)[..], &block(1)[..]].concat()
}

async fn send(server: &Server, key: &str, encoding: Option<&str>, body: impl Into<reqwest::Body>) -> Answer {
    let api = server.api(key);
    let request = api.request(Method::POST, REPLAY).body(body);
    let request = encoding.iter().fold(request, |request, name| request.header("Content-Encoding", *name));
    Api::try_send(request).await.unwrap()
}

fn check(name: &str, answer: &Answer, status: u16, code: &str, field: Option<&str>) {
    let text = &answer.text;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code), "{name}: {text}");
    assert!(!answer.json()["error"]["message"].as_str().unwrap().is_empty(), "{name}: {text}");
    if let Some(field) = field {
        assert_eq!(answer.json()["error"]["details"][0]["field"], field, "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_chunk_is_refused_and_leaves_nothing_behind() {
    let server = Server::start();
    let now = now_ms();
    let good = gzip(format!(r#"[{{"type":4,"timestamp":{now}}}]"#).as_bytes());
    let backwards = json!({"timestamp_start": now + 5, "timestamp_end": now});
    for (name, body, field) in [
        ("data that is not gzip", data(b"hello"), "data"),
        ("truncated gzip", data(&good[..good.len() - 9]), "data"),
        ("gzip with a wrong checksum", data(&[&good[..good.len() - 8], &[0; 8]].concat()), "data"),
        ("base64 garbage", chunk(json!({"events": null, "data": "=%=%"})), "data"),
        ("events that are an object", chunk(json!({"events": {"0": {}}})), "events"),
        ("data that is an object", data(&gzip(b"{}")), "data"),
        ("data that is not JSON", data(&gzip(b"[{]")), "data"),
        ("an index of 65,536", chunk(json!({"chunk_index": 65_536})), "chunk_index"),
        ("an index of -1", chunk(json!({"chunk_index": -1})), "chunk_index"),
        ("times that run backwards", chunk(backwards), "timestamp_start"),
        ("a count that is wrong", chunk(json!({"event_count": 3})), "event_count"),
        ("a type that is text", chunk(json!({"events": [{"type": "4", "timestamp": now}]})), "events[0]"),
        ("no timestamp", chunk(json!({"events": [{"type": 4}]})), "events[0]"),
        ("no session", chunk(json!({"session_id": null})), "session_id"),
    ] {
        check(name, &send(&server, INGEST_KEY, None, body).await, 400, "invalid_replay", Some(field));
    }
    for (name, encoding, body, code) in [
        ("a gzip bomb in data", None, data(&gzip_bomb()).into_bytes(), "decompressed_too_large"),
        ("a gzip bomb for a body", Some("gzip"), gzip_bomb(), "decompressed_too_large"),
        ("a zstd bomb", Some("zstd"), zstd_bomb(), "decompressed_too_large"),
        ("a body of 11 MiB", None, vec![b' '; 11 << 20], "body_too_large"),
    ] {
        check(name, &send(&server, INGEST_KEY, encoding, body).await, 413, code, None);
    }

    let ledger = server.api(ADMIN_KEY).processed().await;
    assert_eq!(ledger_sum(&ledger, "gosight.replay.chunks", "polled"), 0);
    assert_eq!(server.api(READ_KEY).get("/api/v1/sessions/s/replay").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_index_is_refused_before_and_after_the_chunk_is_stored() {
    let server = Server::start();
    let first = chunk(json!({}));
    let other = first.replace(r#""type":3"#, r#""type":5"#);
    assert_eq!(send(&server, INGEST_KEY, None, first.clone()).await.status, 200);
    let conflict = async |server: &Server| {
        let answer = send(server, INGEST_KEY, None, other.clone()).await;
        check("other content", &answer, 409, "conflicting_chunk", Some("chunk_index"));
    };
    conflict(&server).await;
    server.api(ADMIN_KEY).processed().await;
    conflict(&server).await;
    // What the process remembered goes with it; what is stored stays.
    let server = server.kill_and_restart();
    conflict(&server).await;
    assert_eq!(send(&server, INGEST_KEY, None, first).await.status, 200, "the same may come again");

    let ledger = server.api(ADMIN_KEY).processed().await;
    let sum = |field| ledger_sum(&ledger, "gosight.replay.chunks", field);
    assert_eq!((sum("polled"), sum("stored"), sum("duplicate")), (2, 1, 1));
    let replay = server.api(READ_KEY).get_json("/api/v1/sessions/s/replay/events").await;
    assert_eq!((replay.as_array().unwrap().len(), &replay[1]["type"]), (2, &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_projects_session_is_neither_seen_nor_touched() {
    let server = ServerBuilder::default().env("GOSIGHT_KEYS_CACHE_LIFE", "200ms").start();
    let other = Command::new(gosight())
        .args(["keys", "create", "--project", "other", "--scope", "ingest,read,admin", "--data-dir"])
        .arg(server.dir())
        .output()
        .unwrap();
    let other = String::from_utf8(other.stdout).unwrap();
    let other = other.trim();
    let mine = chunk(json!({}));
    let theirs = mine.replace(r#""type":3"#, r#""type":5"#);
    assert_eq!(send(&server, INGEST_KEY, None, mine).await.status, 200);
    server.api(ADMIN_KEY).processed().await;
    let path = "/api/v1/sessions/s/replay";
    for (method, path) in [
        (Method::GET, path.to_owned()),
        (Method::GET, format!("{path}/events")),
        (Method::GET, "/api/v1/sessions/s".to_owned()),
    ] {
        let answer = Api::try_send(server.api(other).request(method, &path)).await.unwrap();
        assert_eq!(answer.status, 404, "{path}: {}", answer.text);
    }
    let purged = Api::try_send(server.api(other).request(Method::DELETE, path)).await.unwrap();
    assert_eq!((purged.status.as_u16(), &purged.json()["hot_chunks"]), (200, &json!(0)), "{}", purged.text);

    // The same session and index in another project is another chunk.
    assert_eq!(send(&server, other, None, theirs).await.status, 200);
    server.api(ADMIN_KEY).processed().await;
    for (key, last) in [(READ_KEY, 3), (other, 5)] {
        let replay = server.api(key).get_json(&format!("{path}/events")).await;
        assert_eq!((replay.as_array().unwrap().len(), &replay[1]["type"]), (2, &json!(last)));
    }
}
