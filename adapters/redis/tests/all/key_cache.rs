//! What is special to answers about keys on Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_redis::redis::cmd;
use gosight_application::ports::{KeyError, KeyValidator, PortError};
use gosight_conformance::factory::{NOON, project};
use gosight_domain::key::{Grant, KeyRefusal, PresentedKey, Scope};
use gosight_memory::ManualClock;
use gosight_redis::{Redis, RedisConfig, RedisKeyCache};
use uuid::Uuid;

use crate::harness::{Server, keys, raw, shared_config, soon, until};

const GOOD: &str = "gs_live_0123456789abcdef";
const REVOKED: &str = "gs_live_revoked_revoked_";
const UNAVAILABLE: &str = "gs_live_cannot_be_asked_";

/// A validator that counts how often it is asked.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

#[async_trait]
impl KeyValidator for Counting {
    async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        match key.reveal() {
            GOOD => Ok(grant()),
            UNAVAILABLE => Err(PortError::transient("keys", "unavailable")),
            REVOKED => Err(PortError::Rejected { adapter: "keys", refused: KeyRefusal::Revoked }),
            _ => Err(PortError::Rejected { adapter: "keys", refused: KeyRefusal::Unknown }),
        }
    }
}

fn grant() -> Grant {
    Grant {
        key_id: Uuid::from_u128(7),
        project_id: project("p"),
        scopes: vec![Scope::Ingest, Scope::Admin],
        expires_at: Some(NOON.plus_millis(1_000)),
    }
}

fn cache(config: &RedisConfig) -> (RedisKeyCache, Arc<Counting>) {
    cache_at(config, Arc::new(ManualClock::new(NOON)))
}

fn cache_at(config: &RedisConfig, clock: Arc<ManualClock>) -> (RedisKeyCache, Arc<Counting>) {
    let validator = Arc::new(Counting::default());
    (RedisKeyCache::new(Redis::new(config).unwrap(), validator.clone(), clock), validator)
}

async fn ask(cache: &RedisKeyCache, key: &str) -> Result<Grant, Option<KeyRefusal>> {
    soon(cache.validate(&PresentedKey::from(key))).await.map_err(|error| match error {
        PortError::Rejected { refused, .. } => Some(refused),
        _ => None,
    })
}

#[tokio::test]
async fn answers_of_one_process_serve_the_others() {
    let config = shared_config();
    let (one, asked_by_one) = cache(&config);
    let (two, asked_by_two) = cache(&config);
    for (key, answer) in [
        (GOOD, Ok(grant())),
        (REVOKED, Err(Some(KeyRefusal::Revoked))),
        ("gs_live_nobody_knows_it", Err(Some(KeyRefusal::Unknown))),
    ] {
        for cache in [&one, &two, &one] {
            assert_eq!(ask(cache, key).await, answer);
        }
    }
    assert_eq!((asked_by_one.0.load(Ordering::SeqCst), asked_by_two.0.load(Ordering::SeqCst)), (3, 0));
}

#[tokio::test]
async fn a_failure_is_no_answer() {
    let server = Server::forgetful();
    let config = server.config();
    let (cache, asked) = cache(&config);
    for _ in 0..3 {
        assert_eq!(ask(&cache, UNAVAILABLE).await, Err(None));
    }
    assert_eq!(asked.0.load(Ordering::SeqCst), 3);
    assert!(keys(&config).await.is_empty());
}

#[tokio::test]
async fn no_key_is_stored_and_answers_leave() {
    let server = Server::forgetful();
    let life = Duration::from_secs(40);
    let config = RedisConfig { key_life: life, refused_key_life: life / 2, ..server.config() };
    let (cache, _) = cache(&config);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for (key, most_ms) in [(GOOD, 40_000), (REVOKED, 20_000)] {
        let _ = ask(&cache, key).await;
        let mut raw = raw(&config).await;
        let places = keys(&config).await;
        assert_eq!(places.len(), 1, "the answer is kept");
        for place in places {
            let value: Vec<u8> = cmd("GET").arg(&place).query_async(&mut raw).await.unwrap();
            assert!(!text(&place).contains("gs_live") && !text(&value).contains("gs_live"));
            assert_eq!(place.len(), config.prefix.len() + "key:".len() + 32);
            let life: i64 = cmd("PTTL").arg(&place).query_async(&mut raw).await.unwrap();
            assert!(life > 0 && life <= most_ms, "{life}");
            cmd("DEL").arg(&place).exec_async(&mut raw).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_kept_grant_ends_with_its_key() {
    let clock = Arc::new(ManualClock::new(NOON));
    let (cache, asked) = cache_at(&shared_config(), clock.clone());
    assert_eq!(ask(&cache, GOOD).await, Ok(grant()));
    clock.advance(999);
    assert_eq!(ask(&cache, GOOD).await, Ok(grant()));
    clock.advance(1);
    assert_eq!(ask(&cache, GOOD).await, Err(Some(KeyRefusal::Expired)));
    assert_eq!(asked.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_asked_again() {
    let server = Server::forgetful();
    let config = server.config();
    let (cache, asked) = cache(&config);
    assert_eq!(ask(&cache, GOOD).await, Ok(grant()));
    let [place] = keys(&config).await.try_into().unwrap();
    cmd("SET").arg(&place).arg("nonsense").exec_async(&mut raw(&config).await).await.unwrap();
    assert_eq!(ask(&cache, GOOD).await, Ok(grant()));
    assert_eq!(asked.0.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_validator_is_asked() {
    let server = Server::forgetful();
    let (cache, asked) =
        cache(&RedisConfig { request_timeout: Duration::from_millis(100), ..server.config() });
    assert_eq!(ask(&cache, GOOD).await, Ok(grant()));
    server.pause();
    assert_eq!(ask(&cache, GOOD).await, Ok(grant()));
    server.resume();
    server.kill();
    assert_eq!(ask(&cache, GOOD).await, Ok(grant()));
    assert_eq!(ask(&cache, REVOKED).await, Err(Some(KeyRefusal::Revoked)));
    assert!(asked.0.load(Ordering::SeqCst) >= 4);
    server.start_again();
    until("answers are shared again", async || {
        let before = asked.0.load(Ordering::SeqCst);
        ask(&cache, GOOD).await.is_ok() && asked.0.load(Ordering::SeqCst) == before
    })
    .await;
}
