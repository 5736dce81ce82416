//! The settings of all distributed binaries, and their checks.

use gosight_application::ingest::IngestRules;
use gosight_application::sessions::SessionRules;
use gosight_clickhouse::ClickHouseConfig;
use gosight_domain::insight::InsightThresholds;
use gosight_enrich::EnrichConfig;
use gosight_http::HttpConfig;
use gosight_kafka::KafkaConfig;
use gosight_postgres::PostgresConfig;
use gosight_redis::RedisConfig;
use gosight_runtime::LogsConfig;
use gosight_runtime::settings::{
    ArchiveSettings, EventSettings, InvalidSetting, KeySettings, ProcessSettings, RateLimitSettings,
    ReplaySettings, ingest_rules,
};
use gosight_s3::S3Config;
use serde::{Deserialize, Serialize};

/// All settings. Each binary uses those of what it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP surface; processors answer `/health`, `/ready` and `/metrics` there.
    pub http: HttpConfig,
    /// What events may be.
    pub events: EventSettings,
    /// What replay chunks may be.
    pub replay: ReplaySettings,
    /// How much a project may send, over all ingestors together.
    pub rate_limit: RateLimitSettings,
    /// How keys are checked.
    pub keys: KeySettings,
    /// What user agents and addresses mean.
    pub enrich: EnrichConfig,
    /// The event log.
    pub kafka: KafkaConfig,
    /// The analytics store.
    pub clickhouse: ClickHouseConfig,
    /// Live state.
    pub redis: RedisConfig,
    /// Projects, keys and profiles.
    pub postgres: PostgresConfig,
    /// How the log is processed.
    pub process: ProcessSettings,
    /// When replays are archived, and for how long.
    pub archive: ArchiveSettings,
    /// Where archived replays are. They are read from there once there is an access key, and move there while
    /// `archive.enabled` is true.
    pub s3: S3Config,
    /// When sessions show insights.
    pub insights: InsightThresholds,
    /// The process's own logs.
    pub logs: LogsConfig,
}

impl Default for Config {
    /// Servers on this machine, and no archive.
    fn default() -> Self {
        Self {
            http: HttpConfig::default(),
            events: EventSettings::default(),
            replay: ReplaySettings::default(),
            rate_limit: RateLimitSettings::default(),
            keys: KeySettings::default(),
            enrich: EnrichConfig::default(),
            kafka: KafkaConfig::default(),
            clickhouse: ClickHouseConfig::default(),
            redis: RedisConfig::default(),
            postgres: PostgresConfig::default(),
            process: ProcessSettings::default(),
            archive: ArchiveSettings { enabled: false, ..ArchiveSettings::default() },
            s3: S3Config::default(),
            insights: InsightThresholds::default(),
            logs: LogsConfig::default(),
        }
    }
}

impl Config {
    /// What sessions show.
    pub fn session_rules(&self) -> SessionRules {
        SessionRules::new(self.insights.clone())
    }

    /// Checks everything that can be checked without touching anything.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let of = |section: &str, key: &str, reason: String| {
            InvalidSetting::new(format!("{section}.{key}"), reason)
        };
        self.http.validate().map_err(|error| of("http", error.key, error.reason))?;
        self.events.validate()?;
        self.replay.validate()?;
        self.rate_limit.limits()?;
        self.process.validate()?;
        self.archive.validate()?;
        if self.has_archive() {
            self.s3.validate().map_err(|error| of("s3", error.key, error.reason))?;
            if self.clickhouse.replay_retention_days > 0 {
                let reason = "must be 0 with an archive: replays would be deleted, archived or not";
                return Err(of("clickhouse", "replay_retention_days", reason.to_owned()));
            }
        }
        self.kafka.validate().map_err(|error| of("kafka", &error.key, error.reason))?;
        self.clickhouse.validate().map_err(|error| of("clickhouse", error.key, error.reason))?;
        self.redis.validate().map_err(|error| of("redis", error.key, error.reason))?;
        self.postgres.validate().map_err(|error| of("postgres", error.key, error.reason))
    }

    /// Whether there is an archive to read from, whether replays move there or not.
    pub(crate) fn has_archive(&self) -> bool {
        self.archive.enabled || !self.s3.access_key.is_empty()
    }

    pub(crate) fn ingest_rules(&self) -> IngestRules {
        ingest_rules(&self.events, &self.replay, self.kafka.max_record)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gosight_runtime::config::{Sources, load, load_valid};

    use super::*;

    #[test]
    fn the_examples_are_valid_and_say_the_defaults() {
        for name in ["ingestor", "event-processor", "replay-processor", "api"] {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../config/{name}.yaml"));
            let sources = Sources { file: Some(file), ..Sources::default() };
            let config = load::<Config>(&sources).unwrap_or_else(|error| panic!("{name}: {error}")).config;
            config.validate().unwrap();
            assert_eq!(config, Config::default(), "{name} shows the defaults as they are");
        }
    }

    #[test]
    fn the_containers_have_valid_settings_and_reach_their_servers() {
        let read = |name: &str| -> serde_json::Value {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
            serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
        };
        let (ours, servers) = (read("deploy/compose.yaml"), read("compose.yaml"));
        for name in ["ingestor", "event-processor", "replay-processor", "api"] {
            let service = &ours["services"][name];
            assert_eq!(service["build"]["target"], name);
            let env = service["environment"].as_object().unwrap();
            let env = env.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
            let sources = Sources { env: env.collect(), ..Sources::default() };
            let config = load_valid(&sources, Config::validate).unwrap();
            let postgres = config.postgres.url.to_string();
            let redis = config.redis.url.reveal();
            let addresses = [&config.kafka.brokers[0], &config.clickhouse.url, redis, &postgres];
            for (server, address) in ["kafka", "clickhouse", "redis", "postgres"].iter().zip(addresses) {
                assert!(servers["services"][server].is_object());
                assert!(address.contains(&format!("{server}:")), "{address}");
                assert_eq!(service["depends_on"][server]["condition"], "service_healthy");
            }
        }
    }

    #[test]
    fn bad_settings_are_named_with_their_section() {
        let mut config = Config::default();
        config.clickhouse.url = "nowhere".into();
        assert_eq!(config.validate().unwrap_err().key, "clickhouse.url");
        let config = Config {
            kafka: KafkaConfig { brokers: Vec::new(), ..KafkaConfig::default() },
            ..Config::default()
        };
        assert_eq!(config.validate().unwrap_err().key, "kafka.brokers");
    }

    #[test]
    fn replays_do_not_expire_before_they_are_archived() {
        let mut config = Config::default();
        config.clickhouse.replay_retention_days = 30;
        assert_eq!(config.validate(), Ok(()));
        config.s3.access_key = "key".into();
        config.s3.secret_key = "secret".into();
        assert_eq!(config.validate().unwrap_err().key, "clickhouse.replay_retention_days");
        config.archive.enabled = true;
        assert_eq!(config.validate().unwrap_err().key, "clickhouse.replay_retention_days");
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut config = Config::default();
        config.clickhouse.password = "hush-1".into();
        config.redis.url = "redis://:hush-2@127.0.0.1:6379".into();
        config.postgres.url = "postgres://gosight:hush-3@localhost/gosight".into();
        let shown = format!("{config:?}\n{}", gosight_runtime::config::to_yaml(&config).unwrap());
        assert!(!shown.contains("hush"), "{shown}");
    }
}
