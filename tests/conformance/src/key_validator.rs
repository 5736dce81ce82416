//! Suite of `KeyValidator`.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::ports::{KeyStore, KeyValidator, PortError};
use gosight_domain::key::{ApiKey, Grant, KeyRefusal, PresentedKey, Scope};

use crate::key_store::{add_project, key, presented};
use crate::{
    Keep,
    factory::{NOON, project},
    suite,
};

suite! { $ key_validator_suite, key_validator:
    a_good_key_gives_its_grant
    no_part_of_a_key_is_let_in
    an_expired_key_is_refused
    a_revocation_is_seen_within_the_life_of_the_cache
    a_new_key_is_seen_within_the_life_of_the_cache
}

/// A validator over a store without projects. Its clock stands at [`NOON`], and its cache lives shorter than a second.
pub struct KeyValidatorFixture {
    /// The port.
    pub validator: Arc<dyn KeyValidator>,
    /// Where its keys are.
    pub keys: Arc<dyn KeyStore>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

async fn add(fixture: &KeyValidatorFixture, key: &ApiKey) {
    add_project(&*fixture.keys, "p").await;
    fixture.keys.create_key(key).await.expect("created");
}

async fn validate(fixture: &KeyValidatorFixture, key: &PresentedKey) -> Result<Grant, KeyRefusal> {
    match fixture.validator.validate(key).await {
        Ok(grant) => Ok(grant),
        Err(PortError::Rejected { refused, .. }) => Err(refused),
        Err(error) => panic!("{error}"),
    }
}

async fn wait_for(
    fixture: &KeyValidatorFixture,
    key: &PresentedKey,
    wanted: impl Fn(&Result<Grant, KeyRefusal>) -> bool,
) {
    let seen = async {
        while !wanted(&validate(fixture, key).await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), seen).await.expect("seen in time");
}

pub async fn a_good_key_gives_its_grant(fixture: KeyValidatorFixture) {
    add(&fixture, &key(1)).await;
    let grant = validate(&fixture, &presented(1)).await.expect("granted");
    assert_eq!(grant.project_id, project("p"));
    assert_eq!(grant.scopes, [Scope::Ingest, Scope::Read]);
    assert_eq!(grant.key_id, key(1).key_id);
}

pub async fn no_part_of_a_key_is_let_in(fixture: KeyValidatorFixture) {
    add(&fixture, &key(1)).await;
    let good = presented(1);
    validate(&fixture, &good).await.expect("granted, and in the cache now");
    let text = good.reveal();
    let parts = ["", "a", &text[..3], &text[..12], &text[..text.len() - 1]];
    let others = [format!("{text}0"), format!(" {text}"), text.to_uppercase(), "x".repeat(100_000)];
    for other in parts.into_iter().map(str::to_owned).chain(others) {
        let refusal = validate(&fixture, &PresentedKey::new(other.clone())).await;
        assert_eq!(refusal, Err(KeyRefusal::Unknown), "{other}");
    }
}

pub async fn an_expired_key_is_refused(fixture: KeyValidatorFixture) {
    add(&fixture, &ApiKey { expires_at: Some(NOON), ..key(1) }).await;
    assert_eq!(validate(&fixture, &presented(1)).await, Err(KeyRefusal::Expired));
}

pub async fn a_revocation_is_seen_within_the_life_of_the_cache(fixture: KeyValidatorFixture) {
    add(&fixture, &key(1)).await;
    validate(&fixture, &presented(1)).await.expect("granted");
    fixture.keys.revoke_key(key(1).key_id).await.expect("revoked");
    wait_for(&fixture, &presented(1), |found| *found == Err(KeyRefusal::Revoked)).await;
}

pub async fn a_new_key_is_seen_within_the_life_of_the_cache(fixture: KeyValidatorFixture) {
    assert_eq!(validate(&fixture, &presented(1)).await, Err(KeyRefusal::Unknown));
    add(&fixture, &key(1)).await;
    wait_for(&fixture, &presented(1), Result::is_ok).await;
}
