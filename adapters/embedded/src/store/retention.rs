//! Keeps the store from growing for ever.

use std::collections::BTreeMap;

use gosight_application::ports::{Nothing, PortError};
use gosight_domain::Timestamp;
use gosight_domain::ledger::OutcomeCounts;
use gosight_domain::time::{DAY_MS, HOUR_MS};
use sqlx::Row;

use super::EmbeddedStore;
use super::apply::{Entry, insert_ledger_entries};
use super::ledger::outcome_counts;
use super::writer::Transaction;
use crate::STORE_ADAPTER;

/// Rows that one transaction deletes: writers wait for it.
const ROWS_AT_ONCE: i64 = 5_000;

/// Deletes up to [`ROWS_AT_ONCE`] rows that are older than the bound parameter.
const DELETE_OLD: [&str; 5] = [
    // Events come in about the order of their times, so the oldest ones stand first.
    "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?2) AND timestamp < ?1",
    "DELETE FROM hourly_visitors WHERE slot IN (SELECT id FROM events_hourly WHERE hour < ?1 / 3600000 LIMIT ?2)",
    "DELETE FROM events_hourly WHERE id IN (SELECT id FROM events_hourly WHERE hour < ?1 / 3600000 LIMIT ?2)
        AND NOT EXISTS (SELECT 1 FROM hourly_visitors WHERE slot = events_hourly.id)",
    "DELETE FROM insights WHERE session IN (SELECT id FROM sessions WHERE ended_at < ?1 LIMIT ?2)",
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE ended_at < ?1 LIMIT ?2)
        AND NOT EXISTS (SELECT 1 FROM insights WHERE insights.session = sessions.id)",
];

impl EmbeddedStore {
    /// Deletes what is past its retention, and makes one row of old ledger rows that join. Called now and then; does a
    /// bounded amount of work between which others can write.
    ///
    /// # Errors
    /// The store's.
    pub async fn maintain(&self, now: Timestamp) -> Result<(), PortError<Nothing>> {
        let detail_ms = i64::try_from(self.config.ledger_detail.as_millis()).unwrap_or(i64::MAX);
        self.merge_ledger_rows(now.plus_millis(detail_ms.saturating_neg())).await?;
        let known_from = now.plus_millis(-i64::from(self.config.known_days) * DAY_MS);
        self.marks.forget(known_from).map_err(|error| PortError::transient(STORE_ADAPTER, error))?;
        if self.config.retention_days > 0 {
            let before = now.plus_millis(-i64::from(self.config.retention_days) * DAY_MS);
            self.delete_older_than(before).await?;
        }
        Ok(())
    }

    async fn delete_older_than(&self, before: Timestamp) -> Result<(), PortError<Nothing>> {
        for sql in DELETE_OLD {
            loop {
                let mut writer = self.database.writer.lock().await;
                let deleted = writer
                    .transact::<_, Nothing>(async |transaction| {
                        let done = sqlx::query(sql)
                            .bind(before.as_millis())
                            .bind(ROWS_AT_ONCE)
                            .execute(&mut *transaction.connection)
                            .await?;
                        Ok(done.rows_affected())
                    })
                    .await?;
                drop(writer);
                if deleted == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Makes one row of all rows of a partition and hour that join and were committed before `before`.
    async fn merge_ledger_rows(&self, before: Timestamp) -> Result<(), PortError<Nothing>> {
        let mut writer = self.database.writer.lock().await;
        let merged = writer.transact(async |transaction| merge_rows(transaction, before).await).await?;
        drop(writer);
        if merged > 0 {
            tracing::debug!(merged, "old ledger rows made into fewer");
        }
        Ok(())
    }
}

/// Rows of the ledger that stand one after the other.
struct Run {
    log: i64,
    partition: u32,
    first: i64,
    last: i64,
    hour: i64,
    rows: u32,
}

/// Most rows that one call looks at.
const LEDGER_ROWS_AT_ONCE: i64 = 50_000;

async fn merge_rows(transaction: &mut Transaction<'_>, before: Timestamp) -> sqlx::Result<usize> {
    let rows = sqlx::query(
        "SELECT log, log_partition, first_offset, last_offset, committed_at FROM ledger
         WHERE committed_at < ? ORDER BY log, log_partition, first_offset LIMIT ?",
    )
    .bind(before.as_millis())
    .bind(LEDGER_ROWS_AT_ONCE)
    .fetch_all(&mut *transaction.connection)
    .await?;
    let mut runs: Vec<Run> = Vec::new();
    for row in &rows {
        let committed_at: i64 = row.try_get(4)?;
        let next = Run {
            log: row.try_get(0)?,
            partition: row.try_get(1)?,
            first: row.try_get(2)?,
            last: row.try_get(3)?,
            hour: committed_at / HOUR_MS,
            rows: 1,
        };
        match runs.last_mut() {
            Some(run) if run.continues_with(&next) => {
                run.last = next.last;
                run.rows += 1;
            }
            _ => runs.push(next),
        }
    }
    let mut merged = 0;
    for run in runs.iter().filter(|run| run.rows > 1) {
        merge_run(transaction, run).await?;
        merged += run.rows as usize;
    }
    Ok(merged)
}

impl Run {
    fn continues_with(&self, next: &Self) -> bool {
        (self.log, self.partition, self.hour) == (next.log, next.partition, next.hour)
            && self.last + 1 == next.first
    }
}

async fn merge_run(transaction: &mut Transaction<'_>, run: &Run) -> sqlx::Result<()> {
    let entries = sqlx::query(
        "SELECT project, hour, polled, stored, duplicate, filtered, rejected, dead_lettered FROM ledger_entries
         WHERE log = ? AND log_partition = ? AND first_offset BETWEEN ? AND ?",
    )
    .bind(run.log)
    .bind(run.partition)
    .bind(run.first)
    .bind(run.last)
    .fetch_all(&mut *transaction.connection)
    .await?;
    let mut sums: BTreeMap<(Option<i64>, i64), OutcomeCounts> = BTreeMap::new();
    for row in &entries {
        sums.entry((row.try_get(0)?, row.try_get(1)?)).or_default().merge(&outcome_counts(row, 2)?);
    }
    for sql in [
        "DELETE FROM ledger_entries WHERE log = ? AND log_partition = ? AND first_offset BETWEEN ? AND ?",
        "DELETE FROM ledger WHERE log = ? AND log_partition = ? AND first_offset > ? AND first_offset <= ?",
    ] {
        sqlx::query(sql)
            .bind(run.log)
            .bind(run.partition)
            .bind(run.first)
            .bind(run.last)
            .execute(&mut *transaction.connection)
            .await?;
    }
    sqlx::query("UPDATE ledger SET last_offset = ? WHERE log = ? AND log_partition = ? AND first_offset = ?")
        .bind(run.last)
        .bind(run.log)
        .bind(run.partition)
        .bind(run.first)
        .execute(&mut *transaction.connection)
        .await?;
    let entries: Vec<Entry<'_>> = sums
        .iter()
        .map(|((project, hour), counts)| Entry { project: *project, hour: *hour, counts })
        .collect();
    insert_ledger_entries(transaction, (run.log, run.partition, run.first), &entries).await
}
