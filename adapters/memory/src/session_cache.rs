use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{LogPosition, SessionCache, SessionCacheError};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{ProjectId, Session, SessionId};

/// The folds of live sessions in memory.
#[derive(Debug)]
pub struct MemorySessionCache {
    partitions: Mutex<HashMap<(Arc<str>, u32), Partition>>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Partition {
    /// The offset as of which the folds are right.
    next: u64,
    folds: HashMap<(ProjectId, SessionId), Session>,
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

    fn lock(&self) -> MutexGuard<'_, HashMap<(Arc<str>, u32), Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionCache for MemorySessionCache {
    async fn load(
        &self,
        at: &LogPosition,
        sessions: &[(ProjectId, SessionId)],
    ) -> Result<Vec<Option<Session>>, SessionCacheError> {
        let partitions = self.lock();
        let partition =
            partitions.get(&(at.log.clone(), at.partition)).filter(|partition| partition.next == at.offset);
        Ok(sessions.iter().map(|name| partition?.folds.get(name).cloned()).collect())
    }

    async fn save(&self, span: &BatchSpan, folds: &[Session]) -> Result<(), SessionCacheError> {
        let mut partitions = self.lock();
        let partition = partitions.entry((span.log.clone(), span.partition)).or_default();
        if partition.next != span.first || partition.folds.len() + folds.len() > self.capacity {
            partition.folds.clear();
        }
        partition.next = span.next();
        let named = |fold: &Session| ((fold.project_id.clone(), fold.session_id.clone()), fold.clone());
        partition.folds.extend(folds.iter().map(named));
        Ok(())
    }
}
