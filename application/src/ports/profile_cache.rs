use std::fmt;

use async_trait::async_trait;
use gosight_domain::{JsonObject, ProjectId};

use super::{PortError, ProfileKind};

/// Error of [`ProfileCache`].
pub type ProfileCacheError = PortError;

/// What a [`ProfileCache`] keeps under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachedProfile {
    /// The profile.
    Known(JsonObject),
    /// The store has none.
    Absent,
}

/// Profiles that processes share, in front of a store that has all of them. Anything in it may be gone at any time.
///
/// # Contract
/// 1. `get` gives for each id, in order, what was kept last under it: a profile, or that there is none. `None`
///    where nothing is kept.
/// 2. Nothing is given for longer than the life of the cache.
/// 3. After `Ok` of `forget` nothing is given that was kept before.
/// 4. Kinds and projects are apart.
#[async_trait]
pub trait ProfileCache: fmt::Debug + Send + Sync {
    /// What is kept under `ids`.
    async fn get(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> Result<Vec<Option<CachedProfile>>, ProfileCacheError>;

    /// Keeps profiles, or that there are none.
    async fn keep(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        profiles: &[(String, Option<JsonObject>)],
    ) -> Result<(), ProfileCacheError>;

    /// Keeps nothing under `ids` any more.
    async fn forget(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> Result<(), ProfileCacheError>;
}
