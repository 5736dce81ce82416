use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::ledger::BatchSpan;
use gosight_domain::session::SessionKey;
use gosight_domain::{ProjectId, Session, SessionId};

use crate::ports::{
    CommitError, Fence, FoldScope, IdleQuery, LogPosition, SessionCache, SessionDetail, SessionQuery,
    SessionStore, SessionStoreError, SessionSummary,
};
use crate::sessions::{SessionRow, SessionRules};

/// A session store with the folds of live sessions in a cache before it.
///
/// The cache gives what it knows to be right, and the store the rest. While it is unavailable the store gives all. Folds of a
/// store that has one row for the events of all partitions are not cached: the cache knows how far one partition is.
#[derive(Debug)]
pub struct CachedSessions {
    cache: Arc<dyn SessionCache>,
    store: Arc<dyn SessionStore>,
}

impl CachedSessions {
    /// Asks `cache` first, and `store` for the rest.
    pub fn new(cache: Arc<dyn SessionCache>, store: Arc<dyn SessionStore>) -> Self {
        Self { cache, store }
    }

    fn caches(&self) -> bool {
        self.store.scope() == FoldScope::Partition
    }

    async fn cached(&self, fence: &Fence, at: u64, sessions: &[SessionKey]) -> Vec<Option<Session>> {
        let nothing = || vec![None; sessions.len()];
        if !self.caches() || sessions.is_empty() {
            return nothing();
        }
        let at = LogPosition { log: fence.log().clone(), partition: fence.partition(), offset: at };
        match self.cache.load(&at, sessions).await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "sessions are read from the store, because the cache is unavailable");
                nothing()
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for CachedSessions {
    fn scope(&self) -> FoldScope {
        self.store.scope()
    }

    async fn acquired(&self, fence: &Fence) -> Result<(), SessionStoreError> {
        self.store.acquired(fence).await
    }

    async fn load(
        &self,
        fence: &Fence,
        at: u64,
        sessions: &[SessionKey],
    ) -> Result<Vec<Option<Session>>, SessionStoreError> {
        let mut known = self.cached(fence, at, sessions).await;
        let unknown: Vec<usize> = (0..sessions.len()).filter(|&n| known[n].is_none()).collect();
        if unknown.is_empty() {
            return Ok(known);
        }
        let keys: Vec<SessionKey> = unknown.iter().map(|&n| sessions[n].clone()).collect();
        let stored = self.store.load(fence, at, &keys).await?;
        for (n, session) in unknown.into_iter().zip(stored) {
            known[n] = session;
        }
        Ok(known)
    }

    async fn put(&self, fence: &Fence, rows: &[SessionRow]) -> Result<(), CommitError> {
        self.store.put(fence, rows).await
    }

    async fn remove(&self, fence: &Fence, sessions: &[SessionKey]) -> Result<(), SessionStoreError> {
        self.store.remove(fence, sessions).await
    }

    /// Tells the cache what the sessions are now. It is not believed later if it did not hear.
    async fn committed(&self, fence: &Fence, span: &BatchSpan, rows: &[SessionRow]) {
        self.store.committed(fence, span, rows).await;
        if !self.caches() {
            return;
        }
        let folds: Vec<&Session> = rows.iter().map(|row| &row.session).collect();
        if let Err(error) = self.cache.save(span, &folds).await {
            tracing::warn!(%error, "sessions were not cached");
        }
    }

    async fn get(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, SessionStoreError> {
        self.store.get(rules, project_id, session_id).await
    }

    async fn list(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        self.store.list(rules, project_id, query).await
    }

    async fn list_idle(
        &self,
        rules: &SessionRules,
        project_id: &ProjectId,
        query: &IdleQuery,
    ) -> Result<Vec<SessionSummary>, SessionStoreError> {
        self.store.list_idle(rules, project_id, query).await
    }
}
