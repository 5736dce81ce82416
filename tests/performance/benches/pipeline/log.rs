//! Appends that were answered as durable, against one plain write of the same bytes and an fsync.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use gosight_application::logs;
use gosight_application::ports::{Record, RecordLog, SystemClock};
use gosight_embedded::{DataDir, Embedded, EmbeddedLog, LogConfig, StoreConfig};
use gosight_memory::MemoryLog;
use gosight_performance::Comparison;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::ingest;
use crate::input::{EVENTS_OF_A_REQUEST, requests};

/// Requests that arrive at the same time. Their appends share an fsync.
const AT_ONCE: usize = 8;

/// The log records of `count` requests.
pub(crate) async fn records(dir: &Path, count: usize) -> Vec<Record> {
    let log = Arc::new(MemoryLog::new(1));
    let api = ingest::ingest_api(log.clone(), &dir.join("places.mmdb"));
    let bodies: Vec<Bytes> = requests(count).into_iter().map(Bytes::from).collect();
    ingest::send(&api, "/v1/events", &bodies).await;
    log.records(logs::EVENTS)
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = Runtime::new().expect("a runtime");
    let records = runtime.block_on(records(dir.path(), AT_ONCE));
    let appends: Vec<Vec<Record>> = records.chunks(EVENTS_OF_A_REQUEST).map(<[Record]>::to_vec).collect();
    let bytes: Vec<u8> = records.iter().flat_map(|record| record.value.to_vec()).collect();
    let data_dir = DataDir::open(dir.path().join("data")).expect("a data directory");
    // What was measured must not fill the disk: nobody consumes the log, so it goes by size.
    let config = LogConfig {
        retain_bytes: 256 << 20,
        logs_without_consumers: vec![logs::EVENTS.to_owned()],
        ..LogConfig::default()
    };
    let open = Embedded::open(&data_dir, Arc::new(SystemClock), config, StoreConfig::default(), &[]);
    let log = runtime.block_on(open).expect("a log").log;
    let comparison = Comparison {
        name: "durable appends",
        throughput: Throughput::Bytes(bytes.len() as u64),
        limit_name: "write and fsync",
    };
    let ours = |iterations| runtime.block_on(append(&log, &appends, iterations));
    let mut file = File::create(dir.path().join("plain")).expect("a file");
    comparison.run(criterion, ours, |iterations| write(&mut file, &bytes, iterations));
    drop(log);
}

async fn append(log: &Arc<EmbeddedLog>, appends: &[Vec<Record>], iterations: u64) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..iterations {
        let appends = appends.to_vec();
        let start = Instant::now();
        let mut answers = JoinSet::new();
        for records in appends {
            let log = log.clone();
            answers.spawn(async move { log.append(logs::EVENTS, records).await });
        }
        for answer in answers.join_all().await {
            answer.expect("appended");
        }
        took += start.elapsed();
    }
    took
}

fn write(file: &mut File, bytes: &[u8], iterations: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..iterations {
        file.write_all(bytes).expect("written");
        file.sync_data().expect("on the disk");
    }
    start.elapsed()
}
