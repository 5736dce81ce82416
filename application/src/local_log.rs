//! Consumer groups for logs that live in this process: what a broker does for Kafka.
//!
//! A storage implements [`LocalLog`]; [`LocalSource`] makes an [`EventSource`] of it. All sources of one group that are
//! made from one [`LocalGroups`] share the partitions: each partition is read by one of them at a time, and falls to
//! another when its reader is dropped.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gosight_domain::ledger::BatchSpan;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::ports::{
    AssignmentChange, EventSource, LogEnds, PartitionSource, PollLimits, PolledBatch, PolledRecord,
    SourceError,
};

/// The partition of a record, by its key alone: 64-bit FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), the same
/// in every release.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = key.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    u32::try_from(hash % u64::from(partitions.max(1))).unwrap_or(0)
}

/// A partitioned log in this process.
#[async_trait]
pub trait LocalLog: fmt::Debug + Send + Sync + 'static {
    /// How many partitions each log has.
    fn partitions(&self) -> u32;

    /// Wakes all who wait for records, each time some were appended to any log.
    fn appended(&self) -> &Notify;

    /// First offset that is kept, and the offset after the last record.
    async fn bounds(&self, log: &str, partition: u32) -> Result<Range<u64>, SourceError>;

    /// Records from offset `from` on, up to the limits; none when there are none.
    async fn read(
        &self,
        log: &str,
        partition: u32,
        from: u64,
        limits: &PollLimits,
    ) -> Result<Vec<PolledRecord>, SourceError>;

    /// The offset that `group` committed.
    async fn committed(&self, group: &str, log: &str, partition: u32) -> Result<Option<u64>, SourceError>;

    /// Remembers that `group` is done with everything before `next`.
    async fn commit(&self, group: &str, log: &str, partition: u32, next: u64) -> Result<(), SourceError>;
}

/// Which partitions are being read, by group and log. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LocalGroups(Arc<Taken>);

#[derive(Debug, Default)]
struct Taken {
    partitions: Mutex<HashSet<PartitionOfGroup>>,
    released: Notify,
}

type PartitionOfGroup = (Arc<str>, Arc<str>, u32);

/// One consumer of a local log.
#[derive(Debug)]
pub struct LocalSource<L> {
    storage: Arc<L>,
    groups: LocalGroups,
    group: Arc<str>,
    log: Arc<str>,
}

impl<L: LocalLog> LocalSource<L> {
    /// Reads `log` as a member of `group`.
    pub fn new(
        storage: Arc<L>,
        groups: LocalGroups,
        group: impl Into<Arc<str>>,
        log: impl Into<Arc<str>>,
    ) -> Self {
        Self { storage, groups, group: group.into(), log: log.into() }
    }

    fn take_free_partition(&self) -> Option<Lease> {
        let mut taken = self.groups.0.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        (0..self.storage.partitions()).find_map(|partition| {
            let name = (self.group.clone(), self.log.clone(), partition);
            taken.insert(name.clone()).then(|| Lease { taken: self.groups.0.clone(), name })
        })
    }
}

#[async_trait]
impl<L: LocalLog> LogEnds for LocalSource<L> {
    fn log(&self) -> &Arc<str> {
        &self.log
    }

    async fn end_offsets(&self) -> Result<Vec<(u32, u64)>, SourceError> {
        let mut ends = Vec::new();
        for partition in 0..self.storage.partitions() {
            ends.push((partition, self.storage.bounds(&self.log, partition).await?.end));
        }
        Ok(ends)
    }
}

#[async_trait]
impl<L: LocalLog> EventSource for LocalSource<L> {
    async fn next_change(&self) -> Result<Option<AssignmentChange>, SourceError> {
        let lease = loop {
            let released = self.groups.0.released.notified();
            if let Some(lease) = self.take_free_partition() {
                break lease;
            }
            released.await;
        };
        let partition = lease.name.2;
        let bounds = self.storage.bounds(&self.log, partition).await?;
        let committed = self.storage.committed(&self.group, &self.log, partition).await?;
        Ok(Some(AssignmentChange::Assigned(Box::new(LocalPartition {
            storage: self.storage.clone(),
            next: committed.unwrap_or(bounds.start),
            lease,
        }))))
    }
}

/// A partition that is being read; given back when dropped.
#[derive(Debug)]
struct Lease {
    taken: Arc<Taken>,
    name: PartitionOfGroup,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.taken.partitions.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        self.taken.released.notify_waiters();
    }
}

#[derive(Debug)]
struct LocalPartition<L> {
    storage: Arc<L>,
    lease: Lease,
    next: u64,
}

impl<L: LocalLog> LocalPartition<L> {
    fn log(&self) -> &Arc<str> {
        &self.lease.name.1
    }

    async fn end(&self) -> Result<u64, SourceError> {
        Ok(self.storage.bounds(self.log(), self.partition()).await?.end)
    }

    /// Waits until there are `count` records to read.
    async fn wait_for(&self, count: u64) -> Result<(), SourceError> {
        loop {
            let appended = self.storage.appended().notified();
            tokio::pin!(appended);
            // Registered before looking, so that an append in between is not missed.
            appended.as_mut().enable();
            if self.end().await? >= self.next.saturating_add(count) {
                return Ok(());
            }
            appended.await;
        }
    }
}

#[async_trait]
impl<L: LocalLog> PartitionSource for LocalPartition<L> {
    fn partition(&self) -> u32 {
        self.lease.name.2
    }

    fn position(&self) -> u64 {
        self.next
    }

    async fn first_offset(&self) -> Result<u64, SourceError> {
        Ok(self.storage.bounds(self.log(), self.partition()).await?.start)
    }

    async fn seek(&mut self, offset: u64) -> Result<(), SourceError> {
        self.next = offset;
        Ok(())
    }

    async fn poll(&mut self, limits: &PollLimits) -> Result<PolledBatch, SourceError> {
        let records = loop {
            self.wait_for(1).await?;
            let full = timeout_at(Instant::now() + limits.linger, self.wait_for(limits.max_records as u64));
            if let Ok(Err(error)) = full.await {
                return Err(error);
            }
            let records = self.storage.read(self.log(), self.partition(), self.next, limits).await?;
            // Everything there was may just have been removed by retention.
            if !records.is_empty() {
                break records;
            }
        };
        // Offsets have no holes: what lies before the first record is not there any more, and must be seen to be missing.
        let first = records.first().map_or(self.next, |record| record.offset);
        let last = records.last().map_or(first, |record| record.offset);
        let span = BatchSpan { log: self.log().clone(), partition: self.partition(), first, last };
        self.next = span.next();
        Ok(PolledBatch { span, records })
    }

    async fn commit(&mut self, next: u64) -> Result<(), SourceError> {
        let (group, log, partition) = &self.lease.name;
        self.storage.commit(group, log, *partition, next).await
    }
}
