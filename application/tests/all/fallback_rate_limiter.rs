//! A rate limit for the time that the shared one is unavailable.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use gosight_application::decorators::FallbackRateLimiter;
use gosight_application::ports::{
    Health, HealthCheck, PortError, RateDecision, RateLimiter, RateLimiterError, RateLimits,
};
use gosight_domain::ProjectId;
use gosight_memory::MemoryRateLimiter;

use crate::support::Numbers;

/// Grants everything, or is unavailable.
#[derive(Debug, Default)]
struct Shared {
    is_unavailable: AtomicBool,
}

#[async_trait]
impl RateLimiter for Shared {
    async fn take(&self, _: &ProjectId, _: u32) -> Result<RateDecision, RateLimiterError> {
        if self.is_unavailable.load(Ordering::Relaxed) {
            return Err(PortError::transient("redis", "unavailable"));
        }
        Ok(RateDecision::Allowed)
    }
}

#[tokio::test]
async fn the_own_limit_holds_while_the_shared_one_is_away_and_health_says_so() {
    let shared = Arc::new(Shared::default());
    let own = MemoryRateLimiter::new(RateLimits {
        events_per_second: NonZeroU32::MIN,
        burst: NonZeroU32::new(10).unwrap(),
    });
    let numbers = Numbers::default();
    let limiter = FallbackRateLimiter::new(shared.clone(), Arc::new(own), numbers.telemetry());
    let project = ProjectId::new("p").unwrap();
    assert_eq!(limiter.take(&project, 1_000).await.unwrap(), RateDecision::Allowed);
    assert_eq!(limiter.check().await, Health::Up);

    shared.is_unavailable.store(true, Ordering::Relaxed);
    assert_eq!(limiter.take(&project, 10).await.unwrap(), RateDecision::Allowed);
    assert_ne!(limiter.take(&project, 10).await.unwrap(), RateDecision::Allowed);
    assert!(matches!(limiter.check().await, Health::Degraded(_)));
    assert_eq!(numbers.count(r#"rate_limiter_unavailable_total{instead="local_limit"}"#), 2);

    shared.is_unavailable.store(false, Ordering::Relaxed);
    assert_eq!(limiter.take(&project, 10).await.unwrap(), RateDecision::Allowed);
    assert_eq!(limiter.check().await, Health::Up);
}
