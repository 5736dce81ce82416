//! The one connection that writes, and what it knows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use gosight_application::ports::{Clock, LogPartition, PortError};
use gosight_domain::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePoolOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection, Row};

use super::dictionary::{Names, Numbers};
use super::error::store_error;
use super::rollup_ids::RollupIds;
use crate::STORE_ADAPTER;

/// The writing connection with what it remembers of the database. What a transaction changes is remembered once it is
/// committed.
///
/// A connection that a transaction did not leave cleanly is not used again. `SQLite` rolls back by itself when the disk
/// is full or fails, after which the driver takes its connection for one that is still in the transaction; and nobody
/// knows whether a commit that failed did its work. So another connection is opened, and the database is asked anew for
/// what it has.
#[derive(Debug)]
pub(super) struct Writer {
    options: SqliteConnectOptions,
    /// `None` after closing, while a transaction runs, and after one that did not end cleanly.
    connection: Option<SqliteConnection>,
    is_closed: bool,
    clock: Arc<dyn Clock>,
    names: Names,
    pub numbers: Arc<Numbers>,
    rollup_ids: RollupIds,
    /// Where the ledger of each partition ends.
    pub ledger_ends: HashMap<LogPartition, u64>,
    /// Partitions with a batch that is committed in steps and is not at its end.
    pub unfinished: HashSet<LogPartition>,
    /// The last row of `events` that was ever written.
    pub last_row: i64,
    /// Whether there may be rows of `events` without marks.
    pub has_unmarked_rows: bool,
}

/// Why there is no result of a transaction, and whether its connection can be used again.
struct Failed {
    error: sqlx::Error,
    left_cleanly: bool,
}

impl Writer {
    pub async fn open(options: SqliteConnectOptions, clock: Arc<dyn Clock>) -> sqlx::Result<Self> {
        // Of a pool, not of the connection: with that, nothing that opens a store could be spawned as a task.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        pool.close().await;
        let mut connection = options.connect().await?;
        let numbers = Arc::new(Numbers::default());
        let mut writer = Self {
            options,
            connection: None,
            is_closed: false,
            clock,
            names: Names::new(numbers.clone()),
            numbers,
            rollup_ids: RollupIds::default(),
            ledger_ends: HashMap::new(),
            unfinished: HashSet::new(),
            last_row: 0,
            has_unmarked_rows: true,
        };
        writer.load(&mut connection).await?;
        writer.connection = Some(connection);
        Ok(writer)
    }

    /// Asks the database for what is remembered of it.
    async fn load(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        self.ledger_ends = ledger_ends(connection).await?;
        self.unfinished = unfinished(connection).await?;
        self.rollup_ids = RollupIds::load(connection).await?;
        self.numbers.load(connection).await?;
        self.last_row = self.last_row.max(last_row(connection).await?);
        self.has_unmarked_rows = true;
        Ok(())
    }

    /// Where the ledger of `log` ends: for each partition with rows, the next offset to process.
    pub fn next_offsets(&self, log: &str) -> BTreeMap<u32, u64> {
        let of_log = self.ledger_ends.iter().filter(|(place, _)| *place.log == *log);
        of_log.map(|(place, end)| (place.partition, *end)).collect()
    }

    pub async fn close(&mut self) {
        self.is_closed = true;
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "database not closed cleanly, the next start recovers it");
        }
    }

    /// Sees to it that there is a connection, and that what is remembered is what the database has.
    pub async fn ready<R: std::fmt::Debug + std::fmt::Display>(&mut self) -> Result<(), PortError<R>> {
        if self.is_closed {
            return Err(PortError::fatal(STORE_ADAPTER, "the store is closed"));
        }
        if self.connection.is_none() {
            self.connection = Some(self.reopen().await.map_err(store_error)?);
            tracing::warn!("database connection reopened after a failure");
        }
        Ok(())
    }

    async fn reopen(&mut self) -> sqlx::Result<SqliteConnection> {
        let mut connection = self.options.connect().await?;
        // The last connection may still be at its commit: whoever begins to write waits for that.
        let mut alone = connection.begin_with("BEGIN IMMEDIATE").await?;
        self.load(&mut alone).await?;
        alone.commit().await?;
        Ok(connection)
    }

    /// Does `work` in a transaction, and commits it.
    pub async fn transact<T, R: std::fmt::Debug + std::fmt::Display>(
        &mut self,
        work: impl AsyncFnOnce(&mut Transaction<'_>) -> sqlx::Result<T>,
    ) -> Result<T, PortError<R>> {
        self.ready().await?;
        // Taken out, so that it is gone if this future is dropped in the middle.
        let Some(mut connection) = self.connection.take() else {
            return Err(PortError::fatal(STORE_ADAPTER, "the store has no connection"));
        };
        match self.transact_on(&mut connection, work).await {
            Ok(done) => {
                self.connection = Some(connection);
                self.names.keep();
                self.rollup_ids.keep();
                Ok(done)
            }
            Err(Failed { error, left_cleanly }) => {
                if left_cleanly {
                    self.connection = Some(connection);
                }
                Err(store_error(error))
            }
        }
    }

    async fn transact_on<T>(
        &mut self,
        connection: &mut SqliteConnection,
        work: impl AsyncFnOnce(&mut Transaction<'_>) -> sqlx::Result<T>,
    ) -> Result<T, Failed> {
        self.names.forget();
        self.rollup_ids.forget();
        let begun = connection.begin_with("BEGIN IMMEDIATE").await;
        // What the database itself says, such as that it is locked, leaves the connection as it was.
        let mut begun =
            begun.map_err(|error| Failed { left_cleanly: error.as_database_error().is_some(), error })?;
        let mut transaction = Transaction {
            connection: &mut begun,
            names: &mut self.names,
            rollup_ids: &mut self.rollup_ids,
            now: self.clock.now(),
        };
        match work(&mut transaction).await {
            Ok(done) => match begun.commit().await {
                Ok(()) => Ok(done),
                Err(error) => Err(Failed { error, left_cleanly: false }),
            },
            Err(error) => Err(Failed { error, left_cleanly: begun.rollback().await.is_ok() }),
        }
    }
}

/// A transaction with what is needed to write rows.
pub(super) struct Transaction<'a> {
    pub connection: &'a mut SqliteConnection,
    pub names: &'a mut Names,
    pub rollup_ids: &'a mut RollupIds,
    /// When it began.
    pub now: Timestamp,
}

impl Transaction<'_> {
    /// The number of a project.
    pub async fn project(&mut self, project_id: &gosight_domain::ProjectId) -> sqlx::Result<i64> {
        self.names.project(self.connection, project_id).await
    }

    /// The number of a log.
    pub async fn log(&mut self, name: &Arc<str>) -> sqlx::Result<i64> {
        self.names.log(self.connection, name).await
    }
}

/// The last row of `events` that was ever written, also if it was deleted.
async fn last_row(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    let row = sqlx::query("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'");
    row.fetch_one(connection).await?.try_get(0)
}

async fn ledger_ends(connection: &mut SqliteConnection) -> sqlx::Result<HashMap<LogPartition, u64>> {
    let rows = sqlx::query(
        "SELECT logs.name, log_partition, max(last_offset) + 1 FROM ledger JOIN logs ON logs.id = ledger.log
         GROUP BY logs.name, log_partition",
    )
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let end: i64 = row.try_get(2)?;
            Ok((partition(row)?, super::codec::unsigned(end)))
        })
        .collect()
}

async fn unfinished(connection: &mut SqliteConnection) -> sqlx::Result<HashSet<LogPartition>> {
    let rows = sqlx::query(
        "SELECT logs.name, log_partition FROM unfinished_batches JOIN logs ON logs.id = unfinished_batches.log",
    );
    rows.fetch_all(connection).await?.iter().map(partition).collect()
}

/// The partition that the first two columns name.
fn partition(row: &SqliteRow) -> sqlx::Result<LogPartition> {
    let log: String = row.try_get(0)?;
    Ok(LogPartition { log: log.into(), partition: row.try_get(1)? })
}

#[cfg(test)]
mod tests;
