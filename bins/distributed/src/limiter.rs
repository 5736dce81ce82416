use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use gosight_application::ports::{Health, HealthCheck, RateDecision, RateLimiter, RateLimiterError};
use gosight_domain::ProjectId;

/// A limit that all processes share, and one of this process for the time that the shared one is away: events are
/// worth more than an exact limit.
#[derive(Debug)]
pub(crate) struct SharedOrOwn {
    shared: Arc<dyn RateLimiter>,
    own: Arc<dyn RateLimiter>,
    is_away: AtomicBool,
}

impl SharedOrOwn {
    pub(crate) fn new(shared: Arc<dyn RateLimiter>, own: Arc<dyn RateLimiter>) -> Self {
        Self { shared, own, is_away: AtomicBool::new(false) }
    }
}

#[async_trait]
impl RateLimiter for SharedOrOwn {
    async fn take(&self, project_id: &ProjectId, events: u32) -> Result<RateDecision, RateLimiterError> {
        match self.shared.take(project_id, events).await {
            Err(error) if error.is_transient() => {
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "each ingestor limits by itself until the shared limit is back");
                }
                self.own.take(project_id, events).await
            }
            decided => {
                if self.is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!("the shared limit is back");
                }
                decided
            }
        }
    }
}

#[async_trait]
impl HealthCheck for SharedOrOwn {
    fn name(&self) -> &'static str {
        "rate_limit"
    }

    async fn check(&self) -> Health {
        if self.is_away.load(Ordering::Relaxed) {
            return Health::Degraded("the shared limit is away: each ingestor limits by itself".into());
        }
        Health::Up
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use gosight_application::ports::{PortError, RateLimits};
    use gosight_memory::MemoryRateLimiter;

    use super::*;

    /// Grants everything, or is away.
    #[derive(Debug, Default)]
    struct Shared {
        is_away: AtomicBool,
    }

    #[async_trait]
    impl RateLimiter for Shared {
        async fn take(&self, _: &ProjectId, _: u32) -> Result<RateDecision, RateLimiterError> {
            if self.is_away.load(Ordering::Relaxed) {
                return Err(PortError::transient("redis", "away"));
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
        let limiter = SharedOrOwn::new(shared.clone(), Arc::new(own));
        let project = ProjectId::new("p").unwrap();
        assert_eq!(limiter.take(&project, 1_000).await.unwrap(), RateDecision::Allowed);
        assert_eq!(limiter.check().await, Health::Up);

        shared.is_away.store(true, Ordering::Relaxed);
        assert_eq!(limiter.take(&project, 10).await.unwrap(), RateDecision::Allowed);
        assert_ne!(limiter.take(&project, 10).await.unwrap(), RateDecision::Allowed);
        assert!(matches!(limiter.check().await, Health::Degraded(_)));

        shared.is_away.store(false, Ordering::Relaxed);
        assert_eq!(limiter.take(&project, 10).await.unwrap(), RateDecision::Allowed);
        assert_eq!(limiter.check().await, Health::Up);
    }
}
