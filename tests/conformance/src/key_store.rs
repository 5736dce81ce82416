//! Suite of `KeyLookup`, `KeyAdmin` and `KeyUsageStore`, which one store has.

use std::sync::Arc;

use gosight_application::ports::{KeyAdmin, KeyLookup, KeyUsage, KeyUsageStore};
use gosight_domain::key::{ApiKey, PresentedKey, Scope};
use gosight_domain::project::Project;
use uuid::Uuid;

use crate::{
    Keep,
    factory::{NOON, project},
    suite,
};

suite! { $ key_store_suite, key_store(KeyStoreFixture):
    a_key_is_found_by_its_whole_hash
    creating_twice_changes_nothing
    a_revoked_key_stays_and_is_not_active
    keys_are_listed_by_project_oldest_first
    usage_adds_up_and_never_goes_back
}

/// All ports of a store of keys.
pub trait KeyStore: KeyAdmin + KeyLookup + KeyUsageStore {}

impl<T: KeyAdmin + KeyLookup + KeyUsageStore> KeyStore for T {}

/// A key store with no projects.
pub struct KeyStoreFixture {
    /// The ports.
    pub keys: Arc<dyn KeyStore>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

/// The key made of the byte `n`.
pub fn presented(n: u8) -> PresentedKey {
    PresentedKey::from_random([n; 24], true)
}

/// A key of project `p`, made `n` ms after noon.
pub fn key(n: u8) -> ApiKey {
    ApiKey {
        key_id: Uuid::from_u128(u128::from(n)),
        project_id: project("p"),
        name: format!("key {n}"),
        hash: presented(n).hash(),
        prefix: presented(n).shown_prefix(),
        scopes: vec![Scope::Ingest, Scope::Read],
        is_active: true,
        created_at: NOON.plus_millis(n.into()),
        expires_at: Some(NOON.plus_millis(1_000)),
        last_used_at: None,
        request_count: 0,
    }
}

/// Adds the project `name`.
pub async fn add_project(keys: &dyn KeyAdmin, name: &str) -> bool {
    let project = Project { project_id: project(name), name: name.into(), created_at: NOON };
    keys.create_project(&project).await.expect("created")
}

async fn add(fixture: &KeyStoreFixture, key: &ApiKey) -> bool {
    add_project(&*fixture.keys, key.project_id.as_str()).await;
    fixture.keys.create_key(key).await.expect("created")
}

pub async fn a_key_is_found_by_its_whole_hash(fixture: KeyStoreFixture) {
    let unlimited = ApiKey { expires_at: None, scopes: vec![Scope::Admin], ..key(2) };
    assert!(add(&fixture, &key(1)).await && add(&fixture, &unlimited).await);
    let find = async |n: u8| fixture.keys.find_key(&presented(n).hash()).await.expect("read");
    assert_eq!(find(1).await, Some(key(1)));
    assert_eq!(find(2).await, Some(unlimited));
    assert_eq!(find(3).await, None);
}

pub async fn creating_twice_changes_nothing(fixture: KeyStoreFixture) {
    assert!(add_project(&*fixture.keys, "p").await);
    assert!(!add_project(&*fixture.keys, "p").await);
    assert!(add_project(&*fixture.keys, "a").await);
    let projects = fixture.keys.list_projects().await.expect("listed");
    assert_eq!(projects.iter().map(|p| p.project_id.as_str()).collect::<Vec<_>>(), ["a", "p"]);

    assert!(add(&fixture, &key(1)).await);
    let same_hash = ApiKey { key_id: Uuid::from_u128(99), name: "other".into(), ..key(1) };
    assert!(!add(&fixture, &same_hash).await);
    assert_eq!(fixture.keys.list_keys(None).await.expect("listed"), [key(1)]);
}

pub async fn a_revoked_key_stays_and_is_not_active(fixture: KeyStoreFixture) {
    add(&fixture, &key(1)).await;
    assert!(fixture.keys.revoke_key(key(1).key_id).await.expect("revoked"));
    assert!(!fixture.keys.revoke_key(Uuid::from_u128(77)).await.expect("no such key"));
    let found = fixture.keys.find_key(&key(1).hash).await.expect("read");
    assert_eq!(found, Some(ApiKey { is_active: false, ..key(1) }));
}

pub async fn keys_are_listed_by_project_oldest_first(fixture: KeyStoreFixture) {
    let theirs = ApiKey { project_id: project("q"), ..key(2) };
    for key in [&key(3), &theirs, &key(1)] {
        add(&fixture, key).await;
    }
    let mine = fixture.keys.list_keys(Some(&project("p"))).await.expect("listed");
    assert_eq!(mine, [key(1), key(3)]);
    assert_eq!(fixture.keys.list_keys(None).await.expect("listed"), [key(1), theirs, key(3)]);
}

pub async fn usage_adds_up_and_never_goes_back(fixture: KeyStoreFixture) {
    add(&fixture, &key(1)).await;
    for (requests, at) in [(3, 500), (2, 400)] {
        let usage = KeyUsage { key_id: key(1).key_id, requests, last_used_at: NOON.plus_millis(at) };
        fixture.keys.record_usage(&[usage]).await.expect("recorded");
    }
    let found = fixture.keys.find_key(&key(1).hash).await.expect("read").expect("there");
    assert_eq!(found.request_count, 5);
    assert_eq!(found.last_used_at, Some(NOON.plus_millis(500)));
}
