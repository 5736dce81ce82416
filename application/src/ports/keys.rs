use std::fmt;

use async_trait::async_trait;
use gosight_domain::key::{ApiKey, Grant, KeyHash, KeyRefusal, PresentedKey};
use gosight_domain::project::Project;
use gosight_domain::{ProjectId, Timestamp};
use uuid::Uuid;

use super::PortError;

/// Error of [`KeyValidator`]: `Rejected` says why the key is refused.
pub type KeyError = PortError<KeyRefusal>;

/// Error of [`KeyStore`].
pub type KeyStoreError = PortError;

/// Tells what a key allows.
///
/// # Contract
/// 1. Only the whole key counts: no part of it, and nothing that starts with it, is let in.
/// 2. A revoked or expired key is refused, with the reason, at the latest after the life of a cached answer.
/// 3. When the keys cannot be read the error is `Transient`, never a refusal.
#[async_trait]
pub trait KeyValidator: fmt::Debug + Send + Sync {
    /// What `key` allows.
    async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError>;
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

/// Projects and their keys, as stored.
///
/// # Contract
/// 1. A key is found by its whole hash only.
/// 2. Creating a project or key that exists (by id, or by hash) changes nothing and says `false`.
/// 3. Revoking sets `is_active` to false and says whether there was such a key; keys are never deleted.
/// 4. Usage is added, and `last_used_at` never goes back.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// Adds a project; `false` when it exists.
    async fn create_project(&self, project: &Project) -> Result<bool, KeyStoreError>;

    /// All projects by id.
    async fn list_projects(&self) -> Result<Vec<Project>, KeyStoreError>;

    /// Adds a key; `false` when it exists.
    async fn create_key(&self, key: &ApiKey) -> Result<bool, KeyStoreError>;

    /// The key with this hash, active or not.
    async fn find_key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, KeyStoreError>;

    /// The keys of one project, or of all, oldest first.
    async fn list_keys(&self, project_id: Option<&ProjectId>) -> Result<Vec<ApiKey>, KeyStoreError>;

    /// Revokes a key; `false` when there is none.
    async fn revoke_key(&self, key_id: Uuid) -> Result<bool, KeyStoreError>;

    /// Adds up how often keys were used.
    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), KeyStoreError>;
}
