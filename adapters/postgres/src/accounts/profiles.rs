use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use gosight_application::ports::{ProfileKind, ProfileStore, ProfileStoreError, patch_profiles};
use gosight_domain::{JsonObject, ProjectId};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row};

use super::PostgresAccounts;

/// The statements of one kind of profile.
struct Statements {
    get: &'static str,
    /// In the order of the ids, so that two writers of the same profiles wait for each other and never each for the
    /// other.
    put: &'static str,
    /// Makes empty profiles where there are none, and locks and gives all until the end of the transaction: in the order of the
    /// ids, too, for which reason it is one statement.
    lock: &'static str,
}

const USERS: Statements = Statements {
    get: "SELECT user_id, profile::text FROM user_profiles WHERE project_id = $1 AND user_id = ANY ($2)",
    put: r#"INSERT INTO user_profiles (project_id, user_id, profile)
        SELECT $1, id, profile::json FROM unnest($2::text[], $3::text[]) AS p (id, profile) ORDER BY id COLLATE "C"
        ON CONFLICT (project_id, user_id) DO UPDATE SET profile = excluded.profile"#,
    lock: r#"INSERT INTO user_profiles (project_id, user_id, profile)
        SELECT $1, id, '{}'::json FROM unnest($2::text[]) AS p (id) ORDER BY id COLLATE "C"
        ON CONFLICT (project_id, user_id) DO UPDATE SET profile = user_profiles.profile
        RETURNING user_id, profile::text"#,
};

const ITEMS: Statements = Statements {
    get: "SELECT item_id, profile::text FROM item_profiles WHERE project_id = $1 AND item_id = ANY ($2)",
    put: r#"INSERT INTO item_profiles (project_id, item_id, profile)
        SELECT $1, id, profile::json FROM unnest($2::text[], $3::text[]) AS p (id, profile) ORDER BY id COLLATE "C"
        ON CONFLICT (project_id, item_id) DO UPDATE SET profile = excluded.profile"#,
    lock: r#"INSERT INTO item_profiles (project_id, item_id, profile)
        SELECT $1, id, '{}'::json FROM unnest($2::text[]) AS p (id) ORDER BY id COLLATE "C"
        ON CONFLICT (project_id, item_id) DO UPDATE SET profile = item_profiles.profile
        RETURNING item_id, profile::text"#,
};

fn statements(kind: ProfileKind) -> Statements {
    match kind {
        ProfileKind::User => USERS,
        ProfileKind::Item => ITEMS,
    }
}

fn profile(row: &PgRow) -> sqlx::Result<(String, JsonObject)> {
    let profile = serde_json::from_str(row.try_get(1)?);
    Ok((row.try_get(0)?, profile.map_err(|error| sqlx::Error::Decode(error.into()))?))
}

#[async_trait]
impl ProfileStore for PostgresAccounts {
    async fn get(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> Result<HashMap<String, JsonObject>, ProfileStoreError> {
        // No row can have an id with NUL, and the server refuses to look for one.
        let ids: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !id.contains('\0')).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        self.read(async |connection| {
            let query = sqlx::query(statements(kind).get).bind(project_id.as_str()).bind(&ids);
            query.fetch_all(connection).await?.iter().map(profile).collect()
        })
        .await
    }

    async fn put(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        profiles: &[(String, JsonObject)],
    ) -> Result<(), ProfileStoreError> {
        if profiles.is_empty() {
            return Ok(());
        }
        self.write(async |connection| {
            // A statement can write a row only once; the last one counts.
            let profiles = profiles.iter().map(|(id, profile)| (id.as_str(), profile.as_str())).collect();
            store(connection, project_id, kind, profiles).await
        })
        .await
    }

    async fn merge(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        patches: &[(String, JsonObject)],
    ) -> Result<Vec<usize>, ProfileStoreError> {
        let ids: BTreeSet<&str> = patches.iter().map(|(id, _)| id.as_str()).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.write(async |connection| {
            let mut transaction = connection.begin().await?;
            let lock = sqlx::query(statements(kind).lock).bind(project_id.as_str()).bind(&ids);
            let rows = lock.fetch_all(&mut *transaction).await?;
            let mut known: BTreeMap<String, JsonObject> =
                rows.iter().map(profile).collect::<Result<_, _>>()?;
            let refused = patch_profiles(&mut known, patches);
            let known = known.iter().map(|(id, profile)| (id.as_str(), profile.as_str())).collect();
            store(&mut transaction, project_id, kind, known).await?;
            transaction.commit().await?;
            Ok(refused)
        })
        .await
    }
}

async fn store(
    connection: &mut PgConnection,
    project_id: &ProjectId,
    kind: ProfileKind,
    profiles: BTreeMap<&str, &str>,
) -> sqlx::Result<()> {
    let (ids, profiles): (Vec<&str>, Vec<&str>) = profiles.into_iter().unzip();
    let query = sqlx::query(statements(kind).put).bind(project_id.as_str()).bind(&ids).bind(&profiles);
    query.execute(connection).await.map(drop)
}
