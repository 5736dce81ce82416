//! Puts the parts together: adapters from settings, use cases from adapters.

use std::sync::Arc;

use gosight_application::access::Access;
use gosight_application::decorators::{CachedKeys, CountedKeys, FanOut, StoredChunks};
use gosight_application::ingest::{Ingest, IngestPorts};
use gosight_application::keys::StoredKeys;
use gosight_application::ports::{Clock, EventSink, EventSource, HealthCheck, LogEnds};
use gosight_application::process::LogConsumer;
use gosight_application::query::{Query, QueryPorts};
use gosight_application::replay::{Archiver, ColdReplays, Replays};
use gosight_application::{LogSink, Telemetry, logs};
use gosight_embedded::{DataDir, DirectoryArchive, Embedded, EmbeddedAccounts, EmbeddedLog, EmbeddedStore};
use gosight_enrich::Enricher;
use gosight_http::HttpPorts;
use gosight_memory::{MemoryAcceptedChunks, MemoryRateLimiter};
use gosight_runtime::Metrics;
use gosight_runtime::processing::{EVENT_PROCESSOR, ProcessingPorts, REPLAY_PROCESSOR, consumers};

use crate::config::Config;
use crate::running::StartError;

/// All parts of an instance, not running yet.
pub(crate) struct Parts {
    /// Held until everything that uses it is gone.
    pub data_dir: DataDir,
    pub log: Arc<EmbeddedLog>,
    pub store: Arc<EmbeddedStore>,
    pub accounts: EmbeddedAccounts,
    pub keys: Arc<CountedKeys>,
    pub enricher: Arc<Enricher>,
    pub ingest: Arc<Ingest>,
    pub query: Query,
    pub archiver: Arc<Archiver>,
    pub access: Access,
    pub consumers: Vec<LogConsumer>,
    pub http: HttpPorts,
    pub metrics: Metrics,
    pub telemetry: Telemetry,
    pub clock: Arc<dyn Clock>,
}

/// The logs that are processed, each with its group.
const PROCESSED_LOGS: [(&str, &str); 2] = [(logs::EVENTS, EVENT_PROCESSOR), (logs::REPLAY, REPLAY_PROCESSOR)];

/// The names of the logs that end up in the store.
pub(crate) fn processed_logs() -> [&'static str; 2] {
    PROCESSED_LOGS.map(|(name, _)| name)
}

pub(crate) async fn assemble(
    config: &Config,
    clock: Arc<dyn Clock>,
    extra_sinks: Vec<Arc<dyn EventSink>>,
) -> Result<Parts, StartError> {
    let metrics = Metrics::new().map_err(|error| StartError::Internal(error.into()))?;
    let telemetry = Telemetry::new(metrics.recorder());
    let data_dir = DataDir::open(&config.data_dir)?;
    let store_config = config.store.config(config);
    let Embedded { log, store } =
        Embedded::open(&data_dir, clock.clone(), config.log.config(), store_config, &processed_logs())
            .await?;
    let accounts = store.accounts();
    let stored_keys = Arc::new(StoredKeys::new(Arc::new(accounts.clone()), clock.clone()));
    let cached = CachedKeys::new(stored_keys, clock.clone(), config.keys.cache(), telemetry.clone());
    let keys = Arc::new(CountedKeys::new(Arc::new(cached), Arc::new(accounts.clone()), clock.clone()));
    let enricher = Arc::new(Enricher::new(&config.enrich));
    let access = Access::new(keys.clone());
    let cold = ColdReplays {
        catalogue: Arc::new(accounts.clone()),
        objects: Arc::new(DirectoryArchive::open(&data_dir.archive_path())?),
    };
    let replays = Replays::new(store.clone(), Some(cold.clone()));
    let accepted = Arc::new(MemoryAcceptedChunks::default());
    let ingest = Arc::new(Ingest::new(
        IngestPorts {
            events: event_sink(&log, extra_sinks),
            log: log.clone(),
            chunks: Arc::new(StoredChunks::new(accepted.clone(), replays.clone())),
            limiter: Arc::new(MemoryRateLimiter::new(config.rate_limit.limits()?)),
            enricher: enricher.clone(),
            clock: clock.clone(),
        },
        config.ingest_rules(),
        telemetry.clone(),
    ));
    let sources: Vec<Arc<dyn EventSource>> = PROCESSED_LOGS
        .into_iter()
        .map(|(name, group)| -> Arc<dyn EventSource> { Arc::new(log.source(group, name)) })
        .collect();
    let policy = config.archive.policy();
    let archiver = Archiver::new(store.clone(), cold, clock.clone(), policy, telemetry.clone());
    let archiver = Arc::new(archiver.forgetting(accepted));
    let query = Query::new(QueryPorts {
        events: store.clone(),
        sessions: store.clone(),
        rules: config.session_rules(),
        ledger: store.clone(),
        aggregates: store.clone(),
        replays: replays.clone(),
        logs: sources.iter().map(as_ends).collect(),
    });
    let ports = ProcessingPorts {
        sources: sources.clone(),
        store: store.clone(),
        deduplicator: store.deduplicator(),
        replays,
        profiles: Arc::new(accounts.clone()),
        clock: clock.clone(),
        telemetry: telemetry.clone(),
    };
    let (consumers, processor) = consumers(&config.process, &config.events, &config.session_rules(), &ports)?;
    let mut health: Vec<Arc<dyn HealthCheck>> = vec![log.clone(), store.clone(), enricher.clone()];
    for status in &processor.status {
        health.push(status.clone());
    }
    let for_rendering = metrics.clone();
    let http = HttpPorts {
        ingest: Some(ingest.clone()),
        query: Some(query.clone()),
        archiver: Some(archiver.clone()),
        access: access.clone(),
        clock: clock.clone(),
        health,
        processor: Some(processor),
        telemetry: telemetry.clone(),
        render_metrics: Arc::new(move || for_rendering.render()),
    };
    Ok(Parts {
        data_dir,
        log,
        store,
        accounts,
        keys,
        enricher,
        ingest,
        query,
        archiver,
        access,
        consumers,
        http,
        metrics,
        telemetry,
        clock,
    })
}

fn as_ends(source: &Arc<dyn EventSource>) -> Arc<dyn LogEnds> {
    source.clone()
}

fn event_sink(log: &Arc<EmbeddedLog>, extra_sinks: Vec<Arc<dyn EventSink>>) -> Arc<dyn EventSink> {
    let sink: Arc<dyn EventSink> = Arc::new(LogSink::new(log.clone(), logs::EVENTS));
    if extra_sinks.is_empty() {
        return sink;
    }
    Arc::new(FanOut::new([vec![sink], extra_sinks].concat()))
}
