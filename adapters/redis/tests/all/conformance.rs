//! The conformance suites against Redis.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use gosight_application::Telemetry;
use gosight_application::decorators::{CachedKeys, CachedProfiles, CountedKeys, KeyCacheConfig};
use gosight_application::ports::{Deduplicator, RateLimits};
use gosight_conformance::Keep;
use gosight_conformance::accepted_chunks::AcceptedChunksFixture;
use gosight_conformance::deduplicator::DeduplicatorFixture;
use gosight_conformance::key_validator::KeyValidatorFixture;
use gosight_conformance::profile_store::ProfileStoreFixture;
use gosight_conformance::rate_limiter::RateLimiterFixture;
use gosight_conformance::session_cache::SessionCacheFixture;
use gosight_memory::{MemoryKeys, MemoryProfiles, MemoryStore};
use gosight_redis::{
    Redis, RedisAcceptedChunks, RedisConfig, RedisDeduplicator, RedisKeyCache, RedisProfileCache,
    RedisRateLimiter, RedisSessionCache,
};

use crate::harness::{shared_config, shared_redis};

mod accepted_chunks {
    gosight_conformance::accepted_chunks_suite!(super::accepted_chunks);
}
mod session_cache {
    gosight_conformance::session_cache_suite!(super::session_cache);
}
mod deduplicator {
    gosight_conformance::deduplicator_suite!(super::deduplicator);
}
mod profile_store {
    gosight_conformance::profile_store_suite!(super::profiles);
}
mod rate_limiter {
    gosight_conformance::rate_limiter_suite!(super::rate_limiter);
}
mod shared_key_validator {
    gosight_conformance::key_validator_suite!(super::shared_key_validator);
}
mod key_validator {
    gosight_conformance::key_validator_suite!(super::key_validator);
}

async fn accepted_chunks() -> AcceptedChunksFixture {
    AcceptedChunksFixture { chunks: Arc::new(RedisAcceptedChunks::new(shared_redis())), keep: Box::new(()) }
}

async fn session_cache() -> SessionCacheFixture {
    SessionCacheFixture { cache: Arc::new(RedisSessionCache::new(shared_redis())), keep: Box::new(()) }
}

async fn deduplicator() -> DeduplicatorFixture {
    let store = Arc::new(MemoryStore::default());
    let config = shared_config();
    let open = {
        let store = store.clone();
        move || Arc::new(RedisDeduplicator::new(Redis::new(&config).unwrap(), store.clone()))
    };
    DeduplicatorFixture {
        deduplicator: open(),
        store,
        open_again: Box::new(move || {
            Box::pin(async move { (open() as Arc<dyn Deduplicator>, Box::new(()) as Keep) })
        }),
        keep: Box::new(()),
    }
}

async fn profiles() -> ProfileStoreFixture {
    let cache = Arc::new(RedisProfileCache::new(shared_redis()));
    let profiles = CachedProfiles::new(cache, Arc::new(MemoryProfiles::default()), Telemetry::default());
    ProfileStoreFixture { profiles: Arc::new(profiles), keep: Box::new(()) }
}

async fn rate_limiter() -> RateLimiterFixture {
    let limits =
        RateLimits { events_per_second: NonZeroU32::new(1).unwrap(), burst: NonZeroU32::new(10).unwrap() };
    RateLimiterFixture {
        limiter: Arc::new(RedisRateLimiter::new(shared_redis(), limits)),
        keep: Box::new(()),
    }
}

/// A chain as the binaries have it: a counter, a cache of the process, the shared cache, the stored keys.
async fn key_validator() -> KeyValidatorFixture {
    let keys = Arc::new(MemoryKeys::default());
    KeyValidatorFixture::over(keys.clone(), Box::new(()), |stored, clock| {
        let life = Duration::from_millis(200);
        let config = RedisConfig { key_life: life, refused_key_life: life, ..shared_config() };
        let shared = Arc::new(RedisKeyCache::new(Redis::new(&config).unwrap(), stored, clock.clone()));
        let local = KeyCacheConfig { life, capacity: 100 };
        let cached = Arc::new(CachedKeys::new(shared, clock.clone(), local, Telemetry::default()));
        Arc::new(CountedKeys::new(cached, keys, clock))
    })
}

async fn shared_key_validator() -> KeyValidatorFixture {
    KeyValidatorFixture::over(Arc::new(MemoryKeys::default()), Box::new(()), |stored, clock| {
        let life = Duration::from_millis(200);
        let config = RedisConfig { key_life: life, refused_key_life: life, ..shared_config() };
        Arc::new(RedisKeyCache::new(Redis::new(&config).unwrap(), stored, clock))
    })
}
