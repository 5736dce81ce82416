use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use gosight_domain::ledger::LedgerRow;

use super::{CommitError, Fence, LogPartition, PortError};

/// Error of [`Ledger`].
pub type LedgerError = PortError;

/// Says which batches count, and who may write.
///
/// A store over which batches are committed in steps (see [`Stepped`](crate::process::Stepped)) offers it beside
/// [`EventRows`](super::EventRows), [`SessionStore`](super::SessionStore), [`AggregateStore`](super::AggregateStore) and
/// [`ReplayStore`](super::ReplayStore).
///
/// # Contract
/// 1. `next_offsets` gives the offset after the last that a row covers, for each partition of the log that has rows.
/// 2. After `acquire` no write behind an older fence of the partition takes effect, in whatever table, also if it was
///    begun before. Such a write is `Transient`.
/// 3. `end` is the offset after the last that a row of the fence's partition covers; `None` when there is no row.
/// 4. After `Ok` of `append` the row is there whole and survives a crash; a batch without records has a row too.
/// 5. Logs and partitions have rows and fences of their own.
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync {
    /// Where the ledger of `log` ends: for each partition with rows, the next offset to process.
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, LedgerError>;

    /// Takes a partition over from whoever has it.
    async fn acquire(&self, place: &LogPartition) -> Result<Fence, LedgerError>;

    /// Where the ledger of the fence's partition ends.
    async fn end(&self, fence: &Fence) -> Result<Option<u64>, LedgerError>;

    /// Writes the row of a batch, which makes the batch count.
    async fn append(&self, fence: &Fence, row: &LedgerRow) -> Result<(), CommitError>;
}
