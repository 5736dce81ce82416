use std::fmt;

use async_trait::async_trait;
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{EventId, ProjectId, SessionId, Timestamp};

use super::PortError;
use super::dead_letters::LogPosition;

/// Error of [`Deduplicator`].
pub type DeduplicatorError = PortError;

/// A record that wants to be the one its event is counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The tenant.
    pub project_id: ProjectId,
    /// The event.
    pub event_id: EventId,
    /// The event's session, near which a store keeps it.
    pub session_id: Option<SessionId>,
    /// When the event happened, by which a deduplicator that forgets can tell what it may have forgotten.
    pub timestamp: Timestamp,
    /// The record.
    pub position: LogPosition,
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimVerdict {
    /// The event is this record's.
    Granted,
    /// The event is another record's already.
    Duplicate,
}

/// Tells which events were seen before.
///
/// # Contract
/// 1. Of all claims for one event (by project and id) exactly one position is granted, the first to claim; claims of
///    one call count in order.
/// 2. A claim remembers whose it is: the same position claiming again is granted again, so that a redelivered record is
///    not its own duplicate.
/// 3. An event that is stored is a duplicate for every position but its own, also after a crash.
/// 4. Projects do not see each other's events.
/// 5. A claim that is released is as if it had never been, so that the event can be another record's. What is not the
///    claim's own stays.
#[async_trait]
pub trait Deduplicator: fmt::Debug + Send + Sync {
    /// Claims events, and gives the verdicts in the same order.
    async fn claim(&self, claims: &[Claim]) -> Result<Vec<ClaimVerdict>, DeduplicatorError>;

    /// Gives up claims of records that will not be stored.
    async fn release(&self, claims: &[Claim]) -> Result<(), DeduplicatorError>;

    /// Notified that the batch of `span` is stored: whoever asks the stored events may forget the claims of its records.
    fn committed(&self, _span: &BatchSpan) {}
}
