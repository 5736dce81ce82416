use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::ledger::BatchSpan;
use gosight_domain::replay::ReplaySession;
use gosight_domain::session::SessionKey;
use gosight_domain::{ProjectId, Session, SessionId};

use crate::ports::{
    CommitError, Fence, FoldScope, IdleQuery, SessionCursor, SessionDetail, SessionFlagFilter, SessionQuery,
    SessionStore, SessionStoreError, SessionSummary,
};
use crate::replay::Replays;
use crate::sessions::{SessionRow, SessionRules};

/// A session store whose lists tell which sessions have a replay, where the replays are in another store.
#[derive(Debug)]
pub struct SessionsWithReplays {
    sessions: Arc<dyn SessionStore>,
    replays: Replays,
}

/// Sessions that are asked for at once where some are left out again.
const AT_ONCE: usize = 1_000;

impl SessionsWithReplays {
    /// Lists `sessions`, and asks `replays` about them.
    pub fn new(sessions: Arc<dyn SessionStore>, replays: Replays) -> Self {
        Self { sessions, replays }
    }

    /// Notes for each of `page` whether it has a replay.
    async fn note(
        &self,
        project_id: &ProjectId,
        page: &mut [SessionSummary],
    ) -> Result<(), SessionStoreError> {
        let named = |summary: &SessionSummary| ReplaySession {
            project_id: project_id.clone(),
            session_id: summary.session_id.clone(),
        };
        let sessions: Vec<ReplaySession> = page.iter().map(named).collect();
        let recorded = self.replays.are_recorded(&sessions).await?;
        for (summary, is_recorded) in page.iter_mut().zip(recorded) {
            summary.has_replay = is_recorded;
        }
        Ok(())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for SessionsWithReplays {
    fn scope(&self) -> FoldScope {
        self.sessions.scope()
    }

    async fn acquired(&self, fence: &Fence) -> Result<(), SessionStoreError> {
        self.sessions.acquired(fence).await
    }

    async fn load(
        &self,
        fence: &Fence,
        at: u64,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionStoreError> {
        self.sessions.load(fence, at, sessions).await
    }

    async fn put(&self, fence: &Fence, rows: &[SessionRow]) -> Result<(), CommitError> {
        self.sessions.put(fence, rows).await
    }

    async fn remove(&self, fence: &Fence, sessions: &[SessionKey]) -> Result<(), SessionStoreError> {
        self.sessions.remove(fence, sessions).await
    }

    async fn committed(&self, fence: &Fence, span: &BatchSpan, rows: &[SessionRow]) {
        self.sessions.committed(fence, span, rows).await;
    }

    async fn get(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, SessionStoreError> {
        let mut found = self.sessions.get(rules, project_id, session_id).await?;
        if let Some(detail) = &mut found {
            self.note(project_id, std::slice::from_mut(&mut detail.summary)).await?;
        }
        Ok(found)
    }

    async fn list(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        let wanted = query.flags.has_replay;
        let limit = query.limit;
        let mut query =
            SessionQuery { flags: SessionFlagFilter { has_replay: None, ..query.flags }, ..query.clone() };
        if wanted.is_some() {
            query.limit = limit.max(AT_ONCE);
        }
        let mut found = Vec::new();
        loop {
            let mut page = self.sessions.list(rules, project_id, &query).await?;
            self.note(project_id, &mut page).await?;
            let is_last = page.len() < query.limit;
            query.after = page.last().map(|last| SessionCursor {
                started_at: last.started_at,
                session_id: last.session_id.clone(),
            });
            found.extend(page.into_iter().filter(|summary| wanted.is_none_or(|is| is == summary.has_replay)));
            // A short page is the last one to its reader, so nothing may cut it short but the end.
            if wanted.is_none() || is_last || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    async fn list_idle(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        query: &IdleQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        let mut page = self.sessions.list_idle(rules, project_id, query).await?;
        self.note(project_id, &mut page).await?;
        Ok(page)
    }
}
