//! The settings of `gosight serve`, and their checks.

mod storage;

use std::path::PathBuf;

use gosight_application::ingest::IngestRules;
use gosight_domain::insight::InsightThresholds;
use gosight_enrich::EnrichConfig;
use gosight_http::HttpConfig;
use gosight_runtime::LogsConfig;
use gosight_runtime::settings::{bytes, ingest_rules};
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
            insights: InsightThresholds::default(),
            logs: LogsConfig::default(),
        }
    }
}

impl Config {
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
        Ok(())
    }

    pub(crate) fn ingest_rules(&self) -> IngestRules {
        ingest_rules(&self.events, &self.replay, self.log.max_record)
    }
}

#[cfg(test)]
mod tests;
