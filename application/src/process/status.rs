use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gosight_domain::Timestamp;
use gosight_domain::ledger::{BatchSpan, OutcomeCounts};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::utilization::Utilization;
use crate::ports::{Health, HealthCheck};

/// What a worker does right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerState {
    /// Waits for records or works on them.
    Running,
    /// Waits for its store or another part that is unavailable.
    Blocked {
        /// Since when.
        since: Timestamp,
        /// What it waits for: `store`, `log`, `ledger`, or `handler` for a part that records are handled with.
        waits_for: &'static str,
        /// What was said last.
        error: String,
    },
}

/// How far a partition is processed, and how busy its worker is.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionStatus {
    /// What its worker does.
    pub state: WorkerState,
    /// The next offset to process.
    pub next_offset: u64,
    /// Where the log ended when it was looked at last; `None` before.
    pub log_end: Option<u64>,
    /// Records that were polled and are not stored yet.
    pub records_in_hand: u64,
    /// Part of the last minute in which the worker handled or stored records, in percent. Waits for records, and waits
    /// before a part is asked again, are no work.
    pub utilization_percent: f64,
    /// The batch that was stored last, if one was since the partition is read here.
    pub last_commit: Option<LastCommit>,
}

impl PartitionStatus {
    /// Records in the log that are not processed, as of the last look at its end; `None` before the first.
    pub fn lag(&self) -> Option<u64> {
        self.log_end.map(|end| end.saturating_sub(self.next_offset))
    }
}

/// The end of the batch that was stored last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastCommit {
    /// Offset of its last record.
    pub offset: u64,
    /// When it was stored.
    pub at: Timestamp,
}

/// A partition that is read.
#[derive(Debug)]
struct Partition {
    state: WorkerState,
    next_offset: u64,
    log_end: Option<u64>,
    in_hand: u64,
    utilization: Utilization,
    last_commit: Option<LastCommit>,
}

impl Partition {
    fn status(&mut self, now: Duration) -> PartitionStatus {
        PartitionStatus {
            state: self.state.clone(),
            next_offset: self.next_offset,
            log_end: self.log_end,
            records_in_hand: self.in_hand,
            utilization_percent: self.utilization.percent(now),
            last_commit: self.last_commit,
        }
    }

    fn saw_end(&mut self, end: u64) {
        self.log_end = self.log_end.max(Some(end));
    }
}

/// What a consumer does and has done since it started. Shared by its workers and whoever asks.
#[derive(Debug)]
pub struct ProcessStatus {
    name: &'static str,
    log: Arc<str>,
    /// What utilization is measured from.
    epoch: Instant,
    partitions: Mutex<BTreeMap<u32, Partition>>,
    counts: Mutex<OutcomeCounts>,
    batches: AtomicU64,
    /// Notified of every change of `partitions`.
    changed: Notify,
}

impl ProcessStatus {
    /// Nothing done yet. `name` is what readiness calls it.
    pub fn new(name: &'static str, log: impl Into<Arc<str>>) -> Self {
        Self {
            name,
            log: log.into(),
            epoch: Instant::now(),
            partitions: Mutex::default(),
            counts: Mutex::default(),
            batches: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    /// Name of the log.
    pub fn log(&self) -> &Arc<str> {
        &self.log
    }

    /// The partitions that are read, by number.
    pub fn partitions(&self) -> BTreeMap<u32, PartitionStatus> {
        let now = self.epoch.elapsed();
        let mut partitions = lock(&self.partitions);
        partitions.iter_mut().map(|(number, partition)| (*number, partition.status(now))).collect()
    }

    /// Waits until `is_so` of the partitions.
    pub(super) async fn wait_until(&self, is_so: impl Fn(&BTreeMap<u32, PartitionStatus>) -> bool) {
        loop {
            // Listened to before it is looked: no change in between is missed.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if is_so(&self.partitions()) {
                return;
            }
            changed.await;
        }
    }

    /// What became of the records since the start.
    pub fn counts(&self) -> OutcomeCounts {
        lock(&self.counts).clone()
    }

    /// Batches stored since the start.
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    pub(super) fn assigned(&self, partition: u32, next_offset: u64) {
        let utilization = Utilization::new(self.epoch.elapsed());
        let state = WorkerState::Running;
        let status =
            Partition { state, next_offset, log_end: None, in_hand: 0, utilization, last_commit: None };
        lock(&self.partitions).insert(partition, status);
        self.changed.notify_waiters();
    }

    pub(super) fn released(&self, partition: u32) {
        lock(&self.partitions).remove(&partition);
    }

    /// The log ends here, as far as anybody knows. Partitions that are not read here are of no interest.
    pub(super) fn saw_ends(&self, ends: &[(u32, u64)]) {
        let mut partitions = lock(&self.partitions);
        for (number, end) in ends {
            if let Some(partition) = partitions.get_mut(number) {
                partition.saw_end(*end);
            }
        }
    }

    /// A worker begins to work on `records` records, the last of which stands before `next`.
    pub(super) fn polled(&self, partition: u32, next: u64, records: u64) {
        let now = self.epoch.elapsed();
        self.change(partition, |partition| {
            if matches!(partition.state, WorkerState::Blocked { waits_for: "log", .. }) {
                partition.state = WorkerState::Running;
            }
            partition.saw_end(next);
            partition.in_hand = records;
            partition.utilization.begin(now);
        });
    }

    /// The batch is done with, and the worker waits for the next.
    pub(super) fn finished(&self, partition: u32) {
        let now = self.epoch.elapsed();
        self.change(partition, |partition| {
            partition.in_hand = 0;
            partition.utilization.end(now);
        });
    }

    /// The worker waits before it tries again. Says whether it was at work.
    pub(super) fn blocked(
        &self,
        partition: u32,
        now: Timestamp,
        waits_for: &'static str,
        error: &str,
    ) -> bool {
        let moment = self.epoch.elapsed();
        let mut was_busy = false;
        self.change(partition, |partition| {
            let since = match partition.state {
                WorkerState::Blocked { since, .. } => since,
                WorkerState::Running => now,
            };
            partition.state = WorkerState::Blocked { since, waits_for, error: error.to_owned() };
            was_busy = partition.utilization.is_busy();
            partition.utilization.end(moment);
        });
        was_busy
    }

    /// The worker goes on with the work that it was [at](Self::blocked).
    pub(super) fn resumed(&self, partition: u32) {
        let now = self.epoch.elapsed();
        self.change(partition, |partition| partition.utilization.begin(now));
    }

    /// The batch of `span` is stored, and with it so many of the records in hand.
    pub(super) fn stored(&self, span: &BatchSpan, counts: &OutcomeCounts, in_hand: u64, now: Timestamp) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        lock(&self.counts).merge(counts);
        self.change(span.partition, |partition| {
            partition.next_offset = span.next();
            partition.state = WorkerState::Running;
            partition.in_hand = partition.in_hand.saturating_sub(in_hand);
            partition.last_commit = Some(LastCommit { offset: span.last, at: now });
            partition.saw_end(span.next());
        });
        self.changed.notify_waiters();
    }

    fn change(&self, partition: u32, change: impl FnOnce(&mut Partition)) {
        if let Some(partition) = lock(&self.partitions).get_mut(&partition) {
            change(partition);
        }
    }
}

/// Every value behind these locks is whole after each statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl HealthCheck for ProcessStatus {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn check(&self) -> Health {
        let partitions = self.partitions();
        // Readiness is for everybody to see, so what the store said stays in the logs and in the status.
        let blocked = partitions.iter().find_map(|(partition, status)| match &status.state {
            WorkerState::Blocked { since, .. } => Some(format!("partition {partition} waits since {since}")),
            WorkerState::Running => None,
        });
        // Events are still taken and kept in the log, so waiting is no reason to turn clients away.
        blocked.map_or(Health::Up, Health::Degraded)
    }
}
