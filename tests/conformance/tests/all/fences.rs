//! What a store has that does not look at the fence of a write.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{CommitError, Fence, Ledger, LedgerError, LogPartition};
use gosight_domain::ledger::LedgerRow;
use gosight_memory::MemoryStore;
use uuid::Uuid;

/// The ledger of a store, which remembers the last fence of each partition.
#[derive(Debug)]
pub struct LastFences {
    right: Arc<MemoryStore>,
    last: Mutex<HashMap<LogPartition, (u64, Uuid)>>,
}

impl LastFences {
    /// The fences of `right`.
    pub fn of(right: &Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self { right: right.clone(), last: Mutex::default() })
    }

    /// Takes `fence`, which another ledger gave, for the last of its partition.
    pub fn note(&self, fence: &Fence) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(fence.place().clone(), (fence.epoch(), fence.owner()));
    }

    /// The fence that is good, whatever `fence` is.
    pub fn good(&self, fence: &Fence) -> Fence {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (epoch, owner) = last.get(fence.place()).copied().expect("a partition that was acquired");
        Fence::granted(fence.place().clone(), epoch, owner)
    }
}

#[async_trait]
impl Ledger for LastFences {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, LedgerError> {
        Ledger::next_offsets(&*self.right, log).await
    }

    async fn acquire(&self, place: &LogPartition) -> Result<Fence, LedgerError> {
        let fence = self.right.acquire(place).await?;
        self.note(&fence);
        Ok(fence)
    }

    async fn end(&self, fence: &Fence) -> Result<Option<u64>, LedgerError> {
        Ledger::end(&*self.right, fence).await
    }

    async fn append(&self, fence: &Fence, row: &LedgerRow) -> Result<(), CommitError> {
        self.right.append(fence, row).await
    }
}
