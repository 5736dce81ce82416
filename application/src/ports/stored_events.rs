use std::fmt;

use async_trait::async_trait;

use super::PortError;
use super::dead_letters::LogPosition;
use super::deduplicator::Claim;

/// Error of [`StoredEvents`].
pub type StoredEventsError = PortError;

/// Tells which events are stored, and from which records. Slower than a [`Deduplicator`](super::Deduplicator), which
/// asks it about what it may have forgotten.
///
/// # Contract
/// 1. The position is that of the record that the claimed event (by project and id) was stored from; `None` when it is
///    not stored.
/// 2. Events of different projects are different events.
///
/// An event keeps its session, so a store may look for one in the session of its claim only.
#[async_trait]
pub trait StoredEvents: fmt::Debug + Send + Sync {
    /// Where the claimed events were stored from, in the same order.
    async fn positions(&self, claims: &[Claim]) -> Result<Vec<Option<LogPosition>>, StoredEventsError>;
}
