//! Durable storage in one directory, without servers.
//!
//! | in the directory | is |
//! | --- | --- |
//! | `gosight.lock` | held by the one process that uses the directory |
//! | `log/` | the event log, and marks of the events that are stored, in [`fjall`] |
//! | `gosight.db` | everything else, in `SQLite` |
//! | `archive/` | archived replays, a file for each |
//!
//! Everything that a batch becomes is written in one transaction with its ledger row, and processing starts where the
//! ledger ends, so a crash at any moment repeats and loses nothing.

mod archive;
mod data_dir;
mod embedded;
mod engine;
mod log;
mod store;

pub use archive::DirectoryArchive;
pub use data_dir::{DataDir, DataDirError};
pub use embedded::{DataDirParts, Embedded};
pub use log::{EmbeddedLog, LogConfig};
pub use store::{EmbeddedAccounts, EmbeddedDeadLetters, EmbeddedStore, StoreConfig};

/// Name of the log adapter in errors.
const LOG_ADAPTER: &str = "embedded log";
/// Name of the store adapter in errors.
const STORE_ADAPTER: &str = "embedded store";
