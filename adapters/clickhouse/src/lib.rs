//! The analytics store on `ClickHouse`: events, sessions, aggregates, replay chunks and the ledger.
//!
//! A batch becomes several inserts, and `ClickHouse` has no transaction over them. It counts once all the same, because
//! [`Stepped`](gosight_application::process::Stepped) commits it through the narrow ports that [`ClickHouseStore`]
//! implements. What this adapter adds to that protocol:
//!
//! 1. [`Ledger::acquire`](gosight_application::ports::Ledger::acquire) raises the partition's epoch in the table `writers`,
//!    and ends what older epochs still have running. Every insert looks at the epoch where it runs, so one that was
//!    delayed on its way stores nothing any more.
//! 2. Every row says which record of the log it comes from: [`EventRows`](gosight_application::ports::EventRows) finds what
//!    a batch that did not come to its end has left.
//! 3. Counts by hour are projections of the events table: they are in the same part as the rows that they count.
//!
//! Insert tokens are new for every attempt; they only stop a proxy from sending an insert twice.

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

pub use config::{ClickHouseConfig, InvalidSetting};
pub use store::ClickHouseStore;

/// Names this adapter in errors.
const ADAPTER: &str = "clickhouse";
