use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gosight_domain::key::{Grant, KeyHash, KeyRefusal, PresentedKey};
use moka::sync::Cache;

use crate::ports::{Clock, KeyError, KeyValidator, PortError};
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

/// What a validator says, cached by the whole hash of the key, grants and refusals alike.
///
/// While the validator is unavailable, keys in the cache go on working within their life; others cannot be checked,
/// which is `Transient` and not a refusal. A grant that expires is not given any longer.
#[derive(Debug)]
pub struct CachedKeys {
    validator: Arc<dyn KeyValidator>,
    clock: Arc<dyn Clock>,
    cache: Cache<KeyHash, Result<Arc<Grant>, KeyRefusal>>,
    telemetry: Telemetry,
}

const ADAPTER: &str = "keys";

impl CachedKeys {
    /// Caches what `validator` says.
    pub fn new(
        validator: Arc<dyn KeyValidator>,
        clock: Arc<dyn Clock>,
        config: KeyCacheConfig,
        telemetry: Telemetry,
    ) -> Self {
        let cache = Cache::builder().max_capacity(config.capacity).time_to_live(config.life).build();
        Self { validator, clock, cache, telemetry }
    }

    async fn ask(&self, key: &PresentedKey, hash: KeyHash) -> Result<Grant, KeyError> {
        let said = self.validator.validate(key).await;
        match &said {
            Ok(grant) => self.cache.insert(hash, Ok(Arc::new(grant.clone()))),
            Err(PortError::Rejected { refused, .. }) => self.cache.insert(hash, Err(*refused)),
            Err(_) => {}
        }
        said
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KeyValidator for CachedKeys {
    async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError> {
        if key.reveal().len() > PresentedKey::MAX_BYTES {
            return self.validator.validate(key).await;
        }
        let hash = key.hash();
        let Some(known) = self.cache.get(&hash) else {
            self.telemetry.count(Metric::KeyCacheMisses, &[], 1);
            return self.ask(key, hash).await;
        };
        self.telemetry.count(Metric::KeyCacheHits, &[], 1);
        let granted = known.and_then(|grant| Grant::clone(&grant).at(self.clock.now()));
        granted.map_err(|refused| PortError::Rejected { adapter: ADAPTER, refused })
    }
}
