use std::fmt;

use async_trait::async_trait;
use gosight_domain::Timestamp;

use super::PortError;
use crate::sessions::SessionRules;

/// Error of [`Maintenance`].
pub type MaintenanceError = PortError;

/// A part that cleans up after itself now and then, as a directory does; servers do it by themselves.
///
/// # Contract
/// 1. What is past its retention at `now` is deleted, and nothing else.
/// 2. A call may be repeated and may fail: the next one goes on.
#[async_trait]
pub trait Maintenance: fmt::Debug + Send + Sync {
    /// Name of the part, for logs.
    fn name(&self) -> &'static str;

    /// Deletes what is past its retention. `rules` say what sessions show of which a part goes.
    async fn maintain(&self, now: Timestamp, rules: &SessionRules) -> Result<(), MaintenanceError>;
}
