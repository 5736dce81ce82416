use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_redis::redis::Script;
use gosight_application::ports::{RateDecision, RateLimiter, RateLimiterError, RateLimits};
use gosight_domain::ProjectId;

use crate::client::{Redis, script_call};
use crate::guarded::GuardedRedis;

/// One limit for all processes that share a server, by the server's clock.
///
/// While Redis is unavailable, `take` is `Transient` within `request_timeout`; whether to let events through then is for the
/// caller to decide.
#[derive(Debug, Clone)]
pub struct RedisRateLimiter {
    redis: GuardedRedis,
    limits: RateLimits,
}

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/take_tokens.lua")));

/// What is answered to more events than the bucket holds; no wait is long enough for them.
const NEVER_FITS: Duration = Duration::from_hours(1);

impl RedisRateLimiter {
    /// The same limits for each project.
    pub fn new(redis: Redis, limits: RateLimits) -> Self {
        Self { redis: GuardedRedis::new(redis, "rate_limits"), limits }
    }
}

#[async_trait]
impl RateLimiter for RedisRateLimiter {
    async fn take(&self, project_id: &ProjectId, events: u32) -> Result<RateDecision, RateLimiterError> {
        if events == 0 {
            return Ok(RateDecision::Allowed);
        }
        if events > self.limits.burst.get() {
            return Ok(RateDecision::Limited { retry_after: NEVER_FITS });
        }
        let interval_us = 1_000_000.0 / f64::from(self.limits.events_per_second.get());
        let key = self.redis.redis().key(format_args!("rate:{project_id}"));
        let args = [interval_us.to_string(), self.limits.burst.to_string(), events.to_string()];
        let wait_us: u64 = self.redis.run(Some(&TAKE), script_call(&TAKE, &[key], &args)).await?;
        Ok(match wait_us {
            0 => RateDecision::Allowed,
            us => RateDecision::Limited { retry_after: Duration::from_micros(us) },
        })
    }
}
