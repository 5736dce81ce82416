//! Content types, content encodings and limits.

use std::io::Write as _;

use axum::body::Body;
use axum::http::Request;
use bytesize::ByteSize;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::json;

use super::fakes::NOW;
use super::harness::{Answer, Harness, Setup, post};
use crate::HttpConfig;

const EVENTS: &str = "/v1/events";

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn br(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4_096, 5, 22);
    encoder.write_all(bytes).unwrap();
    encoder.into_inner()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn batch(events: usize) -> String {
    let event = |n| json!({"event_id": format!("e{n}"), "type": "t", "timestamp": NOW.as_millis(), "title": "x".repeat(500)});
    json!({"events": (0..events).map(event).collect::<Vec<_>>()}).to_string()
}

fn request(encoding: &str, body: Vec<u8>) -> Request<Body> {
    let mut request = post(EVENTS);
    if !encoding.is_empty() {
        request = request.header("content-encoding", encoding);
    }
    request.body(body.into()).unwrap()
}

async fn send(encoding: &str, body: Vec<u8>) -> Answer {
    Harness::new().send(request(encoding, body)).await
}

type Encode = fn(&[u8]) -> Vec<u8>;
const ENCODINGS: [(&str, Encode); 9] = [
    ("gzip", gzip),
    ("GZIP", gzip),
    ("x-gzip", gzip),
    ("", gzip),
    ("identity", gzip),
    ("deflate", zlib),
    ("deflate", raw_deflate),
    ("br", br),
    ("zstd", zst),
];

#[tokio::test]
async fn every_encoding_is_understood() {
    // Some that are decompressed in place, and some that are more than that.
    for events in [1, 800] {
        for (encoding, encode) in ENCODINGS {
            let answer = send(encoding, encode(batch(events).as_bytes())).await;
            assert_eq!(answer.json()["accepted_count"], events, "{encoding}: {answer:?}");
        }
    }
    assert_eq!(send("identity", batch(1).into_bytes()).await.status.as_u16(), 200);
}

#[tokio::test]
async fn gzip_of_several_members_is_one_body() {
    let text = batch(3);
    let (first, second) = text.as_bytes().split_at(700);
    let answer = send("gzip", [gzip(first), gzip(second)].concat()).await;
    assert_eq!(answer.json()["accepted_count"], 3, "{answer:?}");
}

#[tokio::test]
async fn damaged_bodies_are_refused() {
    for events in [1, 800] {
        for (encoding, encode) in ENCODINGS {
            let whole = encode(batch(events).as_bytes());
            let cut = whole[..whole.len() / 2].to_vec();
            let answer = send(encoding, cut).await;
            assert_eq!(answer.error(), (400, "invalid_encoding".to_owned()), "{encoding}: {answer:?}");
        }
    }
    let mut wrong_sum = gzip(batch(1).as_bytes());
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 0xff;
    assert_eq!(send("gzip", wrong_sum).await.error(), (400, "invalid_encoding".to_owned()));
}

#[tokio::test]
async fn what_grows_too_much_is_refused() {
    let config = HttpConfig {
        max_events_body: ByteSize::kib(100),
        max_events_decompressed: ByteSize::kib(300),
        ..HttpConfig::default()
    };
    let harness = Setup { config, ..Setup::default() }.build();
    for (encoding, encode) in ENCODINGS {
        for (bytes, status) in [(300 * 1024, 400), (300 * 1024 + 1, 413), (50 * 1024 * 1024, 413)] {
            let answer = harness.send(request(encoding, encode(&vec![b' '; bytes]))).await;
            assert_eq!(answer.status.as_u16(), status, "{encoding} {bytes}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn windows_that_take_more_memory_than_allowed_are_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(batch(1).as_bytes()).unwrap();
    let answer = send("zstd", encoder.finish().unwrap()).await;
    assert_eq!(answer.error(), (400, "invalid_encoding".to_owned()), "{answer:?}");

    let params = brotli::enc::BrotliEncoderParams { large_window: true, lgwin: 28, ..Default::default() };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut batch(1).as_bytes(), &mut out, &params).unwrap();
    let answer = send("br", out).await;
    assert_eq!(answer.error(), (400, "invalid_encoding".to_owned()), "{answer:?}");
}

#[tokio::test]
async fn json_comes_under_several_names() {
    for content_type in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "text/plain;charset=UTF-8",
        "application/octet-stream",
        "",
    ] {
        let request = post(EVENTS).header("content-type", content_type);
        let answer = Harness::new().send(request.body(batch(1).into()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), 200, "{content_type}");
    }
}

#[tokio::test]
async fn memory_is_given_back() {
    let config = HttpConfig {
        max_inflight_body_bytes: ByteSize::mib(3),
        overload_wait: std::time::Duration::from_millis(10),
        ..HttpConfig::default()
    };
    let harness = Setup { config, ..Setup::default() }.build();
    let router = harness.router();
    for _ in 0..20 {
        let body = gzip(batch(400).as_bytes());
        let answer = super::harness::send(router.clone(), request("gzip", body)).await;
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    }
}
