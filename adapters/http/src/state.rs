use std::fmt;
use std::sync::Arc;

use axum::extract::FromRef;
use gosight_application::access::Access;
use gosight_application::ingest::Ingest;
use gosight_application::ports::{Clock, HealthCheck};
use gosight_application::process::ProcessorInfo;
use gosight_application::query::Query;
use gosight_application::replay::Archiver;
use gosight_application::surface::{Dialect, InFlightBudget, Receiver, ReplayLimits, TrustedProxies};
use gosight_application::{Pipeline, Telemetry};
use tokio_util::sync::CancellationToken;

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
    /// Wire formats besides those that are built in. One with a path of theirs takes its place.
    pub dialects: Vec<Arc<dyn Dialect>>,
    /// The memory that the requests of all surfaces share while they are in flight.
    pub in_flight: InFlightBudget,
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
            .field("dialects", &self.dialects)
            .field("access", &self.access)
            .field("clock", &self.clock)
            .field("health", &self.health)
            .field("processor", &self.processor)
            .finish_non_exhaustive()
    }
}

impl HttpPorts {
    /// The use cases of `pipeline`, with memory of `in_flight` for requests. `render_metrics` writes all numbers in the text format
    /// of Prometheus.
    pub fn of(
        pipeline: &Pipeline,
        in_flight: InFlightBudget,
        render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    ) -> Self {
        let Pipeline { ingest, query, archiver, access, clock, health, processor, telemetry, .. } =
            pipeline.clone();
        Self {
            ingest,
            query,
            archiver,
            dialects: Vec::new(),
            in_flight,
            access,
            clock,
            health,
            processor,
            telemetry,
            render_metrics,
        }
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
    /// Memory for requests in flight.
    pub in_flight: InFlightBudget,
    /// Whose word on the address of a client is believed.
    pub proxies: TrustedProxies,
    /// Cancelled once shutdown begins.
    pub draining: CancellationToken,
}

impl App {
    pub(crate) fn new(config: HttpConfig, ports: &HttpPorts) -> Arc<Self> {
        let proxies = TrustedProxies::new(config.trusted_proxies.clone());
        Arc::new(Self {
            config,
            access: ports.access.clone(),
            clock: ports.clock.clone(),
            health: ports.health.clone(),
            telemetry: ports.telemetry.clone(),
            in_flight: ports.in_flight.clone(),
            proxies,
            draining: CancellationToken::new(),
        })
    }
}

/// What the ingest routes need.
#[derive(Debug, Clone)]
pub(crate) struct IngestState {
    pub app: Arc<App>,
    pub receiver: Receiver,
}

impl IngestState {
    pub(crate) fn new(app: Arc<App>, ingest: Arc<Ingest>) -> Self {
        let limits = app.config.replay_limits();
        let replay = ReplayLimits { compressed: limits.body, decompressed: limits.decompressed };
        let receiver = Receiver::new(ingest, app.access.clone(), replay);
        Self { app, receiver }
    }
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
