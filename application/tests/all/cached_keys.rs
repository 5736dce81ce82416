//! Keys from a store, cached.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::decorators::{CachedKeys, CountedKeys, KeyCacheConfig};
use gosight_application::keys::StoredKeys;
use gosight_application::ports::{
    KeyAdmin, KeyError, KeyLookup, KeyStoreError, KeyUsage, KeyUsageStore, KeyValidator, PortError,
};
use gosight_conformance::factory::{NOON, project};
use gosight_domain::key::{ApiKey, Grant, KeyHash, KeyRefusal, PresentedKey, Scope};
use gosight_memory::{ManualClock, MemoryKeys};
use uuid::Uuid;

use crate::support::Numbers;

/// Keys in memory, which can be unavailable.
#[derive(Debug, Default)]
struct Keys {
    known: MemoryKeys,
    is_unavailable: AtomicBool,
    reports: Mutex<Vec<KeyUsage>>,
}

impl Keys {
    fn check(&self) -> Result<(), KeyStoreError> {
        if self.is_unavailable.load(Ordering::SeqCst) {
            Err(KeyStoreError::transient("keys", "gone"))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl KeyLookup for Keys {
    async fn find_key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, KeyStoreError> {
        self.check()?;
        self.known.find_key(hash).await
    }
}

#[async_trait]
impl KeyUsageStore for Keys {
    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), KeyStoreError> {
        self.check()?;
        self.reports.lock().unwrap().extend(usage);
        Ok(())
    }
}

/// Counted keys over cached ones, over a store with the keys 1 and 2, with what tells the time and counts.
struct Fixture {
    store: Arc<Keys>,
    keys: CountedKeys,
    clock: Arc<ManualClock>,
    numbers: Numbers,
}

impl Fixture {
    async fn new() -> Self {
        let store = Arc::new(Keys::default());
        for n in [1, 2] {
            store.known.create_key(&key(n)).await.unwrap();
        }
        let (clock, numbers) = (Arc::new(ManualClock::new(NOON)), Numbers::default());
        let config = KeyCacheConfig { life: Duration::from_hours(1), capacity: 100 };
        let stored = Arc::new(StoredKeys::new(store.clone(), clock.clone()));
        let cached = Arc::new(CachedKeys::new(stored, clock.clone(), config, numbers.telemetry()));
        let keys = CountedKeys::new(cached, store.clone(), clock.clone());
        Self { store, keys, clock, numbers }
    }

    async fn validate(&self, n: u8) -> Result<Grant, KeyError> {
        self.keys.validate(&presented(n)).await
    }

    fn is_unavailable(&self, is_unavailable: bool) {
        self.store.is_unavailable.store(is_unavailable, Ordering::SeqCst);
    }

    /// Hits and misses of the cache.
    fn lookups(&self) -> (u64, u64) {
        (self.numbers.count("key_cache_hits_total"), self.numbers.count("key_cache_misses_total"))
    }

    /// Flushes, and gives what was reported to the store since the last time.
    async fn flush(&self) -> Vec<KeyUsage> {
        self.keys.flush().await.unwrap();
        let mut reports = std::mem::take(&mut *self.store.reports.lock().unwrap());
        reports.sort_by_key(|usage| usage.key_id);
        reports
    }
}

fn presented(n: u8) -> PresentedKey {
    PresentedKey::from_random([n; 24], false)
}

fn key(n: u8) -> ApiKey {
    ApiKey {
        key_id: Uuid::from_u128(n.into()),
        project_id: project("p"),
        name: String::new(),
        hash: presented(n).hash(),
        prefix: presented(n).shown_prefix(),
        scopes: vec![Scope::Ingest],
        is_active: true,
        created_at: NOON,
        expires_at: Some(NOON.plus_millis(1_000)),
        last_used_at: None,
        request_count: 0,
    }
}

fn refusal(result: Result<Grant, KeyError>) -> KeyRefusal {
    match result {
        Err(PortError::Rejected { refused, .. }) => refused,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn usage(n: u8, requests: u64, at_ms: i64) -> KeyUsage {
    KeyUsage { key_id: Uuid::from_u128(n.into()), requests, last_used_at: NOON.plus_millis(at_ms) }
}

#[tokio::test]
async fn a_key_is_looked_up_once_within_its_life() {
    let keys = Fixture::new().await;
    for _ in 0..3 {
        let grant = keys.validate(1).await.unwrap();
        assert_eq!((grant.project_id, grant.scopes), (project("p"), vec![Scope::Ingest]));
    }
    assert_eq!(keys.lookups(), (2, 1));
}

#[tokio::test]
async fn that_a_key_is_unknown_is_cached_too() {
    let keys = Fixture::new().await;
    for _ in 0..3 {
        assert_eq!(refusal(keys.validate(9).await), KeyRefusal::Unknown);
    }
    assert_eq!(keys.lookups(), (2, 1));
}

#[tokio::test]
async fn a_text_too_long_for_a_key_is_not_looked_up() {
    let keys = Fixture::new().await;
    let long = PresentedKey::new("x".repeat(PresentedKey::MAX_BYTES + 1));
    assert_eq!(refusal(keys.keys.validate(&long).await), KeyRefusal::Unknown);
    assert_eq!(keys.lookups(), (0, 0));
}

#[tokio::test]
async fn while_the_store_is_away_cached_keys_work_and_others_cannot_be_checked() {
    let keys = Fixture::new().await;
    keys.validate(1).await.unwrap();
    keys.is_unavailable(true);
    keys.validate(1).await.unwrap();
    for unknown in [2, 9] {
        let error = keys.validate(unknown).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
    // That it could not be checked is not taken for an answer.
    keys.is_unavailable(false);
    keys.validate(2).await.unwrap();
    assert_eq!(keys.lookups(), (1, 4));
}

#[tokio::test]
async fn a_cached_key_expires_by_the_clock() {
    let keys = Fixture::new().await;
    keys.validate(1).await.unwrap();
    keys.clock.advance(999);
    keys.validate(1).await.unwrap();
    keys.clock.advance(1);
    assert_eq!(refusal(keys.validate(1).await), KeyRefusal::Expired);
    assert_eq!(keys.lookups(), (2, 1));
}

#[tokio::test]
async fn a_revoked_key_is_refused_with_the_reason() {
    let keys = Fixture::new().await;
    keys.store.known.revoke_key(key(1).key_id).await.unwrap();
    assert_eq!(refusal(keys.validate(1).await), KeyRefusal::Revoked);
}

#[tokio::test]
async fn use_adds_up_until_it_is_written_down() {
    let keys = Fixture::new().await;
    assert_eq!(keys.flush().await, []);
    for n in [1, 1, 2] {
        keys.validate(n).await.unwrap();
    }
    // A refused key was not used.
    keys.validate(9).await.unwrap_err();
    keys.clock.advance(500);
    keys.validate(1).await.unwrap();
    assert_eq!(keys.flush().await, [usage(1, 3, 500), usage(2, 1, 0)]);
    assert_eq!(keys.flush().await, []);
    keys.validate(2).await.unwrap();
    assert_eq!(keys.flush().await, [usage(2, 1, 500)]);
}

#[tokio::test]
async fn use_that_could_not_be_written_down_is_kept() {
    let keys = Fixture::new().await;
    keys.validate(1).await.unwrap();
    keys.is_unavailable(true);
    assert!(keys.keys.flush().await.unwrap_err().is_transient());
    keys.clock.advance(7);
    keys.validate(1).await.unwrap();
    keys.is_unavailable(false);
    assert_eq!(keys.flush().await, [usage(1, 2, 7)]);
}
