use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{LedgerBalance, LedgerQuery, PartitionCoverage, QueryError};
use gosight_domain::ledger::{Coverage, OutcomeCounts};
use gosight_domain::{Hour, ProjectId};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::EmbeddedStore;
use super::codec::{from_json, unsigned};
use super::error::store_error;

/// The counts of a row of `ledger_entries`, from column `first` on.
pub(super) fn outcome_counts(row: &SqliteRow, first: usize) -> sqlx::Result<OutcomeCounts> {
    let number = |column| Ok::<_, sqlx::Error>(unsigned(row.try_get(column)?));
    let reasons = |column| from_json(row.try_get(column)?);
    Ok(OutcomeCounts {
        polled: number(first)?,
        stored: number(first + 1)?,
        duplicate: number(first + 2)?,
        filtered: reasons(first + 3)?,
        rejected: reasons(first + 4)?,
        dead_lettered: reasons(first + 5)?,
    })
}

impl EmbeddedStore {
    async fn read_balances(
        &self,
        project_id: Option<&ProjectId>,
        from: Hour,
        to: Hour,
    ) -> sqlx::Result<Vec<LedgerBalance>> {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT hour, logs.name, polled, stored, duplicate, filtered, rejected, dead_lettered
             FROM ledger_entries JOIN logs ON logs.id = ledger_entries.log WHERE hour >= ",
        );
        sql.push_bind(from.index()).push(" AND hour < ").push_bind(to.index());
        if let Some(project_id) = project_id {
            sql.push(" AND project = (SELECT id FROM projects WHERE project_id = ");
            sql.push_bind(project_id.to_string()).push(")");
        }
        let mut by_hour: BTreeMap<(Hour, Arc<str>), OutcomeCounts> = BTreeMap::new();
        for row in sql.build().fetch_all(&self.database.readers).await? {
            let log: String = row.try_get(1)?;
            let key = (Hour::from_index(row.try_get(0)?), log.into());
            by_hour.entry(key).or_default().merge(&outcome_counts(&row, 2)?);
        }
        let balance = |((hour, log), counts)| LedgerBalance { log, hour, counts };
        Ok(by_hour.into_iter().map(balance).collect())
    }

    async fn read_coverage(&self, log: &str) -> sqlx::Result<Vec<PartitionCoverage>> {
        // One snapshot, so that the records are those of the rows.
        let mut snapshot = self.database.readers.begin().await?;
        let rows = sqlx::query(
            "SELECT log_partition, first_offset, last_offset FROM ledger
             WHERE log = (SELECT id FROM logs WHERE name = ?) ORDER BY log_partition, first_offset",
        )
        .bind(log)
        .fetch_all(&mut *snapshot)
        .await?;
        let mut found: BTreeMap<u32, (Vec<(u64, u64)>, u64)> = BTreeMap::new();
        for row in rows {
            let span = (unsigned(row.try_get(1)?), unsigned(row.try_get(2)?));
            found.entry(row.try_get(0)?).or_default().0.push(span);
        }
        let counts = sqlx::query(
            "SELECT log_partition, sum(polled) FROM ledger_entries
             WHERE log = (SELECT id FROM logs WHERE name = ?) GROUP BY log_partition",
        )
        .bind(log)
        .fetch_all(&mut *snapshot)
        .await?;
        for row in counts {
            found.entry(row.try_get(0)?).or_default().1 = unsigned(row.try_get(1)?);
        }
        let coverage = |(partition, (spans, polled))| PartitionCoverage {
            partition,
            coverage: Coverage::of(spans),
            polled,
        };
        Ok(found.into_iter().map(coverage).collect())
    }
}

#[async_trait]
impl LedgerQuery for EmbeddedStore {
    async fn balances(
        &self,
        project_id: Option<&ProjectId>,
        from: Hour,
        to: Hour,
    ) -> Result<Vec<LedgerBalance>, QueryError> {
        self.read_balances(project_id, from, to).await.map_err(store_error)
    }

    async fn coverage(&self, log: &str) -> Result<Vec<PartitionCoverage>, QueryError> {
        self.read_coverage(log).await.map_err(store_error)
    }
}
