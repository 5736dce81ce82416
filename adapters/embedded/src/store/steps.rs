//! Batches that are committed in steps: the ledger and its fences, and rows of events.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use gosight_application::ports::{
    CommitError, EventRows, EventRowsError, EventsOf, Fence, FoldScope, Ledger, LedgerError, LogPartition,
    PortError, RowOfRecord, StoredEvent,
};
use gosight_domain::ledger::{BatchSpan, LedgerRow};
use gosight_domain::rollup::HourlyRollup;
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, EventId, Hour, ProjectId, SessionId, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tokio::sync::MutexGuard;
use uuid::Uuid;

use super::codec::{from_json, signed, unsigned};
use super::error::store_error;
use super::marks::MarkedEvent;
use super::writer::{Transaction, Writer};
use super::{EmbeddedStore, apply};
use crate::STORE_ADAPTER;

impl EmbeddedStore {
    /// The writer, for a write behind `fence`.
    pub(super) async fn writer_behind(&self, fence: &Fence) -> Result<MutexGuard<'_, Writer>, CommitError> {
        let writer = self.ready_writer().await?;
        self.fences.check(fence).map_err(|error| CommitError::transient(STORE_ADAPTER, error))?;
        Ok(writer)
    }

    /// Keeps writes behind older fences than this one away.
    pub(super) async fn adopt(&self, fence: &Fence) -> Result<(), PortError> {
        let _writer = self.ready_writer().await.map_err(PortError::narrow)?;
        self.fences.adopt(fence).map_err(|error| PortError::transient(STORE_ADAPTER, error))
    }

    /// Whether a batch was committed in steps and did not come to its end. Only who commits in steps can go on then.
    pub async fn has_unfinished_batches(&self) -> bool {
        !self.database.writer.lock().await.unfinished.is_empty()
    }

    async fn read_rows(&self, fence: &Fence, span: &BatchSpan) -> sqlx::Result<Vec<RowOfRecord>> {
        let rows = sqlx::query(
            "SELECT log_offset, event_id, projects.project_id, sessions.session_id FROM events
             JOIN projects ON projects.id = events.project LEFT JOIN sessions ON sessions.id = events.session
             WHERE events.id >= coalesce((SELECT first_row FROM unfinished_batches
                    WHERE log = (SELECT id FROM logs WHERE name = ?1) AND log_partition = ?2), 1 << 62)
               AND log = (SELECT id FROM logs WHERE name = ?1) AND log_partition = ?2
               AND log_offset BETWEEN ?3 AND ?4",
        )
        .bind(&**fence.log())
        .bind(fence.partition())
        .bind(signed(span.first))
        .bind(signed(span.last))
        .fetch_all(&self.database.readers)
        .await?;
        rows.iter().map(row_of_record).collect()
    }

    async fn read_end(&self, fence: &Fence, from: u64) -> sqlx::Result<Option<u64>> {
        let end: Option<i64> = sqlx::query_scalar(
            "SELECT max(log_offset) + 1 FROM events
             WHERE id >= coalesce((SELECT first_row FROM unfinished_batches
                    WHERE log = (SELECT id FROM logs WHERE name = ?1) AND log_partition = ?2), 1 << 62)
               AND log = (SELECT id FROM logs WHERE name = ?1) AND log_partition = ?2 AND log_offset >= ?3",
        )
        .bind(&**fence.log())
        .bind(fence.partition())
        .bind(signed(from))
        .fetch_one(&self.database.readers)
        .await?;
        Ok(end.map(unsigned))
    }

    async fn visit(
        &self,
        fence: &Fence,
        of: &EventsOf<'_>,
        session: &SessionKey,
        visit: &mut (dyn FnMut(Event) + Send),
    ) -> sqlx::Result<()> {
        let mut after = (i64::MIN, 0, Uuid::nil());
        loop {
            let rows = sqlx::query(
                "SELECT timestamp, sequence, event_id, event, log_offset,
                   log = (SELECT id FROM logs WHERE name = ?4) AND log_partition = ?5 FROM events
                 WHERE session = (SELECT sessions.id FROM sessions JOIN projects ON projects.id = sessions.project
                        WHERE projects.project_id = ?1 AND sessions.session_id = ?2)
                   AND (?3 OR log = (SELECT id FROM logs WHERE name = ?4) AND log_partition = ?5)
                   AND (timestamp, sequence, event_id) > (?6, ?7, ?8)
                 ORDER BY timestamp, sequence, event_id LIMIT ?9",
            )
            .bind(session.project_id.as_str())
            .bind(session.session_id.as_str())
            .bind(of.scope == FoldScope::Session)
            .bind(&**fence.log())
            .bind(fence.partition())
            .bind(after.0)
            .bind(after.1)
            .bind(after.2)
            .bind(EVENTS_AT_ONCE)
            .fetch_all(&self.database.readers)
            .await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = (last.try_get(0)?, last.try_get(1)?, last.try_get(2)?);
            for row in &rows {
                let (offset, is_of_partition): (i64, bool) = (row.try_get(4)?, row.try_get(5)?);
                if !(is_of_partition && of.except.contains(&unsigned(offset))) {
                    visit(from_json(row.try_get(3)?)?);
                }
            }
        }
    }
}

/// Events of a session that are in memory at a time.
const EVENTS_AT_ONCE: i64 = 1_000;

fn row_of_record(row: &SqliteRow) -> sqlx::Result<RowOfRecord> {
    let offset: i64 = row.try_get(0)?;
    let project_id: String = row.try_get(2)?;
    let session_id: Option<String> = row.try_get(3)?;
    let session = session_id.map(|session_id| -> Result<_, gosight_domain::Violation> {
        Ok(SessionKey { project_id: ProjectId::new(project_id)?, session_id: SessionId::new(session_id)? })
    });
    Ok(RowOfRecord {
        offset: unsigned(offset),
        event_id: EventId::from_uuid(row.try_get(1)?),
        session: session.transpose().map_err(|error| sqlx::Error::Decode(error.into()))?,
    })
}

#[async_trait]
impl Ledger for EmbeddedStore {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, LedgerError> {
        let mut writer = self.database.writer.lock().await;
        writer.ready().await?;
        Ok(writer.next_offsets(log))
    }

    async fn acquire(&self, place: &LogPartition) -> Result<Fence, LedgerError> {
        let mut writer = self.database.writer.lock().await;
        writer.ready().await?;
        let epoch = writer.transact(async |transaction| next_epoch(transaction, place).await).await?;
        let fence = Fence::granted(place.clone(), epoch, Uuid::from_u128(rand::random()));
        self.fences.adopt(&fence).map_err(|error| PortError::transient(STORE_ADAPTER, error))?;
        Ok(fence)
    }

    async fn end(&self, fence: &Fence) -> Result<Option<u64>, LedgerError> {
        let mut writer = self.database.writer.lock().await;
        writer.ready().await?;
        Ok(writer.ledger_ends.get(fence.place()).copied())
    }

    async fn append(&self, fence: &Fence, row: &LedgerRow) -> Result<(), CommitError> {
        let mut writer = self.writer_behind(fence).await?;
        let is_finished = writer
            .transact(async |transaction| {
                apply::insert_ledger_row(transaction, row).await?;
                let log = transaction.log(fence.log()).await?;
                // Unless rows go further: the batch that was not finished was a longer one.
                let finish =
                    "DELETE FROM unfinished_batches WHERE log = ?1 AND log_partition = ?2 AND NOT EXISTS (
                        SELECT 1 FROM events WHERE id >= first_row
                          AND events.log = ?1 AND events.log_partition = ?2 AND log_offset > ?3)";
                let finish =
                    sqlx::query(finish).bind(log).bind(fence.partition()).bind(signed(row.span.last));
                let finished = finish.execute(&mut *transaction.connection).await?;
                Ok(finished.rows_affected() > 0)
            })
            .await?;
        writer.ledger_ends.insert(fence.place().clone(), row.span.next());
        if is_finished {
            writer.unfinished.remove(fence.place());
        }
        Ok(())
    }
}

#[async_trait]
impl EventRows for EmbeddedStore {
    async fn acquired(&self, fence: &Fence) -> Result<(), EventRowsError> {
        self.adopt(fence).await
    }

    async fn insert(&self, fence: &Fence, events: &[&StoredEvent]) -> Result<(), CommitError> {
        let rollup: HourlyRollup = events.iter().map(|stored| &stored.event).collect();
        let mut writer = self.writer_behind(fence).await?;
        let first_row = writer.last_row + 1;
        writer
            .transact(async |transaction| {
                let log = transaction.log(fence.log()).await?;
                let begin = "INSERT OR IGNORE INTO unfinished_batches (log, log_partition, first_row) VALUES (?, ?, ?)";
                let begin = sqlx::query(begin).bind(log).bind(fence.partition()).bind(first_row);
                begin.execute(&mut *transaction.connection).await?;
                let sessions = apply::number_sessions(transaction, events).await?;
                let events = events.iter().copied();
                apply::insert_events(transaction, fence.place(), events, first_row, &sessions).await?;
                apply::add_rollup(transaction, &rollup).await
            })
            .await?;
        writer.unfinished.insert(fence.place().clone());
        writer.last_row += i64::try_from(events.len()).unwrap_or(0);
        // Still inside the lock: marks are written in the order of their rows.
        self.mark(fence.place(), events.iter().copied(), writer.last_row)
    }

    async fn rows(&self, fence: &Fence, span: &BatchSpan) -> Result<Vec<RowOfRecord>, EventRowsError> {
        self.read_rows(fence, span).await.map_err(store_error)
    }

    async fn end(&self, fence: &Fence, from: u64) -> Result<Option<u64>, EventRowsError> {
        self.read_end(fence, from).await.map_err(store_error)
    }

    async fn remove(&self, fence: &Fence, offsets: &[u64]) -> Result<(), EventRowsError> {
        let mut writer = self.writer_behind(fence).await.map_err(PortError::narrow)?;
        let found = writer
            .transact(async |transaction| {
                let mut found = Vec::with_capacity(offsets.len());
                for offset in offsets {
                    found.extend(find(transaction, fence.place(), *offset).await?);
                }
                Ok(found)
            })
            .await?;
        let Some(first) = found.iter().map(|(row, _)| *row).min() else { return Ok(()) };
        // Before the rows: a mark without its row would make a duplicate of an event that is not stored. A row without its
        // mark is marked again.
        writer.has_unmarked_rows = true;
        let events = found.into_iter().map(|(_, event)| event);
        self.marks.remove(events, first - 1).map_err(|error| EventRowsError::fatal(STORE_ADAPTER, error))?;
        writer
            .transact(async |transaction| {
                let mut hours = BTreeSet::new();
                for offset in offsets {
                    hours.extend(remove(transaction, fence.place(), *offset).await?);
                }
                for hour in hours {
                    apply::count_again(transaction, hour).await?;
                }
                Ok(())
            })
            .await
    }

    async fn each_of(
        &self,
        fence: &Fence,
        of: &EventsOf<'_>,
        visit: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), EventRowsError> {
        for session in of.sessions {
            self.visit(fence, of, session, visit).await.map_err(store_error)?;
        }
        Ok(())
    }
}

/// Counts how often a partition was acquired. Stores of others may hold its sessions, and know the fences before this one.
async fn next_epoch(transaction: &mut Transaction<'_>, place: &LogPartition) -> sqlx::Result<u64> {
    let log = transaction.log(&place.log).await?;
    let count = "INSERT INTO fences (log, log_partition, epoch) VALUES (?, ?, 1)
                 ON CONFLICT (log, log_partition) DO UPDATE SET epoch = epoch + 1 RETURNING epoch";
    let count = sqlx::query_scalar(count).bind(log).bind(place.partition);
    let epoch: i64 = count.fetch_one(&mut *transaction.connection).await?;
    Ok(unsigned(epoch))
}

/// The rows of a record of an unfinished batch.
const UNFINISHED_ROW: &str =
    "id >= (SELECT first_row FROM unfinished_batches WHERE log = ?1 AND log_partition = ?2)
     AND log = ?1 AND log_partition = ?2 AND log_offset = ?3";

/// The row of a record of an unfinished batch, and its event.
async fn find(
    transaction: &mut Transaction<'_>,
    place: &LogPartition,
    offset: u64,
) -> sqlx::Result<Option<(i64, MarkedEvent)>> {
    let log = transaction.log(&place.log).await?;
    let find = format!("SELECT id, event_id, project FROM events WHERE {UNFINISHED_ROW}");
    let find = sqlx::query(sqlx::AssertSqlSafe(find)).bind(log).bind(place.partition).bind(signed(offset));
    let Some(row) = find.fetch_optional(&mut *transaction.connection).await? else { return Ok(None) };
    let event = MarkedEvent { event_id: EventId::from_uuid(row.try_get(1)?), project: row.try_get(2)? };
    Ok(Some((row.try_get(0)?, event)))
}

/// Removes it; tells the project and the hour that it was counted in.
async fn remove(
    transaction: &mut Transaction<'_>,
    place: &LogPartition,
    offset: u64,
) -> sqlx::Result<Option<(i64, Hour)>> {
    let log = transaction.log(&place.log).await?;
    let remove = format!("DELETE FROM events WHERE {UNFINISHED_ROW} RETURNING project, timestamp");
    let remove =
        sqlx::query(sqlx::AssertSqlSafe(remove)).bind(log).bind(place.partition).bind(signed(offset));
    let Some(row) = remove.fetch_optional(&mut *transaction.connection).await? else { return Ok(None) };
    Ok(Some((row.try_get(0)?, Timestamp::from_millis(row.try_get(1)?).hour())))
}
