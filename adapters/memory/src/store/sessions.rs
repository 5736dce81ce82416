use async_trait::async_trait;
use gosight_application::ports::{
    CommitError, Fence, IdleQuery, SessionDetail, SessionQuery, SessionStore, SessionStoreError,
    SessionSummary,
};
use gosight_application::sessions::{SessionRow, SessionRules};
use gosight_domain::session::SessionKey;
use gosight_domain::{ProjectId, Session, SessionId};

use super::{MemoryStore, State};

impl State {
    pub(super) fn session(&self, key: &SessionKey) -> Option<&Session> {
        self.sessions.get(key).map(|row| &row.session)
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn acquired(&self, fence: &Fence) -> Result<(), SessionStoreError> {
        self.adopt(fence)
    }

    async fn load(
        &self,
        _fence: &Fence,
        _at: u64,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionStoreError> {
        let state = self.lock();
        Ok(sessions.iter().map(|key| state.session(key).cloned()).collect())
    }

    async fn put(&self, fence: &Fence, rows: &[SessionRow]) -> Result<(), CommitError> {
        let mut state = self.lock_behind(fence)?;
        state.sessions.extend(rows.iter().map(|row| (row.session.key(), row.clone())));
        Ok(())
    }

    async fn remove(&self, fence: &Fence, sessions: &[SessionKey]) -> Result<(), SessionStoreError> {
        self.lock_behind(fence)?.sessions.retain(|key, _| !sessions.contains(key));
        Ok(())
    }

    async fn get(
        &self,
        _rules: &SessionRules,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, SessionStoreError> {
        let key = SessionKey { project_id: project_id.clone(), session_id: session_id.clone() };
        Ok(self.lock().sessions.get(&key).cloned().map(SessionRow::into_detail))
    }

    async fn list(
        &self,
        _rules: &SessionRules,
        project_id: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        let state = self.lock();
        let of_project = state.sessions.iter().filter(|(key, _)| key.project_id == *project_id);
        Ok(query.page(of_project.map(|(key, row)| row.summary(state.is_recorded(key)))))
    }

    async fn list_idle(
        &self,
        _rules: &SessionRules,
        project_id: &ProjectId,
        query: &IdleQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        let state = self.lock();
        let of_project = state.sessions.iter().filter(|(key, _)| key.project_id == *project_id);
        Ok(query.page(of_project.map(|(key, row)| row.summary(state.is_recorded(key)))))
    }
}
