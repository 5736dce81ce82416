#[cfg(feature = "embedded")]
use bytesize::ByteSize;
#[cfg(feature = "embedded")]
use gosight_application::logs;
#[cfg(feature = "embedded")]
use gosight_embedded::{LogConfig, StoreConfig};
use serde::{Deserialize, Serialize};

use super::backends::{LogBackend, StoreBackend};
#[cfg(feature = "embedded")]
use super::{EventSettings, InvalidSetting, bytes};

/// The event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Where it is. The other settings are those of a log in the data directory.
    pub backend: LogBackend,
    /// Partitions of each log; fixed when the directory is made.
    #[cfg(feature = "embedded")]
    pub partitions: u32,
    /// Largest record.
    #[cfg(feature = "embedded")]
    pub max_record: ByteSize,
    /// Size from which on a new segment is begun.
    #[cfg(feature = "embedded")]
    pub segment: ByteSize,
    /// Most bytes of all segments; beyond, events are refused until some are processed.
    #[cfg(feature = "embedded")]
    pub max_size: ByteSize,
    /// How long processed records are kept.
    #[cfg(feature = "embedded")]
    #[serde(with = "humantime_serde")]
    pub retain_for: std::time::Duration,
    /// Most bytes of processed records that are kept.
    #[cfg(feature = "embedded")]
    pub retain_size: ByteSize,
}

impl Default for LogSettings {
    /// In the data directory.
    fn default() -> Self {
        #[cfg(feature = "embedded")]
        let config = LogConfig::default();
        Self {
            backend: LogBackend::Embedded,
            #[cfg(feature = "embedded")]
            partitions: config.partitions,
            #[cfg(feature = "embedded")]
            max_record: ByteSize(config.max_record_bytes as u64),
            #[cfg(feature = "embedded")]
            segment: ByteSize(config.segment_bytes),
            #[cfg(feature = "embedded")]
            max_size: ByteSize(config.max_bytes),
            #[cfg(feature = "embedded")]
            retain_for: config.retain_for,
            #[cfg(feature = "embedded")]
            retain_size: ByteSize(config.retain_bytes),
        }
    }
}

#[cfg(feature = "embedded")]
const MAX_PARTITIONS: u32 = 1_024;

#[cfg(feature = "embedded")]
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

    /// As the adapter takes it.
    pub fn config(&self) -> LogConfig {
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

/// The store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// Where it is. The other settings are those of a store in the data directory.
    pub backend: StoreBackend,
    /// Connections that read at the same time.
    #[cfg(feature = "embedded")]
    pub readers: u32,
    /// Days that events, sessions, counts and aggregates are kept; 0 for ever.
    #[cfg(feature = "embedded")]
    pub retention_days: u32,
    /// How long the ledger keeps a row of its own for each batch.
    #[cfg(feature = "embedded")]
    #[serde(with = "humantime_serde")]
    pub ledger_detail: std::time::Duration,
}

impl Default for StoreSettings {
    /// In the data directory.
    fn default() -> Self {
        #[cfg(feature = "embedded")]
        let config = StoreConfig::default();
        Self {
            backend: StoreBackend::Embedded,
            #[cfg(feature = "embedded")]
            readers: config.readers,
            #[cfg(feature = "embedded")]
            retention_days: config.retention_days,
            #[cfg(feature = "embedded")]
            ledger_detail: config.ledger_detail,
        }
    }
}

#[cfg(feature = "embedded")]
impl StoreSettings {
    /// As the adapter takes it, for events as `events` lets them in.
    pub fn config(&self, events: &EventSettings) -> StoreConfig {
        // As long as an event may come in, and a week for what was in the log meanwhile.
        let known_days = events.max_age.as_secs() / (24 * 60 * 60) + 7;
        StoreConfig {
            known_days: u32::try_from(known_days).unwrap_or(u32::MAX),
            readers: self.readers,
            retention_days: self.retention_days,
            ledger_detail: self.ledger_detail,
        }
    }
}
