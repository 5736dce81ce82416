use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::ports::{
    AggregateStore, AggregateStoreError, SessionStore, SessionStoreError, WindowQuery,
};
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{ProjectId, Session, SessionId, Timestamp};

use super::MemoryStore;

#[async_trait]
impl SessionStore for MemoryStore {
    async fn merge(&self, span: &BatchSpan, folds: &[Session]) -> Result<Vec<Session>, SessionStoreError> {
        let mut state = self.lock();
        if state.merged_sessions.contains(span) {
            let known = folds.iter().filter_map(|fold| {
                state.sessions.get(&(fold.project_id.clone(), fold.session_id.clone())).cloned()
            });
            return Ok(known.collect());
        }
        state.merged_sessions.push(span.clone());
        Ok(folds.iter().map(|fold| state.merge_session(fold)).collect())
    }

    async fn get(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<Session>, SessionStoreError> {
        Ok(self.lock().sessions.get(&(project_id.clone(), session_id.clone())).cloned())
    }

    async fn list_idle(&self, before: Timestamp, limit: usize) -> Result<Vec<Session>, SessionStoreError> {
        let state = self.lock();
        let mut idle: Vec<Session> =
            state.sessions.values().filter(|session| session.ended_at < before).cloned().collect();
        idle.sort_by(|a, b| {
            (a.ended_at, &a.project_id, &a.session_id).cmp(&(b.ended_at, &b.project_id, &b.session_id))
        });
        idle.truncate(limit);
        Ok(idle)
    }
}

#[async_trait]
impl AggregateStore for MemoryStore {
    async fn merge(
        &self,
        span: &BatchSpan,
        values: &BTreeMap<AggregateKey, AggregateValue>,
    ) -> Result<(), AggregateStoreError> {
        let mut state = self.lock();
        if !state.merged_aggregates.contains(span) {
            state.merged_aggregates.push(span.clone());
            state.merge_aggregates(values);
        }
        Ok(())
    }

    async fn windows(
        &self,
        project_id: &ProjectId,
        query: &WindowQuery,
    ) -> Result<Vec<(Timestamp, AggregateValue)>, AggregateStoreError> {
        let state = self.lock();
        let wanted = |key: &AggregateKey| {
            key.project_id == *project_id
                && *key.aggregation == *query.aggregation
                && key.key == query.key
                && (query.from..query.to).contains(&key.window_start)
        };
        let mut windows: Vec<(Timestamp, AggregateValue)> = state
            .aggregates
            .iter()
            .filter(|(key, _)| wanted(key))
            .map(|(key, value)| (key.window_start, value.clone()))
            .collect();
        windows.drain(..windows.len().saturating_sub(query.limit));
        Ok(windows)
    }
}
