//! Ports as small as tests need them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::ports::{
    AcceptedChunks, AcceptedChunksError, ChunkId, Client, Clock, Enrichment, EventEnricher, EventSink,
    Health, HealthCheck, KeyError, KeyValidator, LogEnds, LogError, PortError, RateDecision, RateLimiter,
    RateLimiterError, Record, RecordLog, RefusedEvents, SinkError, SourceError,
};
use gosight_domain::key::{Grant, KeyRefusal, PresentedKey, Scope};
use gosight_domain::replay::ContentHash;
use gosight_domain::{Event, ProjectId, Timestamp};
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
        Ok(Grant { key_id: Uuid::nil(), project_id: project(), scopes, expires_at: None })
    }
}

/// What a sink does with events.
#[derive(Debug, Default)]
pub(super) enum SinkMode {
    #[default]
    Collect,
    Unavailable {
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
            SinkMode::Unavailable { retry_after } => {
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

impl EventEnricher for Enricher {
    fn name(&self) -> &'static str {
        "test"
    }

    fn client_at_once(&self, client: &Client<'_>) -> Option<Enrichment> {
        self.asked.lock().unwrap().push((client.ip, client.user_agent.map(str::to_owned)));
        Some(Enrichment::default())
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
