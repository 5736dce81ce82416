use gosight_domain::replay::ReplaySession;

use super::archiver::{ArchiveError, Archiver};
use crate::kill_point;
use crate::ports::ChunkId;

/// What there was of a replay, and is gone now, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purged {
    /// Chunks in the hot store.
    pub hot_chunks: u64,
    /// Chunks in the archive.
    pub archived_chunks: u64,
    /// Objects in the archive.
    pub objects: u64,
}

impl Archiver {
    /// What [`purge`](Self::purge) would delete.
    ///
    /// # Errors
    /// The stores'.
    pub async fn purgeable(&self, session: &ReplaySession) -> Result<Purged, ArchiveError> {
        let entry = self.entry(session).await?;
        let archived = entry.archived.as_ref();
        Ok(Purged {
            hot_chunks: self.replays.hot.headers(session).await?.len() as u64,
            archived_chunks: archived.map_or(0, |archived| archived.chunks.len() as u64),
            objects: (entry.stale_objects.len() + usize::from(archived.is_some())) as u64,
        })
    }

    /// Deletes all that is stored of a session's replay, hot and archived. Chunks that are still in the log come later,
    /// and have to be purged again.
    ///
    /// # Errors
    /// [`Overtaken`](ArchiveError::Overtaken) while the session is being archived; it can be tried again, after any
    /// error.
    pub async fn purge(&self, session: &ReplaySession) -> Result<Purged, ArchiveError> {
        let purged = self.alone(session, async || {
            let found = self.purgeable(session).await?;
            let entry = self.entry(session).await?;
            if entry.version > 0 && !self.forget(session).await? {
                return Err(ArchiveError::Overtaken);
            }
            kill_point("purge-before-delete");
            let hot = self.replays.hot.headers(session).await?;
            let chunks: Vec<ChunkId> = hot.iter().map(ChunkId::of).collect();
            self.replays.hot.delete(&chunks).await?;
            kill_point("purge-deleted");
            let archived = entry.archived.map(|archived| archived.chunks).unwrap_or_default();
            self.forget_accepted(chunks.into_iter().chain(archived.iter().map(ChunkId::of)).collect()).await;
            Ok::<_, ArchiveError>(found)
        });
        purged.await?.ok_or(ArchiveError::Overtaken)
    }

    async fn forget_accepted(&self, chunks: Vec<ChunkId>) {
        let Some(accepted) = &self.accepted else { return };
        if let Err(error) = accepted.forget(&chunks).await {
            tracing::warn!(%error, "for a while the ingest API still refuses other chunks in place of purged ones");
        }
    }
}
