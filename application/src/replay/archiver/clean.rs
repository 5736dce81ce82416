//! Deleting in the hot store what has been in the archive for a while, of many sessions at once: a store may have to pay
//! for each statement, whatever it deletes.

use gosight_domain::replay::{ReplayChunk, ReplaySession};

use super::{ArchiveError, Archived, Archiver, millis};
use crate::kill_point;
use crate::ports::{CatalogueEntry, ChunkId, Lease, PortError};

/// What became of a session, or what is left to be done with it.
pub(super) enum Step {
    Done(Archived),
    Clean(Box<Held>),
}

/// A session whose chunks may be deleted in the hot store. It is this process's own until its lease is given back.
pub(super) struct Held {
    lease: Lease,
    entry: CatalogueEntry,
    chunks: Vec<ChunkId>,
}

impl Held {
    /// How many chunks are to be deleted.
    pub(super) fn chunks(&self) -> usize {
        self.chunks.len()
    }
}

impl Archiver {
    /// Looks whether the chunks of `hot`, all of which are archived, may be deleted there.
    pub(super) async fn prepare_clean(
        &self,
        lease: &Lease,
        mut entry: CatalogueEntry,
        hot: Vec<ReplayChunk>,
    ) -> Result<Step, ArchiveError> {
        let Some(archived) = &entry.archived else { return Ok(Step::Done(Archived::Nothing)) };
        let since = archived.archived_at.plus_millis(millis(self.policy.grace));
        if hot.is_empty() && entry.stale_objects.is_empty() || self.clock.now() < since {
            return Ok(Step::Done(Archived::Nothing));
        }
        // Once more: this is the last moment at which a lost object does no harm.
        if let Err(error) = self.verify_object(archived).await {
            return self.mend(lease, entry, hot, error).await.map(Step::Done);
        }
        for object in std::mem::take(&mut entry.stale_objects) {
            self.delete_object(&object).await?;
            kill_point("archive-stale-deleted");
        }
        let chunks = hot.iter().map(ChunkId::of).collect();
        Ok(Step::Clean(Box::new(Held { lease: lease.clone(), entry, chunks })))
    }

    /// Deletes the chunks of all these sessions, and gives the sessions back.
    ///
    /// # Errors
    /// The hot store's: nothing is known of any of them then, and it can be tried again.
    pub(super) async fn clean(
        &self,
        held: Vec<Held>,
    ) -> Result<Vec<(ReplaySession, Result<Archived, ArchiveError>)>, PortError> {
        // One that had to wait for too long may be another process's by now.
        let now = self.clock.now();
        let (held, late): (Vec<Held>, Vec<Held>) = held.into_iter().partition(|held| now < held.lease.until);
        let mut cleaned: Vec<_> =
            late.into_iter().map(|held| (held.lease.session, Ok(Archived::Busy))).collect();
        let mut noted = Vec::new();
        for mut held in held {
            // Before anything is deleted: who was purged meanwhile has other chunks by now.
            held.entry.version += 1;
            match self.put(&held.entry).await {
                Ok(()) => noted.push(held),
                Err(error) => {
                    self.give_back(&held.lease).await;
                    cleaned.push((held.lease.session, Err(error)));
                }
            }
        }
        let deleted = self.delete_hot(&noted).await;
        for Held { lease, .. } in noted {
            self.give_back(&lease).await;
            cleaned.push((lease.session, Ok(Archived::Cleaned)));
        }
        deleted.map(|()| cleaned)
    }

    async fn delete_hot(&self, held: &[Held]) -> Result<(), PortError> {
        let sessions: Vec<ReplaySession> = held.iter().map(|held| held.lease.session.clone()).collect();
        let chunks: Vec<ChunkId> = held.iter().flat_map(|held| &held.chunks).cloned().collect();
        self.replays.hot.mark_archived(&sessions, true).await?;
        kill_point("archive-before-delete");
        self.replays.hot.delete(&chunks).await?;
        kill_point("archive-deleted");
        Ok(())
    }
}
