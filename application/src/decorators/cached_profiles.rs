use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::{JsonObject, ProjectId};

use crate::ports::{CachedProfile, ProfileCache, ProfileKind, ProfileStore, ProfileStoreError};
use crate::telemetry::{Metric, Telemetry};

/// Profiles with a cache before them that processes share. While the cache is unavailable the store gives all.
///
/// A profile that is put is forgotten by the cache. A process that has just read the one before may keep that once more, so an
/// old profile is given for at most the life of the cache.
#[derive(Debug)]
pub struct CachedProfiles {
    cache: Arc<dyn ProfileCache>,
    store: Arc<dyn ProfileStore>,
    telemetry: Telemetry,
}

type Known = HashMap<String, JsonObject>;

impl CachedProfiles {
    /// Asks `cache` first, and `store` for the rest.
    pub fn new(cache: Arc<dyn ProfileCache>, store: Arc<dyn ProfileStore>, telemetry: Telemetry) -> Self {
        Self { cache, store, telemetry }
    }

    /// What the cache knows, and which ids it knows nothing of.
    async fn cached(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> (Known, Vec<String>) {
        let kept = match self.cache.get(project_id, kind, ids).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(%error, "profiles are read from the store, because their cache is unavailable");
                self.count("failed", ids.len());
                return (Known::new(), ids.to_vec());
            }
        };
        let (mut known, mut unknown) = (Known::new(), Vec::new());
        for (id, kept) in ids.iter().zip(kept) {
            match kept {
                Some(CachedProfile::Known(profile)) => drop(known.insert(id.clone(), profile)),
                Some(CachedProfile::Absent) => {}
                None => unknown.push(id.clone()),
            }
        }
        self.count("hit", ids.len() - unknown.len());
        self.count("miss", unknown.len());
        (known, unknown)
    }

    async fn forget(&self, project_id: &ProjectId, kind: ProfileKind, changed: &[(String, JsonObject)]) {
        let ids: Vec<String> = changed.iter().map(|(id, _)| id.clone()).collect();
        if let Err(error) = self.cache.forget(project_id, kind, &ids).await {
            tracing::warn!(%error, "profiles changed, and old ones may be seen for the life of their cache");
        }
    }

    fn count(&self, outcome: &'static str, lookups: usize) {
        self.telemetry.count(Metric::ProfileCacheLookups, &[("outcome", outcome)], lookups as u64);
    }
}

#[async_trait]
impl ProfileStore for CachedProfiles {
    async fn get(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> Result<Known, ProfileStoreError> {
        if ids.is_empty() {
            return Ok(Known::new());
        }
        let (mut known, unknown) = self.cached(project_id, kind, ids).await;
        if unknown.is_empty() {
            return Ok(known);
        }
        let stored = self.store.get(project_id, kind, &unknown).await?;
        let keep: Vec<_> = unknown.into_iter().map(|id| (id.clone(), stored.get(&id).cloned())).collect();
        if let Err(error) = self.cache.keep(project_id, kind, &keep).await {
            tracing::debug!(%error, "profiles are not kept in their cache");
        }
        known.extend(stored);
        Ok(known)
    }

    async fn put(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        profiles: &[(String, JsonObject)],
    ) -> Result<(), ProfileStoreError> {
        self.store.put(project_id, kind, profiles).await?;
        self.forget(project_id, kind, profiles).await;
        Ok(())
    }

    async fn merge(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        patches: &[(String, JsonObject)],
    ) -> Result<Vec<usize>, ProfileStoreError> {
        let refused = self.store.merge(project_id, kind, patches).await?;
        self.forget(project_id, kind, patches).await;
        Ok(refused)
    }
}
