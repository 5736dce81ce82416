//! Projects, and what is known of their users and items.

use std::sync::Arc;

use gosight_domain::project::Project;
use gosight_domain::{JsonObject, ProjectId};

use crate::ports::{Clock, KeyAdmin, KeyStoreError, ProfileKind, ProfileStore, ProfileStoreError};

/// Projects, for those who manage them.
#[derive(Debug, Clone)]
pub struct Projects {
    accounts: Arc<dyn KeyAdmin>,
    profiles: Arc<dyn ProfileStore>,
    clock: Arc<dyn Clock>,
}

/// Profiles that are written at once.
const PROFILES_AT_ONCE: usize = 1_000;

impl Projects {
    /// Manages the projects of `accounts` and the `profiles` of their users and items.
    pub fn new(accounts: Arc<dyn KeyAdmin>, profiles: Arc<dyn ProfileStore>, clock: Arc<dyn Clock>) -> Self {
        Self { accounts, profiles, clock }
    }

    /// Makes a project; `false` when there is one with this id.
    ///
    /// # Errors
    /// The store's.
    pub async fn create(&self, project_id: ProjectId, name: String) -> Result<bool, KeyStoreError> {
        let project = Project { project_id, name, created_at: self.clock.now() };
        self.accounts.create_project(&project).await
    }

    /// All projects by id.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self) -> Result<Vec<Project>, KeyStoreError> {
        self.accounts.list_projects().await
    }

    /// Keeps profiles of users or items, each in place of the one before.
    ///
    /// # Errors
    /// The store's; those before the failure are kept.
    pub async fn put_profiles(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        profiles: &[(String, JsonObject)],
    ) -> Result<(), ProfileStoreError> {
        for part in profiles.chunks(PROFILES_AT_ONCE) {
            self.profiles.put(project_id, kind, part).await?;
        }
        Ok(())
    }
}
