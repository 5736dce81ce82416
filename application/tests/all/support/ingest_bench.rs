use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::enrich::{ChosenEnricher, ClientEnrichers};
use gosight_application::ingest::{Ingest, IngestPorts, IngestRules};
use gosight_application::ports::{
    AcceptedChunks, AcceptedChunksError, ChunkId, Client, Clock, Effect, Enrichment, EventEnricher,
    EventSink, LogError, PortError, RateDecision, RateLimiter, RateLimiterError, Record, RecordLog,
    SinkError,
};
use gosight_application::{LogSink, logs};
use gosight_conformance::factory::{NOON, project};
use gosight_domain::key::{Ingest as IngestScope, Scoped};
use gosight_domain::replay::ContentHash;
use gosight_domain::{Device, Event, Geo, ProjectId};
use gosight_memory::{ManualClock, MemoryAcceptedChunks, MemoryLog, MemoryProfiles};
use mockall::mock;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Numbers;

mock! {
    #[derive(Debug)]
    pub Limiter {}

    #[async_trait]
    impl RateLimiter for Limiter {
        async fn take(&self, project_id: &ProjectId, events: u32) -> Result<RateDecision, RateLimiterError>;
    }
}

mock! {
    #[derive(Debug)]
    pub Chunks {}

    #[async_trait]
    impl AcceptedChunks for Chunks {
        async fn find(&self, chunk: &ChunkId) -> Result<Option<ContentHash>, AcceptedChunksError>;
        async fn remember(&self, chunk: &ChunkId, content: ContentHash) -> Result<(), AcceptedChunksError>;
        async fn forget(&self, chunks: &[ChunkId]) -> Result<(), AcceptedChunksError>;
    }
}

mock! {
    #[derive(Debug)]
    pub Sink {}

    #[async_trait]
    impl EventSink for Sink {
        async fn append(&self, events: &[Event]) -> Result<(), SinkError>;
    }
}

mock! {
    #[derive(Debug)]
    pub Log {}

    #[async_trait]
    impl RecordLog for Log {
        async fn append(&self, log: &str, records: Vec<Record>) -> Result<(), LogError>;
    }
}

/// Knows what device every user agent is, and where every address lies.
#[derive(Debug)]
struct Enricher;

impl EventEnricher for Enricher {
    fn name(&self) -> &'static str {
        "test"
    }

    fn client_at_once(&self, client: &Client<'_>) -> Option<Enrichment> {
        Some(Enrichment {
            device: Device { browser: client.user_agent.map(Into::into), ..Device::default() },
            geo: Geo { ip: client.ip, country: client.ip.map(|_| "NZ".into()), city: None },
            ..Enrichment::default()
        })
    }
}

/// Ingest with what it writes.
pub struct IngestBench {
    pub ingest: Ingest,
    pub log: Arc<MemoryLog>,
    pub numbers: Numbers,
}

impl IngestBench {
    pub fn new() -> Self {
        Self::with(MemoryLog::new(1), |_, _| {})
    }

    /// An ingest API over `log`, with some of its parts and rules changed.
    pub fn with(log: MemoryLog, change: impl FnOnce(&mut IngestPorts, &mut IngestRules)) -> Self {
        let (log, numbers) = (Arc::new(log), Numbers::default());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOON));
        let enrichers = vec![ChosenEnricher::new(Arc::new(Enricher))];
        let mut ports = IngestPorts {
            events: Arc::new(LogSink::new(log.clone(), logs::EVENTS)),
            log: log.clone(),
            chunks: Arc::new(MemoryAcceptedChunks::default()),
            limiter: Arc::new(limiter(|_| Ok(RateDecision::Allowed))),
            enrichers: ClientEnrichers::new(enrichers, &clock, &numbers.telemetry()),
            profiles: Arc::new(MemoryProfiles::default()),
            clock,
        };
        let mut rules = IngestRules::default();
        change(&mut ports, &mut rules);
        Self { ingest: Ingest::new(ports, rules, numbers.telemetry()), log, numbers }
    }

    /// What the errors log has, once the reports that wait are written.
    pub async fn reports(&self) -> Vec<Value> {
        let at_once = CancellationToken::new();
        at_once.cancel();
        self.ingest.write_refusals(at_once).await;
        let reports = self.log.records(logs::ERRORS);
        reports.iter().map(|record| serde_json::from_slice(&record.value).unwrap()).collect()
    }
}

/// A limiter that answers by the number of events.
pub fn limiter(
    answer: impl Fn(u32) -> Result<RateDecision, RateLimiterError> + Send + Sync + 'static,
) -> MockLimiter {
    let mut limiter = MockLimiter::new();
    limiter.expect_take().returning(move |_, events| answer(events));
    limiter
}

/// How long parts that are unavailable ask to be left alone.
pub const RETRY_AFTER: Duration = Duration::from_secs(7);

/// What a part says that is unavailable and knows for how long.
pub fn busy<R: std::fmt::Debug + std::fmt::Display>() -> PortError<R> {
    let source = "the queue is full".into();
    PortError::Transient { adapter: "log", effect: Effect::None, retry_after: Some(RETRY_AFTER), source }
}

/// Proof that project `p` may send.
pub fn may_send() -> Scoped<IngestScope> {
    Scoped::vouched(project("p"))
}

/// A time after noon as clients write it.
pub fn epoch(offset_ms: i32) -> f64 {
    1_795_176_000_000.0 + f64::from(offset_ms)
}
