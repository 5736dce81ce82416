use async_trait::async_trait;
use gosight_application::ports::{KeyAdmin, KeyLookup, KeyStoreError, KeyUsage, KeyUsageStore};
use gosight_domain::key::{ApiKey, KeyHash, Scope};
use gosight_domain::project::Project;
use gosight_domain::{ProjectId, Timestamp, Violation};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row};
use uuid::Uuid;

use super::EmbeddedAccounts;
use crate::store::codec::{signed, unsigned};
use crate::store::error::store_error;

const KEYS: &str =
    "SELECT key_id, projects.project_id, api_keys.name, key_hash, key_prefix, scopes, is_active,
        api_keys.created_at, expires_at, last_used_at, request_count
    FROM api_keys JOIN projects ON projects.id = api_keys.project";

fn project_id(text: String) -> sqlx::Result<ProjectId> {
    ProjectId::new(text).map_err(|error: Violation| sqlx::Error::Decode(error.into()))
}

fn key(row: &SqliteRow) -> sqlx::Result<ApiKey> {
    let hash: &[u8] = row.try_get(3)?;
    let hash = hash.try_into().map_err(|_| sqlx::Error::Decode("a key hash has 32 bytes".into()))?;
    let scopes: &str = row.try_get(5)?;
    let time =
        |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis));
    let requests: i64 = row.try_get(10)?;
    Ok(ApiKey {
        key_id: row.try_get(0)?,
        project_id: project_id(row.try_get(1)?)?,
        name: row.try_get(2)?,
        hash: KeyHash(hash),
        prefix: row.try_get(4)?,
        scopes: scopes.split(' ').filter_map(Scope::from_name).collect(),
        is_active: row.try_get(6)?,
        created_at: Timestamp::from_millis(row.try_get(7)?),
        expires_at: time(8)?,
        last_used_at: time(9)?,
        request_count: unsigned(requests),
    })
}

impl EmbeddedAccounts {
    async fn read_projects(&self) -> sqlx::Result<Vec<Project>> {
        let rows = sqlx::query(
            "SELECT project_id, name, created_at FROM projects WHERE name IS NOT NULL ORDER BY project_id",
        )
        .fetch_all(&self.database.readers)
        .await?;
        let project = |row: &SqliteRow| {
            Ok(Project {
                project_id: project_id(row.try_get(0)?)?,
                name: row.try_get(1)?,
                created_at: Timestamp::from_millis(row.try_get(2)?),
            })
        };
        rows.iter().map(project).collect()
    }

    async fn read_key(&self, hash: &KeyHash) -> sqlx::Result<Option<ApiKey>> {
        let mut sql = QueryBuilder::<Sqlite>::new(KEYS);
        sql.push(" WHERE key_hash = ").push_bind(hash.0.to_vec());
        sql.build().fetch_optional(&self.database.readers).await?.as_ref().map(key).transpose()
    }

    async fn read_keys(&self, project_id: Option<&ProjectId>) -> sqlx::Result<Vec<ApiKey>> {
        let mut sql = QueryBuilder::<Sqlite>::new(KEYS);
        if let Some(project_id) = project_id {
            sql.push(" WHERE projects.project_id = ").push_bind(project_id.to_string());
        }
        sql.push(" ORDER BY api_keys.created_at, key_id");
        sql.build().fetch_all(&self.database.readers).await?.iter().map(key).collect()
    }
}

#[async_trait]
impl KeyLookup for EmbeddedAccounts {
    async fn find_key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, KeyStoreError> {
        self.read_key(hash).await.map_err(store_error)
    }
}

#[async_trait]
impl KeyAdmin for EmbeddedAccounts {
    async fn create_project(&self, project: &Project) -> Result<bool, KeyStoreError> {
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                // Its events may have made it known before it was created.
                let created = sqlx::query(
                    "INSERT INTO projects (project_id, name, created_at) VALUES (?, ?, ?)
                     ON CONFLICT (project_id) DO UPDATE
                     SET name = excluded.name, created_at = excluded.created_at WHERE projects.name IS NULL",
                )
                .bind(project.project_id.as_str())
                .bind(&project.name)
                .bind(project.created_at.as_millis())
                .execute(&mut *transaction.connection)
                .await?;
                Ok(created.rows_affected() > 0)
            })
            .await
    }

    async fn list_projects(&self) -> Result<Vec<Project>, KeyStoreError> {
        self.read_projects().await.map_err(store_error)
    }

    async fn create_key(&self, key: &ApiKey) -> Result<bool, KeyStoreError> {
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                let project = transaction.project(&key.project_id).await?;
                let created = sqlx::query(
                    "INSERT OR IGNORE INTO api_keys (key_id, project, name, key_hash, key_prefix, scopes,
                        is_active, created_at, expires_at, last_used_at, request_count)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(key.key_id)
                .bind(project)
                .bind(&key.name)
                .bind(key.hash.0.as_slice())
                .bind(&key.prefix)
                .bind(scopes.join(" "))
                .bind(key.is_active)
                .bind(key.created_at.as_millis())
                .bind(key.expires_at.map(Timestamp::as_millis))
                .bind(key.last_used_at.map(Timestamp::as_millis))
                .bind(signed(key.request_count))
                .execute(&mut *transaction.connection)
                .await?;
                Ok(created.rows_affected() > 0)
            })
            .await
    }

    async fn list_keys(&self, project_id: Option<&ProjectId>) -> Result<Vec<ApiKey>, KeyStoreError> {
        self.read_keys(project_id).await.map_err(store_error)
    }

    async fn revoke_key(&self, key_id: Uuid) -> Result<bool, KeyStoreError> {
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                let revoked = sqlx::query("UPDATE api_keys SET is_active = 0 WHERE key_id = ?")
                    .bind(key_id)
                    .execute(&mut *transaction.connection)
                    .await?;
                Ok(revoked.rows_affected() > 0)
            })
            .await
    }
}

#[async_trait]
impl KeyUsageStore for EmbeddedAccounts {
    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), KeyStoreError> {
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                for report in usage {
                    sqlx::query(
                        "UPDATE api_keys SET request_count = request_count + ?,
                            last_used_at = max(coalesce(last_used_at, 0), ?) WHERE key_id = ?",
                    )
                    .bind(signed(report.requests))
                    .bind(report.last_used_at.as_millis())
                    .bind(report.key_id)
                    .execute(&mut *transaction.connection)
                    .await?;
                }
                Ok(())
            })
            .await
    }
}
