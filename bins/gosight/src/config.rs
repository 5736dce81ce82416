//! The settings of `gosight serve`, and their checks.

mod storage;

use std::path::PathBuf;
use std::time::Duration;

use gosight_application::ingest::IngestRules;
use gosight_application::sessions::SessionRules;
use gosight_domain::insight::InsightThresholds;
use gosight_enrich::EnrichConfig;
use gosight_http::HttpConfig;
use gosight_runtime::LogsConfig;
use gosight_runtime::settings::{ArchiveSettings, bytes, ingest_rules};
use serde::{Deserialize, Serialize};

pub use gosight_runtime::settings::{
    AggregationConfig, ConsumerSettings, EventSettings, InvalidSetting, KeySettings, ProcessSettings,
    ProfileSettings, RateLimitSettings, ReplaySettings,
};
pub use storage::{LogSettings, StoreSettings};

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Directory of the log and the database.
    pub data_dir: PathBuf,
    /// The HTTP surface.
    pub http: HttpConfig,
    /// What events may be.
    pub events: EventSettings,
    /// What replay chunks may be.
    pub replay: ReplaySettings,
    /// How much a project may send.
    pub rate_limit: RateLimitSettings,
    /// How keys are checked.
    pub keys: KeySettings,
    /// What user agents and addresses mean.
    pub enrich: EnrichConfig,
    /// The event log.
    pub log: LogSettings,
    /// The database.
    pub store: StoreSettings,
    /// How the log is processed.
    pub process: ProcessSettings,
    /// When replays are archived, and for how long.
    pub archive: ArchiveSettings,
    /// When sessions show insights.
    pub insights: InsightThresholds,
    /// The process's own logs.
    pub logs: LogsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("gosight-data"),
            http: HttpConfig::default(),
            events: EventSettings::default(),
            replay: ReplaySettings::default(),
            rate_limit: RateLimitSettings::default(),
            keys: KeySettings::default(),
            enrich: EnrichConfig::default(),
            log: LogSettings::default(),
            store: StoreSettings::default(),
            process: ProcessSettings::default(),
            archive: ArchiveSettings::default(),
            insights: InsightThresholds::default(),
            logs: LogsConfig::default(),
        }
    }
}

/// Longer than any duration has to be, and short enough to be added to any time.
const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

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
        self.http
            .validate()
            .map_err(|error| InvalidSetting::new(format!("http.{}", error.key), error.reason))?;
        self.events.validate()?;
        self.rate_limit.limits()?;
        self.log.validate()?;
        self.process.validate()?;
        self.replay.validate()?;
        self.archive.validate()?;
        self.logs.validate()?;
        if self.data_dir.as_os_str().is_empty() {
            return Err(InvalidSetting::new("data_dir", "must not be empty"));
        }
        self.validate_durations()
    }

    /// No part of this can count on without end.
    fn validate_durations(&self) -> Result<(), InvalidSetting> {
        let Self { http, events, keys, enrich, log, store, process, archive, .. } = self;
        for (key, duration) in [
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
            ("log.retain_for", log.retain_for),
            ("store.ledger_detail", store.ledger_detail),
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
        ] {
            if duration > LONGEST {
                return Err(InvalidSetting::new(key, "must be at most 100years"));
            }
        }
        Ok(())
    }

    pub(crate) fn ingest_rules(&self) -> IngestRules {
        ingest_rules(&self.events, &self.replay, self.log.max_record)
    }
}

#[cfg(test)]
mod tests;
