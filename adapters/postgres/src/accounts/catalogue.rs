use std::collections::HashMap;

use async_trait::async_trait;
use gosight_application::ports::{
    CatalogueEntry, CatalogueQuery, Lease, PortError, ReplayCatalogue, ReplayCatalogueError,
};
use gosight_domain::replay::ReplaySession;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::PostgresAccounts;
use crate::ADAPTER;

fn entry(row: &PgRow) -> sqlx::Result<CatalogueEntry> {
    serde_json::from_str(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl PostgresAccounts {
    /// Runs a statement, and tells whether it changed a row.
    async fn changes_a_row(
        &self,
        statement: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<bool, PortError> {
        self.write(async |connection| Ok(statement.execute(connection).await?.rows_affected() > 0)).await
    }
}

#[async_trait]
impl ReplayCatalogue for PostgresAccounts {
    async fn get(
        &self,
        sessions: &[ReplaySession],
    ) -> Result<Vec<Option<CatalogueEntry>>, ReplayCatalogueError> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let (projects, ids): (Vec<&str>, Vec<&str>) =
            sessions.iter().map(|session| (session.project_id.as_str(), session.session_id.as_str())).unzip();
        let entries = self.read(async |connection| {
            let query = sqlx::query(
                "SELECT entry::text FROM replay_catalogue JOIN unnest($1::text[], $2::text[]) AS asked (p, s)
                 ON project_id = asked.p AND session_id = asked.s",
            );
            let rows = query.bind(&projects).bind(&ids).fetch_all(connection).await?;
            rows.iter().map(entry).collect::<sqlx::Result<Vec<CatalogueEntry>>>()
        });
        let found: HashMap<ReplaySession, CatalogueEntry> =
            entries.await?.into_iter().map(|entry| (entry.session.clone(), entry)).collect();
        Ok(sessions.iter().map(|session| found.get(session).cloned()).collect())
    }

    async fn put(&self, entry: &CatalogueEntry) -> Result<bool, ReplayCatalogueError> {
        let text = serde_json::to_string(entry).map_err(|error| PortError::fatal(ADAPTER, error))?;
        let statement = if entry.version == 1 {
            "INSERT INTO replay_catalogue (project_id, session_id, version, archived_at, entry)
             VALUES ($1, $2, $3, $4, $5::json) ON CONFLICT DO NOTHING"
        } else {
            "UPDATE replay_catalogue SET version = $3, archived_at = $4, entry = $5::json
             WHERE project_id = $1 AND session_id = $2 AND version = $3 - 1"
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
        self.read(async |connection| {
            let after = query.after.as_ref();
            let rows = sqlx::query(
                "SELECT entry::text FROM replay_catalogue
                 WHERE (project_id, session_id) > ($1, $2) AND ($3::text IS NULL OR project_id = $3)
                   AND ($4::bigint IS NULL OR archived_at < $4)
                 ORDER BY project_id, session_id LIMIT $5",
            )
            .bind(after.map_or("", |after| after.project_id.as_str()))
            .bind(after.map_or("", |after| after.session_id.as_str()))
            .bind(query.project_id.as_ref().map(gosight_domain::ProjectId::as_str))
            .bind(query.archived_before.map(gosight_domain::Timestamp::as_millis))
            .bind(signed(query.limit as u64))
            .fetch_all(connection)
            .await?;
            rows.iter().map(entry).collect()
        })
        .await
    }

    async fn delete(&self, session: &ReplaySession, version: u64) -> Result<bool, ReplayCatalogueError> {
        self.changes_a_row(
            sqlx::query(
                "DELETE FROM replay_catalogue WHERE project_id = $1 AND session_id = $2 AND version = $3",
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
                "INSERT INTO replay_leases AS held (project_id, session_id, owner, lease_until)
                 VALUES ($1, $2, $3, $4) ON CONFLICT (project_id, session_id)
                 DO UPDATE SET owner = $3, lease_until = $4 WHERE held.owner = $3 OR held.lease_until <= $5",
            )
            .bind(lease.session.project_id.as_str())
            .bind(lease.session.session_id.as_str())
            .bind(lease.owner)
            .bind(lease.until.as_millis())
            .bind(lease.since.as_millis()),
        )
        .await
    }

    async fn release(&self, session: &ReplaySession, owner: Uuid) -> Result<(), ReplayCatalogueError> {
        let statement =
            sqlx::query("DELETE FROM replay_leases WHERE project_id = $1 AND session_id = $2 AND owner = $3")
                .bind(session.project_id.as_str())
                .bind(session.session_id.as_str())
                .bind(owner);
        self.changes_a_row(statement).await.map(drop)
    }
}
