//! A chunk on its way in, against one bare gunzip and one gzip of the same bytes: what it takes at the least to look at
//! compressed events and to keep them compressed. What counts is time on processors, of all threads: a rate is that of
//! one core, and does not depend on what else the machine does.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use criterion::{Criterion, Throughput};
use gosight_application::codec::decode_chunk;
use gosight_application::logs;
use gosight_application::ports::{BatchStore, PolledBatch, PolledRecord, Record, SystemClock};
use gosight_application::process::{BatchHandler, Refusals, ReplayHandler};
use gosight_application::replay::Replays;
use gosight_domain::ledger::BatchSpan;
use gosight_domain::replay::ReplayChunk;
use gosight_embedded::{DataDir, Embedded, EmbeddedStore, LogConfig, StoreConfig};
use gosight_memory::MemoryLog;
use gosight_performance::Comparison;
use tokio::runtime::Runtime;

use crate::chunks::{Chunk, LEVEL, gunzip, gzip, raw_bytes, recorded};
use crate::ingest::{self, NoLog};
use crate::on_processors;

const REPLAY: &str = "/v1/replay";
/// Records of a batch of the processors.
const BATCH: usize = 100;

/// The log records of `chunks`, made by the ingest API.
pub(crate) async fn records(dir: &Path, chunks: &[Chunk]) -> Vec<Record> {
    let log = Arc::new(MemoryLog::new(1));
    let api = ingest::ingest_api(log.clone(), &dir.join("places.mmdb"));
    let bodies: Vec<Bytes> = chunks.iter().map(Chunk::request).collect();
    ingest::send(&api, REPLAY, &bodies).await;
    log.records(logs::REPLAY)
}

/// `chunks` as they are stored.
pub(crate) fn stored(runtime: &Runtime, dir: &Path, chunks: &[Chunk]) -> Vec<ReplayChunk> {
    let records = runtime.block_on(records(dir, chunks));
    records.iter().map(|record| decode_chunk(&record.value).expect("a chunk")).collect()
}

/// What is stored in a new directory.
pub(crate) async fn opened(path: &Path) -> (DataDir, Embedded) {
    let dir = DataDir::open(path).expect("a data directory");
    let config = StoreConfig { retention_days: 0, ..StoreConfig::default() };
    let embedded = Embedded::open(&dir, Arc::new(SystemClock), LogConfig::default(), config, &[logs::REPLAY])
        .await
        .expect("opened");
    (dir, embedded)
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let chunks = recorded();
    println!("{} chunks, {} MB of events", chunks.len(), raw_bytes(&chunks) / 1_000_000);
    let compressed: Vec<Vec<u8>> = chunks.iter().map(|chunk| gzip(chunk.events.as_bytes(), LEVEL)).collect();
    let bodies: Vec<Bytes> = chunks.iter().map(Chunk::request).collect();
    let records = runtime.block_on(records(dir.path(), &chunks));
    let api = ingest::ingest_api(Arc::new(NoLog), &dir.path().join("places.mmdb"));
    let comparison = |name| Comparison {
        name,
        throughput: Throughput::ElementsAndBytes {
            elements: chunks.len() as u64,
            bytes: raw_bytes(&chunks) as u64,
        },
        limit_name: "bare gunzip and gzip",
    };
    let bare = |iterations| (0..iterations).map(|_| repack(&compressed)).sum();
    let taken = |iterations| (0..iterations).map(|_| runtime.block_on(take(&api, &bodies))).sum();
    comparison("replay request to log record").run(criterion, taken, bare);
    let processed = |iterations| (0..iterations).map(|_| runtime.block_on(process(&records))).sum();
    comparison("replay log record to SQLite").run(criterion, processed, bare);
    let both = |iterations| {
        let each = |_| runtime.block_on(take(&api, &bodies)) + runtime.block_on(process(&records));
        (0..iterations).map(each).sum()
    };
    comparison("replay request to SQLite").run(criterion, both, bare);
}

fn repack(compressed: &[Vec<u8>]) -> Duration {
    let start = on_processors();
    for data in compressed {
        black_box(gzip(&gunzip(data), LEVEL));
    }
    on_processors().saturating_sub(start)
}

async fn take(api: &Router, bodies: &[Bytes]) -> Duration {
    let start = on_processors();
    ingest::send(api, REPLAY, bodies).await;
    on_processors().saturating_sub(start)
}

/// How long all records take from the log into a new store.
async fn process(records: &[Record]) -> Duration {
    let dir = tempfile::tempdir().expect("a directory");
    let (_dir, embedded) = opened(dir.path()).await;
    let handler = ReplayHandler::new(Replays::new(embedded.store.clone(), None), Arc::new(SystemClock));
    let mut took = Duration::ZERO;
    for (first, records) in (0..).step_by(BATCH).zip(records.chunks(BATCH)) {
        let polled = polled(first, records);
        let start = on_processors();
        commit(&handler, &embedded.store, &polled).await;
        took += on_processors().saturating_sub(start);
    }
    embedded.store.close().await;
    took
}

async fn commit(handler: &ReplayHandler, store: &EmbeddedStore, polled: &PolledBatch) {
    let processed = handler.handle(polled, &Refusals::new()).await.expect("handled");
    assert_eq!(processed.replay_chunks.len(), polled.records.len());
    store.commit(&processed).await.expect("committed");
}

fn polled(first: u64, records: &[Record]) -> PolledBatch {
    let span =
        BatchSpan { log: logs::REPLAY.into(), partition: 0, first, last: first + records.len() as u64 - 1 };
    let records = (first..).zip(records);
    let record = |(offset, record): (u64, &Record)| PolledRecord { offset, value: record.value.clone() };
    PolledBatch { span, records: records.map(record).collect() }
}
