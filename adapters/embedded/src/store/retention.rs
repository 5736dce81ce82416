//! Keeps the store from growing for ever.
//!
//! Everything is cut at one full hour, so that what is left agrees: events, the hourly counts of them, and the sessions
//! that they make.

mod ledger;
mod sessions;

use async_trait::async_trait;
use gosight_application::ports::{Maintenance, MaintenanceError, Nothing, PortError};
use gosight_application::sessions::SessionRules;
use gosight_domain::Timestamp;
use gosight_domain::time::DAY_MS;

use super::EmbeddedStore;
use crate::STORE_ADAPTER;

/// Rows that one transaction deletes, besides what hangs on them: writers wait for it.
const ROWS_AT_ONCE: i64 = 5_000;

/// What is deleted by age: up to [`ROWS_AT_ONCE`] rows, whose deletion is the last statement, and what hangs on them.
type Deletion = &'static [&'static str];

const OLD_SESSIONS: Deletion = &[
    "DELETE FROM insights
        WHERE session IN (SELECT id FROM sessions WHERE ended_at < ?1 ORDER BY ended_at, id LIMIT ?2)",
    "DELETE FROM sessions
        WHERE id IN (SELECT id FROM sessions WHERE ended_at < ?1 ORDER BY ended_at, id LIMIT ?2)",
];

const OTHER_OLD_ROWS: [Deletion; 5] = [
    &["DELETE FROM events WHERE id IN (SELECT id FROM events WHERE timestamp < ?1 ORDER BY timestamp LIMIT ?2)"],
    &[
        "DELETE FROM hourly_visitors
            WHERE slot IN (SELECT id FROM events_hourly WHERE hour < ?1 / 3600000 ORDER BY hour, id LIMIT ?2)",
        "DELETE FROM events_hourly
            WHERE id IN (SELECT id FROM events_hourly WHERE hour < ?1 / 3600000 ORDER BY hour, id LIMIT ?2)",
    ],
    &["DELETE FROM aggregates WHERE (project, aggregation, key, window_start) IN (
            SELECT project, aggregation, key, window_start FROM aggregates WHERE window_start < ?1 LIMIT ?2)"],
    &["DELETE FROM uncommitted_aggregates
        WHERE (log, log_partition, first_offset, project, aggregation, key, window_start) IN (
            SELECT log, log_partition, first_offset, project, aggregation, key, window_start
            FROM uncommitted_aggregates WHERE window_start < ?1 LIMIT ?2)"],
    &["DELETE FROM dead_letters WHERE (log, log_partition, log_offset) IN (
            SELECT log, log_partition, log_offset FROM dead_letters WHERE at < ?1 LIMIT ?2)"],
];

#[async_trait]
impl Maintenance for EmbeddedStore {
    fn name(&self) -> &'static str {
        STORE_ADAPTER
    }

    /// Deletes what is past its retention, and makes one row of old ledger rows that join. Does a bounded amount of work
    /// between which others can write.
    async fn maintain(&self, now: Timestamp, rules: &SessionRules) -> Result<(), MaintenanceError> {
        let detail_ms = i64::try_from(self.config.ledger_detail.as_millis()).unwrap_or(i64::MAX);
        self.merge_ledger_rows(now.plus_millis(detail_ms.saturating_neg())).await?;
        let known_from = now.plus_millis(-i64::from(self.config.known_days) * DAY_MS);
        self.marks.forget(known_from).map_err(|error| PortError::transient(STORE_ADAPTER, error))?;
        if self.config.retention_days > 0 {
            let before = now.plus_millis(-i64::from(self.config.retention_days) * DAY_MS);
            self.delete_older_than(before.hour().start(), rules).await?;
        }
        Ok(())
    }
}

impl EmbeddedStore {
    /// Sessions go before their events do: nobody sees a session with fewer events than it counts.
    async fn delete_older_than(
        &self,
        before: Timestamp,
        rules: &SessionRules,
    ) -> Result<(), PortError<Nothing>> {
        self.delete_all(OLD_SESSIONS, before).await?;
        self.cut_sessions(before, rules).await?;
        for deletion in OTHER_OLD_ROWS {
            self.delete_all(deletion, before).await?;
        }
        Ok(())
    }

    async fn delete_all(&self, deletion: Deletion, before: Timestamp) -> Result<(), PortError<Nothing>> {
        while self.delete_some(deletion, before).await? > 0 {}
        Ok(())
    }

    /// Runs the statements in one transaction; tells how many rows the last one deleted.
    async fn delete_some(&self, deletion: Deletion, before: Timestamp) -> Result<u64, PortError<Nothing>> {
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                let mut deleted = 0;
                for sql in deletion {
                    let query = sqlx::query(*sql).bind(before.as_millis()).bind(ROWS_AT_ONCE);
                    deleted = query.execute(&mut *transaction.connection).await?.rows_affected();
                }
                Ok(deleted)
            })
            .await
    }
}
