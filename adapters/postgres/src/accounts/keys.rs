use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::ports::{KeyAdmin, KeyLookup, KeyStoreError, KeyUsage, KeyUsageStore};
use gosight_domain::key::{ApiKey, KeyHash, Scope};
use gosight_domain::project::Project;
use gosight_domain::{ProjectId, Timestamp, Violation};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::PostgresAccounts;

const CREATE_PROJECT: &str =
    "INSERT INTO projects (project_id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

const LIST_PROJECTS: &str = "SELECT project_id, name, created_at FROM projects ORDER BY project_id";

const CREATE_KEY: &str = "INSERT INTO api_keys (key_id, project_id, name, key_hash, key_prefix, scopes,
        is_active, created_at, expires_at, last_used_at, request_count)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING";

const FIND_KEY: &str = "SELECT key_id, project_id, name, key_hash, key_prefix, scopes, is_active, created_at,
        expires_at, last_used_at, request_count
    FROM api_keys WHERE key_hash = $1";

const LIST_KEYS: &str =
    "SELECT key_id, project_id, name, key_hash, key_prefix, scopes, is_active, created_at,
        expires_at, last_used_at, request_count
    FROM api_keys WHERE $1 IS NULL OR project_id = $1 ORDER BY created_at, key_id";

const REVOKE_KEY: &str = "UPDATE api_keys SET is_active = false WHERE key_id = $1";

/// The rows are locked in the order of their ids, so that two reports about the same keys wait for each other and never
/// each for the other. A count that would not fit any more stays at the largest.
const RECORD_USAGE: &str = "WITH report AS (
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS r (key_id, requests, last_used_at)
    ), locked AS (
        SELECT key_id FROM api_keys WHERE key_id = ANY ($1) ORDER BY key_id FOR NO KEY UPDATE
    )
    UPDATE api_keys
    SET request_count = least(request_count::numeric + report.requests, 9223372036854775807)::bigint,
        last_used_at = greatest(api_keys.last_used_at, report.last_used_at)
    FROM report JOIN locked USING (key_id)
    WHERE api_keys.key_id = report.key_id";

fn project_id(row: &PgRow, column: usize) -> sqlx::Result<ProjectId> {
    let text: String = row.try_get(column)?;
    ProjectId::new(text).map_err(|error: Violation| sqlx::Error::Decode(error.into()))
}

fn project(row: &PgRow) -> sqlx::Result<Project> {
    Ok(Project {
        project_id: project_id(row, 0)?,
        name: row.try_get(1)?,
        created_at: Timestamp::from_millis(row.try_get(2)?),
    })
}

fn key(row: &PgRow) -> sqlx::Result<ApiKey> {
    let hash: &[u8] = row.try_get(3)?;
    let hash = hash.try_into().map_err(|_| sqlx::Error::Decode("a key hash has 32 bytes".into()))?;
    let scopes: Vec<String> = row.try_get(5)?;
    let time =
        |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis));
    Ok(ApiKey {
        key_id: row.try_get(0)?,
        project_id: project_id(row, 1)?,
        name: row.try_get(2)?,
        hash: KeyHash(hash),
        prefix: row.try_get(4)?,
        // A scope of a later version grants nothing here.
        scopes: scopes.iter().filter_map(|scope| Scope::from_name(scope)).collect(),
        is_active: row.try_get(6)?,
        created_at: Timestamp::from_millis(row.try_get(7)?),
        expires_at: time(8)?,
        last_used_at: time(9)?,
        request_count: row.try_get::<i64, _>(10)?.unsigned_abs(),
    })
}

/// A count for the database, whose integers are signed.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Reports by key: a statement can change a row only once.
fn by_key(usage: &[KeyUsage]) -> BTreeMap<Uuid, (u64, i64)> {
    let mut by_key = BTreeMap::new();
    for report in usage {
        let (requests, last_used_at) = by_key.entry(report.key_id).or_insert((0u64, i64::MIN));
        *requests = requests.saturating_add(report.requests);
        *last_used_at = (*last_used_at).max(report.last_used_at.as_millis());
    }
    by_key
}

#[async_trait]
impl KeyLookup for PostgresAccounts {
    async fn find_key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, KeyStoreError> {
        self.read(async |connection| {
            let row = sqlx::query(FIND_KEY).bind(hash.0.as_slice()).fetch_optional(connection).await?;
            row.as_ref().map(key).transpose()
        })
        .await
    }
}

#[async_trait]
impl KeyAdmin for PostgresAccounts {
    async fn create_project(&self, project: &Project) -> Result<bool, KeyStoreError> {
        self.write(async |connection| {
            let created = sqlx::query(CREATE_PROJECT)
                .bind(project.project_id.as_str())
                .bind(&project.name)
                .bind(project.created_at.as_millis())
                .execute(connection)
                .await?;
            Ok(created.rows_affected() > 0)
        })
        .await
    }

    async fn list_projects(&self) -> Result<Vec<Project>, KeyStoreError> {
        self.read(async |connection| {
            sqlx::query(LIST_PROJECTS).fetch_all(connection).await?.iter().map(project).collect()
        })
        .await
    }

    async fn create_key(&self, key: &ApiKey) -> Result<bool, KeyStoreError> {
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        self.write(async |connection| {
            let created = sqlx::query(CREATE_KEY)
                .bind(key.key_id)
                .bind(key.project_id.as_str())
                .bind(&key.name)
                .bind(key.hash.0.as_slice())
                .bind(&key.prefix)
                .bind(&scopes)
                .bind(key.is_active)
                .bind(key.created_at.as_millis())
                .bind(key.expires_at.map(Timestamp::as_millis))
                .bind(key.last_used_at.map(Timestamp::as_millis))
                .bind(signed(key.request_count))
                .execute(connection)
                .await?;
            Ok(created.rows_affected() > 0)
        })
        .await
    }

    async fn list_keys(&self, project_id: Option<&ProjectId>) -> Result<Vec<ApiKey>, KeyStoreError> {
        self.read(async |connection| {
            let query = sqlx::query(LIST_KEYS).bind(project_id.map(ProjectId::as_str));
            query.fetch_all(connection).await?.iter().map(key).collect()
        })
        .await
    }

    async fn revoke_key(&self, key_id: Uuid) -> Result<bool, KeyStoreError> {
        self.write(async |connection| {
            let revoked = sqlx::query(REVOKE_KEY).bind(key_id).execute(connection).await?;
            Ok(revoked.rows_affected() > 0)
        })
        .await
    }
}

#[async_trait]
impl KeyUsageStore for PostgresAccounts {
    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), KeyStoreError> {
        if usage.is_empty() {
            return Ok(());
        }
        let by_key = by_key(usage);
        let key_ids: Vec<Uuid> = by_key.keys().copied().collect();
        let requests: Vec<i64> = by_key.values().map(|(requests, _)| signed(*requests)).collect();
        let last_used_at: Vec<i64> = by_key.values().map(|(_, at)| *at).collect();
        self.write(async |connection| {
            let query = sqlx::query(RECORD_USAGE).bind(&key_ids).bind(&requests).bind(&last_used_at);
            query.execute(connection).await.map(drop)
        })
        .await
    }
}
