use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::ports::{BatchStore, CommitError, Committed, Nothing, PortError, ProcessedBatch};

use super::{EmbeddedStore, apply};
use crate::STORE_ADAPTER;

#[async_trait]
impl BatchStore for EmbeddedStore {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        let writer = self.writer.lock().await;
        let of_log = writer.ledger_ends.iter().filter(|((name, _), _)| **name == *log);
        Ok(of_log.map(|((_, partition), end)| (*partition, *end)).collect())
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let span = &batch.ledger.span;
        let partition = (span.log.clone(), span.partition);
        let mut writer = self.writer.lock().await;
        match writer.ledger_ends.get(&partition) {
            Some(&end) if span.next() <= end => return Ok(Committed::Before),
            Some(&end) if span.first != end => {
                let text = format!("{span} does not join the ledger, which ends at {end}");
                return Err(CommitError::fatal(STORE_ADAPTER, text));
            }
            _ => {}
        }
        let thresholds = &self.config.thresholds;
        writer.transact(async |transaction| apply::batch(transaction, batch, thresholds).await).await?;
        writer.ledger_ends.insert(partition, span.next());
        drop(writer);
        self.claims.release(span);
        Ok(Committed::Now)
    }
}
