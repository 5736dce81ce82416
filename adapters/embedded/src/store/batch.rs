use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::kill_point;
use gosight_application::ports::{
    BatchStore, BoxError, CommitError, Committed, Ledger, LogPartition, Nothing, PortError, ProcessedBatch,
    StoredEvent,
};
use gosight_domain::EventId;
use gosight_domain::rollup::HourlyRollup;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tokio::sync::MutexGuard;

use super::codec::unsigned;
use super::marks::{Mark, MarkedEvent};
use super::writer::Writer;
use super::{EmbeddedStore, apply};
use crate::STORE_ADAPTER;

#[async_trait]
impl BatchStore for EmbeddedStore {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        Ledger::next_offsets(self, log).await
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let place = LogPartition::of(&batch.ledger.span);
        // Counted before the lock is taken, in which all partitions write one after the other.
        let rollup: HourlyRollup = batch.events.iter().map(|stored| &stored.event).collect();
        let mut writer = self.ready_writer().await?;
        if let Some(before) = batch.admit(STORE_ADAPTER, writer.ledger_ends.get(&place).copied())? {
            return Ok(before);
        }
        if writer.unfinished.contains(&place) {
            return Err(CommitError::fatal(STORE_ADAPTER, Unfinished(place)));
        }
        let first_row = writer.last_row + 1;
        writer
            .transact(async |transaction| apply::batch(transaction, batch, &rollup, first_row).await)
            .await?;
        kill_point("batch-committed");
        writer.ledger_ends.insert(place.clone(), batch.ledger.span.next());
        writer.last_row += i64::try_from(batch.events.len()).unwrap_or(0);
        // Still inside the lock: marks are written in the order of their rows.
        self.mark(&place, batch.events.iter(), writer.last_row)?;
        drop(writer);
        kill_point("batch-marked");
        Ok(Committed::Now)
    }
}

/// A batch that was begun in steps cannot be committed as one.
#[derive(Debug, thiserror::Error)]
#[error(
    "a batch of {0} was committed in steps and did not come to its end; start once more, to commit it in steps"
)]
struct Unfinished(LogPartition);

impl EmbeddedStore {
    /// Marks events as stored. Their rows are committed, so a failure must end this process: the next one marks them
    /// again.
    pub(super) fn mark<'e>(
        &self,
        place: &LogPartition,
        events: impl ExactSizeIterator<Item = &'e StoredEvent>,
        last_row: i64,
    ) -> Result<(), CommitError> {
        if events.len() == 0 {
            return Ok(());
        }
        let log = self.database.numbers.log(&place.log).unwrap_or(-1);
        let marks = events.filter_map(|stored| {
            let project = self.database.numbers.project(&stored.event.project_id)?;
            let mark = Mark { log, partition: place.partition, offset: stored.offset };
            Some((MarkedEvent { event_id: stored.event.event_id, project }, mark))
        });
        let marked = self.marks.add(marks, last_row, self.clock.now());
        marked.map_err(|error| CommitError::fatal(STORE_ADAPTER, error))
    }

    /// The writer, once there is a mark for every row. After a commit whose outcome is not known there may be rows
    /// without.
    pub(super) async fn ready_writer(&self) -> Result<MutexGuard<'_, Writer>, CommitError> {
        let mut writer = self.database.writer.lock().await;
        writer.ready().await?;
        if writer.has_unmarked_rows {
            let marked = self.mark_unmarked_rows(&mut writer).await;
            marked.map_err(|error| CommitError::transient(STORE_ADAPTER, error))?;
            writer.has_unmarked_rows = false;
        }
        Ok(writer)
    }

    /// Marks the events whose rows have no marks.
    async fn mark_unmarked_rows(&self, writer: &mut Writer) -> Result<(), BoxError> {
        let mut after = self.marks.last_row()?;
        if after > writer.last_row {
            tracing::warn!(
                marked = after,
                rows = writer.last_row,
                "marks of known events rebuilt: they are newer than the database"
            );
            self.marks.forget_all()?;
            after = 0;
        }
        let now = self.clock.now();
        loop {
            let rows = sqlx::query(
                "SELECT id, event_id, project, log, log_partition, log_offset FROM events
                 WHERE id > ? ORDER BY id LIMIT ?",
            )
            .bind(after)
            .bind(ROWS_AT_ONCE)
            .fetch_all(&self.database.readers)
            .await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.try_get(0)?;
            let marks: sqlx::Result<Vec<_>> = rows.iter().map(marked_row).collect();
            self.marks.add(marks?, after, now)?;
            tracing::info!(rows = rows.len(), "marks of stored events added");
        }
    }
}

/// Rows that are marked at once.
const ROWS_AT_ONCE: i64 = 50_000;

fn marked_row(row: &SqliteRow) -> sqlx::Result<(MarkedEvent, Mark)> {
    let event_id = EventId::from_uuid(row.try_get(1)?);
    let offset: i64 = row.try_get(5)?;
    let mark = Mark { log: row.try_get(3)?, partition: row.try_get(4)?, offset: unsigned(offset) };
    Ok((MarkedEvent { event_id, project: row.try_get(2)? }, mark))
}
