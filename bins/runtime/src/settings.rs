//! All settings, and their checks.

mod archive;
mod backends;
mod config;
mod enrichers;
mod ingest;
mod process;
mod storage;

use bytesize::ByteSize;
use gosight_domain::Violation;

pub use archive::ArchiveSettings;
pub use backends::{
    AccountSettings, AccountsBackend, ArchiveBackend, LogBackend, StateBackend, StateSettings, StoreBackend,
};
pub use config::Config;
pub use enrichers::{EnricherKind, EnricherSettings, IngestSettings};
pub use ingest::{EventSettings, KeySettings, RateLimitSettings, ReplaySettings, ingest_rules};
pub use process::{AggregationConfig, ConsumerSettings, ProcessSettings, ProfileSettings};
pub use storage::{LogSettings, StoreSettings};

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct InvalidSetting {
    /// Path of the setting.
    pub key: String,
    /// What is wrong and what is allowed.
    pub reason: String,
}

impl InvalidSetting {
    /// What is wrong with the setting at `key`.
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into() }
    }

    /// A violation found in what stands at `key`.
    pub fn of(key: &str, violation: &Violation) -> Self {
        Self::new(format!("{key}.{}", violation.field), violation.reason.clone())
    }
}

/// A size as a number of bytes in memory.
pub fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}
