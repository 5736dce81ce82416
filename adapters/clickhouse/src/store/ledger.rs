use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use clickhouse::Row;
use gosight_application::ports::{CommitError, Fence, Ledger, LedgerError, LogPartition};
use gosight_domain::Hour;
use gosight_domain::ledger::{LedgerEntry, LedgerRow, OutcomeCounts};
use serde::Deserialize;

use super::ClickHouseStore;
use crate::block::Block;
use crate::error::read_error;
use crate::fence;

#[derive(Row, Deserialize)]
struct End {
    log_partition: u32,
    end: u64,
}

#[derive(Row, Deserialize)]
struct Number {
    number: u64,
}

#[async_trait]
impl Ledger for ClickHouseStore {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, LedgerError> {
        let ends = self
            .connection
            .query(
                "SELECT log_partition, max(last_offset) + 1 AS end FROM ledger
                 WHERE log = {log:String} GROUP BY log_partition",
            )
            .param("log", log)
            .fetch_all::<End>();
        let ends = self.connection.within(ends).await.map_err(read_error)?;
        Ok(ends.into_iter().map(|row| (row.log_partition, row.end)).collect())
    }

    async fn acquire(&self, place: &LogPartition) -> Result<Fence, LedgerError> {
        fence::acquire(&self.connection, place).await
    }

    async fn end(&self, fence: &Fence) -> Result<Option<u64>, LedgerError> {
        let sql = "SELECT last_offset + 1 AS number FROM ledger
            WHERE log = {log:String} AND log_partition = {partition:UInt32}
            ORDER BY log DESC, log_partition DESC, first_offset DESC LIMIT 1";
        let end = fence::query_of(&self.connection, fence.place(), sql).fetch_optional::<Number>();
        Ok(self.connection.within(end).await.map_err(read_error)?.map(|end| end.number))
    }

    async fn append(&self, fence: &Fence, row: &LedgerRow) -> Result<(), CommitError> {
        fence::insert(&self.connection, fence, "ledger", encode(row)).await
    }
}

fn encode(row: &LedgerRow) -> Block {
    // A batch without records still covers its offsets.
    let nothing = [LedgerEntry { project_id: None, hour: Hour::default(), counts: OutcomeCounts::default() }];
    let entries = if row.entries.is_empty() { &nothing[..] } else { &row.entries };
    let span = &row.span;
    let mut block = Block::new(entries.len());
    block.texts("log", entries.iter().map(|_| &*span.log));
    block.u32s("log_partition", entries.iter().map(|_| span.partition));
    block.u64s("first_offset", entries.iter().map(|_| span.first));
    block.u64s("last_offset", entries.iter().map(|_| span.last));
    block.texts(
        "project_id",
        entries.iter().map(|entry| entry.project_id.as_ref().map_or("", |id| id.as_str())),
    );
    block.seconds("hour", entries.iter().map(|entry| seconds(entry.hour)));
    block.u64s("polled", entries.iter().map(|entry| entry.counts.polled));
    block.u64s("stored", entries.iter().map(|entry| entry.counts.stored));
    block.u64s("duplicate", entries.iter().map(|entry| entry.counts.duplicate));
    block.count_maps("filtered", entries.iter().map(|entry| Reasons(&entry.counts.filtered)));
    block.count_maps("rejected", entries.iter().map(|entry| Reasons(&entry.counts.rejected)));
    block.count_maps("dead_lettered", entries.iter().map(|entry| Reasons(&entry.counts.dead_lettered)));
    block
}

/// The table holds hours from 1970 to 2106.
fn seconds(hour: Hour) -> u32 {
    u32::try_from(hour.start().as_millis() / 1_000).unwrap_or(0)
}

/// Counts by reason, as a column takes them.
struct Reasons<'a>(&'a BTreeMap<Arc<str>, u64>);

impl<'a> IntoIterator for Reasons<'a> {
    type Item = (&'a str, u64);
    type IntoIter = std::iter::Map<
        std::collections::btree_map::Iter<'a, Arc<str>, u64>,
        fn((&'a Arc<str>, &'a u64)) -> (&'a str, u64),
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(reason, count)| (&**reason, *count))
    }
}
