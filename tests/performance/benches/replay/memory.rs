//! Memory of a process that stores chunks of very many sessions at once.
//!
//! The batch is the buffer (ADR 18), so what counts is how much of it there is, not of how many sessions.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use gosight_application::backoff::BackoffPolicy;
use gosight_application::codec::encode_chunk;
use gosight_application::ports::{LedgerQuery as _, LogEnds as _, PollLimits, RecordLog as _, SystemClock};
use gosight_application::process::{ConsumerConfig, LogConsumer, ProcessStatus, ReplayHandler};
use gosight_application::replay::Replays;
use gosight_application::{Telemetry, logs};
use gosight_domain::SessionId;
use gosight_domain::replay::ReplayChunk;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::chunks::recorded;
use crate::is_measured;
use crate::path::{opened, stored};

/// Set for a process of its own, whose memory is nobody else's: the data directory, and how many records a batch has.
const DIRECTORY: &str = "GOSIGHT_BENCH_DIRECTORY";
const BATCH_RECORDS: &str = "GOSIGHT_BENCH_BATCH_RECORDS";

/// Bytes of a batch of replays, as `process.replay.batch_size` is by default.
const BATCH_BYTES: usize = 32 << 20;
const APPENDED_AT_ONCE: usize = 100;

pub(crate) fn measure() {
    let chunks = if is_measured() { 10_000 } else { 200 };
    for sessions in [chunks / 100, chunks] {
        for batch_records in [100, chunks] {
            let dir = tempfile::tempdir().expect("a directory");
            let runtime = Runtime::new().expect("a runtime");
            let recorded = stored(&runtime, dir.path(), &recorded());
            let bytes = runtime.block_on(fill(&dir.path().join("data"), &recorded, sessions, chunks));
            let drained = Command::new(std::env::current_exe().expect("a path"))
                .env(DIRECTORY, dir.path().join("data"))
                .env(BATCH_RECORDS, batch_records.to_string())
                .output()
                .expect("it runs");
            assert!(drained.status.success(), "{}", String::from_utf8_lossy(&drained.stderr));
            let said = String::from_utf8_lossy(&drained.stdout);
            println!(
                "{chunks} chunks of {sessions} sessions, {} MiB in the log, batches of {batch_records}: {}",
                bytes >> 20,
                said.trim()
            );
        }
    }
}

/// Fills a log with one chunk after the other, of one session after the other.
async fn fill(dir: &Path, recorded: &[ReplayChunk], sessions: usize, count: usize) -> usize {
    let (_dir, embedded) = opened(dir).await;
    let mut bytes = 0;
    let numbers: Vec<usize> = (0..count).collect();
    for numbers in numbers.chunks(APPENDED_AT_ONCE) {
        let record = |number: &usize| {
            let session = SessionId::new(format!("s-{}", number % sessions)).expect("a name");
            let chunk_index = u16::try_from(number / sessions).expect("few chunks");
            let chunk = recorded[number % recorded.len()].clone();
            encode_chunk(&ReplayChunk { session_id: session, chunk_index, ..chunk }).expect("JSON")
        };
        let records: Vec<_> = numbers.iter().map(record).collect();
        bytes += records.iter().map(|record| record.value.len()).sum::<usize>();
        embedded.log.append(logs::REPLAY, records).await.expect("appended");
    }
    embedded.store.close().await;
    bytes
}

/// Whether this is the process whose memory is measured.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os(DIRECTORY).is_some()
}

/// Stores all that is in the log, and says what memory that took.
pub(crate) fn drain() {
    let dir = std::env::var(DIRECTORY).expect("a directory");
    let records =
        std::env::var(BATCH_RECORDS).ok().and_then(|records| records.parse().ok()).expect("a number");
    Runtime::new().expect("a runtime").block_on(async {
        let (_dir, embedded) = opened(Path::new(&dir)).await;
        let source = Arc::new(embedded.log.source("bench", logs::REPLAY));
        let ends = source.end_offsets().await.expect("a log");
        let consumer = LogConsumer {
            source,
            store: embedded.store.clone(),
            handler: Arc::new(ReplayHandler::new(
                Replays::new(embedded.store.clone(), None),
                Arc::new(SystemClock),
            )),
            clock: Arc::new(SystemClock),
            status: Arc::new(ProcessStatus::new("replays", logs::REPLAY)),
            telemetry: Telemetry::default(),
            config: ConsumerConfig {
                limits: PollLimits {
                    max_records: records,
                    max_bytes: BATCH_BYTES,
                    linger: Duration::from_millis(200),
                },
                backoff: BackoffPolicy::default(),
                accept_lost: false,
            },
        };
        let before = memory("VmRSS:");
        std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let running = tokio::spawn(async move { consumer.run(stop).await });
        let ends: u64 = ends.into_iter().map(|(_, end)| end).sum();
        let stored = async || {
            let coverage = embedded.store.coverage(logs::REPLAY).await.expect("a ledger");
            coverage.iter().map(|partition| partition.coverage.end).sum::<u64>()
        };
        while stored().await < ends {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        shutdown.cancel();
        running.await.expect("no panic").expect("no error");
        let peak = memory("VmHWM:");
        println!("{} MiB more than {} MiB", (peak - before) >> 20, before >> 20);
    });
}

/// A line of `/proc/self/status` (proc(5)), in bytes.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line for it");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}
