use gosight_domain::Timestamp;
use gosight_domain::replay::{ArchivedReplay, ReplayChunk, ReplaySession, chunk_gaps};

use super::Replays;
use crate::ports::PortError;

/// Where a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayStorage {
    /// In the hot store.
    Hot,
    /// In the archive.
    Archived,
    /// Some of it here, some there.
    Both,
}

/// What there is of a session's recording.
#[derive(Debug, Clone)]
pub struct ReplayManifest {
    /// Whose recording it is.
    pub session: ReplaySession,
    /// The chunks in order, without data.
    pub chunks: Vec<ReplayChunk>,
    /// Set when some of it is archived.
    pub archived: Option<ArchivedReplay>,
}

impl ReplayManifest {
    /// Indexes that lie before the last chunk and are not there.
    pub fn missing(&self) -> Vec<u16> {
        chunk_gaps(&self.chunks).into_iter().flat_map(|gap| gap.first..=gap.last).collect()
    }

    /// Events of all chunks.
    pub fn event_count(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.event_count)).sum()
    }

    /// Index of the first chunk that playback can start with.
    pub fn first_full_snapshot(&self) -> Option<u16> {
        self.chunks.iter().find(|chunk| chunk.has_full_snapshot).map(|chunk| chunk.chunk_index)
    }

    /// Earliest and latest time of the recording.
    pub fn time_range(&self) -> Option<(Timestamp, Timestamp)> {
        let start = self.chunks.iter().map(|chunk| chunk.timestamp_start).min()?;
        let end = self.chunks.iter().map(|chunk| chunk.timestamp_end).max()?;
        Some((start, end))
    }

    /// Bytes as they are stored: of the archived object, and of the chunks that are not in it.
    pub fn stored_bytes(&self) -> u64 {
        let archived = self.archived.as_ref().map_or(0, |archived| archived.bytes);
        archived + self.hot_chunks().map(|chunk| u64::from(chunk.stored_bytes)).sum::<u64>()
    }

    /// Where it is.
    pub fn storage(&self) -> ReplayStorage {
        match &self.archived {
            None => ReplayStorage::Hot,
            Some(archived) if archived.chunks.len() == self.chunks.len() => ReplayStorage::Archived,
            Some(_) => ReplayStorage::Both,
        }
    }

    /// The chunks that are in the hot store alone.
    pub(super) fn hot_chunks(&self) -> impl Iterator<Item = &ReplayChunk> {
        let is_archived = |index| self.archived.as_ref().is_some_and(|replay| replay.chunk(index).is_some());
        self.chunks.iter().filter(move |chunk| !is_archived(chunk.chunk_index))
    }
}

impl Replays {
    /// What there is of a session's recording; `None` when there is nothing.
    ///
    /// # Errors
    /// The stores'.
    pub async fn manifest(&self, session: &ReplaySession) -> Result<Option<ReplayManifest>, PortError> {
        // The hot store first: what is deleted there is in the catalogue before.
        let hot = self.hot.headers(session).await?;
        let archived = self.archived(session).await?;
        Ok(join(session, hot, archived))
    }
}

/// Chunks that are in both places count as archived.
pub(super) fn join(
    session: &ReplaySession,
    mut chunks: Vec<ReplayChunk>,
    archived: Option<ArchivedReplay>,
) -> Option<ReplayManifest> {
    if let Some(archived) = &archived {
        chunks.retain(|chunk| archived.chunk(chunk.chunk_index).is_none());
        chunks.extend(archived.chunks.iter().cloned());
        chunks.sort_by_key(|chunk| chunk.chunk_index);
    }
    (!chunks.is_empty()).then(|| ReplayManifest { session: session.clone(), chunks, archived })
}
