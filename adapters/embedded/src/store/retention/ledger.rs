//! Makes fewer rows of old ledger rows.

use std::collections::BTreeMap;

use gosight_application::ports::{Nothing, PortError};
use gosight_domain::Timestamp;
use gosight_domain::ledger::OutcomeCounts;
use gosight_domain::time::HOUR_MS;
use sqlx::{Row, SqlitePool};

use crate::store::EmbeddedStore;
use crate::store::apply::{Entry, insert_ledger_entries};
use crate::store::error::store_error;
use crate::store::ledger::outcome_counts;
use crate::store::writer::Transaction;

impl EmbeddedStore {
    /// Makes one row of all rows of a partition and hour that join, for hours that ended before `before`.
    pub(super) async fn merge_ledger_rows(&self, before: Timestamp) -> Result<(), PortError<Nothing>> {
        let hours = many_rowed_hours(&self.database.readers, before).await.map_err(store_error)?;
        for hour in &hours {
            let mut writer = self.database.writer.lock().await;
            writer.transact::<_, Nothing>(async |transaction| merge_hour(transaction, hour).await).await?;
        }
        if !hours.is_empty() {
            tracing::debug!(hours = hours.len(), "old ledger rows merged");
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
