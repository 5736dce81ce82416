use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use clickhouse::Row;
use gosight_application::ports::{LedgerBalance, LedgerQuery, PartitionCoverage, QueryError};
use gosight_domain::ledger::{Coverage, OutcomeCounts};
use gosight_domain::{Hour, ProjectId};
use serde::Deserialize;

use crate::error::read_error;
use crate::store::ClickHouseStore;

#[derive(Row, Deserialize)]
struct BalanceRow {
    log: String,
    hour: u32,
    polled: u64,
    stored: u64,
    duplicate: u64,
    filtered: Vec<(String, u64)>,
    rejected: Vec<(String, u64)>,
    dead_lettered: Vec<(String, u64)>,
}

#[derive(Row, Deserialize)]
struct SpanRow {
    log_partition: u32,
    first: u64,
    last: u64,
    polled: u64,
}

fn reasons(counts: Vec<(String, u64)>) -> BTreeMap<Arc<str>, u64> {
    counts.into_iter().map(|(reason, count)| (reason.into(), count)).collect()
}

fn balance(row: BalanceRow) -> LedgerBalance {
    LedgerBalance {
        log: row.log.into(),
        hour: Hour::from_index(i64::from(row.hour) / 3_600),
        counts: OutcomeCounts {
            polled: row.polled,
            stored: row.stored,
            duplicate: row.duplicate,
            filtered: reasons(row.filtered),
            rejected: reasons(row.rejected),
            dead_lettered: reasons(row.dead_lettered),
        },
    }
}

#[async_trait]
impl LedgerQuery for ClickHouseStore {
    async fn balances(
        &self,
        project_id: Option<&ProjectId>,
        from: Hour,
        to: Hour,
    ) -> Result<Vec<LedgerBalance>, QueryError> {
        let seconds = |hour: Hour| u32::try_from(hour.start().as_millis().max(0) / 1_000).unwrap_or(u32::MAX);
        let of_project = if project_id.is_some() { "AND project_id = {project:String}" } else { "" };
        let sql = format!(
            "SELECT log, toUnixTimestamp(hour) AS hour, sum(polled) AS polled, sum(stored) AS stored,
               sum(duplicate) AS duplicate, sumMap(filtered) AS filtered, sumMap(rejected) AS rejected,
               sumMap(dead_lettered) AS dead_lettered
             FROM ledger AS ledger
             WHERE ledger.hour >= {{from:UInt32}} AND ledger.hour < {{to:UInt32}} {of_project}
             GROUP BY ledger.log, ledger.hour HAVING sum(ledger.polled) > 0 ORDER BY hour, log"
        );
        let rows = self
            .connection
            .query(&sql)
            .param("from", seconds(from))
            .param("to", seconds(to))
            .param("project", project_id.map_or("", |id| id.as_str()))
            .fetch_all::<BalanceRow>();
        let rows = self.connection.within(rows).await.map_err(read_error)?;
        Ok(rows.into_iter().map(balance).collect())
    }

    async fn coverage(&self, log: &str) -> Result<Vec<PartitionCoverage>, QueryError> {
        // Spans that join are joined by the server: a day has thousands of batches.
        let rows = self
            .connection
            .query(
                "SELECT log_partition, min(first_offset) AS first, max(last_offset) AS last,
                   sum(records) AS polled FROM (
                   SELECT log_partition, first_offset, last_offset, records,
                     sum(starts) OVER (PARTITION BY log_partition ORDER BY first_offset
                       ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS island
                   FROM (
                     SELECT log_partition, first_offset, last_offset, records,
                       first_offset != lagInFrame(last_offset + 1, 1, 0) OVER (PARTITION BY log_partition
                         ORDER BY first_offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS starts
                     FROM (SELECT log_partition, first_offset, last_offset, sum(polled) AS records FROM ledger
                           WHERE log = {log:String} GROUP BY log_partition, first_offset, last_offset)
                   )
                 ) GROUP BY log_partition, island ORDER BY log_partition, first",
            )
            .param("log", log)
            .fetch_all::<SpanRow>();
        let mut found: BTreeMap<u32, (Vec<(u64, u64)>, u64)> = BTreeMap::new();
        for row in self.connection.within(rows).await.map_err(read_error)? {
            let (spans, polled) = found.entry(row.log_partition).or_default();
            spans.push((row.first, row.last));
            *polled += row.polled;
        }
        let coverage = |(partition, (spans, polled))| PartitionCoverage {
            partition,
            coverage: Coverage::of(spans),
            polled,
        };
        Ok(found.into_iter().map(coverage).collect())
    }
}
