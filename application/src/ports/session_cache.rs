use std::fmt;

use async_trait::async_trait;
use gosight_domain::Session;
use gosight_domain::ledger::BatchSpan;
use gosight_domain::session::SessionKey;

use super::PortError;
use super::dead_letters::LogPosition;

/// Error of [`SessionCache`].
pub type SessionCacheError = PortError;

/// The folds of live sessions, in front of a store that has all of them.
///
/// Nothing in it is the only copy of anything. It knows for each partition up to which offset its folds are right, so
/// that it is never believed after it missed a batch, was emptied, or was written to by a processor that had lost the
/// partition.
///
/// # Contract
/// 1. `load(at)` gives a session only as it was when every record before `at` had been folded in; `None` when that is
///    not known, whatever the reason.
/// 2. After `save(span, folds)` a `load` at the end of the span gives these folds, and the ones saved before if those
///    were right at the start of the span.
/// 3. A `load` at any other offset of the partition gives nothing.
/// 4. Sessions of different projects, and of different partitions, are different sessions.
#[async_trait]
pub trait SessionCache: fmt::Debug + Send + Sync {
    /// The folds of `sessions` as of `at`, in the same order.
    async fn load(
        &self,
        at: &LogPosition,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionCacheError>;

    /// Keeps the folds of the sessions that the batch `span` changed, as they are after it.
    async fn save(&self, span: &BatchSpan, folds: &[&Session]) -> Result<(), SessionCacheError>;
}
