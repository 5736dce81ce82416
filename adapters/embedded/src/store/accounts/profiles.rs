use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use gosight_application::ports::{ProfileKind, ProfileStore, ProfileStoreError, patch_profiles};
use gosight_domain::{JsonObject, ProjectId};
use sqlx::{Row, SqliteConnection};

use super::EmbeddedAccounts;
use crate::store::bulk_statement::BulkStatement;
use crate::store::codec::from_json;
use crate::store::error::store_error;

const FIND: BulkStatement = BulkStatement {
    head: "SELECT profiles.id, profile FROM profiles JOIN projects ON projects.id = profiles.project
        WHERE (projects.project_id, kind, profiles.id) IN (VALUES ",
    columns: 3,
    tail: ")",
};

const PUT: BulkStatement = BulkStatement {
    head: "INSERT OR REPLACE INTO profiles (project, kind, id, profile) VALUES ",
    columns: 4,
    tail: "",
};

impl EmbeddedAccounts {
    async fn read_profiles(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> sqlx::Result<HashMap<String, JsonObject>> {
        let mut connection = self.database.readers.acquire().await?;
        find(&mut connection, project_id, kind, ids).await
    }
}

async fn find(
    connection: &mut SqliteConnection,
    project_id: &ProjectId,
    kind: ProfileKind,
    ids: &[String],
) -> sqlx::Result<HashMap<String, JsonObject>> {
    let rows = FIND
        .fetch(connection, ids, |query, id| {
            query.bind(project_id.to_string()).bind(kind.as_str()).bind(id.clone())
        })
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, from_json(row.try_get(1)?)?))).collect()
}

async fn store(
    connection: &mut SqliteConnection,
    project: i64,
    kind: ProfileKind,
    profiles: &[(String, JsonObject)],
) -> sqlx::Result<()> {
    PUT.execute(connection, profiles, |query, (id, profile)| {
        query.bind(project).bind(kind.as_str()).bind(id.clone()).bind(profile.as_str().to_owned())
    })
    .await
}

#[async_trait]
impl ProfileStore for EmbeddedAccounts {
    async fn get(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> Result<HashMap<String, JsonObject>, ProfileStoreError> {
        self.read_profiles(project_id, kind, ids).await.map_err(store_error)
    }

    async fn put(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        profiles: &[(String, JsonObject)],
    ) -> Result<(), ProfileStoreError> {
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                let project = transaction.project(project_id).await?;
                store(transaction.connection, project, kind, profiles).await
            })
            .await
    }

    async fn merge(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        patches: &[(String, JsonObject)],
    ) -> Result<Vec<usize>, ProfileStoreError> {
        let ids: Vec<String> = patches.iter().map(|(id, _)| id.clone()).collect();
        let mut writer = self.database.writer.lock().await;
        writer
            .transact(async |transaction| {
                let project = transaction.project(project_id).await?;
                let known = find(transaction.connection, project_id, kind, &ids).await?;
                let mut known: BTreeMap<String, JsonObject> = known.into_iter().collect();
                let refused = patch_profiles(&mut known, patches);
                let known: Vec<(String, JsonObject)> = known.into_iter().collect();
                store(transaction.connection, project, kind, &known).await?;
                Ok(refused)
            })
            .await
    }
}
