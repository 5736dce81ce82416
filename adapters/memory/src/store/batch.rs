use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::ports::ChunkId;
use gosight_application::ports::{
    BatchStore, Claim, ClaimVerdict, CommitError, Committed, DeadLetters, Deduplicator, DeduplicatorError,
    Nothing, PortError, ProcessedBatch, StoredEvent,
};
use gosight_domain::ledger::BatchSpan;

use super::{MemoryStore, State};
use crate::ADAPTER;

impl State {
    /// The offset after the last one that the ledger covers.
    fn ledger_end(&self, log: &str, partition: u32) -> Option<u64> {
        let rows = self.ledger.keys().filter(|span| &*span.log == log && span.partition == partition);
        rows.map(BatchSpan::next).max()
    }
}

#[async_trait]
impl BatchStore for MemoryStore {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        let state = self.lock();
        let partitions: Vec<u32> =
            state.ledger.keys().filter(|span| &*span.log == log).map(|span| span.partition).collect();
        let end = |partition| Some((partition, state.ledger_end(log, partition)?));
        Ok(partitions.into_iter().filter_map(end).collect())
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let span = &batch.ledger.span;
        {
            let mut state = self.lock();
            match state.ledger_end(&span.log, span.partition) {
                Some(end) if span.next() <= end => return Ok(Committed::Before),
                Some(end) if span.first != end => {
                    let text = format!("{span} does not join the ledger, which ends at {end}");
                    return Err(CommitError::fatal(ADAPTER, text));
                }
                _ => {}
            }
            for StoredEvent { event, .. } in &batch.events {
                state.rollup.add(event);
                state.events.push(event.clone());
            }
            for fold in &batch.sessions {
                state.merge_session(fold);
            }
            state.merge_aggregates(&batch.aggregates);
            for chunk in &batch.replay_chunks {
                state.chunks.entry(ChunkId::of(chunk)).or_insert_with(|| chunk.clone());
            }
            state.ledger.insert(span.clone(), batch.ledger.clone());
        }
        self.dead_letters.put(&batch.dead_letters).await.map_err(PortError::widen)?;
        Ok(Committed::Now)
    }
}

#[async_trait]
impl Deduplicator for MemoryStore {
    async fn claim(&self, claims: &[Claim]) -> Result<Vec<ClaimVerdict>, DeduplicatorError> {
        let mut state = self.lock();
        let verdict = |claim: &Claim| {
            let key = (claim.project_id.clone(), claim.event_id);
            let owner = state.claims.entry(key).or_insert_with(|| claim.position.clone());
            if *owner == claim.position { ClaimVerdict::Granted } else { ClaimVerdict::Duplicate }
        };
        Ok(claims.iter().map(verdict).collect())
    }

    async fn release(&self, claims: &[Claim]) -> Result<(), DeduplicatorError> {
        let mut state = self.lock();
        for claim in claims {
            let key = (claim.project_id.clone(), claim.event_id);
            if state.claims.get(&key) == Some(&claim.position) {
                state.claims.remove(&key);
            }
        }
        Ok(())
    }
}
