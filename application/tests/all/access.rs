//! From a key to proof of a scope.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::access::{Access, AccessError};
use gosight_application::ports::{Effect, KeyError, KeyValidator, PortError};
use gosight_conformance::factory::project;
use gosight_domain::key::{Grant, Ingest, KeyRefusal, PresentedKey, Read, Scope};
use mockall::mock;
use uuid::Uuid;

mock! {
    #[derive(Debug)]
    Keys {}

    #[async_trait]
    impl KeyValidator for Keys {
        async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError>;
    }
}

fn access(answer: impl Fn() -> Result<Grant, KeyError> + Send + Sync + 'static) -> Access {
    let mut keys = MockKeys::new();
    keys.expect_validate().returning(move |_| answer());
    Access::new(Arc::new(keys))
}

fn reader() -> Grant {
    Grant {
        key_id: Uuid::from_u128(1),
        project_id: project("p"),
        scopes: vec![Scope::Read],
        expires_at: None,
    }
}

fn key() -> PresentedKey {
    PresentedKey::new("gs_live_0123456789abcdef")
}

#[tokio::test]
async fn a_key_proves_its_scopes_and_no_others() {
    let access = access(|| Ok(reader()));
    let proof = access.require::<Read>(Some(&key())).await.unwrap();
    assert_eq!(*proof.project_id(), project("p"));
    match access.require::<Ingest>(Some(&key())).await {
        Err(AccessError::MissingScope(missing)) => assert_eq!(missing.needed, Scope::Ingest),
        other => panic!("expected that the scope is missing, got {other:?}"),
    }
}

#[tokio::test]
async fn no_key_is_not_looked_up() {
    let access = access(|| panic!("there is nothing to look up"));
    assert!(matches!(access.require::<Read>(None).await, Err(AccessError::MissingKey)));
}

#[tokio::test]
async fn a_refused_key_says_why() {
    let access = access(|| Err(PortError::Rejected { adapter: "keys", refused: KeyRefusal::Expired }));
    let error = access.require::<Read>(Some(&key())).await.unwrap_err();
    assert!(matches!(error, AccessError::Refused(KeyRefusal::Expired)), "{error}");
}

#[tokio::test]
async fn a_key_that_cannot_be_checked_is_not_refused() {
    let wait = Some(Duration::from_secs(1));
    let busy = move || {
        let source = "gone".into();
        Err(PortError::Transient { adapter: "keys", effect: Effect::None, retry_after: wait, source })
    };
    let error = access(busy).grant(Some(&key())).await.unwrap_err();
    assert!(matches!(error, AccessError::Unavailable { retry_after, .. } if retry_after == wait), "{error}");
    let broken = access(|| Err(KeyError::fatal("keys", "no such table")));
    let error = broken.grant(Some(&key())).await.unwrap_err();
    assert!(matches!(error, AccessError::Unavailable { retry_after: None, .. }), "{error}");
}
