//! The ingest surface, as benchmarks need it.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use gosight_application::access::Access;
use gosight_application::enrich::{ChosenEnricher, ClientEnrichers};
use gosight_application::ingest::{Ingest, IngestPorts, IngestRules};
use gosight_application::ports::{Clock, KeyError, KeyValidator, LogError, RateLimits, Record, RecordLog};
use gosight_application::{LogSink, Telemetry, logs};
use gosight_domain::key::{Grant, PresentedKey, Scope};
use gosight_domain::{ProjectId, Timestamp};
use gosight_enrich::{EnrichConfig, GeoIpConfig, PlaceEnricher, UserAgentEnricher, testing};
use gosight_http::{HttpConfig, HttpPorts, router};
use gosight_memory::{ManualClock, MemoryAcceptedChunks, MemoryProfiles, MemoryRateLimiter};
use http_body_util::BodyExt as _;
use metrics::NoopRecorder;
use tower::ServiceExt as _;

const USER_AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:159.0) Gecko/20100101 Firefox/159.0";
/// After the recordings.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_250_000_000);

/// A log that takes everything and keeps nothing.
#[derive(Debug)]
pub(crate) struct NoLog;

#[async_trait]
impl RecordLog for NoLog {
    async fn append(&self, _log: &str, records: Vec<Record>) -> Result<(), LogError> {
        black_box(records);
        Ok(())
    }
}

/// Every key may send.
#[derive(Debug)]
struct AnyKey(Grant);

#[async_trait]
impl KeyValidator for AnyKey {
    async fn validate(&self, _key: &PresentedKey) -> Result<Grant, KeyError> {
        Ok(self.0.clone())
    }
}

/// The ingest surface before `log`, with places from addresses.
pub(crate) fn ingest_api(log: Arc<dyn RecordLog>, places: &Path) -> Router {
    testing::write_test_database(places).expect("a database of places");
    let geoip = GeoIpConfig { database_path: Some(places.to_owned()), ..GeoIpConfig::default() };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
    let telemetry = Telemetry::new(Arc::new(NoopRecorder));
    let config = EnrichConfig { geoip, ..EnrichConfig::default() };
    let enrichers = vec![
        ChosenEnricher::new(Arc::new(UserAgentEnricher::new(config.user_agents))),
        ChosenEnricher::new(Arc::new(PlaceEnricher::new(&config))),
    ];
    let plenty = u32::MAX.try_into().expect("not 0");
    let ports = IngestPorts {
        events: Arc::new(LogSink::new(log.clone(), logs::EVENTS)),
        log,
        chunks: Arc::new(MemoryAcceptedChunks::default()),
        limiter: Arc::new(MemoryRateLimiter::new(RateLimits { events_per_second: plenty, burst: plenty })),
        enrichers: ClientEnrichers::new(enrichers, &clock, &telemetry),
        profiles: Arc::new(MemoryProfiles::default()),
        clock: clock.clone(),
    };
    let grant = Grant {
        key_id: uuid::Uuid::nil(),
        project_id: ProjectId::new("shop").expect("a name"),
        scopes: vec![Scope::Ingest],
        expires_at: None,
    };
    let config = HttpConfig {
        trusted_proxies: vec!["0.0.0.0/0".parse().expect("a network")],
        ..HttpConfig::default()
    };
    let ports = HttpPorts {
        ingest: Some(Arc::new(Ingest::new(ports, IngestRules::default(), telemetry.clone()))),
        query: None,
        archiver: None,
        dialects: Vec::new(),
        in_flight: config.in_flight(),
        access: Access::new(Arc::new(AnyKey(grant))),
        clock,
        health: Vec::new(),
        processor: None,
        telemetry,
        render_metrics: Arc::new(String::new),
    };
    router(config, ports)
}

/// Sends `bodies` to `path` of `api`, which has to take all of them.
pub(crate) async fn send(api: &Router, path: &str, bodies: &[Bytes]) {
    for body in bodies {
        let request = Request::post(path)
            .header("X-Project-Key", "gs_test_bench")
            .header(header::USER_AGENT, USER_AGENT)
            .header("X-Forwarded-For", "192.0.2.44")
            .body(Body::from(body.clone()))
            .expect("a request");
        let answer = api.clone().oneshot(request).await.expect("an answer");
        let (status, body) =
            (answer.status(), answer.into_body().collect().await.expect("a body").to_bytes());
        assert_eq!(status.as_u16(), 200, "{}", String::from_utf8_lossy(&body));
    }
}
