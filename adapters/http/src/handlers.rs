//! What answers requests: one module for each resource.

pub(crate) mod aggregation;
pub(crate) mod enrichment;
pub(crate) mod fallback;
pub(crate) mod health;
pub(crate) mod ingest;
pub(crate) mod ledger;
pub(crate) mod metrics;
pub(crate) mod processor;
pub(crate) mod replay_archive;
pub(crate) mod replay_events;
pub(crate) mod replay_manifest;
pub(crate) mod sessions;
