//! Tests against a real `ClickHouse`, each in a database of its own.

#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod conformance;
mod costs;
mod crashes;
mod database;
mod deletes;
mod large_batches;
mod migrations;
mod old_database;
mod payload_columns;
mod questions_by_hand;
mod retention;
mod takeovers;
