//! From the bytes of a request to records for the log: route, key, decode, validate, enrich, encode, answer.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use criterion::{Criterion, Throughput};
use gosight_application::access::Access;
use gosight_application::ingest::{Ingest, IngestPorts, IngestRules};
use gosight_application::ports::{KeyError, KeyValidator, LogError, RateLimits, Record, RecordLog};
use gosight_application::{LogSink, Telemetry, logs};
use gosight_domain::key::{Grant, PresentedKey, Scope};
use gosight_domain::{ProjectId, Timestamp};
use gosight_enrich::{EnrichConfig, Enricher, GeoIpConfig, testing};
use gosight_http::{HttpConfig, HttpPorts, router};
use gosight_memory::{ManualClock, MemoryAcceptedChunks, MemoryRateLimiter};
use gosight_performance::Comparison;
use http_body_util::BodyExt as _;
use metrics::NoopRecorder;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::input::{EVENTS_OF_A_REQUEST, requests};

const REQUESTS: usize = 50;
const USER_AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:159.0) Gecko/20100101 Firefox/159.0";
/// After the recordings.
const NOW: Timestamp = Timestamp::from_millis(1_795_250_000_000);

/// A log that takes everything and keeps nothing.
#[derive(Debug)]
struct NoLog;

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
pub(crate) fn door(log: Arc<dyn RecordLog>, places: &Path) -> Router {
    testing::write_test_database(places).expect("a database of places");
    let geoip = GeoIpConfig { database_path: Some(places.to_owned()), ..GeoIpConfig::default() };
    let clock = Arc::new(ManualClock::new(NOW));
    let telemetry = Telemetry::new(Arc::new(NoopRecorder));
    let plenty = u32::MAX.try_into().expect("not 0");
    let ports = IngestPorts {
        events: Arc::new(LogSink::new(log.clone(), logs::EVENTS)),
        log,
        chunks: Arc::new(MemoryAcceptedChunks::default()),
        limiter: Arc::new(MemoryRateLimiter::new(RateLimits { events_per_second: plenty, burst: plenty })),
        enricher: Arc::new(Enricher::new(&EnrichConfig { geoip, ..EnrichConfig::default() })),
        clock: clock.clone(),
    };
    let grant = Grant {
        key_id: uuid::Uuid::nil(),
        project_id: ProjectId::new("shop").expect("a name"),
        scopes: vec![Scope::Ingest],
    };
    let ports = HttpPorts {
        ingest: Some(Arc::new(Ingest::new(ports, IngestRules::default(), telemetry.clone()))),
        query: None,
        archiver: None,
        access: Access::new(Arc::new(AnyKey(grant))),
        clock,
        health: Vec::new(),
        processor: None,
        telemetry,
        render_metrics: Arc::new(String::new),
    };
    let config = HttpConfig {
        trusted_proxies: vec!["0.0.0.0/0".parse().expect("a network")],
        ..HttpConfig::default()
    };
    router(config, ports)
}

/// Sends `bodies` through `door`; all of their events have to be accepted.
pub(crate) async fn send(door: &Router, bodies: &[Bytes]) {
    for body in bodies {
        let request = Request::post("/v1/events")
            .header("X-Project-Key", "gs_test_bench")
            .header(header::USER_AGENT, USER_AGENT)
            .header("X-Forwarded-For", "192.0.2.44")
            .body(Body::from(body.clone()))
            .expect("a request");
        let answer = door.clone().oneshot(request).await.expect("an answer");
        let (status, body) =
            (answer.status(), answer.into_body().collect().await.expect("a body").to_bytes());
        assert_eq!(status.as_u16(), 200, "{}", String::from_utf8_lossy(&body));
    }
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let door = door(Arc::new(NoLog), &dir.path().join("places.mmdb"));
    let bodies: Vec<Bytes> = requests(REQUESTS).into_iter().map(Bytes::from).collect();
    let comparison = Comparison {
        name: "request to log records",
        throughput: Throughput::Elements((REQUESTS * EVENTS_OF_A_REQUEST) as u64),
        limit_name: "serde_json parse into a Value",
    };
    let ours = |iterations| {
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..iterations {
                send(&door, &bodies).await;
            }
            start.elapsed()
        })
    };
    comparison.run(criterion, ours, |iterations| parse(&bodies, iterations));
}

fn parse(bodies: &[Bytes], iterations: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..iterations {
        for body in bodies {
            black_box(serde_json::from_slice::<Value>(body).expect("JSON"));
        }
    }
    start.elapsed()
}
