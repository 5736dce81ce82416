use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::ports::{AggregateStore, AggregateStoreError, WindowQuery};
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{ProjectId, Timestamp};
use sqlx::Row;

use super::codec::unpack;
use super::database::store_error;
use super::sessions::note_merged;
use super::{EmbeddedStore, apply};

#[async_trait]
impl AggregateStore for EmbeddedStore {
    async fn merge(
        &self,
        span: &BatchSpan,
        values: &BTreeMap<AggregateKey, AggregateValue>,
    ) -> Result<(), AggregateStoreError> {
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                if note_merged(transaction, "aggregates", span).await? {
                    apply::merge_aggregates(transaction, values).await?;
                }
                Ok(())
            })
            .await
    }

    async fn windows(
        &self,
        project_id: &ProjectId,
        query: &WindowQuery,
    ) -> Result<Vec<(Timestamp, AggregateValue)>, AggregateStoreError> {
        let read = async || -> sqlx::Result<Vec<(Timestamp, AggregateValue)>> {
            let rows = sqlx::query(
                "SELECT window_start, value FROM aggregates
                 WHERE project = (SELECT id FROM projects WHERE project_id = ?)
                   AND aggregation = ? AND key = ? AND window_start >= ? AND window_start < ?
                 ORDER BY window_start DESC LIMIT ?",
            )
            .bind(project_id.as_str())
            .bind(&query.aggregation)
            .bind(&query.key)
            .bind(query.from.as_millis())
            .bind(query.to.as_millis())
            .bind(i64::try_from(query.limit).unwrap_or(i64::MAX))
            .fetch_all(&self.database.readers)
            .await?;
            let window = |row: &sqlx::sqlite::SqliteRow| {
                Ok((Timestamp::from_millis(row.try_get(0)?), unpack(row.try_get(1)?)?))
            };
            rows.iter().rev().map(window).collect()
        };
        read().await.map_err(store_error)
    }
}
