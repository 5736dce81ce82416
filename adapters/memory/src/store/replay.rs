use async_trait::async_trait;
use gosight_application::ports::{ChunkId, PutVerdict, ReplayStore, ReplayStoreError};
use gosight_domain::replay::{ContentHash, ReplayChunk};
use gosight_domain::{ProjectId, SessionId};

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

    async fn headers(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Vec<ReplayChunk>, ReplayStoreError> {
        let state = self.lock();
        let of_session =
            |chunk: &&ReplayChunk| chunk.project_id == *project_id && chunk.session_id == *session_id;
        let header = |chunk: &ReplayChunk| ReplayChunk { data: Vec::new(), ..chunk.clone() };
        Ok(state.chunks.values().filter(of_session).map(header).collect())
    }

    async fn data(&self, chunk: &ChunkId) -> Result<Option<Vec<u8>>, ReplayStoreError> {
        Ok(self.lock().chunks.get(chunk).map(|chunk| chunk.data.clone()))
    }

    async fn delete(&self, project_id: &ProjectId, session_id: &SessionId) -> Result<u64, ReplayStoreError> {
        let mut state = self.lock();
        let before = state.chunks.len();
        state.chunks.retain(|id, _| id.project_id != *project_id || id.session_id != *session_id);
        Ok((before - state.chunks.len()) as u64)
    }
}
