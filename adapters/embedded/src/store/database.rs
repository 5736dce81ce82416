//! The `SQLite` database: one connection that writes, others that read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gosight_application::ports::Clock;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::Mutex;

use super::dictionary::Numbers;
use super::writer::Writer;
use crate::{DataDirError, data_dir};

#[derive(Debug)]
pub(crate) struct Database {
    pub(super) writer: Mutex<Writer>,
    pub(super) readers: SqlitePool,
    pub(super) numbers: Arc<Numbers>,
}

/// How long a statement waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reader waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages of the write-ahead log after which it is written back (64 MiB).
const CHECKPOINT_PAGES: &str = "8192";
const PAGE_BYTES: u32 = 8192;
/// Size that the write-ahead log is cut back to, in bytes.
const WAL_BYTES: &str = "134217728";
/// Memory for pages of the writer, in KiB as `SQLite` wants it (negative).
const WRITER_CACHE: &str = "-65536";
const READER_CACHE: &str = "-8192";

impl Database {
    /// Opens or makes the database, and brings it to the current schema.
    pub(crate) async fn open(
        path: &Path,
        readers: u32,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, DataDirError> {
        // Made here, because `SQLite` would let everybody read it. Its other files get the same mode.
        data_dir::open_private(path).map_err(|source| DataDirError::Io { path: path.to_owned(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .page_size(PAGE_BYTES)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit that was answered survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(256)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("journal_size_limit", WAL_BYTES)
            .pragma("temp_store", "memory");
        let writer = Writer::open(options.clone().pragma("cache_size", WRITER_CACHE), clock).await;
        let writer = writer
            .map_err(|source| DataDirError::Database { path: path.to_owned(), source: source.into() })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(readers.max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options.pragma("cache_size", READER_CACHE).read_only(true));
        Ok(Arc::new(Self { numbers: writer.numbers.clone(), writer: Mutex::new(writer), readers }))
    }

    /// Closes all connections, after what is being written.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.lock().await.close().await;
    }
}
