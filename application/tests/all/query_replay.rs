//! Recordings, read in order of time over chunks that came in any order.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use gosight_application::ports::{
    ChunkId, CommitError, Fence, PutVerdict, QueryError, ReplayStore, ReplayStoreError,
};
use gosight_application::query::{Query, QueryPorts};
use gosight_application::replay::{self, ReplayEvents, ReplayReadError, TimeRange};
use gosight_application::sessions::SessionRules;
use gosight_conformance::factory::{NOON, project, put_chunks, session_id};
use gosight_domain::key::{Read, Scoped};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::{ProjectId, SessionId, Timestamp};
use gosight_memory::MemoryStore;

/// A replay store that tells which chunks were read, and can lose the data of one.
#[derive(Debug, Default)]
struct Replays {
    store: MemoryStore,
    reads: Mutex<Vec<u16>>,
    calls: AtomicUsize,
    lost: Option<u16>,
    unavailable: bool,
}

#[async_trait]
impl ReplayStore for Replays {
    async fn put(&self, fence: &Fence, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, CommitError> {
        self.store.put(fence, chunks).await
    }

    async fn contents(&self, chunks: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, ReplayStoreError> {
        self.store.contents(chunks).await
    }

    async fn headers(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        self.store.headers(session).await
    }

    async fn data(&self, chunks: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>, ReplayStoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.reads.lock().unwrap().extend(chunks.iter().map(|chunk| chunk.chunk_index));
        if self.unavailable {
            return Err(QueryError::transient("store", "gone"));
        }
        let mut data = self.store.data(chunks).await?;
        for (chunk, data) in chunks.iter().zip(&mut data) {
            data.take_if(|_| self.lost == Some(chunk.chunk_index));
        }
        Ok(data)
    }

    async fn delete(&self, chunks: &[ChunkId]) -> Result<u64, ReplayStoreError> {
        self.store.delete(chunks).await
    }

    async fn mark_archived(
        &self,
        sessions: &[ReplaySession],
        is_archived: bool,
    ) -> Result<(), ReplayStoreError> {
        self.store.mark_archived(sessions, is_archived).await
    }

    async fn are_recorded(&self, sessions: &[ReplaySession]) -> Result<Vec<bool>, ReplayStoreError> {
        self.store.are_recorded(sessions).await
    }

    async fn recorded(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, ReplayStoreError> {
        self.store.recorded(project_id, after, limit).await
    }

    async fn idle(
        &self,
        before: Timestamp,
        after: Option<ReplaySession>,
        limit: usize,
    ) -> Result<Vec<ReplaySession>, ReplayStoreError> {
        self.store.idle(before, after, limit).await
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A chunk with this text, from and to these times after noon.
fn chunk_of_text(chunk_index: u16, (start, end): (i64, i64), text: &str) -> ReplayChunk {
    ReplayChunk {
        project_id: project("p"),
        session_id: session_id("s"),
        chunk_index,
        timestamp_start: NOON.plus_millis(start),
        timestamp_end: NOON.plus_millis(end),
        received_at: NOON,
        event_count: 2,
        has_full_snapshot: false,
        raw_bytes: u32::try_from(text.len()).unwrap(),
        content: ContentHash::of(text.as_bytes()),
        stored_bytes: 0,
        data: gzip(text),
    }
}

/// A chunk whose events are named, each with its time after noon.
pub(crate) fn chunk(chunk_index: u16, events: &[(&str, i64)]) -> ReplayChunk {
    let mut text = String::from("[");
    for (place, (name, at)) in events.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let timestamp = NOON.plus_millis(*at);
        write!(text, r#"{comma}{{"type":3,"data":"{name}","timestamp":{timestamp}}}"#).unwrap();
    }
    let times = || events.iter().map(|(_, at)| *at);
    chunk_of_text(chunk_index, (times().min().unwrap(), times().max().unwrap()), &(text + "]"))
}

/// What three chunks tell that were recorded one after the other.
fn three_chunks() -> [ReplayChunk; 3] {
    [chunk(0, &[("a", 0), ("b", 10)]), chunk(1, &[("c", 20), ("d", 30)]), chunk(2, &[("e", 40), ("f", 50)])]
}

fn may_read(project_id: &str) -> Scoped<Read> {
    Scoped::vouched(project(project_id))
}

fn query(replays: &Arc<Replays>) -> Query {
    let store = Arc::new(MemoryStore::default());
    Query::new(QueryPorts {
        events: store.clone(),
        sessions: store.clone(),
        rules: SessionRules::default(),
        ledger: store.clone(),
        aggregates: store,
        replays: replay::Replays::new(replays.clone(), None),
        logs: Vec::new(),
    })
}

async fn opened(replays: &Arc<Replays>, chunks: &[ReplayChunk], range: TimeRange) -> ReplayEvents {
    put_chunks(&replays.store, chunks).await.unwrap();
    query(replays).replay_events(&may_read("p"), &session_id("s"), range).await.unwrap().unwrap()
}

async fn next(events: &mut ReplayEvents) -> Result<Option<String>, ReplayReadError> {
    let event = events.next().await?;
    Ok(event.map(|event| {
        let value: serde_json::Value = serde_json::from_str(event.as_str()).unwrap();
        value["data"].as_str().unwrap().to_owned()
    }))
}

/// The names of all events, joined.
async fn told(chunks: &[ReplayChunk], range: TimeRange) -> String {
    let mut events = opened(&Arc::default(), chunks, range).await;
    let mut names = String::new();
    while let Some(name) = next(&mut events).await.unwrap() {
        names.push_str(&name);
    }
    names
}

#[tokio::test]
async fn events_come_in_order_of_time_whatever_chunk_they_are_in() {
    let chunks = [
        chunk(0, &[("e", 40), ("h", 70)]),
        chunk(1, &[("b", 10), ("a", 0), ("i", 80)]),
        chunk(2, &[("c", 20), ("d", 30)]),
        chunk(3, &[("f", 50), ("g", 60)]),
    ];
    assert_eq!(told(&chunks, TimeRange::default()).await, "abcdefghi");
}

#[tokio::test]
async fn events_of_equal_times_come_by_chunk_then_by_place() {
    let chunks = [
        chunk(2, &[("e", 10), ("f", 10)]),
        chunk(0, &[("a", 0), ("b", 10)]),
        chunk(1, &[("c", 10), ("d", 10), ("g", 11)]),
    ];
    assert_eq!(told(&chunks, TimeRange::default()).await, "abcdefg");
}

#[tokio::test]
async fn times_may_have_fractions_and_be_seconds() {
    let text = r#"[{"data":"c","timestamp":1795176000002},{"data":"b","timestamp":1795176000001.5},
        {"data":"a","timestamp":1795176000.001}]"#;
    let chunks = [chunk_of_text(0, (1, 2), text)];
    assert_eq!(told(&chunks, TimeRange::default()).await, "abc");
}

#[tokio::test]
async fn events_keep_their_very_text() {
    let event = r#"{ "timestamp" : 1795176000000.0, "data":"ä \u00e4", "n": 1e2 }"#;
    let chunks = [chunk_of_text(0, (0, 0), &format!("[ {event} ]"))];
    let mut events = opened(&Arc::default(), &chunks, TimeRange::default()).await;
    assert_eq!(events.next().await.unwrap().unwrap().as_str(), event);
    assert!(events.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_range_has_both_its_ends_and_reads_no_chunk_outside() {
    for ((from, to), expected, read) in [
        ((20, 40), "cde", vec![1, 2]),
        ((21, 39), "d", vec![1]),
        ((11, 19), "", vec![]),
        ((50, 90), "f", vec![2]),
        ((-90, 0), "a", vec![0]),
    ] {
        let range = TimeRange { from: NOON.plus_millis(from), to: NOON.plus_millis(to) };
        assert_eq!(told(&three_chunks(), range).await, expected, "{from} to {to}");
        let replays = Arc::new(Replays::default());
        let mut events = opened(&replays, &three_chunks(), range).await;
        while next(&mut events).await.unwrap().is_some() {}
        assert_eq!(*replays.reads.lock().unwrap(), read, "{from} to {to}");
    }
}

#[tokio::test]
async fn a_chunk_is_read_when_it_is_due() {
    let replays = Arc::new(Replays::default());
    let chunks = three_chunks().map(|chunk| ReplayChunk { stored_bytes: TOO_LARGE_TO_READ_AHEAD, ..chunk });
    let mut events = opened(&replays, &chunks, TimeRange::default()).await;
    for (name, read) in [("a", 1), ("b", 1), ("c", 2), ("d", 2), ("e", 3), ("f", 3)] {
        assert_eq!(next(&mut events).await.unwrap().as_deref(), Some(name));
        assert_eq!(replays.reads.lock().unwrap().len(), read, "{name}");
    }
}

/// Says of a chunk that it is read alone.
const TOO_LARGE_TO_READ_AHEAD: u32 = 9 << 20;

#[tokio::test]
async fn many_small_chunks_are_read_with_a_handful_of_calls() {
    let replays = Arc::new(Replays::default());
    let chunk = |index: u16| ReplayChunk {
        stored_bytes: 16 << 10,
        ..chunk(index, &[("x", i64::from(index) * 10), ("y", i64::from(index) * 10 + 5)])
    };
    let chunks: Vec<ReplayChunk> = (0..500).map(chunk).collect();
    let mut events = opened(&replays, &chunks, TimeRange::default()).await;
    next(&mut events).await.unwrap();
    assert_eq!(replays.reads.lock().unwrap().len(), 8, "the first event waits for 128 KiB at most");
    let mut found = 1;
    while next(&mut events).await.unwrap().is_some() {
        found += 1;
    }
    assert_eq!((found, replays.calls.load(Ordering::SeqCst)), (1_000, 4));
    assert!(replays.reads.lock().unwrap().iter().copied().eq(0..500), "each once, in order");
}

#[tokio::test]
async fn a_damaged_chunk_is_named_and_what_lies_before_it_was_given() {
    let good = chunk(1, &[("c", 20), ("d", 30)]);
    let half = good.data[..good.data.len() / 2].to_vec();
    let no_time = chunk_of_text(1, (20, 30), r#"[{"data":"c"}]"#);
    for (what, damaged) in [
        ("shorter than said", ReplayChunk { raw_bytes: good.raw_bytes + 1, ..good.clone() }),
        ("longer than said", ReplayChunk { raw_bytes: good.raw_bytes - 1, ..good.clone() }),
        ("not gzip", ReplayChunk { data: b"[]".to_vec(), ..good.clone() }),
        ("cut off", ReplayChunk { data: half, ..good.clone() }),
        (
            "another's text of the same length",
            ReplayChunk { content: ContentHash::of(b"c d"), ..good.clone() },
        ),
        ("no array", chunk_of_text(1, (20, 30), r#"{"data":"c"}"#)),
        ("no time", no_time),
    ] {
        let [first, _, last] = three_chunks();
        let mut events = opened(&Arc::default(), &[first, damaged, last], TimeRange::default()).await;
        for name in ["a", "b"] {
            assert_eq!(next(&mut events).await.unwrap().as_deref(), Some(name), "{what}");
        }
        let error = next(&mut events).await.expect_err(what);
        assert!(matches!(error, ReplayReadError::Corrupt { index: 1, .. }), "{what}: {error}");
        assert!(error.to_string().starts_with("chunk 1 is damaged"), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_chunk_that_is_removed_meanwhile_is_named() {
    let replays = Arc::new(Replays { lost: Some(1), ..Replays::default() });
    let mut events = opened(&replays, &three_chunks(), TimeRange::default()).await;
    assert_eq!(next(&mut events).await.unwrap().as_deref(), Some("a"));
    assert_eq!(next(&mut events).await.unwrap().as_deref(), Some("b"));
    assert!(matches!(next(&mut events).await, Err(ReplayReadError::Gone(1))));
}

#[tokio::test]
async fn a_store_that_is_away_is_told_apart_from_damage() {
    let replays = Arc::new(Replays { unavailable: true, ..Replays::default() });
    let mut events = opened(&replays, &three_chunks(), TimeRange::default()).await;
    assert!(matches!(next(&mut events).await, Err(ReplayReadError::Store(error)) if error.is_transient()));
}

#[tokio::test]
async fn a_manifest_tells_what_there_is_and_what_is_missing() {
    let replays = Arc::new(Replays::default());
    let snapshot = ReplayChunk { has_full_snapshot: true, ..chunk(5, &[("a", 90), ("b", 10)]) };
    put_chunks(&replays.store, &[chunk(2, &[("x", 50), ("y", 95)]), snapshot, chunk(6, &[("z", 99)])])
        .await
        .unwrap();
    let manifest = query(&replays).replay(&may_read("p"), &session_id("s")).await.unwrap().unwrap();
    assert_eq!(manifest.missing(), [0, 1, 3, 4]);
    assert_eq!(manifest.event_count(), 6);
    assert_eq!(manifest.first_full_snapshot(), Some(5));
    let at = |offset_ms: i64| -> Timestamp { NOON.plus_millis(offset_ms) };
    assert_eq!(manifest.time_range(), Some((at(10), at(99))));
}

#[tokio::test]
async fn a_recording_is_its_projects_only() {
    let replays = Arc::new(Replays::default());
    put_chunks(&replays.store, &three_chunks()).await.unwrap();
    for (project_id, session) in [("q", "s"), ("p", "t")] {
        let (query, session) = (query(&replays), session_id(session));
        assert!(query.replay(&may_read(project_id), &session).await.unwrap().is_none());
        let events = query.replay_events(&may_read(project_id), &session, TimeRange::default()).await;
        assert!(events.unwrap().is_none());
    }
}

#[tokio::test]
async fn chunks_of_the_same_time_are_not_all_held_at_once() {
    let replays = Arc::new(Replays::default());
    let large = "x".repeat(20 << 20);
    let chunk = |index| ReplayChunk { stored_bytes: TOO_LARGE_TO_READ_AHEAD, ..chunk(index, &[(&large, 0)]) };
    let chunks: Vec<ReplayChunk> = (0..6).map(chunk).collect();
    put_chunks(&replays.store, &chunks).await.unwrap();
    let query = query(&replays);
    let events = query.replay_events(&may_read("p"), &session_id("s"), TimeRange::default()).await;
    let mut events = events.unwrap().unwrap();
    assert!(events.next().await.unwrap().is_some());
    assert_eq!(*replays.reads.lock().unwrap(), [0, 1, 2, 3], "64 MiB are enough to go on");
    let mut found = 1;
    while events.next().await.unwrap().is_some() {
        found += 1;
    }
    assert_eq!(found, 6);
}
