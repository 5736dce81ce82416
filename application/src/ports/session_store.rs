use std::fmt;

use async_trait::async_trait;
use gosight_domain::ledger::BatchSpan;
use gosight_domain::session::SessionKey;
use gosight_domain::{ProjectId, Session, SessionId};

use super::{CommitError, Fence, IdleQuery, PortError, SessionDetail, SessionQuery, SessionSummary};
use crate::sessions::{SessionRow, SessionRules};

/// Error of [`SessionStore`].
pub type SessionStoreError = PortError;

/// Which events one stored row of a session counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoldScope {
    /// All of the session. Whoever writes such a store commits the batches of all partitions one after the other, so
    /// one process may write at a time.
    Session,
    /// Those that came from one partition of the log: a session that has events from several has a row for each, and
    /// readers join them. Any number of processes may write, each its own partitions.
    Partition,
}

/// Sessions, folded.
///
/// A store loads and puts; that folds are joined, and what a session shows, is decided by [`SessionRules`].
///
/// # Contract
/// 1. `load` gives each session as it was put last, in the order asked; `None` for one that was not, or was removed.
/// 2. `put` replaces what was there of each session; a session that was put survives a crash.
/// 3. `remove` forgets what was put of these sessions, and of no others.
/// 4. A write behind an older fence changes nothing.
/// 5. Sessions of different projects are different sessions, whatever their ids.
/// 6. In a store of [`FoldScope::Partition`] what is loaded, put and removed is of the fence's partition; all other
///    methods join what the partitions have.
/// 7. `get` gives a session with its insights, by kind and time.
/// 8. `list` gives the sessions of a project that meet the query, latest start first, equal starts by id. A list that
///    goes on after a cursor leaves out and repeats nothing that was there all the time.
/// 9. `list_idle` gives the sessions of a project whose latest event lies before a time, earliest end first, equal ends by
///    id, and goes on after a cursor as `list` does.
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync {
    /// Which events a stored row counts.
    fn scope(&self) -> FoldScope {
        FoldScope::Session
    }

    /// Notified that `fence` is the newest of its partition: from here on no write behind an older one takes effect here. A store
    /// whose own ledger gave the fence knows that already, and one that is not shared by processes need not care.
    async fn acquired(&self, _fence: &Fence) -> Result<(), PortError> {
        Ok(())
    }

    /// The stored folds of `sessions`, for a batch that begins at the offset `at` of the fence's partition: a cache in
    /// front of a store gives only what it knows to be right as of there.
    async fn load(
        &self,
        fence: &Fence,
        at: u64,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionStoreError>;

    /// Stores what sessions are now.
    async fn put(&self, fence: &Fence, rows: &[SessionRow]) -> Result<(), CommitError>;

    /// Forgets sessions.
    async fn remove(&self, fence: &Fence, sessions: &[SessionKey]) -> Result<(), SessionStoreError>;

    /// Notified that the batch of `span` counts, and that `rows`, which were put for it, are right as of its end.
    /// A cache in front of a store may keep them; a store has nothing to do.
    async fn committed(&self, _fence: &Fence, _span: &BatchSpan, _rows: &[SessionRow]) {}

    /// One session, as readers see it. Whether it has a replay may be left out.
    async fn get(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, SessionStoreError>;

    /// A page of sessions. Whether a session has a replay is reported by a store that holds the replays too; any other
    /// says no, and leaves that flag of the query alone.
    async fn list(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError>;

    /// A page of sessions whose latest event is old, with replays as in [`list`](Self::list).
    async fn list_idle(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        query: &IdleQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError>;
}
