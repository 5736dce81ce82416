//! The narrow ports of a store over which batches are committed in steps.

use std::fmt;
use std::sync::Arc;

use gosight_application::ports::{
    AggregateStore, BatchStore, DeadLetters, Deduplicator, EventQuery, EventRows, Fence, Ledger, LedgerQuery,
    LogPartition, MetricsQuery, PortError, ReplayStore, SessionStore, StoredEvent, StoredEvents, WindowQuery,
};
use gosight_application::process::{Stepped, SteppedPorts};
use gosight_application::sessions::{SessionRow, SessionRules};
use gosight_domain::{Event, Hour};
use uuid::Uuid;

use crate::batch_store::StoreFixture;
use crate::factory::{LOG, NOON, fold, project, shared};
use crate::{Keep, Reopen};

/// A store, by its narrow ports.
#[expect(missing_docs, reason = "the fields are named by their ports")]
pub struct StepsFixture {
    pub ledger: Arc<dyn Ledger>,
    pub events: Arc<dyn EventRows>,
    pub sessions: Arc<dyn SessionStore>,
    pub aggregates: Arc<dyn AggregateStore>,
    pub replays: Arc<dyn ReplayStore>,
    pub dead_letters: Arc<dyn DeadLetters>,
    pub stored: Arc<dyn StoredEvents>,
    pub event_query: Arc<dyn EventQuery>,
    pub ledger_query: Arc<dyn LedgerQuery>,
    /// Gives the same store as a new process finds it after a crash.
    pub reopen: Reopen<Reopened>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

/// What a fixture is reopened from: everything but how.
pub type Reopened = Box<StepsFixture>;

/// All narrow ports of a store.
pub trait StepsStore:
    Ledger + EventRows + SessionStore + AggregateStore + ReplayStore + StoredEvents + EventQuery + LedgerQuery
{
}

impl<T> StepsStore for T where
    T: Ledger
        + EventRows
        + SessionStore
        + AggregateStore
        + ReplayStore
        + StoredEvents
        + EventQuery
        + LedgerQuery
{
}

impl StepsFixture {
    /// The ports of `store`. `reopen` opens it once more; by default what it has is all that there is.
    pub fn over<S: StepsStore + 'static>(
        store: &Arc<S>,
        dead_letters: Arc<dyn DeadLetters>,
        keep: Keep,
    ) -> Self {
        Self {
            ledger: store.clone(),
            events: store.clone(),
            sessions: store.clone(),
            aggregates: store.clone(),
            replays: store.clone(),
            dead_letters,
            stored: store.clone(),
            event_query: store.clone(),
            ledger_query: store.clone(),
            reopen: Box::new(|fixture| Box::pin(async { fixture })),
            keep,
        }
    }

    /// The same, seen as what batches are committed to.
    pub fn into_store(self, store: Arc<dyn BatchStore>, deduplicator: Arc<dyn Deduplicator>) -> StoreFixture {
        StoreFixture {
            store,
            deduplicator,
            query: self.event_query,
            sessions: self.sessions,
            ledger: self.ledger_query,
            aggregates: self.aggregates,
            replays: self.replays,
            dead_letters: self.dead_letters,
            reopen: Box::new(|fixture| Box::pin(async { fixture })),
            keep: self.keep,
        }
    }

    /// The same store as a new process finds it after a crash.
    pub async fn crashed(mut self) -> Self {
        let again: Reopen<Reopened> = Box::new(|fixture| Box::pin(async { fixture }));
        let reopen = std::mem::replace(&mut self.reopen, again);
        *reopen(Box::new(self)).await
    }

    /// Commits batches to these ports.
    pub fn stepped(&self) -> Arc<dyn BatchStore> {
        Arc::new(Stepped::new(SteppedPorts {
            ledger: self.ledger.clone(),
            events: self.events.clone(),
            sessions: self.sessions.clone(),
            aggregates: self.aggregates.clone(),
            replays: self.replays.clone(),
            dead_letters: self.dead_letters.clone(),
        }))
    }

    /// The right to write partition 0 of the log.
    pub async fn fence(&self) -> Fence {
        self.fence_of(LOG, 0).await
    }

    /// The right to write a partition.
    pub async fn fence_of(&self, log: &str, partition: u32) -> Fence {
        let place = LogPartition { log: shared(log), partition };
        self.ledger.acquire(&place).await.expect("acquired")
    }

    /// Stores `events` from offsets from `first` on.
    pub async fn insert(&self, fence: &Fence, first: u64, events: &[Event]) {
        let stored = stored(first, events);
        let all: Vec<&StoredEvent> = stored.iter().collect();
        self.events.insert(fence, &all).await.expect("inserted");
    }

    /// How many events of a project the hourly counts have.
    pub async fn counted(&self, project_name: &str) -> u64 {
        let query = MetricsQuery {
            event_name: None,
            from: NOON.hour(),
            to: Hour::from_index(NOON.hour().index() + 2),
            channel: None,
            group_by: None,
            limit: 10,
        };
        self.event_query.metrics(&project(project_name), &query).await.expect("read").total_count
    }

    /// How many events the aggregate of [`batch`](crate::factory::batch) has counted.
    pub async fn aggregated(&self) -> u64 {
        let query = WindowQuery {
            aggregation: "clicks".into(),
            key: "all".into(),
            from: NOON,
            to: NOON.plus_millis(1),
            limit: 10,
        };
        let windows = self.aggregates.windows(&project("p"), &query).await.expect("read");
        windows.iter().map(|(_, value)| value.count).sum()
    }
}

/// Events with offsets from `first` on.
pub fn stored(first: u64, events: &[Event]) -> Vec<StoredEvent> {
    let stored = |(offset, event): (u64, &Event)| StoredEvent::new(offset, event.clone()).expect("valid");
    (first..).zip(events).map(stored).collect()
}

/// The row of a session with these events.
pub fn row(events: &[Event]) -> SessionRow {
    SessionRules::default().row(fold(events))
}

/// A fence of a partition that only the ledger of another store gives fences of.
pub fn foreign(epoch: u64) -> Fence {
    let place = LogPartition { log: shared(LOG), partition: 9 };
    Fence::granted(place, epoch, Uuid::from_u128(epoch.into()))
}

/// Checks that a write behind an older fence was refused as it has to be.
pub fn assert_fenced_off<T: fmt::Debug, R: fmt::Debug + fmt::Display>(result: &Result<T, PortError<R>>) {
    assert!(matches!(result, Err(PortError::Transient { .. })), "an older fence: {result:?}");
}
