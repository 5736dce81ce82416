use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use gosight_application::ports::{ChunkId, PutVerdict, ReplayStore, ReplayStoreError};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::{ProjectId, SessionId, Timestamp};

use super::MemoryStore;

#[async_trait]
impl ReplayStore for MemoryStore {
    async fn put(&self, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, ReplayStoreError> {
        let mut state = self.lock();
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

    async fn data(&self, chunk: &ChunkId) -> Result<Option<Vec<u8>>, ReplayStoreError> {
        Ok(self.lock().chunks.get(chunk).map(|chunk| chunk.data.clone()))
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
