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
    merging_changes_what_it_names
    merges_at_once_all_count
    a_profile_does_not_grow_without_end
    puts_and_merges_at_once_wait_for_each_other
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

async fn merge(fixture: &ProfileStoreFixture, patches: &[(&str, &str)]) {
    let patches: Vec<_> = patches.iter().map(|(id, patch)| ((*id).to_owned(), object(patch))).collect();
    let refused = fixture.profiles.merge(&project("p"), ProfileKind::User, &patches).await.expect("merge");
    assert!(refused.is_empty(), "{refused:?}");
}

pub async fn merging_changes_what_it_names(fixture: ProfileStoreFixture) {
    put(&fixture, ProfileKind::User, "u", r#"{"a":1.50,"b":2,"c":{"d":1}}"#).await;
    merge(&fixture, &[("u", r#"{"b":null,"c":{"e":2}}"#), ("new", r#"{"a":1}"#), ("u", r#"{"f":"x"}"#)])
        .await;
    let found = get(&fixture, "p", ProfileKind::User, &["u", "new"]).await;
    assert_eq!(found["u"], object(r#"{"a":1.50,"c":{"e":2},"f":"x"}"#));
    assert_eq!(found["new"], object(r#"{"a":1}"#));
    merge(&fixture, &[]).await;
}

pub async fn merges_at_once_all_count(fixture: ProfileStoreFixture) {
    let patches: Vec<String> = (0..10).map(|n| format!(r#"{{"n{n}":{n}}}"#)).collect();
    let merges = patches.iter().map(|patch| async { merge(&fixture, &[("u", patch), ("v", patch)]).await });
    futures::future::join_all(merges).await;
    for id in ["u", "v"] {
        let found = get(&fixture, "p", ProfileKind::User, &[id]).await.remove(id).expect("the profile");
        let members: serde_json::Value = serde_json::from_str(found.as_str()).expect("JSON");
        assert_eq!(members.as_object().map(serde_json::Map::len), Some(10), "{id}: {members}");
    }
}

pub async fn a_profile_does_not_grow_without_end(fixture: ProfileStoreFixture) {
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(40 * 1024));
    let more = format!(r#"{{"b":"{}"}}"#, "x".repeat(40 * 1024));
    let patches = [&*large, r#"{"c":1}"#, &*more, r#"{"d":2}"#];
    let patches: Vec<_> = patches.iter().map(|patch| ("u".to_owned(), object(patch))).collect();
    let refused = fixture.profiles.merge(&project("p"), ProfileKind::User, &patches).await.expect("merge");
    assert_eq!(refused, [2]);
    let found = get(&fixture, "p", ProfileKind::User, &["u"]).await.remove("u").expect("the profile");
    assert_eq!(found, object(&large).patched(&object(r#"{"c":1,"d":2}"#)));
}

pub async fn puts_and_merges_at_once_wait_for_each_other(fixture: ProfileStoreFixture) {
    put(&fixture, ProfileKind::User, "b", "{}").await;
    for round in 0..10 {
        // Some ids are there and others are not, whichever way round.
        let ids = [format!("a{round}"), "b".to_owned(), format!("c{round}")];
        let profile = |id: &String| (id.clone(), object(r#"{"put":1}"#));
        let puts: Vec<_> = ids.iter().map(profile).collect();
        let patches: Vec<(&str, &str)> = ids.iter().rev().map(|id| (&**id, r#"{"merged":1}"#)).collect();
        let (put, ()) = futures::future::join(
            fixture.profiles.put(&project("p"), ProfileKind::User, &puts),
            merge(&fixture, &patches),
        )
        .await;
        put.expect("put");
    }
}
