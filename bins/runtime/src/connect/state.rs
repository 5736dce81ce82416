//! Live state: marks of known events, sessions, rate limits, accepted chunks, answers about keys.

use std::sync::Arc;

use gosight_application::Telemetry;
#[cfg(feature = "redis")]
use gosight_application::decorators::CachedProfiles;
use gosight_application::decorators::FallbackRateLimiter;
use gosight_application::pipeline::AccountPorts;
#[cfg(feature = "redis")]
use gosight_application::ports::PortError;
use gosight_application::ports::{
    AcceptedChunks, Deduplicator, HealthCheck, RateLimiter, RateLimits, SessionCache, StoredEvents,
};
use gosight_memory::{MemoryAcceptedChunks, MemoryRateLimiter};
#[cfg(feature = "redis")]
use gosight_redis::{
    RedisAcceptedChunks, RedisDeduplicator, RedisKeyCache, RedisProfileCache, RedisRateLimiter, RedisServers,
    RedisSessionCache,
};

use super::ConnectError;
use crate::settings::{Config, StateBackend};

/// Live state, by its backend.
pub(crate) enum State {
    Memory,
    #[cfg(feature = "redis")]
    Redis(Box<RedisServers>),
}

impl State {
    pub(crate) fn open(config: &Config, telemetry: &Telemetry) -> Result<Self, ConnectError> {
        match config.state.backend {
            StateBackend::Memory => Ok(Self::Memory),
            #[cfg(feature = "redis")]
            StateBackend::Redis => {
                let servers = RedisServers::new(&config.redis);
                let servers = servers.map_err(|error| PortError::fatal("redis", error))?;
                Ok(Self::Redis(Box::new(servers.with_telemetry(telemetry))))
            }
            #[cfg(not(feature = "redis"))]
            StateBackend::Redis => Err(super::not_built("state.backend")),
        }
    }

    /// Tells known events apart by marks, and asks `stored` for the rest. `None` where the store has its own way.
    pub(super) fn deduplicator(&self, stored: Arc<dyn StoredEvents>) -> Option<Arc<dyn Deduplicator>> {
        match self {
            Self::Memory => {
                drop(stored);
                None
            }
            #[cfg(feature = "redis")]
            Self::Redis(redis) => Some(Arc::new(RedisDeduplicator::new(redis.marks.clone(), stored))),
        }
    }

    pub(super) fn session_cache(&self) -> Option<Arc<dyn SessionCache>> {
        match self {
            Self::Memory => None,
            #[cfg(feature = "redis")]
            Self::Redis(redis) => Some(Arc::new(RedisSessionCache::new(redis.sessions.clone()))),
        }
    }

    pub(super) fn chunks(&self) -> Arc<dyn AcceptedChunks> {
        match self {
            Self::Memory => Arc::new(MemoryAcceptedChunks::default()),
            #[cfg(feature = "redis")]
            Self::Redis(redis) => Arc::new(RedisAcceptedChunks::new(redis.chunks.clone())),
        }
    }

    pub(super) fn limiter(
        &self,
        limits: RateLimits,
        telemetry: &Telemetry,
        health: &mut Vec<Arc<dyn HealthCheck>>,
    ) -> Arc<dyn RateLimiter> {
        let own: Arc<dyn RateLimiter> = Arc::new(MemoryRateLimiter::new(limits));
        let shared: Arc<dyn RateLimiter> = match self {
            Self::Memory => return own,
            #[cfg(feature = "redis")]
            Self::Redis(redis) => Arc::new(RedisRateLimiter::new(redis.rate_limits.clone(), limits)),
        };
        let limiter = Arc::new(FallbackRateLimiter::new(shared, own, telemetry.clone()));
        health.push(limiter.clone());
        limiter
    }

    /// The accounts with caches that all processes share: of answers about keys, and of profiles.
    #[cfg_attr(not(feature = "redis"), expect(unused_variables, reason = "memory counts nothing"))]
    pub(crate) fn with_caches(&self, accounts: AccountPorts, telemetry: &Telemetry) -> AccountPorts {
        match self {
            Self::Memory => accounts,
            #[cfg(feature = "redis")]
            Self::Redis(redis) => {
                let cache = Arc::new(RedisProfileCache::new(redis.profiles.clone()));
                let profiles = CachedProfiles::new(cache, accounts.profiles, telemetry.clone());
                let redis = redis.keys.clone();
                let link = move |keys, clock| Arc::new(RedisKeyCache::new(redis.clone(), keys, clock)) as _;
                AccountPorts { profiles: Arc::new(profiles), key_link: Some(Arc::new(link)), ..accounts }
            }
        }
    }
}
