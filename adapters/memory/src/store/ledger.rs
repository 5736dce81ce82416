use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::ports::{
    CommitError, Fence, Ledger, LedgerBalance, LedgerError, LedgerQuery, LogPartition, PartitionCoverage,
    QueryError,
};
use gosight_domain::ledger::{BatchSpan, Coverage, LedgerRow, OutcomeCounts};
use gosight_domain::{Hour, ProjectId};

use super::{MemoryStore, State};

impl State {
    /// The offset after the last one that the ledger covers.
    pub(super) fn ledger_end(&self, place: &LogPartition) -> Option<u64> {
        let rows = self.ledger.keys().filter(|span| LogPartition::of(span) == *place);
        rows.map(BatchSpan::next).max()
    }

    pub(super) fn next_offsets(&self, log: &str) -> BTreeMap<u32, u64> {
        let spans = self.ledger.keys().filter(|span| &*span.log == log);
        let places: Vec<LogPartition> = spans.map(LogPartition::of).collect();
        places.into_iter().filter_map(|place| Some((place.partition, self.ledger_end(&place)?))).collect()
    }
}

#[async_trait]
impl Ledger for MemoryStore {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, LedgerError> {
        Ok(self.lock().next_offsets(log))
    }

    async fn acquire(&self, place: &LogPartition) -> Result<Fence, LedgerError> {
        let _writes_have_ended = self.lock();
        Ok(self.fences.grant(place))
    }

    async fn end(&self, fence: &Fence) -> Result<Option<u64>, LedgerError> {
        Ok(self.lock().ledger_end(fence.place()))
    }

    async fn append(&self, fence: &Fence, row: &LedgerRow) -> Result<(), CommitError> {
        self.lock_behind(fence)?.ledger.insert(row.span.clone(), row.clone());
        Ok(())
    }
}

#[async_trait]
impl LedgerQuery for MemoryStore {
    async fn balances(
        &self,
        project_id: Option<&ProjectId>,
        from: Hour,
        to: Hour,
    ) -> Result<Vec<LedgerBalance>, QueryError> {
        let state = self.lock();
        let mut by_hour: BTreeMap<_, OutcomeCounts> = BTreeMap::new();
        for row in state.ledger.values() {
            for entry in &row.entries {
                let of_project = project_id.is_none_or(|project| entry.project_id.as_ref() == Some(project));
                if of_project && (from..to).contains(&entry.hour) {
                    by_hour.entry((entry.hour, row.span.log.clone())).or_default().merge(&entry.counts);
                }
            }
        }
        let balance = |((hour, log), counts)| LedgerBalance { log, hour, counts };
        Ok(by_hour.into_iter().map(balance).collect())
    }

    async fn coverage(&self, log: &str) -> Result<Vec<PartitionCoverage>, QueryError> {
        let state = self.lock();
        let mut rows: BTreeMap<u32, (Vec<(u64, u64)>, u64)> = BTreeMap::new();
        for (span, row) in state.ledger.iter().filter(|(span, _)| &*span.log == log) {
            let (spans, polled) = rows.entry(span.partition).or_default();
            spans.push((span.first, span.last));
            *polled += row.total().polled;
        }
        let coverage = |(partition, (spans, polled))| PartitionCoverage {
            partition,
            coverage: Coverage::of(spans),
            polled,
        };
        Ok(rows.into_iter().map(coverage).collect())
    }
}
