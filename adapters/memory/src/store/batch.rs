use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::ports::{
    BatchStore, ChunkId, CommitError, Committed, LogPartition, Nothing, PortError, ProcessedBatch,
    StoredEvent,
};
use gosight_domain::Session;

use super::{MemoryStore, State};
use crate::ADAPTER;

#[async_trait]
impl BatchStore for MemoryStore {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        Ok(self.lock().next_offsets(log))
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let place = LogPartition::of(&batch.ledger.span);
        let mut state = self.lock();
        if let Some(before) = batch.admit(ADAPTER, state.ledger_end(&place))? {
            return Ok(before);
        }
        self.check(&batch.events)?;
        state.add(&place, batch);
        self.dead_letters.keep(&batch.dead_letters);
        Ok(Committed::Now)
    }
}

impl State {
    fn add(&mut self, place: &LogPartition, batch: &ProcessedBatch) {
        for StoredEvent { offset, event, .. } in &batch.events {
            self.add_event(place, *offset, event);
        }
        let stored = batch.sessions.iter().map(|fold| self.session(&fold.key()).cloned());
        let stored: Vec<Option<Session>> = stored.collect();
        for row in batch.rules.merge(stored, &batch.sessions) {
            self.sessions.insert(row.session.key(), row);
        }
        self.add_aggregates(&batch.aggregates);
        for chunk in &batch.replay_chunks {
            self.chunks.entry(ChunkId::of(chunk)).or_insert_with(|| chunk.clone());
        }
        self.ledger.insert(batch.ledger.span.clone(), batch.ledger.clone());
    }
}
