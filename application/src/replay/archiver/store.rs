//! Writing an object: all events, uploaded, read back, recorded.

use bytes::Bytes;
use gosight_domain::replay::{ArchivedReplay, ContentHash, chunk_gaps};

use super::{ArchiveError, Archived, Archiver, path};
use crate::kill_point;
use crate::ports::{BoxError, CatalogueEntry, Lease};
use crate::replay::manifest::ReplayManifest;
use crate::replay::object::{ObjectWriter, WrittenObject};
use crate::replay::read::{ReplayReadError, TimeRange};

/// Most changes from one chunk to another in the order of events: the catalogue keeps each.
const MAX_RUNS: usize = 250_000;

impl Archiver {
    /// Writes all that there is into a new object.
    pub(super) async fn store(
        &self,
        lease: &Lease,
        entry: CatalogueEntry,
        manifest: &ReplayManifest,
    ) -> Result<Archived, ArchiveError> {
        let version = entry.version + 1;
        let object = path::of(manifest, version);
        // Earlier attempts failed perhaps. While the archive is away, further ones are not even noted.
        if entry.archived.is_none() {
            for attempt in &entry.stale_objects {
                self.delete_object(attempt).await?;
            }
        } else if !entry.stale_objects.is_empty() {
            self.cold.objects.stat(&object).await?;
        }
        let written = match self.write(manifest).await {
            Ok(written) => written,
            Err(
                error @ (ArchiveError::Tangled { .. }
                | ArchiveError::Read(ReplayReadError::Corrupt { .. } | ReplayReadError::Damaged(_))),
            ) => return self.quarantine(entry, error.to_string()).await,
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

    /// All events as one object.
    async fn write(&self, manifest: &ReplayManifest) -> Result<WrittenObject, ArchiveError> {
        let mut events = self.replays.events_of(manifest, TimeRange::default());
        let mut writer = ObjectWriter::new(self.policy.level);
        while let Some(event) = events.next().await.map_err(ArchiveError::Read)? {
            if writer.is_full() {
                writer = aside(move || writer.flushed()).await?;
            }
            writer.push(&event);
            if writer.runs() > MAX_RUNS {
                return Err(ArchiveError::Tangled { max: MAX_RUNS });
            }
        }
        aside(move || writer.finish()).await
    }

    /// Stores the object and its manifest, and reads both back.
    async fn upload(&self, archived: &ArchivedReplay, data: Bytes) -> Result<(), ArchiveError> {
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
}

/// Does `work`, which takes the processor for long, where it holds nobody up.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BoxError> + Send + 'static,
) -> Result<T, ArchiveError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|died| Err(died.into())).map_err(ArchiveError::Write)
}
