use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{ProjectId, Timestamp};

use super::PortError;

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
/// 1. `merge` adds each value to what is there; a span that was merged before changes nothing.
/// 2. `windows` gives the values by start of their window, earliest first.
#[async_trait]
pub trait AggregateStore: fmt::Debug + Send + Sync {
    /// Merges what the batch `span` gave.
    async fn merge(
        &self,
        span: &BatchSpan,
        values: &BTreeMap<AggregateKey, AggregateValue>,
    ) -> Result<(), AggregateStoreError>;

    /// The values of one key.
    async fn windows(
        &self,
        project_id: &ProjectId,
        query: &WindowQuery,
    ) -> Result<Vec<(Timestamp, AggregateValue)>, AggregateStoreError>;
}
