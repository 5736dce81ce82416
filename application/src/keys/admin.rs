use std::sync::Arc;
use std::time::Duration;

use gosight_domain::key::{ApiKey, PresentedKey, Scope};
use gosight_domain::project::Project;
use gosight_domain::{ProjectId, Timestamp};
use rand::Rng as _;
use uuid::Uuid;

use crate::ports::{Clock, KeyAdmin, KeyStoreError};

/// Projects and their keys, for those who manage them.
#[derive(Debug, Clone)]
pub struct Keys {
    keys: Arc<dyn KeyAdmin>,
    clock: Arc<dyn Clock>,
}

/// A key that is wanted.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// The project that it is for, made if there is none.
    pub project_id: ProjectId,
    /// What it is for, in the words of who asks.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it ends, from now.
    pub expires_in: Option<Duration>,
    /// Whether it starts with `gs_test_` instead of `gs_live_`.
    pub is_test: bool,
}

/// A key that was made. It is shown this once and stored nowhere.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The key.
    pub key: PresentedKey,
    /// What is stored of it.
    pub stored: ApiKey,
}

impl Keys {
    /// Manages `keys`.
    pub fn new(keys: Arc<dyn KeyAdmin>, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock }
    }

    /// Makes a key, and its project if there is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn create(&self, request: KeyRequest) -> Result<NewKey, KeyStoreError> {
        let now = self.clock.now();
        let KeyRequest { project_id, name, scopes, expires_in, is_test } = request;
        let project =
            Project { project_id: project_id.clone(), name: project_id.to_string(), created_at: now };
        self.keys.create_project(&project).await?;
        let key = random_key(is_test);
        let life_ms = expires_in.map(|life| i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let expires_at = life_ms.map(|life_ms| now.plus_millis(life_ms));
        let stored = ApiKey { expires_at, ..api_key(&key, project_id, &name, scopes, now) };
        self.keys.create_key(&stored).await?;
        Ok(NewKey { key, stored })
    }

    /// The keys of one project, or of all, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, project_id: Option<&ProjectId>) -> Result<Vec<ApiKey>, KeyStoreError> {
        self.keys.list_keys(project_id).await
    }

    /// Revokes a key; `false` when there is none. It is refused once the caches before it have forgotten it.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoke(&self, key_id: Uuid) -> Result<bool, KeyStoreError> {
        self.keys.revoke_key(key_id).await
    }

    /// All projects by id.
    ///
    /// # Errors
    /// The store's.
    pub async fn projects(&self) -> Result<Vec<Project>, KeyStoreError> {
        self.keys.list_projects().await
    }
}

/// A key of 192 random bits.
pub(super) fn random_key(is_test: bool) -> PresentedKey {
    let mut random = [0; 24];
    rand::rng().fill_bytes(&mut random);
    PresentedKey::from_random(random, is_test)
}

/// What is stored of `key`.
pub(super) fn api_key(
    key: &PresentedKey,
    project_id: ProjectId,
    name: &str,
    scopes: Vec<Scope>,
    now: Timestamp,
) -> ApiKey {
    ApiKey {
        key_id: Uuid::from_u128(rand::random()),
        project_id,
        name: name.to_owned(),
        hash: key.hash(),
        prefix: key.shown_prefix(),
        scopes,
        is_active: true,
        created_at: now,
        expires_at: None,
        last_used_at: None,
        request_count: 0,
    }
}
