//! Live state on Redis: folds of live sessions, marks of known events, rate limits, answers about keys, and profiles.
//!
//! | type | port | when Redis loses everything |
//! | --- | --- | --- |
//! | [`RedisSessionCache`] | `SessionCache` | sessions are read from the store again |
//! | [`RedisDeduplicator`] | `Deduplicator` | the stored events are asked, until the marks are complete again |
//! | [`RedisRateLimiter`] | `RateLimiter` | buckets are full again |
//! | [`RedisKeyCache`] | `KeyValidator` | the validator behind it is asked |
//! | [`RedisProfileCache`] | `ProfileCache` | profiles are read from their store |
//! | [`RedisAcceptedChunks`] | `AcceptedChunks` | a replay chunk in conflict is found when it is processed |
//!
//! Nothing here is the only copy of anything. A batch is one round trip, however many events it has, after the pool's
//! check that its connection lives.
//!
//! Needs Redis 7.0 or Valkey. Every script call touches the keys of one hash tag only (a partition of a log, or one of 16
//! buckets of marks), as a cluster asks for; the client itself does not follow a cluster's redirections, so a cluster
//! has to be reached through an endpoint that hides them. A user with restricted rights needs `@scripting`, `@connection`
//! and `INFO` beside reading and writing the keys of the prefix.
//!
//! ```no_run
//! use std::sync::Arc;
//! use gosight_redis::{Redis, RedisConfig, RedisSessionCache};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = RedisConfig { url: "redis://127.0.0.1".into(), ..RedisConfig::default() };
//! let redis = Redis::new(&config)?;
//! let sessions = RedisSessionCache::new(redis.clone());
//! # Ok(())
//! # }
//! ```

mod accepted_chunks;
mod client;
mod config;
mod deduplicator;
mod error;
mod guarded;
mod key_cache;
mod profile_cache;
mod rate_limiter;
mod server_info;
mod servers;
mod session_cache;

pub use accepted_chunks::RedisAcceptedChunks;
pub use client::Redis;
pub use config::{ConfigError, RedisConfig, RedisPlace, RedisUrl};
pub use deduplicator::RedisDeduplicator;
pub use key_cache::RedisKeyCache;
pub use profile_cache::RedisProfileCache;
pub use rate_limiter::RedisRateLimiter;
pub use servers::RedisServers;
pub use session_cache::RedisSessionCache;

/// What errors of this crate call it.
const ADAPTER: &str = "redis";
