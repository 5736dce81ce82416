//! The conformance suites against Redis.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use gosight_application::Telemetry;
use gosight_application::decorators::{CachedKeys, KeyCacheConfig};
use gosight_application::ports::RateLimits;
use gosight_conformance::accepted_chunks::AcceptedChunksFixture;
use gosight_conformance::deduplicator::DeduplicatorFixture;
use gosight_conformance::factory::NOON;
use gosight_conformance::key_validator::KeyValidatorFixture;
use gosight_conformance::rate_limiter::RateLimiterFixture;
use gosight_conformance::session_cache::SessionCacheFixture;
use gosight_memory::{ManualClock, MemoryKeys};
use gosight_redis::{
    Redis, RedisAcceptedChunks, RedisConfig, RedisDeduplicator, RedisKeyCache, RedisRateLimiter,
    RedisSessionCache,
};

use crate::harness::{StoredFake, shared_config, shared_redis};

mod accepted_chunks {
    gosight_conformance::accepted_chunks_suite!(super::accepted_chunks);
}
mod session_cache {
    gosight_conformance::session_cache_suite!(super::session_cache);
}
mod deduplicator {
    gosight_conformance::deduplicator_suite!(super::deduplicator);
}
mod rate_limiter {
    gosight_conformance::rate_limiter_suite!(super::rate_limiter);
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
    let stored = Arc::new(StoredFake::default());
    DeduplicatorFixture {
        deduplicator: Arc::new(RedisDeduplicator::new(shared_redis(), stored)),
        keep: Box::new(()),
    }
}

async fn rate_limiter() -> RateLimiterFixture {
    let limits =
        RateLimits { events_per_second: NonZeroU32::new(1).unwrap(), burst: NonZeroU32::new(10).unwrap() };
    RateLimiterFixture {
        limiter: Arc::new(RedisRateLimiter::new(shared_redis(), limits)),
        keep: Box::new(()),
    }
}

async fn key_validator() -> KeyValidatorFixture {
    let keys = Arc::new(MemoryKeys::default());
    let life = Duration::from_millis(200);
    let clock = Arc::new(ManualClock::new(NOON));
    let local = KeyCacheConfig { life, capacity: 100 };
    let validator = Arc::new(CachedKeys::new(keys.clone(), clock, local, Telemetry::default()));
    let config = RedisConfig { key_life: life, refused_key_life: life, ..shared_config() };
    let redis = Redis::new(&config).unwrap();
    KeyValidatorFixture {
        validator: Arc::new(RedisKeyCache::new(redis, validator)),
        keys,
        keep: Box::new(()),
    }
}
