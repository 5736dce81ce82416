use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::ports::{AggregateStore, AggregateStoreError, CommitError, Fence, WindowQuery};
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{ProjectId, Timestamp};

use super::MemoryStore;

#[async_trait]
impl AggregateStore for MemoryStore {
    async fn acquired(&self, fence: &Fence) -> Result<(), AggregateStoreError> {
        self.adopt(fence)
    }

    async fn put(
        &self,
        fence: &Fence,
        span: &BatchSpan,
        values: &BTreeMap<AggregateKey, AggregateValue>,
    ) -> Result<(), CommitError> {
        let mut state = self.lock_behind(fence)?;
        // A partition's batches come one after the other: those before this one count.
        let is_committed =
            |(place, first): &(_, u64), _: &mut _| place == fence.place() && *first < span.first;
        let committed: Vec<_> = state.uncommitted.extract_if(.., is_committed).collect();
        for (_, values) in committed {
            state.add_aggregates(&values);
        }
        state.uncommitted.insert((fence.place().clone(), span.first), values.clone());
        Ok(())
    }

    async fn forget(&self, fence: &Fence, from: u64) -> Result<(), AggregateStoreError> {
        let mut state = self.lock_behind(fence)?;
        state.uncommitted.retain(|(place, first), _| place != fence.place() || *first < from);
        Ok(())
    }

    async fn windows(
        &self,
        project_id: &ProjectId,
        query: &WindowQuery,
    ) -> Result<Vec<(Timestamp, AggregateValue)>, AggregateStoreError> {
        let state = self.lock();
        let wanted = |key: &AggregateKey| {
            key.project_id == *project_id
                && *key.aggregation == *query.aggregation
                && key.key == query.key
                && (query.from..query.to).contains(&key.window_start)
        };
        let mut windows: BTreeMap<Timestamp, AggregateValue> = BTreeMap::new();
        let all = std::iter::once(&state.aggregates).chain(state.uncommitted.values());
        for (key, value) in all.flatten().filter(|(key, _)| wanted(key)) {
            windows.entry(key.window_start).or_default().merge(value);
        }
        let skipped = windows.len().saturating_sub(query.limit);
        Ok(windows.into_iter().skip(skipped).collect())
    }
}
