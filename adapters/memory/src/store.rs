mod aggregates;
mod batch;
mod events;
mod ledger;
mod query;
mod replay;
mod sessions;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gosight_application::local_fences::LocalFences;
use gosight_application::ports::{
    ChunkId, CommitError, DeadLetters, Fence, LogPartition, PortError, RefusedRows, StoredEvent,
};
use gosight_application::process::StoredDeduplicator;
use gosight_application::sessions::SessionRow;
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::{BatchSpan, LedgerRow};
use gosight_domain::replay::{ReplayChunk, ReplaySession};
use gosight_domain::rollup::HourlyRollup;
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, EventId, ProjectId};

use crate::{ADAPTER, MemoryDeadLetters};

/// The analytics store in memory: everything that processing writes and readers ask for.
///
/// It commits batches as one (as a [`BatchStore`](gosight_application::ports::BatchStore)), and offers each of its parts
/// for batches that are committed in steps.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    fences: LocalFences,
    dead_letters: Arc<MemoryDeadLetters>,
    /// Type of the events that are refused.
    refuses: Option<String>,
}

/// An event with the record that it was stored from.
#[derive(Debug, Clone)]
struct EventRow {
    place: LogPartition,
    offset: u64,
    event: Event,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they were stored.
    events: Vec<EventRow>,
    /// Which of them is the row of an event.
    rows: HashMap<(ProjectId, EventId), usize>,
    sessions: BTreeMap<SessionKey, SessionRow>,
    rollup: HourlyRollup,
    aggregates: BTreeMap<AggregateKey, AggregateValue>,
    /// What the last batch of each partition gave, by its first offset, while it is committed in steps.
    uncommitted: BTreeMap<(LogPartition, u64), BTreeMap<AggregateKey, AggregateValue>>,
    chunks: BTreeMap<ChunkId, ReplayChunk>,
    /// Sessions whose replay is elsewhere.
    archived: BTreeSet<ReplaySession>,
    ledger: BTreeMap<BatchSpan, LedgerRow>,
}

impl MemoryStore {
    /// A store that refuses events of the type `event_type`, to see what becomes of them.
    pub fn refusing(event_type: &str) -> Self {
        Self { refuses: Some(event_type.to_owned()), ..Self::default() }
    }

    /// Every event in the order in which it was stored.
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.iter().map(|row| row.event.clone()).collect()
    }

    /// Records that could not be processed.
    pub fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        self.dead_letters.clone()
    }

    /// Tells which events are stored, or on their way.
    pub fn deduplicator(self: &Arc<Self>) -> Arc<StoredDeduplicator> {
        Arc::new(StoredDeduplicator::new(self.clone()))
    }

    /// Refuses what the store is set to refuse.
    fn check<'a>(&self, events: impl IntoIterator<Item = &'a StoredEvent>) -> Result<(), CommitError> {
        let Some(refused) = &self.refuses else { return Ok(()) };
        let offsets: BTreeMap<u64, String> = events
            .into_iter()
            .filter(|stored| stored.event.event_type.as_str() == refused)
            .map(|stored| (stored.offset, format!("events of the type {refused} are refused")))
            .collect();
        let Some(reason) = offsets.values().next().cloned() else { return Ok(()) };
        Err(CommitError::Rejected { adapter: ADAPTER, refused: RefusedRows { offsets, reason } })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn adopt(&self, fence: &Fence) -> Result<(), PortError> {
        let _state = self.lock();
        self.fences.adopt(fence).map_err(|error| PortError::transient(ADAPTER, error))
    }

    /// The state, for a write behind `fence`.
    fn lock_behind<R: fmt::Debug + fmt::Display>(
        &self,
        fence: &Fence,
    ) -> Result<MutexGuard<'_, State>, PortError<R>> {
        let state = self.lock();
        self.fences.check(fence).map_err(|error| PortError::transient(ADAPTER, error))?;
        Ok(state)
    }
}

impl State {
    fn add_event(&mut self, place: &LogPartition, offset: u64, event: &Event) {
        self.rollup.add(event);
        self.rows.insert((event.project_id.clone(), event.event_id), self.events.len());
        self.events.push(EventRow { place: place.clone(), offset, event: event.clone() });
    }

    fn add_aggregates(&mut self, values: &BTreeMap<AggregateKey, AggregateValue>) {
        for (key, value) in values {
            self.aggregates.entry(key.clone()).or_default().merge(value);
        }
    }
}
