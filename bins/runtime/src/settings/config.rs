use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use gosight_application::pipeline::PipelineSettings;
use gosight_application::sessions::SessionRules;
#[cfg(feature = "clickhouse")]
use gosight_clickhouse::ClickHouseConfig;
use gosight_domain::insight::InsightThresholds;
use gosight_enrich::EnrichConfig;
use gosight_http::HttpConfig;
#[cfg(feature = "kafka")]
use gosight_kafka::KafkaConfig;
#[cfg(feature = "postgres")]
use gosight_postgres::PostgresConfig;
#[cfg(feature = "redis")]
use gosight_redis::RedisConfig;
#[cfg(feature = "s3")]
use gosight_s3::S3Config;
use serde::{Deserialize, Serialize};

use super::backends::{
    AccountSettings, AccountsBackend, ArchiveBackend, Backends, LogBackend, StateBackend, StateSettings,
    StoreBackend,
};
use super::{
    ArchiveSettings, EventSettings, IngestSettings, InvalidSetting, KeySettings, LogSettings,
    ProcessSettings, RateLimitSettings, ReplaySettings, StoreSettings, ingest_rules,
};
use crate::logs::LogsConfig;

/// All settings. Each process uses those of what it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Directory of everything whose backend is `embedded` or `directory`.
    pub data_dir: PathBuf,
    /// The HTTP surface; processors answer `/health`, `/ready` and `/metrics` there.
    pub http: HttpConfig,
    /// What events may be.
    pub events: EventSettings,
    /// What replay chunks may be.
    pub replay: ReplaySettings,
    /// How much a project may send.
    pub rate_limit: RateLimitSettings,
    /// How keys are checked.
    pub keys: KeySettings,
    /// What happens to events while they are taken in.
    pub ingest: IngestSettings,
    /// What user agents and addresses mean.
    pub enrich: EnrichConfig,
    /// The event log.
    pub log: LogSettings,
    /// The store.
    pub store: StoreSettings,
    /// Projects, keys and profiles.
    pub accounts: AccountSettings,
    /// Live state.
    pub state: StateSettings,
    /// How the log is processed.
    pub process: ProcessSettings,
    /// When replays are archived, and for how long.
    pub archive: ArchiveSettings,
    /// When sessions show insights.
    pub insights: InsightThresholds,
    /// Kafka, for `log.backend: kafka`.
    #[cfg(feature = "kafka")]
    pub kafka: KafkaConfig,
    /// `ClickHouse`, for `store.backend: clickhouse`.
    #[cfg(feature = "clickhouse")]
    pub clickhouse: ClickHouseConfig,
    /// Redis, for `state.backend: redis`.
    #[cfg(feature = "redis")]
    pub redis: RedisConfig,
    /// `PostgreSQL`, for `accounts.backend: postgres`.
    #[cfg(feature = "postgres")]
    pub postgres: PostgresConfig,
    /// S3, for `archive.backend: s3`. Archived replays are read from there once there is an access key, and move there
    /// while `archive.enabled` is true.
    #[cfg(feature = "s3")]
    pub s3: S3Config,
    /// The process's own logs.
    pub logs: LogsConfig,
}

impl Default for Config {
    /// Everything in the directory `gosight-data`.
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("gosight-data"),
            http: HttpConfig::default(),
            events: EventSettings::default(),
            replay: ReplaySettings::default(),
            rate_limit: RateLimitSettings::default(),
            keys: KeySettings::default(),
            ingest: IngestSettings::default(),
            enrich: EnrichConfig::default(),
            log: LogSettings::default(),
            store: StoreSettings::default(),
            accounts: AccountSettings::default(),
            state: StateSettings::default(),
            process: ProcessSettings::default(),
            archive: ArchiveSettings::default(),
            insights: InsightThresholds::default(),
            #[cfg(feature = "kafka")]
            kafka: KafkaConfig::default(),
            #[cfg(feature = "clickhouse")]
            clickhouse: ClickHouseConfig::default(),
            #[cfg(feature = "redis")]
            redis: RedisConfig::default(),
            #[cfg(feature = "postgres")]
            postgres: PostgresConfig::default(),
            #[cfg(feature = "s3")]
            s3: S3Config::default(),
            logs: LogsConfig::default(),
        }
    }
}

/// Longer than any duration has to be, and short enough to be added to any time.
const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

impl Config {
    /// The defaults of what runs on servers: all of them on this machine, and no archive.
    pub fn on_servers() -> Self {
        Self {
            log: LogSettings { backend: LogBackend::Kafka, ..LogSettings::default() },
            store: StoreSettings { backend: StoreBackend::Clickhouse, ..StoreSettings::default() },
            accounts: AccountSettings { backend: AccountsBackend::Postgres },
            state: StateSettings { backend: StateBackend::Redis },
            archive: ArchiveSettings {
                backend: ArchiveBackend::S3,
                enabled: false,
                ..ArchiveSettings::default()
            },
            ..Self::default()
        }
    }

    /// Checks everything that can be checked without touching anything. `is_shared` where other processes do a part of
    /// the work.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first that cannot work.
    pub fn validate(&self, is_shared: bool) -> Result<(), InvalidSetting> {
        self.backends().check(is_shared)?;
        self.http
            .validate()
            .map_err(|error| InvalidSetting::new(format!("http.{}", error.key), error.reason))?;
        self.events.validate()?;
        self.rate_limit.limits()?;
        #[cfg(feature = "embedded")]
        self.log.validate()?;
        self.ingest.validate()?;
        self.process.validate()?;
        self.replay.validate()?;
        self.archive.validate()?;
        self.logs.validate()?;
        if self.backends().use_directory() && self.data_dir.as_os_str().is_empty() {
            return Err(InvalidSetting::new("data_dir", "must not be empty"));
        }
        self.validate_servers()?;
        self.validate_durations()
    }

    /// The servers that are used. What is not used may be anything.
    #[cfg_attr(
        not(any(
            feature = "kafka",
            feature = "clickhouse",
            feature = "redis",
            feature = "postgres",
            feature = "s3"
        )),
        expect(clippy::unused_self, reason = "there are no servers in this build")
    )]
    fn validate_servers(&self) -> Result<(), InvalidSetting> {
        #[cfg(feature = "kafka")]
        if self.log.backend == LogBackend::Kafka {
            self.kafka.validate().map_err(|error| in_section("kafka", &error.key, error.reason))?;
        }
        #[cfg(feature = "clickhouse")]
        if self.store.backend == StoreBackend::Clickhouse {
            self.clickhouse.validate().map_err(|error| in_section("clickhouse", error.key, error.reason))?;
            if self.backends().archive.is_some() && self.clickhouse.replay_retention_days > 0 {
                let reason = "must be 0 with an archive: replays would be deleted, archived or not";
                return Err(in_section("clickhouse", "replay_retention_days", reason.to_owned()));
            }
        }
        #[cfg(feature = "redis")]
        if self.state.backend == StateBackend::Redis {
            self.redis.validate().map_err(|error| in_section("redis", error.key, error.reason))?;
        }
        #[cfg(feature = "postgres")]
        if self.accounts.backend == AccountsBackend::Postgres {
            self.postgres.validate().map_err(|error| in_section("postgres", error.key, error.reason))?;
        }
        #[cfg(feature = "s3")]
        if self.backends().archive == Some(ArchiveBackend::S3) {
            self.s3.validate().map_err(|error| in_section("s3", error.key, error.reason))?;
        }
        Ok(())
    }

    /// No part of this can count on without end.
    fn validate_durations(&self) -> Result<(), InvalidSetting> {
        let Self { http, events, keys, enrich, process, archive, .. } = self;
        let durations = [
            ("http.overload_wait", http.overload_wait),
            ("http.body_timeout", http.body_timeout),
            ("http.body_stall_timeout", http.body_stall_timeout),
            ("http.write_timeout", http.write_timeout),
            ("http.header_timeout", http.header_timeout),
            ("http.drain_timeout", http.drain_timeout),
            ("http.readiness_timeout", http.readiness_timeout),
            ("events.max_future", events.max_future),
            ("events.max_age", events.max_age),
            ("events.skew_tolerance", events.skew_tolerance),
            ("keys.cache_life", keys.cache_life),
            ("enrich.geoip.reload_interval", enrich.geoip.reload_interval),
            #[cfg(feature = "embedded")]
            ("log.retain_for", self.log.retain_for),
            #[cfg(feature = "embedded")]
            ("store.ledger_detail", self.store.ledger_detail),
            ("process.events.linger", process.events.linger),
            ("process.replay.linger", process.replay.linger),
            ("process.backoff_initial", process.backoff_initial),
            ("process.backoff_max", process.backoff_max),
            ("process.profiles.cache_life", process.profiles.cache_life),
            ("archive.interval", archive.interval),
            ("archive.hot_retention", archive.hot_retention),
            ("archive.cold_retention", archive.cold_retention),
            ("archive.grace", archive.grace),
            ("archive.lease", archive.lease),
        ];
        match durations.into_iter().find(|(_, duration)| *duration > LONGEST) {
            Some((key, _)) => Err(InvalidSetting::new(key, "must be at most 100years")),
            None => Ok(()),
        }
    }

    /// The backends that are chosen.
    pub(crate) fn backends(&self) -> Backends {
        #[cfg(feature = "s3")]
        let is_readable = !self.s3.access_key.is_empty();
        #[cfg(not(feature = "s3"))]
        let is_readable = false;
        let backend = self.archive.backend;
        let has_archive = self.archive.enabled || is_readable || backend == ArchiveBackend::Directory;
        Backends {
            log: self.log.backend,
            store: self.store.backend,
            accounts: self.accounts.backend,
            archive: has_archive.then_some(backend),
            state: self.state.backend,
        }
    }

    /// How the pipeline works.
    ///
    /// # Errors
    /// [`InvalidSetting`] for a filter rule or an aggregation that is none.
    pub fn pipeline(&self) -> Result<PipelineSettings, InvalidSetting> {
        let Self { process, events, archive, .. } = self;
        Ok(PipelineSettings {
            ingest: ingest_rules(events, &self.replay, self.max_record()),
            sessions: SessionRules::new(self.insights.clone()),
            events: process.consumer(&process.events),
            replay: process.consumer(&process.replay),
            max_event_record_bytes: events.max_record_bytes(),
            filters: Arc::new(process.filter_set()?),
            aggregations: process.aggregations()?,
            key_cache: self.keys.cache(),
            archive: archive.policy(),
            archive_interval: archive.enabled.then_some(archive.interval),
        })
    }

    /// Largest record of the log.
    fn max_record(&self) -> ByteSize {
        match self.log.backend {
            #[cfg(feature = "kafka")]
            LogBackend::Kafka => self.kafka.max_record,
            #[cfg(feature = "embedded")]
            LogBackend::Embedded => self.log.max_record,
            #[cfg(not(all(feature = "kafka", feature = "embedded")))]
            _ => ByteSize::mib(16),
        }
    }
}

#[cfg(any(
    feature = "kafka",
    feature = "clickhouse",
    feature = "redis",
    feature = "postgres",
    feature = "s3"
))]
fn in_section(section: &str, key: &str, reason: String) -> InvalidSetting {
    InvalidSetting::new(format!("{section}.{key}"), reason)
}

#[cfg(test)]
mod tests;
