use gosight_domain::key::{PresentedKey, Scope};
use gosight_domain::project::Project;
use gosight_domain::{ProjectId, Violation};

use super::admin::{api_key, random_key};
use crate::ports::{Clock, KeyAdmin, KeyStoreError};

/// Keys that an operator chose for the project `default`.
#[derive(Debug, Clone, Default)]
pub struct BootstrapKeys {
    /// May send.
    pub ingest: Option<PresentedKey>,
    /// May ask.
    pub read: Option<PresentedKey>,
    /// May do everything.
    pub admin: Option<PresentedKey>,
}

/// Keys that were made at the first start. They are shown once and stored nowhere.
#[derive(Debug, Clone)]
pub struct NewKeys {
    /// May send.
    pub ingest: PresentedKey,
    /// May ask.
    pub read: PresentedKey,
    /// May do everything.
    pub admin: PresentedKey,
}

/// Id of the project that the first start makes.
pub const DEFAULT_PROJECT: &str = "default";

/// Why the first project could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// A chosen key is no good.
    #[error("the {} key {}", .scope.as_str(), .violation.reason)]
    BadKey {
        /// Which one.
        scope: Scope,
        /// What is wrong.
        violation: Violation,
    },
    /// An id is no good.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] KeyStoreError),
}

/// Makes the project `default`, if there is no project, with the chosen keys or with new ones. Chosen keys are added at
/// any start. Gives the new keys, if any.
///
/// # Errors
/// [`BootstrapError`] for a chosen key that is no good, or a store that fails.
pub async fn bootstrap(
    store: &dyn KeyAdmin,
    clock: &dyn Clock,
    chosen: &BootstrapKeys,
) -> Result<Option<NewKeys>, BootstrapError> {
    let now = clock.now();
    let project_id = ProjectId::new(DEFAULT_PROJECT)?;
    let project = Project { project_id: project_id.clone(), name: "Default".to_owned(), created_at: now };
    let chosen_keys: Vec<(Scope, &PresentedKey)> =
        [(Scope::Ingest, &chosen.ingest), (Scope::Read, &chosen.read), (Scope::Admin, &chosen.admin)]
            .into_iter()
            .filter_map(|(scope, key)| Some((scope, key.as_ref()?)))
            .collect();
    for (scope, key) in &chosen_keys {
        key.check_chosen().map_err(|violation| BootstrapError::BadKey { scope: *scope, violation })?;
    }
    let add = async |scope: Scope, key: &PresentedKey| {
        let name = format!("{} key of the first start", scope.as_str());
        store.create_key(&api_key(key, project_id.clone(), &name, scopes_of(scope), now)).await
    };
    let is_first_start = store.list_projects().await?.is_empty();
    if !chosen_keys.is_empty() {
        store.create_project(&project).await?;
        for (scope, key) in chosen_keys {
            add(scope, key).await?;
        }
        return Ok(None);
    }
    if !is_first_start {
        return Ok(None);
    }
    let keys = NewKeys { ingest: random_key(false), read: random_key(false), admin: random_key(false) };
    for (scope, key) in
        [(Scope::Ingest, &keys.ingest), (Scope::Read, &keys.read), (Scope::Admin, &keys.admin)]
    {
        add(scope, key).await?;
    }
    // Last: a start that ends before this is still the first one.
    store.create_project(&project).await?;
    Ok(Some(keys))
}

/// The admin key may do everything; the others one thing.
fn scopes_of(scope: Scope) -> Vec<Scope> {
    match scope {
        Scope::Admin => Scope::ALL.to_vec(),
        one => vec![one],
    }
}
