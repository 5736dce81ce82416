use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::ledger::{LedgerRow, Outcome};
use gosight_domain::replay::{ContentHash, ReplayChunk};
use gosight_domain::{Hour, ProjectId};

use super::handler::{BatchHandler, HandlerError, Refusals};
use crate::codec::decode_chunk;
use crate::ports::{ChunkId, Clock, DeadLetter, LogPosition, PolledBatch, ProcessedBatch};
use crate::replay::Replays;

/// Turns batches of the replay log into stored chunks.
///
/// A chunk that is stored already is a duplicate; one with the index of another chunk but other content is dead-lettered,
/// because one of the two would be lost.
#[derive(Debug)]
pub struct ReplayHandler {
    replays: Replays,
    clock: Arc<dyn Clock>,
}

/// A record that was read: a chunk to be stored, or why it is dead-lettered.
type Decoded = Result<ReplayChunk, Unprocessable>;

/// A record that is dead-lettered.
struct Unprocessable {
    /// Whose it is and the hour it was received in, if it is a chunk.
    origin: Option<(ProjectId, Hour)>,
    reason: Arc<str>,
    /// What was said about it.
    detail: String,
}

impl ReplayHandler {
    /// Asks `replays` which chunks there are.
    pub fn new(replays: Replays, clock: Arc<dyn Clock>) -> Self {
        Self { replays, clock }
    }

    /// What is stored under the ids of these chunks.
    async fn stored(&self, records: &[Decoded]) -> Result<HashMap<ChunkId, ContentHash>, HandlerError> {
        let ids: Vec<ChunkId> =
            records.iter().filter_map(|record| record.as_ref().ok()).map(ChunkId::of).collect();
        let contents = self.replays.contents(&ids).await?;
        Ok(ids.into_iter().zip(contents).filter_map(|(id, content)| Some((id, content?))).collect())
    }
}

fn decode(batch: &PolledBatch, refused: &Refusals) -> Vec<Decoded> {
    batch
        .records
        .iter()
        .map(|record| match (decode_chunk(&record.value), refused.get(&record.offset)) {
            (chunk, Some(said)) => {
                let origin = chunk.ok().map(|chunk| (chunk.project_id, chunk.received_at.hour()));
                Err(Unprocessable { origin, reason: "store_refused".into(), detail: said.clone() })
            }
            (Ok(chunk), None) => Ok(chunk),
            (Err(error), None) => {
                Err(Unprocessable { origin: None, reason: error.reason().into(), detail: error.to_string() })
            }
        })
        .collect()
}

#[async_trait]
impl BatchHandler for ReplayHandler {
    async fn handle(&self, batch: &PolledBatch, refused: &Refusals) -> Result<ProcessedBatch, HandlerError> {
        let decoded = decode(batch, refused);
        let mut known = self.stored(&decoded).await?;
        let now = self.clock.now();
        let mut processed = ProcessedBatch::empty(LedgerRow::new(batch.span.clone()));
        for (decoded, record) in decoded.into_iter().zip(&batch.records) {
            let dead_letter = |project_id, reason: Arc<str>, detail| DeadLetter {
                position: LogPosition {
                    log: batch.span.log.clone(),
                    partition: batch.span.partition,
                    offset: record.offset,
                },
                project_id,
                reason,
                detail,
                at: now,
                record: record.value.clone(),
            };
            let chunk = match decoded {
                Ok(chunk) => chunk,
                Err(Unprocessable { origin, reason, detail }) => {
                    let (project_id, hour) = origin.unzip();
                    let hour = hour.unwrap_or(now.hour());
                    let outcome = Outcome::DeadLettered(reason.clone());
                    processed.ledger.record(project_id.as_ref(), hour, &outcome);
                    processed.dead_letters.push(dead_letter(project_id, reason, detail));
                    continue;
                }
            };
            let id = ChunkId::of(&chunk);
            let outcome = match known.get(&id) {
                None => Outcome::Stored,
                Some(content) if *content == chunk.content => Outcome::Duplicate,
                Some(content) => {
                    let reason: Arc<str> = "conflicting_chunk".into();
                    let detail = format!(
                        "chunk {} of session {} is stored with content {content}",
                        chunk.chunk_index, chunk.session_id
                    );
                    let project_id = Some(chunk.project_id.clone());
                    processed.dead_letters.push(dead_letter(project_id, reason.clone(), detail));
                    Outcome::DeadLettered(reason)
                }
            };
            processed.ledger.record(Some(&chunk.project_id), chunk.received_at.hour(), &outcome);
            if outcome == Outcome::Stored {
                known.insert(id, chunk.content);
                processed.replay_chunks.push(chunk);
            }
        }
        Ok(processed)
    }
}
