use std::sync::Arc;
use std::time::Duration;

use gosight_application::LogSink;
use gosight_application::backoff::BackoffPolicy;
use gosight_application::enrich::{ChosenEnricher, EventEnrichers};
use gosight_application::enrichers::{ProfileCacheConfig, ProfileEnricher};
use gosight_application::ports::{
    Clock, DeadLetter, EventSink, LedgerQuery, PollLimits, ProfileStore, Record, RecordLog, SessionStore,
    SessionSummary,
};
use gosight_application::process::filter::{FilterRuleConfig, FilterSet};
use gosight_application::process::{
    AggregationSet, ConsumerConfig, CustomMeasures, EventHandler, EventHandlerPorts, LogConsumer,
    ProcessError, ProcessStatus, StoredDeduplicator,
};
use gosight_application::sessions::SessionRules;
use gosight_conformance::factory::{LOG, NOON, bytes, project};
use gosight_domain::aggregate::Aggregation;
use gosight_domain::ledger::{Coverage, OutcomeCounts};
use gosight_domain::{Event, Hour, ProjectId, SessionId};
use gosight_memory::{ManualClock, MemoryLog, MemoryStore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Numbers, until};

/// The consumer group of the tests.
pub const GROUP: &str = "processor";

/// How consumers of the tests wait: 2 seconds, doubling, 60 at most.
pub const BACKOFF: BackoffPolicy =
    BackoffPolicy { initial: Duration::from_secs(2), max: Duration::from_mins(1) };

/// A log, a store, and what reads one into the other.
pub struct Bench {
    pub log: Arc<MemoryLog>,
    pub store: Arc<MemoryStore>,
    pub deduplicator: Arc<StoredDeduplicator>,
    pub clock: Arc<ManualClock>,
    pub numbers: Numbers,
    pub measures: CustomMeasures,
}

impl Bench {
    pub fn new(partitions: u32) -> Self {
        let store = Arc::new(MemoryStore::default());
        Self {
            log: Arc::new(MemoryLog::new(partitions)),
            deduplicator: store.deduplicator(),
            store,
            clock: Arc::new(ManualClock::new(NOON.plus_millis(60_000))),
            numbers: Numbers::default(),
            measures: CustomMeasures::new(),
        }
    }

    /// The session `session_id` of project `p`, as readers see it.
    pub async fn session(&self, session_id: &SessionId) -> Option<SessionSummary> {
        let found = self.store.get(&SessionRules::default(), &project("p"), session_id).await.unwrap();
        found.map(|detail| detail.summary)
    }

    pub async fn append(&self, events: &[Event]) {
        LogSink::new(self.log.clone(), LOG).append(events).await.unwrap();
    }

    pub async fn append_text(&self, text: &str) {
        self.log.append(LOG, vec![Record { key: bytes("s"), value: bytes(text) }]).await.unwrap();
    }

    pub fn handler(&self) -> EventHandler {
        self.handler_with(&[], &[], None)
    }

    pub fn handler_with(
        &self,
        rules: &[FilterRuleConfig],
        aggregations: &[Aggregation],
        profiles: Option<Arc<dyn ProfileStore>>,
    ) -> EventHandler {
        let enricher =
            |source| ProfileEnricher::new(source, ProfileCacheConfig::default(), self.numbers.telemetry());
        let enrichers = profiles.map(|source| ChosenEnricher::new(Arc::new(enricher(source))));
        self.enriching_handler(rules, aggregations, self.enrichers(enrichers.into_iter().collect()))
    }

    pub fn enrichers(&self, enrichers: Vec<ChosenEnricher>) -> Arc<EventEnrichers> {
        let clock: Arc<dyn Clock> = self.clock.clone();
        Arc::new(EventEnrichers::new(enrichers, &clock, &self.numbers.telemetry()))
    }

    pub fn enriching_handler(
        &self,
        rules: &[FilterRuleConfig],
        aggregations: &[Aggregation],
        enrichers: Arc<EventEnrichers>,
    ) -> EventHandler {
        let ports = EventHandlerPorts { enrichers, ..self.handler_ports() };
        let aggregations =
            AggregationSet::new(aggregations, &self.measures, self.numbers.telemetry()).unwrap();
        EventHandler::new(ports, Arc::new(FilterSet::new(rules).unwrap()), Arc::new(aggregations))
    }

    /// A handler without rules that keeps `aggregations`.
    pub fn handler_of(&self, aggregations: Arc<AggregationSet>) -> EventHandler {
        EventHandler::new(self.handler_ports(), Arc::default(), aggregations)
    }

    fn handler_ports(&self) -> EventHandlerPorts {
        EventHandlerPorts {
            deduplicator: self.deduplicator.clone(),
            enrichers: Arc::default(),
            clock: self.clock.clone(),
        }
    }

    pub fn consumer(&self) -> LogConsumer {
        let limits = PollLimits { max_records: 100, max_bytes: 1 << 20, linger: Duration::from_millis(5) };
        LogConsumer {
            source: Arc::new(self.log.source(GROUP, LOG)),
            store: self.store.clone(),
            handler: Arc::new(self.handler()),
            clock: self.clock.clone(),
            status: Arc::new(ProcessStatus::new("events", LOG)),
            telemetry: self.numbers.telemetry(),
            config: ConsumerConfig { limits, backoff: BACKOFF, accept_lost: false },
        }
    }

    /// Runs `consumer` until every record of the log is in the ledger.
    pub async fn drain(&self, consumer: LogConsumer) {
        let running = Running::start(consumer);
        self.drained().await;
        running.stop().await.unwrap();
    }

    /// Waits until every record of the log is in the ledger.
    pub async fn drained(&self) {
        let logged = self.log.records(LOG).len() as u64;
        until("the ledger reaches the end of the log", async || {
            self.coverage().await.iter().map(|coverage| coverage.end).sum::<u64>() == logged
        })
        .await;
    }

    /// How the ledger covers each partition that has rows.
    pub async fn coverage(&self) -> Vec<Coverage> {
        let partitions = self.store.coverage(LOG).await.unwrap();
        partitions.into_iter().map(|partition| partition.coverage).collect()
    }

    /// What the ledger says of all records; checks that it balances and joins.
    pub async fn total(&self) -> OutcomeCounts {
        assert!(self.coverage().await.iter().all(Coverage::is_whole), "{:?}", self.coverage().await);
        self.counts(None).await
    }

    /// What the ledger says of the records of one project, or of all; checks that it balances.
    pub async fn counts(&self, project_id: Option<&ProjectId>) -> OutcomeCounts {
        let (from, to) = (Hour::from_index(i64::MIN), Hour::from_index(i64::MAX));
        let mut counts = OutcomeCounts::default();
        for balance in self.store.balances(project_id, from, to).await.unwrap() {
            counts.merge(&balance.counts);
        }
        assert!(counts.balances(), "{counts:?}");
        counts
    }

    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.store.dead_letters().list(None, 1_000).await.unwrap()
    }

    /// The ids of the stored events, as the factory numbers them, in order.
    pub fn stored(&self) -> Vec<u128> {
        let mut ids: Vec<u128> =
            self.store.events().iter().map(|event| event.event_id.as_uuid().as_u128()).collect();
        ids.sort_unstable();
        ids
    }
}

/// A consumer at work.
pub struct Running {
    pub status: Arc<ProcessStatus>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ProcessError>>,
}

impl Running {
    pub fn start(consumer: LogConsumer) -> Self {
        let (status, shutdown) = (consumer.status.clone(), CancellationToken::new());
        let token = shutdown.clone();
        Self { status, shutdown, task: tokio::spawn(async move { consumer.run(token).await }) }
    }

    pub async fn stop(self) -> Result<(), ProcessError> {
        self.shutdown.cancel();
        self.ended().await
    }

    /// What the consumer ends with, without being asked to.
    pub async fn ended(self) -> Result<(), ProcessError> {
        tokio::time::timeout(Duration::from_hours(1), self.task).await.expect("it ends").unwrap()
    }
}
