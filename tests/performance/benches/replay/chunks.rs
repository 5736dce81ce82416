//! The chunks of the recorded sessions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use gosight_e2e::recordings;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::is_measured;

/// The level that the ingest API compresses with.
pub(crate) const LEVEL: u32 = 6;

#[derive(Deserialize)]
struct Line {
    path: String,
    body: Box<RawValue>,
}

#[derive(Deserialize)]
struct Body {
    session_id: String,
    chunk_index: u16,
    timestamp_start: i64,
    timestamp_end: i64,
    events: Box<RawValue>,
}

/// One recorded chunk.
pub(crate) struct Chunk {
    pub session_id: String,
    pub index: u16,
    pub start: i64,
    pub end: i64,
    /// The array of its events.
    pub events: String,
    /// Bytes of the request that the browser sent.
    pub sent_bytes: usize,
}

impl Chunk {
    /// The same as a request with compressed events.
    pub fn request(&self) -> Bytes {
        let data = STANDARD.encode(gzip(self.events.as_bytes(), LEVEL));
        let body = json!({
            "session_id": self.session_id, "chunk_index": self.index, "timestamp_start": self.start,
            "timestamp_end": self.end, "data": data,
        });
        body.to_string().into()
    }
}

/// All chunks, each once, by session and index. A few when nothing is measured.
pub(crate) fn recorded() -> Vec<Chunk> {
    let mut chunks = BTreeMap::new();
    let sessions = if is_measured() { usize::MAX } else { 2 };
    for file in recordings::files().into_iter().take(sessions) {
        for line in BufReader::new(GzDecoder::new(File::open(file).expect("a recording"))).lines() {
            let Line { path, body } = serde_json::from_str(&line.expect("a line")).expect("a request");
            if path != "/v1/replay" {
                continue;
            }
            let sent_bytes = body.get().len();
            let body: Body = serde_json::from_str(body.get()).expect("a chunk");
            let (start, end) = (body.timestamp_start, body.timestamp_end);
            let (session_id, index) = (body.session_id, body.chunk_index);
            let key = (session_id.clone(), index);
            let events = String::from(Box::<str>::from(body.events));
            chunks.insert(key, Chunk { session_id, index, start, end, events, sent_bytes });
        }
    }
    chunks.into_values().collect()
}

/// Bytes of the events of all `chunks`.
pub(crate) fn raw_bytes(chunks: &[Chunk]) -> usize {
    chunks.iter().map(|chunk| chunk.events.len()).sum()
}

pub(crate) fn gzip(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(data.len() / 4), Compression::new(level));
    encoder.write_all(data).expect("compressed");
    encoder.finish().expect("compressed")
}

pub(crate) fn gunzip(data: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    GzDecoder::new(data).read_to_end(&mut text).expect("gzip");
    text
}
