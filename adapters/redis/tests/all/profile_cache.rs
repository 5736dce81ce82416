//! Profiles on Redis, in front of a store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::Telemetry;
use gosight_application::decorators::CachedProfiles;
use gosight_application::ports::{ProfileKind, ProfileStore, ProfileStoreError};
use gosight_conformance::factory::{object, project};
use gosight_domain::{JsonObject, ProjectId};
use gosight_memory::MemoryProfiles;
use gosight_redis::{Redis, RedisConfig, RedisProfileCache};

use crate::harness::{Server, shared_config, soon, until};

/// A store that counts the profiles that it is asked for.
#[derive(Debug, Default)]
struct Counting {
    profiles: MemoryProfiles,
    asked: AtomicUsize,
}

impl Counting {
    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl ProfileStore for Counting {
    async fn get(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> Result<HashMap<String, JsonObject>, ProfileStoreError> {
        self.asked.fetch_add(ids.len(), Ordering::SeqCst);
        self.profiles.get(project_id, kind, ids).await
    }

    async fn put(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        profiles: &[(String, JsonObject)],
    ) -> Result<(), ProfileStoreError> {
        self.profiles.put(project_id, kind, profiles).await
    }

    async fn merge(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        patches: &[(String, JsonObject)],
    ) -> Result<Vec<usize>, ProfileStoreError> {
        self.profiles.merge(project_id, kind, patches).await
    }
}

/// A process: the profiles of `store` behind what all processes share.
fn process(config: &RedisConfig, store: &Arc<Counting>) -> CachedProfiles {
    let cache = Arc::new(RedisProfileCache::new(Redis::new(config).unwrap()));
    CachedProfiles::new(cache, store.clone(), Telemetry::default())
}

async fn get(profiles: &CachedProfiles, ids: &[&str]) -> HashMap<String, JsonObject> {
    let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    soon(profiles.get(&project("p"), ProfileKind::User, &ids)).await.unwrap()
}

async fn put(profiles: &impl ProfileStore, id: &str, profile: &str) {
    profiles.put(&project("p"), ProfileKind::User, &[(id.to_owned(), object(profile))]).await.unwrap();
}

#[tokio::test]
async fn what_one_process_has_read_another_one_need_not_read() {
    let (config, store) = (shared_config(), Arc::new(Counting::default()));
    let (one, other) = (process(&config, &store), process(&config, &store));
    put(&*store, "u-1", r#"{"plan": "gold", "name": "Ä \n"}"#).await;
    let known = get(&one, &["u-1", "nobody"]).await;
    assert_eq!((known.len(), store.asked()), (1, 2));
    // Also that there is none; in any order, and with others.
    assert_eq!(get(&other, &["nobody", "u-1", "u-2"]).await, known);
    assert_eq!(store.asked(), 1);
    // What is put is seen by all.
    put(&other, "u-1", r#"{"plan": "free"}"#).await;
    assert_eq!(get(&one, &["u-1"]).await["u-1"], object(r#"{"plan": "free"}"#));
    assert_eq!(store.asked(), 1);
}

#[tokio::test]
async fn a_profile_is_believed_for_its_life() {
    let config = RedisConfig { profile_life: Duration::from_millis(50), ..shared_config() };
    let store = Arc::new(Counting::default());
    let profiles = process(&config, &store);
    put(&*store, "u-1", r#"{"plan": "gold"}"#).await;
    get(&profiles, &["u-1"]).await;
    put(&*store, "u-1", r#"{"plan": "free"}"#).await;
    until("the new profile is seen", async || {
        get(&profiles, &["u-1"]).await["u-1"] == object(r#"{"plan": "free"}"#)
    })
    .await;
}

#[tokio::test]
async fn without_redis_the_store_is_read() {
    let server = Server::forgetful();
    let (config, store) = (server.config(), Arc::new(Counting::default()));
    let profiles = process(&config, &store);
    put(&*store, "u-1", r#"{"plan": "gold"}"#).await;
    assert_eq!(get(&profiles, &["u-1"]).await.len(), 1);
    assert_eq!(store.asked(), 1);
    server.kill();
    put(&profiles, "u-1", r#"{"plan": "free"}"#).await;
    assert_eq!(get(&profiles, &["u-1"]).await["u-1"], object(r#"{"plan": "free"}"#));
    assert_eq!(store.asked(), 1);
}
