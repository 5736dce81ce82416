use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::key::{Grant, KeyRefusal, PresentedKey};

use crate::ports::{Clock, KeyError, KeyLookup, KeyValidator, PortError};

const ADAPTER: &str = "keys";

/// Validates keys against those that are stored: the end of every chain of validators over a store.
#[derive(Debug, Clone)]
pub struct StoredKeys {
    keys: Arc<dyn KeyLookup>,
    clock: Arc<dyn Clock>,
}

impl StoredKeys {
    /// Looks keys up in `keys`.
    pub fn new(keys: Arc<dyn KeyLookup>, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock }
    }
}

#[async_trait]
impl KeyValidator for StoredKeys {
    async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError> {
        let refused = |refused| PortError::Rejected { adapter: ADAPTER, refused };
        // Not even hashed: no key is so long.
        if key.reveal().len() > PresentedKey::MAX_BYTES {
            return Err(refused(KeyRefusal::Unknown));
        }
        let known = self.keys.find_key(&key.hash()).await.map_err(PortError::widen)?;
        known.ok_or(refused(KeyRefusal::Unknown))?.grant(self.clock.now()).map_err(refused)
    }
}
