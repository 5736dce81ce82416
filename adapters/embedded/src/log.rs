//! The event log: partitioned, append-only, on [`fjall`].
//!
//! ```text
//! append --> queue --> one writer thread: takes all that waits, gives offsets, one write, one fsync --> answers all
//!
//! fjall database
//!   keyspace `meta`        names of logs, next offsets, committed offsets of groups
//!   keyspace `segment-N`   records: log (u16) | partition (u32) | offset (u64) -> record
//!   keyspace `segment-N+1` … the last one is written to; whole segments are deleted once they are processed
//! ```

mod index;
mod keys;
mod meta;
mod recovery;
mod retention;
mod segments;
mod writer;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fjall::Database;
use gosight_application::local_log::{LocalGroups, LocalLog, LocalSource};
use gosight_application::ports::{
    Clock, Health, HealthCheck, LogError, PollLimits, PolledRecord, Record, RecordLog, RefusedRecord,
    RefusedRecords, SourceError,
};
use gosight_application::{LogSink, logs};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::LOG_ADAPTER;
use index::Index;
use keys::PartitionId;
use meta::Meta;
pub(crate) use recovery::Processed;
use writer::Append;

/// How the log is kept.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Partitions of each log. Fixed when the directory is made; a later change is said and ignored.
    pub partitions: u32,
    /// Largest record, in bytes.
    pub max_record_bytes: usize,
    /// Size from which on a new segment is begun, in bytes.
    pub segment_bytes: u64,
    /// Most bytes of all segments. When it is reached, what is processed is deleted, whatever its age; when nothing of
    /// the oldest segment can be, appends fail.
    pub max_bytes: u64,
    /// How long processed records are kept.
    pub retain_for: Duration,
    /// Most bytes of processed records that are kept; never more than leaves a fifth of `max_bytes` for others.
    pub retain_bytes: u64,
    /// Logs that nobody consumes: their records go by age and size alone.
    pub logs_without_consumers: Vec<String>,
}

impl Default for LogConfig {
    /// 4 partitions, records of 16 MiB, segments of 64 MiB, 20 GiB in all; processed records for an hour, up to 1 GiB.
    fn default() -> Self {
        Self {
            partitions: 4,
            max_record_bytes: 16 << 20,
            segment_bytes: 64 << 20,
            max_bytes: 20 << 30,
            retain_for: Duration::from_hours(1),
            retain_bytes: 1 << 30,
            logs_without_consumers: Vec::new(),
        }
    }
}

/// Most bytes of records that wait for the writer; further appends wait for their turn.
const MAX_QUEUED_BYTES: usize = 64 << 20;
/// How long an append waits for its turn before it gives up.
const QUEUE_PATIENCE: Duration = Duration::from_secs(5);

/// A durable log in a directory.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    appends: mpsc::UnboundedSender<Append>,
    queue: Arc<Semaphore>,
    groups: LocalGroups,
}

/// What the writer and the readers share.
struct Shared {
    database: Database,
    meta: Meta,
    index: RwLock<Index>,
    appended: Notify,
    partitions: u32,
    /// Bytes of all segments.
    bytes: AtomicU64,
    /// Held by whoever deletes segments.
    deleting: Mutex<()>,
    /// Whether the disk failed, so that nothing more can be written.
    has_stopped: AtomicBool,
    clock: Arc<dyn Clock>,
    config: LogConfig,
}

impl Shared {
    fn index(&self) -> RwLockReadGuard<'_, Index> {
        // The writer changes the index in one go after each write; a panic there ends it for good.
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.bytes.load(Ordering::Relaxed).saturating_add(bytes) <= self.config.max_bytes
    }

    /// Takes no more records, and ends all who read: only a new start finds out what the disk has.
    fn stop(&self) {
        if !self.has_stopped.swap(true, Ordering::Relaxed) {
            tracing::error!("log stopped until the next start: its disk is full or failed");
        }
        self.appended.notify_waiters();
    }

    fn check_running(&self) -> Result<(), SourceError> {
        if self.has_stopped.load(Ordering::Relaxed) {
            let text = "the log's disk is full or failed; the cause is in the logs, and a new start finds out what it has";
            return Err(SourceError::fatal(LOG_ADAPTER, text));
        }
        Ok(())
    }
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLog").field("partitions", &self.shared.partitions).finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// A consumer of `log` in `group`.
    pub fn source(self: &Arc<Self>, group: &str, log: &str) -> LocalSource<Self> {
        LocalSource::new(self.clone(), self.groups.clone(), group, log)
    }

    /// The log of events, for who sends events.
    pub fn events(self: &Arc<Self>) -> LogSink {
        LogSink::new(self.clone(), logs::EVENTS)
    }

    fn refused(&self, records: &[Record]) -> Vec<RefusedRecord> {
        let max = self.shared.config.max_record_bytes;
        let too_large = records.iter().enumerate().filter(|(_, record)| record.value.len() > max);
        too_large
            .map(|(index, record)| RefusedRecord {
                index,
                reason: format!("has {} bytes, the log takes {max}", record.value.len()),
            })
            .collect()
    }
}

fn read_error(error: fjall::Error) -> SourceError {
    match error {
        fjall::Error::Poisoned => SourceError::fatal(LOG_ADAPTER, error),
        other => SourceError::transient(LOG_ADAPTER, other),
    }
}

#[async_trait]
impl RecordLog for EmbeddedLog {
    async fn append(&self, log: &str, mut records: Vec<Record>) -> Result<(), LogError> {
        let refused = self.refused(&records);
        if !refused.is_empty() {
            records.retain(|record| record.value.len() <= self.shared.config.max_record_bytes);
        }
        if !records.is_empty() {
            self.enqueue(log, records).await?;
        }
        if refused.is_empty() {
            return Ok(());
        }
        Err(LogError::Rejected { adapter: LOG_ADAPTER, refused: RefusedRecords(refused) })
    }
}

impl EmbeddedLog {
    async fn enqueue(&self, log: &str, records: Vec<Record>) -> Result<(), LogError> {
        let bytes: usize = records.iter().map(|record| record.value.len()).sum();
        let permits = u32::try_from(bytes.clamp(1, MAX_QUEUED_BYTES)).unwrap_or(u32::MAX);
        let turn = self.queue.clone().acquire_many_owned(permits);
        let turn = match tokio::time::timeout(QUEUE_PATIENCE, turn).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(closed)) => return Err(LogError::fatal(LOG_ADAPTER, closed)),
            Err(_) => return Err(LogError::transient(LOG_ADAPTER, "the disk does not keep up")),
        };
        let (done, outcome) = oneshot::channel();
        let append = Append { log: log.into(), records, done, _turn: turn };
        let stopped = || LogError::fatal(LOG_ADAPTER, "the log's writer has stopped");
        self.appends.send(append).map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }
}

#[async_trait]
impl LocalLog for EmbeddedLog {
    fn partitions(&self) -> u32 {
        self.shared.partitions
    }

    fn appended(&self) -> &Notify {
        &self.shared.appended
    }

    async fn bounds(&self, log: &str, partition: u32) -> Result<Range<u64>, SourceError> {
        self.shared.check_running()?;
        let index = self.shared.index();
        Ok(index.partition(log, partition).map_or(0..0, |id| index.bounds(id)))
    }

    async fn read(
        &self,
        log: &str,
        partition: u32,
        from: u64,
        limits: &PollLimits,
    ) -> Result<Vec<PolledRecord>, SourceError> {
        let (id, places) = {
            let index = self.shared.index();
            let Some(id) = index.partition(log, partition) else { return Ok(Vec::new()) };
            (id, index.places(id, from))
        };
        let limits = *limits;
        let read = move || read_places(id, places, &limits);
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| SourceError::transient(LOG_ADAPTER, error))?.map_err(read_error)
    }

    async fn committed(&self, group: &str, log: &str, partition: u32) -> Result<Option<u64>, SourceError> {
        let Some(id) = self.shared.index().partition(log, partition) else { return Ok(None) };
        self.shared.meta.committed(group, id).map_err(read_error)
    }

    async fn commit(&self, group: &str, log: &str, partition: u32, next: u64) -> Result<(), SourceError> {
        let Some(id) = self.shared.index().partition(log, partition) else { return Ok(()) };
        self.shared.meta.commit(group, id, next).map_err(|error| {
            if matches!(error, fjall::Error::Poisoned) {
                self.shared.stop();
            }
            read_error(error)
        })
    }
}

fn read_places(
    id: PartitionId,
    places: Vec<(fjall::Keyspace, Range<u64>)>,
    limits: &PollLimits,
) -> fjall::Result<Vec<PolledRecord>> {
    let mut records = Vec::new();
    let mut bytes = 0;
    for (keyspace, offsets) in places {
        for guard in keyspace.range(id.keys(&offsets)) {
            let (key, value) = guard.into_inner()?;
            bytes += value.len();
            if records.len() == limits.max_records || (bytes > limits.max_bytes && !records.is_empty()) {
                return Ok(records);
            }
            if let Some((_, offset)) = PartitionId::parse(&key) {
                records.push(PolledRecord { offset, value: Bytes::from_owner(value) });
            }
        }
    }
    Ok(records)
}

#[async_trait]
impl HealthCheck for EmbeddedLog {
    fn name(&self) -> &'static str {
        "log"
    }

    async fn check(&self) -> Health {
        let kept = self.shared.bytes.load(Ordering::Relaxed);
        let max = self.shared.config.max_bytes;
        if self.appends.is_closed() || self.shared.has_stopped.load(Ordering::Relaxed) {
            Health::Down(
                "the log's writer has stopped; look for the cause in the logs and restart".to_owned(),
            )
        } else if kept >= max {
            Health::Down(format!("the log is full: {kept} of {max} bytes"))
        } else if kept >= max / 10 * 9 {
            Health::Degraded(format!("the log is nearly full: {kept} of {max} bytes"))
        } else {
            Health::Up
        }
    }
}

#[cfg(test)]
mod tests;
