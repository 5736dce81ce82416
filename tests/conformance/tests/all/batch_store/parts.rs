//! Parts of a batch, stored or not.

use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{
    AggregateStore, BatchStore, CommitError, EventCursor, EventQuery, EventRows, Fence, Ledger, LogPartition,
    Metrics, MetricsQuery, PortError, ProcessedBatch, QueryError, ReplayStore, SessionStore, StoredEvent,
};
use gosight_application::sessions::SessionRow;
use gosight_conformance::batch_store::StoreFixture;
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, ProjectId, Session, SessionId};
use gosight_memory::MemoryStore;

/// A part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Events,
    Sessions,
    Aggregates,
    Rollup,
    Chunks,
    DeadLetters,
    /// The counts in the row of the ledger.
    Counts,
}

impl Part {
    /// The batch without this part. The rollup is missing where it is read.
    pub fn taken_from(self, batch: &ProcessedBatch) -> ProcessedBatch {
        let mut batch = batch.clone();
        match self {
            Self::Events => batch.events.clear(),
            Self::Sessions => batch.sessions.clear(),
            Self::Aggregates => batch.aggregates.clear(),
            Self::Rollup => {}
            Self::Chunks => batch.replay_chunks.clear(),
            Self::DeadLetters => batch.dead_letters.clear(),
            Self::Counts => batch.ledger.entries.clear(),
        }
        batch
    }
}

/// Events of which none was counted.
#[derive(Debug)]
pub struct Uncounted(pub Arc<MemoryStore>);

#[async_trait]
impl EventQuery for Uncounted {
    async fn metrics(&self, _: &ProjectId, _: &MetricsQuery) -> Result<Metrics, QueryError> {
        Ok(Metrics::default())
    }

    async fn session_events(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
        after: Option<EventCursor>,
        limit: usize,
    ) -> Result<Vec<Event>, QueryError> {
        self.0.session_events(project_id, session_id, after, limit).await
    }
}

async fn acquire(store: &MemoryStore, batch: &ProcessedBatch) -> Fence {
    store.acquire(&LogPartition::of(&batch.ledger.span)).await.expect("acquired")
}

/// The sessions of the batch as they are stored.
async fn stored_sessions(
    store: &MemoryStore,
    fence: &Fence,
    batch: &ProcessedBatch,
) -> Result<Vec<Option<Session>>, CommitError> {
    let keys: Vec<SessionKey> = batch.sessions.iter().map(Session::key).collect();
    store.load(fence, 0, &keys).await.map_err(PortError::widen)
}

/// Stores the events of the batch up to the offset `end`.
pub async fn store_events(store: &MemoryStore, batch: &ProcessedBatch, end: u64) -> Result<(), CommitError> {
    let fence = acquire(store, batch).await;
    let events: Vec<&StoredEvent> = batch.events.iter().filter(|stored| stored.offset < end).collect();
    store.insert(&fence, &events).await
}

/// Stores the chunks and dead letters of the batch.
pub async fn store_chunks_and_letters(
    store: &MemoryStore,
    batch: &ProcessedBatch,
) -> Result<(), CommitError> {
    let fence = acquire(store, batch).await;
    ReplayStore::put(store, &fence, &batch.replay_chunks).await?;
    store.dead_letters().put(&fence, &batch.dead_letters).await.map_err(PortError::widen)
}

/// Stores all of the batch but its row in the ledger.
pub async fn store_rest(store: &MemoryStore, batch: &ProcessedBatch) -> Result<(), CommitError> {
    store_events(store, batch, u64::MAX).await?;
    store_chunks_and_letters(store, batch).await?;
    let fence = acquire(store, batch).await;
    AggregateStore::put(store, &fence, &batch.ledger.span, &batch.aggregates).await?;
    let stored = stored_sessions(store, &fence, batch).await?;
    SessionStore::put(store, &fence, &batch.rules.merge(stored, &batch.sessions)).await
}

/// Shows in the stored sessions of the batch what its own events show.
pub async fn replace_insights(store: &MemoryStore, batch: &ProcessedBatch) -> Result<(), CommitError> {
    let fence = acquire(store, batch).await;
    let merged = stored_sessions(store, &fence, batch).await?;
    let row = |(fold, merged): (&Session, Option<Session>)| {
        let insights = batch.rules.row(fold.clone()).insights;
        Some(SessionRow { session: merged?, insights })
    };
    let rows: Vec<SessionRow> = batch.sessions.iter().zip(merged).filter_map(row).collect();
    SessionStore::put(store, &fence, &rows).await
}

/// A right store that has all of `batches` but the last.
pub async fn flushed(batches: &[ProcessedBatch]) -> StoreFixture {
    let store = Arc::new(MemoryStore::default());
    for batch in batches.iter().rev().skip(1).rev() {
        store.commit(batch).await.expect("committed");
    }
    super::over(store, None)
}
