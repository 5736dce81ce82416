use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::ports::{RateDecision, RateLimiter, RateLimiterError, RateLimits};
use gosight_domain::ProjectId;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{NotUntil, Quota};

type Limiter = governor::RateLimiter<ProjectId, DefaultKeyedStateStore<ProjectId>, DefaultClock>;

/// A rate limiter of one process.
#[derive(Debug)]
pub struct MemoryRateLimiter {
    limiter: Limiter,
    burst: u32,
}

impl MemoryRateLimiter {
    /// The same limits for each project.
    pub fn new(limits: RateLimits) -> Self {
        let quota = Quota::per_second(limits.events_per_second).allow_burst(limits.burst);
        Self { limiter: governor::RateLimiter::dashmap(quota), burst: limits.burst.get() }
    }
}

/// What is answered to more events than the bucket holds; no wait is long enough for them.
const NEVER_FITS: Duration = Duration::from_hours(1);

#[async_trait]
impl RateLimiter for MemoryRateLimiter {
    async fn take(&self, project_id: &ProjectId, events: u32) -> Result<RateDecision, RateLimiterError> {
        let Some(events) = NonZeroU32::new(events) else { return Ok(RateDecision::Allowed) };
        let limited = |until: NotUntil<_>| RateDecision::Limited {
            retry_after: until.wait_time_from(DefaultClock::default().now()),
        };
        Ok(match self.limiter.check_key_n(project_id, events) {
            Ok(Ok(())) => RateDecision::Allowed,
            Ok(Err(until)) => limited(until),
            Err(_) => {
                debug_assert!(events.get() > self.burst, "governor refuses only what never fits");
                RateDecision::Limited { retry_after: NEVER_FITS }
            }
        })
    }
}
