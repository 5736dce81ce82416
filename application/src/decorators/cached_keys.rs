use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gosight_domain::Timestamp;
use gosight_domain::key::{ApiKey, Grant, KeyHash, KeyRefusal, PresentedKey};
use moka::sync::Cache;
use uuid::Uuid;

use crate::ports::{Clock, KeyError, KeyStore, KeyStoreError, KeyUsage, KeyValidator, PortError};
use crate::telemetry::{Metric, Telemetry};

/// How keys are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCacheConfig {
    /// How long an answer is believed. A revocation is seen within it.
    pub life: Duration,
    /// Most answers that are kept, known keys and unknown ones together.
    pub capacity: u64,
}

impl Default for KeyCacheConfig {
    /// 30 seconds, 10,000 keys.
    fn default() -> Self {
        Self { life: Duration::from_secs(30), capacity: 10_000 }
    }
}

/// Keys from a store, cached by their whole hash, hits and misses alike.
///
/// While the store is away, keys in the cache go on working within their life; others cannot be checked, which is
/// `Transient` and not a refusal.
#[derive(Debug)]
pub struct CachedKeys {
    store: Arc<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    cache: Cache<KeyHash, Option<Arc<ApiKey>>>,
    usage: Mutex<HashMap<Uuid, (u64, Timestamp)>>,
    telemetry: Telemetry,
}

const ADAPTER: &str = "keys";

impl CachedKeys {
    /// Caches what `store` says.
    pub fn new(
        store: Arc<dyn KeyStore>,
        clock: Arc<dyn Clock>,
        config: KeyCacheConfig,
        telemetry: Telemetry,
    ) -> Self {
        let cache = Cache::builder().max_capacity(config.capacity).time_to_live(config.life).build();
        Self { store, clock, cache, usage: Mutex::default(), telemetry }
    }

    /// Writes down how often keys were used since the last time.
    ///
    /// # Errors
    /// The store's; the counts are kept for the next time then.
    pub async fn flush_usage(&self) -> Result<(), KeyStoreError> {
        let usage = std::mem::take(&mut *self.lock_usage());
        if usage.is_empty() {
            return Ok(());
        }
        let report: Vec<KeyUsage> = usage
            .into_iter()
            .map(|(key_id, (requests, last_used_at))| KeyUsage { key_id, requests, last_used_at })
            .collect();
        let result = self.store.record_usage(&report).await;
        if result.is_err() {
            for usage in report {
                self.add_usage(usage.key_id, usage.requests, usage.last_used_at);
            }
        }
        result
    }

    fn add_usage(&self, key_id: Uuid, requests: u64, at: Timestamp) {
        let mut usage = self.lock_usage();
        let entry = usage.entry(key_id).or_insert((0, at));
        entry.0 += requests;
        entry.1 = entry.1.max(at);
    }

    fn lock_usage(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, (u64, Timestamp)>> {
        // Counts are whole after every statement, so a panic elsewhere does not spoil them.
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(&self, hash: KeyHash) -> Result<Option<Arc<ApiKey>>, KeyStoreError> {
        if let Some(known) = self.cache.get(&hash) {
            self.telemetry.count(Metric::KeyCacheHits, &[], 1);
            return Ok(known);
        }
        self.telemetry.count(Metric::KeyCacheMisses, &[], 1);
        let found = self.store.find_key(&hash).await?.map(Arc::new);
        self.cache.insert(hash, found.clone());
        Ok(found)
    }
}

#[async_trait]
impl KeyValidator for CachedKeys {
    async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError> {
        let refused = |refused| PortError::Rejected { adapter: ADAPTER, refused };
        if key.reveal().len() > PresentedKey::MAX_BYTES {
            return Err(refused(KeyRefusal::Unknown));
        }
        let known = self.find(key.hash()).await.map_err(PortError::widen)?;
        let key = known.ok_or(refused(KeyRefusal::Unknown))?;
        let now = self.clock.now();
        let grant = key.grant(now).map_err(refused)?;
        self.add_usage(key.key_id, 1, now);
        Ok(grant)
    }
}
