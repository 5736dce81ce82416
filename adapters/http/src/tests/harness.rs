//! The surface over the fakes, and what it answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use gosight_application::Telemetry;
use gosight_application::access::Access;
use gosight_application::enrich::{ChosenEnricher, ClientEnrichers};
use gosight_application::ingest::{Ingest, IngestPorts, IngestRules};
use gosight_application::ports::{AcceptedChunks, Clock, HealthCheck, RateDecision};
use gosight_application::process::filter::FilterSet;
use gosight_application::process::{EnrichmentInfo, ProcessStatus, ProcessorInfo};
use gosight_application::query::{Query, QueryPorts};
use gosight_application::replay::{ArchivePolicy, Archiver, ColdReplays, Replays};
use gosight_application::sessions::SessionRules;
use gosight_memory::{MemoryAcceptedChunks, MemoryProfiles, MemoryReplayArchive, MemoryReplayCatalogue};
use http_body_util::BodyExt as _;
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::Value;
use tower::ServiceExt as _;

use super::fake_store::Store;
use super::fakes::{Enricher, FakeKeys, FixedClock, Limiter, LogEnd, Sink, SinkMode};
use crate::{HttpConfig, HttpPorts, router};

/// What a test can set before it builds the surface.
#[derive(Debug)]
pub(super) struct Setup {
    pub config: HttpConfig,
    pub sink: SinkMode,
    pub chunks: Arc<dyn AcceptedChunks>,
    pub profiles: Arc<MemoryProfiles>,
    pub limit: RateDecision,
    pub rules: IngestRules,
    pub store: Store,
    pub health: Vec<Arc<dyn HealthCheck>>,
    pub filters: FilterSet,
    pub log_ends: Vec<(u32, u64)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: HttpConfig::default(),
            sink: SinkMode::default(),
            chunks: Arc::new(MemoryAcceptedChunks::default()),
            profiles: Arc::default(),
            limit: RateDecision::Allowed,
            rules: IngestRules::default(),
            store: Store::default(),
            health: Vec::new(),
            filters: FilterSet::default(),
            log_ends: Vec::new(),
        }
    }
}

/// The surface and what stands behind it.
pub(super) struct Harness {
    pub config: HttpConfig,
    pub ports: HttpPorts,
    pub sink: Arc<Sink>,
    pub enricher: Arc<Enricher>,
    pub store: Arc<Store>,
    pub objects: Arc<MemoryReplayArchive>,
    pub recorder: Arc<Counts>,
}

impl Setup {
    pub(super) fn build(self) -> Harness {
        let sink = Arc::new(Sink { mode: self.sink, ..Sink::default() });
        let enricher = Arc::new(Enricher::default());
        let store = Arc::new(self.store);
        let recorder = Arc::new(Counts::default());
        let telemetry = Telemetry::new(Arc::new(Shared(recorder.clone())));
        let clock: Arc<dyn Clock> = Arc::new(FixedClock);
        let clients = vec![ChosenEnricher::new(enricher.clone())];
        let clients = ClientEnrichers::new(clients, &clock, &telemetry);
        let ingest_ports = IngestPorts {
            events: sink.clone(),
            log: sink.clone(),
            chunks: self.chunks,
            limiter: Arc::new(Limiter(self.limit)),
            enrichers: clients.clone(),
            profiles: self.profiles,
            clock,
        };
        let objects = Arc::new(MemoryReplayArchive::default());
        let cold =
            ColdReplays { catalogue: Arc::new(MemoryReplayCatalogue::default()), objects: objects.clone() };
        let replays = Replays::new(store.clone(), Some(cold.clone()));
        let policy = ArchivePolicy { grace: Duration::ZERO, ..ArchivePolicy::default() };
        let archiver = Archiver::new(store.clone(), cold, Arc::new(FixedClock), policy, telemetry.clone());
        let query = Query::new(QueryPorts {
            events: store.clone(),
            sessions: store.clone(),
            rules: SessionRules::default(),
            ledger: store.clone(),
            aggregates: store.clone(),
            replays,
            logs: vec![Arc::new(LogEnd { name: "events".into(), ends: self.log_ends })],
        });
        let processor = ProcessorInfo {
            status: vec![Arc::new(ProcessStatus::new("events", "gosight.events.raw"))],
            filters: Arc::new(self.filters),
            aggregations: Arc::new(BTreeMap::from([("hourly".into(), 3_600_000), ("a".into(), 86_400_000)])),
            enrichment: EnrichmentInfo { events: Arc::default(), clients, profiles: Some(Arc::default()) },
            skipped_measures: Arc::default(),
        };
        let ports = HttpPorts {
            ingest: Some(Arc::new(Ingest::new(ingest_ports, self.rules, telemetry.clone()))),
            query: Some(query),
            archiver: Some(Arc::new(archiver)),
            dialects: Vec::new(),
            in_flight: self.config.in_flight(),
            access: Access::new(Arc::new(FakeKeys)),
            clock: Arc::new(FixedClock),
            health: self.health,
            processor: Some(processor),
            telemetry,
            render_metrics: Arc::new(|| "events_accepted_total 7\n".to_owned()),
        };
        Harness { config: self.config, ports, sink, enricher, store, objects, recorder }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and code of an error.
    pub(super) fn error(&self) -> (u16, String) {
        let code = self.json()["error"]["code"].as_str().unwrap_or("(no code)").to_owned();
        (self.status.as_u16(), code)
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Harness {
    pub(super) fn new() -> Self {
        Setup::default().build()
    }

    pub(super) fn router(&self) -> Router {
        router(self.config.clone(), self.ports.clone())
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        send(self.router(), request).await
    }

    pub(super) async fn get(&self, uri: &str) -> Answer {
        self.send(get(uri).body(Body::empty()).unwrap()).await
    }

    /// Asks with a key of scope `admin`.
    pub(super) async fn get_as_admin(&self, uri: &str) -> Answer {
        self.send(Request::get(uri).header("X-Project-Key", "admin").body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post(&self, uri: &str, body: impl Into<Body>) -> Answer {
        self.send(post(uri).body(body.into()).unwrap()).await
    }
}

pub(super) async fn send(router: Router, request: Request<Body>) -> Answer {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A question with a key that may read.
pub(super) fn get(uri: &str) -> Builder {
    Request::get(uri).header("X-Project-Key", "read")
}

/// A request with a key that may send, from an address of the documentation range.
pub(super) fn post(uri: &str) -> Builder {
    Request::post(uri)
        .header("X-Project-Key", "ingest")
        .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 4711))))
}

/// Counts what is counted.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<String, u64>>);

impl Counts {
    /// The count of a metric with labels such as `route=/health,status=200`.
    pub(super) fn of(&self, metric: &str, labels: &str) -> u64 {
        self.0.lock().unwrap().get(&format!("{metric}{{{labels}}}")).copied().unwrap_or_default()
    }
}

struct Cell {
    counts: Arc<Counts>,
    key: String,
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        *self.counts.0.lock().unwrap().entry(self.key.clone()).or_default() += value;
    }

    fn absolute(&self, _: u64) {}
}

/// A recorder is asked by reference, and a counter needs to own what it counts in.
#[derive(Debug)]
struct Shared(Arc<Counts>);

impl Recorder for Shared {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let key = format!("{}{{{}}}", key.name(), labels.join(","));
        Counter::from_arc(Arc::new(Cell { counts: self.0.clone(), key }))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
