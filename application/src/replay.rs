//! Replays: read back from the hot store and the archive as if there were one, and moved from one to the other.

mod archiver;
mod error;
mod events;
mod manifest;
mod object;
mod purge;
mod range;
mod read;
mod stored;

use std::collections::HashMap;
use std::sync::Arc;

use gosight_domain::replay::{ArchivedReplay, ContentHash, ReplaySession};

use crate::ports::{CatalogueEntry, ChunkId, PortError, ReplayArchive, ReplayCatalogue, ReplayStore};

pub use archiver::{ArchiveError, ArchivePolicy, Archived, Archiver, ListedReplay, PassReport, Verified};
pub use error::{DamagedObject, ReplayReadError};
pub use events::ReplayEvent;
pub use manifest::{ReplayManifest, ReplayStorage};
pub use purge::Purged;
pub use range::TimeRange;
pub use read::ReplayEvents;
pub use stored::StoredReplay;

/// Where replays go that are old.
#[derive(Debug, Clone)]
pub struct ColdReplays {
    /// Which are there, and where.
    pub catalogue: Arc<dyn ReplayCatalogue>,
    /// The objects.
    pub objects: Arc<dyn ReplayArchive>,
}

/// All replays, hot and cold.
#[derive(Debug, Clone)]
pub struct Replays {
    hot: Arc<dyn ReplayStore>,
    cold: Option<ColdReplays>,
}

impl Replays {
    /// Those in `hot`, and those in the archive, if there is one.
    pub fn new(hot: Arc<dyn ReplayStore>, cold: Option<ColdReplays>) -> Self {
        Self { hot, cold }
    }

    /// Whether each of `sessions` has a replay, hot or archived.
    ///
    /// # Errors
    /// The hot store's.
    pub async fn are_recorded(&self, sessions: &[ReplaySession]) -> Result<Vec<bool>, PortError> {
        self.hot.are_recorded(sessions).await
    }

    /// What was archived of a session.
    async fn archived(&self, session: &ReplaySession) -> Result<Option<ArchivedReplay>, PortError> {
        let Some(cold) = &self.cold else { return Ok(None) };
        let entries = cold.catalogue.get(std::slice::from_ref(session)).await?;
        Ok(entries.into_iter().flatten().next().and_then(CatalogueEntry::into_readable))
    }

    /// The content that each of `chunks` has, wherever it is stored.
    ///
    /// # Errors
    /// The stores'.
    pub async fn contents(&self, chunks: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, PortError> {
        // The hot store first: what is deleted there is in the catalogue before.
        let mut contents = self.hot.contents(chunks).await?;
        let Some(cold) = &self.cold else { return Ok(contents) };
        let session = |chunk: &ChunkId| ReplaySession {
            project_id: chunk.project_id.clone(),
            session_id: chunk.session_id.clone(),
        };
        let unknown = chunks.iter().zip(&contents).filter(|(_, content)| content.is_none());
        let mut sessions: Vec<ReplaySession> = unknown.map(|(chunk, _)| session(chunk)).collect();
        sessions.sort_unstable();
        sessions.dedup();
        let entries = cold.catalogue.get(&sessions).await?;
        let archived: HashMap<ReplaySession, ArchivedReplay> = sessions
            .into_iter()
            .zip(entries)
            .filter_map(|(s, entry)| Some((s, entry?.into_readable()?)))
            .collect();
        for (chunk, content) in chunks.iter().zip(&mut contents) {
            if content.is_none() {
                let archived = archived.get(&session(chunk));
                *content = archived.and_then(|replay| Some(replay.chunk(chunk.chunk_index)?.content));
            }
        }
        Ok(contents)
    }
}
