//! The analytics store: everything that processing writes and readers ask for, in `SQLite`.
//!
//! One connection writes, others read. A batch is one transaction: events, rollup, sessions, insights, aggregates,
//! replay chunks, dead letters and the ledger row, or nothing.

mod aggregates;
mod apply;
mod batch;
mod claims;
mod codec;
mod dead_letters;
mod events;
mod keys;
mod ledger;
mod many;
mod metrics;
mod names;
mod profiles;
mod query;
mod replay;
mod retention;
mod sessions;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::ports::{Health, HealthCheck, PortError};
use gosight_domain::insight::InsightThresholds;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::Mutex;

use crate::{DataDirError, STORE_ADAPTER};
use claims::Claims;
use writer::Writer;

/// How the store is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// When sessions show insights.
    pub thresholds: InsightThresholds,
    /// Connections that read at the same time.
    pub readers: u32,
    /// How long events, sessions, counts and aggregates are kept, in days; 0 for ever.
    pub retention_days: u32,
    /// How long the ledger keeps a row of its own for each batch; older rows that join are made into one.
    pub ledger_detail: Duration,
}

impl Default for StoreConfig {
    /// 4 readers, 90 days, an hour of single ledger rows.
    fn default() -> Self {
        Self {
            thresholds: InsightThresholds::default(),
            readers: 4,
            retention_days: 90,
            ledger_detail: Duration::from_hours(1),
        }
    }
}

/// The store of one data directory.
#[derive(Debug)]
pub struct EmbeddedStore {
    writer: Mutex<Writer>,
    readers: SqlitePool,
    claims: Claims,
    config: StoreConfig,
}

/// How long a statement waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages of the write-ahead log after which it is written back (64 MiB).
const CHECKPOINT_PAGES: &str = "8192";
const PAGE_BYTES: u32 = 8192;
/// Memory for pages of the writer, in KiB as `SQLite` wants it (negative).
const WRITER_CACHE: &str = "-65536";
const READER_CACHE: &str = "-8192";

impl EmbeddedStore {
    /// Opens or makes the database in the data directory `dir`, and brings it to the current schema.
    ///
    /// Batches may be committed only by the process that holds the [`DataDir`](crate::DataDir). Projects, keys and
    /// profiles may be changed beside it.
    ///
    /// # Errors
    /// [`DataDirError`] when it cannot be opened.
    pub async fn open(dir: &Path, config: StoreConfig) -> Result<Arc<Self>, DataDirError> {
        let path = dir.join("gosight.db");
        std::fs::create_dir_all(dir).map_err(|source| DataDirError::Io { path: dir.to_owned(), source })?;
        let open = async || -> Result<Self, sqlx::Error> {
            let options = SqliteConnectOptions::new()
                .filename(&path)
                .create_if_missing(true)
                .page_size(PAGE_BYTES)
                .journal_mode(SqliteJournalMode::Wal)
                // A commit that was answered survives a power cut.
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(BUSY_TIMEOUT)
                .statement_cache_capacity(256)
                .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
                .pragma("journal_size_limit", "134217728")
                .pragma("temp_store", "memory");
            let writer = Writer::open(options.clone().pragma("cache_size", WRITER_CACHE)).await?;
            let readers = SqlitePoolOptions::new()
                .max_connections(config.readers.max(1))
                .acquire_timeout(Duration::from_secs(10))
                .connect_lazy_with(options.pragma("cache_size", READER_CACHE).read_only(true));
            Ok(Self {
                writer: Mutex::new(writer),
                readers,
                claims: Claims::default(),
                config: config.clone(),
            })
        };
        let store = open().await;
        Ok(Arc::new(store.map_err(|source| DataDirError::Database { path, source: source.into() })?))
    }

    /// Closes all connections, after what is being written.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.lock().await.close().await;
    }
}

/// What a failed statement means. A locked or full disk may pass; a database that is damaged does not.
fn store_error<R: std::fmt::Debug + std::fmt::Display>(error: sqlx::Error) -> PortError<R> {
    /// `SQLITE_CORRUPT` and `SQLITE_NOTADB` (<https://www.sqlite.org/rescode.html>).
    const DAMAGED: [&str; 2] = ["11", "26"];
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    // Extended codes have the primary one in their low byte.
    let primary = code.and_then(|code| code.parse::<u32>().ok()).map(|code| (code & 0xff).to_string());
    if primary.is_some_and(|code| DAMAGED.contains(&code.as_str())) {
        return PortError::fatal(STORE_ADAPTER, error);
    }
    PortError::transient(STORE_ADAPTER, error)
}

#[async_trait]
impl HealthCheck for EmbeddedStore {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn check(&self) -> Health {
        match sqlx::query("SELECT 1 FROM projects LIMIT 1").fetch_optional(&self.readers).await {
            Ok(_) => Health::Up,
            Err(error) => Health::Down(error.to_string()),
        }
    }
}
