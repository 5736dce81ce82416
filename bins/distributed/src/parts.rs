//! Adapters from settings.

use std::sync::Arc;

use gosight_application::backoff::Backoff;
use gosight_application::decorators::{CachedKeys, CachedSessions, CountedKeys};
use gosight_application::keys::StoredKeys;
use gosight_application::ports::{Clock, DeadLetters, HealthCheck, LogEnds, PortError, SystemClock};
use gosight_application::process::{Stepped, SteppedPorts};
use gosight_application::replay::{Archiver, ColdReplays};
use gosight_application::{Telemetry, logs};
use gosight_clickhouse::ClickHouseStore;
use gosight_kafka::{KafkaDeadLetters, KafkaLog, KafkaLogEnds, TopicError, ensure_topics};
use gosight_memory::MemoryRateLimiter;
use gosight_postgres::PostgresAccounts;
use gosight_redis::{Redis, RedisAcceptedChunks, RedisRateLimiter, RedisSessionCache};
use gosight_runtime::Metrics;
use gosight_s3::S3ReplayArchive;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::limiter::SharedOrOwn;
use crate::node::NodeError;

/// What every process has.
pub(crate) struct Parts {
    pub accounts: Arc<PostgresAccounts>,
    pub keys: Arc<CountedKeys>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
    pub telemetry: Telemetry,
    /// Live state.
    pub redis: Redis,
    /// What readiness depends on.
    pub health: Vec<Arc<dyn HealthCheck>>,
    /// Once it was asked for.
    pub log: Option<Arc<KafkaLog>>,
    store: Option<Arc<ClickHouseStore>>,
    cold: Option<ColdReplays>,
}

impl Parts {
    pub async fn open(config: &Config, stop: &CancellationToken) -> Result<Self, NodeError> {
        let redis = Redis::new(&config.redis).map_err(|error| PortError::fatal("redis", error))?;
        let metrics = Metrics::new().map_err(|error| NodeError::Internal(error.into()))?;
        let telemetry = Telemetry::new(metrics.recorder());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let accounts = Arc::new(
            patiently(stop, "PostgreSQL", async || PostgresAccounts::connect(&config.postgres).await).await?,
        );
        let stored = Arc::new(StoredKeys::new(accounts.clone(), clock.clone()));
        let cached = CachedKeys::new(stored, clock.clone(), config.keys.cache(), telemetry.clone());
        let keys = Arc::new(CountedKeys::new(Arc::new(cached), accounts.clone(), clock.clone()));
        let health: Vec<Arc<dyn HealthCheck>> = vec![accounts.clone()];
        Ok(Self {
            accounts,
            keys,
            clock,
            metrics,
            telemetry,
            redis,
            health,
            log: None,
            store: None,
            cold: None,
        })
    }

    /// The log to write to, once its topics are there and sound.
    pub async fn log(
        &mut self,
        config: &Config,
        stop: &CancellationToken,
    ) -> Result<Arc<KafkaLog>, NodeError> {
        if let Some(log) = &self.log {
            return Ok(log.clone());
        }
        let log = Arc::new(KafkaLog::new(&config.kafka)?);
        patiently(stop, "Kafka", async || match ensure_topics(&config.kafka).await {
            Ok(ensured) => {
                if !ensured.created.is_empty() {
                    tracing::info!(topics = ?ensured.created, "topics were made");
                }
                Ok(())
            }
            Err(TopicError::Port(error)) => Err(error),
            Err(other) => Err(PortError::fatal("kafka", other)),
        })
        .await?;
        self.health.push(log.clone());
        self.log = Some(log.clone());
        Ok(log)
    }

    /// The analytics store.
    pub async fn store(
        &mut self,
        config: &Config,
        stop: &CancellationToken,
    ) -> Result<Arc<ClickHouseStore>, NodeError> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let store =
            patiently(stop, "ClickHouse", async || ClickHouseStore::connect(&config.clickhouse).await)
                .await?;
        let store = Arc::new(store);
        self.health.push(store.clone());
        self.store = Some(store.clone());
        Ok(store)
    }

    /// The archive of replays, if there is one.
    pub async fn cold(
        &mut self,
        config: &Config,
        stop: &CancellationToken,
    ) -> Result<Option<ColdReplays>, NodeError> {
        if self.cold.is_some() || !config.has_archive() {
            return Ok(self.cold.clone());
        }
        // Events and new replays do not wait for the archive, unless its bucket has to be made first.
        let objects = if config.s3.create_bucket {
            patiently(stop, "S3", async || S3ReplayArchive::connect(&config.s3).await).await?
        } else {
            S3ReplayArchive::open(&config.s3)?
        };
        let objects = Arc::new(objects);
        self.health.push(objects.clone());
        self.cold = Some(ColdReplays { catalogue: self.accounts.clone(), objects });
        Ok(self.cold.clone())
    }

    /// What moves replays to the archive, in processes that use the analytics store.
    pub async fn archiver(
        &mut self,
        config: &Config,
        stop: &CancellationToken,
    ) -> Result<Option<Arc<Archiver>>, NodeError> {
        let Some(store) = self.store.clone() else { return Ok(None) };
        let Some(cold) = self.cold(config, stop).await? else { return Ok(None) };
        let (clock, policy) = (self.clock.clone(), config.archive.policy());
        let archiver = Archiver::new(store, cold, clock, policy, self.telemetry.clone());
        Ok(Some(Arc::new(archiver.forgetting(Arc::new(RedisAcceptedChunks::new(self.redis.clone()))))))
    }

    /// Stores batches in `store` step by step, with live sessions in Redis.
    pub fn batches(&self, store: &Arc<ClickHouseStore>, dead_letters: Arc<dyn DeadLetters>) -> Arc<Stepped> {
        let cache = Arc::new(RedisSessionCache::new(self.redis.clone()));
        Arc::new(Stepped::new(SteppedPorts {
            ledger: store.clone(),
            events: store.clone(),
            sessions: Arc::new(CachedSessions::new(cache, store.clone())),
            aggregates: store.clone(),
            replays: store.clone(),
            dead_letters,
        }))
    }

    /// The limit at the door.
    pub fn limiter(&self, config: &Config) -> Result<Arc<SharedOrOwn>, NodeError> {
        let limits = config.rate_limit.limits()?;
        let shared = Arc::new(RedisRateLimiter::new(self.redis.clone(), limits));
        Ok(Arc::new(SharedOrOwn::new(shared, Arc::new(MemoryRateLimiter::new(limits)))))
    }
}

/// Records that were put aside.
pub(crate) fn dead_letters(config: &Config, log: &KafkaLog) -> Result<Arc<KafkaDeadLetters>, NodeError> {
    Ok(Arc::new(KafkaDeadLetters::new(&config.kafka, log)?))
}

/// How far the processed logs go.
pub(crate) fn log_ends(config: &Config) -> Result<Vec<Arc<dyn LogEnds>>, NodeError> {
    let ends = [logs::EVENTS, logs::REPLAY].map(|log| KafkaLogEnds::connect(&config.kafka, log));
    ends.into_iter().map(|ends| -> Result<Arc<dyn LogEnds>, NodeError> { Ok(Arc::new(ends?)) }).collect()
}

/// Sets how long the store keeps replay chunks, which is for their processor to say.
pub(crate) async fn keep_replays(config: &Config, stop: &CancellationToken) -> Result<(), NodeError> {
    patiently(stop, "ClickHouse", async || ClickHouseStore::keep_replays(&config.clickhouse).await).await
}

/// Waits for a server that is not there yet: processes and servers start in any order.
async fn patiently<T>(
    stop: &CancellationToken,
    server: &'static str,
    open: impl AsyncFn() -> Result<T, PortError>,
) -> Result<T, NodeError> {
    let mut backoff = Backoff::new(gosight_application::backoff::BackoffPolicy::default());
    loop {
        match open().await {
            Ok(opened) => return Ok(opened),
            Err(error) if error.is_transient() => {
                let wait = backoff.next_wait(error.retry_after());
                tracing::warn!(server, %error, ?wait, "not there yet, trying again");
                tokio::select! {
                    () = stop.cancelled() => return Err(NodeError::Stopped),
                    () = tokio::time::sleep(wait) => {}
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}
