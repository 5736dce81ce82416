use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_domain::Timestamp;
use gosight_domain::key::{Grant, PresentedKey};
use uuid::Uuid;

use crate::ports::{Clock, KeyError, KeyStoreError, KeyUsage, KeyUsageStore, KeyValidator, PortError};

/// Names this validator in errors.
const ADAPTER: &str = "keys";

/// Counts how often keys are used. It stands before all caches, so that each use is counted, whoever answered.
#[derive(Debug)]
pub struct CountedKeys {
    validator: Arc<dyn KeyValidator>,
    usage: Arc<dyn KeyUsageStore>,
    clock: Arc<dyn Clock>,
    counts: Mutex<HashMap<Uuid, (u64, Timestamp)>>,
}

impl CountedKeys {
    /// Counts the keys that `validator` grants, for `usage` to add up.
    pub fn new(
        validator: Arc<dyn KeyValidator>,
        usage: Arc<dyn KeyUsageStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { validator, usage, clock, counts: Mutex::default() }
    }

    /// Writes down how often keys were used since the last time.
    ///
    /// # Errors
    /// The store's; the counts are kept for the next time then.
    pub async fn flush(&self) -> Result<(), KeyStoreError> {
        let counts = std::mem::take(&mut *self.lock());
        if counts.is_empty() {
            return Ok(());
        }
        let report: Vec<KeyUsage> = counts
            .into_iter()
            .map(|(key_id, (requests, last_used_at))| KeyUsage { key_id, requests, last_used_at })
            .collect();
        let result = self.usage.record_usage(&report).await;
        if result.is_err() {
            for usage in report {
                self.add(usage.key_id, usage.requests, usage.last_used_at);
            }
        }
        result
    }

    fn add(&self, key_id: Uuid, requests: u64, at: Timestamp) {
        let mut counts = self.lock();
        let entry = counts.entry(key_id).or_insert((0, at));
        entry.0 += requests;
        entry.1 = entry.1.max(at);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, (u64, Timestamp)>> {
        // Counts are whole after every statement, so a panic elsewhere does not spoil them.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KeyValidator for CountedKeys {
    async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError> {
        let now = self.clock.now();
        // Whatever stands behind, a key ends at its very moment.
        let grant = self.validator.validate(key).await?.at(now);
        let grant = grant.map_err(|refused| PortError::Rejected { adapter: ADAPTER, refused })?;
        self.add(grant.key_id, 1, now);
        Ok(grant)
    }
}
