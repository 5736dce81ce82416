//! Keeps the store from growing for ever.

use std::collections::BTreeMap;

use gosight_application::ports::{Nothing, PortError};
use gosight_domain::Timestamp;
use gosight_domain::ledger::OutcomeCounts;
use gosight_domain::time::{DAY_MS, HOUR_MS};
use sqlx::{Row, SqlitePool};

use super::EmbeddedStore;
use super::apply::{Entry, insert_ledger_entries};
use super::database::store_error;
use super::ledger::outcome_counts;
use super::writer::Transaction;
use crate::STORE_ADAPTER;

/// Rows that one transaction deletes, besides what hangs on them: writers wait for it.
const ROWS_AT_ONCE: i64 = 5_000;

/// What is deleted by age: up to [`ROWS_AT_ONCE`] rows, whose deletion is the last statement, and what hangs on them.
const DELETE_OLD: [&[&str]; 5] = [
    // Events come in about the order of their times, so the oldest ones stand first.
    &["DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?2) AND timestamp < ?1"],
    &[
        "DELETE FROM hourly_visitors
            WHERE slot IN (SELECT id FROM events_hourly WHERE hour < ?1 / 3600000 ORDER BY hour, id LIMIT ?2)",
        "DELETE FROM events_hourly
            WHERE id IN (SELECT id FROM events_hourly WHERE hour < ?1 / 3600000 ORDER BY hour, id LIMIT ?2)",
    ],
    &[
        "DELETE FROM insights
            WHERE session IN (SELECT id FROM sessions WHERE ended_at < ?1 ORDER BY ended_at, id LIMIT ?2)",
        "DELETE FROM sessions
            WHERE id IN (SELECT id FROM sessions WHERE ended_at < ?1 ORDER BY ended_at, id LIMIT ?2)",
    ],
    &["DELETE FROM aggregates WHERE (project, aggregation, key, window_start) IN (
            SELECT project, aggregation, key, window_start FROM aggregates WHERE window_start < ?1 LIMIT ?2)"],
    &["DELETE FROM dead_letters WHERE (log, log_partition, log_offset) IN (
            SELECT log, log_partition, log_offset FROM dead_letters WHERE at < ?1 LIMIT ?2)"],
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
        for statements in DELETE_OLD {
            while self.delete_some(statements, before).await? > 0 {}
        }
        Ok(())
    }

    /// Runs `statements` in one transaction; tells how many rows the last one deleted.
    async fn delete_some(
        &self,
        statements: &[&'static str],
        before: Timestamp,
    ) -> Result<u64, PortError<Nothing>> {
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                let mut deleted = 0;
                for sql in statements {
                    let query = sqlx::query(*sql).bind(before.as_millis()).bind(ROWS_AT_ONCE);
                    deleted = query.execute(&mut *transaction.connection).await?.rows_affected();
                }
                Ok(deleted)
            })
            .await
    }

    /// Makes one row of all rows of a partition and hour that join, for hours that ended before `before`.
    async fn merge_ledger_rows(&self, before: Timestamp) -> Result<(), PortError<Nothing>> {
        let hours = many_rowed_hours(&self.database.readers, before).await.map_err(store_error)?;
        for hour in &hours {
            let mut writer = self.database.writer.lock().await;
            writer.transact::<_, Nothing>(async |transaction| merge_hour(transaction, hour).await).await?;
        }
        if !hours.is_empty() {
            tracing::debug!(hours = hours.len(), "old ledger rows made into fewer");
        }
        Ok(())
    }
}

/// A partition's rows of the ledger that were committed in one hour.
struct LedgerHour {
    log: i64,
    partition: u32,
    hour: i64,
}

/// Rows of the ledger that stand one after the other.
struct Run {
    first: i64,
    last: i64,
    rows: u32,
}

/// Hours that are merged at once, each in a transaction of its own; others wait for the next time.
const HOURS_AT_ONCE: i64 = 1_000;

/// Hours that ended before `before` and have several rows.
async fn many_rowed_hours(readers: &SqlitePool, before: Timestamp) -> sqlx::Result<Vec<LedgerHour>> {
    let rows = sqlx::query(
        "SELECT log, log_partition, committed_at / 3600000 AS hour FROM ledger WHERE committed_at < ?
         GROUP BY log, log_partition, hour HAVING count(*) > 1 LIMIT ?",
    )
    .bind(before.as_millis().div_euclid(HOUR_MS) * HOUR_MS)
    .bind(HOURS_AT_ONCE)
    .fetch_all(readers)
    .await?;
    rows.iter()
        .map(|row| Ok(LedgerHour { log: row.try_get(0)?, partition: row.try_get(1)?, hour: row.try_get(2)? }))
        .collect()
}

async fn merge_hour(transaction: &mut Transaction<'_>, hour: &LedgerHour) -> sqlx::Result<()> {
    let rows = sqlx::query(
        "SELECT first_offset, last_offset FROM ledger
         WHERE log = ? AND log_partition = ? AND committed_at / 3600000 = ? ORDER BY first_offset",
    )
    .bind(hour.log)
    .bind(hour.partition)
    .bind(hour.hour)
    .fetch_all(&mut *transaction.connection)
    .await?;
    let mut runs: Vec<Run> = Vec::new();
    for row in &rows {
        let next = Run { first: row.try_get(0)?, last: row.try_get(1)?, rows: 1 };
        match runs.last_mut() {
            Some(run) if run.last + 1 == next.first => {
                run.last = next.last;
                run.rows += 1;
            }
            _ => runs.push(next),
        }
    }
    for run in runs.iter().filter(|run| run.rows > 1) {
        merge_run(transaction, hour, run).await?;
    }
    Ok(())
}

async fn merge_run(transaction: &mut Transaction<'_>, hour: &LedgerHour, run: &Run) -> sqlx::Result<()> {
    let entries = sqlx::query(
        "SELECT project, hour, polled, stored, duplicate, filtered, rejected, dead_lettered FROM ledger_entries
         WHERE log = ? AND log_partition = ? AND first_offset BETWEEN ? AND ?",
    )
    .bind(hour.log)
    .bind(hour.partition)
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
            .bind(hour.log)
            .bind(hour.partition)
            .bind(run.first)
            .bind(run.last)
            .execute(&mut *transaction.connection)
            .await?;
    }
    sqlx::query("UPDATE ledger SET last_offset = ? WHERE log = ? AND log_partition = ? AND first_offset = ?")
        .bind(run.last)
        .bind(hour.log)
        .bind(hour.partition)
        .bind(run.first)
        .execute(&mut *transaction.connection)
        .await?;
    let entries: Vec<Entry<'_>> = sums
        .iter()
        .map(|((project, hour), counts)| Entry { project: *project, hour: *hour, counts })
        .collect();
    insert_ledger_entries(transaction, (hour.log, hour.partition, run.first), &entries).await
}
