use std::collections::BTreeMap;

use async_trait::async_trait;
use clickhouse::Row;
use gosight_application::ports::{
    AggregateStore, AggregateStoreError, CommitError, Fence, PortError, WindowQuery,
};
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{ProjectId, Timestamp};
use serde::Deserialize;

use super::ClickHouseStore;
use crate::ADAPTER;
use crate::block::Block;
use crate::error::read_error;
use crate::fence;

#[derive(Row, Deserialize)]
struct ValueRow {
    window_start: i64,
    #[serde(with = "serde_bytes")]
    value: Vec<u8>,
}

#[derive(Row, Deserialize)]
struct Number {
    number: u64,
}

#[async_trait]
impl AggregateStore for ClickHouseStore {
    async fn acquired(&self, fence: &Fence) -> Result<(), AggregateStoreError> {
        fence::adopt(&self.connection, fence).await
    }

    async fn put(
        &self,
        fence: &Fence,
        span: &BatchSpan,
        values: &BTreeMap<AggregateKey, AggregateValue>,
    ) -> Result<(), CommitError> {
        if values.is_empty() {
            return Ok(());
        }
        fence::insert(&self.connection, fence, "aggregates", encode(span, values)?).await
    }

    async fn forget(&self, fence: &Fence, from: u64) -> Result<(), AggregateStoreError> {
        let sql = "SELECT count() AS number FROM aggregates
            WHERE log = {log:String} AND log_partition = {partition:UInt32} AND first_offset >= {from:UInt64}";
        let left = fence::query_of(&self.connection, fence.place(), sql).param("from", from);
        // A mutation costs more than a look.
        if self.connection.within(left.fetch_one::<Number>()).await.map_err(read_error)?.number == 0 {
            return Ok(());
        }
        let rows = ("aggregates", "first_offset >= {from:UInt64}");
        fence::delete(&self.connection, fence, rows, |delete| delete.param("from", from)).await
    }

    async fn windows(
        &self,
        project_id: &ProjectId,
        query: &WindowQuery,
    ) -> Result<Vec<(Timestamp, AggregateValue)>, AggregateStoreError> {
        // The latest windows that have values, and what every batch added to them.
        let rows = self
            .connection
            .query(
                "SELECT toUnixTimestamp64Milli(window_start) AS window_start, value FROM aggregates
                 WHERE project_id = {project:String} AND aggregation = {aggregation:String} AND key = {key:String}
                   AND window_start IN (
                     SELECT DISTINCT window_start FROM aggregates
                     WHERE project_id = {project:String} AND aggregation = {aggregation:String}
                       AND key = {key:String}
                       AND toUnixTimestamp64Milli(window_start) >= {from:Int64}
                       AND toUnixTimestamp64Milli(window_start) < {to:Int64}
                     ORDER BY window_start DESC LIMIT {limit:UInt64})",
            )
            .param("project", project_id.as_str())
            .param("aggregation", &query.aggregation)
            .param("key", &query.key)
            .param("from", query.from.as_millis())
            .param("to", query.to.as_millis())
            .param("limit", query.limit as u64)
            .fetch_all::<ValueRow>();
        let mut windows: BTreeMap<i64, AggregateValue> = BTreeMap::new();
        for ValueRow { window_start, value } in self.connection.within(rows).await.map_err(read_error)? {
            let value: AggregateValue =
                rmp_serde::from_slice(&value).map_err(|error| PortError::fatal(ADAPTER, error))?;
            windows.entry(window_start).or_default().merge(&value);
        }
        Ok(windows.into_iter().map(|(start, value)| (Timestamp::from_millis(start), value)).collect())
    }
}

fn encode(span: &BatchSpan, values: &BTreeMap<AggregateKey, AggregateValue>) -> Result<Block, CommitError> {
    let packed: Result<Vec<Vec<u8>>, _> = values.values().map(rmp_serde::to_vec_named).collect();
    let packed = packed.map_err(|error| PortError::fatal(ADAPTER, error))?;
    let mut block = Block::new(values.len());
    block.texts("project_id", values.keys().map(|key| key.project_id.as_str()));
    block.texts("aggregation", values.keys().map(|key| &*key.aggregation));
    block.texts("key", values.keys().map(|key| &key.key));
    block.times("window_start", values.keys().map(|key| key.window_start.as_millis()));
    block.texts("log", values.keys().map(|_| &*span.log));
    block.u32s("log_partition", values.keys().map(|_| span.partition));
    block.u64s("first_offset", values.keys().map(|_| span.first));
    block.texts("value", packed.iter());
    Ok(block)
}
