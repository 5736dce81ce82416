mod bench;
mod enrichers;
mod ingest_bench;
mod numbers;
mod sources;
mod stores;

use std::time::Duration;

pub use bench::{BACKOFF, Bench, GROUP, Running};
pub use enrichers::{Fault, Good, Hostile, chosen};
pub use ingest_bench::{
    IngestBench, MockChunks, MockLog, MockSink, RETRY_AFTER, busy, epoch, limiter, may_send,
};
pub use numbers::Numbers;
pub use sources::{FaultyPartition, HoledPartition, Script, ScriptedSource, TrimmedPartition, partition_of};
pub use stores::{ForgetfulStore, GatedStore, JudgedStore, UnreadableLedger, refused, unavailable};

/// Waits until `check` holds. Tests stop the clock, so the waits cost nothing.
pub async fn until(what: &str, check: impl AsyncFn() -> bool) {
    let wait = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_hours(1), wait).await.unwrap_or_else(|_| panic!("{what}: never"));
}
