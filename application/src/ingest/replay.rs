use std::io::Write;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use gosight_domain::key::{Ingest as IngestScope, Scoped};
use gosight_domain::replay::{CheckedReplay, ContentHash, ReplayChunk, ReplayDraft};
use gosight_domain::{ProjectId, SessionId, Timestamp, Violation, ViolationCode};

use super::refusals::{Refusal, RefusedChunk};
use super::{Ingest, IngestError, unavailable};
use crate::codec::encode_chunk;
use crate::kill_point;
use crate::logs;
use crate::ports::{BoxError, ChunkId, PortError};
use crate::telemetry::Metric;

/// Events below this many bytes are compressed where they are; more go to a thread that may take its time.
const COMPRESS_IN_PLACE_BYTES: usize = 64 * 1024;

/// The series that counted unknown chunks before: kept for dashboards, until the next version.
const UNKNOWN_CHUNKS_AS_RETRIES: [(&str, &str); 2] =
    [("what", "accepted_chunks"), ("alias_of", "accepted_chunks_unavailable_total")];

/// A chunk that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayReceipt {
    /// The session.
    pub session_id: SessionId,
    /// Place among the session's chunks.
    pub chunk_index: u16,
    /// Events in the chunk.
    pub event_count: u32,
}

impl Ingest {
    /// Checks, compresses and logs one replay chunk. It counts as one event of the project's allowance.
    ///
    /// `draft` holds what could be read of the chunk, or why it could not be read. Of two chunks with one index that
    /// come at the same moment both may be accepted; the second is dead-lettered when it is processed.
    ///
    /// # Errors
    /// [`IngestError`] when the chunk is bad, when another was accepted with its index, or when the log does not take it.
    pub async fn replay(
        &self,
        scope: &Scoped<IngestScope>,
        draft: Result<ReplayDraft<'_>, Violation>,
    ) -> Result<ReplayReceipt, IngestError> {
        self.take_allowance(scope.project_id(), 1).await?;
        let received_at = self.ports.clock.now();
        let checked =
            draft.and_then(|draft| self.rules.replay.validate(scope.project_id(), received_at, draft));
        let result = match checked {
            Ok(checked) => self.accept(checked).await,
            Err(violation) => Err(IngestError::BadReplay(violation)),
        };
        match &result {
            Ok(_) => self.telemetry.count(Metric::ReplayChunksAccepted, &[], 1),
            Err(IngestError::BadReplay(violation)) => {
                // The chunk itself may be 100 MiB and is left to its sender.
                self.report_chunk(scope.project_id(), received_at, violation, None);
            }
            Err(_) => {}
        }
        result
    }

    async fn accept(&self, checked: CheckedReplay<'_>) -> Result<ReplayReceipt, IngestError> {
        let id = ChunkId::of(&checked.chunk);
        let accepted = self.accepted_content(&id).await;
        let chunk = self.compress(checked).await.map_err(internal)?;
        if let Some(content) = accepted.filter(|content| *content != chunk.content) {
            let violation = conflict(&chunk, content);
            self.report_chunk(&chunk.project_id, chunk.received_at, &violation, Some(&chunk));
            return Err(IngestError::ConflictingChunk(violation));
        }
        self.log_chunk(&chunk).await?;
        if accepted.is_none()
            && let Err(error) = self.ports.chunks.remember(&id, chunk.content).await
        {
            self.report_unknown_chunks(&error, "remember");
        }
        let ReplayChunk { session_id, chunk_index, event_count, .. } = chunk;
        Ok(ReplayReceipt { session_id, chunk_index, event_count })
    }

    /// The content of the chunk that was accepted under this id. When nobody can tell there is none: a conflict is found
    /// when the chunk is processed, too.
    async fn accepted_content(&self, id: &ChunkId) -> Option<ContentHash> {
        match self.ports.chunks.find(id).await {
            Ok(content) => content,
            Err(error) => {
                self.report_unknown_chunks(&error, "find");
                None
            }
        }
    }

    fn report_unknown_chunks(&self, error: &PortError, call: &'static str) {
        tracing::debug!(%error, call, "accepted replay chunks are not known right now");
        self.telemetry.count(Metric::AcceptedChunksUnavailable, &[("call", call)], 1);
        self.telemetry.count(Metric::Retries, &UNKNOWN_CHUNKS_AS_RETRIES, 1);
    }

    /// Counts a refused chunk and writes it to the errors log, with its data where `chunk` has it.
    fn report_chunk(
        &self,
        project_id: &ProjectId,
        received_at: Timestamp,
        violation: &Violation,
        chunk: Option<&ReplayChunk>,
    ) {
        self.telemetry.count(Metric::ReplayChunksRejected, &[("reason", violation.code.as_str())], 1);
        let refused = chunk.map(RefusedChunk::of);
        // Base64 and the rest of the report have to fit into a record.
        let fits = |refused: &&RefusedChunk<'_>| refused.data.len() < self.rules.max_record_bytes / 2;
        let item = refused.as_ref().filter(fits);
        self.report(&Refusal::new(project_id, received_at, 0, violation, item));
    }

    async fn log_chunk(&self, chunk: &ReplayChunk) -> Result<(), IngestError> {
        let record = encode_chunk(chunk).map_err(|error| internal(error.into()))?;
        if record.value.len() > self.rules.max_record_bytes {
            return Err(too_large(record.value.len(), self.rules.max_record_bytes).into());
        }
        kill_point("log-appending");
        let start = Instant::now();
        let result = self.ports.log.append(logs::REPLAY, vec![record]).await;
        self.telemetry.observe_time(Metric::LogAppendSeconds, &[], start.elapsed());
        match result {
            Ok(()) => {
                kill_point("log-appended");
                Ok(())
            }
            Err(PortError::Rejected { refused, .. }) => {
                Err(Violation::new("events", ViolationCode::TooLarge, refused.to_string()).into())
            }
            Err(error) => {
                tracing::error!(%error, "a replay chunk could not be logged");
                Err(unavailable(error))
            }
        }
    }

    /// The chunk with its data: the sender's gzip where that is small enough, else whichever is smaller.
    async fn compress(&self, checked: CheckedReplay<'_>) -> Result<ReplayChunk, BoxError> {
        let level = Compression::new(self.rules.gzip_level);
        let CheckedReplay { mut chunk, events, gzip: sent } = checked;
        let ratio = self.rules.keep_gzip_ratio;
        if let Some(sent) = sent.filter(|sent| sent.len().saturating_mul(ratio) <= events.len()) {
            chunk.data = sent.to_vec();
            return Ok(chunk);
        }
        let data = if events.len() <= COMPRESS_IN_PLACE_BYTES {
            gzip(events.as_bytes(), level)?
        } else {
            tokio::task::spawn_blocking(move || gzip(events.as_bytes(), level)).await??
        };
        chunk.data = sent.filter(|sent| sent.len() <= data.len()).map_or(data, <[u8]>::to_vec);
        Ok(chunk)
    }
}

fn gzip(bytes: &[u8], level: Compression) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), level);
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn internal(source: BoxError) -> IngestError {
    tracing::error!(error = %source, "a replay chunk could not be compressed or encoded");
    IngestError::Unavailable { retry_after: None, source }
}

fn too_large(found: usize, max: usize) -> Violation {
    Violation::new(
        "events",
        ViolationCode::TooLarge,
        format!("has {found} bytes compressed, the log takes {max}; send smaller chunks"),
    )
}

fn conflict(chunk: &ReplayChunk, accepted: ContentHash) -> Violation {
    let reason = format!(
        "chunk {} of session {} was accepted before with other content (SHA-256 {accepted}); give every chunk of a \
         session an index of its own",
        chunk.chunk_index, chunk.session_id
    );
    Violation::new("chunk_index", ViolationCode::ConflictingChunk, reason)
}
