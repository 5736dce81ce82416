//! Ingest of replay chunks.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use gosight_application::codec::decode_chunk;
use gosight_application::decorators::StoredChunks;
use gosight_application::ingest::{IngestError, ReplayReceipt};
use gosight_application::logs;
use gosight_application::ports::RateDecision;
use gosight_application::replay::Replays;
use gosight_conformance::factory::{NOON, put_chunks, session_id};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplayDraft};
use gosight_domain::{Violation, ViolationCode};
use gosight_memory::{MemoryAcceptedChunks, MemoryLog, MemoryStore};
use serde_json::json;
use serde_json::value::RawValue;

use crate::support::{IngestBench, MockChunks, MockLog, RETRY_AFTER, busy, epoch, limiter, may_send};

/// Events of one chunk: a full snapshot with `text` in it, and a move 900 ms later.
fn events(text: &str) -> Box<RawValue> {
    let events = format!(
        r#"[{{"type":2,"data":{{"text":"{text}"}},"timestamp":{}}},{{"type":3, "timestamp":{}}}]"#,
        NOON.as_millis() - 1_000,
        NOON.as_millis() - 100
    );
    RawValue::from_string(events).unwrap()
}

fn draft(events: &RawValue) -> ReplayDraft<'_> {
    ReplayDraft {
        session_id: Some("s-1".into()),
        chunk_index: Some(4.0),
        timestamp_start: Some(epoch(-1_000)),
        timestamp_end: Some(epoch(-100)),
        event_count: Some(2),
        events: Some(events),
        gzip: None,
    }
}

async fn send(bench: &IngestBench, events: &RawValue) -> Result<ReplayReceipt, IngestError> {
    bench.ingest.replay(&may_send(), Ok(draft(events))).await
}

fn logged(bench: &IngestBench) -> Vec<ReplayChunk> {
    let records = bench.log.records(logs::REPLAY);
    records.iter().map(|record| decode_chunk(&record.value).unwrap()).collect()
}

/// The text in one gzip member that is followed by nothing.
fn gunzip(data: &[u8]) -> String {
    let (mut rest, mut text) = (data, String::new());
    GzDecoder::new(&mut rest).read_to_string(&mut text).unwrap();
    assert!(rest.is_empty(), "{} bytes follow the first member", rest.len());
    text
}

/// Text that compresses badly.
fn noise(bytes: usize) -> String {
    let mut hashes = (0_u32..).map(|n| ContentHash::of(&n.to_be_bytes()).to_string());
    let mut text = String::new();
    while text.len() < bytes {
        text.extend(hashes.next());
    }
    text
}

#[tokio::test]
async fn a_chunk_is_compressed_once_and_keeps_its_text() {
    // The second is large enough to be compressed on another thread.
    for text in ["Ä ☕".to_owned(), noise(200_000)] {
        let (bench, events) = (IngestBench::new(), events(&text));
        let receipt = send(&bench, &events).await.unwrap();
        let expected = ReplayReceipt { session_id: session_id("s-1"), chunk_index: 4, event_count: 2 };
        assert_eq!(receipt, expected);
        let chunk = logged(&bench).remove(0);
        assert_eq!(gunzip(&chunk.data), events.get());
        assert_eq!(chunk.content, ContentHash::of(events.get().as_bytes()));
        assert_eq!(chunk.raw_bytes as usize, events.get().len());
        assert!(chunk.has_full_snapshot);
        assert_eq!(bench.numbers.count("replay_chunks_accepted_total"), 1);
    }
}

#[tokio::test]
async fn a_senders_gzip_is_stored_as_it_is_where_compressing_again_does_not_pay() {
    let events = events(&"abc ".repeat(1_000));
    let gzip = |level| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(events.get().as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let (plain, small) = (gzip(0), gzip(1));
    assert!(small.len() * 4 < events.get().len());
    let stored = async |gzip: &[u8], ratio| {
        let bench = IngestBench::with(MemoryLog::new(1), |_, rules| rules.keep_gzip_ratio = ratio);
        let draft = ReplayDraft { gzip: Some(gzip), ..draft(&events) };
        bench.ingest.replay(&may_send(), Ok(draft)).await.unwrap();
        logged(&bench).remove(0).data
    };
    assert_eq!(stored(&small, 4).await, small);
    assert_eq!(stored(&plain, 1).await.len(), gzip(6).len(), "it is larger than its events");
    assert_eq!(stored(&plain, 4).await.len(), gzip(6).len());
    assert_eq!(stored(&gzip(9), usize::MAX).await, gzip(9), "the smaller of the two");
    assert_eq!(gunzip(&stored(&plain, 4).await), events.get());
}

#[tokio::test]
async fn another_chunk_with_the_index_of_an_accepted_one_is_refused_and_kept() {
    let (bench, first, other) = (IngestBench::new(), events("first"), events("other"));
    send(&bench, &first).await.unwrap();
    send(&bench, &first).await.expect("the same chunk may come again");
    let violation = match send(&bench, &other).await {
        Err(IngestError::ConflictingChunk(violation)) => violation,
        other => panic!("expected a conflict, got {other:?}"),
    };
    assert_eq!((&*violation.field, violation.code), ("chunk_index", ViolationCode::ConflictingChunk));
    let accepted = ContentHash::of(first.get().as_bytes()).to_string();
    assert!(violation.reason.contains(&accepted), "{violation}");
    assert_eq!(logged(&bench).len(), 2);

    let [report] = &bench.reports().await[..] else { panic!("expected one report") };
    assert_eq!(report["code"], "conflicting_chunk");
    let kept = &report["item"];
    assert_eq!((&kept["session_id"], &kept["chunk_index"]), (&json!("s-1"), &json!(4)));
    assert_eq!(kept["content"], ContentHash::of(other.get().as_bytes()).to_string());
    assert_eq!(gunzip(&STANDARD.decode(kept["data"].as_str().unwrap()).unwrap()), other.get());
    assert_eq!(bench.numbers.count(r#"replay_chunks_rejected_total{reason="conflicting_chunk"}"#), 1);
    assert_eq!(bench.numbers.count("replay_chunks_accepted_total"), 2);
}

#[tokio::test]
async fn a_conflict_with_a_stored_chunk_is_seen_when_nobody_remembers_it() {
    let store = Arc::new(MemoryStore::default());
    let bench = || {
        IngestBench::with(MemoryLog::new(1), |ports, _| {
            let replays = Replays::new(store.clone(), None);
            ports.chunks = Arc::new(StoredChunks::new(Arc::new(MemoryAcceptedChunks::default()), replays));
        })
    };
    let first = bench();
    send(&first, &events("first")).await.unwrap();
    put_chunks(&*store, &logged(&first)).await.unwrap();
    let error = send(&bench(), &events("other")).await.unwrap_err();
    assert!(matches!(error, IngestError::ConflictingChunk(_)), "{error}");
    send(&bench(), &events("first")).await.unwrap();
}

#[tokio::test]
async fn chunks_are_taken_while_nobody_knows_which_were_accepted() {
    let bench = IngestBench::with(MemoryLog::new(1), |ports, _| {
        let mut unavailable = MockChunks::new();
        unavailable.expect_find().returning(|_| Err(busy()));
        unavailable.expect_remember().returning(|_, _| Err(busy()));
        ports.chunks = Arc::new(unavailable);
    });
    send(&bench, &events("x")).await.unwrap();
    assert_eq!(logged(&bench).len(), 1);
    for call in ["find", "remember"] {
        let name = format!(r#"accepted_chunks_unavailable_total{{call="{call}"}}"#);
        assert_eq!(bench.numbers.count(&name), 1, "{name}");
    }
    assert_eq!(bench.numbers.count(r#"retries_total{what="accepted_chunks"}"#), 0, "nothing is retried");
}

#[tokio::test]
async fn what_was_not_logged_is_not_remembered() {
    let mut log = MockLog::new();
    log.expect_append().times(1).returning(|_, _| Err(busy()));
    let chunks = Arc::new(MemoryAcceptedChunks::default());
    let unavailable = IngestBench::with(MemoryLog::new(1), |ports, _| {
        (ports.log, ports.chunks) = (Arc::new(log), chunks.clone());
    });
    send(&unavailable, &events("first")).await.unwrap_err();
    let back = IngestBench::with(MemoryLog::new(1), |ports, _| ports.chunks = chunks);
    send(&back, &events("other")).await.unwrap();
}

#[tokio::test]
async fn chunks_are_logged_under_their_session() {
    let bench = IngestBench::new();
    send(&bench, &events("x")).await.unwrap();
    assert_eq!(bench.log.records(logs::REPLAY)[0].key, "s-1");
}

#[tokio::test]
async fn a_chunk_larger_than_a_record_is_refused_and_reported() {
    let bench = IngestBench::with(MemoryLog::new(1), |_, rules| rules.max_record_bytes = 2_000);
    match send(&bench, &events(&noise(10_000))).await {
        Err(IngestError::BadReplay(violation)) => {
            assert_eq!((&*violation.field, violation.code), ("events", ViolationCode::TooLarge));
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
    assert_eq!(logged(&bench), []);
    assert_eq!(bench.reports().await[0]["code"], "too_large");
    assert_eq!(bench.numbers.count(r#"replay_chunks_rejected_total{reason="too_large"}"#), 1);
    assert_eq!(bench.numbers.count("replay_chunks_accepted_total"), 0);
}

#[tokio::test]
async fn a_chunk_that_the_log_refuses_is_a_bad_chunk() {
    let bench = IngestBench::with(MemoryLog::with_limits(1, 400, 100), |_, _| {});
    match send(&bench, &events(&noise(10_000))).await {
        Err(IngestError::BadReplay(violation)) => assert_eq!(violation.code, ViolationCode::TooLarge),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn a_bad_chunk_is_reported_without_its_text() {
    let (bench, events) = (IngestBench::new(), events("x"));
    let wrong_count = ReplayDraft { event_count: Some(3), ..draft(&events) };
    let unreadable = Violation::new("data", ViolationCode::InvalidJson, "is not gzip");
    bench.ingest.replay(&may_send(), Ok(wrong_count)).await.unwrap_err();
    bench.ingest.replay(&may_send(), Err(unreadable)).await.unwrap_err();
    let report = |field: &str, code: &str, reason: &str| {
        json!({
            "project_id": "p", "received_at": NOON.as_millis(), "index": 0,
            "field": field, "code": code, "reason": reason,
        })
    };
    let expected = [
        report("event_count", "inconsistent", "is 3, but the number of events is 2"),
        report("data", "invalid_json", "is not gzip"),
    ];
    assert_eq!(bench.reports().await, expected);
    assert_eq!(bench.numbers.count(r#"replay_chunks_rejected_total{reason="inconsistent"}"#), 1);
    assert_eq!(logged(&bench), []);
}

#[tokio::test]
async fn nothing_is_acknowledged_when_the_log_is_away() {
    let mut log = MockLog::new();
    log.expect_append().times(1).returning(|_, _| Err(busy()));
    let bench = IngestBench::with(MemoryLog::new(1), |ports, _| ports.log = Arc::new(log));
    match send(&bench, &events("x")).await {
        Err(IngestError::Unavailable { retry_after, .. }) => assert_eq!(retry_after, Some(RETRY_AFTER)),
        other => panic!("expected that nothing can be taken, got {other:?}"),
    }
    assert_eq!(bench.numbers.count("replay_chunks_accepted_total"), 0);
}

#[tokio::test]
async fn a_chunk_counts_as_one_event() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let seen = taken.clone();
    let counting = limiter(move |events| {
        seen.lock().unwrap().push(events);
        Ok(RateDecision::Limited { retry_after: RETRY_AFTER })
    });
    let bench = IngestBench::with(MemoryLog::new(1), |ports, _| ports.limiter = Arc::new(counting));
    let error = send(&bench, &events("x")).await.unwrap_err();
    assert!(matches!(error, IngestError::RateLimited { retry_after: RETRY_AFTER }), "{error}");
    assert_eq!(*taken.lock().unwrap(), [1]);
    assert_eq!(logged(&bench), []);
}
