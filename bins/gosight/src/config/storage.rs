use std::time::Duration;

use bytesize::ByteSize;
use gosight_application::logs;
use gosight_embedded::{LogConfig, StoreConfig};
use serde::{Deserialize, Serialize};

use super::{Config, InvalidSetting, bytes};

/// The event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Partitions of each log; fixed when the directory is made.
    pub partitions: u32,
    /// Largest record.
    pub max_record: ByteSize,
    /// Size from which on a new segment is begun.
    pub segment: ByteSize,
    /// Most bytes of all segments; beyond, events are refused until some are processed.
    pub max_size: ByteSize,
    /// How long processed records are kept.
    #[serde(with = "humantime_serde")]
    pub retain_for: Duration,
    /// Most bytes of processed records that are kept.
    pub retain_size: ByteSize,
}

impl Default for LogSettings {
    fn default() -> Self {
        let config = LogConfig::default();
        Self {
            partitions: config.partitions,
            max_record: ByteSize(config.max_record_bytes as u64),
            segment: ByteSize(config.segment_bytes),
            max_size: ByteSize(config.max_bytes),
            retain_for: config.retain_for,
            retain_size: ByteSize(config.retain_bytes),
        }
    }
}

const MAX_PARTITIONS: u32 = 1_024;

impl LogSettings {
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        if !(1..=MAX_PARTITIONS).contains(&self.partitions) {
            let reason = format!("is {}, must be 1 to {MAX_PARTITIONS}", self.partitions);
            return Err(InvalidSetting::new("log.partitions", reason));
        }
        if self.max_size <= self.segment {
            let reason = format!("is {}, must be more than log.segment ({})", self.max_size, self.segment);
            return Err(InvalidSetting::new("log.max_size", reason));
        }
        Ok(())
    }

    pub(crate) fn config(&self) -> LogConfig {
        LogConfig {
            partitions: self.partitions,
            max_record_bytes: bytes(self.max_record),
            segment_bytes: self.segment.as_u64(),
            max_bytes: self.max_size.as_u64(),
            retain_for: self.retain_for,
            retain_bytes: self.retain_size.as_u64(),
            logs_without_consumers: vec![logs::ERRORS.to_owned()],
        }
    }
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// Connections that read at the same time.
    pub readers: u32,
    /// Days that events, sessions, counts and aggregates are kept; 0 for ever.
    pub retention_days: u32,
    /// How long the ledger keeps a row of its own for each batch.
    #[serde(with = "humantime_serde")]
    pub ledger_detail: Duration,
}

impl Default for StoreSettings {
    fn default() -> Self {
        let config = StoreConfig::default();
        Self {
            readers: config.readers,
            retention_days: config.retention_days,
            ledger_detail: config.ledger_detail,
        }
    }
}

impl StoreSettings {
    pub(crate) fn config(&self, all: &Config) -> StoreConfig {
        // As long as an event may come in, and a week for what was in the log meanwhile.
        let known_days = all.events.max_age.as_secs() / (24 * 60 * 60) + 7;
        StoreConfig {
            known_days: u32::try_from(known_days).unwrap_or(u32::MAX),
            readers: self.readers,
            retention_days: self.retention_days,
            ledger_detail: self.ledger_detail,
        }
    }
}
