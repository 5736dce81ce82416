use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{ProjectId, Timestamp};

use super::{CommitError, Fence, PortError};

/// Error of [`AggregateStore`].
pub type AggregateStoreError = PortError;

/// Which windows of an aggregation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowQuery {
    /// Name of the aggregation.
    pub aggregation: String,
    /// The filled key.
    pub key: String,
    /// Start of the first window, inclusive.
    pub from: Timestamp,
    /// Start of the last window, exclusive.
    pub to: Timestamp,
    /// Most windows; the latest ones are given.
    pub limit: usize,
}

/// Window aggregates.
///
/// # Contract
/// 1. `put` adds what a batch gives to what is there.
/// 2. `forget` takes back what was put for batches of the fence's partition that begin at or after an offset, and
///    nothing else.
/// 3. A write behind an older fence changes nothing.
/// 4. `windows` gives the values by start of their window, earliest first.
#[async_trait]
pub trait AggregateStore: fmt::Debug + Send + Sync {
    /// Notified that `fence` is the newest of its partition: from here on no write behind an older one takes effect here. A store
    /// whose own ledger gave the fence knows that already, and one that is not shared by processes need not care.
    async fn acquired(&self, _fence: &Fence) -> Result<(), PortError> {
        Ok(())
    }

    /// Adds what the batch of `span` gives.
    async fn put(
        &self,
        fence: &Fence,
        span: &BatchSpan,
        values: &BTreeMap<AggregateKey, AggregateValue>,
    ) -> Result<(), CommitError>;

    /// Takes back what batches gave that begin at or after the offset `from`.
    async fn forget(&self, fence: &Fence, from: u64) -> Result<(), AggregateStoreError>;

    /// The values of one key.
    async fn windows(
        &self,
        project_id: &ProjectId,
        query: &WindowQuery,
    ) -> Result<Vec<(Timestamp, AggregateValue)>, AggregateStoreError>;
}
