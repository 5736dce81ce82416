//! One process: its parts put together by its role, running, and stopped in order.

use std::net::SocketAddr;
use std::sync::Arc;

use gosight_application::access::Access;
use gosight_application::ingest::{Ingest, IngestPorts};
use gosight_application::ports::{BoxError, EventSource, PortError};
use gosight_application::process::{LogConsumer, ProcessError};
use gosight_application::query::{Query, QueryPorts};
use gosight_application::{LogSink, logs};
use gosight_enrich::Enricher;
use gosight_http::{BindError, HttpPorts, HttpServer, ProcessorInfo};
use gosight_kafka::{KafkaLog, KafkaSource};
use gosight_runtime::bootstrap::{BootstrapError, BootstrapKeys, NewKeys, bootstrap};
use gosight_runtime::chores;
use gosight_runtime::processing::{EVENT_PROCESSOR, ProcessingPorts, REPLAY_PROCESSOR, consumers};
use gosight_runtime::settings::InvalidSetting;
use tokio::task::JoinSet;
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
    /// Processing failed for good.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The HTTP server failed.
    #[error("the HTTP server failed: {0}")]
    Http(std::io::Error),
    /// A part panicked.
    #[error("a part died: {0}")]
    Died(#[from] tokio::task::JoinError),
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
    doors: CancellationToken,
    workers: CancellationToken,
    front: JoinSet<Result<(), NodeError>>,
    back: JoinSet<Result<(), NodeError>>,
    chores: JoinSet<()>,
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
        let server = HttpServer::bind(config.http.clone(), ports)?;
        // Only the doors that people use make the first keys.
        let new_keys = match role {
            Role::Ingestor | Role::Api => bootstrap(&*parts.accounts, &*parts.clock, keys).await?,
            _ => None,
        };
        Ok(Self::run(parts, work, server, new_keys))
    }

    fn run(parts: Parts, work: Work, server: HttpServer, new_keys: Option<NewKeys>) -> Self {
        let (doors, workers) = (CancellationToken::new(), CancellationToken::new());
        let local_addr = server.local_addr();
        let mut front = JoinSet::new();
        let until = doors.clone();
        front.spawn(async move { server.run(until).await.map_err(NodeError::Http) });
        let mut back = JoinSet::new();
        for consumer in work.consumers.clone() {
            let until = workers.clone();
            back.spawn(async move { Ok(consumer.run(until).await?) });
        }
        let mut chores = JoinSet::new();
        chores.spawn(parts.metrics.upkeep(workers.clone()));
        chores.spawn(chores::record_key_usage(parts.keys, workers.clone()));
        if !work.consumers.is_empty() {
            chores.spawn(chores::measure_lag(work.consumers, parts.telemetry, workers.clone()));
        }
        if let Some(enricher) = work.enricher {
            chores.spawn(enricher.watch(workers.clone()));
        }
        Self { local_addr, new_keys, doors, workers, front, back, chores, log: work.log }
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
    pub async fn failed(&mut self) -> NodeError {
        loop {
            let ended = tokio::select! {
                Some(ended) = self.front.join_next() => ended,
                Some(ended) = self.back.join_next() => ended,
                else => std::future::pending().await,
            };
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(died) => return died.into(),
            }
        }
    }

    /// Stops: no new requests, requests in flight finish, workers finish the batch they are at.
    ///
    /// # Errors
    /// The first failure of a part; everything is stopped all the same.
    pub async fn stop(mut self) -> Result<(), NodeError> {
        self.doors.cancel();
        let front = finish(&mut self.front).await;
        self.workers.cancel();
        let back = finish(&mut self.back).await;
        while self.chores.join_next().await.is_some() {}
        let flushed = match self.log.take() {
            Some(log) => log.close().await.map_err(NodeError::from),
            None => Ok(()),
        };
        front.and(back).and(flushed)
    }
}

async fn finish(tasks: &mut JoinSet<Result<(), NodeError>>) -> Result<(), NodeError> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        result = result.and(ended.unwrap_or_else(|died| Err(died.into())));
    }
    result
}

async fn ingestor(config: &Config, parts: &mut Parts, stop: &CancellationToken) -> Result<Work, NodeError> {
    let log = parts.log(config, stop).await?;
    let enricher = Arc::new(Enricher::new(&config.enrich));
    parts.health.push(enricher.clone());
    let ports = IngestPorts {
        events: Arc::new(LogSink::new(log.clone(), logs::EVENTS)),
        log: log.clone(),
        limiter: parts::limiter(config, &parts::redis(config)?)?,
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
    let store = parts.store(config, Some(&redis), dead_letters, stop).await?;
    let source: Arc<dyn EventSource> = Arc::new(KafkaSource::join(&config.kafka, group, log_name)?);
    let ports = ProcessingPorts {
        sources: vec![source],
        store: store.clone(),
        deduplicator: parts::deduplicator(&redis, &store),
        replays: store.clone(),
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
    let log = parts.log(config, stop).await?;
    let dead_letters = parts::dead_letters(config, &log)?;
    let store = parts.store(config, None, dead_letters, stop).await?;
    let query = Query::new(QueryPorts {
        events: store.clone(),
        ledger: store.clone(),
        aggregates: store.clone(),
        replays: store,
        logs: parts::log_ends(config)?,
    });
    Ok(Work { query: Some(query), log: Some(log), ..Work::default() })
}
