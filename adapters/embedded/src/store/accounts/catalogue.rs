use async_trait::async_trait;
use gosight_application::ports::{
    CatalogueEntry, CatalogueQuery, Lease, ReplayCatalogue, ReplayCatalogueError,
};
use gosight_domain::replay::ReplaySession;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::EmbeddedAccounts;
use crate::store::codec::signed;
use crate::store::error::store_error;

fn entry(row: &SqliteRow) -> sqlx::Result<CatalogueEntry> {
    serde_json::from_str(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

impl EmbeddedAccounts {
    async fn read_entries(&self, sessions: &[ReplaySession]) -> sqlx::Result<Vec<Option<CatalogueEntry>>> {
        let mut connection = self.database.readers.acquire().await?;
        let mut entries = Vec::with_capacity(sessions.len());
        for ReplaySession { project_id, session_id } in sessions {
            let row =
                sqlx::query("SELECT entry FROM replay_catalogue WHERE project_id = ? AND session_id = ?")
                    .bind(project_id.as_str())
                    .bind(session_id.as_str())
                    .fetch_optional(&mut *connection)
                    .await?;
            entries.push(row.as_ref().map(entry).transpose()?);
        }
        Ok(entries)
    }

    async fn list_entries(&self, query: &CatalogueQuery) -> sqlx::Result<Vec<CatalogueEntry>> {
        let after = query.after.as_ref();
        let rows = sqlx::query(
            "SELECT entry FROM replay_catalogue
             WHERE (project_id, session_id) > (?, ?) AND (?3 IS NULL OR project_id = ?3)
               AND (?4 IS NULL OR archived_at < ?4)
             ORDER BY project_id, session_id LIMIT ?5",
        )
        .bind(after.map_or("", |after| after.project_id.as_str()))
        .bind(after.map_or("", |after| after.session_id.as_str()))
        .bind(query.project_id.as_ref().map(gosight_domain::ProjectId::as_str))
        .bind(query.archived_before.map(gosight_domain::Timestamp::as_millis))
        .bind(i64::try_from(query.limit).unwrap_or(i64::MAX))
        .fetch_all(&self.database.readers)
        .await?;
        rows.iter().map(entry).collect()
    }

    /// Runs a statement, and tells whether it changed a row.
    async fn changes_a_row(
        &self,
        statement: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<bool, ReplayCatalogueError> {
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                Ok(statement.execute(&mut *transaction.connection).await?.rows_affected() > 0)
            })
            .await
    }
}

#[async_trait]
impl ReplayCatalogue for EmbeddedAccounts {
    async fn get(
        &self,
        sessions: &[ReplaySession],
    ) -> Result<Vec<Option<CatalogueEntry>>, ReplayCatalogueError> {
        self.read_entries(sessions).await.map_err(store_error)
    }

    async fn put(&self, entry: &CatalogueEntry) -> Result<bool, ReplayCatalogueError> {
        let text = serde_json::to_string(entry)
            .map_err(|error| ReplayCatalogueError::fatal(crate::STORE_ADAPTER, error))?;
        let statement = if entry.version == 1 {
            "INSERT INTO replay_catalogue (project_id, session_id, version, archived_at, entry)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING"
        } else {
            "UPDATE replay_catalogue SET version = ?3, archived_at = ?4, entry = ?5
             WHERE project_id = ?1 AND session_id = ?2 AND version = ?3 - 1"
        };
        let archived_at = entry.archived.as_ref().map(|archived| archived.archived_at.as_millis());
        self.changes_a_row(
            sqlx::query(statement)
                .bind(entry.session.project_id.as_str())
                .bind(entry.session.session_id.as_str())
                .bind(signed(entry.version))
                .bind(archived_at)
                .bind(text),
        )
        .await
    }

    async fn list(&self, query: &CatalogueQuery) -> Result<Vec<CatalogueEntry>, ReplayCatalogueError> {
        self.list_entries(query).await.map_err(store_error)
    }

    async fn delete(&self, session: &ReplaySession, version: u64) -> Result<bool, ReplayCatalogueError> {
        self.changes_a_row(
            sqlx::query(
                "DELETE FROM replay_catalogue WHERE project_id = ? AND session_id = ? AND version = ?",
            )
            .bind(session.project_id.as_str())
            .bind(session.session_id.as_str())
            .bind(signed(version)),
        )
        .await
    }

    async fn lease(&self, lease: &Lease) -> Result<bool, ReplayCatalogueError> {
        self.changes_a_row(
            sqlx::query(
                "INSERT INTO replay_leases (project_id, session_id, owner, until) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (project_id, session_id) DO UPDATE SET owner = ?3, until = ?4
                 WHERE owner = ?3 OR until <= ?5",
            )
            .bind(lease.session.project_id.as_str())
            .bind(lease.session.session_id.as_str())
            .bind(lease.owner.to_string())
            .bind(lease.until.as_millis())
            .bind(lease.since.as_millis()),
        )
        .await
    }

    async fn release(&self, session: &ReplaySession, owner: Uuid) -> Result<(), ReplayCatalogueError> {
        let statement =
            sqlx::query("DELETE FROM replay_leases WHERE project_id = ? AND session_id = ? AND owner = ?")
                .bind(session.project_id.as_str())
                .bind(session.session_id.as_str())
                .bind(owner.to_string());
        self.changes_a_row(statement).await.map(drop)
    }
}
