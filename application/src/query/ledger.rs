use std::collections::BTreeMap;
use std::sync::Arc;

use gosight_domain::Hour;
use gosight_domain::key::{Admin, Read, Scoped};
use gosight_domain::ledger::{Coverage, OutcomeCounts};

use super::Query;
use crate::ports::{LedgerBalance, PartitionCoverage, QueryError};

/// What became of records, and how the ledger covers the logs.
#[derive(Debug, Clone, Default)]
pub struct LedgerReport {
    /// By log and hour.
    pub balances: Vec<LedgerBalance>,
    /// By log; empty for those who see one project only.
    pub logs: Vec<LogCoverage>,
}

/// How the ledger covers a log.
#[derive(Debug, Clone)]
pub struct LogCoverage {
    /// Name of the log.
    pub log: Arc<str>,
    /// Its partitions.
    pub partitions: Vec<PartitionReport>,
}

/// How the ledger covers a partition.
#[derive(Debug, Clone)]
pub struct PartitionReport {
    /// Number of the partition.
    pub partition: u32,
    /// How the ledger's rows join.
    pub coverage: Coverage,
    /// Records that the ledger's rows account for.
    pub polled: u64,
    /// The offset after the last record of the log.
    pub log_end: u64,
}

impl PartitionReport {
    /// Records that are logged and not processed yet.
    pub fn in_flight(&self) -> u64 {
        self.log_end.saturating_sub(self.coverage.end)
    }

    /// Whether the rows join, and account for as many records as they cover offsets.
    pub fn balances(&self) -> bool {
        self.coverage.is_whole() && self.coverage.covered() == self.polled
    }
}

impl LedgerReport {
    /// Whether everything adds up and joins.
    pub fn balances(&self) -> bool {
        self.balances.iter().all(|balance| balance.counts.balances())
            && self.logs.iter().flat_map(|log| &log.partitions).all(PartitionReport::balances)
    }

    /// All records of one log together.
    pub fn total(&self, log: &str) -> OutcomeCounts {
        let mut total = OutcomeCounts::default();
        self.balances.iter().filter(|balance| &*balance.log == log).for_each(|b| total.merge(&b.counts));
        total
    }
}

impl Query {
    /// What became of a project's records.
    ///
    /// # Errors
    /// The read side's.
    pub async fn project_ledger(
        &self,
        scope: &Scoped<Read>,
        from: Hour,
        to: Hour,
    ) -> Result<LedgerReport, QueryError> {
        let balances = self.ports.ledger.balances(Some(scope.project_id()), from, to).await?;
        Ok(LedgerReport { balances, logs: Vec::new() })
    }

    /// What became of everybody's records, and how the ledger covers the logs.
    ///
    /// # Errors
    /// The read side's and the logs'.
    pub async fn whole_ledger(
        &self,
        _proof: &Scoped<Admin>,
        from: Hour,
        to: Hour,
    ) -> Result<LedgerReport, QueryError> {
        let mut logs = Vec::with_capacity(self.ports.logs.len());
        for source in &self.ports.logs {
            // The ledger first: the log only grows, so nothing in flight is missed or counted below zero.
            let covered = self.ports.ledger.coverage(source.log()).await?;
            let mut covered: BTreeMap<u32, PartitionCoverage> =
                covered.into_iter().map(|partition| (partition.partition, partition)).collect();
            let mut partitions: Vec<PartitionReport> = Vec::with_capacity(covered.len());
            for (partition, log_end) in source.end_offsets().await? {
                let (coverage, polled) = covered.remove(&partition).map_or_else(Default::default, parts);
                partitions.push(PartitionReport { partition, coverage, polled, log_end });
            }
            // Partitions that the log no longer has are over where the ledger ends.
            partitions.extend(covered.into_iter().map(|(partition, covered)| {
                let (coverage, polled) = parts(covered);
                PartitionReport { partition, log_end: coverage.end, coverage, polled }
            }));
            logs.push(LogCoverage { log: source.log().clone(), partitions });
        }
        // Last: when nothing is in flight above, the balances have everything.
        let balances = self.ports.ledger.balances(None, from, to).await?;
        Ok(LedgerReport { balances, logs })
    }
}

fn parts(covered: PartitionCoverage) -> (Coverage, u64) {
    (covered.coverage, covered.polled)
}
