//! The analytics store on `ClickHouse`: events, sessions, aggregates, replay chunks and the ledger.
//!
//! A batch becomes several inserts, and `ClickHouse` has no transaction over them. It counts once all the same:
//!
//! 1. Whoever writes a partition of the log first takes it over: it raises the partition's epoch in `writers`, and
//!    ends what older epochs still have running. Every insert looks at the epoch where it runs, so one that was
//!    delayed on its way stores nothing any more.
//! 2. Every row says which record of the log it comes from. The new writer sees which rows a batch that did not come to
//!    its end has left, and stores only the missing ones.
//! 3. The ledger row is written last. What comes before it is either complete, or repeated.
//! 4. Counts by hour are projections of the events table: they are in the same part as the rows that they count.
//!
//! After any failure, whatever it was, the writer takes its partition over again: there is no other way to recover, so
//! this one is always tested. Insert tokens are new for every attempt; they only stop a proxy from sending an insert
//! twice.

mod block;
mod client;
mod config;
mod error;
mod event_row;
mod fence;
mod health;
mod migrate;
mod query;
mod query_params;
mod settings;
mod store;
mod writer;

pub use config::{ClickHouseConfig, InvalidSetting};
pub use store::ClickHouseStore;
pub use writer::ClickHouseWriter;

/// Names this adapter in errors.
const ADAPTER: &str = "clickhouse";
