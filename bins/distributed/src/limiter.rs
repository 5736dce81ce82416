use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use gosight_application::ports::{RateDecision, RateLimiter, RateLimiterError};
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
