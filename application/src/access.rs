//! Who may do what: from a key to proof of a scope.

use std::sync::Arc;
use std::time::Duration;

use gosight_domain::key::{Grant, KeyRefusal, MissingScope, PresentedKey, ScopeMarker, Scoped};

use crate::ports::{KeyValidator, PortError};

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// No key was presented.
    #[error("no key was presented; send one as X-Project-Key or as Authorization: Bearer")]
    MissingKey,
    /// The key is refused.
    #[error(transparent)]
    Refused(#[from] KeyRefusal),
    /// The key is good, but not for this.
    #[error(transparent)]
    MissingScope(#[from] MissingScope),
    /// Nobody can tell right now.
    #[error("keys cannot be checked right now")]
    Unavailable {
        /// How long to wait.
        retry_after: Option<Duration>,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Checks keys.
#[derive(Debug, Clone)]
pub struct Access {
    keys: Arc<dyn KeyValidator>,
}

impl Access {
    /// Checks keys with `keys`.
    pub fn new(keys: Arc<dyn KeyValidator>) -> Self {
        Self { keys }
    }

    /// What `key` allows.
    ///
    /// # Errors
    /// [`AccessError`]; a key that cannot be checked is `Unavailable`, never refused.
    pub async fn grant(&self, key: Option<&PresentedKey>) -> Result<Grant, AccessError> {
        let key = key.ok_or(AccessError::MissingKey)?;
        self.keys.validate(key).await.map_err(|error| match error {
            PortError::Rejected { refused, .. } => AccessError::Refused(refused),
            PortError::Transient { retry_after, source, .. } => {
                AccessError::Unavailable { retry_after, source }
            }
            PortError::Fatal { source, .. } => AccessError::Unavailable { retry_after: None, source },
        })
    }

    /// Proof that the holder of `key` may do what `S` stands for.
    ///
    /// # Errors
    /// [`AccessError`].
    pub async fn require<S: ScopeMarker>(
        &self,
        key: Option<&PresentedKey>,
    ) -> Result<Scoped<S>, AccessError> {
        Ok(self.grant(key).await?.require::<S>()?)
    }
}
