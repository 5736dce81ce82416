//! A recording that is larger than the memory it may take.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::write::GzDecoder;
use gosight_e2e::load::now_ms;
use gosight_e2e::{ADMIN_KEY, Api, INGEST_KEY, READ_KEY, Server, ServerBuilder};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

const REPLAY: &str = "/api/v1/sessions/large/replay";
const CHUNKS: usize = 100;
const EVENTS_OF_A_CHUNK: usize = 50;
const EVENT_BYTES: usize = 20 * 1024;
/// Senders at the same time.
const SENDERS: usize = 4;
/// Memory that reading may take, whatever is read. The recording has more.
const MAX_GROWTH: u64 = 64 << 20;

/// Text that compresses as pages do, and of which no part comes twice within the window of gzip.
struct Words {
    text: String,
    seed: u64,
}

impl Words {
    fn new() -> Self {
        let mut words = Self { text: String::new(), seed: 1 };
        while words.text.len() < 4 << 20 {
            let word = words.next() % 2_000;
            write!(words.text, "<p class=c{word}>{word:x} ").unwrap();
        }
        words
    }

    fn next(&mut self) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.seed >> 33).unwrap()
    }

    fn event(&mut self, at: i64) -> String {
        let start = self.next() % (self.text.len() - EVENT_BYTES);
        let text = &self.text[start..start + EVENT_BYTES];
        format!(r#"{{"type":3,"timestamp":{at},"data":"{text}"}}"#)
    }
}

/// Events that come in one request.
struct Chunk {
    start: i64,
    end: i64,
    /// Their array.
    events: String,
}

fn recording() -> Vec<Chunk> {
    let mut words = Words::new();
    let mut times = now_ms() - 600_000..;
    let mut chunk = || {
        let times: Vec<i64> = times.by_ref().take(EVENTS_OF_A_CHUNK).collect();
        let events: Vec<String> = times.iter().map(|at| words.event(*at)).collect();
        Chunk { start: times[0], end: times[times.len() - 1], events: format!("[{}]", events.join(",")) }
    };
    (0..CHUNKS).map(|_| chunk()).collect()
}

/// Sends all chunks; some overtake others.
async fn send(server: &Server, chunks: &[Chunk]) {
    let post = async |sender: usize| {
        let api = server.api(INGEST_KEY);
        let own = chunks.iter().enumerate().filter(|(index, _)| index % SENDERS == sender);
        for (index, Chunk { start, end, events }) in own {
            let times = format!(r#""timestamp_start":{start},"timestamp_end":{end}"#);
            let body = format!(r#"{{"session_id":"large","chunk_index":{index},{times},"events":{events}}}"#);
            let answer = api.post("/v1/replay", body).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    };
    tokio::join!(post(0), post(1), post(2), post(3));
    server.api(ADMIN_KEY).processed().await;
}

/// What a recording has: the SHA-256 of it as an array, and its bytes.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    sha256: String,
    bytes: u64,
}

#[derive(Default)]
struct Hasher(Sha256, u64);

impl std::io::Write for Hasher {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.update(data);
        self.1 += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Hasher {
    fn content(self) -> Content {
        let sha256 = self.0.finalize().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        Content { sha256, bytes: self.1 }
    }
}

fn sent(chunks: &[Chunk]) -> Content {
    let mut hasher = Hasher::default();
    for (index, chunk) in chunks.iter().enumerate() {
        hasher.write_all(if index == 0 { b"[" } else { b"," }).unwrap();
        hasher.write_all(&chunk.events.as_bytes()[1..chunk.events.len() - 1]).unwrap();
    }
    hasher.write_all(b"]").unwrap();
    hasher.content()
}

/// Reads what `path` gives part by part.
async fn read(api: &Api, path: &str, encoding: &str, mut take: impl FnMut(&[u8])) {
    let request = api.request(Method::GET, path).header("accept-encoding", encoding);
    let mut answer = request.send().await.unwrap().error_for_status().unwrap();
    let found = answer.headers().get("content-encoding").map_or("identity", |name| name.to_str().unwrap());
    assert_eq!(found, encoding);
    while let Some(part) = answer.chunk().await.unwrap() {
        take(&part);
    }
}

/// Reads the recording in every form, which must be what was sent.
async fn check(api: &Api, sent: &Content) {
    let events = format!("{REPLAY}/events");
    let mut plain = Hasher::default();
    read(api, &events, "identity", |part| plain.write_all(part).unwrap()).await;
    assert_eq!(plain.content(), *sent);
    let mut gzip = GzDecoder::new(Hasher::default());
    read(api, &events, "gzip", |part| gzip.write_all(part).unwrap()).await;
    assert_eq!(gzip.finish().unwrap().content(), *sent);
    let mut lines = 0;
    let is_end = |byte: &&u8| **byte == b'\n';
    let count = |part: &[u8]| lines += part.iter().filter(is_end).count();
    read(api, &format!("{events}?format=ndjson"), "identity", count).await;
    assert_eq!(lines, CHUNKS * EVENTS_OF_A_CHUNK);
}

/// Starts the server anew, so that it has no memory left from before, and reads. On a busy machine the allocator may keep more for
/// a moment than is in use, so what is too much is measured once more: a reader that holds a recording does so each time.
async fn check_memory(mut server: Server, builder: &ServerBuilder, sent: &Content) -> Server {
    let mut growths = Vec::new();
    while growths.iter().all(|growth| *growth >= MAX_GROWTH) {
        assert!(growths.len() < 2, "reading took {growths:?} bytes of memory");
        server.stop();
        server = server.restart_as(builder.clone());
        let api = server.api(READ_KEY);
        // The first request of all opens what later ones use.
        api.get_json(REPLAY).await;
        let before = server.resident_bytes();
        server.forget_peak();
        check(&api, sent).await;
        growths.push(server.peak_bytes().saturating_sub(before));
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_are_read_in_little_memory() {
    let builder = ServerBuilder::default().env("GOSIGHT_ARCHIVE_GRACE", "0s");
    let server = builder.clone().start();
    let chunks = recording();
    let sent = sent(&chunks);
    assert!(sent.bytes > 100_000_000);
    send(&server, &chunks).await;
    drop(chunks);
    let manifest = server.api(READ_KEY).get_json(REPLAY).await;
    assert_eq!((&manifest["event_count"], &manifest["missing_chunks"]), (&json!(5_000), &json!([])));

    let server = check_memory(server, &builder, &sent).await;
    for outcome in ["archived", "cleaned"] {
        let answer = server.api(ADMIN_KEY).post(&format!("{REPLAY}/archive"), "").await;
        assert_eq!(answer.json(), json!({"outcome": outcome}));
    }
    let server = check_memory(server, &builder, &sent).await;
    assert_eq!(server.api(READ_KEY).get_json(REPLAY).await["storage"], "archived");
}
