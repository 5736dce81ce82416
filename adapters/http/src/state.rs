use std::fmt;
use std::sync::Arc;

use axum::extract::FromRef;
use gosight_application::access::Access;
use gosight_application::ingest::Ingest;
use gosight_application::ports::{Clock, HealthCheck};
use gosight_application::process::ProcessorInfo;
use gosight_application::query::Query;
use gosight_application::replay::Archiver;
use gosight_application::{Pipeline, Telemetry};
use tokio_util::sync::CancellationToken;

use crate::budget::MemoryBudget;
use crate::config::HttpConfig;

/// What the HTTP surface is made of. A use case that is not there has no routes.
#[derive(Clone)]
pub struct HttpPorts {
    /// Takes events and replay chunks.
    pub ingest: Option<Arc<Ingest>>,
    /// Answers questions.
    pub query: Option<Query>,
    /// Archives, verifies and deletes replays.
    pub archiver: Option<Arc<Archiver>>,
    /// Checks keys.
    pub access: Access,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What readiness depends on.
    pub health: Vec<Arc<dyn HealthCheck>>,
    /// The processors of this process.
    pub processor: Option<ProcessorInfo>,
    /// Where numbers go.
    pub telemetry: Telemetry,
    /// Writes all numbers in the text format of Prometheus.
    pub render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl fmt::Debug for HttpPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPorts")
            .field("ingest", &self.ingest)
            .field("query", &self.query)
            .field("archiver", &self.archiver)
            .field("access", &self.access)
            .field("clock", &self.clock)
            .field("health", &self.health)
            .field("processor", &self.processor)
            .finish_non_exhaustive()
    }
}

impl HttpPorts {
    /// The use cases of `pipeline`. `render_metrics` writes all numbers in the text format of Prometheus.
    pub fn of(pipeline: &Pipeline, render_metrics: Arc<dyn Fn() -> String + Send + Sync>) -> Self {
        let Pipeline { ingest, query, archiver, access, clock, health, processor, telemetry, .. } =
            pipeline.clone();
        Self { ingest, query, archiver, access, clock, health, processor, telemetry, render_metrics }
    }
}

/// What all routes share.
#[derive(Debug)]
pub(crate) struct App {
    pub config: HttpConfig,
    pub access: Access,
    pub clock: Arc<dyn Clock>,
    pub health: Vec<Arc<dyn HealthCheck>>,
    pub telemetry: Telemetry,
    /// Memory for the bodies of requests in flight.
    pub budget: MemoryBudget,
    /// Cancelled once the server is told to stop.
    pub draining: CancellationToken,
}

impl App {
    pub(crate) fn new(config: HttpConfig, ports: &HttpPorts) -> Arc<Self> {
        let budget = MemoryBudget::new(config.max_inflight_body_bytes, config.overload_wait);
        Arc::new(Self {
            config,
            access: ports.access.clone(),
            clock: ports.clock.clone(),
            health: ports.health.clone(),
            telemetry: ports.telemetry.clone(),
            budget,
            draining: CancellationToken::new(),
        })
    }
}

/// What the ingest routes need.
#[derive(Debug, Clone)]
pub(crate) struct IngestState {
    pub app: Arc<App>,
    pub ingest: Arc<Ingest>,
}

/// What the read routes need.
#[derive(Debug, Clone)]
pub(crate) struct ReadState {
    pub app: Arc<App>,
    pub query: Query,
    /// `None` where nothing is processed.
    pub processor: Option<ProcessorInfo>,
}

/// What the processor routes need.
#[derive(Debug, Clone)]
pub(crate) struct ProcessorState {
    pub app: Arc<App>,
    pub processor: ProcessorInfo,
}

/// What the routes of operators need.
#[derive(Debug, Clone)]
pub(crate) struct ArchiveState {
    pub app: Arc<App>,
    pub archiver: Arc<Archiver>,
}

impl FromRef<ArchiveState> for Access {
    fn from_ref(state: &ArchiveState) -> Self {
        state.app.access.clone()
    }
}

impl FromRef<ReadState> for Access {
    fn from_ref(state: &ReadState) -> Self {
        state.app.access.clone()
    }
}

impl FromRef<ProcessorState> for Access {
    fn from_ref(state: &ProcessorState) -> Self {
        state.app.access.clone()
    }
}
