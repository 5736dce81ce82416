use std::fmt;

use async_trait::async_trait;
use gosight_domain::key::{ApiKey, Grant, KeyHash, KeyRefusal, PresentedKey};
use gosight_domain::project::Project;
use gosight_domain::{ProjectId, Timestamp};
use uuid::Uuid;

use super::PortError;

/// Error of [`KeyValidator`]: `Rejected` says why the key is refused.
pub type KeyError = PortError<KeyRefusal>;

/// Error of [`KeyLookup`], [`KeyAdmin`] and [`KeyUsageStore`].
pub type KeyStoreError = PortError;

/// Tells what a key allows.
///
/// Validators stand before one another: stored keys at the end, caches and counters before them.
///
/// # Contract
/// 1. Only the whole key counts: no part of it, and nothing that starts with it, is let in.
/// 2. A revoked key is refused, with the reason, at the latest after the lives of all cached answers together.
/// 3. An expired key is refused, with the reason, from that very moment on.
/// 4. When the keys cannot be read the error is `Transient`, never a refusal.
#[async_trait]
pub trait KeyValidator: fmt::Debug + Send + Sync {
    /// What `key` allows.
    async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError>;
}

/// Finds keys to be validated.
///
/// # Contract
/// 1. A key is found by its whole hash only, active or not.
#[async_trait]
pub trait KeyLookup: fmt::Debug + Send + Sync {
    /// The key with this hash.
    async fn find_key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, KeyStoreError>;
}

/// Projects and their keys, for those who manage them.
///
/// # Contract
/// 1. Creating a project or key that exists (by id, or by hash) changes nothing and says `false`.
/// 2. Revoking sets `is_active` to false and says whether there was such a key; keys are never deleted.
/// 3. Projects are listed by id, keys oldest first.
#[async_trait]
pub trait KeyAdmin: fmt::Debug + Send + Sync {
    /// Adds a project; `false` when it exists.
    async fn create_project(&self, project: &Project) -> Result<bool, KeyStoreError>;

    /// All projects by id.
    async fn list_projects(&self) -> Result<Vec<Project>, KeyStoreError>;

    /// Adds a key; `false` when it exists.
    async fn create_key(&self, key: &ApiKey) -> Result<bool, KeyStoreError>;

    /// The keys of one project, or of all, oldest first.
    async fn list_keys(&self, project_id: Option<&ProjectId>) -> Result<Vec<ApiKey>, KeyStoreError>;

    /// Revokes a key; `false` when there is none.
    async fn revoke_key(&self, key_id: Uuid) -> Result<bool, KeyStoreError>;
}

/// How often a key was used since the last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// The key.
    pub key_id: Uuid,
    /// Requests since the last report.
    pub requests: u64,
    /// The last of them.
    pub last_used_at: Timestamp,
}

/// Adds up how often keys are used.
///
/// # Contract
/// 1. Usage is added, and `last_used_at` never goes back.
#[async_trait]
pub trait KeyUsageStore: fmt::Debug + Send + Sync {
    /// Adds up how often keys were used.
    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), KeyStoreError>;
}
