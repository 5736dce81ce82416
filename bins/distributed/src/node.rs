//! One process: its parts put together by its role, running, and stopped in order.

use std::net::SocketAddr;
use std::sync::Arc;

use gosight_application::access::Access;
use gosight_application::ingest::{Ingest, IngestPorts};
use gosight_application::ports::{BoxError, EventSource, PortError};
use gosight_application::process::LogConsumer;
use gosight_application::query::{Query, QueryPorts};
use gosight_application::{LogSink, logs};
use gosight_enrich::Enricher;
use gosight_http::{BindError, HttpPorts, HttpServer, ProcessorInfo};
use gosight_kafka::{KafkaLog, KafkaSource};
use gosight_runtime::bootstrap::{BootstrapError, BootstrapKeys, NewKeys, bootstrap};
use gosight_runtime::processing::{EVENT_PROCESSOR, ProcessingPorts, REPLAY_PROCESSOR, consumers};
use gosight_runtime::settings::InvalidSetting;
use gosight_runtime::{RunError, Tasks, fit_connections};
use tokio_util::sync::CancellationToken;

use crate::Role;
use crate::config::Config;
use crate::parts::{self, Parts};

/// Why a process did not start or did not go on. Nothing that was acknowledged is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A setting cannot work.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// A server cannot be used as it is.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The port cannot be used.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The first project could not be made.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// It stopped in the middle.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Asked to stop before it had started.
    #[error("stopped before the servers were there")]
    Stopped,
    /// Something that should not happen.
    #[error(transparent)]
    Internal(BoxError),
}

/// What a role adds to the parts that every process has.
#[derive(Default)]
struct Work {
    ingest: Option<Arc<Ingest>>,
    query: Option<Query>,
    consumers: Vec<LogConsumer>,
    processor: Option<ProcessorInfo>,
    enricher: Option<Arc<Enricher>>,
    /// Flushed last.
    log: Option<Arc<KafkaLog>>,
}

/// A process that runs.
#[derive(Debug)]
pub struct Node {
    local_addr: SocketAddr,
    new_keys: Option<NewKeys>,
    tasks: Tasks,
    log: Option<Arc<KafkaLog>>,
}

impl Node {
    /// Connects to the servers, waiting for those that are not there yet, and starts to work.
    ///
    /// # Errors
    /// [`NodeError`] for what no waiting heals, and `Stopped` when `stop` is cancelled first.
    pub async fn start(
        role: Role,
        config: &Config,
        keys: &BootstrapKeys,
        stop: &CancellationToken,
    ) -> Result<Self, NodeError> {
        config.validate()?;
        let mut parts = Parts::open(config, stop).await?;
        let work = match role {
            Role::Ingestor => ingestor(config, &mut parts, stop).await?,
            Role::EventProcessor => {
                processor(config, &mut parts, logs::EVENTS, EVENT_PROCESSOR, stop).await?
            }
            Role::ReplayProcessor => {
                processor(config, &mut parts, logs::REPLAY, REPLAY_PROCESSOR, stop).await?
            }
            Role::Api => api(config, &mut parts, stop).await?,
        };
        let metrics = parts.metrics.clone();
        let ports = HttpPorts {
            ingest: work.ingest.clone(),
            query: work.query.clone(),
            access: Access::new(parts.keys.clone()),
            clock: parts.clock.clone(),
            health: parts.health.clone(),
            processor: work.processor.clone(),
            telemetry: parts.telemetry.clone(),
            render_metrics: Arc::new(move || metrics.render()),
        };
        let server = HttpServer::bind(fit_connections(config.http.clone()), ports)?;
        // Only the doors that people use make the first keys.
        let new_keys = match role {
            Role::Ingestor | Role::Api => bootstrap(&*parts.accounts, &*parts.clock, keys).await?,
            _ => None,
        };
        Ok(Self::run(parts, work, server, new_keys))
    }

    fn run(parts: Parts, work: Work, server: HttpServer, new_keys: Option<NewKeys>) -> Self {
        let local_addr = server.local_addr();
        let mut tasks =
            Tasks::start(Some(server), &work.consumers, parts.keys, parts.metrics, parts.telemetry);
        if let Some(enricher) = work.enricher {
            tasks.chore(|stop| enricher.watch(stop));
        }
        Self { local_addr, new_keys, tasks, log: work.log }
    }

    /// Address of the HTTP server, with the port that it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The keys that this start made, if it was the first of all.
    pub fn new_keys(&self) -> Option<&NewKeys> {
        self.new_keys.as_ref()
    }

    /// Waits until a part fails for good. Otherwise it never returns.
    pub async fn failed(&mut self) -> RunError {
        self.tasks.failed().await
    }

    /// Stops: no new requests, requests in flight finish, workers finish the batch they are at.
    ///
    /// # Errors
    /// The first failure of a part; everything is stopped all the same.
    pub async fn stop(self) -> Result<(), NodeError> {
        let stopped = self.tasks.stop().await;
        if let Some(log) = self.log {
            log.close().await?;
        }
        Ok(stopped?)
    }
}

async fn ingestor(config: &Config, parts: &mut Parts, stop: &CancellationToken) -> Result<Work, NodeError> {
    let log = parts.log(config, stop).await?;
    let enricher = Arc::new(Enricher::new(&config.enrich));
    parts.health.push(enricher.clone());
    let limiter = parts::limiter(config, &parts::redis(config)?)?;
    parts.health.push(limiter.clone());
    let ports = IngestPorts {
        events: Arc::new(LogSink::new(log.clone(), logs::EVENTS)),
        log: log.clone(),
        limiter,
        enricher: enricher.clone(),
        clock: parts.clock.clone(),
    };
    let ingest = Arc::new(Ingest::new(ports, config.ingest_rules(), parts.telemetry.clone()));
    Ok(Work { ingest: Some(ingest), enricher: Some(enricher), log: Some(log), ..Work::default() })
}

async fn processor(
    config: &Config,
    parts: &mut Parts,
    log_name: &str,
    group: &str,
    stop: &CancellationToken,
) -> Result<Work, NodeError> {
    let log = parts.log(config, stop).await?;
    let redis = parts::redis(config)?;
    let dead_letters = parts::dead_letters(config, &log)?;
    let store = parts.store(config, stop).await?;
    let source: Arc<dyn EventSource> = Arc::new(KafkaSource::join(&config.kafka, group, log_name)?);
    let ports = ProcessingPorts {
        sources: vec![source],
        store: parts::writer(&store, &redis, dead_letters),
        deduplicator: parts::deduplicator(&redis, &store),
        replays: store,
        profiles: parts.accounts.clone(),
        clock: parts.clock.clone(),
        telemetry: parts.telemetry.clone(),
    };
    let (consumers, processor) = consumers(&config.process, &ports)?;
    for status in &processor.status {
        parts.health.push(status.clone());
    }
    Ok(Work { consumers, processor: Some(processor), log: Some(log), ..Work::default() })
}

async fn api(config: &Config, parts: &mut Parts, stop: &CancellationToken) -> Result<Work, NodeError> {
    let store = parts.store(config, stop).await?;
    let query = Query::new(QueryPorts {
        events: store.clone(),
        ledger: store.clone(),
        aggregates: store.clone(),
        replays: store,
        logs: parts::log_ends(config)?,
    });
    Ok(Work { query: Some(query), ..Work::default() })
}
