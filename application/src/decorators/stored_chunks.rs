use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::replay::ContentHash;

use crate::ports::{AcceptedChunks, AcceptedChunksError, ChunkId};
use crate::replay::Replays;

/// Chunks that were accepted lately, and those that are stored.
#[derive(Debug)]
pub struct StoredChunks {
    recent: Arc<dyn AcceptedChunks>,
    replays: Replays,
}

impl StoredChunks {
    /// Asks `recent`, and `replays` for what is not there.
    pub fn new(recent: Arc<dyn AcceptedChunks>, replays: Replays) -> Self {
        Self { recent, replays }
    }
}

#[async_trait]
impl AcceptedChunks for StoredChunks {
    async fn find(&self, chunk: &ChunkId) -> Result<Option<ContentHash>, AcceptedChunksError> {
        if let Some(content) = self.recent.find(chunk).await? {
            return Ok(Some(content));
        }
        let contents = self.replays.contents(std::slice::from_ref(chunk)).await?;
        Ok(contents.into_iter().next().flatten())
    }

    async fn remember(&self, chunk: &ChunkId, content: ContentHash) -> Result<(), AcceptedChunksError> {
        self.recent.remember(chunk, content).await
    }

    async fn forget(&self, chunks: &[ChunkId]) -> Result<(), AcceptedChunksError> {
        self.recent.forget(chunks).await
    }
}
