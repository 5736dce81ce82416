//! The use cases, over the adapters in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod archiver;
mod archiver_deaths;
mod archiver_limits;
mod brittle;
mod cached_keys;
mod codec;
mod dead_letters;
mod enrichers;
mod fallback_rate_limiter;
mod ingest_events;
mod ingest_replay;
mod local_log;
mod pipeline;
mod process;
mod process_failures;
mod process_restarts;
mod profile_enricher;
mod purge;
mod query_ledger;
mod query_replay;
mod records_09ea4e6;
mod replay_handler;
mod replay_lists;
mod sinks;
mod stored_json;
mod support;
