use std::fmt;

use async_trait::async_trait;
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::{ProjectId, SessionId, Timestamp};

use super::{CommitError, Fence, PortError};

/// Error of [`ReplayStore`].
pub type ReplayStoreError = PortError;

/// What became of a chunk that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutVerdict {
    /// It is stored now.
    Stored,
    /// The same chunk was there.
    Same,
    /// Another chunk has its index; nothing was changed.
    Conflict,
}

/// Names a chunk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    /// The tenant.
    pub project_id: ProjectId,
    /// The session.
    pub session_id: SessionId,
    /// Place among the session's chunks.
    pub chunk_index: u16,
}

impl ChunkId {
    /// The name of `chunk`.
    pub fn of(chunk: &ReplayChunk) -> Self {
        Self {
            project_id: chunk.project_id.clone(),
            session_id: chunk.session_id.clone(),
            chunk_index: chunk.chunk_index,
        }
    }
}

/// Replay chunks that are not archived (hot).
///
/// # Contract
/// 1. `put` is idempotent by project, session and index: the same content changes nothing, other content is a
///    `Conflict` and changes nothing. A chunk that was put survives a crash.
/// 2. A `put` behind an older fence changes nothing.
/// 3. `contents` tells the content of each of the chunks, in the order asked; `None` for one that is not there.
/// 4. `headers` gives the chunks of a session in order of their index, without data.
/// 5. `data` gives the bytes that were put, in the order asked. Many at once cost a store little more than one does.
/// 6. `delete` removes these chunks and says how many were there. Many at once cost a store little more than one does.
/// 7. `are_recorded` tells of each session whether it has a replay: chunks here, or a mark that it is archived.
/// 8. `recorded` gives the sessions of a project that have chunks, in order of their bytes.
/// 9. `idle` gives the sessions that have chunks, all of them received before a time, in order of project and session
///    by their bytes.
#[async_trait]
pub trait ReplayStore: fmt::Debug + Send + Sync {
    /// Notified that `fence` is the newest of its partition: from here on no write behind an older one takes effect here. A store
    /// whose own ledger gave the fence knows that already, and one that is not shared by processes need not care.
    async fn acquired(&self, _fence: &Fence) -> Result<(), PortError> {
        Ok(())
    }

    /// Stores `chunks`, and gives the verdicts in the same order.
    async fn put(&self, fence: &Fence, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, CommitError>;

    /// The content that each of `chunks` has, if it is stored.
    async fn contents(&self, chunks: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, ReplayStoreError>;

    /// The chunks of a session, without data.
    async fn headers(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError>;

    /// The data of each of `chunks`, if it is stored. Whoever asks bounds how much that is.
    async fn data(&self, chunks: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>, ReplayStoreError>;

    /// Removes chunks, of any sessions.
    async fn delete(&self, chunks: &[ChunkId]) -> Result<u64, ReplayStoreError>;

    /// Marks whether sessions have a replay elsewhere.
    async fn mark_archived(
        &self,
        sessions: &[ReplaySession],
        is_archived: bool,
    ) -> Result<(), ReplayStoreError>;

    /// Whether each of `sessions` has a replay.
    async fn are_recorded(&self, sessions: &[ReplaySession]) -> Result<Vec<bool>, ReplayStoreError>;

    /// Up to `limit` sessions of a project after the session `after`.
    async fn recorded(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, ReplayStoreError>;

    /// Up to `limit` sessions after the session `after`, whose last chunk was received before `before`.
    async fn idle(
        &self,
        before: Timestamp,
        after: Option<ReplaySession>,
        limit: usize,
    ) -> Result<Vec<ReplaySession>, ReplayStoreError>;
}
