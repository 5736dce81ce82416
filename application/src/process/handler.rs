use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::ports::{PolledBatch, PortError, ProcessedBatch};

/// Records that the store refused at an earlier attempt, by offset, with the reason: they are dead-lettered this time.
pub type Refusals = BTreeMap<u64, String>;

/// Error of [`BatchHandler`].
pub type HandlerError = PortError;

/// Turns what was polled into what is stored.
///
/// Bad records are no errors: they become dead letters, and their neighbours go on. An error means that nothing of the
/// batch can be said now; the same batch is handled again later, and must then give the same result, but for what enrichers say then
/// ([`EventEnricher`](crate::ports::EventEnricher) has what that may be).
#[async_trait]
pub trait BatchHandler: fmt::Debug + Send + Sync {
    /// Handles `batch`.
    async fn handle(&self, batch: &PolledBatch, refused: &Refusals) -> Result<ProcessedBatch, HandlerError>;

    /// Notified that `batch` is stored.
    fn committed(&self, _batch: &ProcessedBatch) {}
}
