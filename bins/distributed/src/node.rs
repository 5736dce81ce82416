//! One process: its parts put together by its role, running, and stopped in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gosight_application::access::Access;
use gosight_application::ingest::{Ingest, IngestPorts};
use gosight_application::keys::{BootstrapError, BootstrapKeys, NewKeys, bootstrap};
use gosight_application::ports::{BoxError, EventSource, HealthCheck, PortError};
use gosight_application::process::LogConsumer;
use gosight_application::query::{Query, QueryPorts};
use gosight_application::replay::{Archiver, Replays};
use gosight_application::{LogSink, logs};
use gosight_enrich::Enricher;
use gosight_http::{BindError, HttpPorts, HttpServer, ProcessorInfo};
use gosight_kafka::{KafkaLog, KafkaSource};
use gosight_redis::{RedisAcceptedChunks, RedisDeduplicator};
use gosight_runtime::chores;
use gosight_runtime::processing::{ProcessingPorts, consumers};
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
    /// Whether it looks for old replays.
    archives: bool,
}

/// A process that runs.
#[derive(Debug)]
pub struct Node {
    local_addr: SocketAddr,
    new_keys: Option<NewKeys>,
    tasks: Tasks,
    /// Flushed last.
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
        let mut work = Work::default();
        if role.takes() {
            take(&mut work, config, &mut parts, stop).await?;
        }
        if !role.logs().is_empty() {
            process(&mut work, config, &mut parts, role.logs(), stop).await?;
        }
        if role.answers() {
            answer(&mut work, config, &mut parts, stop).await?;
        }
        let archiver = parts.archiver(config, stop).await?;
        let metrics = parts.metrics.clone();
        let ports = HttpPorts {
            ingest: work.ingest.clone(),
            query: work.query.clone(),
            archiver: archiver.clone(),
            access: Access::new(parts.keys.clone()),
            clock: parts.clock.clone(),
            health: parts.health.clone(),
            processor: work.processor.clone(),
            telemetry: parts.telemetry.clone(),
            render_metrics: Arc::new(move || metrics.render()),
        };
        let server = HttpServer::bind(fit_connections(config.http.clone()), ports)?;
        // Only the doors that people use make the first keys.
        let new_keys = if role.takes() || role.answers() {
            bootstrap(&*parts.accounts, &*parts.clock, keys).await?
        } else {
            None
        };
        let archiving = (archiver, config.archive.interval);
        Ok(Self::run(parts, work, server, new_keys, archiving))
    }

    fn run(
        parts: Parts,
        work: Work,
        server: HttpServer,
        new_keys: Option<NewKeys>,
        (archiver, interval): (Option<Arc<Archiver>>, Duration),
    ) -> Self {
        let local_addr = server.local_addr();
        let archiver = archiver.filter(|_| work.archives);
        let mut tasks =
            Tasks::start(Some(server), &work.consumers, parts.keys, parts.metrics, parts.telemetry);
        if let Some(enricher) = work.enricher {
            tasks.chore(|stop| enricher.watch(stop));
        }
        if let Some(archiver) = archiver {
            tasks.chore(|stop| chores::archive_replays(archiver, interval, stop));
        }
        Self { local_addr, new_keys, tasks, log: parts.log }
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

/// Adds what takes events and chunks to `work`.
async fn take(
    work: &mut Work,
    config: &Config,
    parts: &mut Parts,
    stop: &CancellationToken,
) -> Result<(), NodeError> {
    let log = parts.log(config, stop).await?;
    let enricher = Arc::new(Enricher::new(&config.enrich));
    let limiter = parts.limiter(config)?;
    parts.health.extend([enricher.clone() as Arc<dyn HealthCheck>, limiter.clone()]);
    let ports = IngestPorts {
        events: Arc::new(LogSink::new(log.clone(), logs::EVENTS)),
        log,
        chunks: Arc::new(RedisAcceptedChunks::new(parts.redis.clone())),
        limiter,
        enricher: enricher.clone(),
        clock: parts.clock.clone(),
    };
    work.ingest = Some(Arc::new(Ingest::new(ports, config.ingest_rules(), parts.telemetry.clone())));
    work.enricher = Some(enricher);
    Ok(())
}

/// Adds what processes the logs called `names`.
async fn process(
    work: &mut Work,
    config: &Config,
    parts: &mut Parts,
    names: &[(&str, &str)],
    stop: &CancellationToken,
) -> Result<(), NodeError> {
    let log = parts.log(config, stop).await?;
    let store = parts.store(config, stop).await?;
    if names.iter().any(|(name, _)| *name == logs::REPLAY) {
        parts::keep_replays(config, stop).await?;
    }
    let join = |(name, group): &(&str, &str)| -> Result<Arc<dyn EventSource>, NodeError> {
        Ok(Arc::new(KafkaSource::join(&config.kafka, group, name)?))
    };
    let ports = ProcessingPorts {
        sources: names.iter().map(join).collect::<Result<_, _>>()?,
        store: parts.batches(&store, parts::dead_letters(config, &log)?),
        deduplicator: Arc::new(RedisDeduplicator::new(parts.redis.clone(), store.clone())),
        replays: Replays::new(store.clone(), parts.cold(config, stop).await?),
        profiles: parts.accounts.clone(),
        clock: parts.clock.clone(),
        telemetry: parts.telemetry.clone(),
    };
    let (consumers, processor) = consumers(&config.process, &config.events, &config.session_rules(), &ports)?;
    for status in &processor.status {
        parts.health.push(status.clone());
    }
    work.archives = config.archive.enabled && names.iter().any(|(name, _)| *name == logs::REPLAY);
    work.consumers = consumers;
    work.processor = Some(processor);
    Ok(())
}

/// Adds what answers questions.
async fn answer(
    work: &mut Work,
    config: &Config,
    parts: &mut Parts,
    stop: &CancellationToken,
) -> Result<(), NodeError> {
    let store = parts.store(config, stop).await?;
    work.query = Some(Query::new(QueryPorts {
        events: store.clone(),
        sessions: store.clone(),
        rules: config.session_rules(),
        ledger: store.clone(),
        aggregates: store.clone(),
        replays: Replays::new(store.clone(), parts.cold(config, stop).await?),
        logs: parts::log_ends(config)?,
    }));
    Ok(())
}
