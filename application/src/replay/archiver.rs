//! Moving old replays to the archive: copied, read back, recorded, and only then deleted where they were.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gosight_domain::replay::{ArchivedReplay, ContentHash, ReplayChunk, ReplaySession, chunk_gaps};
use uuid::Uuid;

use super::manifest::{ReplayManifest, join};
use super::object::{ObjectWriter, WrittenObject};
use super::read::{ReplayReadError, TimeRange};
use super::{ColdReplays, Replays};
use crate::kill_point;
use crate::ports::{
    AcceptedChunks, BoxError, CatalogueEntry, Clock, Lease, PortError, Quarantine, ReplayStore,
};
use crate::telemetry::Telemetry;

mod clean;
mod list;
mod pass;
mod path;
mod policy;

use clean::Step;
pub use list::ListedReplay;
pub use pass::PassReport;
pub use policy::ArchivePolicy;

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
    /// What was read back is not what was stored.
    #[error("the object {path} is damaged: it {reason}")]
    Damaged {
        /// The object.
        path: String,
        /// What is wrong with it.
        reason: String,
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

/// Archives replays. Several may run at once, in several processes: a lease gives each session to one of them.
pub struct Archiver {
    pub(super) replays: Replays,
    pub(super) cold: ColdReplays,
    clock: Arc<dyn Clock>,
    policy: ArchivePolicy,
    telemetry: Telemetry,
    /// What the door knows of chunks, which is to forget those that are purged.
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
                return Ok(Step::Done(Archived::Quarantined));
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
        if manifest.hot_chunks().next().is_some() {
            self.store(lease, entry, &manifest).await.map(Step::Done)
        } else {
            self.prepare_clean(lease, entry, headers).await
        }
    }

    pub(super) async fn entry(&self, session: &ReplaySession) -> Result<CatalogueEntry, PortError> {
        let entries = self.cold.catalogue.get(std::slice::from_ref(session)).await?;
        Ok(entries.into_iter().flatten().next().unwrap_or_else(|| CatalogueEntry::new(session.clone())))
    }

    /// Writes all that there is into a new object.
    async fn store(
        &self,
        lease: &Lease,
        entry: CatalogueEntry,
        manifest: &ReplayManifest,
    ) -> Result<Archived, ArchiveError> {
        let version = entry.version + 1;
        let object = path::of(manifest, version);
        if !entry.stale_objects.is_empty() {
            // An earlier attempt failed perhaps. While the archive is away, further ones are not even noted.
            self.cold.objects.stat(&object).await?;
        }
        let written = match self.write(manifest).await {
            Ok(written) => written,
            Err(ArchiveError::Read(error @ ReplayReadError::Corrupt { .. })) => {
                return self.quarantine(entry, error.to_string()).await;
            }
            Err(error) => return Err(error),
        };
        // Said before it is done: whatever happens to this attempt, the catalogue knows of its object, and nobody else
        // writes to the same path.
        if self.clock.now() >= lease.until {
            // Purged meanwhile perhaps, of which a session that was never archived leaves no trace.
            return Err(ArchiveError::Overtaken);
        }
        let mut intent = entry.clone();
        intent.version = version;
        intent.stale_objects.push(object.clone());
        self.put(&intent).await?;
        let mut archived = ArchivedReplay {
            session: manifest.session.clone(),
            object,
            bytes: written.data.len() as u64,
            raw_bytes: written.raw_bytes,
            sha256: written.sha256,
            chunks: manifest.chunks.clone(),
            gaps: chunk_gaps(&manifest.chunks),
            segments: written.segments,
            archived_at: self.clock.now(),
        };
        self.upload(&archived, written.data).await?;
        archived.archived_at = self.clock.now();
        let object = archived.object.clone();
        let mut stale_objects = entry.stale_objects;
        stale_objects.extend(entry.archived.map(|replaced| replaced.object));
        let entry = CatalogueEntry {
            session: manifest.session.clone(),
            archived: Some(archived),
            quarantine: None,
            stale_objects,
            is_forgotten: false,
            version: version + 1,
        };
        if let Err(error) = self.put(&entry).await {
            if matches!(error, ArchiveError::Overtaken) {
                self.delete_object(&object).await?;
            }
            return Err(error);
        }
        kill_point("archive-recorded");
        Ok(Archived::Stored)
    }

    async fn put(&self, entry: &CatalogueEntry) -> Result<(), ArchiveError> {
        if self.cold.catalogue.put(entry).await? { Ok(()) } else { Err(ArchiveError::Overtaken) }
    }

    /// All events as one object.
    async fn write(&self, manifest: &ReplayManifest) -> Result<WrittenObject, ArchiveError> {
        let mut events = self.replays.events_of(manifest, TimeRange::default());
        let mut writer = ObjectWriter::new(self.policy.level);
        while let Some(event) = events.next().await.map_err(ArchiveError::Read)? {
            if writer.is_full() {
                writer = aside(move || writer.flushed()).await?;
            }
            writer.push(&event);
        }
        aside(move || writer.finish()).await
    }

    /// Stores the object and its manifest, and reads both back.
    async fn upload(&self, archived: &ArchivedReplay, data: bytes::Bytes) -> Result<(), ArchiveError> {
        kill_point("archive-uploading");
        let objects = &self.cold.objects;
        let description = serde_json::to_vec(archived).map_err(|error| ArchiveError::Write(error.into()))?;
        objects.put(&archived.object, data, &archived.sha256).await?;
        kill_point("archive-uploaded");
        let manifest_hash = ContentHash::of(&description);
        objects.put(&path::manifest(&archived.object), description.into(), &manifest_hash).await?;
        self.verify_object(archived).await?;
        kill_point("archive-verified");
        Ok(())
    }

    /// Reads what was archived of a session, and compares it with what the catalogue says.
    ///
    /// # Errors
    /// The catalogue's and the archive's.
    pub async fn verify(&self, session: &ReplaySession) -> Result<Verified, ArchiveError> {
        let Some(archived) = self.entry(session).await?.into_archived() else {
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
        let Some(data) = self.cold.objects.get(&archived.object, None).await? else {
            return Err(damaged("is not there".into()));
        };
        let sha256 = archived.sha256;
        match tokio::task::spawn_blocking(move || sha256.check(&data)).await {
            Ok(checked) => checked.map_err(|error| damaged(error.to_string())),
            Err(died) => Err(PortError::transient("archive", died).into()),
        }
    }

    pub(super) async fn delete_object(&self, object: &str) -> Result<(), PortError> {
        self.cold.objects.delete(&path::manifest(object)).await?;
        kill_point("archive-manifest-deleted");
        self.cold.objects.delete(object).await
    }

    async fn quarantine(&self, entry: CatalogueEntry, reason: String) -> Result<Archived, ArchiveError> {
        tracing::error!(session = %entry.session.session_id, project = %entry.session.project_id, reason, "a replay cannot be archived and stays where it is");
        let quarantine = Some(Quarantine { reason, since: self.clock.now() });
        self.put(&CatalogueEntry { quarantine, version: entry.version + 1, ..entry }).await?;
        Ok(Archived::Quarantined)
    }

    /// Deletes the objects of a session and then its entry; tells whether there was one. Said before it is done, so that
    /// nobody looks for an object that is gone.
    pub(super) async fn forget(&self, session: &ReplaySession) -> Result<bool, PortError> {
        let mut entry = self.entry(session).await?;
        if !entry.is_forgotten {
            entry.is_forgotten = true;
            entry.version += 1;
            if !self.cold.catalogue.put(&entry).await? {
                return Ok(false);
            }
        }
        kill_point("archive-forgotten");
        let current = entry.archived.as_ref().map(|archived| &archived.object);
        for object in entry.stale_objects.iter().chain(current) {
            self.delete_object(object).await?;
        }
        kill_point("archive-objects-deleted");
        self.replays.hot.mark_archived(std::slice::from_ref(session), false).await?;
        self.cold.catalogue.delete(session, entry.version).await
    }
}

/// Does `work`, which takes the processor for long, where it holds nobody up.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BoxError> + Send + 'static,
) -> Result<T, ArchiveError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|died| Err(died.into())).map_err(ArchiveError::Write)
}

/// A time that any date can be moved by.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Most bytes of a replay as it is stored: its object is held in memory.
const MAX_BYTES: u64 = 1 << 30;

/// Why a session cannot be archived as it is.
fn unfit(entry: &CatalogueEntry, hot: &[ReplayChunk], manifest: &ReplayManifest) -> Option<String> {
    let bytes = manifest.stored_bytes();
    if bytes > MAX_BYTES {
        return Some(format!("it has {bytes} bytes, of which at most {MAX_BYTES} can be archived"));
    }
    let archived = entry.archived.as_ref()?;
    let is_other = |chunk: &&ReplayChunk| {
        archived.chunk(chunk.chunk_index).is_some_and(|known| known.content != chunk.content)
    };
    let chunk = hot.iter().find(is_other)?;
    Some(format!("chunk {} has other content than the archived one", chunk.chunk_index))
}
