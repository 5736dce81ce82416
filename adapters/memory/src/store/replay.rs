use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use gosight_application::ports::{ChunkId, CommitError, Fence, PutVerdict, ReplayStore, ReplayStoreError};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::session::SessionKey;
use gosight_domain::{ProjectId, SessionId, Timestamp};

use super::{MemoryStore, State};

impl State {
    /// Whether the session has a replay, here or elsewhere.
    pub(super) fn is_recorded(&self, session: &SessionKey) -> bool {
        let SessionKey { project_id, session_id } = session.clone();
        let chunks = |chunk_index| ChunkId {
            project_id: project_id.clone(),
            session_id: session_id.clone(),
            chunk_index,
        };
        self.chunks.range(chunks(0)..=chunks(u16::MAX)).next().is_some()
            || self.archived.contains(&ReplaySession { project_id, session_id })
    }
}

#[async_trait]
impl ReplayStore for MemoryStore {
    async fn acquired(&self, fence: &Fence) -> Result<(), ReplayStoreError> {
        self.adopt(fence)
    }

    async fn put(&self, fence: &Fence, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, CommitError> {
        let mut state = self.lock_behind(fence)?;
        let mut verdicts = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let id = ChunkId::of(chunk);
            verdicts.push(match state.chunks.get(&id) {
                Some(known) if known.content == chunk.content => PutVerdict::Same,
                Some(_) => PutVerdict::Conflict,
                None => {
                    state.chunks.insert(id, chunk.clone());
                    PutVerdict::Stored
                }
            });
        }
        Ok(verdicts)
    }

    async fn contents(&self, chunks: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, ReplayStoreError> {
        let state = self.lock();
        Ok(chunks.iter().map(|id| state.chunks.get(id).map(|chunk| chunk.content)).collect())
    }

    async fn headers(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        let state = self.lock();
        let of_session = |chunk: &&ReplayChunk| ReplaySession::of(chunk) == *session;
        let header = |chunk: &ReplayChunk| ReplayChunk { data: Vec::new(), ..chunk.clone() };
        Ok(state.chunks.values().filter(of_session).map(header).collect())
    }

    async fn data(&self, chunks: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>, ReplayStoreError> {
        let state = self.lock();
        Ok(chunks.iter().map(|id| state.chunks.get(id).map(|chunk| chunk.data.clone())).collect())
    }

    async fn delete(&self, chunks: &[ChunkId]) -> Result<u64, ReplayStoreError> {
        let mut state = self.lock();
        Ok(chunks.iter().filter(|id| state.chunks.remove(id).is_some()).count() as u64)
    }

    async fn mark_archived(
        &self,
        sessions: &[ReplaySession],
        is_archived: bool,
    ) -> Result<(), ReplayStoreError> {
        let archived = &mut self.lock().archived;
        for session in sessions {
            if is_archived {
                archived.insert(session.clone())
            } else {
                archived.remove(session)
            };
        }
        Ok(())
    }

    async fn are_recorded(&self, sessions: &[ReplaySession]) -> Result<Vec<bool>, ReplayStoreError> {
        let state = self.lock();
        let key = |session: &ReplaySession| SessionKey {
            project_id: session.project_id.clone(),
            session_id: session.session_id.clone(),
        };
        Ok(sessions.iter().map(|session| state.is_recorded(&key(session))).collect())
    }

    async fn recorded(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, ReplayStoreError> {
        let data = self.lock();
        let of_project = data.chunks.values().filter(|chunk| chunk.project_id == *project_id);
        let sessions: BTreeSet<&SessionId> = of_project.map(|chunk| &chunk.session_id).collect();
        Ok(sessions
            .into_iter()
            .filter(|session| after.as_ref() < Some(session))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn idle(
        &self,
        before: Timestamp,
        after: Option<ReplaySession>,
        limit: usize,
    ) -> Result<Vec<ReplaySession>, ReplayStoreError> {
        let mut last: BTreeMap<ReplaySession, Timestamp> = BTreeMap::new();
        for chunk in self.lock().chunks.values() {
            let at = last.entry(ReplaySession::of(chunk)).or_insert(chunk.received_at);
            *at = chunk.received_at.max(*at);
        }
        let wanted = |(session, last): &(ReplaySession, Timestamp)| {
            *last < before && after.as_ref().is_none_or(|after| session > after)
        };
        Ok(last.into_iter().filter(wanted).map(|(session, _)| session).take(limit).collect())
    }
}
