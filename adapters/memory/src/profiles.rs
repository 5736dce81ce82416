use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{ProfileKind, ProfileStore, ProfileStoreError, patch_profiles};
use gosight_domain::{JsonObject, ProjectId};

type Profiles = HashMap<(ProjectId, ProfileKind, String), JsonObject>;

/// Profiles in memory.
#[derive(Debug, Default)]
pub struct MemoryProfiles(Mutex<Profiles>);

impl MemoryProfiles {
    fn lock(&self) -> MutexGuard<'_, Profiles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ProfileStore for MemoryProfiles {
    async fn get(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> Result<HashMap<String, JsonObject>, ProfileStoreError> {
        let profiles = self.lock();
        let find = |id: &String| {
            let profile = profiles.get(&(project_id.clone(), kind, id.clone()))?;
            Some((id.clone(), profile.clone()))
        };
        Ok(ids.iter().filter_map(find).collect())
    }

    async fn put(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        profiles: &[(String, JsonObject)],
    ) -> Result<(), ProfileStoreError> {
        let mut known = self.lock();
        for (id, profile) in profiles {
            known.insert((project_id.clone(), kind, id.clone()), profile.clone());
        }
        Ok(())
    }

    async fn merge(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        patches: &[(String, JsonObject)],
    ) -> Result<Vec<usize>, ProfileStoreError> {
        let mut all = self.lock();
        let key = |id: &String| (project_id.clone(), kind, id.clone());
        let profile = |(id, _): &(String, JsonObject)| Some((id.clone(), all.get(&key(id))?.clone()));
        let mut known: BTreeMap<String, JsonObject> = patches.iter().filter_map(profile).collect();
        let refused = patch_profiles(&mut known, patches);
        all.extend(known.into_iter().map(|(id, profile)| (key(&id), profile)));
        Ok(refused)
    }
}
