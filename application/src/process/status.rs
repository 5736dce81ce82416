use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gosight_domain::Timestamp;
use gosight_domain::ledger::OutcomeCounts;
use tokio::sync::Notify;

use crate::ports::{Health, HealthCheck};

/// What a worker does right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerState {
    /// Waits for records or works on them.
    Running,
    /// Waits for its store or another part that is away.
    Blocked {
        /// Since when.
        since: Timestamp,
        /// What was said last.
        error: String,
    },
}

/// How far a partition is processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// What its worker does.
    pub state: WorkerState,
    /// The next offset to process.
    pub next_offset: u64,
}

/// What a consumer does and has done since it started. Shared by its workers and whoever asks.
#[derive(Debug)]
pub struct ProcessStatus {
    name: &'static str,
    log: Arc<str>,
    partitions: Mutex<BTreeMap<u32, PartitionStatus>>,
    counts: Mutex<OutcomeCounts>,
    batches: AtomicU64,
    /// Told of every change of `partitions`.
    changed: Notify,
}

impl ProcessStatus {
    /// Nothing done yet. `name` is what readiness calls it.
    pub fn new(name: &'static str, log: impl Into<Arc<str>>) -> Self {
        Self {
            name,
            log: log.into(),
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
        lock(&self.partitions).clone()
    }

    /// Waits until `is_so` of the partitions.
    pub(super) async fn wait_until(&self, is_so: impl Fn(&BTreeMap<u32, PartitionStatus>) -> bool) {
        loop {
            // Listened to before it is looked: no change in between is missed.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if is_so(&lock(&self.partitions)) {
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
        let status = PartitionStatus { state: WorkerState::Running, next_offset };
        lock(&self.partitions).insert(partition, status);
        self.changed.notify_waiters();
    }

    pub(super) fn released(&self, partition: u32) {
        lock(&self.partitions).remove(&partition);
    }

    pub(super) fn blocked(&self, partition: u32, now: Timestamp, error: &str) {
        if let Some(status) = lock(&self.partitions).get_mut(&partition) {
            let since = match status.state {
                WorkerState::Blocked { since, .. } => since,
                WorkerState::Running => now,
            };
            status.state = WorkerState::Blocked { since, error: error.to_owned() };
        }
    }

    pub(super) fn stored(&self, partition: u32, next_offset: u64, counts: &OutcomeCounts) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        lock(&self.counts).merge(counts);
        if let Some(status) = lock(&self.partitions).get_mut(&partition) {
            status.next_offset = next_offset;
            status.state = WorkerState::Running;
        }
        self.changed.notify_waiters();
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
