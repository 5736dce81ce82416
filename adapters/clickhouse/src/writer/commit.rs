use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use clickhouse::Row;
use gosight_application::kill_point;
use gosight_application::ports::{
    BatchStore, CommitError, Committed, Nothing, PortError, ProcessedBatch, StoredEvent,
};
use gosight_domain::ledger::BatchSpan;
use serde::Deserialize;

use super::partition::Held;
use super::sessions::SessionName;
use super::{ClickHouseWriter, events, ledger};
use crate::ADAPTER;
use crate::error::read_error;
use crate::store::{insert_aggregates, insert_chunks};

/// Most offsets in one question: the server takes no longer lists.
const REMOVED_AT_ONCE: usize = 4_000;

#[derive(Row, Deserialize)]
struct End {
    log_partition: u32,
    end: u64,
}

/// A row of events that is there before its batch is stored.
#[derive(Row, Deserialize)]
struct Found {
    log_offset: u64,
    project_id: String,
    session_id: String,
}

#[async_trait]
impl BatchStore for ClickHouseWriter {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        let ends = self
            .store
            .connection
            .query(
                "SELECT log_partition, max(last_offset) + 1 AS end FROM ledger
                 WHERE log = {log:String} GROUP BY log_partition",
            )
            .param("log", log)
            .fetch_all::<End>();
        let ends = self.store.connection.within(ends).await.map_err(read_error)?;
        Ok(ends.into_iter().map(|row| (row.log_partition, row.end)).collect())
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let span = &batch.ledger.span;
        let lock = self.partition(&span.log, span.partition);
        let mut slot = lock.lock().await;
        // Gone unless the batch comes to its end: whatever happens, also when this future is dropped, the partition is
        // taken over again before the next attempt.
        let mut held = match slot.take() {
            Some(held) => held,
            None => self.take_over(span).await.map_err(PortError::widen)?,
        };
        if let Some(before) = joins(span, held.ledger_end)? {
            *slot = Some(held);
            return Ok(before);
        }
        self.store(&mut held, batch).await?;
        held.ledger_end = Some(span.next());
        *slot = Some(held);
        Ok(Committed::Now)
    }
}

/// Whether `span` is stored already; an error when it does not join the ledger.
fn joins(span: &BatchSpan, ledger_end: Option<u64>) -> Result<Option<Committed>, CommitError> {
    match ledger_end {
        Some(end) if span.next() <= end => Ok(Some(Committed::Before)),
        Some(end) if span.first != end => {
            let text = format!("{span} does not join the ledger, which ends at {end}");
            Err(CommitError::fatal(ADAPTER, text))
        }
        _ => Ok(None),
    }
}

impl ClickHouseWriter {
    async fn take_over(&self, span: &BatchSpan) -> Result<Held, PortError> {
        let held = Held::take_over(&self.store.connection, &span.log, span.partition).await?;
        held.forget_aggregates(&self.store.connection).await?;
        Ok(held)
    }

    async fn store(&self, held: &mut Held, batch: &ProcessedBatch) -> Result<(), CommitError> {
        let span = &batch.ledger.span;
        let is_doubtful = span.first < held.doubtful_until;
        let sessions = if is_doubtful {
            let strays = self.store_missing_events(held, batch).await?;
            kill_point("events-inserted");
            self.fold_again(batch, strays).await.map_err(PortError::widen)?
        } else {
            events::insert(&self.store.connection, held, batch.events.iter()).await?;
            kill_point("events-inserted");
            self.merge(span, &batch.sessions).await.map_err(PortError::widen)?
        };
        self.insert_sessions(held, &sessions).await?;
        kill_point("sessions-inserted");
        insert_aggregates(&self.store.connection, held, span, &batch.aggregates).await?;
        insert_chunks(&self.store.connection, held, &batch.replay_chunks).await?;
        if !batch.dead_letters.is_empty() {
            self.dead_letters.put(&batch.dead_letters).await.map_err(PortError::widen)?;
        }
        kill_point("before-ledger");
        ledger::insert(&self.store.connection, held, &batch.ledger).await?;
        kill_point("batch-committed");
        if !is_doubtful {
            self.cache_sessions(span, &sessions).await;
        }
        Ok(())
    }

    /// Stores the events of which a batch that did not come to its end has left no row, and removes rows that are not
    /// the batch's any more, because a setting changed in between. Gives the sessions of those.
    async fn store_missing_events(
        &self,
        held: &mut Held,
        batch: &ProcessedBatch,
    ) -> Result<BTreeSet<SessionName>, CommitError> {
        let span = &batch.ledger.span;
        let found = self
            .store
            .connection
            .query(
                "SELECT log_offset, project_id, session_id FROM events
                 WHERE log = {log:String} AND log_partition = {partition:UInt32}
                   AND log_offset BETWEEN {first:UInt64} AND {last:UInt64}",
            )
            .param("log", &*span.log)
            .param("partition", span.partition)
            .param("first", span.first)
            .param("last", span.last)
            .fetch_all::<Found>();
        let found = self.store.connection.within(found).await.map_err(read_error)?;
        let wanted: BTreeSet<u64> = batch.events.iter().map(|stored| stored.offset).collect();
        let there: BTreeSet<u64> = found.iter().map(|row| row.log_offset).collect();
        let strays: Vec<Found> = found.into_iter().filter(|row| !wanted.contains(&row.log_offset)).collect();
        tracing::info!(%span, there = there.len(), strays = strays.len(), "rows of an unfinished batch are there");
        self.remove_events(span, &strays).await?;
        let missing: Vec<&StoredEvent> =
            batch.events.iter().filter(|stored| !there.contains(&stored.offset)).collect();
        events::insert(&self.store.connection, held, missing.into_iter()).await?;
        Ok(strays.into_iter().map(|row| (row.project_id, row.session_id)).collect())
    }

    async fn remove_events(&self, span: &BatchSpan, strays: &[Found]) -> Result<(), CommitError> {
        for part in strays.chunks(REMOVED_AT_ONCE) {
            let offsets: Vec<u64> = part.iter().map(|row| row.log_offset).collect();
            let delete = self
                .store
                .connection
                .query(
                    "ALTER TABLE events DELETE WHERE log = {log:String} AND log_partition = {partition:UInt32}
                     AND log_offset IN {offsets:Array(UInt64)} SETTINGS mutations_sync = 2",
                )
                .param("log", &*span.log)
                .param("partition", span.partition)
                .param("offsets", offsets);
            self.store.connection.execute(delete).await.map_err(read_error)?;
        }
        Ok(())
    }
}
