//! The one connection that writes, and what it knows.

use std::collections::HashMap;
use std::sync::Arc;

use gosight_application::ports::PortError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};

use super::apply::rollup::RollupIds;
use super::database::store_error;
use super::names::{Names, Numbers};
use crate::STORE_ADAPTER;

/// The writing connection with what it remembers of the database. What a transaction changes is taken over once it is
/// committed.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` after closing.
    connection: Option<SqliteConnection>,
    names: Names,
    pub numbers: Arc<Numbers>,
    rollup_ids: RollupIds,
    /// Where the ledger of each partition ends.
    pub ledger_ends: HashMap<(Arc<str>, u32), u64>,
    /// The last row of `events` that was ever written.
    pub last_row: i64,
}

impl Writer {
    pub async fn open(options: SqliteConnectOptions) -> sqlx::Result<Self> {
        let mut connection = options.connect().await?;
        sqlx::migrate!("./migrations").run(&mut connection).await?;
        let ledger_ends = ledger_ends(&mut connection).await?;
        let rollup_ids = RollupIds::load(&mut connection).await?;
        let numbers = Arc::new(Numbers::load(&mut connection).await?);
        let row = sqlx::query("SELECT coalesce(max(id), 0) FROM events").fetch_one(&mut connection).await?;
        Ok(Self {
            connection: Some(connection),
            names: Names::new(numbers.clone()),
            numbers,
            rollup_ids,
            ledger_ends,
            last_row: row.try_get(0)?,
        })
    }

    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database was not closed cleanly; the next start recovers it");
        }
    }

    /// Does `work` in a transaction, and commits it.
    pub async fn transact<T, R: std::fmt::Debug + std::fmt::Display>(
        &mut self,
        work: impl AsyncFnOnce(&mut Transaction<'_>) -> sqlx::Result<T>,
    ) -> Result<T, PortError<R>> {
        let closed = || PortError::fatal(STORE_ADAPTER, "the store is closed");
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        // An earlier transaction may have been dropped in the middle.
        self.names.forget();
        self.rollup_ids.forget();
        let mut begun = connection.begin_with("BEGIN IMMEDIATE").await.map_err(store_error)?;
        let mut transaction =
            Transaction { connection: &mut begun, names: &mut self.names, rollup_ids: &mut self.rollup_ids };
        let done = work(&mut transaction).await.map_err(store_error)?;
        begun.commit().await.map_err(store_error)?;
        self.names.keep();
        self.rollup_ids.keep();
        Ok(done)
    }
}

/// A transaction with what is needed to write rows.
pub(super) struct Transaction<'a> {
    pub connection: &'a mut SqliteConnection,
    pub names: &'a mut Names,
    pub rollup_ids: &'a mut RollupIds,
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

async fn ledger_ends(connection: &mut SqliteConnection) -> sqlx::Result<HashMap<(Arc<str>, u32), u64>> {
    let rows = sqlx::query(
        "SELECT logs.name, log_partition, max(last_offset) + 1 FROM ledger JOIN logs ON logs.id = ledger.log
         GROUP BY logs.name, log_partition",
    )
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get(0)?;
            let end: i64 = row.try_get(2)?;
            Ok(((name.into(), row.try_get(1)?), super::codec::unsigned(end)))
        })
        .collect()
}
