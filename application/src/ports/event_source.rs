use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gosight_domain::ledger::BatchSpan;
use tokio_util::sync::DropGuard;

use super::PortError;

/// Error of [`EventSource`] and [`PartitionSource`].
pub type SourceError = PortError;

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolledRecord {
    /// Where it stands in its partition.
    pub offset: u64,
    /// The record.
    pub value: Bytes,
}

/// Records of one partition in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolledBatch {
    /// What the batch covers. Its identity.
    pub span: BatchSpan,
    /// The records.
    pub records: Vec<PolledRecord>,
}

/// How much one poll gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollLimits {
    /// Most records.
    pub max_records: usize,
    /// Most bytes of records; a single larger record is given alone.
    pub max_bytes: usize,
    /// How long to wait for more once there is one record.
    pub linger: Duration,
}

/// A change in which partitions a consumer reads.
#[derive(Debug)]
pub enum AssignmentChange {
    /// Read this partition from now on.
    Assigned(Box<dyn PartitionSource>),
    /// Stop reading this partition. Whoever reads it finishes, commits what is stored, and drops the guard; the
    /// source waits for that up to its deadline before it gives the partition up.
    Revoked {
        /// The partition.
        partition: u32,
        /// To be dropped when nothing of the partition is in flight.
        released: DropGuard,
    },
}

/// Tells how far a log goes, to those who read it and to those who only want to know what is in flight.
#[async_trait]
pub trait LogEnds: fmt::Debug + Send + Sync {
    /// Name of the log.
    fn log(&self) -> &Arc<str>;

    /// The offset after the last record of each partition, by partition.
    async fn end_offsets(&self) -> Result<Vec<(u32, u64)>, SourceError>;
}

/// One log as read by one consumer group.
///
/// # Contract
/// 1. Every record is given to some consumer of the group at least once.
/// 2. A consumer that starts without a committed offset starts at the earliest record.
/// 3. At any time at most one consumer of the group is assigned a partition, up to the deadline of a revocation.
#[async_trait]
pub trait EventSource: LogEnds {
    /// Waits for the next change of assignment; `None` once the source is closed.
    async fn next_change(&self) -> Result<Option<AssignmentChange>, SourceError>;
}

/// One partition of a log, read by one consumer.
///
/// # Contract
/// 1. `poll` gives the records in order of their offsets, none left out and none twice, from the committed offset or
///    from where [`seek`](Self::seek) put it.
/// 2. Spans of consecutive batches join without gap or overlap. Only where records were removed from the log before they
///    were read, a span begins at the first one that is left, if the source can tell.
/// 3. `poll` waits for at least one record. Dropping the future loses nothing.
/// 4. Not polling pauses the partition: a source buffers a bounded number of records.
/// 5. After `commit(next)` a new consumer of the group starts at `next`.
#[async_trait]
pub trait PartitionSource: fmt::Debug + Send + Sync {
    /// Number of the partition.
    fn partition(&self) -> u32;

    /// The offset that the next poll starts at.
    fn position(&self) -> u64;

    /// The first offset that the log still has; where the next record will be when it has none.
    async fn first_offset(&self) -> Result<u64, SourceError>;

    /// Goes on at `offset`, which may lie before or after the current position.
    async fn seek(&mut self, offset: u64) -> Result<(), SourceError>;

    /// Waits for records and gives them.
    async fn poll(&mut self, limits: &PollLimits) -> Result<PolledBatch, SourceError>;

    /// Remembers for the group that everything before `next` is done with.
    async fn commit(&mut self, next: u64) -> Result<(), SourceError>;
}
