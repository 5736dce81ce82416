use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use gosight_domain::ProjectId;

use super::PortError;

/// Error of [`RateLimiter`].
pub type RateLimiterError = PortError;

/// How many events a project may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Events per second in the long run.
    pub events_per_second: NonZeroU32,
    /// Events at once after a pause.
    pub burst: NonZeroU32,
}

/// Whether something may go through now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateDecision {
    /// It may.
    Allowed,
    /// Not before this time has passed.
    Limited {
        /// How long to wait.
        retry_after: Duration,
    },
}

/// Limits how many events a project sends: a token bucket that holds `burst` and refills steadily.
///
/// # Contract
/// 1. Events are counted, not requests.
/// 2. A full bucket allows `burst` events at once; more than `burst` in one call are limited whatever the time.
/// 3. A call that is limited takes nothing.
/// 4. Projects have buckets of their own.
#[async_trait]
pub trait RateLimiter: fmt::Debug + Send + Sync {
    /// Takes `events` tokens of the project's bucket, all or none.
    async fn take(&self, project_id: &ProjectId, events: u32) -> Result<RateDecision, RateLimiterError>;
}
