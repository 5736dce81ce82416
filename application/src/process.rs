//! Process: takes batches from a log and makes them visible, once.
//!
//! A [`LogConsumer`] reads every partition that it is assigned with a worker of its own. A worker polls a batch, lets a
//! [`BatchHandler`] turn it into a [`ProcessedBatch`](crate::ports::ProcessedBatch), commits that to the
//! [`BatchStore`](crate::ports::BatchStore), and then tells the log. It starts where the store's ledger ends, so a crash
//! between any two of these steps repeats and loses nothing.

mod aggregations;
mod consumer;
mod deduplicate;
mod events;
pub mod filter;
mod handler;
mod info;
mod replay;
mod skipped;
mod status;
mod stepped;
mod supervisor;
mod utilization;
mod worker;

pub use aggregations::{AggregationSet, CustomMeasures, MeasureError};
pub use consumer::{ConsumerConfig, LogConsumer, ProcessError};
pub use deduplicate::StoredDeduplicator;
pub use events::{EventHandler, EventHandlerPorts};
pub use handler::{BatchHandler, HandlerError, Refusals};
pub use info::{EnrichmentInfo, ProcessorInfo};
pub use replay::ReplayHandler;
pub use skipped::{SkippedMeasureStats, SkippedSince};
pub use status::{LastCommit, PartitionStatus, ProcessStatus, WorkerState};
pub use stepped::{Stepped, SteppedPorts};
