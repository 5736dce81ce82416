use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::ports::{
    AggregateStore, AggregateStoreError, CommitError, Fence, PortError, WindowQuery,
};
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{ProjectId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};

use super::codec::{signed, unpack};
use super::error::store_error;
use super::{EmbeddedStore, apply};

#[async_trait]
impl AggregateStore for EmbeddedStore {
    async fn acquired(&self, fence: &Fence) -> Result<(), AggregateStoreError> {
        self.adopt(fence).await
    }

    async fn put(
        &self,
        fence: &Fence,
        span: &BatchSpan,
        values: &BTreeMap<AggregateKey, AggregateValue>,
    ) -> Result<(), CommitError> {
        let mut writer = self.writer_behind(fence).await?;
        writer
            .transact(async |transaction| {
                // A partition's batches come one after the other.
                apply::take_in_committed(transaction, span).await?;
                apply::put_uncommitted(transaction, span, values).await
            })
            .await
    }

    async fn forget(&self, fence: &Fence, from: u64) -> Result<(), AggregateStoreError> {
        let mut writer = self.writer_behind(fence).await.map_err(PortError::narrow)?;
        writer
            .transact(async |transaction| {
                let log = transaction.log(fence.log()).await?;
                sqlx::query(
                    "DELETE FROM uncommitted_aggregates WHERE log = ? AND log_partition = ? AND first_offset >= ?",
                )
                .bind(log)
                .bind(fence.partition())
                .bind(signed(from))
                .execute(&mut *transaction.connection)
                .await?;
                Ok(())
            })
            .await
    }

    async fn windows(
        &self,
        project_id: &ProjectId,
        query: &WindowQuery,
    ) -> Result<Vec<(Timestamp, AggregateValue)>, AggregateStoreError> {
        let mut windows: BTreeMap<Timestamp, AggregateValue> = BTreeMap::new();
        for table in ["aggregates", "uncommitted_aggregates"] {
            for (start, value) in self.read_windows(table, project_id, query).await.map_err(store_error)? {
                windows.entry(start).or_default().merge(&value);
            }
        }
        let skipped = windows.len().saturating_sub(query.limit);
        Ok(windows.into_iter().skip(skipped).collect())
    }
}

impl EmbeddedStore {
    /// The latest windows that `table` has, each perhaps in several rows.
    async fn read_windows(
        &self,
        table: &'static str,
        project_id: &ProjectId,
        query: &WindowQuery,
    ) -> sqlx::Result<Vec<(Timestamp, AggregateValue)>> {
        let sql = format!(
            "SELECT window_start, value FROM {table}
             WHERE project = (SELECT id FROM projects WHERE project_id = ?1)
               AND aggregation = ?2 AND key = ?3 AND window_start IN (
                 SELECT DISTINCT window_start FROM {table}
                 WHERE project = (SELECT id FROM projects WHERE project_id = ?1)
                   AND aggregation = ?2 AND key = ?3 AND window_start >= ?4 AND window_start < ?5
                 ORDER BY window_start DESC LIMIT ?6)"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(project_id.as_str())
            .bind(&query.aggregation)
            .bind(&query.key)
            .bind(query.from.as_millis())
            .bind(query.to.as_millis())
            .bind(i64::try_from(query.limit).unwrap_or(i64::MAX))
            .fetch_all(&self.database.readers)
            .await?;
        let window =
            |row: &SqliteRow| Ok((Timestamp::from_millis(row.try_get(0)?), unpack(row.try_get(1)?)?));
        rows.iter().map(window).collect()
    }
}
