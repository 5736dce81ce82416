//! A store that answers what it is set to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use async_trait::async_trait;
use gosight_application::logs;
use gosight_application::ports::{
    AggregateStore, AggregateStoreError, ChunkId, CommitError, EventCursor, EventQuery, Fence, IdleQuery,
    LedgerBalance, LedgerQuery, LogPartition, Metrics, MetricsQuery, PartitionCoverage, PortError,
    PutVerdict, QueryError, ReplayStore, ReplayStoreError, SessionDetail, SessionQuery, SessionStore,
    SessionStoreError, SessionSummary, WindowQuery,
};
use gosight_application::sessions::{SessionRow, SessionRules};
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, Hour, ProjectId, Session, SessionId, Timestamp};
use gosight_memory::MemoryStore;

/// Everything that can be read.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// Answers every question with an error: `Some(true)` when it may pass.
    pub failing: Option<bool>,
    pub metrics: Metrics,
    pub metrics_asked: Mutex<Vec<MetricsQuery>>,
    pub sessions: Vec<SessionDetail>,
    pub sessions_asked: Mutex<Vec<SessionQuery>>,
    pub events: Vec<Event>,
    pub balances: Vec<LedgerBalance>,
    pub balances_asked: Mutex<Vec<(Option<ProjectId>, Hour, Hour)>>,
    pub coverage: Vec<PartitionCoverage>,
    pub windows: Vec<(Timestamp, AggregateValue)>,
    pub windows_asked: Mutex<Vec<WindowQuery>>,
    pub chunks: Vec<ReplayChunk>,
    pub data: HashMap<u16, Vec<u8>>,
}

impl Store {
    fn check(&self) -> Result<(), QueryError> {
        match self.failing {
            None => Ok(()),
            Some(true) => Err(QueryError::transient("fake", "secret cause")),
            Some(false) => Err(QueryError::fatal("fake", "secret cause")),
        }
    }
}

#[async_trait]
impl EventQuery for Store {
    async fn metrics(&self, _: &ProjectId, query: &MetricsQuery) -> Result<Metrics, QueryError> {
        self.check()?;
        self.metrics_asked.lock().unwrap().push(query.clone());
        Ok(self.metrics.clone())
    }

    async fn session_events(
        &self,
        _: &ProjectId,
        id: &SessionId,
        after: Option<EventCursor>,
        limit: usize,
    ) -> Result<Vec<Event>, QueryError> {
        self.check()?;
        let of_session = self.events.iter().filter(|event| event.session_id.as_ref() == Some(id));
        let rest = of_session.filter(|event| after.is_none_or(|after| EventCursor::of(event) > after));
        Ok(rest.take(limit).cloned().collect())
    }
}

#[async_trait]
impl SessionStore for Store {
    async fn load(
        &self,
        _: &Fence,
        _: u64,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionStoreError> {
        Ok(vec![None; sessions.len()])
    }

    async fn put(&self, _: &Fence, _: &[SessionRow]) -> Result<(), CommitError> {
        Ok(())
    }

    async fn remove(&self, _: &Fence, _: &[SessionKey]) -> Result<(), SessionStoreError> {
        Ok(())
    }

    async fn get(
        &self,
        _: &SessionRules,
        _: &ProjectId,
        id: &SessionId,
    ) -> Result<Option<SessionDetail>, SessionStoreError> {
        self.check()?;
        Ok(self.sessions.iter().find(|detail| detail.summary.session_id == *id).cloned())
    }

    async fn list(
        &self,
        _: &SessionRules,
        _: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        self.check()?;
        self.sessions_asked.lock().unwrap().push(query.clone());
        // Which of them are wanted is the store's business.
        let page = SessionQuery { after: query.after.clone(), limit: query.limit, ..SessionQuery::default() };
        Ok(page.page(self.sessions.iter().map(|detail| detail.summary.clone())))
    }

    async fn list_idle(
        &self,
        _: &SessionRules,
        _: &ProjectId,
        query: &IdleQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        self.check()?;
        Ok(query.page(self.sessions.iter().map(|detail| detail.summary.clone())))
    }
}

#[async_trait]
impl LedgerQuery for Store {
    async fn balances(
        &self,
        project: Option<&ProjectId>,
        from: Hour,
        to: Hour,
    ) -> Result<Vec<LedgerBalance>, QueryError> {
        self.check()?;
        self.balances_asked.lock().unwrap().push((project.cloned(), from, to));
        Ok(self.balances.clone())
    }

    async fn coverage(&self, _: &str) -> Result<Vec<PartitionCoverage>, QueryError> {
        Ok(self.coverage.clone())
    }
}

#[async_trait]
impl AggregateStore for Store {
    async fn put(
        &self,
        _: &Fence,
        _: &BatchSpan,
        _: &BTreeMap<AggregateKey, AggregateValue>,
    ) -> Result<(), CommitError> {
        Ok(())
    }

    async fn forget(&self, _: &Fence, _: u64) -> Result<(), AggregateStoreError> {
        Ok(())
    }

    async fn windows(
        &self,
        _: &ProjectId,
        query: &WindowQuery,
    ) -> Result<Vec<(Timestamp, AggregateValue)>, AggregateStoreError> {
        self.windows_asked.lock().unwrap().push(query.clone());
        Ok(self.windows.clone())
    }
}

#[async_trait]
impl ReplayStore for Store {
    async fn put(&self, _: &Fence, _: &[ReplayChunk]) -> Result<Vec<PutVerdict>, CommitError> {
        Ok(Vec::new())
    }

    async fn contents(&self, _: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, ReplayStoreError> {
        Ok(Vec::new())
    }

    async fn headers(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        self.check()?;
        Ok(self.chunks.iter().filter(|chunk| chunk.session_id == session.session_id).cloned().collect())
    }

    async fn data(&self, chunks: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>, ReplayStoreError> {
        Ok(chunks.iter().map(|chunk| self.data.get(&chunk.chunk_index).cloned()).collect())
    }

    async fn delete(&self, _: &[ChunkId]) -> Result<u64, ReplayStoreError> {
        Ok(0)
    }

    async fn mark_archived(&self, _: &[ReplaySession], _: bool) -> Result<(), ReplayStoreError> {
        Ok(())
    }

    async fn are_recorded(&self, sessions: &[ReplaySession]) -> Result<Vec<bool>, ReplayStoreError> {
        let is_recorded =
            |session: &ReplaySession| self.chunks.iter().any(|chunk| chunk.session_id == session.session_id);
        Ok(sessions.iter().map(is_recorded).collect())
    }

    async fn recorded(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, ReplayStoreError> {
        let store = MemoryStore::default();
        let place = LogPartition { log: logs::REPLAY.into(), partition: 0 };
        let fence = gosight_application::ports::Ledger::acquire(&store, &place).await?;
        ReplayStore::put(&store, &fence, &self.chunks).await.map_err(PortError::narrow)?;
        store.recorded(project_id, after, limit).await
    }

    async fn idle(
        &self,
        _: Timestamp,
        _: Option<ReplaySession>,
        _: usize,
    ) -> Result<Vec<ReplaySession>, ReplayStoreError> {
        Ok(Vec::new())
    }
}
