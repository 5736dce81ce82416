//! Decorators: implement a port over the same port.

mod cached_keys;
mod cached_profiles;
mod cached_sessions;
mod counted_keys;
mod fallback_rate_limiter;
mod fan_out;
mod observed;
mod retrying;
mod sessions_with_replays;
mod stored_chunks;

pub use cached_keys::{CachedKeys, KeyCacheConfig};
pub use cached_profiles::CachedProfiles;
pub use cached_sessions::CachedSessions;
pub use counted_keys::CountedKeys;
pub use fallback_rate_limiter::FallbackRateLimiter;
pub use fan_out::FanOut;
pub use observed::Observed;
pub use retrying::Retrying;
pub use sessions_with_replays::SessionsWithReplays;
pub use stored_chunks::StoredChunks;
