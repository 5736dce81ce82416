//! Sessions in a map: the least that a session store does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_application::local_fences::LocalFences;
use gosight_application::ports::{
    CommitError, Fence, IdleQuery, PortError, SessionDetail, SessionQuery, SessionStore, SessionStoreError,
    SessionSummary,
};
use gosight_application::sessions::{SessionRow, SessionRules};
use gosight_domain::session::SessionKey;
use gosight_domain::{ProjectId, Session, SessionId};

/// Name of the store in errors.
const ADAPTER: &str = "own sessions";

/// Keeps sessions as long as the process lives. A real one keeps them where they survive a crash: what was put counts.
///
/// It merges nothing and detects nothing: it is given whole rows, and gives them back.
#[derive(Debug, Default)]
pub struct OwnSessions {
    rows: Mutex<BTreeMap<SessionKey, SessionRow>>,
    /// The newest fence of each partition: one that was replaced writes nothing any more.
    fences: LocalFences,
}

impl OwnSessions {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<SessionKey, SessionRow>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_project(&self, project_id: &ProjectId) -> Vec<SessionSummary> {
        let rows = self.rows();
        let rows = rows.iter().filter(|(key, _)| key.project_id == *project_id);
        // Whether a session has a replay is known where replays are kept.
        rows.map(|(_, row)| row.summary(false)).collect()
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.rows().len()
    }
}

#[async_trait]
impl SessionStore for OwnSessions {
    async fn acquired(&self, fence: &Fence) -> Result<(), SessionStoreError> {
        self.fences.adopt(fence).map_err(|error| PortError::transient(ADAPTER, error))
    }

    async fn load(
        &self,
        _fence: &Fence,
        _at: u64,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionStoreError> {
        let rows = self.rows();
        Ok(sessions.iter().map(|key| rows.get(key).map(|row| row.session.clone())).collect())
    }

    async fn put(&self, fence: &Fence, rows: &[SessionRow]) -> Result<(), CommitError> {
        let mut stored = self.rows();
        self.fences.check(fence).map_err(|error| PortError::transient(ADAPTER, error))?;
        stored.extend(rows.iter().map(|row| (row.session.key(), row.clone())));
        Ok(())
    }

    async fn remove(&self, fence: &Fence, sessions: &[SessionKey]) -> Result<(), SessionStoreError> {
        let mut stored = self.rows();
        self.fences.check(fence).map_err(|error| PortError::transient(ADAPTER, error))?;
        stored.retain(|key, _| !sessions.contains(key));
        Ok(())
    }

    async fn get(
        &self,
        _rules: &SessionRules,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, SessionStoreError> {
        let key = SessionKey { project_id: project_id.clone(), session_id: session_id.clone() };
        Ok(self.rows().get(&key).cloned().map(SessionRow::into_detail))
    }

    async fn list(
        &self,
        _rules: &SessionRules,
        project_id: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        Ok(query.page(self.of_project(project_id)))
    }

    async fn list_idle(
        &self,
        _rules: &SessionRules,
        project_id: &ProjectId,
        query: &IdleQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        Ok(query.page(self.of_project(project_id)))
    }
}
