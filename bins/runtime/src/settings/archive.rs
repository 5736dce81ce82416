use std::time::Duration;

use gosight_application::replay::ArchivePolicy;
use serde::{Deserialize, Serialize};

use super::InvalidSetting;
use super::backends::ArchiveBackend;

/// When replays move to the archive, and when they are deleted there. Durations are written as `30days`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArchiveSettings {
    /// Where archived replays are.
    pub backend: ArchiveBackend,
    /// Whether replays are archived at all. Those that are in the archive are read in any case.
    pub enabled: bool,
    /// How often old replays are looked for.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// A session is archived this long after its last chunk was received.
    #[serde(with = "humantime_serde")]
    pub hot_retention: Duration,
    /// An archived replay is deleted this long after it was archived.
    #[serde(with = "humantime_serde")]
    pub cold_retention: Duration,
    /// What was archived stays where it was for this long, for those who are reading it there.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// How long one session may take; what a process that died was at is taken over after this.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// Sessions that are listed at once.
    pub batch: usize,
    /// Sessions that are archived at the same time.
    pub parallel: usize,
    /// Level of gzip, from 1 (fast) to 9 (small).
    pub level: u32,
}

impl Default for ArchiveSettings {
    /// In the data directory, hourly; 30 days hot, 90 days cold.
    fn default() -> Self {
        let ArchivePolicy { hot_retention, cold_retention, grace, lease, batch, parallel, level } =
            ArchivePolicy::default();
        Self {
            backend: ArchiveBackend::Directory,
            enabled: true,
            interval: Duration::from_hours(1),
            hot_retention,
            cold_retention,
            grace,
            lease,
            batch,
            parallel,
            level,
        }
    }
}

impl ArchiveSettings {
    /// Checks what can be checked.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let invalid = |key: &str, reason: &str| Err(InvalidSetting::new(format!("archive.{key}"), reason));
        if self.interval < Duration::from_secs(1) {
            return invalid("interval", "must be at least 1s");
        }
        if self.cold_retention <= self.grace {
            return invalid("cold_retention", "must be longer than archive.grace");
        }
        if self.lease < Duration::from_secs(1) {
            return invalid("lease", "must be at least 1s");
        }
        if !(1..=10_000).contains(&self.batch) {
            return invalid("batch", "must be 1 to 10000");
        }
        if !(1..=64).contains(&self.parallel) {
            return invalid("parallel", "must be 1 to 64");
        }
        if !(1..=9).contains(&self.level) {
            return invalid("level", "must be 1 to 9");
        }
        Ok(())
    }

    /// As the use case takes it.
    pub fn policy(&self) -> ArchivePolicy {
        ArchivePolicy {
            hot_retention: self.hot_retention,
            cold_retention: self.cold_retention,
            grace: self.grace,
            batch: self.batch,
            parallel: self.parallel,
            level: self.level,
            lease: self.lease,
        }
    }
}
