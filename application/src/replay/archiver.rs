//! Moving old replays to the archive: copied, read back, recorded, and only then deleted where they were.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gosight_domain::replay::{ReplayChunk, ReplaySession};
use uuid::Uuid;

use super::error::ReplayReadError;
use super::manifest::{ReplayManifest, join};
use super::{ColdReplays, Replays};
use crate::ports::{
    AcceptedChunks, BoxError, CatalogueEntry, Clock, Lease, PortError, Quarantine, ReplayStore,
};
use crate::telemetry::Telemetry;

mod clean;
mod forget;
mod list;
mod pass;
mod path;
mod policy;
mod store;
mod verify;

use clean::Step;
pub use list::ListedReplay;
pub use pass::PassReport;
pub use policy::ArchivePolicy;
pub use verify::Verified;

/// Why a session could not be archived. Nothing of it was deleted.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A store or the archive failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// What was read was not right.
    #[error(transparent)]
    Read(ReplayReadError),
    /// The object could not be made.
    #[error("the object could not be made: {0}")]
    Write(BoxError),
    /// The upload ended before everything was written.
    #[error("the upload ended before everything was written")]
    Interrupted,
    /// What was read back is not what was stored.
    #[error("the object {path} is damaged: {reason}")]
    Damaged {
        /// The object.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Its chunks overlap so much that the catalogue cannot say which event is of which.
    #[error("its chunks overlap too much: their events alternate more than {max} times")]
    Tangled {
        /// What the catalogue keeps at most.
        max: usize,
    },
    /// Another process changed the session meanwhile.
    #[error("another process has changed the session at the same time")]
    Overtaken,
}

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archived {
    /// Its chunks are in the archive now.
    Stored,
    /// What was archived was deleted in the hot store.
    Cleaned,
    /// There was nothing to do yet.
    Nothing,
    /// Another process is at it.
    Busy,
    /// It cannot be archived, and waits for a person.
    Quarantined,
}

/// Archives replays. Several may run at once, in several processes: a lease gives each session to one of them.
pub struct Archiver {
    pub(super) replays: Replays,
    pub(super) cold: ColdReplays,
    clock: Arc<dyn Clock>,
    policy: ArchivePolicy,
    telemetry: Telemetry,
    /// What the ingest API knows of chunks, which is to forget those that are purged.
    pub(super) accepted: Option<Arc<dyn AcceptedChunks>>,
}

impl fmt::Debug for Archiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archiver").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Archiver {
    /// Moves replays from `hot` to `cold`.
    pub fn new(
        hot: Arc<dyn ReplayStore>,
        cold: ColdReplays,
        clock: Arc<dyn Clock>,
        policy: ArchivePolicy,
        telemetry: Telemetry,
    ) -> Self {
        let replays = Replays::new(hot, Some(cold.clone()));
        Self { replays, cold, clock, policy, telemetry, accepted: None }
    }

    /// Lets `accepted` forget the chunks that are purged.
    #[must_use]
    pub fn forgetting(self, accepted: Arc<dyn AcceptedChunks>) -> Self {
        Self { accepted: Some(accepted), ..self }
    }

    /// Archives a session, whatever its age; or cleans up after it was archived. One in quarantine is tried again: what
    /// was wrong with it may have been mended.
    ///
    /// # Errors
    /// [`ArchiveError`]; it can be tried again.
    pub async fn archive(&self, session: &ReplaySession) -> Result<Archived, ArchiveError> {
        match self.step(session, true).await? {
            Step::Done(archived) => Ok(archived),
            Step::Clean(held) => {
                let cleaned = self.clean(vec![*held]).await?;
                cleaned.into_iter().next().map_or(Ok(Archived::Nothing), |(_, result)| result)
            }
        }
    }

    /// Does for a session what concerns no other. One that has chunks to delete in the hot store stays this process's
    /// own. One in quarantine is left alone, unless it is to be tried again.
    async fn step(&self, session: &ReplaySession, tries_again: bool) -> Result<Step, ArchiveError> {
        let Some(lease) = self.take(session).await? else { return Ok(Step::Done(Archived::Busy)) };
        let step = self.step_alone(&lease, tries_again).await;
        if !matches!(step, Ok(Step::Clean(_))) {
            self.give_back(&lease).await;
        }
        step
    }

    async fn step_alone(&self, lease: &Lease, tries_again: bool) -> Result<Step, ArchiveError> {
        let mut entry = self.entry(&lease.session).await?;
        if entry.is_forgotten {
            // A purge that was cut comes to its end first.
            self.forget(&lease.session).await?;
            entry = self.entry(&lease.session).await?;
        }
        if entry.quarantine.is_some() {
            if !tries_again {
                return Ok(Step::Done(Archived::Nothing));
            }
            entry.quarantine = None;
            entry.version += 1;
            self.put(&entry).await?;
        }
        self.move_chunks(lease, entry).await
    }

    /// Does `work` while the session is this process's own; `None` when it is another's.
    pub(super) async fn alone<T, E: From<PortError>>(
        &self,
        session: &ReplaySession,
        work: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let Some(lease) = self.take(session).await? else { return Ok(None) };
        let done = work().await;
        self.give_back(&lease).await;
        done.map(Some)
    }

    async fn take(&self, session: &ReplaySession) -> Result<Option<Lease>, PortError> {
        let since = self.clock.now();
        // A lease is of one call, not of the process: two calls for a session exclude each other too.
        let owner = Uuid::from_u128(rand::random());
        let until = since.plus_millis(millis(self.policy.lease));
        let lease = Lease { session: session.clone(), owner, since, until };
        Ok(self.cold.catalogue.lease(&lease).await?.then_some(lease))
    }

    async fn give_back(&self, lease: &Lease) {
        if let Err(error) = self.cold.catalogue.release(&lease.session, lease.owner).await {
            tracing::warn!(%error, "a lease was not given back, and ends by itself");
        }
    }

    async fn move_chunks(&self, lease: &Lease, entry: CatalogueEntry) -> Result<Step, ArchiveError> {
        let session = &entry.session;
        let headers = self.replays.hot.headers(session).await?;
        let Some(manifest) = join(session, headers.clone(), entry.archived.clone()) else {
            return Ok(Step::Done(Archived::Nothing));
        };
        if let Some(reason) = unfit(&entry, &headers, &manifest) {
            return self.quarantine(entry, reason).await.map(Step::Done);
        }
        if manifest.hot_chunks().next().is_none() {
            return self.prepare_clean(lease, entry, headers).await;
        }
        // What is joined with late chunks is not trusted: the new object will be.
        if let Some(archived) = &entry.archived
            && let Err(error) = self.verify_object(archived).await
        {
            return self.mend(lease, entry, headers, error).await.map(Step::Done);
        }
        self.store(lease, entry, &manifest).await.map(Step::Done)
    }

    pub(super) async fn entry(&self, session: &ReplaySession) -> Result<CatalogueEntry, PortError> {
        let entries = self.cold.catalogue.get(std::slice::from_ref(session)).await?;
        Ok(entries.into_iter().flatten().next().unwrap_or_else(|| CatalogueEntry::new(session.clone())))
    }

    async fn put(&self, entry: &CatalogueEntry) -> Result<(), ArchiveError> {
        if self.cold.catalogue.put(entry).await? { Ok(()) } else { Err(ArchiveError::Overtaken) }
    }

    async fn quarantine(&self, entry: CatalogueEntry, reason: String) -> Result<Archived, ArchiveError> {
        tracing::error!(session = %entry.session.session_id, project = %entry.session.project_id, reason, "a replay cannot be archived and stays where it is");
        let quarantine = Some(Quarantine { reason, since: self.clock.now() });
        self.put(&CatalogueEntry { quarantine, version: entry.version + 1, ..entry }).await?;
        Ok(Archived::Quarantined)
    }
}

/// A time that any date can be moved by.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Most bytes of a replay as it is stored.
const MAX_BYTES: u64 = 1 << 30;
/// Most bytes of its events: one replay must not keep the archiver busy for hours.
const MAX_RAW_BYTES: u64 = 16 << 30;

/// Why a session cannot be archived as it is.
fn unfit(entry: &CatalogueEntry, hot: &[ReplayChunk], manifest: &ReplayManifest) -> Option<String> {
    let raw_bytes = manifest.chunks.iter().map(|chunk| u64::from(chunk.raw_bytes)).sum();
    for (what, bytes, max) in
        [("bytes", manifest.stored_bytes(), MAX_BYTES), ("bytes decompressed", raw_bytes, MAX_RAW_BYTES)]
    {
        if bytes > max {
            return Some(format!("it has {bytes} {what}, of which at most {max} can be archived"));
        }
    }
    let archived = entry.archived.as_ref()?;
    let is_other = |chunk: &&ReplayChunk| {
        archived.chunk(chunk.chunk_index).is_some_and(|known| known.content != chunk.content)
    };
    let chunk = hot.iter().find(is_other)?;
    Some(format!("chunk {} has other content than the archived one", chunk.chunk_index))
}
