use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use super::PortError;

/// One record to append to a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Decides the partition: records with the same key stay in order.
    pub key: Bytes,
    /// The record itself.
    pub value: Bytes,
}

/// Records that a log cannot take, such as ones over its size limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecords(pub Vec<RefusedRecord>);

/// One record that a log cannot take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its place among the records of the call.
    pub index: usize,
    /// Why it cannot be taken.
    pub reason: String,
}

impl fmt::Display for RefusedRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} record(s)", self.0.len())?;
        self.0.first().map_or(Ok(()), |first| write!(f, ", the first because {}", first.reason))
    }
}

/// Error of [`RecordLog`].
pub type LogError = PortError<RefusedRecords>;

/// A durable, partitioned, append-only log of records, such as Kafka.
///
/// # Contract
/// 1. `Ok` means that every record survives a crash of this process and of the log's.
/// 2. `Rejected` names the records that cannot be taken; all others are appended as with `Ok`.
/// 3. After `Transient` any of the records may have been appended, in order; appending again may append them twice,
///    which consumers sort out by event id.
/// 4. Records of one call and one key are read back in the order given.
/// 5. Every record lands in exactly one partition, decided by its key alone.
/// 6. When the log is full the call fails with `Transient` instead of waiting without bound.
#[async_trait]
pub trait RecordLog: fmt::Debug + Send + Sync {
    /// Appends `records` to the log named `log`.
    async fn append(&self, log: &str, records: Vec<Record>) -> Result<(), LogError>;
}
