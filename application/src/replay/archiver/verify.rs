//! Whether an object is what was stored.

use std::collections::HashSet;

use gosight_domain::replay::{ArchivedReplay, ReplayChunk, ReplaySession};

use super::{ArchiveError, Archived, Archiver};
use crate::ports::{CatalogueEntry, Lease};
use crate::replay::error::ReplayReadError;
use crate::replay::manifest::join;
use crate::replay::stored::StoredReplay;

/// Whether what was archived is what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// Nothing was archived.
    NotArchived,
    /// The object has the hash that it was stored with.
    Whole {
        /// Its path.
        object: String,
    },
    /// The object is not what it was.
    Damaged {
        /// Its path.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Archiver {
    /// Reads what was archived of a session, and compares it with what the catalogue says.
    ///
    /// # Errors
    /// The catalogue's and the archive's.
    pub async fn verify(&self, session: &ReplaySession) -> Result<Verified, ArchiveError> {
        let Some(archived) = self.entry(session).await?.into_readable() else {
            return Ok(Verified::NotArchived);
        };
        match self.verify_object(&archived).await {
            Ok(()) => Ok(Verified::Whole { object: archived.object }),
            Err(ArchiveError::Damaged { path, reason }) => Ok(Verified::Damaged { object: path, reason }),
            Err(error) => Err(error),
        }
    }

    /// Reads an object, and compares it with what the catalogue says.
    pub(super) async fn verify_object(&self, archived: &ArchivedReplay) -> Result<(), ArchiveError> {
        let damaged = |reason: String| ArchiveError::Damaged { path: archived.object.clone(), reason };
        let mut stored = StoredReplay::new(self.cold.objects.clone(), archived);
        loop {
            match stored.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(ReplayReadError::Store(error)) => return Err(error.into()),
                Err(ReplayReadError::NoObject(_)) => return Err(damaged("it is not there".into())),
                Err(ReplayReadError::Damaged(error)) => return Err(damaged(error.0.to_string())),
                Err(error) => return Err(ArchiveError::Read(error)),
            }
        }
    }

    /// Archives what is in the hot store anew when that is all that the damaged object had; else a person has to look.
    pub(super) async fn mend(
        &self,
        lease: &Lease,
        entry: CatalogueEntry,
        hot: Vec<ReplayChunk>,
        error: ArchiveError,
    ) -> Result<Archived, ArchiveError> {
        let ArchiveError::Damaged { .. } = error else { return Err(error) };
        let name = |chunk: &ReplayChunk| (chunk.chunk_index, chunk.content);
        let here: HashSet<_> = hot.iter().map(name).collect();
        let mut lost = entry.archived.iter().flat_map(|archived| &archived.chunks);
        let is_whole_here = lost.all(|chunk| here.contains(&name(chunk)));
        tracing::error!(%error, is_whole_here, "an archived replay is damaged");
        match join(&entry.session, hot, None).filter(|_| is_whole_here) {
            Some(manifest) => self.store(lease, entry, &manifest).await,
            None => self.quarantine(entry, error.to_string()).await,
        }
    }
}
