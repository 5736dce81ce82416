//! Writing: partitions of the log are taken over, and their batches stored once.

mod commit;
mod events;
mod ledger;
mod partition;
mod sessions;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use gosight_application::ports::{DeadLetters, SessionCache};

use crate::store::ClickHouseStore;

pub(crate) use partition::Held;

use partition::PartitionLock;

/// Stores batches of the log: a [`BatchStore`](gosight_application::ports::BatchStore).
pub struct ClickHouseWriter {
    store: Arc<ClickHouseStore>,
    /// The folds of live sessions; the store's own are read where it has none.
    cache: Option<Arc<dyn SessionCache>>,
    /// Where records go that nothing can be done with.
    dead_letters: Arc<dyn DeadLetters>,
    partitions: Mutex<HashMap<(Arc<str>, u32), PartitionLock>>,
}

impl fmt::Debug for ClickHouseWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouseWriter").field("store", &self.store).finish_non_exhaustive()
    }
}

impl ClickHouseWriter {
    /// Writes to `store`, with the live sessions in `cache`, if there is one, and what cannot be processed in
    /// `dead_letters`.
    pub fn new(
        store: Arc<ClickHouseStore>,
        cache: Option<Arc<dyn SessionCache>>,
        dead_letters: Arc<dyn DeadLetters>,
    ) -> Self {
        Self { store, cache, dead_letters, partitions: Mutex::default() }
    }

    /// The lock of one partition of the log: its batches are stored one after the other.
    fn partition(&self, log: &Arc<str>, partition: u32) -> PartitionLock {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.entry((log.clone(), partition)).or_default().clone()
    }
}
