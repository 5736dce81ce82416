use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use gosight_domain::ProjectId;

use crate::ports::{Health, HealthCheck, RateDecision, RateLimiter, RateLimiterError};
use crate::telemetry::{Metric, Telemetry};

/// A limit that all processes share, and one of this process for the time that the shared one is unavailable: events are
/// worth more than an exact limit.
#[derive(Debug)]
pub struct FallbackRateLimiter {
    shared: Arc<dyn RateLimiter>,
    own: Arc<dyn RateLimiter>,
    is_falling_back: AtomicBool,
    telemetry: Telemetry,
}

impl FallbackRateLimiter {
    /// Asks `shared`, and `own` while that is unavailable.
    pub fn new(shared: Arc<dyn RateLimiter>, own: Arc<dyn RateLimiter>, telemetry: Telemetry) -> Self {
        Self { shared, own, is_falling_back: AtomicBool::new(false), telemetry }
    }
}

#[async_trait]
impl RateLimiter for FallbackRateLimiter {
    async fn take(&self, project_id: &ProjectId, events: u32) -> Result<RateDecision, RateLimiterError> {
        match self.shared.take(project_id, events).await {
            Err(error) if error.is_transient() => {
                if !self.is_falling_back.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "each process limits by itself until the shared limit is back");
                }
                self.telemetry.count(Metric::RateLimiterUnavailable, &[("instead", "local_limit")], 1);
                self.own.take(project_id, events).await
            }
            decided => {
                if self.is_falling_back.swap(false, Ordering::Relaxed) {
                    tracing::info!("the shared limit is back");
                }
                decided
            }
        }
    }
}

#[async_trait]
impl HealthCheck for FallbackRateLimiter {
    fn name(&self) -> &'static str {
        "rate_limit"
    }

    async fn check(&self) -> Health {
        if self.is_falling_back.load(Ordering::Relaxed) {
            return Health::Degraded("the shared limit is unavailable: each process limits by itself".into());
        }
        Health::Up
    }
}
