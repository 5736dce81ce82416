use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{
    Clock, DeadLetter, DeadLetters, DeadLettersError, Fence, LogPosition, PortError,
};
use gosight_domain::{ProjectId, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::codec::{signed, unsigned};
use super::error::store_error;
use super::{Database, EmbeddedStore, apply};
use crate::{DataDirError, data_dir};

/// The dead letters. They may be looked at and removed beside a process that uses the directory.
#[derive(Debug, Clone)]
pub struct EmbeddedDeadLetters {
    database: Arc<Database>,
}

impl EmbeddedDeadLetters {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Opens those in the data directory `dir`.
    ///
    /// # Errors
    /// [`DataDirError`] when they cannot be opened.
    pub async fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, DataDirError> {
        Ok(Self::new(Database::open(&data_dir::database_path(dir), 1, clock).await?))
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

fn letter(row: &SqliteRow) -> sqlx::Result<DeadLetter> {
    let log: String = row.try_get("log")?;
    let offset: i64 = row.try_get("log_offset")?;
    let project: Option<String> = row.try_get("project_id")?;
    let reason: String = row.try_get("reason")?;
    let record: Vec<u8> = row.try_get("record")?;
    Ok(DeadLetter {
        position: LogPosition {
            log: log.into(),
            partition: row.try_get("log_partition")?,
            offset: unsigned(offset),
        },
        // A project id that is none any more is as good as none.
        project_id: project.and_then(|project| ProjectId::new(project).ok()),
        reason: reason.into(),
        detail: row.try_get("detail")?,
        at: Timestamp::from_millis(row.try_get("at")?),
        record: record.into(),
    })
}

impl EmbeddedDeadLetters {
    async fn read_letters(&self, after: Option<&LogPosition>, limit: usize) -> sqlx::Result<Vec<DeadLetter>> {
        // Nothing sorts before an empty name and offset -1.
        let (log, partition, offset) = after
            .map_or(("", 0, -1), |position| (&*position.log, position.partition, signed(position.offset)));
        let rows = sqlx::query(
            "SELECT * FROM dead_letters WHERE (log, log_partition, log_offset) > (?, ?, ?)
             ORDER BY log, log_partition, log_offset LIMIT ?",
        )
        .bind(log)
        .bind(partition)
        .bind(offset)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.database.readers)
        .await?;
        rows.iter().map(letter).collect()
    }

    async fn read_letter(&self, position: &LogPosition) -> sqlx::Result<Option<DeadLetter>> {
        let row =
            sqlx::query("SELECT * FROM dead_letters WHERE log = ? AND log_partition = ? AND log_offset = ?")
                .bind(&*position.log)
                .bind(position.partition)
                .bind(signed(position.offset))
                .fetch_optional(&self.database.readers)
                .await?;
        row.as_ref().map(letter).transpose()
    }
}

#[async_trait]
impl DeadLetters for EmbeddedDeadLetters {
    async fn put(&self, _fence: &Fence, letters: &[DeadLetter]) -> Result<(), DeadLettersError> {
        let mut writer = self.database.writer.lock().await;
        writer.transact(async |transaction| apply::put_dead_letters(transaction, letters).await).await
    }

    async fn list(
        &self,
        after: Option<&LogPosition>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, DeadLettersError> {
        self.read_letters(after, limit).await.map_err(store_error)
    }

    async fn get(&self, position: &LogPosition) -> Result<Option<DeadLetter>, DeadLettersError> {
        self.read_letter(position).await.map_err(store_error)
    }

    async fn remove(&self, position: &LogPosition) -> Result<(), DeadLettersError> {
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                sqlx::query(
                    "DELETE FROM dead_letters WHERE log = ? AND log_partition = ? AND log_offset = ?",
                )
                .bind(&*position.log)
                .bind(position.partition)
                .bind(signed(position.offset))
                .execute(&mut *transaction.connection)
                .await?;
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl DeadLetters for EmbeddedStore {
    async fn put(&self, fence: &Fence, letters: &[DeadLetter]) -> Result<(), DeadLettersError> {
        let mut writer = self.writer_behind(fence).await.map_err(PortError::narrow)?;
        writer.transact(async |transaction| apply::put_dead_letters(transaction, letters).await).await
    }

    async fn list(
        &self,
        after: Option<&LogPosition>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, DeadLettersError> {
        self.dead_letters().list(after, limit).await
    }

    async fn get(&self, position: &LogPosition) -> Result<Option<DeadLetter>, DeadLettersError> {
        self.dead_letters().get(position).await
    }

    async fn remove(&self, position: &LogPosition) -> Result<(), DeadLettersError> {
        self.dead_letters().remove(position).await
    }
}

impl EmbeddedStore {
    fn dead_letters(&self) -> EmbeddedDeadLetters {
        EmbeddedDeadLetters::new(self.database.clone())
    }
}
