//! Suite of `ProfileStore`.

use std::collections::HashMap;
use std::sync::Arc;

use gosight_application::ports::{ProfileKind, ProfileStore};
use gosight_domain::JsonObject;

use crate::{
    Keep,
    factory::{object, project},
    suite,
};

suite! { $ profile_store_suite, profile_store(ProfileStoreFixture):
    known_profiles_are_given_and_unknown_left_out
    putting_replaces_whole_profiles
    kinds_and_projects_are_apart
}

/// A profile store.
pub struct ProfileStoreFixture {
    /// The port.
    pub profiles: Arc<dyn ProfileStore>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

async fn get(
    fixture: &ProfileStoreFixture,
    name: &str,
    kind: ProfileKind,
    ids: &[&str],
) -> HashMap<String, JsonObject> {
    let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    fixture.profiles.get(&project(name), kind, &ids).await.expect("read")
}

async fn put(fixture: &ProfileStoreFixture, kind: ProfileKind, id: &str, profile: &str) {
    let profiles = [(id.to_owned(), object(profile))];
    fixture.profiles.put(&project("p"), kind, &profiles).await.expect("put");
}

pub async fn known_profiles_are_given_and_unknown_left_out(fixture: ProfileStoreFixture) {
    put(&fixture, ProfileKind::User, "u-1", r#"{"type":"premium","skill":0.5}"#).await;
    put(&fixture, ProfileKind::User, "u-2", "{}").await;
    let found = get(&fixture, "p", ProfileKind::User, &["u-1", "u-2", "u-3"]).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found["u-1"], object(r#"{"type":"premium","skill":0.5}"#));
    assert!(get(&fixture, "p", ProfileKind::User, &[]).await.is_empty());
}

pub async fn putting_replaces_whole_profiles(fixture: ProfileStoreFixture) {
    put(&fixture, ProfileKind::Item, "i", r#"{"a":1}"#).await;
    put(&fixture, ProfileKind::Item, "i", r#"{"b":2}"#).await;
    assert_eq!(get(&fixture, "p", ProfileKind::Item, &["i"]).await["i"], object(r#"{"b":2}"#));
}

pub async fn kinds_and_projects_are_apart(fixture: ProfileStoreFixture) {
    put(&fixture, ProfileKind::User, "x", r#"{"a":1}"#).await;
    assert!(get(&fixture, "p", ProfileKind::Item, &["x"]).await.is_empty());
    assert!(get(&fixture, "q", ProfileKind::User, &["x"]).await.is_empty());
}
