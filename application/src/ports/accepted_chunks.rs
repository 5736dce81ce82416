use std::fmt;

use async_trait::async_trait;
use gosight_domain::replay::ContentHash;

use super::{ChunkId, PortError};

/// Error of [`AcceptedChunks`].
pub type AcceptedChunksError = PortError;

/// Knows the content of chunks that were accepted, so that the ingest API refuses another chunk with the same index.
///
/// It may forget: a conflict that the ingest API does not see is found before the chunk is stored.
///
/// # Contract
/// 1. `find` gives the content that was remembered first since the chunk was last forgotten, or nothing.
/// 2. Projects, sessions and indexes are apart.
#[async_trait]
pub trait AcceptedChunks: fmt::Debug + Send + Sync {
    /// The content of a chunk that was accepted.
    async fn find(&self, chunk: &ChunkId) -> Result<Option<ContentHash>, AcceptedChunksError>;

    /// Notes that a chunk was accepted: the log has it.
    async fn remember(&self, chunk: &ChunkId, content: ContentHash) -> Result<(), AcceptedChunksError>;

    /// Forgets chunks that were deleted, so that others can have their indexes.
    async fn forget(&self, chunks: &[ChunkId]) -> Result<(), AcceptedChunksError>;
}
