//! Archived recordings, sent as they are stored.

use std::io::Read as _;

use axum::body::Body;
use axum::http::{Method, Request, Response};
use bytes::Bytes;
use flate2::bufread::GzDecoder;
use gosight_application::ports::{ReplayArchive as _, read_object, whole_object};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::fakes::NOW;
use super::harness::{Answer, Harness, Setup, get};
use super::replay_read::{EVENTS, chunk_with, store};

/// A recording of about 1.5 MB that compresses to a half, in several chunks.
fn harness() -> Harness {
    let mut noise = 1_u64;
    let mut hex = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", noise >> 32)
    };
    let mut filler = || (0..12_500).map(|_| hex()).collect::<String>();
    let chunks = (0..5)
        .map(|n| chunk_with(n, &[i64::from(n) * 3, i64::from(n) * 3 + 1, i64::from(n) * 3 + 2], &filler()));
    Setup { store: store(chunks.collect()), ..Setup::default() }.build()
}

async fn archived() -> Harness {
    let harness = harness();
    let archive = Request::post("/api/v1/sessions/s/replay/archive").header("x-project-key", "admin");
    let answer = harness.send(archive.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.json()["outcome"], "archived");
    harness
}

/// Path and bytes of the one object.
async fn object(harness: &Harness) -> (String, Bytes) {
    let entries = harness.objects.list("", None, 10).await.unwrap();
    let is_manifest = |path: &String| path.contains(".manifest.");
    let path = entries.into_iter().map(|entry| entry.path).find(|path| !is_manifest(path)).unwrap();
    let data = harness.objects.get(&path, None).await.unwrap().unwrap();
    (path, read_object(data).await.unwrap())
}

async fn ask(harness: &Harness, uri: &str, encodings: &str) -> Answer {
    harness.send(get(uri).header("accept-encoding", encodings).body(Body::empty()).unwrap()).await
}

fn gunzip(data: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    GzDecoder::new(data).read_to_end(&mut text).unwrap();
    text
}

#[tokio::test]
async fn who_accepts_gzip_gets_the_object_itself() {
    let harness = archived().await;
    let (_, stored) = object(&harness).await;
    let plain = harness.get(EVENTS).await;
    assert_eq!((plain.header("content-encoding"), plain.body.len() > 1_400_000), ("", true));
    assert!(plain.header("vary").contains("accept-encoding"), "{:?}", plain.headers);
    for encodings in ["gzip", "gzip, deflate, br, zstd"] {
        let answer = ask(&harness, EVENTS, encodings).await;
        assert_eq!(answer.header("content-encoding"), "gzip");
        assert_eq!(answer.header("content-length"), stored.len().to_string());
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.header("vary").contains("accept-encoding"), "{:?}", answer.headers);
        assert!(answer.body == stored, "not compressed once more");
        assert!(gunzip(&answer.body) == plain.body);
    }
}

#[tokio::test]
async fn the_object_is_sent_in_parts() {
    let harness = archived().await;
    let request = get(EVENTS).header("accept-encoding", "gzip").body(Body::empty()).unwrap();
    let mut body = harness.router().oneshot(request).await.unwrap().into_body();
    let mut parts = Vec::new();
    while let Some(frame) = body.frame().await {
        parts.push(frame.unwrap().into_data().unwrap().len());
    }
    assert!(parts.len() > 2 && parts.iter().all(|bytes| *bytes <= 256 * 1024), "{parts:?}");
}

#[tokio::test]
async fn what_is_not_the_whole_object_is_compressed_as_it_is_sent() {
    let harness = archived().await;
    let (_, stored) = object(&harness).await;
    let from = format!("{EVENTS}?from={}", NOW.as_millis() + 1);
    for uri in [format!("{EVENTS}?format=ndjson"), from] {
        let plain = harness.get(&uri).await;
        let answer = ask(&harness, &uri, "gzip").await;
        assert_eq!((answer.header("content-encoding"), answer.header("content-length")), ("gzip", ""));
        assert!(answer.body != stored && gunzip(&answer.body) == plain.body, "{uri}");
    }
    // Other encodings, and no encoding at all.
    let plain = harness.get(EVENTS).await;
    let zstd = ask(&harness, EVENTS, "zstd").await;
    assert_eq!(zstd.header("content-encoding"), "zstd");
    assert!(zstd::decode_all(&zstd.body[..]).unwrap() == plain.body);
    assert!(ask(&harness, EVENTS, "identity, gzip;q=0").await.body == plain.body);
    // The hot store has no such object.
    let hot = ask(&self::harness(), EVENTS, "gzip").await;
    assert!(hot.header("content-length").is_empty() && gunzip(&hot.body) == plain.body);
}

#[tokio::test]
async fn a_head_is_that_of_the_answer() {
    let harness = archived().await;
    let (_, stored) = object(&harness).await;
    for (encodings, encoding, length) in [("gzip", "gzip", stored.len().to_string()), ("", "", String::new())]
    {
        let request = get(EVENTS).method(Method::HEAD).header("accept-encoding", encodings);
        let answer = harness.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
        assert_eq!(answer.header("content-encoding"), encoding);
        assert_eq!(answer.header("content-length"), length);
    }
}

async fn answer(harness: &Harness) -> Response<Body> {
    let request = get(EVENTS).header("accept-encoding", "gzip").body(Body::empty()).unwrap();
    harness.router().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_damaged_object_breaks_the_body_off() {
    let harness = archived().await;
    let (path, stored) = object(&harness).await;
    let mut flipped = stored.to_vec();
    flipped[stored.len() / 2] ^= 1;
    for damaged in [Bytes::from(flipped), stored.slice(..stored.len() - 1), stored.slice(..300_000)] {
        harness.objects.put(&path, whole_object(damaged.clone())).await.unwrap();
        let response = answer(&harness).await;
        assert_eq!(response.status().as_u16(), 200, "that was not known yet");
        assert!(response.into_body().collect().await.is_err());
    }
    // What is noticed with the first part has a status of its own.
    let damaged = stored.slice(..1_000);
    harness.objects.put(&path, whole_object(damaged.clone())).await.unwrap();
    assert_eq!(answer(&harness).await.status().as_u16(), 500);
    harness.objects.delete(&path).await.unwrap();
    assert_eq!(answer(&harness).await.status().as_u16(), 503);
}
