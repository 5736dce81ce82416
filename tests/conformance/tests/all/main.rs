//! The suites can fail: for each sentence of a contract an adapter is made that breaks this one, and a case notices it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod batch_store;
mod contracts;
mod deduplicator;
mod event_enricher;
mod event_measure;
mod event_rows;
mod event_sink;
mod fences;
mod harness;
mod key_validator;
mod ledger;
mod replay_store;
mod session_store;
