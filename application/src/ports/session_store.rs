use std::fmt;

use async_trait::async_trait;
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{ProjectId, Session, SessionId, Timestamp};

use super::PortError;

/// Error of [`SessionStore`].
pub type SessionStoreError = PortError;

/// The folded state of sessions.
///
/// # Contract
/// 1. `merge` joins each fold with what is there and gives the joined sessions in the same order.
/// 2. A span that was merged before changes nothing and gives the sessions as they are.
/// 3. Sessions of different projects are different sessions, whatever their ids.
/// 4. `list_idle` gives sessions whose latest event lies before `before`, oldest first.
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync {
    /// Merges the folds that the batch `span` gave.
    async fn merge(&self, span: &BatchSpan, folds: &[Session]) -> Result<Vec<Session>, SessionStoreError>;

    /// One session.
    async fn get(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<Session>, SessionStoreError>;

    /// Up to `limit` sessions that nothing was added to for a while.
    async fn list_idle(&self, before: Timestamp, limit: usize) -> Result<Vec<Session>, SessionStoreError>;
}
