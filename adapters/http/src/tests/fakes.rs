//! Ports as small as tests need them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::ports::{
    AcceptedChunks, AcceptedChunksError, AggregateStore, AggregateStoreError, ChunkId, ClientContext, Clock,
    ContextEnricher, EventCursor, EventQuery, EventSink, Health, HealthCheck, KeyError, KeyValidator,
    LedgerBalance, LedgerQuery, LogEnds, LogError, Metrics, MetricsQuery, PartitionCoverage, PortError,
    PutVerdict, QueryError, RateDecision, RateLimiter, RateLimiterError, Record, RecordLog, RefusedEvents,
    ReplayStore, ReplayStoreError, SessionDetail, SessionQuery, SessionSummary, SinkError, SourceError,
    WindowQuery,
};
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::key::{Grant, KeyRefusal, PresentedKey, Scope};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::{Event, Hour, ProjectId, SessionId, Timestamp};
use gosight_memory::MemoryStore;
use tokio::sync::Notify;
use uuid::Uuid;

/// The time in all tests.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_795_204_259_500);

pub(super) fn project() -> ProjectId {
    ProjectId::new("shop").unwrap()
}

#[derive(Debug)]
pub(super) struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// Keys are named by what they are good for.
#[derive(Debug)]
pub(super) struct FakeKeys;

#[async_trait]
impl KeyValidator for FakeKeys {
    async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError> {
        let refuse = |refused| Err(KeyError::Rejected { adapter: "fake", refused });
        let scopes = match key.reveal() {
            "ingest" => vec![Scope::Ingest],
            "read" => vec![Scope::Read],
            "admin" => vec![Scope::Admin],
            "none" => vec![],
            "revoked" => return refuse(KeyRefusal::Revoked),
            "expired" => return refuse(KeyRefusal::Expired),
            "away" => return Err(KeyError::transient("fake", "secret cause")),
            "panic" => panic!("secret cause"),
            _ => return refuse(KeyRefusal::Unknown),
        };
        Ok(Grant { key_id: Uuid::nil(), project_id: project(), scopes })
    }
}

/// What a sink does with events.
#[derive(Debug, Default)]
pub(super) enum SinkMode {
    #[default]
    Collect,
    Away {
        retry_after: Option<Duration>,
    },
    /// Says that it was reached, and waits.
    Wait {
        reached: Arc<Notify>,
        go: Arc<Notify>,
    },
}

/// Collects what is ingested.
#[derive(Debug, Default)]
pub(super) struct Sink {
    pub mode: SinkMode,
    pub events: Mutex<Vec<Event>>,
    pub records: Mutex<Vec<(String, Record)>>,
}

#[async_trait]
impl EventSink for Sink {
    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        match &self.mode {
            SinkMode::Collect => {}
            SinkMode::Away { retry_after } => {
                let error = PortError::<RefusedEvents>::transient("fake", "secret cause");
                return Err(match error {
                    PortError::Transient { adapter, effect, source, .. } => {
                        PortError::Transient { adapter, effect, retry_after: *retry_after, source }
                    }
                    other => other,
                });
            }
            SinkMode::Wait { reached, go } => {
                reached.notify_one();
                go.notified().await;
            }
        }
        self.events.lock().unwrap().extend_from_slice(events);
        Ok(())
    }
}

#[async_trait]
impl RecordLog for Sink {
    async fn append(&self, log: &str, records: Vec<Record>) -> Result<(), LogError> {
        self.records.lock().unwrap().extend(records.into_iter().map(|record| (log.to_owned(), record)));
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Limiter(pub RateDecision);

#[async_trait]
impl RateLimiter for Limiter {
    async fn take(&self, _: &ProjectId, _: u32) -> Result<RateDecision, RateLimiterError> {
        Ok(self.0)
    }
}

/// Remembers who was asked about.
#[derive(Debug, Default)]
pub(super) struct Enricher {
    pub asked: Mutex<Vec<(Option<IpAddr>, Option<String>)>>,
}

impl ContextEnricher for Enricher {
    fn enrich(&self, client_ip: Option<IpAddr>, user_agent: Option<&str>) -> ClientContext {
        self.asked.lock().unwrap().push((client_ip, user_agent.map(str::to_owned)));
        ClientContext::default()
    }
}

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

    async fn sessions(&self, _: &ProjectId, query: &SessionQuery) -> Result<Vec<SessionSummary>, QueryError> {
        self.check()?;
        self.sessions_asked.lock().unwrap().push(query.clone());
        let mut sessions: Vec<SessionSummary> =
            self.sessions.iter().map(|detail| detail.summary.clone()).collect();
        if let Some(after) = &query.after {
            sessions.retain(|session| {
                (std::cmp::Reverse(session.started_at), &session.session_id)
                    > (std::cmp::Reverse(after.started_at), &after.session_id)
            });
        }
        sessions.truncate(query.limit);
        Ok(sessions)
    }

    async fn session(&self, _: &ProjectId, id: &SessionId) -> Result<Option<SessionDetail>, QueryError> {
        self.check()?;
        Ok(self.sessions.iter().find(|detail| detail.summary.session_id == *id).cloned())
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
    async fn merge(
        &self,
        _: &BatchSpan,
        _: &BTreeMap<AggregateKey, AggregateValue>,
    ) -> Result<(), AggregateStoreError> {
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
    async fn put(&self, _: &[ReplayChunk]) -> Result<Vec<PutVerdict>, ReplayStoreError> {
        Ok(Vec::new())
    }

    async fn contents(&self, _: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, ReplayStoreError> {
        Ok(Vec::new())
    }

    async fn headers(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        self.check()?;
        Ok(self.chunks.iter().filter(|chunk| chunk.session_id == session.session_id).cloned().collect())
    }

    async fn data(&self, chunk: &ChunkId) -> Result<Option<Vec<u8>>, ReplayStoreError> {
        Ok(self.data.get(&chunk.chunk_index).cloned())
    }

    async fn delete(&self, _: &[ChunkId]) -> Result<u64, ReplayStoreError> {
        Ok(0)
    }

    async fn mark_archived(&self, _: &[ReplaySession], _: bool) -> Result<(), ReplayStoreError> {
        Ok(())
    }

    async fn recorded(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, ReplayStoreError> {
        let store = MemoryStore::default();
        store.put(&self.chunks).await?;
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

/// A log of which only the end is known.
#[derive(Debug)]
pub(super) struct LogEnd {
    pub name: Arc<str>,
    pub ends: Vec<(u32, u64)>,
}

#[async_trait]
impl LogEnds for LogEnd {
    fn log(&self) -> &Arc<str> {
        &self.name
    }

    async fn end_offsets(&self) -> Result<Vec<(u32, u64)>, SourceError> {
        Ok(self.ends.clone())
    }
}

/// A part that says this, or nothing at all.
#[derive(Debug)]
pub(super) struct Part(pub &'static str, pub Option<Health>);

#[async_trait]
impl HealthCheck for Part {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn check(&self) -> Health {
        match &self.1 {
            Some(health) => health.clone(),
            None => std::future::pending().await,
        }
    }
}

/// Another chunk was accepted with every index.
#[derive(Debug)]
pub(super) struct AllTaken;

#[async_trait]
impl AcceptedChunks for AllTaken {
    async fn find(&self, _: &ChunkId) -> Result<Option<ContentHash>, AcceptedChunksError> {
        Ok(Some(ContentHash::of(b"another")))
    }

    async fn remember(&self, _: &ChunkId, _: ContentHash) -> Result<(), AcceptedChunksError> {
        Ok(())
    }

    async fn forget(&self, _: &[ChunkId]) -> Result<(), AcceptedChunksError> {
        Ok(())
    }
}
