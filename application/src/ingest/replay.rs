use std::io::Write;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use gosight_domain::key::{Ingest as IngestScope, Scoped};
use gosight_domain::replay::{CheckedReplay, ReplayChunk, ReplayDraft};
use gosight_domain::{SessionId, Violation, ViolationCode};

use super::refusals::Refusal;
use super::{Ingest, IngestError, unavailable};
use crate::codec::encode_chunk;
use crate::logs;
use crate::ports::{BoxError, PortError};
use crate::telemetry::Metric;

/// Events below this many bytes are compressed where they are; more go to a thread that may take its time.
const COMPRESS_IN_PLACE_BYTES: usize = 64 * 1024;

/// A chunk that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayReceipt {
    /// The visit.
    pub session_id: SessionId,
    /// Place among the session's chunks.
    pub chunk_index: u16,
    /// Events in the chunk.
    pub event_count: u32,
}

impl Ingest {
    /// Checks, compresses and logs one replay chunk. It counts as one event of the project's allowance.
    ///
    /// `draft` holds what could be read of the chunk, or why it could not be read.
    ///
    /// # Errors
    /// [`IngestError`] when the chunk is bad or the log does not take it.
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
            Ok(checked) => self.log_chunk(checked).await,
            Err(violation) => Err(IngestError::BadReplay(violation)),
        };
        match &result {
            Ok(_) => self.telemetry.count(Metric::ReplayChunksAccepted, &[], 1),
            Err(IngestError::BadReplay(violation)) => {
                let reason = violation.code.as_str();
                self.telemetry.count(Metric::ReplayChunksRejected, &[("reason", reason)], 1);
                // The chunk itself may be 100 MiB and is left to its sender.
                let refusal = Refusal::<()>::new(scope.project_id(), received_at, 0, violation, None);
                self.report(&[refusal]).await;
            }
            Err(_) => {}
        }
        result
    }

    async fn log_chunk(&self, checked: CheckedReplay) -> Result<ReplayReceipt, IngestError> {
        let chunk = self.compress(checked).await.map_err(internal)?;
        let receipt = ReplayReceipt {
            session_id: chunk.session_id.clone(),
            chunk_index: chunk.chunk_index,
            event_count: chunk.event_count,
        };
        let record = encode_chunk(&chunk).map_err(|error| internal(error.into()))?;
        if record.value.len() > self.rules.max_record_bytes {
            return Err(too_large(record.value.len(), self.rules.max_record_bytes).into());
        }
        let start = Instant::now();
        let result = self.ports.log.append(logs::REPLAY, vec![record]).await;
        self.telemetry.observe_time(Metric::LogAppendSeconds, &[], start.elapsed());
        match result {
            Ok(()) => Ok(receipt),
            Err(PortError::Rejected { refused, .. }) => {
                Err(Violation::new("events", ViolationCode::TooLarge, refused.to_string()).into())
            }
            Err(error) => {
                tracing::error!(%error, "a replay chunk could not be logged");
                Err(unavailable(error))
            }
        }
    }

    async fn compress(&self, checked: CheckedReplay) -> Result<ReplayChunk, BoxError> {
        let level = Compression::new(self.rules.gzip_level);
        let CheckedReplay { mut chunk, events } = checked;
        chunk.data = if events.len() <= COMPRESS_IN_PLACE_BYTES {
            gzip(events.as_bytes(), level)?
        } else {
            tokio::task::spawn_blocking(move || gzip(events.as_bytes(), level)).await??
        };
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
