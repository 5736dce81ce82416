//! A key validator of your own: here one that lets in those whose token another service gave out.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use gosight::{Gosight, ReplaceParts as _};
use gosight_application::ports::{KeyError, KeyValidator, PortError};
use gosight_domain::ProjectId;
use gosight_domain::key::{Grant, KeyHash, KeyRefusal, PresentedKey, Scope};
use uuid::Uuid;

/// Tokens by their hash, so that nothing tells how much of a wrong one was right. A real one may ask the other service;
/// it answers `Transient` when that is unavailable, and the cache of the pipeline spares it most questions.
#[derive(Debug)]
struct Tokens(HashMap<KeyHash, Grant>);

#[async_trait]
impl KeyValidator for Tokens {
    async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError> {
        let unknown = PortError::Rejected { adapter: "tokens", refused: KeyRefusal::Unknown };
        self.0.get(&key.hash()).cloned().ok_or(unknown)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let token = PresentedKey::new("token-of-the-other-service");
    let grant = Grant {
        key_id: Uuid::from_u128(1),
        project_id: ProjectId::new("shop")?,
        scopes: vec![Scope::Ingest],
        expires_at: None,
    };
    let gosight = Gosight::builder()
        .data_dir(dir.path())
        .without_http()
        .with_keys(Arc::new(Tokens(HashMap::from([(token.hash(), grant)]))))
        .start()
        .await?;

    // As the HTTP server asks for each request that comes with a key.
    let granted = gosight.access().grant(Some(&token)).await?;
    assert_eq!(granted.project_id.as_str(), "shop");
    let refused = gosight.access().grant(Some(&PresentedKey::new("another"))).await;
    println!("the token opens {}; another one: {:?}", granted.project_id, refused.map_err(|e| e.to_string()));
    gosight.stop().await?;
    Ok(())
}
