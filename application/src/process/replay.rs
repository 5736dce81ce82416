use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::ledger::{LedgerRow, Outcome};
use gosight_domain::replay::{ContentHash, ReplayChunk};

use super::handler::{BatchHandler, HandlerError, Refusals};
use crate::codec::decode_chunk;
use crate::ports::{ChunkId, Clock, DeadLetter, LogPosition, PolledBatch, ProcessedBatch, ReplayStore};

/// Turns batches of the replay log into stored chunks.
///
/// A chunk that is stored already is a duplicate; one with the index of another chunk but other content is put aside,
/// because one of the two would be lost.
#[derive(Debug)]
pub struct ReplayHandler {
    store: Arc<dyn ReplayStore>,
    clock: Arc<dyn Clock>,
}

/// A record that was read: a chunk, or why it is none.
type Decoded = Result<ReplayChunk, (Arc<str>, String)>;

impl ReplayHandler {
    /// Asks `store` which chunks it has.
    pub fn new(store: Arc<dyn ReplayStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// What is stored under the ids of these chunks.
    async fn stored(&self, records: &[Decoded]) -> Result<HashMap<ChunkId, ContentHash>, HandlerError> {
        let ids: Vec<ChunkId> =
            records.iter().filter_map(|record| record.as_ref().ok()).map(ChunkId::of).collect();
        let contents = self.store.contents(&ids).await?;
        Ok(ids.into_iter().zip(contents).filter_map(|(id, content)| Some((id, content?))).collect())
    }
}

fn decode(batch: &PolledBatch, refused: &Refusals) -> Vec<Decoded> {
    batch
        .records
        .iter()
        .map(|record| match refused.get(&record.offset) {
            Some(reason) => Err(("store_refused".into(), reason.clone())),
            None => decode_chunk(&record.value).map_err(|error| (error.reason().into(), error.to_string())),
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
                Err((reason, detail)) => {
                    processed.ledger.record(None, now.hour(), &Outcome::DeadLettered(reason.clone()));
                    processed.dead_letters.push(dead_letter(None, reason, detail));
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
