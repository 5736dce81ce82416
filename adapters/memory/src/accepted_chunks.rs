use std::time::Duration;

use async_trait::async_trait;
use gosight_application::ports::{AcceptedChunks, AcceptedChunksError, ChunkId};
use gosight_domain::replay::ContentHash;
use moka::sync::Cache;

/// The chunks that one process accepted lately.
#[derive(Debug)]
pub struct MemoryAcceptedChunks {
    contents: Cache<ChunkId, ContentHash>,
}

impl MemoryAcceptedChunks {
    /// Knows each for `life`, and `capacity` of them at most.
    pub fn new(life: Duration, capacity: u64) -> Self {
        Self { contents: Cache::builder().time_to_live(life).max_capacity(capacity).build() }
    }
}

impl Default for MemoryAcceptedChunks {
    /// 100,000 chunks, for ten minutes.
    fn default() -> Self {
        Self::new(Duration::from_mins(10), 100_000)
    }
}

#[async_trait]
impl AcceptedChunks for MemoryAcceptedChunks {
    async fn find(&self, chunk: &ChunkId) -> Result<Option<ContentHash>, AcceptedChunksError> {
        Ok(self.contents.get(chunk))
    }

    async fn remember(&self, chunk: &ChunkId, content: ContentHash) -> Result<(), AcceptedChunksError> {
        self.contents.entry_by_ref(chunk).or_insert(content);
        Ok(())
    }

    async fn forget(&self, chunks: &[ChunkId]) -> Result<(), AcceptedChunksError> {
        for chunk in chunks {
            self.contents.invalidate(chunk);
        }
        Ok(())
    }
}
