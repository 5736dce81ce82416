use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{KeyAdmin, KeyLookup, KeyStoreError, KeyUsage, KeyUsageStore};
use gosight_domain::ProjectId;
use gosight_domain::key::{ApiKey, KeyHash};
use gosight_domain::project::Project;
use uuid::Uuid;

/// Projects and keys in memory.
#[derive(Debug, Default)]
pub struct MemoryKeys(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    projects: Vec<Project>,
    keys: Vec<ApiKey>,
}

impl MemoryKeys {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyLookup for MemoryKeys {
    async fn find_key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, KeyStoreError> {
        Ok(self.lock().keys.iter().find(|key| key.hash == *hash).cloned())
    }
}

#[async_trait]
impl KeyAdmin for MemoryKeys {
    async fn create_project(&self, project: &Project) -> Result<bool, KeyStoreError> {
        let mut state = self.lock();
        if state.projects.iter().any(|known| known.project_id == project.project_id) {
            return Ok(false);
        }
        state.projects.push(project.clone());
        state.projects.sort_by(|a, b| a.project_id.cmp(&b.project_id));
        Ok(true)
    }

    async fn list_projects(&self) -> Result<Vec<Project>, KeyStoreError> {
        Ok(self.lock().projects.clone())
    }

    async fn create_key(&self, key: &ApiKey) -> Result<bool, KeyStoreError> {
        let mut state = self.lock();
        if state.keys.iter().any(|known| known.hash == key.hash || known.key_id == key.key_id) {
            return Ok(false);
        }
        state.keys.push(key.clone());
        state.keys.sort_by_key(|key| (key.created_at, key.key_id));
        Ok(true)
    }

    async fn list_keys(&self, project_id: Option<&ProjectId>) -> Result<Vec<ApiKey>, KeyStoreError> {
        let wanted = |key: &&ApiKey| project_id.is_none_or(|project_id| key.project_id == *project_id);
        Ok(self.lock().keys.iter().filter(wanted).cloned().collect())
    }

    async fn revoke_key(&self, key_id: Uuid) -> Result<bool, KeyStoreError> {
        let mut state = self.lock();
        let key = state.keys.iter_mut().find(|key| key.key_id == key_id);
        Ok(key.map(|key| key.is_active = false).is_some())
    }
}

#[async_trait]
impl KeyUsageStore for MemoryKeys {
    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), KeyStoreError> {
        let mut state = self.lock();
        for report in usage {
            if let Some(key) = state.keys.iter_mut().find(|key| key.key_id == report.key_id) {
                key.request_count += report.requests;
                key.last_used_at = key.last_used_at.max(Some(report.last_used_at));
            }
        }
        Ok(())
    }
}
