//! Writing an object: all events, uploaded, read back, recorded.

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use gosight_domain::replay::{ArchivedReplay, chunk_gaps};
use tokio::sync::mpsc;

use super::{ArchiveError, Archived, Archiver, path};
use crate::kill_point;
use crate::ports::{BoxError, CatalogueEntry, Lease, PortError, whole_object};
use crate::replay::error::ReplayReadError;
use crate::replay::events::ReplayEvent;
use crate::replay::manifest::ReplayManifest;
use crate::replay::object::{ObjectWriter, WrittenObject};
use crate::replay::range::TimeRange;
use crate::replay::read::ReplayEvents;

/// Most changes from one chunk to another in the order of events: the catalogue keeps each.
const MAX_RUNS: usize = 250_000;
/// Parts that wait to be uploaded.
const PARTS_AHEAD: usize = 2;

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
        // Earlier attempts failed perhaps. While the archive is unavailable, further ones are not even noted.
        if entry.archived.is_none() {
            for attempt in &entry.stale_objects {
                self.delete_object(attempt).await?;
            }
        } else if !entry.stale_objects.is_empty() {
            self.cold.objects.stat(&object).await?;
        }
        let mut events = self.replays.events_of(manifest, TimeRange::default());
        // Read before anything is noted: while the hot store is unavailable, attempts leave no trace.
        let first = match events.next().await {
            Ok(first) => first,
            Err(error) => return self.unreadable(entry, ArchiveError::Read(error)).await,
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
        kill_point("archive-uploading");
        let written = match self.upload(&object, first, events).await {
            Ok(written) => written,
            Err(error) => return self.unreadable(intent, error).await,
        };
        kill_point("archive-uploaded");
        let mut archived = ArchivedReplay {
            session: manifest.session.clone(),
            object,
            bytes: written.bytes,
            raw_bytes: written.raw_bytes,
            sha256: written.sha256,
            chunks: manifest.chunks.clone(),
            gaps: chunk_gaps(&manifest.chunks),
            segments: written.segments,
            archived_at: self.clock.now(),
        };
        self.describe(&archived).await?;
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

    /// Puts a session into quarantine whose events will not do at any attempt; any other error is for the next attempt.
    async fn unreadable(&self, entry: CatalogueEntry, error: ArchiveError) -> Result<Archived, ArchiveError> {
        match error {
            ArchiveError::Tangled { .. }
            | ArchiveError::Read(ReplayReadError::Corrupt { .. } | ReplayReadError::Damaged(_)) => {
                self.quarantine(entry, error.to_string()).await
            }
            error => Err(error),
        }
    }

    /// Writes all events into one object, which is uploaded while it is written: it is never whole in memory.
    async fn upload(
        &self,
        object: &str,
        first: Option<ReplayEvent>,
        events: ReplayEvents,
    ) -> Result<WrittenObject, ArchiveError> {
        let (parts, received) = mpsc::channel(PARTS_AHEAD);
        let received = stream::unfold(received, async |mut received| {
            let part = received.recv().await?;
            Some((part, received))
        });
        let put = self.cold.objects.put(object, received.boxed());
        let write = async {
            let written = self.write(first, events, &parts).await;
            if let Err(error) = &written {
                // Who uploads learns that this is not the end. Whether it still listens does not matter.
                let _ = parts.send(Err(PortError::fatal("archiver", error.to_string()))).await;
            }
            drop(parts);
            written
        };
        match tokio::join!(write, put) {
            (Ok(written), put) => put.map(|()| written).map_err(ArchiveError::Port),
            // What ended the upload is the cause.
            (Err(ArchiveError::Interrupted), Err(error)) => Err(error.into()),
            (Err(error), _) => Err(error),
        }
    }

    /// Compresses all events, and sends the parts to who uploads them.
    async fn write(
        &self,
        first: Option<ReplayEvent>,
        mut events: ReplayEvents,
        parts: &mpsc::Sender<Result<Bytes, PortError>>,
    ) -> Result<WrittenObject, ArchiveError> {
        let send = async |part: Bytes| parts.send(Ok(part)).await.map_err(|_| ArchiveError::Interrupted);
        let mut writer = ObjectWriter::new(self.policy.level);
        let mut next = first;
        while let Some(event) = next {
            if writer.is_full() {
                writer = run_blocking(move || writer.flushed()).await?;
                send(writer.take_part()).await?;
            }
            writer.push(&event);
            if writer.runs() > MAX_RUNS {
                return Err(ArchiveError::Tangled { max: MAX_RUNS });
            }
            next = events.next().await.map_err(ArchiveError::Read)?;
        }
        let (last, written) = run_blocking(move || writer.finish()).await?;
        send(last).await?;
        Ok(written)
    }

    /// Stores the manifest beside the object, and reads the object back.
    async fn describe(&self, archived: &ArchivedReplay) -> Result<(), ArchiveError> {
        let manifest = serde_json::to_vec(archived).map_err(|error| ArchiveError::Write(error.into()))?;
        self.cold.objects.put(&path::manifest(&archived.object), whole_object(manifest)).await?;
        self.verify_object(archived).await?;
        kill_point("archive-verified");
        Ok(())
    }
}

/// Does `work`, which takes the processor for long, where it holds nobody up.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BoxError> + Send + 'static,
) -> Result<T, ArchiveError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|died| Err(died.into())).map_err(ArchiveError::Write)
}
