mod batch;
mod query;
mod replay;
mod state_ports;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gosight_application::ports::{ChunkId, DeadLetters, LogPosition};
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::insight::InsightThresholds;
use gosight_domain::ledger::{BatchSpan, LedgerRow};
use gosight_domain::replay::{ReplayChunk, ReplaySession};
use gosight_domain::rollup::HourlyRollup;
use gosight_domain::{Event, EventId, ProjectId, Session, SessionId};

use crate::MemoryDeadLetters;

/// The analytics store in memory: everything that processing writes and readers ask for.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    thresholds: InsightThresholds,
    dead_letters: Arc<MemoryDeadLetters>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they were stored.
    events: Vec<Event>,
    claims: HashMap<(ProjectId, EventId), LogPosition>,
    sessions: BTreeMap<(ProjectId, SessionId), Session>,
    rollup: HourlyRollup,
    aggregates: BTreeMap<AggregateKey, AggregateValue>,
    chunks: BTreeMap<ChunkId, ReplayChunk>,
    /// Sessions whose replay is elsewhere.
    archived: BTreeSet<ReplaySession>,
    ledger: BTreeMap<BatchSpan, LedgerRow>,
    /// Spans whose sessions were merged through the session store's own door.
    merged_sessions: Vec<BatchSpan>,
    /// Spans whose aggregates were merged through the aggregate store's own door.
    merged_aggregates: Vec<BatchSpan>,
}

impl MemoryStore {
    /// An empty store whose sessions show insights by `thresholds`.
    pub fn new(thresholds: InsightThresholds) -> Self {
        Self { thresholds, ..Self::default() }
    }

    /// Every event in the order in which it was stored.
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// The records that were put aside.
    pub fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        self.dead_letters.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn merge_session(&mut self, fold: &Session) -> Session {
        let key = (fold.project_id.clone(), fold.session_id.clone());
        let session = self.sessions.entry(key).and_modify(|known| known.merge(fold.clone()));
        session.or_insert_with(|| fold.clone()).clone()
    }

    fn merge_aggregates(&mut self, values: &BTreeMap<AggregateKey, AggregateValue>) {
        for (key, value) in values {
            self.aggregates.entry(key.clone()).or_default().merge(value);
        }
    }
}
