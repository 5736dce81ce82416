use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gosight_domain::ledger::BatchSpan;
use uuid::Uuid;

/// One partition of a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPartition {
    /// Name of the log.
    pub log: Arc<str>,
    /// Number of the partition.
    pub partition: u32,
}

impl LogPartition {
    /// The partition that `span` lies in.
    pub fn of(span: &BatchSpan) -> Self {
        Self { log: span.log.clone(), partition: span.partition }
    }
}

impl fmt::Display for LogPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.log, self.partition)
    }
}

/// The right to write what one partition of a log becomes. Every write to a store demands it, so that one which is not
/// fenced does not compile.
///
/// Of all fences of a partition the last one that a [`Ledger`](super::Ledger) has given is good. Writes behind an older one change
/// nothing, also those that are on their way.
#[derive(Debug)]
pub struct Fence {
    place: LogPartition,
    epoch: u64,
    owner: Uuid,
    writes: AtomicU64,
}

impl Fence {
    /// A fence as a ledger gives it: `epoch` is greater than that of any fence of the partition before, and of two
    /// with the same epoch the one with the greater `owner` counts.
    pub fn granted(place: LogPartition, epoch: u64, owner: Uuid) -> Self {
        Self { place, epoch, owner, writes: AtomicU64::new(0) }
    }

    /// The partition.
    pub fn place(&self) -> &LogPartition {
        &self.place
    }

    /// Name of the log.
    pub fn log(&self) -> &Arc<str> {
        &self.place.log
    }

    /// Number of the partition.
    pub fn partition(&self) -> u32 {
        self.place.partition
    }

    /// How often the partition was acquired, this time included.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Who holds the fence.
    pub fn owner(&self) -> Uuid {
        self.owner
    }

    /// A number that no other write behind this fence has.
    pub fn next_write(&self) -> u64 {
        self.writes.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A write was behind a fence that is not the last of its partition. It changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("another writer has taken this partition over: {0}")]
pub struct FencedOff(pub LogPartition);
