use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{LogPartition, LogPosition, SessionCache, SessionCacheError};
use gosight_domain::Session;
use gosight_domain::ledger::BatchSpan;
use gosight_domain::session::SessionKey;

/// The folds of live sessions in memory.
#[derive(Debug)]
pub struct MemorySessionCache {
    partitions: Mutex<HashMap<LogPartition, Partition>>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Partition {
    /// The offset as of which the folds are right.
    next: u64,
    folds: HashMap<SessionKey, Session>,
}

impl Default for MemorySessionCache {
    /// 100,000 sessions of each partition.
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl MemorySessionCache {
    /// Keeps about `capacity` sessions of each partition; when there are more, all but the latest batch's are
    /// forgotten.
    pub fn new(capacity: usize) -> Self {
        Self { partitions: Mutex::default(), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LogPartition, Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionCache for MemorySessionCache {
    async fn load(
        &self,
        at: &LogPosition,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionCacheError> {
        let partitions = self.lock();
        let partition = partitions
            .get(&LogPartition { log: at.log.clone(), partition: at.partition })
            .filter(|partition| partition.next == at.offset);
        Ok(sessions.iter().map(|name| partition?.folds.get(name).cloned()).collect())
    }

    async fn save(&self, span: &BatchSpan, folds: &[&Session]) -> Result<(), SessionCacheError> {
        let mut partitions = self.lock();
        let partition = partitions.entry(LogPartition::of(span)).or_default();
        if partition.next != span.first || partition.folds.len() + folds.len() > self.capacity {
            partition.folds.clear();
        }
        partition.next = span.next();
        partition.folds.extend(folds.iter().map(|fold| (fold.key(), (*fold).clone())));
        Ok(())
    }
}
